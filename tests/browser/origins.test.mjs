/** Whose pages may connect, and whether encryption works, as a browser judges it: it alone sends an `Origin`. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Chat, Hub, STATE_TIMEOUT, launchBrowser } from "./harness.mjs";

let browser;
/** A foreign page: the same machine, another port, and so another origin. */
const elsewhere = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<p>elsewhere"));
let foreign;

before(async () => {
  elsewhere.listen(0, "127.0.0.1");
  [browser] = await Promise.all([launchBrowser(), once(elsewhere, "listening")]);
  foreign = `http://127.0.0.1:${elsewhere.address().port}`;
});
after(async () => {
  await browser?.close();
  elsewhere.close();
});

/** What becomes of a socket that a page of `origin` opens to the hub. */
async function knock(hub, origin) {
  const page = await browser.newPage();
  page.setDefaultTimeout(STATE_TIMEOUT);
  await page.goto(origin);
  const outcome = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
      }),
    hub.url.replace("http", "ws") + "ws",
  );
  await page.close();
  return outcome;
}

async function withHub(flags, use) {
  const hub = new Hub({ flags });
  await hub.start();
  try {
    await use(hub);
  } finally {
    await hub.stop();
  }
}

test("a page of this very host may connect, a foreign one may not", () =>
  withHub([], async (hub) => {
    assert.equal(await knock(hub, hub.url), "open");
    assert.equal(await knock(hub, foreign), "refused");
  }));

test("a foreign page may connect when its origin is allowed, and no other", () =>
  withHub(["--allowed-origins", foreign], async (hub) => {
    assert.equal(await knock(hub, foreign), "open");
    assert.equal(await knock(hub, foreign.replace("127.0.0.1", "localhost")), "refused", "another name is another origin");
  }));

test("the page and its socket work over TLS", async () => {
  const folder = mkdtempSync(join(tmpdir(), "throng-"));
  const [key, chain] = ["key.pem", "chain.pem"].map((name) => join(folder, name));
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
  execFileSync("openssl", [...request, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", chain], { stdio: "ignore" });
  await withHub(["--tls-certificate", chain, "--tls-key", key], async (hub) => {
    assert.match(hub.url, /^https:/);
    // Nobody signed the certificate but itself.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const [ann, bob] = [await Chat.open(context, hub.url), await Chat.open(context, hub.url)];
    await ann.say("encrypted");
    await bob.hears("encrypted");
    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
    await context.close();
  });
  rmSync(folder, { recursive: true });
});
