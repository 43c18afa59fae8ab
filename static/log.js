/**
 * A log: the newest lines of a channel, drawn a few at a time.
 *
 * The log is bounded, so a flood costs its oldest lines and not the tab. A reader at the end follows new lines; a reader
 * who has scrolled up is never moved.
 */

import { Authors } from "./authors.js";
import { renderDay, renderLine } from "./line.js";

/** Lines kept: several screens of reading, little enough to lay out within a frame. */
const LINES_MAX = 2_000;
/** Characters kept, so that long lines cannot do what many lines cannot. */
const CHARACTERS_MAX = 1_000_000;
/** Distance from the end, in pixels, that still counts as being at the end. */
const END_SLACK = 4;
/** Lines drawn in one frame: with more of them typing would stutter during a flood. */
const LINES_PER_FRAME = 200;

export class Log {
  #element;
  #welcome;
  #jump;
  #queue = [];
  #queueCharacters = 0;
  #shownCharacters = 0;
  #authors = new Authors();
  #day = "";
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

  /** Adds a message of the channel that was sent at `at`. */
  addLine(text, { isOwn, at }) {
    this.#enqueue({ text, at, isChat: true, classes: isOwn ? "line own" : "line" });
  }

  /** Adds a notice of the page itself; `tone` is `good` or `bad`. */
  addNotice(text, tone) {
    this.#enqueue({ text, at: new Date(), isChat: false, classes: `notice ${tone}` });
  }

  clear() {
    this.#queue = [];
    this.#queueCharacters = this.#shownCharacters = 0;
    this.#authors = new Authors();
    this.#day = "";
    this.#welcome.hidden = false;
    this.#element.replaceChildren(this.#welcome);
    this.follow();
  }

  /** Goes to the end and stays there. */
  follow() {
    this.#isFollowing = true;
    this.#element.scrollTop = this.#element.scrollHeight;
    this.#showUnread();
  }

  /** A hidden tab has no frames, so the queue has the same bounds as the log. */
  #enqueue(line) {
    this.#queue.push(line);
    this.#queueCharacters += line.text.length;
    while (this.#queue.length > LINES_MAX || this.#queueCharacters > CHARACTERS_MAX) {
      this.#queueCharacters -= this.#queue.shift().text.length;
    }
    this.#requestFrame();
  }

  #requestFrame() {
    if (this.#isFrameRequested) return;
    this.#isFrameRequested = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isFrameRequested = false;
    const batch = document.createDocumentFragment();
    for (const line of this.#queue.splice(0, LINES_PER_FRAME)) {
      this.#queueCharacters -= line.text.length;
      this.#shownCharacters += line.text.length;
      this.#drawDay(batch, line.at);
      const element = renderLine(line, (author) => this.#authors.hueOf(author));
      element.characters = line.text.length;
      batch.append(element);
      // Also for a notice: an invitation to say hello would contradict "Not connected".
      this.#welcome.hidden = true;
      if (line.isChat) this.#unread += 1;
    }
    this.#element.append(batch);
    this.#trim();
    if (this.#isFollowing) this.follow();
    else this.#showUnread();
    if (this.#queue.length > 0) this.#requestFrame();
  }

  /** Lines have a time of day; what was said on another day than the line before it is set apart. */
  #drawDay(batch, at) {
    const day = at.toDateString();
    if (this.#day !== "" && this.#day !== day) batch.append(renderDay(at));
    this.#day = day;
  }

  /** Drops the oldest lines beyond the bounds without moving what is being read. */
  #trim() {
    const element = this.#element;
    // Heights of lines are fractions of a pixel, which `scrollHeight` rounds: many small errors would add up.
    const top = () => (this.#isFollowing ? 0 : element.lastElementChild.getBoundingClientRect().top);
    const topBefore = top();
    while (element.childElementCount - 1 > LINES_MAX || this.#shownCharacters > CHARACTERS_MAX) {
      const oldest = this.#welcome.nextElementSibling;
      this.#shownCharacters -= oldest.characters ?? 0;
      oldest.remove();
    }
    if (!this.#isFollowing) element.scrollTop += top() - topBefore;
  }

  #scrolled() {
    const { scrollHeight, clientHeight, scrollTop } = this.#element;
    this.#isFollowing = scrollHeight - clientHeight - scrollTop <= END_SLACK;
    if (this.#isFollowing) this.#showUnread();
  }

  /** The button vanishes under the focus; the log takes it rather than the field, which would open a phone's keyboard. */
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
