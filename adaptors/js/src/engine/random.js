// Randomness. The engine's own generator goes on from the state that the build left, the same in every request.

import wasi from "wasi:random/random@0.2.12";

/** A number from 0 to below 1, of 53 random bits. */
export function random() {
  const bits = new DataView(wasi.getRandomBytes(8).buffer);
  return ((bits.getUint32(0) >>> 5) * 2 ** 26 + (bits.getUint32(4) >>> 6)) / 2 ** 53;
}

export const crypto = {
  getRandomValues(array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    bytes.set(wasi.getRandomBytes(bytes.length));
    return array;
  },

  randomUUID() {
    const bytes = wasi.getRandomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
};
