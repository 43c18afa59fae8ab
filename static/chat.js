/**
 * The chat page: one channel, its log, and a field to write in.
 *
 * The channel comes from the page's own address (`?channel=name`). Typed text stays in the field until it is sent, and
 * lines that the hub does not send back are reported as possibly lost.
 */

import { Connection } from "./connection.js";
import { Log } from "./log.js";

const CHANNEL_DEFAULT = "lobby";
/** The channel names that the hub accepts. */
const CHANNEL_NAME = /^[A-Za-z0-9_.:,#$@-]{1,255}$/;
/** Control characters, and characters that change the direction of the text around them. */
const NAME_FORBIDDEN = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/u;
const NAME_CHARACTERS_MAX = 32;
/** In UTF-8; one byte less than the hub's default limit, `message_bytes_max`. */
const MESSAGE_BYTES_MAX = 64 * 1024 - 1;
/** Sent lines to wait for; beyond it the oldest are no longer recognised as our own. */
const UNCONFIRMED_MAX = 200;

const $ = (id) => document.getElementById(id);
const [channelField, channelError] = [$("channel"), $("channel-error")];
const [nameField, messageField, sendButton, hint] = [$("name"), $("message"), $("send"), $("hint")];
const [status, stateText, countdown, retry] = [$("status"), $("state"), $("countdown"), $("retry")];
const occupancy = $("occupancy");
const log = new Log({ element: $("log"), welcome: $("welcome"), jump: $("jump") });

let channel = null;
let connection = null;
let state = { kind: "idle" };
/** Lines that were sent and have not come back yet: the hub sends every line back to its sender. */
let unconfirmed = [];

// The channel.

function channelFromUrl() {
  return new URLSearchParams(location.search).get("channel") || CHANNEL_DEFAULT;
}

/** Returns the address of the socket next to this page, whatever path a proxy serves the page under. */
function socketUrl(name) {
  const url = new URL("ws", location.origin + location.pathname);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("channel", name);
  return url;
}

function showChannelError(text) {
  channelError.textContent = text;
  channelError.hidden = text === "";
  channelField.setAttribute("aria-invalid", String(text !== ""));
}

/** Joins a channel and returns true, or shows what is wrong with its name and returns false. */
function join(name) {
  if (!CHANNEL_NAME.test(name)) {
    showChannelError("A channel name has 1 to 255 characters: letters a to z, digits, and _ . : , # $ @ -");
    return false;
  }
  showChannelError("");
  channelField.value = name;
  if (name === channel) return true;
  connection?.close();
  channel = name;
  unconfirmed = [];
  log.clear();
  document.title = `#${name} · throng`;
  messageField.placeholder = `Message #${name}`;
  connection = new Connection(socketUrl(name), {
    onState: showState,
    onStart: announceReturn,
    onCaughtUp: giveBackUnconfirmed,
    onLine: receive,
    onOccupancy: showOccupancy,
    onNotice: (text) => log.addNotice(text, "bad"),
  });
  connection.open();
  return true;
}

function joinFromField(event) {
  event.preventDefault();
  const name = channelField.value.trim();
  const isNew = name !== channel;
  if (!join(name)) return channelField.focus();
  if (isNew) history.pushState(null, "", `?${new URLSearchParams({ channel: name })}`);
  messageField.focus();
}

function joinFromUrl() {
  const name = channelFromUrl();
  channelField.value = name;
  if (!join(name) && channel === null) showState({ kind: "idle" });
}

// The connection.

const STATE_TEXT = {
  idle: "Not connected",
  connecting: "Connecting",
  connected: "Connected",
  waiting: "Reconnecting",
  offline: "Offline, retrying",
  refused: "Disconnected",
};

function showState(next) {
  state = next;
  status.dataset.state = next.kind;
  stateText.textContent = STATE_TEXT[next.kind];
  if (next.kind !== "connected") showOccupancy(null);
  retry.hidden = !["waiting", "offline", "refused"].includes(next.kind);
  showCountdown();
  announce(next);
  showHint();
}

/** Shows how many are in the channel, or nothing while that is not known. */
function showOccupancy(count) {
  occupancy.textContent = count === null ? "" : `${count.toLocaleString("en")} here`;
}

/** The countdown is not part of the live region: a screen reader would read out every second. */
function showCountdown() {
  const seconds = Math.max(1, Math.ceil((state.until - Date.now()) / 1_000));
  countdown.textContent = state.until === undefined ? "" : `in ${seconds} s`;
}

/** Adds a notice to the log where lines may be missing, with the reason. */
function announce({ kind, wasOpen, code, reason }) {
  // With 1005 and 1006 the browser itself reports that there was no close frame, or none with a code.
  const why = code === undefined || code === 1005 || code === 1006 ? "" : ` (${`${code} ${reason}`.trim()})`;
  // Codes of a close begin at 1000; below are the statuses of a handshake that was refused.
  if (kind === "refused" && code < 1000) log.addNotice(`Not connected: ${reason}`, "bad");
  else if (kind === "refused") log.addNotice(`Disconnected${why}. The hub asked not to reconnect.`, "bad");
  else if (wasOpen) log.addNotice(`Connection lost${why}. Reconnecting…`, "bad");
  if (kind === "refused") giveBackUnconfirmed();
}

/** Says after a reconnect whether lines are missing. */
function announceReturn({ hasHistory, isRecovered }) {
  if (!state.isReturn) return;
  if (isRecovered) log.addNotice("Reconnected. Nothing was missed.", "good");
  else if (hasHistory) log.addNotice("Reconnected. Messages sent while disconnected may be missing.", "bad");
  else log.addNotice("Reconnected. Messages sent while disconnected are not shown.", "bad");
}

/** Reports how many lines may be lost, and puts the last one back into the field. */
function giveBackUnconfirmed() {
  if (unconfirmed.length === 0) return;
  const isPutBack = messageField.value === "";
  if (isPutBack) messageField.value = unconfirmed.at(-1).text;
  const what = unconfirmed.length === 1 ? "Your last message" : `Your last ${unconfirmed.length} messages`;
  log.addNotice(`${what} may not have arrived.${isPutBack ? " The last one is back in the field." : ""}`, "bad");
  unconfirmed = [];
}

/** Shows a line; blank ones, which the hub passes on, would only be gaps in the log. */
function receive(text, at) {
  if (text.trim() !== "") log.addLine(text, { isOwn: isOwn(text), at });
}

function isOwn(line) {
  const at = unconfirmed.findIndex((sent) => sent.line === line);
  // Lines of one sender keep their order, so earlier ones that have not come back were dropped.
  if (at >= 0) unconfirmed.splice(0, at + 1);
  return at >= 0;
}

// The field to write in.

function nameProblem() {
  const name = nameField.value.trim();
  if ([...name].length > NAME_CHARACTERS_MAX) return `A name has at most ${NAME_CHARACTERS_MAX} characters.`;
  return NAME_FORBIDDEN.test(name) ? "A name has no control or direction characters." : "";
}

function composedLine() {
  const [name, text] = [nameField.value.trim(), messageField.value.trim()];
  return name === "" ? text : `${name}: ${text}`;
}

function messageProblem() {
  const line = composedLine();
  // A UTF-16 unit takes at most three bytes of UTF-8, so most lines need no counting.
  if (line.length * 3 <= MESSAGE_BYTES_MAX) return "";
  const excess = new TextEncoder().encode(line).length - MESSAGE_BYTES_MAX;
  if (excess <= 0) return "";
  const bytes = excess === 1 ? "1 byte" : `${excess.toLocaleString("en")} bytes`;
  return `The message is ${bytes} too long: the limit is 64 KiB.`;
}

/** Shows why a line cannot be sent, if so. The button stays focusable so that screen readers can read the reason. */
function showHint() {
  const [wrongName, wrongMessage] = [nameProblem(), messageProblem()];
  // The first connection is usually there at once: a hint would only flash.
  const isAway = state.kind !== "connected" && !(state.kind === "connecting" && !state.isRetry);
  const away = isAway ? "Not connected. Your text stays here until you can send it." : "";
  nameField.setAttribute("aria-invalid", String(wrongName !== ""));
  messageField.setAttribute("aria-invalid", String(wrongMessage !== ""));
  const problem = wrongName || wrongMessage || away;
  hint.textContent = problem;
  hint.className = wrongName || wrongMessage ? "error" : "";
  sendButton.setAttribute("aria-disabled", String(problem !== ""));
  return problem;
}

function sendFromField(event) {
  event.preventDefault();
  if (showHint() !== "") return;
  const [line, text] = [composedLine(), messageField.value.trim()];
  messageField.focus();
  if (text === "") return;
  if (!connection.send(line)) {
    hint.textContent = "Not sent, the connection is not ready: try again in a moment.";
    return;
  }
  unconfirmed = [...unconfirmed, { line, text }].slice(-UNCONFIRMED_MAX);
  messageField.value = "";
  log.follow();
}

/** Enter in the name field moves on to the message and sends nothing. */
function nameEntered(event) {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  messageField.focus();
}

/** Storage may be disabled; then the name is kept as long as the page is open. */
function rememberName() {
  showHint();
  if (nameProblem() !== "") return;
  try {
    localStorage.setItem("throng.name", nameField.value.trim());
  } catch {}
}

function recallName() {
  try {
    nameField.value = localStorage.getItem("throng.name") ?? "";
  } catch {}
}

$("channel-form").addEventListener("submit", joinFromField);
$("message-form").addEventListener("submit", sendFromField);
channelField.addEventListener("input", () => showChannelError(""));
channelField.addEventListener("keydown", ({ key }) => key === "Escape" && join(channel ?? CHANNEL_DEFAULT));
nameField.addEventListener("input", rememberName);
nameField.addEventListener("keydown", nameEntered);
messageField.addEventListener("input", showHint);
retry.addEventListener("click", () => {
  messageField.focus();
  connection.open();
});
addEventListener("popstate", joinFromUrl);
addEventListener("online", () => connection?.hurry());
setInterval(showCountdown, 1_000);

recallName();
joinFromUrl();
