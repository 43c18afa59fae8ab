/**
 * A connection to one channel of the hub that reconnects by itself, and gets then what it missed.
 *
 * Each attempt comes after a random wait, so that the clients of a hub that restarts do not all return at the same
 * moment. A close code from 4500 to 4999 means "do not reconnect": then only `open` tries again. So does a handshake that
 * is refused for what does not change by itself. A browser tells no reason of that; a plain request does.
 *
 * `onState` gets one of
 * - `{ kind: "connecting", isRetry }`: `isRetry` if the attempt before it failed or was lost
 * - `{ kind: "connected", isReturn }`: `isReturn` if an earlier connection was lost
 * - `{ kind: "waiting" | "offline", until, wasOpen, code, reason }`: the next attempt is at `until`, ms of `Date.now()`
 * - `{ kind: "refused", wasOpen, code, reason }`, with the status of HTTP as `code` if a handshake was refused
 *
 * `onStart` gets `{ hasHistory, isRecovered }` before the first line: whether everything that was missed follows.
 * `onCaughtUp` is called once the past is told, `onLine` gets `(text, at)`, `onOccupancy` the number of connections in
 * the channel, and `onNotice` what else the hub itself says.
 */

/** Bound of the first wait: too short to be noticed, long enough to spread the clients of a hub. */
const BACKOFF_BASE_MS = 500;
/** Bound of any wait: a reader waits half a minute without reaching for a button. */
const BACKOFF_MAX_MS = 30_000;
/** A connection that lived this long resets the back-off; one that ends earlier may mean a hub that is overloaded. */
const STABLE_MS = 5_000;
/** Time for a handshake; browsers by themselves wait for minutes. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Statuses of a refused handshake that stay the same until the request or the hub is corrected. */
const FINAL_STATUSES = [400, 401, 403, 404];
/** Statuses that pass: too many connections, or no room. */
const PASSING_STATUSES = [429, 503];
/** Failed handshakes between two questions for the reason: each costs the hub as much as a handshake. */
const FAILURES_PER_QUESTION = 4;
/** Longest reason that is shown. */
const REASON_LENGTH_MAX = 300;
/** The subprotocol in which each line begins with its offset and its time in milliseconds since 1970. */
const NUMBERED_LINES = "throng.numbered";
const NUMBERED = /^(\d+) (\d+) /;
/** Lines of the past that are asked for: more than a screen of them. */
const HISTORY_LINES = 50;
/** What lines of the hub itself begin with: it trims white space from those of clients. */
const NOTICE = " [throng] ";
/** What the hub sends with each of its pings, and within how many seconds the next one comes. */
const SIGN_OF_LIFE = /^ping (\d+)$/;
/** How many connections the channel has. */
const OCCUPANCY = /^here (\d+)$/;
/** Who has joined or left. The page shows only how many are here, and most of them have no name. */
const PRESENCE = /^(?:joined|left) \{/;
/** Where the channel's history stands, how many lines of it follow, and whether these are all that was missed. */
const POSITION = /^position (?:none|([0-9a-f]+):(\d+)) (\d+)(?: (recovered|incomplete))?$/;
/** Time by which one may be late: a slow network, a busy tab. */
const LATENESS_MAX_MS = 15_000;
/** How often the silence is measured. */
const SILENCE_CHECK_MS = 5_000;
/** Unsent bytes in the browser; beyond them the network is stalled and more text would only pile up. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

export class Connection {
  #url;
  #handlers;
  #socket = null;
  #timer = 0;
  #failures = 0;
  /** Aborts the question why a handshake was refused. */
  #question = null;
  /** The reason that was told last. */
  #reason = "";
  #openedAt = null;
  #wasEverOpen = false;
  #isWaiting = false;
  #silenceCheck = 0;
  #lastSign = 0;
  /** How long the hub may be silent; unknown until its first sign of life. */
  #silenceMax = Infinity;
  /** The channel's incarnation, and the newest line of it that was received. */
  #epoch = null;
  #offset = 0;
  /** Lines of the past that are still to come. */
  #pastLeft = 0;

  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
  }

  /** Connects now; an attempt or connection before it is dropped. */
  open() {
    this.#drop();
    const socket = new WebSocket(this.#address(), NUMBERED_LINES);
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
    this.#timer = setTimeout(() => socket.close(), CONNECT_TIMEOUT_MS);
    this.#handlers.onState({ kind: "connecting", isRetry: this.#failures > 0 });
  }

  /** Ends the connection and all attempts without calling the handlers. */
  close() {
    this.#question?.abort();
    this.#question = null;
    this.#drop();
  }

  #drop() {
    clearTimeout(this.#timer);
    clearInterval(this.#silenceCheck);
    this.#isWaiting = false;
    this.#openedAt = null;
    if (this.#socket === null) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  /** Ends a wait early, for when the network is known to be back. */
  hurry() {
    if (this.#isWaiting) this.open();
  }

  /** Returns whether the text was accepted for sending. */
  send(text) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > BUFFERED_BYTES_MAX) return false;
    socket.send(text);
    return true;
  }

  /** A heartbeat is asked for because a browser shows no pings. */
  #address() {
    const url = new URL(this.#url);
    url.searchParams.set("heartbeat", "on");
    url.searchParams.set("history", HISTORY_LINES);
    if (this.#epoch !== null) url.searchParams.set("since", `${this.#epoch}:${this.#offset}`);
    return url;
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#question?.abort();
    this.#question = null;
    this.#reason = "";
    this.#openedAt = this.#lastSign = performance.now();
    this.#silenceMax = Infinity;
    this.#silenceCheck = setInterval(() => this.#checkSilence(), SILENCE_CHECK_MS);
    const isReturn = this.#wasEverOpen;
    this.#wasEverOpen = true;
    this.#handlers.onState({ kind: "connected", isReturn });
    // A hub of an earlier version tells no positions.
    if (this.#socket.protocol !== NUMBERED_LINES) this.#started([, undefined, undefined, "0"]);
  }

  #received(data) {
    this.#lastSign = performance.now();
    if (typeof data !== "string") return;
    for (const line of data.split("\n")) {
      if (line.startsWith(NOTICE)) this.#noticed(line.slice(NOTICE.length));
      else this.#read(line);
    }
  }

  #noticed(text) {
    const seconds = SIGN_OF_LIFE.exec(text)?.[1];
    const position = POSITION.exec(text);
    const here = OCCUPANCY.exec(text)?.[1];
    if (seconds !== undefined) this.#silenceMax = Number(seconds) * 1_000 + LATENESS_MAX_MS;
    else if (position !== null) this.#started(position);
    else if (here !== undefined) this.#handlers.onOccupancy(Number(here));
    else if (!PRESENCE.test(text)) this.#handlers.onNotice(text);
  }

  #started([, epoch, offset, lines, outcome]) {
    this.#pastLeft = Number(lines);
    // Lines that follow count up to the offset; without any it is where this page stands.
    this.#epoch = epoch ?? null;
    this.#offset = Number(offset ?? 0) - this.#pastLeft;
    this.#handlers.onStart({ hasHistory: epoch !== undefined, isRecovered: outcome === "recovered" });
    if (this.#pastLeft === 0) this.#handlers.onCaughtUp();
  }

  /** Counts a line whose number the hub tells, and hands it on. */
  #read(line) {
    const numbered = NUMBERED.exec(line);
    if (this.#socket.protocol !== NUMBERED_LINES || numbered === null) return this.#handlers.onLine(line, new Date());
    this.#offset = Number(numbered[1]);
    this.#handlers.onLine(line.slice(numbered[0].length), new Date(Number(numbered[2])));
    if (this.#pastLeft > 0 && --this.#pastLeft === 0) this.#handlers.onCaughtUp();
  }

  /** A line that is cut without a word stays open for the browser, which shows pings to no page. */
  #checkSilence() {
    if (performance.now() - this.#lastSign > this.#silenceMax) this.#closed(1006, "");
  }

  #closed(code, reason) {
    const wasOpen = this.#openedAt !== null;
    if (wasOpen && performance.now() - this.#openedAt >= STABLE_MS) this.#failures = 0;
    this.#drop();
    if (code >= 4500 && code <= 4999) {
      this.#handlers.onState({ kind: "refused", wasOpen, code, reason });
      return;
    }
    const wait = Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#isWaiting = true;
    this.#timer = setTimeout(() => this.open(), wait);
    // A browser that is offline may still reach a hub on the same machine, so the wait is the same.
    const kind = navigator.onLine ? "waiting" : "offline";
    this.#handlers.onState({ kind, until: Date.now() + wait, wasOpen, code, reason });
    if (!wasOpen && this.#question === null && this.#failures % FAILURES_PER_QUESTION === 1) this.#askWhy();
  }

  /** Asks why the handshake failed. No answer is none: then the hub is away. */
  async #askWhy() {
    const question = new AbortController();
    this.#question = question;
    const url = this.#address();
    url.protocol = url.protocol === "wss:" ? "https:" : "http:";
    // It takes a subprotocol, which only a handshake has.
    url.searchParams.delete("since");
    try {
      const signal = AbortSignal.any([question.signal, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]);
      const response = await fetch(url, { cache: "no-store", signal });
      const text = (await response.text()).trim().slice(0, REASON_LENGTH_MAX);
      if (this.#question === question) this.#refused(response.status, text);
    } catch {
      // The next question may have an answer.
    } finally {
      if (this.#question === question) this.#question = null;
    }
  }

  #refused(status, reason) {
    if (FINAL_STATUSES.includes(status)) {
      this.close();
      this.#handlers.onState({ kind: "refused", wasOpen: false, code: status, reason });
    } else if (PASSING_STATUSES.includes(status) && reason !== this.#reason) {
      this.#reason = reason;
      this.#handlers.onNotice(`Not connected yet: ${reason}`);
    }
  }
}
