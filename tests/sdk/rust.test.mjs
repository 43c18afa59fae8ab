/** The published Rust SDK against a running hub, in both formats, as far as it has the features. */

import assert from "node:assert/strict";
import { after, before, describe, test as testOf } from "node:test";

import { Hub, Program, token } from "./harness.mjs";

/** How long one test may take, in ms: longer than on any machine, reaching it is a failure. */
const timeout = Number(process.env.SDK_TIMEOUT ?? 120_000);

const test = (name, run) => testOf(name, { timeout }, run);

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** What the program of tests/sdk/rust reads and prints as data. */
const digits = (value) => Buffer.from(JSON.stringify(value)).toString("hex");

describe("the Rust SDK", { concurrency: true }, () => {
  for (const format of ["json", "protobuf"]) describe(format, { concurrency: 1 }, () => suite(format));
});

function suite(format) {
  let hub;
  let channels = 0;
  const channel = (namespace = "kept") => `${namespace}:rust-${format}-${(channels += 1)}`;
  const publish = (to, data) => hub.api("publish", { channel: to, data });

  before(async () => (hub = await Hub.start()));
  after(() => hub.stop());

  /** Starts a client and waits until it is connected. */
  async function connected(claims) {
    const tokens = claims === undefined ? [] : [token(claims)];
    const client = new Program([process.env.SDK_RUST, hub.socketUrl, format, ...tokens]);
    await client.prints(/^connected \d+\/\d+\.\d+$/);
    return client;
  }

  async function subscribed(client, name) {
    client.write(`subscribe ${name}`);
    await client.prints(`subscribed ${name}`);
  }

  test("receives what others and itself publish, in order and with the publisher", async () => {
    const name = channel();
    const [writer, reader] = [await connected({ sub: "42" }), await connected()];
    await subscribed(writer, name);
    await subscribed(reader, name);
    for (const value of range(1, 100)) writer.write(`publish ${name} ${digits({ value })}`);
    const expected = range(1, 100).map((value) => `publication ${name} ${value} ${digits({ value })} 42`);
    for (const client of [writer, reader]) {
      await client.prints(expected.at(-1));
      assert.deepEqual(client.lines.filter((line) => line.startsWith("publication")), expected);
    }
    await Promise.all([writer.end(), reader.end()]);
  });

  test("ten quick rounds leave presence exact", async () => {
    const name = channel();
    const client = await connected({ sub: "42" });
    for (const _ of range(1, 10)) client.write(`subscribe ${name}\nunsubscribe ${name}`);
    await subscribed(client, name);
    const stats = await hub.api("presence_stats", { channel: name });
    assert.deepEqual(stats, { num_clients: 1, num_users: 1 });
    client.write(`unsubscribe ${name}`);
    // The reply to this comes after the one to the unsubscribe command before it.
    client.write(`rpc none ${digits(1)}`);
    await client.prints("rpc 108");
    assert.equal((await hub.api("presence_stats", { channel: name })).num_clients, 0);
    await client.end();
  });

  test("refused commands have the codes of the protocol", async () => {
    const client = await connected();
    for (const [name, code] of [["unknown:x", 102], ["login:x", 103], ["$kept:x", 103], ["x".repeat(256), 107]]) {
      client.write(`subscribe ${name}`);
      await client.prints(`unsubscribed ${name} ${code}`);
    }
    for (const [name, code] of [["unknown:x", 102], ["silent:x", 103]]) {
      client.write(`publish ${name} ${digits(1)}`);
      await client.prints(`publish ${code}`);
    }
    await client.end();
  });

  test("a token opens what is for users only", async () => {
    const client = await connected({ sub: "42" });
    await subscribed(client, "login:x");
    await client.end();
  });

  test("a backend disconnects for a while or for good", async () => {
    const name = channel();
    const client = await connected({ sub: "99" });
    await subscribed(client, name);
    const from = client.lines.length;
    await hub.api("disconnect", { user: "99", disconnect: { code: 4000 } });
    await client.prints(`subscribed ${name}`, from);
    await publish(name, "again");
    await client.prints(`publication ${name} 1 ${digits("again")} `);
    await hub.api("disconnect", { user: "99" });
    await client.prints("disconnected");
    await client.end();
  });

  test("a backend unsubscribes a running client", async () => {
    const name = channel();
    const client = await connected({ sub: "served" });
    await subscribed(client, name);
    await hub.api("unsubscribe", { user: "served", channel: name });
    await client.prints(`unsubscribed ${name} 2000`);
    await client.end();
  });

  if (format === "protobuf") {
    test("bytes arrive as they are", async () => {
      const name = channel();
      const client = await connected();
      await subscribed(client, name);
      const every = Buffer.from(range(0, 255)).toString("hex");
      client.write(`publish ${name} ${every}`);
      await client.prints(`publication ${name} 1 ${every} `);
      await client.end();
    });
  }
}
