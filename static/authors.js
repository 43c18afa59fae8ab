/**
 * Colours of authors: different names in one log have different hues, as long as there are hues left.
 *
 * A name prefers the hue that its hash gives, so that most viewers see the same one; if another name of this log has it,
 * the next free one is taken.
 */

/** Hues that can be told apart next to each other, each at a good contrast in light and dark. */
const HUES = 18;
/** Names remembered; beyond them the one that was silent for longest gives its hue back. */
const AUTHORS_MAX = 500;

export class Authors {
  /** Name to hue index, the name that spoke last at the end. */
  #hues = new Map();
  /** How many remembered names have each hue. */
  #uses = new Array(HUES).fill(0);

  /** Returns the hue of a name in degrees. */
  hueOf(name) {
    const hue = this.#hues.get(name) ?? this.#take(name);
    this.#hues.delete(name);
    this.#hues.set(name, hue);
    return (hue * 360) / HUES;
  }

  #take(name) {
    if (this.#hues.size >= AUTHORS_MAX) {
      const [silent, hue] = this.#hues.entries().next().value;
      this.#hues.delete(silent);
      this.#uses[hue] -= 1;
    }
    const least = Math.min(...this.#uses);
    // 7 is prime to the number of hues, so every hue is reached, and neighbours in time are far apart in colour.
    let hue = hashOf(name) % HUES;
    while (this.#uses[hue] > least) hue = (hue + 7) % HUES;
    this.#uses[hue] += 1;
    return hue;
  }
}

function hashOf(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return hash;
}
