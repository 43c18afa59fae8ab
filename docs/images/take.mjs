/**
 * Takes the pictures of the documents with Chromium: the chat page (`docs/images/chat.png`) and, with `report`, a
 * report of the load generator (`loadtest/report.png`), whose figures deserve a quiet machine.
 *
 *     cargo build --release -p throng -p loadtest
 *     npm ci --prefix tests/browser
 *     node docs/images/take.mjs [chat] [report]
 */

import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { Chat, Hub, launchBrowser } from "../../tests/browser/harness.mjs";

/** Larger pictures make the repository and the README slow to load. */
const BYTES_MAX = 150_000;
const CHANNEL = "garden";
const TALK = [
  ["Ann", "Morning! Is the new hub up?"],
  ["Bo", "Since six. Open this page in a second window and say hello."],
  ["Ann", "What happens to a client that stops reading?"],
  ["Čeněk", "It is closed with 4008 and a reason. The others do not notice."],
  ["نور", "مرحبا بالجميع"],
  ["Bo", "And throng top shows which client is slow, and whether the network is."],
];

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const binary = (name) => join(root, "target/release", name);
const wanted = process.argv.length > 2 ? process.argv.slice(2) : ["chat"];
const pictures = { chat: takeChat, report: takeReport };

async function takeChat(browser) {
  const hub = new Hub({ binary: binary("throng") });
  await hub.start();
  const viewport = { width: 900, height: 420 };
  const context = await browser.newContext({ colorScheme: "light", viewport, deviceScaleFactor: 1.5 });
  const open = () => Chat.open(context, hub.url, { channel: CHANNEL });
  const [ann, others] = [await open(), await open()];
  for (const [name, text] of TALK) {
    const chat = name === "Ann" ? ann : others;
    await chat.$("#name").fill(name);
    await chat.say(text);
    await ann.hears(`${name}: ${text}`);
  }
  await ann.$("#name").fill("Ann");
  await ann.$("#message").fill("Let us try it.");
  await ann.page.bringToFront();
  await snap(ann.page, "docs/images/chat.png");
  await context.close();
  await hub.stop();
}

async function takeReport(browser) {
  const hub = new Hub({ binary: binary("throng") });
  await hub.start();
  const directory = await mkdtemp(join(tmpdir(), "throng-report-"));
  const html = join(directory, "report.html");
  const url = `${hub.url.replace("http:", "ws:")}ws`;
  const load = ["--clients", "5000", "--rate", "8", "--size", "200", "--duration", "8s"];
  await promisify(execFile)(binary("loadtest"), ["fanout", "--url", url, ...load, "--quiet", "--html", html]);
  await hub.stop();
  const context = await browser.newContext({ colorScheme: "light", viewport: { width: 1200, height: 1000 } });
  const page = await context.newPage();
  await page.goto(pathToFileURL(html).href);
  await snap(page, "loadtest/report.png");
  await context.close();
  await rm(directory, { recursive: true });
}

async function snap(page, file) {
  const path = join(root, file);
  await page.screenshot({ path, animations: "disabled" });
  const { size } = await stat(path);
  console.log(`${file}: ${size} bytes`);
  if (size > BYTES_MAX) throw new Error(`${file} has more than ${BYTES_MAX} bytes`);
}

const browser = await launchBrowser();
try {
  for (const name of wanted) await pictures[name](browser);
} finally {
  await browser.close();
}
