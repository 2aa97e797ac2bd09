// A cluster whose backend can say what it runs: fetches the report, and hands it on.

import { adaptor, BaseCluster, Jobs, upstream } from "airlock-adaptor";

export class CustomCluster extends BaseCluster {
  async getJobs() {
    const report = await upstream.getJson("the cluster's status", this.config.status_url);
    // For so many milliseconds the gateway need not ask again.
    return new Jobs(report).cachedFor(30_000);
  }
}

export const { cluster } = adaptor(CustomCluster);
