// Lines for the operator's log. The host adds tenant, adaptor and request id.

import { logging } from "#host";

const at = (level) => (message) => logging.log(level, String(message));

export const log = { trace: at("trace"), debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
