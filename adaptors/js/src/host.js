// What the gateway gives to an adaptor. The build leaves out of a component what the adaptor does not use of it. Natively
// `fake-host.js` stands here (`imports` in package.json).

import endpoint from "airlock:adaptor/endpoint@0.1.0";
import keyValue from "airlock:adaptor/key-value@0.1.0";
import logging from "airlock:adaptor/logging@0.1.0";
import taskBody from "airlock:adaptor/task-body@0.1.0";
import upstream from "airlock:adaptor/upstream@0.1.0";

export { endpoint, keyValue, logging, taskBody, upstream };
export { drive } from "./engine/jobs.js";
