/**
 * What the public test suites of the SDKs expect of a server, against deploy/examples/sdk-suite.toml.
 *
 * The suites themselves are not part of the packages. These are the cases of theirs that a server can fail.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test as testOf } from "node:test";

import { FORMATS, Hub, failure, next, path, subscribed, values } from "./harness.mjs";
import { sign } from "./tokens.mjs";

/** How long one test may take, in ms: longer than on any machine, reaching it is a failure. */
const timeout = Number(process.env.SDK_TIMEOUT ?? 120_000);

const CONFIG = path("../../deploy/examples/sdk-suite.toml");
/** The secret and the key that every suite has built in. */
const [SECRET, KEY] = ["secret", "test-api-key"];

const test = (name, run) => testOf(name, { timeout }, run);

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("what public suites expect", { concurrency: true }, () => {
  test("the file is valid, and says what they rely on", () => {
    // A variable of these tests is not a setting.
    const { THRONG_BIN: program, ...env } = process.env;
    const output = execFileSync(program, ["check-config", CONFIG], { encoding: "utf8", env });
    for (const line of [
      "addr = 127.0.0.1:8000",
      "history_size = 100",
      "history_ttl = 300s",
      "recovery = true",
      "presence = true",
      "join_leave = true",
      "token_strict = false",
      "[[namespace]] recovery: name = recovery",
      "[[namespace]] smallhistory: history_size = 2, name = smallhistory",
      "[[namespace]] delta: name = delta",
    ]) {
      assert.ok(output.includes(`  ${line}  (`), `${line}: ${output}`);
    }
  });

  for (const format of FORMATS) describe(format.name, { concurrency: 1 }, () => suite(format));
});

function suite(format) {
  let hub;
  let channels = 0;
  const channel = (namespace) => `${namespace === undefined ? "" : `${namespace}:`}${format.name}-${(channels += 1)}`;
  const publish = async (to, ...all) => {
    for (const data of all) await hub.api("publish", { channel: to, data });
  };

  before(async () => (hub = await Hub.start(["--config", CONFIG], KEY)));
  after(() => hub.stop());

  test("anonymous clients do everything without a token, also where they are not subscribed", async () => {
    const client = await hub.connected(format);
    const name = channel();
    await client.publish(name, format.write({ my: "data" }));
    assert.equal((await client.history(name, { limit: 100 })).publications.length, 1);
    assert.deepEqual((await client.presence(name)).clients, {});
    assert.equal((await client.presenceStats(name)).numClients, 0);
    assert.equal((await failure(client.rpc("method", format.write({})))).code, 108);
    const chat = new WebSocket(`${hub.url.replace("http", "ws")}/ws?channel=${name}`);
    await new Promise((resolve) => (chat.onopen = resolve));
    const subscription = await subscribed(client, format, name);
    chat.send("a line");
    assert.deepEqual(await values(subscription, 1), ["a line"]);
    const line = new Promise((resolve) => (chat.onmessage = ({ data }) => data.includes("and back") && resolve()));
    await subscription.publish(format.write("and back"));
    await line;
    chat.close();
    client.disconnect();
  });

  test("tokens have neither exp nor a long secret, and those of channels need no user", async () => {
    const client = await hub.connected(format, { token: sign({ sub: "42" }, SECRET) });
    const anonymous = await hub.connected(format);
    const names = range(1, 5).map(() => channel());
    const tokens = (user) => ({
      getToken: async ({ channel: of }) => sign({ ...user, iat: 1_737_532_348, channel: of }, SECRET),
    });
    await Promise.all([
      ...names.map((name) => subscribed(client, format, name, tokens({ sub: "42" }))),
      ...names.map((name) => subscribed(anonymous, format, name, tokens({}))),
    ]);
    const { clients } = await client.presence(names[0]);
    assert.deepEqual(Object.values(clients).map(({ user }) => user).sort(), ["", "42"]);
    client.disconnect();
    anonymous.disconnect();
  });

  test("a wrong token ends a connection, and a subscription with 103 and nothing else", async () => {
    for (const wrong of ["invalid_token", sign({ sub: "42" }, "another secret")]) {
      const refused = hub.client(format, { token: wrong });
      const ended = next(refused, "disconnected");
      refused.connect();
      assert.equal((await ended).code, 3500, wrong);

      const client = await hub.connected(format, { token: sign({ sub: "42" }, SECRET) });
      const subscription = client.newSubscription(channel(), { getToken: async () => wrong });
      const unsubscribed = next(subscription, "unsubscribed");
      subscription.subscribe();
      assert.equal((await unsubscribed).code, 103, wrong);
      assert.equal(client.state, "connected");
      client.disconnect();
    }
  });

  test("a user is subscribed to its own channel, and told that it joined", async () => {
    const client = hub.client(format, { token: sign({ sub: "own" }, SECRET) });
    const events = [next(client, "subscribed"), next(client, "join"), next(client, "publication")];
    client.connect();
    assert.equal((await events[0]).channel, "#own");
    const { client: id } = (await events[1]).info;
    assert.ok(id);
    await client.publish("#own", format.write({ input: "test" }));
    assert.deepEqual(format.read((await events[2]).data), { input: "test" });
    client.disconnect();
  });

  test("who disconnects by itself, or only unsubscribes, recovers", async () => {
    const client = await hub.connected(format);
    for (const leave of [() => client.disconnect(), null]) {
      const name = channel("recovery");
      const subscription = await subscribed(client, format, name);
      assert.ok(!subscription.context.wasRecovering && !subscription.context.recovered);
      await publish(name, 1);
      await values(subscription, 1);
      if (leave === null) subscription.unsubscribe();
      else leave();
      await publish(name, 2, 3, 4);
      const again = next(subscription, "subscribed");
      if (leave === null) subscription.subscribe();
      else client.connect();
      const { wasRecovering, recovered } = await again;
      assert.ok(wasRecovering && recovered);
      assert.deepEqual(await values(subscription, 4), [1, 2, 3, 4]);
      await publish(name, 5);
      assert.deepEqual(await values(subscription, 5), [1, 2, 3, 4, 5]);
    }
    client.disconnect();
  });

  test("who unsubscribes while it recovers gets the rest the next time", async () => {
    const client = await hub.connected(format);
    for (const [event, first] of [["subscribed", []], ["publication", [1]]]) {
      const name = channel("recovery");
      const subscription = await subscribed(client, format, name);
      subscription.unsubscribe();
      await publish(name, 1, 2, 3);
      subscription.once(event, () => subscription.unsubscribe());
      const gone = next(subscription, "unsubscribed");
      subscription.subscribe();
      await gone;
      assert.deepEqual(subscription.received.map(({ value }) => value), first, event);
      subscription.subscribe();
      assert.deepEqual(await values(subscription, 3), [1, 2, 3], event);
    }
    client.disconnect();
  });

  test("a history of 2 does not recover 4, and the subscription goes on", async () => {
    const client = await hub.connected(format);
    const name = channel("smallhistory");
    const subscription = await subscribed(client, format, name);
    await publish(name, 1);
    await values(subscription, 1);
    subscription.unsubscribe();
    await publish(name, 2, 3, 4, 5);
    const again = next(subscription, "subscribed");
    subscription.subscribe();
    const { wasRecovering, recovered } = await again;
    assert.deepEqual([wasRecovering, recovered], [true, false]);
    await publish(name, 6);
    assert.deepEqual(await values(subscription, 2), [1, 6]);
    client.disconnect();
  });

  test("getState is asked for a position, and again once it cannot be recovered", async () => {
    const client = await hub.connected(format);
    const name = channel("smallhistory");
    await publish(name, 1, 2);
    let asked = 0;
    const state = { offset: 0, epoch: "" };
    const getState = async () => {
      asked += 1;
      return { ...state };
    };
    const options = { getState, minResubscribeDelay: 10, maxResubscribeDelay: 50 };
    const subscription = await subscribed(client, format, name, options);
    assert.deepEqual(await values(subscription, 2), [1, 2], "everything from the position on");
    client.disconnect();
    client.connect();
    await subscription.ready();
    assert.equal(asked, 1, "what is recovered needs no state");
    client.disconnect();
    await publish(name, 3, 4, 5, 6);
    Object.assign(state, await hub.api("history", { channel: name, limit: 0 }));
    assert.equal(state.offset, 6);
    client.connect();
    await subscription.ready();
    assert.equal(asked, 2, "error 112");
    await publish(name, 7);
    assert.deepEqual(await values(subscription, 3), [1, 2, 7]);
    client.disconnect();
  });

  test("who asks for deltas gets whole publications, recovered ones too", async () => {
    const client = await hub.connected(format);
    const name = channel("delta");
    const subscription = await subscribed(client, format, name, { delta: "fossil" });
    const versions = range(1, 6).map((version) => ({ version, rest: "x".repeat(500) }));
    await publish(name, ...versions.slice(0, 3));
    await values(subscription, 3);
    client.disconnect();
    await publish(name, ...versions.slice(3));
    client.connect();
    assert.deepEqual(await values(subscription, 6), versions);
    client.disconnect();
  });

  test("ten connects and disconnects, and ten subscribes and unsubscribes, end as the last one says", async () => {
    const client = hub.client(format);
    for (const _ of range(1, 10)) {
      client.connect();
      client.disconnect();
    }
    assert.equal(client.state, "disconnected");
    client.connect();
    await client.ready();
    const name = channel();
    const subscription = client.newSubscription(name);
    for (const _ of range(1, 10)) {
      subscription.subscribe();
      subscription.unsubscribe();
    }
    subscription.subscribe();
    const { numClients, numUsers } = await subscription.presenceStats();
    assert.deepEqual([numClients, numUsers], [1, 1]);
    assert.equal(Object.keys((await subscription.presence()).clients).length, 1);
    subscription.unsubscribe();
    assert.deepEqual((await client.presence(name)).clients, {});
    client.disconnect();
  });

  test("a subscription that ends while its connection begins can be made again", async () => {
    const client = hub.client(format);
    const subscription = client.newSubscription(channel());
    client.once("__centrifuge_debug:connect_frame_sent", () => subscription.unsubscribe());
    subscription.subscribe();
    client.connect();
    await client.ready();
    assert.equal(subscription.state, "unsubscribed");
    subscription.subscribe();
    await subscription.ready();

    subscription.unsubscribe();
    subscription.subscribe();
    client.disconnect();
    client.connect();
    subscription.unsubscribe();
    subscription.subscribe();
    await subscription.ready();
    client.disconnect();
  });

  test("a client that goes offline and online again is connected and subscribed", async () => {
    const networkEventTarget = new EventTarget();
    const client = await hub.connected(format, { networkEventTarget });
    const name = channel("recovery");
    const subscription = await subscribed(client, format, name);
    networkEventTarget.dispatchEvent(new Event("offline"));
    assert.equal(client.state, "connecting");
    await publish(name, 1);
    networkEventTarget.dispatchEvent(new Event("online"));
    assert.deepEqual(await values(subscription, 1), [1]);
    client.disconnect();
  });
}
