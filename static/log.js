/**
 * The log: the newest lines of a channel, drawn once per frame.
 *
 * Lines are set with `textContent` only, so markup stays text. The log is bounded, so a flood pushes out the oldest
 * lines and does not exhaust the tab. At its end the log follows new lines; scrolled up, it stays where it is.
 */

/** Lines to keep: several screens, and few enough to lay out within a frame. */
const LINES_MAX = 2_000;
/** Characters to keep: a bound for long lines. */
const CHARACTERS_MAX = 1_000_000;
/** Distance from the end, in pixels, that still counts as being at the end. */
const END_SLACK = 4;
/** Number of author colours in the style sheet. */
const AUTHOR_COLOURS = 6;
/** How this page writes a name in front of a line. The chat protocol has no names, so it proves nothing. */
const AUTHOR = /^([^:]{1,32}): /u;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export class Log {
  #element;
  #welcome;
  #jump;
  #queue = [];
  #queueCharacters = 0;
  #shownCharacters = 0;
  #isFrameRequested = false;
  #isFollowing = true;
  #unread = 0;

  /** `welcome` is the first child of `element` and stays there; `jump` is the button that leads to the end. */
  constructor({ element, welcome, jump }) {
    this.#element = element;
    this.#welcome = welcome;
    this.#jump = jump;
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => this.#jumped());
    // A phone's keyboard shrinks the log: the newest line stays in sight.
    new ResizeObserver(() => this.#isFollowing && this.follow()).observe(element);
  }

  /** Adds a line of the channel. */
  addLine(text, { isOwn }) {
    this.#enqueue({ text, isChat: true, classes: isOwn ? "line own" : "line" });
  }

  /** Adds a notice of the page itself; `tone` is `good` or `bad`. */
  addNotice(text, tone) {
    this.#enqueue({ text, isChat: false, classes: `notice ${tone}` });
  }

  clear() {
    this.#queue = [];
    this.#queueCharacters = this.#shownCharacters = 0;
    this.#welcome.hidden = false;
    this.#element.replaceChildren(this.#welcome);
    this.follow();
  }

  /** Scrolls to the end and follows new lines from then on. */
  follow() {
    this.#isFollowing = true;
    this.#element.scrollTop = this.#element.scrollHeight;
    this.#showUnread();
  }

  /** A hidden tab draws no frames, so the queue needs the same bounds as the log. */
  #enqueue(line) {
    this.#queue.push({ ...line, at: new Date() });
    this.#queueCharacters += line.text.length;
    while (this.#queue.length > LINES_MAX || this.#queueCharacters > CHARACTERS_MAX) {
      this.#queueCharacters -= this.#queue.shift().text.length;
    }
    if (this.#isFrameRequested) return;
    this.#isFrameRequested = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isFrameRequested = false;
    const batch = document.createDocumentFragment();
    for (const line of this.#queue) {
      const element = render(line);
      this.#shownCharacters += element.textContent.length;
      batch.append(element);
      if (!line.isChat) continue;
      this.#unread += 1;
      this.#welcome.hidden = true;
    }
    this.#queue = [];
    this.#queueCharacters = 0;
    this.#element.append(batch);
    this.#trim();
    if (this.#isFollowing) this.follow();
    else this.#showUnread();
  }

  /** Removes the oldest lines beyond the bounds without moving the lines on the screen. */
  #trim() {
    const element = this.#element;
    const heightBefore = this.#isFollowing ? 0 : element.scrollHeight;
    while (element.childElementCount - 1 > LINES_MAX || this.#shownCharacters > CHARACTERS_MAX) {
      const oldest = this.#welcome.nextElementSibling;
      this.#shownCharacters -= oldest.textContent.length;
      oldest.remove();
    }
    if (!this.#isFollowing) element.scrollTop -= heightBefore - element.scrollHeight;
  }

  #scrolled() {
    const { scrollHeight, clientHeight, scrollTop } = this.#element;
    this.#isFollowing = scrollHeight - clientHeight - scrollTop <= END_SLACK;
    if (this.#isFollowing) this.#showUnread();
  }

  /** The button with the focus disappears. The log gets the focus: the field would open a phone's keyboard. */
  #jumped() {
    this.#element.focus({ preventScroll: true });
    this.follow();
  }

  #showUnread() {
    if (this.#isFollowing) this.#unread = 0;
    this.#jump.hidden = this.#unread === 0;
    this.#jump.textContent = `${this.#unread} new ${this.#unread === 1 ? "message" : "messages"} ↓`;
  }
}

function render({ text, at, isChat, classes }) {
  const element = document.createElement("div");
  element.className = classes;
  const time = document.createElement("time");
  time.dateTime = at.toISOString();
  time.textContent = clock.format(at);
  const body = document.createElement("p");
  body.dir = "auto";
  const author = isChat ? AUTHOR.exec(text)?.[1] : undefined;
  if (author === undefined) {
    body.textContent = text;
  } else {
    const name = document.createElement("bdi");
    name.className = `author colour-${colourOf(author)}`;
    name.textContent = author;
    body.append(name, text.slice(author.length));
  }
  element.append(time, body);
  return element;
}

function colourOf(author) {
  let hash = 0;
  for (const character of author) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return hash % AUTHOR_COLOURS;
}
