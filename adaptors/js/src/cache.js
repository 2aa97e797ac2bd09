// A small store that outlives the instance, shared by the adaptors of one tenant. Entries may go at any time.

import { keyValue } from "#host";
import { fromBytes, toBytes } from "./json.js";
import { log } from "./log.js";

/** Does what stores; false where the store does not take it, which is no reason to fail a task. */
function stored(key, store) {
  try {
    return store() ?? true;
  } catch (error) {
    if (error.payload?.tag === undefined) throw error;
    log.warn(`the value under ${JSON.stringify(key)} is not stored: ${error.payload.tag}`);
    return false;
  }
}

export const cache = {
  /** The value under a key; undefined where there is none. */
  get(key) {
    const bytes = keyValue.get(key);
    return bytes == null ? undefined : fromBytes(bytes);
  },

  /** Stores anything that is JSON, for at most a day; whether it is stored. */
  set(key, value, ttlMs = null) {
    return stored(key, () => keyValue.set(key, toBytes(value), ttlMs));
  },

  /** Stores a value where there is none: of many that try at once, one gets true. */
  setIfAbsent(key, value, ttlMs = null) {
    return stored(key, () => keyValue.setIfAbsent(key, toBytes(value), ttlMs));
  },

  delete(key) {
    keyValue.delete(key);
  },
};
