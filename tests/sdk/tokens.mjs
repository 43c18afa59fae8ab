/** Tokens of the hub that hub.toml configures. */

import { createHmac } from "node:crypto";

const SECRET = "a secret of the tests that is long enough";

/** Makes a token, as the backend of an application does; it lives for an hour unless the claims say otherwise. */
export function token(claims) {
  return sign({ exp: now() + 3600, ...claims }, SECRET);
}

/** Makes a token that says just this. */
export function sign(claims, secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** Seconds since 1970, as tokens have them. */
export const now = () => Math.floor(Date.now() / 1000);
