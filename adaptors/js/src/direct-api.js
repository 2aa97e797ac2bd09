// The configuration of the direct API.

import { AdaptorError } from "./error.js";
import { ApiUrl, isPlainPath } from "./api-url.js";
import { isObject } from "./json.js";

const DEFAULT_TIMEOUT_SECONDS = 120;
const MAX_TIMEOUT_SECONDS = 3600;

/** Credentials: bound to an origin and added by the host. */
const CREDENTIALS = ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];

/** The host frames the request and manages the connection. */
const FRAMING = [
  "host", "content-length", "connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
  "transfer-encoding", "upgrade",
];

/** The keys that the direct API reads, checked. Others are left to whoever extends it. */
export function settings(config) {
  const headers = new Map([["content-type", "application/json"]]);
  const extra = typed(config, "extra_headers", isObject, "an object of strings") ?? {};
  for (const [name, value] of Object.entries(extra)) {
    checkHeader(name, value);
    headers.set(name.toLowerCase(), value);
  }
  typed(config, "api_key_env_name", isString, "a string");
  return {
    url: new ApiUrl("api_url", required(config, "api_url")),
    timeoutMs: timeoutMs(config),
    headers,
    extraBody: typed(config, "extra_body", isObject, "an object of fields to add to the body") ?? {},
    speaks: spoken(config),
  };
}

const isString = (value) => typeof value === "string";

/** The value of a key, or undefined; refused where it is something else than `what`. */
function typed(config, key, isRight, what) {
  const value = config[key] ?? undefined;
  if (value !== undefined && !isRight(value)) throw AdaptorError.invalidConfig(key, `must be ${what}`);
  return value;
}

/** The text that a key has to hold. */
export function required(config, key) {
  const value = typed(config, key, isString, "a string");
  if (value === undefined) throw AdaptorError.invalidConfig(key, "is missing");
  return value;
}

function timeoutMs(config) {
  const key = "api_request_timeout";
  const seconds = typed(config, key, (value) => typeof value === "number", "a number") ?? DEFAULT_TIMEOUT_SECONDS;
  if (!(seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS)) {
    const why = `${seconds} is not a time: write seconds above 0, up to ${MAX_TIMEOUT_SECONDS}`;
    throw AdaptorError.invalidConfig(key, why);
  }
  return Math.ceil(seconds * 1000);
}

/** The operations that the backend speaks; null for all. */
function spoken(config) {
  const isList = (value) =>
    Array.isArray(value) && value.length > 0 && value.every((path) => isString(path) && isPlainPath(path));
  const what = "a list of operations as in `chat/completions`, at least one; leave it out for all";
  return typed(config, "speaks", isList, what) ?? null;
}

/** Refuses what the host would refuse on every request, and says what to do instead. */
export function checkHeader(name, value) {
  const refuse = (why) => {
    throw AdaptorError.invalidConfig("extra_headers", why);
  };
  if (CREDENTIALS.includes(name.toLowerCase())) {
    refuse(
      `\`${name}\` is a credential: name the variable that holds it in \`api_key_env_name\`, and the gateway adds it`,
    );
  }
  if (FRAMING.includes(name.toLowerCase())) refuse(`\`${name}\` is set by the gateway: remove it`);
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) refuse(`${JSON.stringify(name)} is not a header name`);
  if (!isString(value)) refuse(`the value of \`${name}\` must be a string`);
  if (/[^\t\x20-\x7e\x80-\uffff]/.test(value)) refuse(`the value of \`${name}\` holds control characters`);
}
