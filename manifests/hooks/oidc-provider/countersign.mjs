// Countersign for node-oidc-provider: copy this file into your provider and wire it as the README beside it shows.
//
// It has no dependencies. Before the provider issues a client_credentials token it asks Countersign, in the
// AuthZEN evaluations format, whether that client may have those scopes at that resource, and for how long:
//
//   client ── POST /token ──> oidc-provider ── getResourceServerInfo ──> this file
//                                                   POST {url}/access/v1/evaluations ──> Countersign ──> a person
//
// Only a well-formed "yes" for what was asked, or for less, lets a token out. A time-out, a broken answer, a scope
// nobody asked for, a lifetime of zero: each of these is a refusal.

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

/** Milliseconds for one whole call to Countersign: its longest hold (25 s by default) and some time for the network. */
const DEFAULT_TIMEOUT_MS = 30_000;
/** Bytes of an answer that are read; 50 scopes fit many times over. */
const MAX_ANSWER_BYTES = 256 * 1024;
/** Characters of a client's own words (reason, binding message) that are passed on; more is refused, never cut. */
const MAX_WORDS = 1_000;
/** What `context.issuance.crit` may name: the members of `issuance` that this file honours. */
const UNDERSTOOD = new Set(['granted_scope', 'token_lifetime', 'audience', 'authorization_details']);

/** An answer, or the lack of one, that no token may be issued on. The message says why; the client never sees it. */
export class Unusable extends Error {
  name = 'Unusable';
}

/**
 * The hooks for one provider.
 *
 * @param {object} options
 * @param {string} options.url Countersign's address; https, or plain http on loopback.
 * @param {string | (() => string)} options.token the bearer token of the AuthZEN hook; a function is called every time.
 * @param {object} options.errors the `errors` export of oidc-provider.
 * @param {Record<string, object>} options.resources what this provider protects: resource identifier to
 *   `{ scope, audience?, accessTokenTTL?, accessTokenFormat?, jwt? }`, the ceiling of what may ever be issued.
 * @param {{ reason?: string, binding_message?: string }} [options.clientWords] names of the extra token request
 *   parameters whose text goes to the approver as the client's own words; none by default.
 * @param {number} [options.timeout] milliseconds; keep it above the hold of the hook.
 * @param {boolean} [options.allowHttp] plain http beyond loopback, where the network itself is trusted.
 * @param {(notice: object) => void} [options.notice] told about every call (`asking`, then `answered`, `unusable` or
 *   `gave_up`) with ids and outcome, never with a secret; for logs.
 * @returns the functions to put into the provider's configuration.
 */
export function countersign(options) {
  const settings = checked(options);
  const { errors, catalogue } = settings;

  /** `features.resourceIndicators.getResourceServerInfo`: what may be issued for this resource, now. */
  async function getResourceServerInfo(ctx, resource, client) {
    const entry = catalogue.get(resource);
    if (!entry) throw new errors.InvalidTarget();
    if (ctx.oidc.route !== 'token') return { ...entry };
    if (ctx.oidc.params.grant_type !== 'client_credentials') return boundByGrant(ctx, entry, errors);

    const decision = await remembered(ctx, resource, () => decide(settings, ctx, resource, client, entry));
    return {
      ...entry,
      scope: decision.scopes.join(' '),
      ...(decision.lifetime === undefined ? undefined : { accessTokenTTL: decision.lifetime }),
    };
  }

  /**
   * `features.resourceIndicators.defaultResource`: a client_credentials request that names no resource gets the only
   * one there is. Without this it would get a token for which `getResourceServerInfo`, and so nobody, is asked.
   */
  async function defaultResource(ctx, _client, oneOf) {
    if (oneOf) return oneOf;
    if (ctx.oidc.route !== 'token' || ctx.oidc.params.grant_type !== 'client_credentials') return undefined;
    if (catalogue.size !== 1) throw new errors.InvalidTarget();
    return catalogue.keys().next().value;
  }

  /**
   * `extraTokenClaims`: the id of the approval, and the last look. The provider has worked out scope and lifetime by
   * now; if another part of the configuration (a `ttl.ClientCredentials` of its own, say) made them wider than what
   * was decided, or nobody decided at all, nothing is issued and the client sees a `server_error`.
   */
  async function extraTokenClaims(ctx, token) {
    if (token.kind !== 'ClientCredentials') return undefined;
    const decision = await ctx.state.countersign?.get(token.resourceServer?.identifier());
    if (!decision) throw new Unusable('a client_credentials token that Countersign was not asked about');
    if ([...token.scopes].some((scope) => scope !== '' && !decision.scopes.includes(scope))) {
      throw new Unusable('the token would carry a scope that was not granted');
    }
    if (decision.lifetime !== undefined && token.expiration > decision.lifetime) {
      throw new Unusable('the token would outlive its grant: let ttl.ClientCredentials follow accessTokenTTL');
    }
    return decision.approvalId === undefined ? undefined : { approval_id: decision.approvalId };
  }

  /** `features.richAuthorizationRequests.authorizationDetailsForAccessToken`: the details as they were granted. */
  async function authorizationDetailsForAccessToken(ctx, token, source, grantType) {
    if (grantType !== 'client_credentials') return source?.rar;
    const decision = await ctx.state.countersign?.get(token.resourceServer?.identifier());
    if (!decision) throw new Unusable('authorization_details that Countersign was not asked about');
    return decision.authorizationDetails;
  }

  return { getResourceServerInfo, defaultResource, extraTokenClaims, authorizationDetailsForAccessToken };
}

/** One question per request and resource, however often the provider calls; the answers stay on `ctx.state`. */
function remembered(ctx, resource, ask) {
  ctx.state.countersign ??= new Map();
  const answers = ctx.state.countersign;
  if (!answers.has(resource)) answers.set(resource, ask());
  return answers.get(resource);
}

/**
 * Grants made by a person earlier (code, device code, CIBA, refresh) carry their decision in the provider's Grant, so
 * nobody is asked again; their tokens just must not outlive it. A grant type without a Grant was decided by nobody.
 */
function boundByGrant(ctx, entry, errors) {
  const exp = ctx.oidc.entities.Grant?.exp;
  if (exp === undefined) throw new errors.AccessDenied('request denied');
  const left = Math.max(1, exp - Math.floor(Date.now() / 1000));
  return { ...entry, accessTokenTTL: Math.min(entry.accessTokenTTL ?? Infinity, left) };
}

/** Asks Countersign about one client_credentials request; returns the decision, or throws what the client is to see. */
async function decide(settings, ctx, resource, client, entry) {
  const { errors, notice } = settings;
  const asked = whatIsAsked(settings, ctx, resource, entry);
  const body = evaluationsRequest(settings, ctx, resource, client, asked);
  const requestId = randomUUID();
  ctx.set('X-Request-ID', requestId); // so that a client's complaint can be found in both logs
  const about = { request_id: requestId, client_id: client.clientId, resource, scopes: asked.scopes };

  let decision;
  const hangUp = whenClientLeaves(ctx);
  try {
    notice({ event: 'asking', ...about });
    const answer = await call(settings, body, requestId, hangUp.signal);
    decision = readAnswer(answer, asked);
  } catch (why) {
    const event = hangUp.signal.aborted ? 'gave_up' : 'unusable';
    notice({ event, ...about, why: why.message });
    throw new errors.TemporarilyUnavailable('approval service unavailable', { detail: why.message });
  } finally {
    hangUp.forget();
  }

  notice({ event: 'answered', ...about, outcome: decision.outcome, granted: decision.scopes, lifetime: decision.lifetime });
  if (decision.outcome === 'granted') return decision;
  if (decision.outcome === 'pending') throw new errors.AuthorizationPending(described('approval pending', decision.says));
  if (decision.outcome === 'denied') throw new errors.AccessDenied(described('request denied', decision.says));
  throw new errors.InvalidScope('none of the requested scopes was granted', asked.scopes.join(' '));
}

/** What goes to Countersign, after everything that would fail anyway has failed: nobody is to be asked in vain. */
function whatIsAsked({ errors }, ctx, resource, entry) {
  const { params } = ctx.oidc;
  // The provider calls once per resource and refuses several only afterwards, when the cards would be out.
  if (Array.isArray(params.resource) && params.resource.length !== 1) {
    throw new errors.InvalidTarget('only a single resource indicator value is supported for this grant type');
  }
  const named = [...new Set((params.scope ?? '').split(' ').filter(Boolean))];
  const offered = new Set(entry.scope.split(' '));
  const scopes = named.filter((scope) => offered.has(scope)); // the provider would drop the others from the token
  if (named.length > 0 && scopes.length === 0) {
    throw new errors.InvalidScope('the resource has none of the requested scopes', named.join(' '));
  }
  return {
    audiences: [resource, entry.audience].filter(Boolean),
    scopes,
    ceiling: entry.accessTokenTTL,
    authorizationDetails: detailsOf(params.authorization_details, errors),
  };
}

/** The parsed `authorization_details` parameter; undefined where there is none. */
function detailsOf(text, errors) {
  if (text === undefined) return undefined;
  let details;
  try {
    details = JSON.parse(text);
  } catch {
    throw new errors.InvalidAuthorizationDetails('authorization_details is not JSON');
  }
  if (!Array.isArray(details) || !details.every((one) => isObject(one) && typeof one.type === 'string')) {
    throw new errors.InvalidAuthorizationDetails('authorization_details must be an array of objects with a type');
  }
  return details.length === 0 ? undefined : details;
}

/** The AuthZEN body: the gate first, then one evaluation per scope, the scope verbatim as the action's name. */
function evaluationsRequest(settings, ctx, resource, client, asked) {
  return {
    subject: { type: 'client', id: client.clientId },
    resource: { type: 'audience', id: resource },
    context: {
      client_id: client.clientId,
      client_name: client.clientName,
      ip: ctx.ip?.replace(/^::ffff:(?=\d+\.)/, ''),
      user_agent: ctx.get('user-agent').slice(0, 512) || undefined,
      authorization_details: asked.authorizationDetails,
      issuer: ctx.oidc.provider.issuer,
      ...clientWords(settings, ctx),
    },
    evaluations: [
      { action: { name: 'issue:access_token:client_credentials' } },
      ...asked.scopes.map((scope) => ({ action: { name: scope } })),
    ],
    options: { evaluations_semantic: 'execute_all' },
  };
}

/** The client's own words, from the parameters this deployment named. */
function clientWords({ errors, words }, ctx) {
  const said = {};
  for (const [member, parameter] of words) {
    const text = ctx.oidc.body?.[parameter];
    if (text === undefined || text === '') continue;
    if (typeof text !== 'string') throw new errors.InvalidRequest(`${parameter} must be sent once`);
    if (text.length > MAX_WORDS) throw new errors.InvalidRequest(`${parameter} is longer than ${MAX_WORDS} characters`);
    said[member] = text;
  }
  return said;
}

/** Aborts when the client's connection closes before it was answered: a held question nobody waits for is let go. */
function whenClientLeaves(ctx) {
  const controller = new AbortController();
  const left = () => {
    if (!ctx.res.writableFinished) controller.abort(new Error('the client went away'));
  };
  ctx.res.once('close', left);
  if (ctx.req.socket.destroyed) left();
  return { signal: controller.signal, forget: () => ctx.res.off('close', left) };
}

/** Sends the question. Returns the parsed answer; throws for everything that is not a readable 200. */
async function call({ endpoint, token, timeout }, body, requestId, clientLeft) {
  const response = await fetch(endpoint, {
    method: 'POST',
    redirect: 'error', // the bearer token goes to the configured address and nowhere else
    signal: AbortSignal.any([AbortSignal.timeout(timeout), clientLeft]),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      authorization: `Bearer ${token()}`,
      'x-request-id': requestId,
    },
    body: JSON.stringify(body),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Unusable(`Countersign answered ${response.status}`);
  }
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Unusable('the answer is too long');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

/**
 * What an answer means for what was asked. Pure.
 *
 * @param {unknown} answer the parsed body of a 200.
 * @param {{ audiences: string[], scopes: string[], ceiling?: number, authorizationDetails?: object[] }} asked
 *   `ceiling` is the longest lifetime the catalogue allows, in seconds.
 * @param {number} [now] milliseconds since the epoch.
 * @returns `{ outcome: 'pending' | 'denied' | 'nothing_granted', says? }`, or
 *   `{ outcome: 'granted', scopes, lifetime?, authorizationDetails?, approvalId? }` with `lifetime` in seconds.
 * @throws {Unusable} when the answer is malformed, wider than the question, or asks for something not understood here.
 */
export function readAnswer(answer, asked, now = Date.now()) {
  const [gate, ...perScope] = evaluationsOf(answer, 1 + asked.scopes.length);
  const says = typeof gate.context?.reason_user === 'string' ? gate.context.reason_user : undefined;
  if (!gate.decision) {
    return { outcome: isObject(gate.context?.access_request) ? 'pending' : 'denied', says };
  }

  const lifetimes = asked.ceiling === undefined ? [] : [asked.ceiling];
  const shapes = [gate, ...perScope.filter((one) => one.decision)].map((one) => issuanceOf(one, asked));
  for (const { token_lifetime: seconds } of shapes) if (seconds !== undefined) lifetimes.push(seconds);
  if (shapes.slice(1).some((shape) => shape.authorization_details !== undefined)) {
    throw new Unusable('authorization_details narrowed for one scope only');
  }
  const approval = approvalOf(gate, now);
  if (approval.left !== undefined) lifetimes.push(approval.left);
  const lifetime = lifetimes.length === 0 ? undefined : Math.min(...lifetimes);
  if (lifetime !== undefined && lifetime <= 0) return { outcome: 'denied', says };

  const ceiling = shapes[0].granted_scope;
  const scopes = asked.scopes.filter((scope, at) => perScope[at].decision && (ceiling?.includes(scope) ?? true));
  if (asked.scopes.length > 0 && scopes.length === 0) return { outcome: 'nothing_granted', says };

  return {
    outcome: 'granted',
    scopes,
    lifetime,
    authorizationDetails: shapes[0].authorization_details ?? asked.authorizationDetails,
    approvalId: approval.id,
  };
}

/** The evaluations of an answer: as many as were asked, each with a decision that is true or false. */
function evaluationsOf(answer, expected) {
  const evaluations = answer?.evaluations;
  if (!Array.isArray(evaluations)) throw new Unusable('the answer has no evaluations');
  if (evaluations.length !== expected) {
    throw new Unusable(`${expected} evaluations were asked and ${evaluations.length} answered`);
  }
  for (const one of evaluations) {
    if (!isObject(one) || typeof one.decision !== 'boolean') throw new Unusable('an evaluation without a decision');
    if (one.context !== undefined && !isObject(one.context)) throw new Unusable('a context that is not an object');
  }
  return evaluations;
}

/** The checked `context.issuance` of one evaluation: nothing in it may be wider than what was asked. */
function issuanceOf(evaluation, asked) {
  const issuance = evaluation.context?.issuance;
  if (issuance === undefined) return {};
  if (!isObject(issuance)) throw new Unusable('an issuance that is not an object');

  const critical = issuance.crit ?? [];
  if (!Array.isArray(critical) || critical.some((name) => !UNDERSTOOD.has(name))) {
    throw new Unusable('the answer depends on a member of issuance that is not understood here');
  }
  const seconds = issuance.token_lifetime;
  if (seconds !== undefined && (!Number.isSafeInteger(seconds) || seconds < 0)) {
    throw new Unusable('token_lifetime is not a number of seconds');
  }
  const audience = listOf(issuance.audience, 'audience');
  if (audience && (audience.length === 0 || !audience.every((one) => asked.audiences.includes(one)))) {
    throw new Unusable('the answer is about another audience');
  }
  const scope = listOf(issuance.granted_scope, 'granted_scope');
  if (scope && !scope.every((one) => asked.scopes.includes(one))) {
    throw new Unusable('granted_scope is broader than what was asked');
  }
  const details = issuance.authorization_details;
  if (details !== undefined && !narrows(details, asked.authorizationDetails)) {
    throw new Unusable('authorization_details are broader than what was asked');
  }
  return { token_lifetime: seconds, granted_scope: scope, authorization_details: details };
}

/** The approval behind a grant: its id for the token, and the seconds that are left of it. */
function approvalOf(gate, now) {
  const approval = gate.context?.approval;
  if (approval === undefined) return {};
  if (!isObject(approval)) throw new Unusable('an approval that is not an object');
  const { id, approved_until: until } = approval;
  if (id !== undefined && typeof id !== 'string') throw new Unusable('an approval whose id is not text');
  if (until === undefined) return { id };
  const end = typeof until === 'string' ? Date.parse(until) : NaN;
  if (Number.isNaN(end)) throw new Unusable('approved_until is not a time');
  return { id, left: Math.floor((end - now) / 1000) };
}

/** A list given as JSON array of strings or as text separated by spaces; undefined where absent. */
function listOf(value, name) {
  if (value === undefined) return undefined;
  const list = typeof value === 'string' ? value.split(' ').filter(Boolean) : value;
  if (!Array.isArray(list) || !list.every((one) => typeof one === 'string')) throw new Unusable(`${name} is not a list`);
  return list;
}

/**
 * Whether `given` authorization details permit no more than `asked`: each is one of those asked for, with the same
 * members, of which only lists may be shorter (an absent or empty list could mean "all" to the resource server).
 */
function narrows(given, asked) {
  if (!Array.isArray(given) || given.length === 0 || asked === undefined) return false;
  return given.every((one) => isObject(one) && asked.some((whole) => isPartOf(one, whole)));
}

function isPartOf(one, whole) {
  const members = Object.keys(one);
  if (members.length !== Object.keys(whole).length) return false;
  return members.every((member) => {
    if (!Object.hasOwn(whole, member)) return false;
    const [part, all] = [one[member], whole[member]];
    if (!Array.isArray(part) || !Array.isArray(all)) return isDeepStrictEqual(part, all);
    if (part.length === 0) return all.length === 0;
    return part.every((item) => all.some((other) => isDeepStrictEqual(item, other)));
  });
}

/** An `error_description`: RFC 6749 allows printable ASCII without quote and backslash. */
function described(what, says) {
  const text = says?.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '').trim().slice(0, 300);
  return text ? `${what}: ${text}` : what;
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** The options, checked when the provider starts: a mistake here must not wait for the first token. */
function checked({ url, token, errors, resources, clientWords: words = {}, timeout = DEFAULT_TIMEOUT_MS, allowHttp = false, notice }) {
  const base = new URL(url);
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(base.hostname);
  if (base.protocol !== 'https:' && !(base.protocol === 'http:' && (loopback || allowHttp))) {
    throw new TypeError('countersign: url must be https, or http on loopback: it is sent a bearer token');
  }
  const currentToken = typeof token === 'function' ? token : () => token;
  if (typeof currentToken() !== 'string' || currentToken() === '') throw new TypeError('countersign: token is missing');
  if (typeof errors?.AuthorizationPending !== 'function') {
    throw new TypeError("countersign: errors must be the `errors` export of 'oidc-provider'");
  }
  const catalogue = new Map(Object.entries(resources ?? {}));
  if (catalogue.size === 0) throw new TypeError('countersign: resources is empty');
  for (const [resource, entry] of catalogue) {
    if (typeof entry?.scope !== 'string') throw new TypeError(`countersign: resources["${resource}"].scope must be text`);
  }
  if (!Number.isSafeInteger(timeout) || timeout <= 0) throw new TypeError('countersign: timeout must be milliseconds');
  for (const member of Object.keys(words)) {
    if (!['reason', 'binding_message'].includes(member)) throw new TypeError(`countersign: clientWords.${member} is unknown`);
  }
  return {
    endpoint: `${base.href.replace(/\/$/, '')}/access/v1/evaluations`,
    token: currentToken,
    errors,
    catalogue,
    words: Object.entries(words),
    timeout,
    notice: (what) => { try { notice?.(what); } catch { /* a broken logger must not decide about tokens */ } },
  };
}
