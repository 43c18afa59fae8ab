/**
 * A line of the log as an element: its time, its author, its text with links, folded if it is long.
 *
 * Text reaches the document through `textContent` and `append` only, so markup stays text.
 */

/** Characters that are shown of a long line until it is unfolded: half a phone's screen. */
const FOLDED_CHARACTERS = 600;
/** The page's own way to write a name. The chat protocol has no names, so it proves nothing. */
const AUTHOR = /^([^:]{1,32}): /u;
/** An address in a text; what ends a sentence around it is not part of it. */
const LINK = /\bhttps?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}]/gu;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** Returns the element of a line; `hueOf` gives the colour of an author's name. */
export function renderLine({ text, at, isChat, classes }, hueOf) {
  const element = document.createElement("div");
  element.className = classes;
  const time = document.createElement("time");
  time.dateTime = at.toISOString();
  time.textContent = clock.format(at);
  const body = document.createElement("p");
  body.dir = "auto";
  const author = isChat ? AUTHOR.exec(text)?.[1] : undefined;
  if (author !== undefined) body.append(renderAuthor(author, hueOf(author)));
  appendText(body, text.slice(author?.length ?? 0));
  element.append(time, body);
  return element;
}

/** Returns the element that says which day begins. */
export function renderDay(at) {
  const element = document.createElement("div");
  element.className = "day";
  const body = document.createElement("p");
  body.textContent = calendar.format(at);
  element.append(body);
  return element;
}

function renderAuthor(author, hue) {
  const name = document.createElement("bdi");
  name.className = "author";
  name.style.setProperty("--hue", hue);
  name.textContent = author;
  return name;
}

/** A long text shows its beginning, and the rest on request: a line of 64 KiB would fill a hundred phone screens. */
function appendText(body, text) {
  if (text.length <= FOLDED_CHARACTERS * 1.5) return appendLinked(body, text);
  appendLinked(body, text.slice(0, FOLDED_CHARACTERS));
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  more.textContent = `… show ${(text.length - FOLDED_CHARACTERS).toLocaleString("en")} more characters`;
  more.addEventListener("click", () => {
    more.remove();
    // From the start: an address may lie across the fold.
    const author = body.querySelector(".author");
    body.replaceChildren(...(author === null ? [] : [author]));
    appendLinked(body, text);
  });
  body.append(more);
}

function appendLinked(body, text) {
  let end = 0;
  for (const { 0: address, index } of text.matchAll(LINK)) {
    if (!URL.canParse(address)) continue;
    const link = document.createElement("a");
    link.href = address;
    link.target = "_blank";
    // A page that is opened learns nothing of this one and cannot reach it.
    link.rel = "noopener noreferrer nofollow";
    link.textContent = address;
    body.append(text.slice(end, index), link);
    end = index + address.length;
  }
  body.append(text.slice(end));
}
