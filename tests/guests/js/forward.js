// Nothing but the direct API: what a JavaScript adaptor costs, for the bench.

import { adaptor, DirectAPIEndpoint } from "airlock-adaptor";

export const { endpoint, replies } = adaptor(class Forward extends DirectAPIEndpoint {});
