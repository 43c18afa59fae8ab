/** The published JavaScript SDK in a real browser: a page of another host loads its bundle and speaks with the hub. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test as testOf } from "node:test";
import { fileURLToPath } from "node:url";

import { token } from "../sdk/tokens.mjs";
import { Hub, STATE_TIMEOUT, launchBrowser } from "./harness.mjs";

const KEY = "a-key-of-the-sdk-tests";
const CONFIG = fileURLToPath(new URL("../sdk/hub.toml", import.meta.url));
const BUNDLES = new URL("node_modules/centrifuge/dist/", import.meta.url);
const EXAMPLES = new URL("../sdk/examples/", import.meta.url);

/** The formats that a page can speak, by the bundle that it loads. */
const FORMATS = [
  { name: "JSON", bundle: "centrifuge.js", isProtobuf: false },
  { name: "Protobuf", bundle: "centrifuge.protobuf.js", isProtobuf: true },
];

const test = (name, run) => testOf(name, { timeout: STATE_TIMEOUT }, run);

let browser;
/** A web server next to the hub: the same machine, another port, and so another origin. */
const website = createServer(async (request, response) => {
  const name = new URL(request.url, "http://website").pathname.slice(1);
  const folder = name.endsWith(".js") ? BUNDLES : EXAMPLES;
  const type = name.endsWith(".js") ? "text/javascript" : "text/html";
  const body = name === "" ? "<title>tests</title>" : await readFile(new URL(name, folder)).catch(() => null);
  response.writeHead(body === null ? 404 : 200, { "Content-Type": type }).end(body);
});
let origin;

before(async () => {
  website.listen(0, "127.0.0.1");
  [browser] = await Promise.all([launchBrowser(), once(website, "listening")]);
  origin = `http://127.0.0.1:${website.address().port}`;
});
after(async () => {
  await browser?.close();
  website.close();
});

async function startHub(...flags) {
  const hub = new Hub({ flags: ["--api-keys", KEY, "--allowed-origins", origin, ...flags] });
  await hub.start();
  return hub;
}

const socketUrl = (hub) => `${hub.url.replace("http", "ws")}connection/websocket`;

async function api(hub, method, body) {
  const headers = { "X-API-Key": KEY, "Content-Type": "application/json" };
  const response = await fetch(`${hub.url}api/${method}`, { method: "POST", headers, body: JSON.stringify(body) });
  const { result } = await response.json();
  assert.ok(result, method);
  return result;
}

/** What every page of the tests has besides the SDK: runs in the page. */
function prepare({ address, isProtobuf, hang }) {
  const encode = (value) => new TextEncoder().encode(JSON.stringify(value));
  const decode = (data) => JSON.parse(new TextDecoder().decode(data));
  const next = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));
  const write = isProtobuf ? encode : (value) => value;
  const read = isProtobuf ? decode : (data) => data;

  async function connected(options = {}) {
    // By default it reconnects after five seconds without a reply, which a busy machine may take.
    const patience = { timeout: hang, maxServerPingDelay: hang };
    const client = new Centrifuge(address, { minReconnectDelay: 10, maxReconnectDelay: 100, ...patience, ...options });
    client.on("error", () => {});
    client.connect();
    await client.ready();
    return client;
  }

  /** Subscribes; the publications are collected in `received`. */
  async function subscribed(client, channel, options) {
    const subscription = client.newSubscription(channel, options);
    subscription.received = [];
    subscription.on("publication", ({ data, offset, info }) => {
      subscription.received.push({ value: read(data), offset, user: info?.user });
      subscription.emit("collected");
    });
    subscription.subscribe();
    await subscription.ready();
    return subscription;
  }

  /** Waits for so many publications in all. */
  async function received(subscription, count) {
    while (subscription.received.length < count) await next(subscription, "collected");
    return subscription.received;
  }

  const code = (promise) => promise.then(() => 0, (error) => error.code);
  window.sdk = { address, connected, subscribed, received, next, code, write, read };
}

for (const format of FORMATS) {
  describe(`the JavaScript SDK in Chromium, ${format.name}`, { concurrency: 1 }, () => suite(format));
}

function suite({ name, bundle, isProtobuf }) {
  let hub, page;
  const complaints = [];
  let channels = 0;
  const channel = (namespace = "kept") => `${namespace}:browser-${name}-${(channels += 1)}`;

  before(async () => {
    hub = await startHub("--config", CONFIG);
    page = await browser.newPage();
    page.setDefaultTimeout(STATE_TIMEOUT);
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.exposeFunction("api", (method, body) => api(hub, method, body));
    await page.exposeFunction("token", token);
    await page.goto(origin);
    await page.addScriptTag({ url: `${origin}/${bundle}` });
    await page.evaluate(prepare, { address: socketUrl(hub), isProtobuf, hang: STATE_TIMEOUT });
  });
  after(async () => {
    await page.close();
    await hub.stop();
    assert.deepEqual(complaints, [], "exceptions in the page");
  });

  test("publications come in order, with the publisher, to others and to itself", async () => {
    const seen = await page.evaluate(async (name) => {
      const writer = await sdk.connected({ token: await token({ sub: "42" }) });
      const reader = await sdk.connected();
      const [own, other] = [await sdk.subscribed(writer, name), await sdk.subscribed(reader, name)];
      for (let value = 1; value <= 50; value += 1) await own.publish(sdk.write({ value }));
      const seen = [await sdk.received(own, 50), await sdk.received(other, 50)];
      [writer, reader].forEach((client) => client.disconnect());
      return seen;
    }, channel());
    const expected = Array.from({ length: 50 }, (_, at) => ({ value: { value: at + 1 }, offset: at + 1, user: "42" }));
    assert.deepEqual(seen, [expected, expected]);
  });

  test("history and presence are read", async () => {
    const seen = await page.evaluate(async (name) => {
      const client = await sdk.connected({ token: await token({ sub: "42" }) });
      const subscription = await sdk.subscribed(client, name);
      for (const data of [1, 2, 3]) await api("publish", { channel: name, data });
      const { publications, offset } = await subscription.history({ limit: 2, reverse: true });
      const users = Object.values((await subscription.presence()).clients).map(({ user }) => user);
      const { numClients, numUsers } = await subscription.presenceStats();
      client.disconnect();
      return { values: publications.map(({ data }) => sdk.read(data)), offset, users, numClients, numUsers };
    }, channel());
    assert.deepEqual(seen, { values: [3, 2], offset: 3, users: ["42"], numClients: 1, numUsers: 1 });
  });

  test("what was published during a disconnect by the server is recovered", async () => {
    const seen = await page.evaluate(async (name) => {
      const client = await sdk.connected({ token: await token({ sub: "cut" }) });
      const subscription = await sdk.subscribed(client, name);
      await api("publish", { channel: name, data: 0 });
      await sdk.received(subscription, 1);
      const [away, again] = [sdk.next(client, "connecting"), sdk.next(subscription, "subscribed")];
      await api("disconnect", { user: "cut", disconnect: { code: 4000, reason: "elsewhere" } });
      for (const data of [1, 2, 3, 4, 5]) await api("publish", { channel: name, data });
      const { code } = await away;
      const { wasRecovering, recovered } = await again;
      const values = (await sdk.received(subscription, 6)).map(({ value }) => value);
      client.disconnect();
      return { code, wasRecovering, recovered, values };
    }, channel());
    assert.deepEqual(seen, { code: 4000, wasRecovering: true, recovered: true, values: [0, 1, 2, 3, 4, 5] });
  });

  test("a client refreshes its token before it expires, and stays", async () => {
    const seen = await page.evaluate(async () => {
      let asked = 0;
      const { promise: refreshed, resolve } = Promise.withResolvers();
      const getToken = async () => {
        asked += 1;
        if (asked === 2) resolve();
        // The second one lives long: a busy machine may present it late.
        return token({ sub: "42", exp: Math.floor(Date.now() / 1000) + (asked === 1 ? 2 : 3600) });
      };
      const client = await sdk.connected({ getToken });
      const left = [];
      client.on("connecting", ({ code }) => left.push(code));
      await refreshed;
      // The reply to this comes after the one to the refresh.
      const code = await sdk.code(client.rpc("none", sdk.write(1)));
      client.disconnect();
      return { code, left };
    });
    assert.deepEqual(seen, { code: 108, left: [] });
  });

  test("refused commands have the codes of the protocol, and are not the end", async () => {
    const seen = await page.evaluate(async () => {
      const client = await sdk.connected();
      const refused = async (name) => {
        const subscription = client.newSubscription(name);
        const ended = sdk.next(subscription, "unsubscribed");
        subscription.subscribe();
        return (await ended).code;
      };
      const codes = [await refused("unknown:x"), await refused("login:x"), await refused("$kept:x")];
      codes.push(await sdk.code(client.publish("silent:x", sdk.write({}))));
      const { state } = client;
      client.disconnect();
      return { codes, state };
    });
    assert.deepEqual(seen, { codes: [102, 103, 103, 103], state: "connected" });
  });

  test("a token that is not valid and a disconnect for good end the client", async () => {
    const seen = await page.evaluate(async () => {
      const refused = new Centrifuge(sdk.address, { token: `${await token({ sub: "42" })}x` });
      const ended = sdk.next(refused, "disconnected");
      refused.connect();
      const codes = [(await ended).code];
      const client = await sdk.connected({ token: await token({ sub: "gone" }) });
      const gone = sdk.next(client, "disconnected");
      await api("disconnect", { user: "gone" });
      codes.push((await gone).code);
      return codes;
    });
    assert.deepEqual(seen, [3500, 3503]);
  });

  if (isProtobuf) {
    test("bytes arrive as they are", async () => {
      const seen = await page.evaluate(async (name) => {
        const client = await sdk.connected();
        const subscription = client.newSubscription(name);
        const received = sdk.next(subscription, "publication");
        subscription.subscribe();
        await subscription.ready();
        await subscription.publish(Uint8Array.from({ length: 256 }, (_, byte) => byte));
        const { data } = await received;
        client.disconnect();
        return [...data];
      }, channel());
      assert.deepEqual(seen, Array.from({ length: 256 }, (_, byte) => byte));
    });
  } else {
    test("bytes that are not text are said to be bytes", async () => {
      const seen = await page.evaluate(async (name) => {
        const client = await sdk.connected();
        const subscription = await sdk.subscribed(client, name);
        await api("publish", { channel: name, b64data: "/wAK" });
        const [{ value }] = await sdk.received(subscription, 1);
        client.disconnect();
        return value;
      }, channel());
      assert.deepEqual(seen, { b64data: "/wAK" });
    });
  }
}

describe("the example of docs/sdk.md for browsers", () => {
  let hub;
  before(async () => (hub = await startHub("--presence")));
  after(() => hub.stop());

  test("two pages and a backend talk, and a page recovers", async () => {
    const address = `${origin}/chat.html?${new URLSearchParams({ hub: socketUrl(hub) })}`;
    const pages = await Promise.all([browser.newPage(), browser.newPage()]);
    const shows = (page, text) => page.locator("li").getByText(text, { exact: true }).waitFor();
    for (const [at, page] of pages.entries()) {
      page.setDefaultTimeout(STATE_TIMEOUT);
      await page.goto(address);
      await shows(page, `subscribed, clients: ${at + 1}`);
    }
    await pages[0].getByLabel("Message").fill("hello");
    await pages[0].getByLabel("Message").press("Enter");
    await api(hub, "publish", { channel: "lobby", data: { from: "a backend" } });
    for (const page of pages) {
      await shows(page, "hello");
      await shows(page, '{"from":"a backend"}');
    }

    const { presence } = await api(hub, "presence", { channel: "lobby" });
    for (const client of Object.keys(presence)) await api(hub, "disconnect", { client, disconnect: { code: 4000 } });
    await api(hub, "publish", { channel: "lobby", data: "meanwhile" });
    for (const page of pages) {
      await shows(page, "subscribed again, recovered: true");
      await shows(page, "meanwhile");
    }
    await Promise.all(pages.map((page) => page.close()));
  });
});
