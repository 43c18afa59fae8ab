/** A hub, SDK clients in both formats, and a cable between them that can be cut. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { Centrifuge as JsonClient } from "centrifuge";
import { Centrifuge as ProtobufClient } from "centrifuge/build/protobuf";

export { now, token } from "./tokens.mjs";

export const KEY = "a-key-of-the-sdk-tests";
/** Longer than anything takes on any machine, in ms: a hub that does not leave by itself in this time is killed. */
const HANG = 120_000;

/** The formats that a client can speak, each with how an application of it writes and reads a value. */
export const FORMATS = [
  { name: "JSON", Client: JsonClient, write: (value) => value, read: (data) => data },
  {
    name: "Protobuf",
    Client: ProtobufClient,
    write: (value) => new TextEncoder().encode(JSON.stringify(value)),
    read: (data) => JSON.parse(new TextDecoder().decode(data)),
  },
];

/** Returns where a file is, seen from this folder. */
export const path = (name) => fileURLToPath(new URL(name, import.meta.url));

export class Hub {
  #child;
  #key;

  /** Starts a hub with the configuration of these tests, or with another file, which has this key for its API. */
  static async start(flags = ["--config", path("hub.toml"), "--api-keys", KEY], key = KEY) {
    const hub = new Hub();
    hub.#key = key;
    const all = ["--addr", "127.0.0.1:0", "--lb-grace", "0s", "--drain-time", "0s", ...flags];
    hub.#child = spawn(process.env.THRONG_BIN, all, { stdio: ["ignore", "pipe", "inherit"] });
    // A run that ends early leaves nothing behind.
    process.on("exit", () => hub.#child.kill("SIGKILL"));
    const lines = createInterface({ input: hub.#child.stdout });
    const [line] = await Promise.race([once(lines, "line"), once(hub.#child, "exit").then(() => ["(exited)"])]);
    hub.url = /https?:\/\/\S+?(?=\/?(\s|$))/.exec(line)?.[0];
    assert.ok(hub.url, `the hub's first line has no address: ${line}`);
    return hub;
  }

  get socketUrl() {
    return `${this.url.replace("http", "ws")}/connection/websocket`;
  }

  async stop() {
    const exited = once(this.#child, "exit");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), HANG);
    this.#child.kill("SIGTERM");
    const [code] = await exited;
    clearTimeout(timer);
    assert.equal(code, 0, "the hub's exit code");
  }

  /** Calls a method of the API and returns its result. */
  async api(method, body) {
    const response = await fetch(`${this.url}/api/${method}`, {
      method: "POST",
      headers: { "X-API-Key": this.#key, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    const result = answer.result ?? answer.replies;
    assert.ok(result, `${method}: ${JSON.stringify(answer)}`);
    return result;
  }

  /** Returns a client that is not connected yet. */
  client(format, options = {}, url = this.socketUrl) {
    const delays = { minReconnectDelay: 10, maxReconnectDelay: 100 };
    // By default it reconnects after five seconds without a reply, which a busy machine may take.
    const patience = { timeout: HANG, maxServerPingDelay: HANG };
    const client = new format.Client(url, { websocket: WebSocket, ...delays, ...patience, ...options });
    // Without a listener an error would end the process.
    client.on("error", () => {});
    return client;
  }

  async connected(format, options, url) {
    const client = this.client(format, options, url);
    const connected = next(client, "connected");
    client.connect();
    await connected;
    return client;
  }
}

/** A relay to the hub, whose connections can be cut while it goes on. */
export class Cable {
  #sockets = new Set();
  #downstreams = new Map();
  #server;

  static async to(hub) {
    const cable = new Cable();
    const { port } = new URL(hub.url);
    cable.#server = net.createServer((near) => {
      const far = net.connect(port, "127.0.0.1");
      cable.#downstreams.set(far, near);
      far.on("close", () => cable.#downstreams.delete(far));
      for (const [one, other] of [[near, far], [far, near]]) {
        cable.#sockets.add(one);
        one.on("error", () => {});
        one.on("close", () => {
          cable.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    cable.#server.listen(0, "127.0.0.1");
    await once(cable.#server, "listening");
    cable.url = `ws://127.0.0.1:${cable.#server.address().port}/connection/websocket`;
    return cable;
  }

  /** Passes nothing on to clients any more, as one does that is too slow. */
  hold() {
    for (const [far, near] of this.#downstreams) {
      far.unpipe(near);
      far.pause();
    }
  }

  release() {
    for (const [far, near] of this.#downstreams) far.pipe(near);
  }

  /** Cuts every connection. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.cut();
    this.#server.close();
  }
}

/** What runs here. A run that ends early leaves nothing behind. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A program that uses an SDK, and the lines that it has printed. */
export class Program {
  lines = [];
  #child;
  /** Is fulfilled, and replaced, with each line and at the end. */
  #changed = Promise.withResolvers();

  constructor([program, ...rest]) {
    this.#child = spawn(program, rest, { stdio: ["pipe", "pipe", "inherit"] });
    running.add(this.#child);
    this.#child.on("exit", () => {
      running.delete(this.#child);
      this.#wake();
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.lines.push(line);
      this.#wake();
    });
  }

  #wake() {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  write(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Waits until it has printed a line, among those after the first `from`. */
  async prints(line, from = 0) {
    const isThere = () => this.lines.slice(from).some((one) => (line.test ? line.test(one) : one === line));
    while (!isThere()) {
      assert.equal(this.#child.exitCode, null, `it has ended after:\n${this.lines.join("\n")}`);
      await this.#changed.promise;
    }
  }

  async end() {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }
}

/** Returns the context of the next event. */
export function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

/** Subscribes and waits until the hub has said so; the publications are collected in `received`. */
export async function subscribed(client, format, channel, options) {
  const subscription = client.newSubscription(channel, options);
  collect(subscription, format);
  const done = next(subscription, "subscribed");
  subscription.subscribe();
  subscription.context = await done;
  return subscription;
}

/** Collects the publications of a subscription. */
export function collect(subscription, format) {
  subscription.received = [];
  subscription.on("publication", (publication) => {
    subscription.received.push({ ...publication, value: format.read(publication.data) });
    subscription.emit("collected");
  });
}

/** Waits for so many publications in all and returns their values. */
export async function values(subscription, count) {
  while (subscription.received.length < count) await next(subscription, "collected");
  return subscription.received.map((publication) => publication.value);
}

/** Returns the error that a promise is rejected with. */
export async function failure(promise) {
  return promise.then(
    (result) => assert.fail(`no error but ${JSON.stringify(result)}`),
    (error) => error,
  );
}
