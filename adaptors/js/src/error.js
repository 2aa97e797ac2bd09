// The error that a client or an operator is told about.

const INVALID_CONFIG = "invalid_config";

const FAILED =
  "the adaptor of this model failed; the operator finds the cause in the gateway's log under this request's id";

export class AdaptorError extends Error {
  name = "AdaptorError";

  constructor(status, code, message, { retryAfterMs = null, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { status, code, retryAfterMs });
  }

  static invalidConfig(key, why) {
    return new AdaptorError(400, INVALID_CONFIG, `config key \`${key}\`: ${why}`);
  }

  static badRequest(code, message) {
    return new AdaptorError(400, code, message);
  }

  static badUpstream(code, message) {
    return new AdaptorError(502, code, message);
  }

  static unavailable(code, message, retryAfterMs = null) {
    return new AdaptorError(503, code, message, { retryAfterMs });
  }
}

/** The host's error, which an import of the component throws, as one of ours. */
export function fromHost(error) {
  const told = error?.payload;
  if (told?.code === undefined) return error;
  return new AdaptorError(told.status, told.code, told.message, { retryAfterMs: told.retryAfterMs ?? null });
}

/** Does something with the host; its errors become ours. */
export function hosted(call) {
  try {
    return call();
  } catch (error) {
    throw fromHost(error);
  }
}

/**
 * An error as the contract has it. What is no AdaptorError is the adaptor's fault: its text is the operator's business,
 * and goes to the log alone.
 */
export function toContract(error, log, atRunTime) {
  if (!(error instanceof AdaptorError)) {
    log.error(described(error));
    // The operator reads what a check of the configuration says.
    error = atRunTime
      ? new AdaptorError(502, "adaptor_failed", FAILED)
      : new AdaptorError(400, INVALID_CONFIG, `the adaptor threw ${error}`);
  }
  const { status, code, message, retryAfterMs } = error;
  // An error in the configuration is the operator's while a task runs, not the client's.
  const shown = atRunTime && code === INVALID_CONFIG ? 500 : status;
  return { status: shown, code, message, retryAfterMs };
}

function described(error) {
  if (!(error instanceof Error)) return `the adaptor threw ${String(error)}`;
  const place = error.stack ? `\n${error.stack}` : "";
  return `${error.name}: ${error.message}${place}`;
}
