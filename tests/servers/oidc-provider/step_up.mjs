// The strongest ceremony on real input: an approver signs in again at a real OpenID provider (oidc-provider), as a
// browser would, before an approval counts.
//
// Needs COUNTERSIGN_URL, PLAYGROUND_URL, HOOK_TOKEN, and STEP_UP_PORT: where Countersign's configuration expects the
// provider. Countersign asks the provider only when somebody clicks, so it may start later than Countersign.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

import { Person } from './slack.mjs';

const COUNTERSIGN_URL = required('COUNTERSIGN_URL');
const HOOK_TOKEN = required('HOOK_TOKEN');
const PORT = Number(required('STEP_UP_PORT'));
const STRONG = 'urn:example:strong';
const bob = new Person(required('PLAYGROUND_URL'), process.env.APPROVER ?? 'U0BOB');
const run = randomBytes(3).toString('hex');

/** Who signs in next at the provider, and how: `{ accountId, acr, amr }`. */
let signsIn;
let server;

before(async () => {
  const issuer = `http://127.0.0.1:${PORT}`;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'countersign',
      client_secret: process.env.STEP_UP_SECRET,
      redirect_uris: [`${COUNTERSIGN_URL}/step-up/callback`],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
    }],
    acrValues: [STRONG, 'urn:example:password'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], acr: null, amr: null, auth_time: null },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    jwks: { keys: [{ ...await exportJWK(privateKey), alg: 'ES256', use: 'sig' }] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, email_verified: true }) }),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    // Nothing to consent to: the grant covers what is asked.
    async loadExistingGrant({ oidc }) {
      const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope('openid email');
      await grant.save();
      return grant;
    },
  });
  const callback = provider.callback();
  server = createServer((request, response) => {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    provider.interactionDetails(request, response)
      .then(({ prompt }) => {
        assert.equal(prompt.name, 'login');
        return provider.interactionFinished(request, response, { login: signsIn }, { mergeWithLastSubmission: false });
      })
      .catch((error) => { response.statusCode = 500; response.end(String(error)); });
  });
  server.listen(PORT, '127.0.0.1');
  await once(server, 'listening');
});
after(() => { server?.closeAllConnections(); server?.close(); });

describe('an approver signs in again at oidc-provider', { timeout: 120_000 }, () => {
  test('Bob signs in, looks once more and approves; his client then gets its token', async () => {
    const client = `step-up-bob-${run}`;
    assert.equal((await asks(client)).status, 202);
    const browser = new Browser();
    const { page, url } = await signedIn(browser, client, { accountId: 'bob@example.com', acr: STRONG, amr: ['hwk'] });
    assert.equal(page.status, 200, page.text);
    for (const said of ['Approve this token?', 'payments:refund', client, 'bob@example.com']) {
      assert.ok(page.text.includes(said), `the page says ${said}`);
    }
    assert.equal((await asks(client)).status, 202, 'coming back decides nothing');

    assert.equal((await browser.get(url)).status, 403, 'the way back works once');
    const csrf = /name=csrf value="([^"]+)"/.exec(page.text)[1];
    const approved = await browser.post(`${COUNTERSIGN_URL}/step-up/confirm`, { csrf });
    assert.equal(approved.status, 200, approved.text);
    const granted = await asks(client);
    assert.equal(granted.status, 200, JSON.stringify(granted.body));
    assert.equal(granted.body.scope, 'payments:refund');
    assert.equal((await browser.post(`${COUNTERSIGN_URL}/step-up/confirm`, { csrf })).status, 403, 'and so does the form');
  });

  for (const [what, login] of [
    ['somebody else', { accountId: 'carol@example.com', acr: STRONG }],
    ['Bob, but weakly', { accountId: 'bob@example.com', acr: 'urn:example:password' }],
    ['Bob, long ago', { accountId: 'bob@example.com', acr: STRONG, ts: Math.floor(Date.now() / 1000) - 600 }],
  ]) {
    test(`${what} signs in and nothing is approved`, async () => {
      const client = `step-up-${what.replace(/\W+/g, '-').toLowerCase()}-${run}`;
      assert.equal((await asks(client)).status, 202);
      const { page } = await signedIn(new Browser(), client, login);
      assert.equal(page.status, 403, page.text);
      assert.ok(!page.text.includes('csrf'), page.text);
      assert.equal((await asks(client)).status, 202);
    });
  }
});

/** Bob clicks Approve, follows his link, and `login` signs in at the provider: the page that the browser ends on. */
async function signedIn(browser, client, login) {
  signsIn = login;
  const card = await bob.findsCard(client);
  await bob.clicks(card, card.approve);
  const link = await bob.waitsFor('the link to the provider', ({ view }) => view?.view?.callback_id === 'step_up'
    && view.view.blocks.flatMap((block) => block.elements ?? []).find((element) => element.url)?.url);
  const page = await browser.get(link);
  return { page, url: page.url };
}

/** A client asks through the generic hook, without waiting. */
async function asks(client) {
  const response = await fetch(`${COUNTERSIGN_URL}/hooks/billing`, {
    method: 'POST',
    headers: { authorization: `Bearer ${HOOK_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      grant_type: 'client_credentials', client_id: client, subject: 'alice@example.com', scope: 'payments:refund',
    }),
  });
  return { status: response.status, body: await response.json() };
}

/** Enough of a browser: cookies by origin, and redirects that carry them. */
class Browser {
  #cookies = new Map();

  async get(url) { return this.#goes(url, {}); }

  async post(url, form) {
    return this.#goes(url, { method: 'POST', body: new URLSearchParams(form) });
  }

  async #goes(url, options) {
    for (let hops = 0; hops < 12; hops += 1) {
      const { origin } = new URL(url);
      const jar = this.#cookies.get(origin) ?? new Map();
      const headers = { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') };
      const response = await fetch(url, { ...options, headers, redirect: 'manual' });
      for (const cookie of response.headers.getSetCookie()) {
        const [pair] = cookie.split(';');
        jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
      }
      this.#cookies.set(origin, jar);
      const to = response.headers.get('location');
      if (!to) return { url, status: response.status, text: await response.text() };
      await response.arrayBuffer();
      url = new URL(to, url).href;
      options = {};
    }
    assert.fail(`too many redirects, the last to ${url}`);
  }
}

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; see README.md`);
  return value;
}
