/** The examples of docs/sdk.md, as they stand there, against a hub that is started as that page says. */

import assert from "node:assert/strict";
import { after, before, describe, test as testOf } from "node:test";

import { Hub, KEY, Program, path } from "./harness.mjs";

/** How long one test may take, in ms: longer than on any machine, reaching it is a failure. */
const timeout = Number(process.env.SDK_TIMEOUT ?? 120_000);

/** `shows` is how a program prints a string that it got as data. */
const EXAMPLES = [
  { sdk: "JavaScript", command: [process.execPath, path("examples/chat.mjs")], shows: (text) => text, isComplete: true },
  { sdk: "Python", command: [process.env.SDK_PYTHON, path("examples/chat.py")], shows: (text) => text, isComplete: true },
  // It knows neither history nor presence, does not recover, and tells no codes.
  { sdk: "Rust", command: [process.env.SDK_RUST_CHAT], shows: (text) => `"${text}"`, isComplete: false },
];

describe("the examples of docs/sdk.md", { concurrency: true }, () => {
  for (const example of EXAMPLES) describe(example.sdk, { concurrency: 1 }, () => suite(example));
});

function suite({ sdk, command, shows, isComplete }) {
  let hub;
  before(async () => (hub = await Hub.start(["--presence", "--join-leave", "--api-keys", KEY])));
  after(() => hub.stop());

  const publish = (data) => hub.api("publish", { channel: "lobby", data });
  const test = (name, run) => testOf(name, { timeout }, run);

  test("it says hello, hears a backend, and returns after a disconnect", async () => {
    const program = new Program([...command, hub.socketUrl]);
    await program.prints("subscribed");
    await program.prints(`publication: ${shows(`hello from ${sdk}`)}`);
    if (isComplete) {
      await program.prints("history: 0");
      await program.prints("clients: 1");
    }
    await publish("from a backend");
    await program.prints(`publication: ${shows("from a backend")}`);

    const { presence } = await hub.api("presence", { channel: "lobby" });
    const [client] = Object.keys(presence);
    if (isComplete) await program.prints(`join: ${client}`);
    const before = program.lines.length;
    await hub.api("disconnect", { client, disconnect: { code: 4000 } });
    if (isComplete) await publish("meanwhile");
    await program.prints(isComplete ? /^connecting: 4000 / : /^connecting: 0 /, before);
    await program.prints(isComplete ? "subscribed again, recovered: true" : "subscribed", before);
    await publish("afterwards");
    await program.prints(`publication: ${shows("afterwards")}`, before);
    const published = program.lines.filter((line) => line.startsWith("publication: "));
    const expected = [`hello from ${sdk}`, "from a backend", ...(isComplete ? ["meanwhile"] : []), "afterwards"];
    assert.deepEqual(published, expected.map((text) => `publication: ${shows(text)}`));
    await program.end();
  });

  test("it does not return after a code that says so", async () => {
    const program = new Program([...command, hub.socketUrl]);
    await program.prints(`publication: ${shows(`hello from ${sdk}`)}`);
    const { presence } = await hub.api("presence", { channel: "lobby" });
    const [client] = Object.keys(presence);
    await hub.api("disconnect", { client, disconnect: { code: 4500 } });
    await program.prints(isComplete ? /^disconnected: 4500 / : /^disconnected: 0 /);
    await program.end();
  });
}
