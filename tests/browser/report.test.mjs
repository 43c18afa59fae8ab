/**
 * Does a report of the load generator, opened as a file, show what it should, in dark and light, narrow and wide? The names of the tests are
 * the claims.
 *
 * The pages are those in the folder that REPORT_PAGES names. Without it LOADTEST_BIN makes some, of short runs against
 * the hub that THRONG_BIN names.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { Hub, STATE_TIMEOUT, launchBrowser } from "./harness.mjs";

const SIZES = [
  { width: 360, height: 740 },
  { width: 1400, height: 900 },
];

/** Pages that are open at once: for most of its time each waits for another process. */
const OPEN_MAX = 4;

let browser;
let directory = process.env.REPORT_PAGES;
let made = null;
let pages = [];

/** Makes a page of a run, of a second run, and of both. */
async function make() {
  assert.ok(process.env.LOADTEST_BIN, "REPORT_PAGES names a folder of pages, or LOADTEST_BIN the binary that makes them");
  made = await mkdtemp(join(tmpdir(), "throng-reports-"));
  const loadtest = (...args) => promisify(execFile)(process.env.LOADTEST_BIN, args);
  const at = (name) => join(made, name);
  const hub = new Hub();
  await hub.start();
  try {
    const url = `${hub.url.replace("http:", "ws:").replace(/\/$/, "")}/ws`;
    // Other steps run at the same time, so that the generator may have to wait for a core: that is not judged here.
    const load = ["--clients", "20", "--rate", "20", "--duration", "3s", "--warmup", "1s", "--generator-waiting-max", "1"];
    for (const name of ["first", "second"]) {
      await loadtest("fanout", "--url", url, ...load, "--json", at(`${name}.json`), "--html", at(`${name}.html`));
    }
    await loadtest("report", at("first.json"), at("second.json"), "--html", at("both.html"));
  } finally {
    await hub.stop();
  }
  return made;
}

before(async () => {
  directory ??= await make();
  pages = (await readdir(directory)).filter((name) => name.endsWith(".html"));
  assert.notEqual(pages.length, 0, `${directory} holds pages`);
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  if (made !== null) await rm(made, { recursive: true });
});

/** Opens each page in both colour schemes and sizes, and hands it to `check` with all that it complained of or asked for. */
async function everyPage(check, variants = SIZES.flatMap((size) => [["light", size], ["dark", size]])) {
  for (const [colorScheme, viewport] of variants) {
    const context = await browser.newContext({ colorScheme, viewport });
    context.setDefaultTimeout(STATE_TIMEOUT);
    const left = [...pages];
    const checkTheRest = async () => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        await checkPage(context, name, `${name}, ${colorScheme}, ${viewport.width} px`, check);
      }
    };
    await Promise.all(Array.from({ length: OPEN_MAX }, checkTheRest));
    await context.close();
  }
}

async function checkPage(context, name, label, check) {
  const url = pathToFileURL(join(directory, name)).href;
  const page = await context.newPage();
  const [complaints, requests] = [[], []];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("dialog", (dialog) => (complaints.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  await check(page, { label, url, complaints, requests });
  await page.close();
}

const oneVariant = [["light", SIZES[1]]];

test("a page is quiet and asks for nothing but itself", async () => {
  await everyPage(async (page, { label, url, complaints, requests }) => {
    assert.deepEqual(complaints, [], label);
    // The empty icon is in the page.
    assert.deepEqual(requests.filter((request) => !request.startsWith("data:")), [url], label);
  });
});

test("no page is wider than the screen", async () => {
  await everyPage(async (page, { label }) => {
    const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= screen, `${label}: ${content} px of ${screen} px`);
  });
});

test("the verdict is the first heading, in words", async () => {
  await everyPage(async (page, { label }) => {
    const heading = page.locator("h1, h2, h3").first();
    assert.match(await heading.locator(".word").innerText(), /^[A-Z]+$/, label);
    assert.equal(await heading.evaluate((element) => element.tagName), "H1", label);
    assert.ok((await heading.boundingBox()).y < 200, label);
  });
});

test("every chart has a title, a description, a line and room", async () => {
  await everyPage(async (page, { label }) => {
    for (const chart of await page.locator("figure.chart").all()) {
      const title = await chart.locator("h3").innerText();
      const plot = chart.locator("svg.plot");
      assert.notEqual(title, "", label);
      assert.equal(await plot.getAttribute("role"), "img", `${label}: ${title}`);
      assert.ok((await plot.getAttribute("aria-label")).startsWith(title), `${label}: ${title}`);
      const box = await plot.boundingBox();
      assert.ok(box.width > 200 && box.height > 120, `${label}: ${title} has ${box.width} x ${box.height} px`);
      const line = await chart.locator(".lines path").first().evaluate((path) => path.getTotalLength());
      assert.ok(line > 0, `${label}: ${title}`);
    }
  });
});

test("ticks of a chart do not run into each other", async () => {
  await everyPage(async (page, { label }) => {
    const clashes = await page.evaluate(() =>
      ["ticks-x", "ticks-y"].flatMap((axis) =>
        [...document.querySelectorAll(`.${axis}`)].flatMap((ticks) => {
          const boxes = [...ticks.children].map((tick) => [tick.textContent, tick.getBoundingClientRect()]);
          const shown = boxes.filter(([, box]) => box.width > 0);
          const meets = (a, b) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
          return shown.slice(1).filter(([, box], at) => meets(box, shown[at][1])).map(([text]) => text);
        }),
      ),
    );
    assert.deepEqual(clashes, [], label);
  });
});

test("a chart tells its values under the pointer", async () => {
  await everyPage(async (page, { label }) => {
    const plot = page.locator("svg.plot").first();
    if ((await plot.count()) === 0) return;
    await plot.scrollIntoViewIfNeeded();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    const tip = plot.locator("xpath=following-sibling::div");
    await tip.waitFor();
    assert.match(await tip.innerText(), /\d/, label);
    await page.mouse.move(box.x + box.width / 2, box.y - 60);
    await tip.waitFor({ state: "hidden" });
  }, oneVariant);
});

test("what is said by colour is said by words too", async () => {
  await everyPage(async (page, { label }) => {
    for (const kind of ["better", "worse"]) {
      for (const text of await page.locator(`.${kind}`).allTextContents()) assert.match(text, new RegExp(kind), label);
    }
  }, oneVariant);
});

test("the file holds no address to fetch from", async () => {
  for (const name of pages) {
    const text = await readFile(join(directory, name), "utf8");
    assert.doesNotMatch(text, /(src|href)="(?!data:)|@import|url\(/, name);
    assert.ok(text.length < 1_000_000, `${name}: ${text.length} bytes`);
  }
});
