// Write an Airlock adaptor in JavaScript. What everything means is in `index.d.ts`.

export { adaptor } from "./adaptor.js";
export { cache } from "./cache.js";
export { BaseCluster, Jobs } from "./cluster.js";
export { required } from "./direct-api.js";
export { BaseEndpoint, DirectAPIEndpoint } from "./endpoint.js";
export { AdaptorError } from "./error.js";
export { log } from "./log.js";
export { Middleware } from "./middleware.js";
export { Reply } from "./reply.js";
export * as upstream from "./upstream.js";
