/** The published JavaScript SDK against a running hub, in both formats. */

import assert from "node:assert/strict";
import { after, before, describe, test as testOf } from "node:test";

import { Cable, FORMATS, Hub, KEY, failure, next, now, path, subscribed, token, values } from "./harness.mjs";

/** How long one test may take, in ms: longer than on any machine, reaching it is a failure. */
const timeout = Number(process.env.SDK_TIMEOUT ?? 120_000);

/** In this time, in ms, a client is pinged twice, and closed if its first pong was missing. */
const LIFE = 22_500;

const test = (name, run) => testOf(name, { timeout }, run);

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("the JavaScript SDK", { concurrency: true }, () => {
  for (const format of FORMATS) describe(format.name, { concurrency: 1 }, () => suite(format));
});

function suite(format) {
  /** Lives through all tests, and at least through two pings. */
  let hub, witness, since;
  const ends = [];
  let channels = 0;
  const channel = (namespace = "kept") => `${namespace}:${format.name}-${(channels += 1)}`;
  const publish = (to, value) => hub.api("publish", { channel: to, data: value });

  before(async () => {
    hub = await Hub.start();
    witness = await hub.connected(format);
    since = Date.now();
    witness.on("connecting", (context) => ends.push(context));
    witness.on("disconnected", (context) => ends.push(context));
  });

  after(async () => {
    await new Promise((resolve) => setTimeout(resolve, since + LIFE - Date.now()));
    assert.deepEqual(ends, [], "who answers pings and refreshes tokens stays connected and subscribed");
    witness.disconnect();
    await hub.stop();
  });

  test("connects, and knows its id", async () => {
    const client = hub.client(format);
    const connected = next(client, "connected");
    client.connect();
    const context = await connected;
    assert.match(context.client, /^\d+\/\d+\.\d+$/);
    const gone = next(client, "disconnected");
    client.disconnect();
    assert.equal((await gone).code, 0, "by the client itself");
  });

  test("receives what others and itself publish, in order and with the publisher", async () => {
    const name = channel();
    const [writer, reader] = [await hub.connected(format, { token: token({ sub: "42" }) }), await hub.connected(format)];
    const [own, other] = [await subscribed(writer, format, name), await subscribed(reader, format, name)];
    for (const value of range(1, 100)) await own.publish(format.write({ value }));
    for (const subscription of [own, other]) {
      assert.deepEqual(await values(subscription, 100), range(1, 100).map((value) => ({ value })));
      assert.deepEqual(subscription.received.map((one) => one.offset), range(1, 100));
      const { user, client } = subscription.received[0].info;
      assert.deepEqual({ user, client }, { user: "42", client: own.received[0].info.client });
    }
    writer.disconnect();
    reader.disconnect();
  });

  test("many subscriptions before the connection are made with it", async () => {
    const client = hub.client(format);
    const names = range(1, 30).map(() => channel());
    const waiting = names.map((name) => subscribed(client, format, name));
    client.connect();
    const subscriptions = await Promise.all(waiting);
    await Promise.all(names.map((name) => publish(name, name)));
    for (const [index, subscription] of subscriptions.entries()) {
      assert.deepEqual(await values(subscription, 1), [names[index]]);
    }
    client.disconnect();
  });

  test("commands of one batch are answered", async () => {
    const client = await hub.connected(format);
    const name = channel();
    const subscription = await subscribed(client, format, name);
    client.startBatching();
    const published = range(1, 50).map((value) => subscription.publish(format.write(value)));
    client.stopBatching();
    await Promise.all(published);
    assert.deepEqual(await values(subscription, 50), range(1, 50));
    client.disconnect();
  });

  test("an unsubscribed channel is silent", async () => {
    const client = await hub.connected(format);
    const [name, other] = [channel(), channel()];
    const [gone, stays] = [await subscribed(client, format, name), await subscribed(client, format, other)];
    gone.unsubscribe();
    await publish(name, "not for it");
    await publish(other, "for it");
    assert.deepEqual(await values(stays, 1), ["for it"]);
    assert.deepEqual(gone.received, []);
    client.disconnect();
  });

  test("history is read forwards, backwards, and from a position", async () => {
    const client = await hub.connected(format);
    const name = channel();
    const subscription = await subscribed(client, format, name);
    for (const value of range(1, 5)) await publish(name, value);
    const read = async (options) => {
      const { publications, ...position } = await subscription.history(options);
      return { values: publications.map((one) => format.read(one.data)), position };
    };
    const top = await read({ limit: 0 });
    assert.deepEqual(top.values, []);
    assert.equal(Number(top.position.offset), 5);
    assert.deepEqual((await read({ limit: -1 })).values, range(1, 5));
    assert.deepEqual((await read({ limit: 2, reverse: true })).values, [5, 4]);
    const since = { offset: 2, epoch: top.position.epoch };
    assert.deepEqual((await read({ limit: 2, since })).values, [3, 4]);
    const unknown = { offset: 2, epoch: "another" };
    assert.equal((await failure(subscription.history({ limit: 2, since: unknown }))).code, 112);
    client.disconnect();
  });

  test("presence names the clients and their users, and ten quick rounds leave it exact", async () => {
    const name = channel();
    const clients = await Promise.all(["42", "42", "7"].map((sub) => hub.connected(format, { token: token({ sub }) })));
    const [first, second, third] = await Promise.all(clients.map((client) => subscribed(client, format, name)));
    const users = async () => Object.values((await first.presence()).clients).map((one) => one.user).sort();
    assert.deepEqual(await users(), ["42", "42", "7"]);
    const { numClients, numUsers } = await first.presenceStats();
    assert.deepEqual({ numClients, numUsers }, { numClients: 3, numUsers: 2 });
    for (const _ of range(1, 10)) {
      third.unsubscribe();
      third.subscribe();
    }
    await third.ready();
    assert.deepEqual(await users(), ["42", "42", "7"]);
    third.unsubscribe();
    second.unsubscribe();
    // The replies to these come after those to the unsubscribe commands before them.
    await Promise.all([clients[1], clients[2]].map((client) => failure(client.rpc("none", format.write(1)))));
    assert.deepEqual(await users(), ["42"]);
    clients.forEach((client) => client.disconnect());
  });

  test("joins and leaves are told", async () => {
    const name = channel();
    const [here, comes] = [await hub.connected(format), await hub.connected(format, { token: token({ sub: "42" }) })];
    const subscription = await subscribed(here, format, name, { joinLeave: true });
    const joined = new Promise((resolve) => {
      subscription.on("join", (context) => context.info.user === "42" && resolve(context.info));
    });
    const other = await subscribed(comes, format, name);
    const { client } = await joined;
    const left = next(subscription, "leave");
    other.unsubscribe();
    assert.deepEqual([(await left).info.client, (await left).info.user], [client, "42"]);
    here.disconnect();
    comes.disconnect();
  });

  test("what was published while the connection was cut is recovered", async () => {
    const cable = await Cable.to(hub);
    const client = await hub.connected(format, {}, cable.url);
    const name = channel();
    const subscription = await subscribed(client, format, name);
    assert.ok(subscription.context.recoverable && subscription.context.positioned);
    for (const round of range(0, 2)) {
      await publish(name, round * 10);
      await values(subscription, round * 10 + 1);
      const again = next(subscription, "subscribed");
      const away = next(client, "connecting");
      cable.cut();
      await away;
      for (const value of range(1, 9)) await publish(name, round * 10 + value);
      const context = await again;
      assert.ok(context.wasRecovering && context.recovered, "recovered");
      await values(subscription, round * 10 + 10);
    }
    assert.deepEqual(await values(subscription, 30), range(0, 29), "in order, once each");
    client.disconnect();
    cable.close();
  });

  test("a client that missed more than is kept is told so", async () => {
    const cable = await Cable.to(hub);
    const client = await hub.connected(format, {}, cable.url);
    const name = channel("small");
    const subscription = await subscribed(client, format, name);
    await publish(name, 1);
    await values(subscription, 1);
    const again = next(subscription, "subscribed");
    const away = next(client, "connecting");
    cable.cut();
    await away;
    // All at once: more than is kept, whenever the client comes back, unless it is before the first of them.
    await hub.api("batch", { commands: range(2, 9).map((data) => ({ publish: { channel: name, data } })) });
    const context = await again;
    assert.ok(context.wasRecovering);
    await publish(name, "after");
    const received = await values(subscription, context.recovered ? 10 : 2);
    assert.deepEqual(received, context.recovered ? [...range(1, 9), "after"] : [1, "after"]);
    client.disconnect();
    cable.close();
  });

  test("the newest publication of a cache comes with the subscription", async () => {
    const cable = await Cable.to(hub);
    const name = channel("cache");
    const client = await hub.connected(format, {}, cable.url);
    for (const value of range(1, 3)) await publish(name, value);
    const subscription = await subscribed(client, format, name, { since: {} });
    assert.ok(subscription.context.wasRecovering && subscription.context.recovered);
    assert.deepEqual(await values(subscription, 1), [3]);
    for (const missed of [4, 7]) {
      const [away, again] = [next(client, "connecting"), next(subscription, "subscribed")];
      cable.cut();
      await away;
      // All at once, so that it comes back before all of them or after.
      await hub.api("batch", { commands: range(missed, missed + 2).map((data) => ({ publish: { channel: name, data } })) });
      assert.ok((await again).recovered, "whatever it missed");
      const last = missed + 2;
      while (subscription.received.at(-1).value !== last) await next(subscription, "collected");
    }
    const offsets = subscription.received.map((one) => one.offset);
    assert.deepEqual(offsets, offsets.toSorted((one, other) => one - other), "never back");
    client.disconnect();
    cable.close();
  });

  test("an application that reads its state first is asked again when it cannot go on from there", async () => {
    const name = channel("small");
    await publish(name, 0);
    const client = await hub.connected(format);
    const top = await client.history(name, { limit: 0 }).catch(() => null);
    assert.equal(top, null, "only subscribers may ask");
    // As an application does that keeps its state and the position of it: the first is too old, the second is not.
    const { epoch } = (await hub.api("history", { channel: name, limit: 0 }));
    await hub.api("batch", { commands: range(1, 5).map((data) => ({ publish: { channel: name, data } })) });
    const positions = [{ offset: 1, epoch }, { offset: 9, epoch: "another" }, { offset: 4, epoch }];
    let asked = 0;
    const getState = async () => positions[asked++];
    const retries = { minResubscribeDelay: 1, maxResubscribeDelay: 10 };
    const subscription = await subscribed(client, format, name, { getState, ...retries });
    assert.equal(asked, 3, "error 112 twice");
    assert.ok(subscription.context.wasRecovering && subscription.context.recovered);
    assert.deepEqual(await values(subscription, 2), [4, 5]);
    client.disconnect();
  });

  test("deltas are asked for, and make the same publications of fewer bytes, also those that were missed", async () => {
    const cable = await Cable.to(hub);
    const name = channel("delta");
    const client = await hub.connected(format, {}, cable.url);
    const other = await hub.connected(format);
    const subscription = await subscribed(client, format, name, { delta: "fossil" });
    const whole = await subscribed(other, format, name);
    // With characters of several bytes next to each other, which a delta must not cut.
    const goals = ["\u{1f600}", "\u{1f601}", "é", "è"];
    const score = (minute) => ({ home: "Alpha", away: "Béta, Bèta", minute, goal: goals[minute % 4], rain: "é".repeat(40) });
    for (const minute of range(1, 20)) await publish(name, score(minute));
    assert.deepEqual(await values(subscription, 20), range(1, 20).map(score));
    const { numDeltaPayloads, numFullPayloads, compressionRatio } = subscription.deltaStats();
    assert.deepEqual([numDeltaPayloads, numFullPayloads], [19, 1]);
    assert.ok(compressionRatio > 0.5, `${compressionRatio}`);

    const [away, again] = [next(client, "connecting"), next(subscription, "subscribed")];
    cable.cut();
    await away;
    await hub.api("batch", { commands: range(21, 30).map((minute) => ({ publish: { channel: name, data: score(minute) } })) });
    assert.ok((await again).recovered);
    for (const minute of range(31, 40)) await publish(name, score(minute));
    const expected = range(1, 40).map(score);
    assert.deepEqual(await values(subscription, 40), expected);
    assert.ok(subscription.deltaStats().numDeltaPayloads >= 19 + 8, "those that were missed are deltas too");
    assert.deepEqual(await values(whole, 40), expected, "who did not ask gets whole ones");

    const refused = await subscribed(client, format, channel("kept"), { delta: "fossil" });
    await refused.publish(format.write(score(1)));
    assert.deepEqual(await values(refused, 1), [score(1)], "where it is not allowed");
    assert.equal(refused.deltaStats().numPublications, 0);
    client.disconnect();
    other.disconnect();
    cable.close();
  });

  test("refused commands have the codes of the protocol", async () => {
    const client = await hub.connected(format);
    const refused = async (name) => {
      const subscription = client.newSubscription(name);
      const ended = next(subscription, "unsubscribed");
      subscription.subscribe();
      return (await ended).code;
    };
    assert.equal(await refused("unknown:x"), 102);
    assert.equal(await refused("login:x"), 103);
    assert.equal(await refused("$kept:x"), 103);
    assert.equal(await refused("x".repeat(256)), 107);
    const value = format.write({});
    assert.equal((await failure(client.publish("silent:x", value))).code, 103);
    assert.equal((await failure(client.publish("unknown:x", value))).code, 102);
    const plain = await subscribed(client, format, "bare:x");
    assert.equal((await failure(plain.history({ limit: 1 }))).code, 108);
    assert.equal((await failure(plain.presence())).code, 108);
    assert.equal((await failure(client.rpc("method", value))).code, 108);
    assert.equal(client.state, "connected", "an error is not the end");
    client.disconnect();
  });

  test("a message without a backend ends the connection", async () => {
    const client = await hub.connected(format);
    const ended = next(client, "disconnected");
    client.send(format.write({}));
    assert.equal((await ended).code, 3508);
  });

  test("a token that is not valid ends the attempt, an expired one is replaced", async () => {
    const refused = hub.client(format, { token: `${token({ sub: "42" })}x` });
    const ended = next(refused, "disconnected");
    refused.connect();
    assert.equal((await ended).code, 3500);

    let asked = 0;
    const getToken = async () => {
      asked += 1;
      return token({ sub: "42", exp: now() + 600 });
    };
    const renewed = hub.client(format, { token: token({ sub: "42", exp: now() - 60 }), getToken });
    const connected = next(renewed, "connected");
    renewed.connect();
    await connected;
    assert.equal(asked, 1);
    const subscription = await subscribed(renewed, format, "login:x");
    await subscription.publish(format.write("in"));
    assert.equal((await values(subscription, 1))[0], "in");
    renewed.disconnect();
  });

  test("a client refreshes its token before it expires, and stays", async () => {
    let asked = 0;
    const { promise: refreshed, resolve } = Promise.withResolvers();
    const getToken = async () => {
      asked += 1;
      if (asked === 2) resolve();
      // The second one lives long: a busy machine may present it late.
      return token({ sub: "42", exp: now() + (asked === 1 ? 2 : 3600) });
    };
    const client = await hub.connected(format, { getToken });
    client.on("connecting", () => ends.push("a refreshed client reconnects"));
    await refreshed;
    // The reply to this comes after the one to the refresh.
    assert.equal((await failure(client.rpc("none", format.write(1)))).code, 108);
    client.disconnect();
  });

  test("a backend disconnects for a while or for good", async () => {
    const client = await hub.connected(format, { token: token({ sub: "99" }) });
    const [away, again] = [next(client, "connecting"), next(client, "connected")];
    await hub.api("disconnect", { user: "99", disconnect: { code: 4000, reason: "elsewhere" } });
    assert.equal((await away).code, 4000);
    await again;
    const ended = next(client, "disconnected");
    await hub.api("disconnect", { user: "99" });
    assert.equal((await ended).code, 3503);
  });

  test("a backend subscribes and unsubscribes a running client", async () => {
    const [of, own] = [channel(), channel()];
    const client = await hub.connected(format, { token: token({ sub: "served" }) });
    const begun = next(client, "subscribed");
    await hub.api("subscribe", { user: "served", channel: of });
    assert.equal((await begun).channel, of);
    const received = next(client, "publication");
    await publish(of, "for it");
    const { channel: from, data, offset } = await received;
    assert.deepEqual([from, format.read(data), offset], [of, "for it", 1]);
    const over = next(client, "unsubscribed");
    await hub.api("unsubscribe", { user: "served", channel: of });
    assert.equal((await over).channel, of);

    const subscription = await subscribed(client, format, own);
    const ended = next(subscription, "unsubscribed");
    await hub.api("unsubscribe", { user: "served", channel: own });
    assert.equal((await ended).code, 2000);
    client.disconnect();
  });

  test("a token subscribes its client, which recovers what it missed", async () => {
    const cable = await Cable.to(hub);
    const name = channel();
    const client = hub.client(format, { token: token({ sub: "42", channels: [name] }) }, cable.url);
    const received = [];
    client.on("publication", ({ data }) => {
      received.push(format.read(data));
      client.emit("collected");
    });
    const begun = next(client, "subscribed");
    client.connect();
    assert.equal((await begun).channel, name);
    await publish(name, 1);
    while (received.length < 1) await next(client, "collected");
    const [away, again] = [next(client, "connecting"), next(client, "subscribed")];
    cable.cut();
    await away;
    for (const value of [2, 3]) await publish(name, value);
    const { wasRecovering, recovered } = await again;
    assert.ok(wasRecovering && recovered);
    while (received.length < 3) await next(client, "collected");
    assert.deepEqual(received, [1, 2, 3]);
    client.disconnect();
    cable.close();
  });

  test("a token of its own opens a private channel, and is replaced before it ends", async () => {
    const name = `$${channel()}`;
    const client = await hub.connected(format, { token: token({ sub: "42" }) });
    const { promise: replaced, resolve } = Promise.withResolvers();
    let asked = 0;
    const getToken = async () => {
      asked += 1;
      if (asked === 2) resolve();
      return token({ sub: "42", channel: name, exp: now() + (asked === 1 ? 2 : 3600) });
    };
    const subscription = await subscribed(client, format, name, { getToken });
    subscription.on("subscribing", () => ends.push("a refreshed subscription is made again"));
    await replaced;
    // The reply to this comes after the one to the new token.
    await subscription.publish(format.write("in"));
    assert.deepEqual(await values(subscription, 1), ["in"]);
    subscription.removeAllListeners("subscribing");
    client.disconnect();
  });

  test("bytes arrive as they are in Protobuf, and said to be bytes in JSON", async () => {
    const name = channel();
    const clients = await Promise.all(FORMATS.map((one) => hub.connected(one)));
    const [json, protobuf] = clients.map((client) => client.newSubscription(name));
    const received = [[], []];
    await Promise.all(
      [json, protobuf].map((subscription, index) => {
        subscription.on("publication", (one) => {
          received[index].push(one.data);
          subscription.emit("collected");
        });
        const done = next(subscription, "subscribed");
        subscription.subscribe();
        return done;
      }),
    );
    const bytes = Uint8Array.of(0xff, 0, 0x0a);
    await protobuf.publish(bytes);
    await protobuf.publish(new TextEncoder().encode("text"));
    await json.publish({ a: 1 });
    await hub.api("publish", { channel: name, b64data: "AP8=" });
    for (const [index, subscription] of [json, protobuf].entries()) {
      while (received[index].length < 4) await next(subscription, "collected");
    }
    assert.deepEqual(received[0], [{ b64data: "/wAK" }, "text", { a: 1 }, { b64data: "AP8=" }]);
    assert.deepEqual(
      received[1].map((data) => Buffer.from(data).toString("latin1")),
      ["\xff\0\n", "text", '{"a":1}', "\0\xff"],
    );
    clients.forEach((client) => client.disconnect());
  });

  test("two SDK clients, a chat client and a backend see one order", async () => {
    const name = channel();
    const clients = await Promise.all(FORMATS.map((one) => hub.connected(one)));
    const subscriptions = await Promise.all(clients.map((client, index) => subscribed(client, FORMATS[index], name)));
    const chat = new WebSocket(`${hub.url.replace("http", "ws")}/ws?channel=${encodeURIComponent(name)}`);
    const lines = [];
    chat.onmessage = ({ data }) => {
      lines.push(...data.split("\n"));
      chat.dispatchEvent(new Event("lines"));
    };
    await new Promise((resolve) => (chat.onopen = resolve));
    const count = 25;
    const all = 4 * count;
    await Promise.all([
      ...subscriptions.map(async (subscription, of) => {
        for (const value of range(1, count)) await subscription.publish(FORMATS[of].write(`${of}-${value}`));
      }),
      (async () => {
        for (const value of range(1, count)) await publish(name, `backend-${value}`);
      })(),
      (async () => {
        for (const value of range(1, count)) chat.send(`chat-${value}`);
      })(),
    ]);
    const [first, second] = await Promise.all(subscriptions.map((subscription) => values(subscription, all)));
    while (lines.length < all) await new Promise((resolve) => chat.addEventListener("lines", resolve, { once: true }));
    assert.deepEqual(first, second);
    assert.deepEqual(lines, first);
    assert.equal(new Set(lines).size, all);
    chat.close();
    clients.forEach((client) => client.disconnect());
  });

  test("a client that cannot keep up with a channel subscribes to it again, on the same connection", async () => {
    // What is held back holds back pings, and is not read: on a slow machine for longer than the usual limits.
    const patient = ["--ping-interval", "120s", "--pong-timeout", "110s", "--outbox-stall-max", "1h"];
    const few = ["--outbox-bytes-max", "64KiB"];
    const other = await Hub.start(["--config", path("hub.toml"), "--api-keys", KEY, ...patient, ...few]);
    const cable = await Cable.to(other);
    const client = await other.connected(format, {}, cable.url);
    const [busy, quiet] = [channel(), channel()];
    const [lagging, calm] = [await subscribed(client, format, busy), await subscribed(client, format, quiet)];
    const moves = [];
    client.on("connecting", (context) => moves.push(context));
    calm.on("subscribing", (context) => moves.push(context));
    const [away, again] = [next(lagging, "subscribing"), next(lagging, "subscribed")];
    cable.hold();
    // More than the sockets on the way hold.
    const large = "x".repeat(60_000);
    for (const _ of range(1, 40)) {
      await other.api("batch", { commands: range(1, 10).map(() => ({ publish: { channel: busy, data: large } })) });
    }
    await other.api("publish", { channel: quiet, data: 1 });
    cable.release();
    assert.equal((await away).code, 2500);
    const { wasRecovering, recovered } = await again;
    assert.deepEqual([wasRecovering, recovered], [true, false], "it is told that it has missed something");
    await other.api("publish", { channel: busy, data: "after" });
    while (lagging.received.at(-1)?.value !== "after") await next(lagging, "collected");
    const offsets = lagging.received.map((one) => one.offset);
    assert.deepEqual(offsets.slice(0, -1), range(1, offsets.length - 1), "without a gap before");
    assert.deepEqual(await values(calm, 1), [1]);
    assert.deepEqual(moves, [], "nothing else has ended");
    client.disconnect();
    cable.close();
    await other.stop();
  });

  test("clients of a hub that stops try again", async () => {
    const other = await Hub.start();
    const client = await other.connected(format);
    const away = next(client, "connecting");
    await other.stop();
    assert.equal((await away).code, 3001);
    client.disconnect();
  });
}
