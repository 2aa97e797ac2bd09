// What clusters are made of.

import { AdaptorError } from "./error.js";
import { isObject, parseConfig } from "./json.js";

/** What stands for a name that a backend left out. */
const UNKNOWN = "N/A";

/** One cluster of the catalog while it is asked what it runs. */
export class BaseCluster {
  /** Of the contract: the cluster, and who asks. */
  constructor({ name, config, models }, user = null) {
    Object.assign(this, { name, user, config: parseConfig(config) });
    /** The endpoints that the catalog lists for it. */
    this.models = models.map((model) => ({ ...model, config: parseConfig(model.config) }));
  }
}

/**
 * A cluster's report, in the form that FIRST's clients read and that some backends give:
 * `{ running: [{ Models, Framework, Cluster, … }], queued, stopped, others, cluster_status }`. What is missing is empty.
 */
export class Jobs {
  #report;
  #cacheMs = null;

  constructor(report = {}) {
    if (!isObject(report)) throw notAReport("it is no object");
    this.#report = report;
  }

  /** The same, which the gateway may show to others for a while. */
  cachedFor(milliseconds) {
    this.#cacheMs = milliseconds;
    return this;
  }

  /** The report as the contract has it. */
  toContract() {
    const report = this.#report;
    const list = (key) => jobs(report[key] ?? report[key.replaceAll("_", "-")] ?? [], key);
    const facts = report.cluster_status ?? {};
    if (!isObject(facts)) throw notAReport("`cluster_status` is no object");
    return {
      running: list("running"),
      queued: list("queued"),
      stopped: list("stopped"),
      others: list("others"),
      privateBatchRunning: list("private_batch_running"),
      privateBatchQueued: list("private_batch_queued"),
      clusterStatus: JSON.stringify(facts),
      cacheMs: this.#cacheMs,
    };
  }
}

function jobs(entries, key) {
  if (!Array.isArray(entries) || !entries.every(isObject)) throw notAReport(`\`${key}\` is no list of jobs`);
  return entries.map(({ Models = UNKNOWN, Framework = UNKNOWN, Cluster = UNKNOWN, ...extra }) => ({
    models: text(Models, key, "Models"),
    framework: text(Framework, key, "Framework"),
    cluster: text(Cluster, key, "Cluster"),
    extra: JSON.stringify(extra),
  }));
}

function text(value, key, field) {
  if (typeof value !== "string") throw notAReport(`\`${field}\` of a job in \`${key}\` is no text`);
  return value;
}

function notAReport(why) {
  return AdaptorError.badUpstream("upstream_bad_response", `the cluster's report cannot be read: ${why}`);
}
