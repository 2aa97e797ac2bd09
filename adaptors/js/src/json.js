// JSON as bytes.

import { AdaptorError } from "./error.js";

export const encode = (text) => new TextEncoder().encode(text);
export const decode = (bytes) => new TextDecoder().decode(bytes);

export const toBytes = (value) => encode(JSON.stringify(value));
export const fromBytes = (bytes) => JSON.parse(decode(bytes));

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** A task's body: one JSON object. */
export function parseBody(bytes) {
  let value;
  try {
    value = fromBytes(bytes);
  } catch (error) {
    throw AdaptorError.badRequest("invalid_json", `the body is not a JSON object: ${error.message}`);
  }
  if (!isObject(value)) throw AdaptorError.badRequest("invalid_json", "the body is not a JSON object");
  return value;
}

/** The `config` of an endpoint or a cluster. */
export function parseConfig(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AdaptorError(400, "invalid_config", `the config is not valid: ${error.message}`);
  }
  if (!isObject(value)) throw new AdaptorError(400, "invalid_config", "the config is not valid: it must be an object");
  return value;
}
