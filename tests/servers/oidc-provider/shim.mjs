// What manifests/hooks/oidc-provider/countersign.mjs does with every kind of answer, inside a real oidc-provider.
//
// The other side is a decision point that answers whatever a test tells it to, because Countersign itself never would.
// Needs nothing from the environment.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, test } from 'node:test';

import { decodeJwt } from 'jose';
import { errors } from 'oidc-provider';

import { countersign } from '../../../manifests/hooks/oidc-provider/countersign.mjs';
import { batch, decisionPoint, granted } from './decision_point.mjs';
import { AUDIENCE, CATALOGUE, startProvider } from './provider.mjs';

const SECRET = 'a-client-secret-of-some-length';
const TOKEN = 'the-bearer-token-of-the-hook';
const READ_AND_REFUND = 'invoices:read payments:refund';

/** @type {{ url: string, asked: object[], answer: (req, res, body) => void, close: () => void }} */
let pdp;
let server;
before(async () => {
  pdp = await decisionPoint();
  server = await provider();
});
beforeEach(() => { pdp.asked.length = 0; });
after(() => Promise.all([server.close(), pdp.close()]));

describe('the question', () => {
  test('is the AuthZEN batch with the gate first and one evaluation per distinct scope', async () => {
    pdp.says(granted(true, true));
    await asks({ scope: 'invoices:read payments:refund invoices:read', reason: 'refund PAY-4821', binding_message: '42' });

    const [{ headers, body, path }] = pdp.asked;
    assert.equal(path, '/access/v1/evaluations');
    assert.equal(headers.authorization, `Bearer ${TOKEN}`);
    assert.deepEqual(body, {
      subject: { type: 'client', id: 'robot' },
      resource: { type: 'audience', id: AUDIENCE },
      context: {
        client_id: 'robot',
        client_name: 'The Robot',
        ip: '127.0.0.1',
        user_agent: 'robot/1.0',
        issuer: server.issuer,
        reason: 'refund PAY-4821',
        binding_message: '42',
      },
      evaluations: [
        { action: { name: 'issue:access_token:client_credentials' } },
        { action: { name: 'invoices:read' } },
        { action: { name: 'payments:refund' } },
      ],
      options: { evaluations_semantic: 'execute_all' },
    });
  });

  test('carries a request id that is made here, and the client gets to know it', async () => {
    pdp.says(granted(true, true));
    const first = await asks({}, { 'x-request-id': 'chosen-by-the-client' });
    const second = await asks({}, { 'x-request-id': 'chosen-by-the-client' });

    const ids = pdp.asked.map(({ headers }) => headers['x-request-id']);
    assert.equal(new Set([...ids, 'chosen-by-the-client']).size, 3);
    assert.deepEqual([first, second].map((answer) => answer.headers.get('x-request-id')), ids);
  });

  test('is asked about the only resource when the client names none', async () => {
    pdp.says(granted(true, true));
    const { body } = await asks({ resource: undefined });
    assert.equal(pdp.asked[0].body.resource.id, AUDIENCE);
    assert.equal(decodeJwt(body.access_token).aud, AUDIENCE);
  });

  test('needs a resource from the client where there are several', async () => {
    const several = await provider({ resources: { ...CATALOGUE, 'https://other.example.com': { scope: 'other:read' } } });
    const { body } = await asks({ resource: undefined }, {}, several);
    await several.close();
    assert.equal(body.error, 'invalid_target');
    assert.equal(pdp.asked.length, 0);
  });

  test('leaves out what the client says where the deployment did not name a parameter for it', async () => {
    const quiet = await provider({ shim: { clientWords: undefined } });
    pdp.says(granted(true, true));
    await asks({ reason: 'let me in' }, {}, quiet);
    await quiet.close();
    assert.equal(pdp.asked[0].body.context.reason, undefined);
  });

  const pointless = [
    ['a resource that this provider does not have', { resource: 'https://elsewhere.example' }, 'invalid_target'],
    ['a resource named like a member of every object', { resource: 'constructor:' }, 'invalid_target'],
    ['two resources', { resource: [AUDIENCE, AUDIENCE] }, 'invalid_target'],
    ['only scopes that the resource does not have', { scope: 'payments:steal' }, 'invalid_scope'],
    ['two reasons', { reason: ['one', 'two'] }, 'invalid_request'],
    ['a reason of 1,001 characters', { reason: 'x'.repeat(1001) }, 'invalid_request'],
  ];
  for (const [what, parameters, error] of pointless) {
    test(`is not asked for ${what}: ${error}`, async () => {
      pdp.says(granted(true, true));
      const answer = await asks(parameters);
      assert.equal(answer.body.error, error);
      assert.equal(pdp.asked.length, 0);
    });
  }

  test('goes only to the token route: elsewhere the catalogue stands as it is', async () => {
    const { getResourceServerInfo } = hooks();
    const ctx = { oidc: { route: 'authorization', params: {} } };
    assert.deepEqual(await getResourceServerInfo(ctx, AUDIENCE, {}), CATALOGUE[AUDIENCE]);
  });

  test('is not asked for other grants, whose tokens end with the Grant that carries the decision', async () => {
    const { getResourceServerInfo } = hooks();
    const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
    const ttl = async (Grant) => (await getResourceServerInfo({
      oidc: { route: 'token', params: { grant_type: 'refresh_token' }, entities: { Grant } },
    }, AUDIENCE, {})).accessTokenTTL;

    assert.ok(await ttl({ exp: inSeconds(90) }) <= 90);
    assert.equal(await ttl({ exp: inSeconds(-5) }), 1);
    assert.equal(await ttl({ exp: inSeconds(9000) }), 3600);
    await assert.rejects(ttl(undefined), errors.AccessDenied, 'a grant type without a Grant was decided by nobody');
  });
});

describe('an answer that grants', () => {
  const grants = [
    ['both scopes', granted(true, true), READ_AND_REFUND, 3600],
    ['the scopes whose evaluations are true', granted(true, false), 'invoices:read', 3600],
    ['what granted_scope leaves of them, as text', granted(true, true, { granted_scope: 'payments:refund' }), 'payments:refund', 3600],
    ['what granted_scope leaves of them, as list', granted(true, true, { granted_scope: ['payments:refund'] }), 'payments:refund', 3600],
    ['a shorter lifetime', granted(true, true, { token_lifetime: 120 }), READ_AND_REFUND, 120],
    ['a longer lifetime than the catalogue has', granted(true, true, { token_lifetime: 9000 }), READ_AND_REFUND, 3600],
    ['the shortest lifetime of the batch', batch([true, { token_lifetime: 300 }], [true, { token_lifetime: 60 }], [true]), READ_AND_REFUND, 60],
    ['a lifetime, not that of a scope that was denied', batch([true, { token_lifetime: 300 }], [true], [false, { token_lifetime: 0 }]), 'invoices:read', 300],
    ['this audience', granted(true, true, { audience: [AUDIENCE], crit: ['audience', 'token_lifetime'] }), READ_AND_REFUND, 3600],
  ];
  for (const [what, answer, scope, lifetime] of grants) {
    test(`${what}`, async () => {
      pdp.says(answer);
      const { body } = await asks({});
      const claims = decodeJwt(body.access_token);
      assert.equal(claims.scope, scope);
      assert.equal(body.scope, scope);
      assert.equal(claims.exp - claims.iat, lifetime);
      assert.equal(body.expires_in, lifetime);
    });
  }

  test('puts the approval id into the token, which ends with the approval', async () => {
    const answer = granted(true, true, { token_lifetime: 600 });
    answer.evaluations[0].context.approval = { id: 'grn_1', approved_until: new Date(Date.now() + 30_500).toISOString() };
    pdp.says(answer);
    const claims = decodeJwt((await asks({})).body.access_token);
    assert.equal(claims.approval_id, 'grn_1');
    assert.ok(claims.exp - claims.iat <= 30 && claims.exp - claims.iat >= 29, `${claims.exp - claims.iat} s`);
  });

  test('and a request without scope gets a token without scope', async () => {
    pdp.says({ evaluations: [{ decision: true }] });
    const { body } = await asks({ scope: undefined });
    assert.equal(decodeJwt(body.access_token).scope, undefined);
  });

  const info = (getResourceServerInfo) => ({
    features: (gate) => ({ resourceIndicators: {
      enabled: true, defaultResource: gate.defaultResource, getResourceServerInfo: getResourceServerInfo(gate),
    } }),
  });
  const widened = [
    ['a ttl that outlives it', { ttl: { ClientCredentials: 7200 } }],
    ['a function that adds a scope', info((gate) => async (...about) => (
      { ...await gate.getResourceServerInfo(...about), scope: CATALOGUE[AUDIENCE].scope }))],
    ['a function that never asked', info(() => async () => CATALOGUE[AUDIENCE])],
  ];
  for (const [what, configuration] of widened) {
    test(`is not widened by the deployment's own configuration: ${what}`, async () => {
      const generous = await provider({ configuration, quiet: true });
      pdp.says(granted(true, false, { token_lifetime: 120 }));
      const { status, body } = await asks({}, {}, generous);
      await generous.close();
      assert.equal(status, 500);
      assert.equal(body.error, 'server_error');
    });
  }

  test('is fetched once for a token request, however often the provider looks', async () => {
    const curious = await provider({ configuration: info((gate) => async (...about) => {
      await gate.getResourceServerInfo(...about);
      return gate.getResourceServerInfo(...about);
    }) });
    pdp.says(granted(true, true));
    const { body } = await asks({}, {}, curious);
    await curious.close();
    assert.equal(body.scope, READ_AND_REFUND);
    assert.equal(pdp.asked.length, 1);
  });
});

describe('an answer that does not grant', () => {
  const refusals = [
    ['a requestable denial is pending', batch([false, undefined, { access_request: { expires_at: '2026-11-23T19:10:00Z' } }], [false], [false]), 'authorization_pending', 'approval pending'],
    ['a plain denial is denied', batch([false, undefined, { reason: 'policy_denied' }], [false], [false]), 'access_denied', 'request denied'],
    ['a denial with words for the user passes them on, in the characters OAuth allows', batch([false, undefined, { reason_user: 'Name the "ticket"\n like PAY-4821' }], [false], [false]), 'access_denied', 'request denied: Name the ticket like PAY-4821'],
    ['a denied gate outweighs granted scopes', batch([false], [true], [true]), 'access_denied', 'request denied'],
    ['an open gate without any scope is an invalid scope', granted(false, false), 'invalid_scope', 'none of the requested scopes was granted'],
    ['scopes that granted_scope leaves nothing of are an invalid scope', granted(true, false, { granted_scope: 'payments:refund' }), 'invalid_scope', 'none of the requested scopes was granted'],
    ['a lifetime of zero is denied', granted(true, true, { token_lifetime: 0 }), 'access_denied', 'request denied'],
    ['an approval that is over is denied', batch([true, {}, { approval: { approved_until: '2020-01-01T00:00:00Z' } }], [true], [true]), 'access_denied', 'request denied'],
  ];
  for (const [what, answer, error, description] of refusals) {
    test(what, async () => {
      pdp.says(answer);
      const { status, body } = await asks({});
      assert.equal(status, 400);
      assert.equal(body.error, error);
      assert.equal(body.error_description, description);
      assert.equal(body.access_token, undefined);
    });
  }
});

describe('what cannot be trusted is temporarily_unavailable, never a token', () => {
  const yes = JSON.stringify(granted(true, true));
  const untrusted = [
    ['a 500 with a grant in it', (_req, res) => res.writeHead(500).end(yes)],
    ['a 201 with a grant in it', (_req, res) => res.writeHead(201).end(yes)],
    ['a 401', (_req, res) => res.writeHead(401).end()],
    ['a redirect', (req, res) => res.writeHead(307, { location: `http://${req.headers.host}/elsewhere` }).end()],
    ['no JSON', (_req, res) => res.end('<html>')],
    ['an empty body', (_req, res) => res.end()],
    ['half an answer', (_req, res) => { res.writeHead(200, { 'content-length': yes.length }).write(yes.slice(0, 9)); res.socket.end(); }],
    ['a reset', (_req, res) => res.socket.resetAndDestroy()],
    ['no answer at all', () => {}],
    ['an answer that never ends', (_req, res) => { res.writeHead(200).write(yes.slice(0, -1)); }],
    ['an answer of a megabyte', (_req, res) => res.end(`${yes}${' '.repeat(1024 * 1024)}`)],
    ['null', null],
    ['a single decision', { decision: true }],
    ['evaluations that are no list', { evaluations: { 0: { decision: true } } }],
    ['too few evaluations', batch([true], [true])],
    ['too many evaluations', batch([true], [true], [true], [true])],
    ['a decision that is text', { evaluations: [{ decision: 'true' }, { decision: true }, { decision: true }] }],
    ['a missing decision', { evaluations: [{ decision: true }, {}, { decision: true }] }],
    ['a context that is text', { evaluations: [{ decision: true, context: 'x' }, { decision: true }, { decision: true }] }],
    ['a scope that was not asked', granted(true, true, { granted_scope: `${READ_AND_REFUND} payments:read` })],
    ['a granted_scope that is a number', granted(true, true, { granted_scope: 1 })],
    ['a negative lifetime', granted(true, true, { token_lifetime: -1 })],
    ['a lifetime in fractions', granted(true, true, { token_lifetime: 0.5 })],
    ['a lifetime as text', granted(true, true, { token_lifetime: '600' })],
    ['a lifetime of null', granted(true, true, { token_lifetime: null })],
    ['a broken lifetime of one scope', batch([true], [true, { token_lifetime: '1' }], [true])],
    ['another audience', granted(true, true, { audience: ['https://elsewhere.example'] })],
    ['one audience more', granted(true, true, { audience: [AUDIENCE, 'https://elsewhere.example'] })],
    ['no audience', granted(true, true, { audience: [] })],
    ['something critical that is not understood', granted(true, true, { crit: ['claims'], claims: {} })],
    ['a crit that is no list', granted(true, true, { crit: 'claims' })],
    ['an issuance that is a list', granted(true, true, [])],
    ['details that nobody asked for', granted(true, true, { authorization_details: [{ type: 'payment' }] })],
    ['an approval until some day', batch([true, {}, { approval: { approved_until: 'some day' } }], [true], [true])],
    ['an approval until a number', batch([true, {}, { approval: { approved_until: 4_000_000_000 } }], [true], [true])],
  ];
  for (const [what, answer] of untrusted) {
    test(what, async () => {
      if (typeof answer === 'function') pdp.answer = answer;
      else pdp.says(answer);
      const { status, body } = await asks({});
      assert.equal(status, 400);
      assert.deepEqual(body, { error: 'temporarily_unavailable', error_description: 'approval service unavailable' });
      assert.equal(pdp.asked.length, 1, 'asked once, and the bearer token was not carried elsewhere');
    });
  }

  test('nobody listening', async () => {
    const lost = await provider({ url: 'http://127.0.0.1:1' });
    const { body } = await asks({}, {}, lost);
    await lost.close();
    assert.equal(body.error, 'temporarily_unavailable');
  });
});

describe('authorization details', () => {
  const asked = [{ type: 'payment', actions: ['read', 'refund'], locations: ['https://payments.example.com/4821'] }];
  const [whole] = asked;
  let rich;
  before(async () => {
    rich = await provider({
      client: { authorization_details_types: ['payment'] },
      configuration: {
        features: (gate) => ({
          richAuthorizationRequests: {
            enabled: true,
            types: { payment: { validate() {} } },
            authorizationDetailsForAccessToken: gate.authorizationDetailsForAccessToken,
            authorizationDetailsForGrantSource: () => undefined,
            authorizationDetailsForIntrospection: () => undefined,
          },
        }),
      },
    });
  });
  after(() => rich.close());
  const asksRich = () => asks({ authorization_details: JSON.stringify(asked) }, {}, rich);

  test('are shown to Countersign and granted as asked when it says nothing of them', async () => {
    pdp.says(granted(true, true));
    const { body } = await asksRich();
    assert.deepEqual(pdp.asked[0].body.context.authorization_details, asked);
    assert.deepEqual(decodeJwt(body.access_token).authorization_details, asked);
  });

  test('are narrowed in the token', async () => {
    const less = [{ ...whole, actions: ['read'] }];
    pdp.says(granted(true, true, { authorization_details: less }));
    assert.deepEqual(decodeJwt((await asksRich()).body.access_token).authorization_details, less);
  });

  test('are refused when narrowed for one scope only: a token has one set of them', async () => {
    pdp.says(batch([true], [true, { authorization_details: [{ ...whole, actions: ['read'] }] }], [true]));
    assert.equal((await asksRich()).body.error, 'temporarily_unavailable');
  });

  const wider = [
    ['another action', [{ ...whole, actions: ['read', 'cancel'] }]],
    ['another type', [{ ...whole, type: 'account' }]],
    ['one member more', [{ ...whole, privileges: ['admin'] }]],
    ['one member less, which could mean anything', [{ type: 'payment', actions: ['read'] }]],
    ['no actions, which could mean all', [{ ...whole, actions: [] }]],
    ['one detail more', [...asked, { type: 'payment', actions: ['cancel'] }]],
    ['none', []],
    ['text', 'all'],
  ];
  for (const [what, details] of wider) {
    test(`are refused when widened: ${what}`, async () => {
      pdp.says(granted(true, true, { authorization_details: details }));
      assert.equal((await asksRich()).body.error, 'temporarily_unavailable');
    });
  }
});

test('a client that hangs up takes its question along', async () => {
  const arrived = new Promise((resolve) => { pdp.answer = (_req, res) => resolve(res); });
  const patient = await provider({ shim: { timeout: 60_000 } });
  const patience = new AbortController();
  const answer = asks({}, {}, patient, patience.signal);
  const question = await arrived;
  const dropped = once(question, 'close', { signal: AbortSignal.timeout(10_000) });

  patience.abort();
  await assert.rejects(answer);
  await dropped;
  await patient.close();
});

test('mistakes in the options are found when the provider starts, and say what is wrong', () => {
  const mistakes = [
    [{ url: 'http://countersign.example.com' }, /https/],
    [{ url: 'countersign' }, /Invalid URL/],
    [{ token: undefined }, /token/],
    [{ token: '' }, /token/],
    [{ errors: {} }, /errors/],
    [{ resources: {} }, /resources/],
    [{ resources: { [AUDIENCE]: {} } }, /scope/],
    [{ timeout: '30s' }, /timeout/],
    [{ clientWords: { motive: 'motive' } }, /clientWords\.motive/],
  ];
  for (const [mistake, says] of mistakes) assert.throws(() => hooks(mistake), says, JSON.stringify(mistake));
  assert.ok(hooks({ url: 'http://countersign:8080', allowHttp: true }));
});

/** The shim's functions by themselves. */
function hooks(options = {}) {
  return countersign({ url: 'https://countersign.example.com', token: TOKEN, errors, resources: CATALOGUE, ...options });
}

/** A real provider whose shim has little patience. */
async function provider({ url = pdp.url, client, resources, shim, configuration, quiet } = {}) {
  const started = await startProvider({
    url,
    token: TOKEN,
    clients: [{ client_id: 'robot', client_name: 'The Robot', client_secret: SECRET, ...client }],
    resources,
    shim: { timeout: 400, ...shim },
    configuration,
  });
  if (quiet) started.provider.removeAllListeners('server_error');
  return started;
}

/** One token request, raw; lists become repeated parameters. */
async function asks(parameters, headers = {}, at = server, signal = undefined) {
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  for (const [name, value] of Object.entries({ scope: READ_AND_REFUND, resource: AUDIENCE, ...parameters })) {
    for (const one of [value].flat()) if (one !== undefined) form.append(name, one);
  }
  const response = await fetch(`${at.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`robot:${SECRET}`)}`, 'user-agent': 'robot/1.0', ...headers },
    body: form,
    signal,
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
