/** Runs adaptors natively, without wasm and without a gateway: for a project's own tests, `node --test`. */

import type { BaseCluster, BaseEndpoint, Data, User } from "./index.js";

/** What was sent to a backend. */
export interface Asked {
  method: string;
  url: string;
  headers: Record<string, string>;
  /** The body as JSON, or else as text; null where there is none. */
  json: any;
}

/** What the backend says: one of `json`, `events` and `body`. */
export interface Answer {
  /** 200 unless said otherwise. */
  status?: number;
  headers?: Record<string, string>;
  json?: unknown;
  /** Server-sent events: objects, or the text of their `data`. `[DONE]` follows. */
  events?: (Data | string)[];
  body?: string | Uint8Array;
}

export interface Options {
  /** The `config` of the endpoint or cluster. */
  config?: Data;
  model?: string;
  user?: User | null;
  /** Answers what the adaptor asks backends; without an answer they cannot be reached. */
  backend?: (request: Asked) => Answer | undefined;
  /** What stands behind a middleware; the direct API. */
  next?: new (...args: any[]) => BaseEndpoint;
}

/** A gateway with one adaptor. */
export class TestGateway {
  constructor(adaptor: new (...args: any[]) => BaseEndpoint | BaseCluster, options?: Options);
  /** What backends were asked, by the adaptor and by the gateway for it. */
  readonly requests: Asked[];
  readonly log: { level: string; message: string }[];

  /** Checks the configuration; throws what the operator would be told. */
  validate(): Promise<void>;
  /** The answer that a client gets; throws the AdaptorError that it would be told. */
  submitTask(data: Data, options?: { operation?: string }): Promise<any>;
  /** The events that a client gets. */
  submitStreamingTask(data: Data, options?: { operation?: string }): Promise<any[]>;
  /** What a cluster reports, with the contract's names. */
  getJobs(cluster?: { name?: string; models?: object[] }): Promise<any>;
}
