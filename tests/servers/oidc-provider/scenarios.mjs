// The main story, with nobody pretending: a real OAuth client (openid-client) asks a real authorization server
// (oidc-provider) for a token, the server asks Countersign, Countersign asks a person in Slack's stand-in.
//
// Needs COUNTERSIGN_URL, PEP_TOKEN and PLAYGROUND_URL; the README lists the rest. Each scenario has a client of its
// own, with a name that is new in each run, so that neither grants nor cool-downs reach from one to another.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, on } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oauth from 'openid-client';

import { AUDIENCE, CATALOGUE_TTL } from './provider.mjs';
import { Person, cards } from './slack.mjs';

const COUNTERSIGN_URL = required('COUNTERSIGN_URL');
const PEP_TOKEN = required('PEP_TOKEN');
const bob = new Person(required('PLAYGROUND_URL'), process.env.APPROVER ?? 'U0BOB');
/** Seconds, as the policy under test has them for payments:refund. */
const MAX_TOKEN_LIFETIME = Number(process.env.MAX_TOKEN_LIFETIME ?? 600);
const MAX_GRANT = Number(process.env.MAX_GRANT ?? 7200);
/** Seconds that a client waits for its token: longer than any hold. */
const CLIENT_PATIENCE = 60;

const run = process.env.CLIENT_SUFFIX ?? `-${randomBytes(3).toString('hex')}`;
const secrets = new Map(['cs-approve', 'cs-narrow', 'cs-deny', 'cs-pending', 'cs-storm', 'cs-last']
  .map((name) => [`${name}${run}`, randomBytes(24).toString('base64url')]));

let server;
before(async () => { server = await startProcess(); });
after(() => server?.stop());

describe('a client of oidc-provider gets its token from a person', { timeout: 180_000 }, () => {
  test('Bob approves two scopes and the token carries exactly those, for no longer than granted', async () => {
    const client = await clientNamed('cs-approve');
    const answer = client.asks({ scope: 'invoices:read payments:refund' });

    const card = await bob.findsCard(client.id);
    const text = JSON.stringify(card.message.blocks);
    assert.ok(text.includes('payments:refund'), 'the card names the scope');
    assert.ok(text.includes('PAY-4821'), 'the card shows the reason that the client gave');
    const clicked = Math.floor(Date.now() / 1000);
    await bob.approves(card);

    const token = await answer;
    const claims = await verified(token, client);
    assert.deepEqual(scopesOf(claims.scope), ['invoices:read', 'payments:refund']);
    assert.deepEqual(scopesOf(token.scope), ['invoices:read', 'payments:refund'], 'the answer says the same');
    assertLifetime(claims, token, clicked);
  });

  test('a scope that no rule gives anybody drops out, and the token carries the rest', async () => {
    const client = await clientNamed('cs-narrow');
    const answer = client.asks({ scope: 'payments:refund ledger:close' });

    await bob.approves(await bob.findsCard(client.id));

    const token = await answer;
    const claims = await verified(token, client);
    assert.deepEqual(scopesOf(claims.scope), ['payments:refund']);
    assert.deepEqual(scopesOf(token.scope), ['payments:refund']);
  });

  test('Bob denies and the client gets access_denied, again at once when it retries', async () => {
    const client = await clientNamed('cs-deny');
    const answer = refusal(client.asks({ scope: 'payments:refund' }));

    await bob.denies(await bob.findsCard(client.id), 'Not before the audit is over');
    assert.equal((await answer).error, 'access_denied');
    await bob.seesSettled(client.id);

    assert.equal((await refusal(client.asks({ scope: 'payments:refund' }))).error, 'access_denied');
    await onlyOneCard(client);
  });

  test('nobody answers within the hold: authorization_pending; after the click the retry gets the token', async () => {
    const client = await clientNamed('cs-pending');
    const tooEarly = await refusal(client.asks({ scope: 'payments:refund' }));
    assert.equal(tooEarly.error, 'authorization_pending');

    await bob.approves(await bob.findsCard(client.id));
    await bob.seesSettled(client.id);

    const token = await client.asks({ scope: 'payments:refund' });
    const claims = await verified(token, client);
    assert.deepEqual(scopesOf(claims.scope), ['payments:refund']);
    assertLifetime(claims, token, claims.iat);
    await onlyOneCard(client);
  });

  test('three clients that give up and retry, twice, make one card and all get their token', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => clientNamed('cs-storm')));
    const { id } = clients[0];
    const allAsk = async (signal) => {
      const asked = server.noticed('asking', id, clients.length);
      const answers = Promise.allSettled(clients.map((client) => client.asks({ scope: 'payments:refund' }, signal)));
      await asked;
      return { answers };
    };

    // The first time they give up when the card shows, the second time as soon as their question is on its way.
    for (const moment of [() => bob.findsCard(id), () => {}]) {
      const patience = new AbortController();
      const { answers } = await allAsk(patience.signal);
      await moment();
      const gaveUp = server.noticed('gave_up', id, clients.length);
      patience.abort();
      await gaveUp;
      assert.deepEqual((await answers).map(({ status }) => status), ['rejected', 'rejected', 'rejected']);
    }

    const { answers } = await allAsk();
    await bob.approves(await bob.findsCard(id));
    for (const { value: token, reason } of await answers) {
      assert.ifError(reason);
      assert.deepEqual(scopesOf((await verified(token, clients[0])).scope), ['payments:refund']);
    }
    await onlyOneCard(clients[0]);
  });

  test('after all of this each client has interrupted people once', async () => {
    // Cards of one channel are posted in order: when this one is there, nothing older is still on its way.
    const last = await clientNamed('cs-last');
    const answer = last.asks({ scope: 'payments:refund' });
    await bob.approves(await bob.findsCard(last.id));
    await answer;
    for (const id of secrets.keys()) await onlyOneCard({ id });
  });
});

/** An OAuth client as a program would make it: discovery, its secret, and nothing that knows of Countersign. */
async function clientNamed(name) {
  const id = `${name}${run}`;
  let patience; // a program's own reason to give up, beside openid-client's time-out
  const config = await oauth.discovery(new URL(server.issuer), id, secrets.get(id), undefined, {
    execute: [oauth.allowInsecureRequests], // loopback without TLS
    timeout: CLIENT_PATIENCE,
    [oauth.customFetch]: (url, init) => (
      fetch(url, { ...init, signal: AbortSignal.any([init.signal, patience].filter(Boolean)) })),
  });
  const asks = ({ scope }, signal) => {
    patience = signal;
    const answer = oauth.clientCredentialsGrant(config, { scope, resource: AUDIENCE, reason: 'refund PAY-4821' });
    answer.catch(() => {}); // a scenario that fails before it awaits the answer reports its own failure only
    return answer;
  };
  return { id, asks };
}

/** The claims of an access token, after its signature, type, issuer and audience were checked as an API would. */
async function verified(token, client) {
  const { jwks_uri: jwks } = await (await fetch(`${server.issuer}/.well-known/openid-configuration`)).json();
  const { payload } = await jwtVerify(token.access_token, createRemoteJWKSet(new URL(jwks)), {
    typ: 'at+jwt', issuer: server.issuer, audience: AUDIENCE, requiredClaims: ['exp', 'iat', 'jti', 'scope'],
  });
  assert.equal(payload.client_id, client.id);
  return payload;
}

/** The token lives as long as policy and grant allow, which is less than the provider would have given it. */
function assertLifetime({ iat, exp }, token, clicked) {
  assert.ok(exp > iat, 'the token lives at all');
  assert.ok(exp - iat <= MAX_TOKEN_LIFETIME, `${exp - iat} s are within the granted ${MAX_TOKEN_LIFETIME} s`);
  assert.ok(exp - iat < CATALOGUE_TTL, 'the grant, not the provider, set the lifetime');
  assert.ok(exp <= clicked + MAX_GRANT + 1, 'the token ends with the grant'); // whole seconds on two clocks
  assert.equal(token.expires_in, exp - iat, 'expires_in says the same');
}

/** The OAuth error that a request ends with. */
async function refusal(answer) {
  const error = await answer.then(() => assert.fail('a token was issued'), (reason) => reason);
  assert.ok(error instanceof oauth.ResponseBodyError, `an OAuth error, not ${error}`);
  return error;
}

async function onlyOneCard({ id }) {
  assert.equal((await bob.cardsEverPosted(id)).length, 1, `one card was posted about ${id}`);
  assert.equal(cards(await bob.looks(), id).length, 1, `one card is to be seen about ${id}`);
}

function scopesOf(text) {
  return text.split(' ').sort();
}

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; README.md says what this needs`);
  return value;
}

/** Starts provider.mjs as a process of its own and listens to what it says. */
async function startProcess() {
  const child = spawn(process.execPath, [fileURLToPath(new URL('provider.mjs', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      COUNTERSIGN_URL,
      PEP_TOKEN,
      CLIENTS: JSON.stringify([...secrets].map(([id, secret]) => (
        { client_id: id, client_secret: secret, token_endpoint_auth_method: 'client_secret_post' }))),
    },
  });
  const said = new EventEmitter();
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) said.emit('notice', JSON.parse(line)); // oidc-provider prints advice among them
  });

  /** Waits until the provider's shim has noticed `event` about this client, `times` times from now. */
  const noticed = async (event, client, times) => {
    const signal = AbortSignal.timeout(20_000);
    try {
      for await (const [notice] of on(said, 'notice', { signal })) {
        if (notice.event === event && notice.client_id === client && --times === 0) return;
      }
    } catch {
      assert.fail(`the provider did not notice ${times} more "${event}" about ${client}`);
    }
  };
  const [listening] = await Promise.race([
    (async () => { for await (const args of on(said, 'notice')) return args; })(),
    new Promise((_, reject) => child.once('exit', (code) => reject(new Error(`provider.mjs ended with ${code}`)))),
  ]);
  return { issuer: listening.issuer, noticed, stop: () => child.stdin.end() };
}
