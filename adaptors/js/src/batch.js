// Batches between the contract's records and what adaptors say: missing fields are left out there, and null here.

import { encode } from "./json.js";
import { operationOf, pathOf } from "./operation.js";

/** `{ id, operation, model, user, input: { content } or { path }, outputFolderPath }`. */
export function requestOf({ operation, input, ...rest }) {
  return { ...rest, operation: pathOf(operation), input: { [input.tag]: input.val } };
}

export function submitted({ handle, taskIds = [], state = "pending" }) {
  return { handle, taskIds, state };
}

export function progress({ state, total = null, completed = null, failed = null, message = null, results = null }) {
  return { state, total, completed, failed, message, results: results === null ? null : bytes(results) };
}

/** JSON lines, as text or as bytes. */
export const bytes = (lines) => (typeof lines === "string" ? encode(lines) : lines);
