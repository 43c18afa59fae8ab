/**
 * Does the chat page, served by the hub and run by a browser, do what it says? The names of the tests are the claims.
 *
 * Conditions are waited for, nothing sleeps. What a hub does only in distress (a refusal, a flood) is played to the page
 * by a socket within the browser; everything else goes through the hub.
 */

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";

import { Chat, Hub, launchBrowser } from "./harness.mjs";

const hub = new Hub();
let browser;
let context;
/** Of the current test: a channel shows what was said in it before. */
let channel;
let tests = 0;

before(async () => {
  [browser] = await Promise.all([launchBrowser(), hub.start()]);
});
after(async () => {
  await browser?.close();
  await hub.stop();
});
beforeEach(async () => {
  channel = `test-${(tests += 1)}`;
  context = await browser.newContext({ viewport: { width: 900, height: 600 } });
});
afterEach(async () => {
  // The icon may still be on its way through a route, and a route cut off fails the whole file.
  await context.unrouteAll({ behavior: "wait" });
  await context.close();
});

const open = (options) => Chat.open(context, hub.url, { channel, ...options });

/** Opens a page whose socket is played by `play(socket)`, once per connection. */
async function openPlayed(play, options) {
  await context.routeWebSocket(/\/ws\?/, play);
  return open(options);
}

test("two pages talk to each other", async () => {
  const [ann, bob] = [await open(), await open()];
  await ann.say("hello from ann");
  await bob.hears("hello from ann");
  await bob.say("hello from bob");
  await ann.hears("hello from bob");
  await ann.$(".own", { hasText: "hello from ann" }).waitFor();
  assert.deepEqual(await ann.lines(), ["hello from ann", "hello from bob"]);
  assert.equal(await ann.$(".own").count(), 1);
});

test("a name goes before the text and outlives the page", async () => {
  const [ann, bob] = [await open(), await open()];
  await ann.$("#name").fill("Ann");
  await ann.say("who is there?");
  await bob.hears("Ann: who is there?");
  await ann.page.reload();
  assert.equal(await ann.$("#name").inputValue(), "Ann");
});

test("a name with control or direction characters, or too long a one, is refused", async () => {
  const ann = await open();
  for (const name of ["\u202Ennа", "a\u0007", "n".repeat(33)]) {
    await ann.$("#name").fill(name);
    await ann.$("#hint.error", { hasText: "A name has" }).waitFor();
    await ann.say("not sent");
  }
  await ann.$("#name").fill("😀".repeat(32));
  await ann.say("sent");
  await ann.hears(`${"😀".repeat(32)}: sent`);
  assert.equal((await ann.lines()).length, 1);
});

test("the channel in the address separates pages", async () => {
  const [red, blue, alsoRed] = [
    await open({ channel: "red" }),
    await open({ channel: "blue" }),
    await open({ channel: "red" }),
  ];
  assert.equal(await red.$("#channel").inputValue(), "red");
  await red.say("only for red");
  await alsoRed.hears("only for red");
  // What blue sees after its own line came back cannot have been overtaken by red's.
  await blue.say("only for blue");
  await blue.hears("only for blue");
  assert.deepEqual(await blue.lines(), ["only for blue"]);
});

test("another channel is joined in place, and the back button returns", async () => {
  const [ann, bob] = [await open(), await open({ channel: "team.1$,@" })];
  await ann.$("#channel").fill("team.1$,@");
  await ann.$("#channel").press("Enter");
  await ann.state("connected");
  await ann.say("moved");
  await bob.hears("moved");
  assert.equal(new URL(ann.page.url()).searchParams.get("channel"), "team.1$,@");
  await ann.page.goBack();
  await ann.until((name) => document.title === `#${name} · throng`, channel);
  assert.equal(await ann.$("#channel").inputValue(), channel);
});

test("behind TLS and a path of a proxy, the page finds its files and its socket", async () => {
  const outside = "https://chat.example/tools/throng/";
  await context.route(`${outside}**`, async (route) => {
    const response = await route.fetch({ url: route.request().url().replace(outside, hub.url) });
    await route.fulfill({ response });
  });
  const sockets = [];
  await context.routeWebSocket(/\/ws\?/, (socket) => sockets.push(socket.url()));
  const ann = await Chat.open(context, outside, { channel: "a#b" });
  assert.deepEqual(sockets, [`${outside.replace("https:", "wss:")}ws?channel=a%23b&heartbeat=on&history=50`]);
  assert.deepEqual(ann.complaints, []);
});

test("an invalid channel is an error in place and reaches no hub", async () => {
  const ann = await open({ channel: "no spaces", waitUntilConnected: false });
  await ann.$("#channel-error:visible").waitFor();
  await ann.state("idle");
  let sockets = 0;
  ann.page.on("websocket", () => (sockets += 1));
  for (const name of ["ümlaut", "x".repeat(256)]) {
    await ann.$("#channel").fill(name);
    await ann.$("#channel").press("Enter");
    await ann.$("#channel-error:visible").waitFor();
  }
  assert.equal(sockets, 0);
  await ann.$("#channel").fill("x".repeat(255));
  await ann.$("#channel").press("Enter");
  await ann.state("connected");
  assert.equal(await ann.$("#channel-error:visible").count(), 0);
  assert.equal(sockets, 1);
});

test("pages come back after a restart of the hub and say so", async () => {
  const [ann, bob] = [await open(), await open()];
  await hub.stop();
  await Promise.all([ann, bob].map((chat) => chat.notice(/Connection lost.*Reconnecting…/)));
  await hub.start();
  // Another hub with another history: nobody knows what was said.
  const returned = "Reconnected. Messages sent while disconnected may be missing.";
  await Promise.all([ann, bob].map((chat) => chat.notice(returned)));
  await ann.say("still here");
  await bob.hears("still here");
});

test("a page that comes late shows what was said, and when", async () => {
  const ann = await open();
  for (let line = 1; line <= 60; line += 1) await ann.say(`line ${line}`);
  await ann.hears("line 60");
  const times = await ann.$(".line time").evaluateAll((times) => times.map((time) => time.dateTime));
  const bob = await open();
  await bob.hears("line 60");
  assert.deepEqual(await bob.lines(), Array.from({ length: 50 }, (_, line) => `line ${line + 11}`));
  assert.deepEqual(await bob.$(".line time").evaluateAll((times) => times.map((time) => time.dateTime)), times.slice(10));
});

test("a page whose line broke shows what it missed, in place and once", async () => {
  let lines = [];
  await context.routeWebSocket(/\/ws\?/, (socket) => lines.push({ socket, server: socket.connectToServer() }));
  const ann = await open();
  const [cut] = lines;
  const bob = await open();
  await ann.say("before");
  await bob.hears("before");
  await ann.hears("before");
  // What Ann says now reaches the hub, and nothing reaches Ann.
  cut.server.onMessage(() => {});
  await ann.say("half way");
  await bob.say("missed");
  await bob.hears("missed");
  await bob.hears("half way");
  await cut.socket.close({ code: 4008, reason: "slow consumer" });
  await ann.notice("Reconnected. Nothing was missed.");
  await ann.hears("missed");
  const shown = await ann.lines();
  assert.deepEqual(shown.toSorted(), ["before", "half way", "missed"]);
  assert.deepEqual(shown, await bob.lines(), "in the order of everyone");
  // It came back, so it need not be sent again.
  assert.equal(await ann.$("#message").inputValue(), "");
  assert.equal(await ann.$(".notice", { hasText: "may not have arrived" }).count(), 0);
  assert.equal(await ann.$(".own", { hasText: "half way" }).count(), 1);
});

test("a page shows how many are in the channel, while it knows", async () => {
  const here = (chat, text) => chat.until((text) => document.getElementById("occupancy").textContent === text, text);
  const ann = await open();
  await here(ann, "1 here");
  const bob = await open();
  await Promise.all([ann, bob].map((chat) => here(chat, "2 here")));
  await bob.page.close();
  await here(ann, "1 here");
  await hub.stop();
  await here(ann, "");
  await hub.start();
  await here(ann, "1 here");
});

test("text typed while the hub is away stays and can be sent later", async () => {
  const ann = await open();
  await hub.stop();
  await ann.state("waiting");
  await ann.say("written in the dark");
  await ann.$("#hint", { hasText: "Not connected" }).waitFor();
  assert.equal(await ann.$("#send").getAttribute("aria-disabled"), "true");
  assert.equal(await ann.$("#message").inputValue(), "written in the dark");
  await hub.start();
  await ann.state("connected");
  assert.equal(await ann.$("#message").inputValue(), "written in the dark");
  await ann.$("#message").press("Enter");
  await ann.hears("written in the dark");
});

test("a line that never came back is put back into the field", async () => {
  let socket;
  const ann = await openPlayed((played) => {
    socket = played;
    played.onMessage(() => {});
    played.send(" [throng] position none 0");
  });
  await ann.say("into the void");
  await socket.close({ code: 4008, reason: "slow consumer" });
  await ann.notice("Connection lost (4008 slow consumer). Reconnecting…");
  await ann.notice("may not have arrived");
  assert.equal(await ann.$("#message").inputValue(), "into the void");
});

test("a refusal (4500 to 4999) is obeyed until the button is pressed", async () => {
  let connections = 0;
  const ann = await openPlayed((socket) => {
    connections += 1;
    if (connections === 1) socket.close({ code: 4501, reason: "not permitted" });
  }, { waitUntilConnected: false });
  await ann.notice("Disconnected (4501 not permitted). The hub asked not to reconnect.");
  await ann.state("refused");
  await ann.$("#retry").click();
  await ann.state("connected");
  assert.equal(connections, 2);
});

test("a handshake that is refused for good is not tried again, and the reason is told once", async () => {
  const strict = new Hub({ flags: ["--allow-subscribe", "authenticated"] });
  await strict.start();
  try {
    for (const [url, name, reason] of [
      [hub.url, "nowhere:x", "Not connected: Not Found: "],
      [strict.url, "demo", "Not connected: Forbidden: "],
    ]) {
      const handshakes = [];
      const ann = await Chat.open(context, url, {
        channel: name,
        waitUntilConnected: false,
        prepare: (page) => page.on("websocket", (socket) => handshakes.push(socket.url())),
      });
      await ann.state("refused");
      await ann.notice(reason);
      assert.equal(await ann.$(".notice", { hasText: "Not connected" }).count(), 1);
      assert.equal(await ann.$("#welcome").isVisible(), false, "a page that is not connected invites to nothing");
      const before = handshakes.length;
      // Nothing is scheduled any more: only the button tries again, and the answer is the same.
      await ann.$("#retry").click();
      await ann.until(() => document.querySelectorAll(".notice").length === 2);
      await ann.state("refused");
      assert.ok(handshakes.length > before);
    }
  } finally {
    await strict.stop();
  }
});

test("a full hub says so once, and is asked again until there is room", async () => {
  const small = new Hub({ flags: ["--connections-max", "1"] });
  await small.start();
  try {
    const ann = await Chat.open(context, small.url, { channel });
    const bob = await Chat.open(context, small.url, { channel, waitUntilConnected: false });
    await bob.notice("Not connected yet: Service Unavailable: ");
    await bob.state("waiting");
    await ann.page.close();
    // Nobody presses Retry: the page may have been faster, and then there is no such button any more.
    await bob.state("connected");
    assert.equal(await bob.$(".notice", { hasText: "Not connected" }).count(), 1);
  } finally {
    await small.stop();
  }
});

test("markup and special names stay text", async () => {
  const [ann, bob] = [await open(), await open()];
  const texts = ["<img src=x onerror=\"document.title='owned'\">", "<script>document.title='owned'</script>", "__proto__"];
  for (const name of ["__proto__", "constructor", "<b>bold</b>"]) {
    await ann.$("#name").fill(name);
    for (const text of texts) {
      await ann.say(text);
      await bob.hears(`${name}: ${text}`);
    }
  }
  assert.equal(await bob.$("#log :is(img, script, b)").count(), 0);
  assert.equal(await bob.page.title(), `#${channel} · throng`);
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});

test("a strict policy is sent and a whole visit breaks none of it", async () => {
  const ann = await open();
  const policy = ann.response.headers()["content-security-policy"] ?? "";
  for (const rule of ["default-src 'none'", "script-src 'self'", "form-action 'none'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(rule), `${rule} in ${policy}`);
  }
  assert.ok(!policy.includes("unsafe"), policy);
  await ann.say("hello");
  await ann.hears("hello");
  await ann.$("#channel").fill("elsewhere");
  await ann.$("#channel").press("Enter");
  await ann.state("connected");
  assert.deepEqual(ann.complaints, []);
});

test("the log follows at its end, and stays where it is when scrolled up", async () => {
  const ann = await open();
  const atEnd = () => {
    const log = document.getElementById("log");
    return log.scrollTop > 0 && log.scrollHeight - log.clientHeight - log.scrollTop < 2;
  };
  for (let i = 0; i < 40; i += 1) await ann.say(`line ${i}`);
  await ann.hears("line 39");
  await ann.until(atEnd);

  const bob = await open();
  await ann.page.bringToFront();
  await ann.$("#log").hover();
  await ann.page.mouse.wheel(0, -300);
  await ann.until(() => {
    const log = document.getElementById("log");
    return log.scrollHeight - log.clientHeight - log.scrollTop >= 300;
  });
  const top = await ann.$("#log").evaluate((log) => log.scrollTop);
  await bob.say("news");
  await ann.hears("news");
  await ann.$("#jump:visible", { hasText: "1 new message" }).waitFor();
  assert.equal(await ann.$("#log").evaluate((log) => log.scrollTop), top);

  await ann.$("#jump").click();
  await ann.until(atEnd);
  await ann.$("#jump").waitFor({ state: "hidden" });
  await bob.say("more news");
  await ann.hears("more news");
  await ann.until(atEnd);
});

test("a flood leaves the newest 2,000 lines and the reader's place", async () => {
  let socket;
  const ann = await openPlayed((played) => (socket = played));
  const flood = (from, to) => {
    const lines = Array.from({ length: to - from }, (_, i) => `line ${from + i}`);
    for (let at = 0; at < lines.length; at += 100) socket.send(lines.slice(at, at + 100).join("\n"));
  };
  flood(0, 5_000);
  await ann.hears("line 4999");
  assert.equal(await ann.$(".line").count(), 2_000);

  // Someone reads line 4000 while lines above it are dropped.
  await ann.$(".line", { hasText: "line 4000" }).evaluate((line) => line.scrollIntoView());
  // Two frames later everything that the page had planned is done; before that, the place may still move.
  const offset = () =>
    ann.$(".line", { hasText: "line 4000" }).evaluate(async (line) => {
      for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
      return line.getBoundingClientRect().top;
    });
  const before = await offset();
  flood(5_000, 5_500);
  await ann.hears("line 5499");
  assert.equal(await ann.$(".line").count(), 2_000);
  assert.ok(Math.abs((await offset()) - before) <= 1);
});

test("a flood is drawn a few lines a frame, so that typing does not stutter", async () => {
  let socket;
  const ann = await openPlayed((played) => (socket = played));
  await ann.page.evaluate(() => {
    window.drawnAtOnce = [];
    new MutationObserver((changes) => {
      window.drawnAtOnce.push(changes.reduce((sum, { addedNodes }) => sum + addedNodes.length, 0));
    }).observe(document.querySelector("#log"), { childList: true });
  });
  socket.send(Array.from({ length: 1_500 }, (_, i) => `line ${i}`).join("\n"));
  await ann.hears("line 1499");
  const drawnAtOnce = await ann.page.evaluate(() => window.drawnAtOnce);
  assert.ok(Math.max(...drawnAtOnce) <= 200, `${drawnAtOnce}`);
  assert.equal(await ann.$(".line").count(), 1_500);
});

test("different names have different colours", async () => {
  let socket;
  const ann = await openPlayed((played) => (socket = played));
  // With a colour by hash alone Alice and Bob had the same one.
  const names = ["Alice", "Bob", "Carol", "Dave", "Eve", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Mallory", "Niaj"];
  socket.send([...names, "Alice"].map((name) => `${name}: hello`).join("\n"));
  await ann.hears("Niaj: hello");
  const authors = await ann.$(".author").evaluateAll((all) => all.map((one) => getComputedStyle(one).color));
  assert.equal(new Set(authors.slice(0, names.length)).size, names.length);
  assert.equal(authors.at(-1), authors[0], "the same name keeps its colour");
});

test("a long line is folded, and unfolded on request", async () => {
  let socket;
  const ann = await openPlayed((played) => (socket = played));
  const long = `Ann: ${"word ".repeat(12_000)}end`;
  socket.send(long);
  await ann.$(".more").waitFor();
  assert.ok((await ann.$(".line p").textContent()).length < 2_000);
  await ann.$(".more").click();
  assert.equal(await ann.$(".line p").textContent(), long);
  assert.equal(await ann.$(".line .author").textContent(), "Ann");
});

test("addresses are links that give nothing away, and nothing else is one", async () => {
  let socket;
  const ann = await openPlayed((played) => (socket = played));
  socket.send("see https://example.com/a?b=c#d. Or (http://[::1]:8080/x), not javascript:alert(1) or https:// alone");
  await ann.$(".line a").first().waitFor();
  const links = await ann.$(".line a").evaluateAll((all) => all.map((one) => [one.href, one.rel, one.target]));
  const rel = "noopener noreferrer nofollow";
  assert.deepEqual(links, [
    ["https://example.com/a?b=c#d", rel, "_blank"],
    ["http://[::1]:8080/x", rel, "_blank"],
  ]);
});

test("a line that was cut without a word is noticed without the browser's help", async () => {
  const sockets = [];
  await context.clock.install();
  const ann = await openPlayed((played) => sockets.push(played));
  sockets[0].send(" [throng] ping 54");
  sockets[0].send("hello");
  await ann.hears("hello");
  await context.clock.runFor(60_000);
  assert.equal(sockets.length, 1, "the next sign of life may be late");
  sockets[0].send(" [throng] ping 54");
  await context.clock.runFor(60_000);
  assert.equal(sockets.length, 1, "it came");
  // Not longer: an attempt to connect ends by the same clock.
  await context.clock.runFor(12_000);
  await ann.notice("Connection lost");
  await ann.state("connected");
  assert.equal(sockets.length, 2);
  assert.deepEqual(await ann.lines(), ["hello"], "signs of life are not shown");
});

test("a hub that is asked for signs of life sends them", async () => {
  const first = new Promise((resolve) => {
    context.on("page", (page) => {
      page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => resolve(payload)));
    });
  });
  await open();
  assert.match(await first, /^ \[throng\] ping \d+$/);
});

test("the hub's own words are set apart, and nobody can say something in its name", async () => {
  let socket;
  const ann = await openPlayed((played) => (socket = played));
  // The hub trims the lines of clients, so only its own begin with a space.
  socket.send("[throng] 9 messages skipped: a forgery");
  socket.send(" [throng] 3 messages skipped: this connection is too slow");
  await ann.notice("3 messages skipped: this connection is too slow");
  assert.deepEqual(await ann.lines(), ["[throng] 9 messages skipped: a forgery"]);
  assert.equal(await ann.$(".notice", { hasText: "forgery" }).count(), 0);
});

test("a new day is set apart in the log", async () => {
  let socket;
  await context.clock.install({ time: new Date("2026-03-01T12:00:00") });
  const ann = await openPlayed((played) => (socket = played));
  socket.send("late");
  await ann.hears("late");
  await context.clock.setFixedTime(new Date("2026-03-02T12:00:00"));
  socket.send("early");
  await ann.hears("early");
  assert.equal(await ann.$(".day").count(), 1);
  assert.match(await ann.$(".day").textContent(), /2026/);
});

test("a message of 64 KiB is named and stays, one byte less is sent", async () => {
  const ann = await openPlayed((socket) => socket.onMessage((text) => socket.send(text)));
  const limit = 64 * 1024 - 1;
  // "é" is two bytes of UTF-8: the limit is not one of characters.
  const longest = `${"é".repeat((limit - 1) / 2)}x`;
  await ann.say(`${longest}x`);
  await ann.$("#hint.error", { hasText: "1 byte too long" }).waitFor();
  assert.equal((await ann.$("#message").inputValue()).length, longest.length + 1);
  await ann.say(longest);
  await ann.$(".own").waitFor();
  assert.equal(await ann.$("#message").inputValue(), "");
});

test("everything can be done with the keyboard, and the focus is seen", async () => {
  const ann = await open();
  const press = (...keys) => keys.reduce((done, key) => done.then(() => ann.page.keyboard.press(key)), Promise.resolve());
  const focused = () => ann.page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  assert.equal(await focused(), "message");
  await ann.page.keyboard.type("typed");
  await press("Enter");
  await ann.hears("typed");
  assert.equal(await focused(), "message");

  const stops = [];
  for (let i = 0; i < 4; i += 1) {
    await press("Shift+Tab");
    stops.push(await focused());
    const outline = await ann.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", `focus on ${stops.at(-1)} is seen`);
  }
  assert.deepEqual(stops, ["name", "log", "Join", "channel"]);

  await press("Control+A");
  await ann.page.keyboard.type("keys");
  await press("Enter");
  await ann.state("connected");
  assert.equal(await focused(), "message");
  await press("Shift+Tab");
  await ann.page.keyboard.type("Kay");
  await press("Enter");
  await ann.page.keyboard.type("no mouse");
  await press("Enter");
  await ann.hears("Kay: no mouse");
});

test("a screen of 360 pixels shows everything without scrolling sideways", async () => {
  const ann = await open({ channel: "c".repeat(255) });
  await ann.page.setViewportSize({ width: 360, height: 640 });
  await ann.$("#name").fill("N".repeat(32));
  await ann.say("w".repeat(500));
  await ann.$(".line").waitFor();
  await hub.stop();
  await ann.state("waiting");
  const width = await ann.page.evaluate(() => {
    const widths = [document.documentElement, ...document.querySelectorAll("body *:not(.spoken, input)")];
    return Math.max(...widths.map((element) => Math.max(element.scrollWidth, element.getBoundingClientRect().right)));
  });
  assert.ok(width <= 360, `${width} pixels wide`);
  const [sign, state] = [await ann.$("h1").boundingBox(), await ann.$("#status").boundingBox()];
  assert.ok(sign.x + sign.width <= state.x, "the state has its own room");
  for (const id of ["channel", "retry", "log", "name", "message", "send"]) {
    const box = await ann.$(`#${id}`).boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= 640, `${id} is on the screen`);
  }
  await hub.start();
});
