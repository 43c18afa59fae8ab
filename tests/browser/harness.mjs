/** A hub and a browser for one test run: both are started here and ended here, by their own handles. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

/** A hub that stops closes its pages at once: draining is not what these tests are about. */
const STOPS_AT_ONCE = ["--lb-grace", "0s", "--drain-time", "0s"];
/**
 * How long a page may take to reach a state, or a hub to end, in ms: longer than on any machine, reaching it is a
 * failure.
 */
export const STATE_TIMEOUT = 120_000;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launchBrowser() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--headless", ...FLAGS] });
}

export class Hub {
  #binary;
  #flags;
  #child = null;
  /** The page's address, known from the hub's first line. */
  url = null;

  constructor({ binary = process.env.THRONG_BIN, flags = [] } = {}) {
    assert.ok(binary, "THRONG_BIN names the hub's binary");
    this.#binary = binary;
    this.#flags = flags;
  }

  /** Starts on a free port the first time and on the same port from then on. */
  async start() {
    const address = this.url === null ? "127.0.0.1:0" : new URL(this.url).host;
    const tls = this.#flags.includes("--tls-key") ? "tls+" : "";
    const flags = ["--addr", tls + address, ...STOPS_AT_ONCE, ...this.#flags];
    const child = spawn(this.#binary, flags, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([once(lines, "line"), once(child, "exit").then(() => ["(exited)"])]);
    this.url = /https?:\/\/\S+/.exec(line)?.[0];
    assert.ok(this.url, `the hub's first line has no address: ${line}`);
  }

  async stop() {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    const timer = setTimeout(() => child.kill("SIGKILL"), STATE_TIMEOUT);
    child.kill("SIGTERM");
    await exited;
    clearTimeout(timer);
  }
}

/** A page of the chat as its user has it: opens a channel, reads the log, writes a line. */
export class Chat {
  /** What a clean run has none of: console errors, exceptions, violations of the policy. */
  complaints = [];

  /** `prepare` gets the page before it loads. */
  static async open(context, url, { channel, waitUntilConnected = true, prepare = () => {} } = {}) {
    const chat = new Chat();
    chat.page = await context.newPage();
    prepare(chat.page);
    chat.page.setDefaultTimeout(STATE_TIMEOUT);
    chat.page.on("pageerror", (error) => chat.complaints.push(error.message));
    chat.page.on("console", (message) => message.type() === "error" && chat.complaints.push(message.text()));
    await chat.page.exposeFunction("complain", (text) => chat.complaints.push(text));
    await chat.page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => window.complain(`blocked: ${event.blockedURI}`));
    });
    const address = new URL(url);
    if (channel !== undefined) address.searchParams.set("channel", channel);
    chat.response = await chat.page.goto(address.href);
    if (waitUntilConnected) await chat.state("connected");
    return chat;
  }

  $(selector, options) {
    return this.page.locator(selector, options);
  }

  /** Waits until the page shows this state of its connection. */
  state(kind) {
    return this.$(`#status[data-state="${kind}"]`).waitFor();
  }

  async say(text) {
    await this.$("#message").fill(text);
    await this.$("#message").press("Enter");
  }

  /** Waits until exactly this line is in the log. */
  hears(text) {
    return this.until((line) => [...document.querySelectorAll(".line p")].some((p) => p.textContent === line), text);
  }

  /** Waits for what the page itself says in the log. */
  notice(text) {
    return this.$(".notice", { hasText: text }).first().waitFor();
  }

  lines() {
    return this.$(".line p").allTextContents();
  }

  /** Waits until `condition`, run in the page once per frame, is true. */
  until(condition, argument) {
    return this.page.waitForFunction(condition, argument);
  }
}
