// `TextEncoder` and `TextDecoder`, for UTF-8, out of functions that the engine has in C: a loop over characters in
// JavaScript takes a hundred times as long.

export class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    // A lone surrogate has no UTF-8, and is replaced.
    return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(`${text}`.toWellFormed()))));
  }
}

export class TextDecoder {
  encoding = "utf-8";

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`this engine decodes UTF-8 alone, not ${label}`);
    Object.assign(this, { fatal, ignoreBOM });
  }

  decode(input = new Uint8Array(), { stream = false } = {}) {
    if (stream) throw new TypeError("this engine decodes whole texts alone: join the pieces first");
    const isView = ArrayBuffer.isView(input);
    const buffer = isView ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    const text = read(atob(buffer.toBase64()), this.fatal);
    return this.ignoreBOM ? text : text.replace(/^\ufeff/, "");
  }
}

/** The text of UTF-8 whose bytes are the characters of a string. ASCII is passed over by the regular expression alone. */
function read(binary, fatal) {
  return binary.replace(/[\x80-\xff]+/g, (bytes) => {
    try {
      return decodeURIComponent(escape(bytes));
    } catch {
      if (fatal) throw new TypeError("the bytes are not UTF-8");
      return bytes.replace(SEQUENCE, replaced);
    }
  });
}

/** What may be one character, or a byte that is none. */
const SEQUENCE = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[^]/g;

function replaced(sequence) {
  try {
    return decodeURIComponent(escape(sequence));
  } catch {
    return "\ufffd".repeat(sequence.length);
  }
}
