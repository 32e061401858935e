// A real oidc-provider on loopback that asks Countersign, wired exactly as manifests/hooks/oidc-provider/README.md says.
//
// Run as a program it reads COUNTERSIGN_URL, PEP_TOKEN and CLIENTS (a JSON array of {client_id, client_secret}) and
// prints JSON lines: first {"event":"listening","issuer":…}, then what the shim notices about each question it asks.
// It ends when its standard input closes, so that it cannot outlive the test that started it.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';

import { exportJWK, generateKeyPair } from 'jose';
import { Provider, errors } from 'oidc-provider';

import { countersign } from '../../../manifests/hooks/oidc-provider/countersign.mjs';

/** The API that the tokens are for. */
export const AUDIENCE = 'https://payments.example.com';
/** Seconds that a token lives unless somebody grants less; long, so that a granted lifetime shows. */
export const CATALOGUE_TTL = 3600;
/** What the API knows. `ledger:close` is there for policies to be silent about: nobody may have it. */
export const CATALOGUE = {
  [AUDIENCE]: {
    scope: 'invoices:read payments:read payments:refund ledger:close',
    accessTokenFormat: 'jwt',
    accessTokenTTL: CATALOGUE_TTL,
    jwt: { sign: { alg: 'ES256' } },
  },
};

/**
 * Starts a provider on a free loopback port.
 *
 * @param {object} options
 * @param {string} options.url Countersign's address.
 * @param {string} options.token the bearer token of its AuthZEN hook.
 * @param {{client_id: string, client_secret: string}[]} options.clients
 * @param {object} [options.resources] another catalogue.
 * @param {object} [options.shim] further options of the shim.
 * @param {object} [options.configuration] further configuration of the provider, on top.
 * @returns {Promise<{issuer: string, provider: Provider, close: () => Promise<void>}>}
 */
export async function startProvider({ url, token, clients, resources = CATALOGUE, shim = {}, configuration = {} }) {
  const gate = countersign({
    url, token, errors, resources, clientWords: { reason: 'reason', binding_message: 'binding_message' }, ...shim,
  });

  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;

  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const provider = new Provider(issuer, {
    clients: clients.map((client) => ({
      client_name: client.client_id,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      ...client,
    })),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    jwks: { keys: [{ ...await exportJWK(privateKey), alg: 'ES256', use: 'sig' }] },
    extraTokenClaims: gate.extraTokenClaims,
    ...configuration,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: gate.getResourceServerInfo,
        defaultResource: gate.defaultResource,
      },
      ...configuration.features?.(gate),
    },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  server.on('request', provider.callback());

  const close = async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  return { issuer, provider, close };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
  const { issuer } = await startProvider({
    url: process.env.COUNTERSIGN_URL,
    token: process.env.PEP_TOKEN,
    clients: JSON.parse(process.env.CLIENTS),
    shim: { notice: say },
  });
  say({ event: 'listening', issuer });
  process.stdin.resume().once('end', () => process.exit(0));
}
