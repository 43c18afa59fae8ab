/** Writes a picture of the page for each of dark and light, narrow and wide: `node screenshots.mjs [directory]`. */

import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Chat, Hub, launchBrowser } from "./harness.mjs";

const SIZES = { narrow: { width: 360, height: 720 }, wide: { width: 1200, height: 760 } };
const TALK = [
  ["Ann", "Morning! Is the new hub up?"],
  ["Bo", "It is, since six, and it has not missed a message."],
  ["Ann", "What happens to a client on a train?"],
  ["Čeněk", "It gets a code and a reason, not silence: 4008 slow consumer. The others do not notice."],
  ["", "a line without a name"],
  ["نور", "مرحبا بالجميع"],
  ["Bo", "https://example.org/a/rather/long/address/that/has/to/break/somewhere?because=it&is=longer-than-the-screen"],
];

const directory = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "throng-pages-")));
await mkdir(directory, { recursive: true });
// Each variant begins with an empty channel.
const hub = new Hub({ flags: ["--history-size", "0"] });
const [browser] = await Promise.all([launchBrowser(), hub.start()]);

/** Plays one scene in every variant; `name` of the file says which. */
async function shoot(scene, play) {
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const context = await browser.newContext({ colorScheme, viewport, deviceScaleFactor: 2 });
      await play(context, (chat) =>
        chat.page.screenshot({ path: join(directory, `${scene}-${colorScheme}-${size}.png`), animations: "disabled" }),
      );
      await context.close();
    }
  }
}

async function speak(chat, [name, text]) {
  await chat.$("#name").fill(name);
  await chat.say(text);
  await chat.hears(name === "" ? text : `${name}: ${text}`);
}

await shoot("welcome", async (context, snap) => snap(await Chat.open(context, hub.url)));

await shoot("talk", async (context, snap) => {
  const [ann, others] = [await Chat.open(context, hub.url), await Chat.open(context, hub.url)];
  for (const line of TALK) await speak(line[0] === "Ann" ? ann : others, line);
  await ann.$("#name").fill("Ann");
  await ann.$("#message").fill("Let us try to break it.");
  await ann.$("#occupancy", { hasText: "2 here" }).waitFor();
  await ann.page.bringToFront();
  await snap(ann);
});

await shoot("restart", async (context, snap) => {
  const ann = await Chat.open(context, hub.url);
  for (const line of TALK) await speak(ann, line);
  await hub.stop();
  await ann.state("waiting");
  await ann.$("#message").fill("typed while away");
  await ann.$("#channel").fill("not a name");
  await ann.$("#channel").press("Enter");
  await ann.notice("Connection lost");
  await snap(ann);
  await hub.start();
});

await shoot("refused", async (context, snap) => {
  const ann = await Chat.open(context, hub.url, { channel: "nowhere:demo", waitUntilConnected: false });
  await ann.state("refused");
  await ann.notice("Not connected");
  await snap(ann);
});

await browser.close();
await hub.stop();
console.log(directory);
