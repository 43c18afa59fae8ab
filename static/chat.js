/**
 * A chat page: one channel, its log, and a line to write in.
 *
 * What arrives is shown with `textContent` and nothing else, so markup stays text. The log is bounded and drawn once per
 * frame, so a flood costs the tab its oldest lines and not its life. What is typed leaves the field only once sent.
 */

import { Connection } from "./connection.js";

const CHANNEL_DEFAULT = "lobby";
/** What the hub accepts as a channel's name. */
const CHANNEL_NAME = /^[A-Za-z0-9_.:#$@-]{1,255}$/;
/** Control characters, and those that turn the direction of the text around them. */
const NAME_FORBIDDEN = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/u;
const NAME_CHARACTERS_MAX = 32;
/** The hub takes messages of less than 64 KiB, counted in UTF-8. */
const MESSAGE_BYTES_MAX = 64 * 1024 - 1;
/** Lines kept: several screens of reading, little enough to lay out within a frame. */
const LOG_LINES_MAX = 2_000;
/** Characters kept, so that long lines can not do what many lines can not. */
const LOG_CHARACTERS_MAX = 1_000_000;
/** Sent lines waited for; past it the oldest are no longer recognised as our own. */
const UNCONFIRMED_MAX = 200;
/** Distance from the end, in pixels, that still counts as reading the newest line. */
const BOTTOM_SLACK = 4;
/** Number of author colours in the style sheet. */
const AUTHOR_COLOURS = 6;

const $ = (id) => document.getElementById(id);
const [log, jump, welcome] = [$("log"), $("jump"), $("welcome")];
const [channelField, channelError] = [$("channel"), $("channel-error")];
const [nameField, messageField, sendButton, hint] = [$("name"), $("message"), $("send"), $("hint")];
const [status, stateText, countdown, retry] = [$("status"), $("state"), $("countdown"), $("retry")];
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

let channel = null;
let connection = null;
let state = { kind: "idle" };
/** What was sent and has not come back: the hub echoes every line to its sender. */
let unconfirmed = [];

// The log.

let queue = [];
let queueCharacters = 0;
let shownCharacters = 0;
let isFrameRequested = false;
let isFollowing = true;
let unread = 0;

/** Queues a line for the next frame. A hidden tab has no frames, so the queue has the same bounds as the log. */
function enqueue(line) {
  queue.push({ ...line, at: new Date() });
  queueCharacters += line.text.length;
  while (queue.length > LOG_LINES_MAX || queueCharacters > LOG_CHARACTERS_MAX) {
    queueCharacters -= queue.shift().text.length;
  }
  if (isFrameRequested) return;
  isFrameRequested = true;
  requestAnimationFrame(draw);
}

function notice(text, tone = "") {
  enqueue({ text, classes: `notice ${tone}` });
}

function draw() {
  isFrameRequested = false;
  const batch = document.createDocumentFragment();
  for (const line of queue) {
    const element = render(line);
    shownCharacters += element.textContent.length;
    batch.append(element);
    unread += line.isChat ? 1 : 0;
    welcome.hidden ||= Boolean(line.isChat);
  }
  queue = [];
  queueCharacters = 0;
  log.append(batch);
  trim();
  if (isFollowing) scrollToEnd();
  showUnread();
}

/** Drops the oldest lines beyond the bounds without moving what is being read. */
function trim() {
  const heightBefore = isFollowing ? 0 : log.scrollHeight;
  while (log.childElementCount - 1 > LOG_LINES_MAX || shownCharacters > LOG_CHARACTERS_MAX) {
    const oldest = welcome.nextElementSibling;
    shownCharacters -= oldest.textContent.length;
    oldest.remove();
  }
  if (!isFollowing) log.scrollTop -= heightBefore - log.scrollHeight;
}

function render({ text, at, classes }) {
  const element = document.createElement("div");
  element.className = classes;
  const time = document.createElement("time");
  time.dateTime = at.toISOString();
  time.textContent = clock.format(at);
  const body = document.createElement("p");
  body.dir = "auto";
  const author = classes.startsWith("notice") ? null : /^([^:]{1,64}): /su.exec(text)?.[1];
  if (author) {
    const name = document.createElement("bdi");
    name.className = `author colour-${colourOf(author)}`;
    name.textContent = author;
    body.append(name, text.slice(author.length));
  } else {
    body.textContent = text;
  }
  element.append(time, body);
  return element;
}

function colourOf(author) {
  let hash = 0;
  for (const character of author) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return hash % AUTHOR_COLOURS;
}

function scrollToEnd() {
  isFollowing = true;
  log.scrollTop = log.scrollHeight;
}

function showUnread() {
  if (isFollowing) unread = 0;
  jump.hidden = unread === 0;
  jump.textContent = `${unread} new ${unread === 1 ? "message" : "messages"} ↓`;
}

function clearLog() {
  queue = [];
  queueCharacters = shownCharacters = unread = 0;
  welcome.hidden = false;
  log.replaceChildren(welcome);
  scrollToEnd();
  showUnread();
}

// The channel.

function channelFromUrl() {
  return new URLSearchParams(location.search).get("channel") || CHANNEL_DEFAULT;
}

/** Returns the address of the socket beside this page, whatever path a proxy serves it under. */
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

/** Joins a channel and returns true, or says what is wrong with its name. */
function join(name) {
  if (!CHANNEL_NAME.test(name)) {
    showChannelError("A channel name has 1 to 255 of: letters A–Z and a–z, digits, and _ . : # $ @ -");
    return false;
  }
  showChannelError("");
  channelField.value = name;
  if (name === channel) return true;
  connection?.close();
  channel = name;
  unconfirmed = [];
  clearLog();
  document.title = `#${name} · throng`;
  messageField.placeholder = `Message #${name}`;
  connection = new Connection(socketUrl(name), { onState: showState, onText: receive });
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
  retry.hidden = !["waiting", "offline", "refused"].includes(next.kind);
  showCountdown();
  announce(next);
  showHint();
}

/** The wait is not part of the live region's text: a screen reader would read out every second. */
function showCountdown() {
  const seconds = Math.max(1, Math.ceil((state.until - Date.now()) / 1_000));
  countdown.textContent = state.until === undefined ? "" : `in ${seconds} s`;
}

/** Writes to the log what a reader of the log has to know: where lines may be missing, and why. */
function announce({ kind, isReturn, wasOpen, code, reason }) {
  // 1005 and 1006 are the browser's own way to say that there was no close frame with a code.
  const why = code === undefined || code === 1005 || code === 1006 ? "" : ` (${`${code} ${reason}`.trim()})`;
  if (isReturn) notice("Reconnected; messages in between were missed.", "good");
  if (kind === "refused") notice(`Disconnected${why}. The hub asked not to reconnect.`, "bad");
  if (kind !== "waiting" && kind !== "offline") return;
  if (wasOpen) notice(`Connection lost${why}. Reconnecting…`, "bad");
  if (wasOpen) giveBackUnconfirmed();
}

/** Says how many lines may be lost, and puts the last of them back to be sent again. */
function giveBackUnconfirmed() {
  if (unconfirmed.length === 0) return;
  const isPutBack = messageField.value === "";
  if (isPutBack) messageField.value = unconfirmed.at(-1).text;
  const what = unconfirmed.length === 1 ? "Your last message" : `Your last ${unconfirmed.length} messages`;
  notice(`${what} may not have arrived.${isPutBack ? " The last one is back in the field." : ""}`, "bad");
  unconfirmed = [];
}

/** Splits a coalesced message; blank lines, which the hub passes on, would only be gaps in the log. */
function receive(data) {
  if (typeof data !== "string") return;
  for (const text of data.split("\n")) {
    if (text.trim() === "") continue;
    enqueue({ text, isChat: true, classes: isOwn(text) ? "line own" : "line" });
  }
}

function isOwn(line) {
  const at = unconfirmed.findIndex((sent) => sent.line === line);
  // Lines of one sender stay in order, so what was sent before this one and is not back was dropped.
  if (at >= 0) unconfirmed.splice(0, at + 1);
  return at >= 0;
}

// The line to write in.

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
  // UTF-16 never needs more than three bytes of UTF-8 a unit: most lines need no counting.
  if (line.length * 3 <= MESSAGE_BYTES_MAX) return "";
  const excess = new TextEncoder().encode(line).length - MESSAGE_BYTES_MAX;
  return excess > 0 ? `The message is ${excess.toLocaleString("en")} bytes too long; the limit is 64 KiB.` : "";
}

/** Shows why sending is impossible, if it is; the button stays focusable so that the reason can be read there. */
function showHint() {
  const [wrongName, wrongMessage] = [nameProblem(), messageProblem()];
  const away = state.kind === "connected" ? "" : "Not connected: what you write stays here until you can send it.";
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
  if (wrongNameIsFocused() || showHint() !== "") return;
  const [line, text] = [composedLine(), messageField.value.trim()];
  messageField.focus();
  if (text === "") return;
  if (!connection.send(line)) {
    hint.textContent = "The connection is too slow right now: try again in a moment.";
    return;
  }
  unconfirmed = [...unconfirmed, { line, text }].slice(-UNCONFIRMED_MAX);
  messageField.value = "";
  scrollToEnd();
  showUnread();
}

/** Enter in the name field means "that is my name", not "send". */
function wrongNameIsFocused() {
  if (document.activeElement !== nameField) return false;
  if (nameProblem() === "") messageField.focus();
  return true;
}

/** Storage may be switched off; then the name lasts as long as the page. */
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
messageField.addEventListener("input", showHint);
retry.addEventListener("click", () => connection.open());
jump.addEventListener("click", () => {
  scrollToEnd();
  showUnread();
  log.focus({ preventScroll: true });
});
log.addEventListener("scroll", () => {
  isFollowing = log.scrollHeight - log.clientHeight - log.scrollTop <= BOTTOM_SLACK;
  if (isFollowing) showUnread();
}, { passive: true });
// A phone's keyboard shrinks the log: the newest line stays in sight.
new ResizeObserver(() => isFollowing && scrollToEnd()).observe(log);
addEventListener("popstate", joinFromUrl);
addEventListener("online", () => connection?.hurry());
setInterval(showCountdown, 1_000);

recallName();
joinFromUrl();
