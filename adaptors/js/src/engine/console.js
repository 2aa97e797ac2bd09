// `console`, whose lines go to the operator's log.

import { log } from "../log.js";

const text = (values) => values.map((value) => (typeof value === "string" ? value : shown(value))).join(" ");

function shown(value) {
  if (value instanceof Error) return value.stack ? `${value}\n${value.stack}` : `${value}`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

const at = (write) => (...values) => write(text(values));

export const console = {
  trace: at(log.trace),
  debug: at(log.debug),
  log: at(log.info),
  info: at(log.info),
  warn: at(log.warn),
  error: at(log.error),
};
