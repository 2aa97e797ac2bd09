import assert from "node:assert/strict";
import { test } from "node:test";

import { TestGateway } from "airlock-adaptor/testing";

import { CustomCluster } from "../src/adaptor.js";

const config = { status_url: "http://backend/status" };

test("it hands on what the backend reports", async () => {
  const report = { running: [{ Models: "m,n", Framework: "vllm", Cluster: "c", Nodes: 2 }], cluster_status: { free: 3 } };
  const gateway = new TestGateway(CustomCluster, { config, backend: () => ({ json: report }) });
  const jobs = await gateway.getJobs();
  assert.deepEqual(jobs.running, [{ models: "m,n", framework: "vllm", cluster: "c", extra: '{"Nodes":2}' }]);
  assert.deepEqual([jobs.clusterStatus, jobs.cacheMs], [{ free: 3 }, 30_000]);
});

test("it says what is wrong with a report", async () => {
  const gateway = new TestGateway(CustomCluster, { config, backend: () => ({ json: [] }) });
  await assert.rejects(gateway.getJobs(), { status: 502, code: "upstream_bad_response" });
});
