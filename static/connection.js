/**
 * A connection: one channel of the hub, held open across losses.
 *
 * A loss is followed by another attempt after a random wait, so that the clients of a hub that restarted do not all
 * come back in the same instant. A close code from 4500 to 4999 says "do not come back": then only `open` tries again.
 *
 * `onState` gets one of
 * - `{ kind: "connecting", isRetry }`: `isRetry` if the attempt before it failed or was lost
 * - `{ kind: "connected", isReturn }`: `isReturn` if an earlier connection was lost
 * - `{ kind: "waiting" | "offline", until, wasOpen, code, reason }`: the next attempt is at `until`, ms of `Date.now()`
 * - `{ kind: "refused", wasOpen, code, reason }`
 */

/** Upper edge of the first wait: short enough to go unnoticed, wide enough to spread a room full of clients. */
const BACKOFF_BASE_MS = 500;
/** Upper edge of any wait: nobody should have to look for a button after half a minute. */
const BACKOFF_MAX_MS = 30_000;
/** A connection that lived this long starts the back-off anew; a shorter one may be a hub that fails under load. */
const STABLE_MS = 5_000;
/** A handshake without an answer; browsers alone would wait for minutes. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Unsent bytes in the browser; beyond them the line is stalled and more text would only pile up. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

export class Connection {
  #url;
  #handlers;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #openedAt = null;
  #wasEverOpen = false;
  #isWaiting = false;

  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
  }

  /** Connects now, whatever was going on before. */
  open() {
    this.close();
    const socket = new WebSocket(this.#url);
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#handlers.onText(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
    this.#timer = setTimeout(() => socket.close(), CONNECT_TIMEOUT_MS);
    this.#handlers.onState({ kind: "connecting", isRetry: this.#failures > 0 });
  }

  /** Ends the connection and all attempts, without a word to the handlers. */
  close() {
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    this.#openedAt = null;
    if (this.#socket === null) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  /** Cuts a wait short, for when the network is known to be back. */
  hurry() {
    if (this.#isWaiting) this.open();
  }

  /** Returns whether the text was taken; what is refused stays with the caller. */
  send(text) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > BUFFERED_BYTES_MAX) return false;
    socket.send(text);
    return true;
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedAt = performance.now();
    const isReturn = this.#wasEverOpen;
    this.#wasEverOpen = true;
    this.#handlers.onState({ kind: "connected", isReturn });
  }

  #closed(code, reason) {
    const wasOpen = this.#openedAt !== null;
    if (wasOpen && performance.now() - this.#openedAt >= STABLE_MS) this.#failures = 0;
    this.close();
    if (code >= 4500 && code <= 4999) {
      this.#handlers.onState({ kind: "refused", wasOpen, code, reason });
      return;
    }
    const wait = Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#isWaiting = true;
    this.#timer = setTimeout(() => this.open(), wait);
    // A browser without a network may still reach a hub on this machine, so being offline shortens nothing.
    const kind = navigator.onLine ? "waiting" : "offline";
    this.#handlers.onState({ kind, until: Date.now() + wait, wasOpen, code, reason });
  }
}
