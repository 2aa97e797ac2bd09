/**
 * Write an Airlock adaptor in JavaScript or TypeScript.
 *
 * An adaptor is a class. One line makes it what the gateway calls:
 *
 * ```js
 * import { adaptor, DirectAPIEndpoint } from "airlock-adaptor";
 *
 * class CustomEndpoint extends DirectAPIEndpoint {
 *   async submitTask(data) {
 *     return super.submitTask({ ...data, temperature: 0 });
 *   }
 * }
 *
 * export const { endpoint, replies } = adaptor(CustomEndpoint);
 * ```
 *
 * Every task gets a fresh instance of everything: nothing in memory outlives it but what `cache` holds. Code outside of
 * functions runs once, when the component is built.
 */

/** One JSON object. */
export type Data = Record<string, any>;

/** A path below `/v1/`, as in `chat/completions`. */
export type Operation = string;

/** Who asks, as far as the gateway tells. Never a token. */
export interface User {
  id: string;
  name: string | null;
  groups: string[];
  /** The part after `@`. */
  domain: string | null;
}

/** One request of a client. */
export interface Task {
  /** The request id, as in every line of the log and in the answer's `x-request-id`. */
  id: string;
  operation: Operation;
  /** The model as the client named it; the backend's name for it is the endpoint's `model`. */
  model: string;
  /** Whether the client wants events. */
  stream: boolean;
  user: User | null;
  /** The client's JSON. Of a form an object with its `model` alone: the form stays with the host. */
  body: Uint8Array;
}

type Class<T> = new (...args: any[]) => T;

/**
 * What a component exports, out of one class or of several: `{ endpoint, replies }` of endpoints and middlewares, with
 * `batch` where they have batches, and `{ cluster }` of clusters. The build takes what the file exports.
 */
export function adaptor(...classes: Class<BaseEndpoint | BaseCluster>[]): {
  endpoint: object;
  replies: object;
  batch: object;
  cluster: object;
};

/** An endpoint of the catalog, with its task. */
export class BaseEndpoint {
  readonly slug: string;
  readonly cluster: string;
  readonly framework: string;
  /** The model's name as the backend knows it. */
  readonly model: string;
  /** The `config` of the fixture. A middleware may change it: the next one gets it as it is then. */
  config: Data;
  /** The task; null while the configuration is checked. */
  readonly task: Task;
  readonly user: User | null;

  /** Checks the configuration, without network, when the endpoint is loaded. Throw `AdaptorError.invalidConfig`. */
  validate(): void | Promise<void>;

  /** Runs a task. `data` is the client's JSON. */
  submitTask(data: Data): Promise<Reply>;

  /**
   * Runs a task whose client wants events. A class that has `submitTask` alone gets those there too, with
   * `this.task.stream` set.
   */
  submitStreamingTask?(data: Data): Promise<Reply>;

  /** Whether this endpoint takes batches, by its configuration. Export `batch` beside `endpoint` for these. */
  hasBatchEnabled?(): boolean | Promise<boolean>;
  submitBatch?(request: BatchRequest): Promise<SubmittedBatch>;
  getBatchStatus?(handle: string): Promise<BatchProgress>;
  /** The results, JSON lines, of a completed batch whose status came without. */
  getBatchResult?(handle: string): Promise<string | Uint8Array>;
  cancelBatch?(handle: string): Promise<void>;
}

/**
 * The direct API: forwards tasks to an OpenAI-compatible backend. Of the configuration it reads `api_url`,
 * `api_request_timeout`, `extra_headers`, `extra_body` and `speaks`, as the bundled `direct-api` does.
 */
export class DirectAPIEndpoint extends BaseEndpoint {
  /** Forwards a task with this body. The model is sent under the backend's name, unless `data.model` was changed. */
  submitTask(data: Data): Promise<Reply>;
  submitStreamingTask(data: Data): Promise<Reply>;

  /** Sends to another URL: a base, or the full URL of an operation. The endpoint's grant has to name its origin. */
  setApiUrl(url: string): void;

  /** Sends one more header, in the place of one of that name. Credentials are the gateway's. */
  setHeader(name: string, value: string): void;
}

/** Stands in front of another adaptor, in a chain. */
export class Middleware extends BaseEndpoint {
  readonly next: {
    /**
     * Runs the task on the next one, streamed where the client wants that; without `data` the task as it came. A form goes
     * on as it came whatever `data` is. May be called again.
     */
    submitTask(data?: Data): Promise<Reply>;
    submitStreamingTask(data?: Data): Promise<Reply>;
  };
  submitTask(data: Data): Promise<Reply>;
}

/** What an endpoint gives back. */
export class Reply {
  /** The host sends this request and relays the answer. The cheapest: nothing waits in a sandbox. */
  static forward(request: Request): Reply;
  /** A response whose body was not read: its head has been looked at. */
  static relay(response: Response): Reply;
  /** A complete answer. */
  static body(answer: Data): Reply;
  /** Events, one at a time as the client takes them: an array, a generator or an async generator. */
  static events(source: Iterable<Data | string> | AsyncIterable<Data | string>): Reply;

  readonly kind: "forward" | "relay" | "body" | "events";

  /** The complete answer, whatever the kind: the backend is asked where it was not yet. */
  json(): Promise<Data>;

  /**
   * The events, as they come; the backend is asked where it was not yet, and throws where it refuses. For
   * `Reply.events` of a generator that changes them.
   */
  events(): Promise<Iterable<Data>>;
}

/** A failure that the client is told about, in OpenAI's shape. Anything else that is thrown goes to the log alone. */
export class AdaptorError extends Error {
  /** `status` is 400 to 599; `code` is for programs; `message` says what is wrong and what to do. */
  constructor(status: number, code: string, message: string, options?: { retryAfterMs?: number | null; cause?: unknown });
  readonly status: number;
  readonly code: string;
  readonly retryAfterMs: number | null;

  /** The configuration is wrong at `key`: what is wrong and what to write instead. */
  static invalidConfig(key: string, why: string): AdaptorError;
  /** 400: the request cannot be served as it is. */
  static badRequest(code: string, message: string): AdaptorError;
  /** 502: the backend answered with something that its API does not promise. */
  static badUpstream(code: string, message: string): AdaptorError;
  /** 503: the backend cannot serve the request now. */
  static unavailable(code: string, message: string, retryAfterMs?: number): AdaptorError;
}

/** The text under a key of a configuration; where there is none, an error that names the key. */
export function required(config: Data, key: string): string;

/** A request to a backend. The host adds the credential of the origin, and refuses what the endpoint does not grant. */
export interface Request {
  /** Without one: GET, or POST where there is a body. */
  method?: string;
  url: string;
  headers?: Record<string, string> | [string, string][];
  /** A body that is JSON. */
  json?: unknown;
  /** Any other body. With a method that has one, null is the client's own. */
  body?: string | Uint8Array | null;
  /** Longest wait for the head of the response, in milliseconds; the host has a limit of its own. */
  timeoutMs?: number | null;
}

/** A backend's response: its head is there, and its body comes as it is read. */
export interface Response {
  readonly status: number;
  /** Whether the status is 200 to 299. */
  readonly ok: boolean;
  readonly headers: [string, string][];
  header(name: string): string | null;
  /** The body: once, by one of these. `limit`: most bytes to take, 8 MiB. */
  chunks(): Iterable<Uint8Array>;
  bytes(limit?: number): Uint8Array;
  text(limit?: number): Promise<string>;
  json(limit?: number): Promise<any>;
  /** Server-sent events, up to their end or `[DONE]`. */
  events(): Iterable<{ event: string; data: string }>;
  /** This response where `ok`; else an error for the client with the beginning of what the backend says. */
  expectOk(): Response;
}

export namespace upstream {
  /** Sends a request and waits for the head of the response, whatever its status. Redirects are not followed. */
  function send(request: Request): Promise<Response>;
  /**
   * The JSON that a URL gives. `what` names it in errors, as in "the model's status". No client asked for it: its errors
   * are 502 to 504, and the URL goes to the log alone. Waits for 10 seconds unless told otherwise.
   */
  function getJson(what: string, url: string, options?: AskOptions): Promise<any>;
  /** The JSON that a server answers to other JSON. */
  function postJson(what: string, url: string, json: unknown, options?: AskOptions): Promise<any>;
  interface AskOptions {
    timeoutMs?: number;
    headers?: Record<string, string>;
  }
}

/**
 * A small store that outlives the instance, shared by all adaptors of a tenant. Values are JSON, of up to 64 KiB; keys
 * have up to 256 bytes. Entries may go at any time, after a day at the latest.
 */
export const cache: {
  get(key: string): any | undefined;
  /** Whether it was stored; where not, the log says why. */
  set(key: string, value: unknown, ttlMs?: number | null): boolean;
  /** Of many that try at once, one gets true. */
  setIfAbsent(key: string, value: unknown, ttlMs?: number | null): boolean;
  delete(key: string): void;
};

/** Lines for the operator's log. `console` writes there too. Keep prompts and answers out. */
export const log: Record<"trace" | "debug" | "info" | "warn" | "error", (message: string) => void>;

/** A cluster of the catalog. */
export class BaseCluster {
  readonly name: string;
  readonly config: Data;
  /** The endpoints that the catalog lists for it. */
  readonly models: { slug: string; framework: string; model: string; config: Data }[];
  /** Who asks, where the answer depends on it. */
  readonly user: User | null;

  /** What the cluster runs: a report, or `Jobs` of one. */
  getJobs(): Promise<Jobs | Report>;
}

/** A cluster's report, as FIRST's clients read it. What is missing is empty. */
export interface Report {
  running?: Job[];
  queued?: Job[];
  stopped?: Job[];
  others?: Job[];
  private_batch_running?: Job[];
  private_batch_queued?: Job[];
  /** Facts about the cluster as a whole. */
  cluster_status?: Data;
}

/** One job. Further fields reach the client as they are. */
export interface Job {
  /** Names of models, with commas between them. */
  Models?: string;
  Framework?: string;
  Cluster?: string;
  [field: string]: unknown;
}

export class Jobs {
  constructor(report?: Report);
  /** The same, which the gateway may show to others for so many milliseconds. */
  cachedFor(milliseconds: number): Jobs;
}

/** A batch to start. */
export interface BatchRequest {
  id: string;
  operation: Operation;
  model: string;
  user: User | null;
  /** JSON lines, or the path of such a file where the cluster can read it. */
  input: { content?: Uint8Array; path?: string };
  outputFolderPath: string | null;
}

export type BatchState = "pending" | "running" | "completed" | "failed" | "cancelled";

export interface SubmittedBatch {
  /** The backend's id of the batch, handed back in later calls. */
  handle: string;
  taskIds?: string[];
  state?: BatchState;
}

export interface BatchProgress {
  state: BatchState;
  total?: number;
  completed?: number;
  failed?: number;
  message?: string;
  /** The results, JSON lines, where they come with the status. */
  results?: string | Uint8Array;
}
