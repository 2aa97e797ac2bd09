// Server-sent events, out of a body in pieces.

import { AdaptorError } from "./error.js";
import { decode } from "./json.js";

/** The longest event that is taken, in bytes. */
const EVENT_LIMIT = 4 * 1024 * 1024;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** The events of a body, `{ event, data }`, up to its end or `[DONE]`. */
export function* events(chunks) {
  const parser = new Parser();
  for (const chunk of chunks) {
    for (const event of parser.push(chunk)) {
      if (event.data === "[DONE]") return;
      yield event;
    }
  }
  for (const event of parser.finish()) {
    if (event.data !== "[DONE]") yield event;
  }
}

class Parser {
  /** What came behind the last end of a line. */
  #rest = new Uint8Array();
  #afterReturn = false;
  #name = "";
  /** The `data` lines so far; none: no event has begun. */
  #data = [];
  #length = 0;

  /** The events that these bytes complete. */
  push(chunk) {
    if (this.#afterReturn && chunk[0] === LINE_FEED) chunk = chunk.subarray(1);
    if (chunk.length === 0) return [];
    this.#afterReturn = chunk[chunk.length - 1] === CARRIAGE_RETURN;
    const end = Math.max(chunk.lastIndexOf(LINE_FEED), chunk.lastIndexOf(CARRIAGE_RETURN)) + 1;
    if (this.#rest.length + (end || chunk.length) > EVENT_LIMIT) throw tooLong();
    if (end === 0) {
      this.#rest = joined(this.#rest, chunk);
      return [];
    }
    const lines = decode(joined(this.#rest, chunk.subarray(0, end))).split(/\r\n|\n|\r/);
    this.#rest = chunk.slice(end);
    // Behind the last end there is nothing.
    lines.pop();
    return lines.flatMap((line) => this.#line(line));
  }

  /** The event of a backend that leaves out the blank line behind its last one. */
  finish() {
    const last = this.#rest.length > 0 ? this.#line(decode(this.#rest)) : [];
    return [...last, ...this.#line("")];
  }

  /** The event that a line ends. */
  #line(line) {
    if (line === "") {
      const complete = this.#data.length > 0 ? [{ event: this.#name, data: this.#data.join("\n") }] : [];
      this.#name = "";
      this.#data = [];
      this.#length = 0;
      return complete;
    }
    if (line.startsWith("data:")) this.#add(line.slice(line[5] === " " ? 6 : 5));
    else if (line === "data") this.#add("");
    else if (line.startsWith("event:")) this.#name = line.slice(line[6] === " " ? 7 : 6);
    return [];
  }

  #add(value) {
    this.#data.push(value);
    this.#length += value.length;
    if (this.#length > EVENT_LIMIT) throw tooLong();
  }
}

function joined(first, second) {
  if (first.length === 0) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function tooLong() {
  const message = `the backend sent an event longer than ${EVENT_LIMIT} bytes`;
  return AdaptorError.badUpstream("upstream_event_too_long", message);
}
