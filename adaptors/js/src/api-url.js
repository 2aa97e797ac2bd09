// `api_url`: a base, or the full URL of one operation.

import { AdaptorError } from "./error.js";

/** Paths of operations, longest first where one ends with another. */
const OPERATIONS = [
  "chat/completions", "completions", "embeddings", "responses", "messages/count_tokens", "messages", "rerank", "score",
  "moderations", "audio/transcriptions", "audio/translations", "audio/speech", "images/generations", "images/edits",
  "images/variations",
];

export class ApiUrl {
  #path;
  #base;
  #query;

  /** Checks a URL; `key`, of the configuration, is named in the error. */
  constructor(key, url) {
    const refuse = (why) => {
      throw AdaptorError.invalidConfig(key, why);
    };
    if (typeof url !== "string") refuse("must be a string");
    if (/[\x00-\x20\x7f\\]/.test(url)) refuse("must not hold spaces, control characters or backslashes");
    if (url.includes("#")) refuse("must not hold a fragment (`#`)");
    const [, path, query] = /^([^?]*)([^]*)$/.exec(url);
    const [, authority] = /^https?:\/\/([^/]*)/i.exec(path) ?? refuse("must begin with `https://` or `http://`");
    if (authority.includes("@")) {
      refuse("must not hold a user or password: name the variable that holds the key in `api_key_env_name`");
    }
    const [, port] = /^(?:\[[^\]]+\]|[^:[\]]+)(?::(\d*))?$/.exec(authority) ?? refuse("names no host, or a port that is not a number");
    if (Number(port ?? 0) > 65535) refuse("names no host, or a port that is not a number");
    this.#path = path;
    this.#query = query;
    this.#base = baseOf(path.replace(/\/+$/, ""));
  }

  /** The URL of an operation: the configured one where it is of that operation, else the base with its path. */
  forOperation(operation) {
    if (!isPlainPath(operation)) {
      throw AdaptorError.badRequest("unsupported_operation", `${JSON.stringify(operation)} is not an operation`);
    }
    const trimmed = this.#path.replace(/\/+$/, "");
    const isWhole =
      trimmed.endsWith(`/${operation}`) &&
      // `…/chat/completions` ends with `completions` too, and is not that operation.
      (this.#base === trimmed || this.#base.length + 1 + operation.length === trimmed.length);
    return isWhole ? this.#path + this.#query : `${this.#base}/${operation}${this.#query}`;
  }
}

/** A URL's path without the operation that it ends with. */
function baseOf(path) {
  const operation = OPERATIONS.find((known) => path.endsWith(`/${known}`));
  return operation === undefined ? path : path.slice(0, -operation.length).replace(/\/+$/, "");
}

/** True for a path that stays below the base: the client chose it. */
export function isPlainPath(path) {
  return /^[\w.~/-]+$/.test(path) && path.split("/").every((part) => !["", ".", ".."].includes(part));
}
