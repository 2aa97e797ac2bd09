// What adaptors find in the engine (QuickJS) beside the language itself. The build puts this in front of every adaptor.

import { console } from "./console.js";
import { enqueue as queueMicrotask } from "./jobs.js";
import { Promise } from "./promise.js";
import { crypto, random } from "./random.js";
import { TextDecoder, TextEncoder } from "./text.js";

Object.assign(globalThis, { Promise, TextDecoder, TextEncoder, console, crypto, queueMicrotask });
Math.random = random;
