// An OpenID provider (npm `oidc-provider`) that tests start: prints `url=…`, and ends when its input does.
//
// A program gets a token by client credentials, and ann by a grant `test` that asks for no password: a JWT, or with
// `opaque` one that says nothing. `POST /rotate?algorithm=…` makes the provider anew, with another key, at the same address.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import Provider, { errors } from "oidc-provider";

const audience = "airlock";
const resource = "https://airlock.example.org";
const client = {
  client_id: "app",
  client_secret: "app-secret",
  grant_types: ["client_credentials", "test"],
  redirect_uris: [],
  response_types: [],
};
const people = {
  ann: { preferred_username: "ann", name: "Ann Other", email: "ann@anl.gov", email_verified: true, groups: ["physics"] },
};

async function make(issuer, algorithm) {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const key = { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: algorithm, use: "sig" };
  const tokens = {
    scope: "infer",
    audience,
    accessTokenFormat: "jwt",
    accessTokenTTL: 600,
    jwt: { sign: { alg: algorithm } },
  };
  const provider = new Provider(issuer, {
    clients: [client],
    jwks: { keys: [key] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo: () => tokens,
        useGrantedResource: () => true,
      },
    },
    clientDefaults: { id_token_signed_response_alg: algorithm },
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    extraTokenClaims: (ctx, token) => people[token.accountId],
    findAccount: (ctx, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    ttl: { ClientCredentials: 600, AccessToken: 600 },
  });
  provider.registerGrantType("test", grantTo(provider, tokens), ["user", "opaque"]);
  return provider.callback();
}

// A token for somebody who is known, without asking them.
function grantTo(provider, tokens) {
  return async (ctx) => {
    const account = ctx.oidc.params.user;
    if (!people[account]) throw new errors.InvalidGrant("nobody of that name");
    const { AccessToken, ResourceServer } = provider;
    const token = new AccessToken({ accountId: account, client: ctx.oidc.client, gty: "test", scope: "infer" });
    if (!ctx.oidc.params.opaque) token.resourceServer = new ResourceServer(resource, tokens);
    ctx.body = { access_token: await token.save(), token_type: "Bearer" };
  };
}

let answer;
const server = createServer(async (request, response) => {
  if (request.method === "POST" && request.url.startsWith("/rotate")) {
    const algorithm = new URL(request.url, issuer).searchParams.get("algorithm");
    answer = await make(issuer, algorithm);
    response.end();
    return;
  }
  answer(request, response);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
answer = await make(issuer, "RS256");
console.log(`url=${issuer}`);
process.stdin.resume().on("end", () => process.exit());
