// The left column: the OAuth client. It asks through the stand-in, which calls the service's hook for
// real; each call is shown hanging while it is held, then with the answer as the server got it.

import { confirmed } from "./blockkit.js";
import { announce, byId, clockwork, copies, glow, h, icon, inWords, keyed, now, ticks, timeOfDay, toast } from "./dom.js";
import { openPolicy } from "./policy.js";
import { pendingCards } from "./slack.js";
import { openPane, openTab, post, refresh, store, stored, whyNot, world } from "./world.js";

/** What can be typed; the rest of a card's body goes along as it is. */
const FIELDS = [
  { name: "client_id", label: "Client", required: true },
  { name: "subject", label: "Subject", hint: "Whose access; empty: the client’s own" },
  { name: "scope", label: "Scope", required: true, wide: true },
  { name: "audience", label: "Audience", wide: true },
  { name: "reason", label: "Reason", wide: true },
  { name: "expires_in", label: "For how long", unit: "seconds", numeric: true },
  { name: "wait", label: "Hold the call for", unit: "seconds", numeric: true },
  { name: "binding_message", label: "Number to match", hint: "What the client shows; some rules ask for it" },
];

/** What would be asked now. */
const form = { preset: "", rest: {}, fields: {} };

// ---- asking -------------------------------------------------------------------------------------

/** Draws the cards and fields once the presets are known. */
export function begin() {
  byId("fields").append(...FIELDS.map(drawField));
  for (const preset of world.presets) byId(preset.way ? "presets-ways" : "presets").append(drawPreset(preset));
  const kept = stored("form");
  const first = world.presets.find((preset) => preset.id === kept?.preset) ?? world.presets[0];
  if (first) choose(first.id);
  if (kept) Object.assign(form, kept);
  showFields();
  byId("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  copies(byId("curl-copy"), () => byId("curl-text").textContent);
}

const DRAWINGS = { person: "person", "build job": "build", "AI agent": "agent" };

function drawPreset(preset) {
  const radio = h("input", { type: "radio", name: "preset", value: preset.id, onchange: () => choose(preset.id) });
  return h("label", { class: "preset", "data-testid": `preset-${preset.id}` },
    radio, h("span", { class: "drawing" }, icon(DRAWINGS[preset.who] ?? "terminal")),
    h("span", { class: "title" }, preset.title), h("span", { class: "tag" }, preset.way ?? preset.who));
}

function drawField({ name, label, hint, unit, numeric, wide }) {
  const line = h("input", {
    id: `ask-${name}`, type: "text", inputmode: numeric && "numeric", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
    "data-testid": `field-${name}`, "aria-describedby": hint && `ask-${name}-hint`, oninput: () => edited(name, line.value),
  });
  return h("div", { class: wide ? "labelled wide" : "labelled" },
    h("label", { for: line.id }, label), h("span", { class: "unit-row" }, line, unit && h("span", { class: "unit" }, unit)),
    hint && h("p", { class: "fine", id: `ask-${name}-hint` }, hint));
}

/** Takes over one of the cards. */
export function choose(id) {
  const preset = world.presets.find((one) => one.id === id);
  if (!preset) return;
  const { client_id, subject, scope, audience, reason, binding_message, expires_in, ...rest } = preset.body ?? {};
  form.preset = id;
  form.rest = rest;
  form.fields = { client_id, subject, scope, audience: [audience ?? []].flat().join(" "), reason, binding_message, expires_in, wait: preset.wait };
  showFields();
  store("form", form);
}

function edited(name, value) {
  form.fields[name] = value;
  store("form", form);
  showWords();
}

function showFields() {
  for (const { name } of FIELDS) byId(`ask-${name}`).value = form.fields[name] ?? "";
  for (const radio of byId("ask-form").querySelectorAll("input[name=preset]")) radio.checked = radio.value === form.preset;
  showWords();
}

/** The body in the generic dialect. What is not a number is sent as it was typed: the server says no. */
function body() {
  const { client_id, subject, scope, audience, reason, binding_message, expires_in } = form.fields;
  const text = (value) => (String(value ?? "").trim() === "" ? undefined : String(value).trim());
  const places = text(audience)?.split(/[\s,]+/);
  const number = (value) => (text(value) === undefined || !/^\d+$/.test(text(value)) ? text(value) : Number(text(value)));
  const all = {
    grant_type: "client_credentials", ...form.rest, client_id: text(client_id), subject: text(subject), scope: text(scope),
    audience: places, expires_in: number(expires_in), reason: text(reason), binding_message: text(binding_message),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

const wait = () => Math.max(0, Math.min(55, Number.parseInt(form.fields.wait, 10) || 0));

function showWords() {
  const asked = body();
  const lasts = Number(asked.expires_in) > 0 ? ` · ${inWords(asked.expires_in)}` : "";
  byId("typed-words").replaceChildren(h("code", {}, asked.scope ?? "no scope"), ` for ${asked.subject ?? "the client itself"}${lasts}`);
  byId("ask-note").textContent = wait() > 0 ? `Held for up to ${wait()} s while people decide.` : "Answered at once.";
  showCurl(asked);
}

function showCurl(asked) {
  const last = world.state?.calls?.[0]?.curl;
  const exact = last && /authorization: bearer/i.test(last);
  const address = last?.match(/'(https?:[^']+)'/)?.[1] ?? `${world.state?.service?.url ?? "http://127.0.0.1"}/hooks/${world.state?.service?.hook ?? "billing"}`;
  const bearer = exact ? last.match(/authorization: (bearer [^']+)'/i)?.[1] : "Bearer $HOOK_TOKEN";
  const quoted = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const header = (text) => (text.includes("$") ? `"${text}"` : quoted(text));
  const lines = [`curl -sS ${quoted(address)}`, "-H 'content-type: application/json'"];
  if (wait() > 0) lines.push(`-H 'prefer: wait=${wait()}'`);
  lines.push(`-H ${header(`authorization: ${bearer}`)}`, `-d ${quoted(JSON.stringify(asked))}`);
  byId("curl-text").textContent = lines.join(" \\\n  ");
  byId("curl-note").textContent = exact ? "" : "Each call below has its exact command, with this demo’s own credential.";
}

async function ask() {
  const answer = await post("/page/ask", { body: body(), wait: wait() });
  if (!answer.ok) toast(whyNot(answer));
  await refresh();
}

async function retry(id) {
  const answer = await post(`/page/call/${id}/retry`, {});
  if (!answer.ok) toast(whyNot(answer));
  await refresh();
}

// ---- calls --------------------------------------------------------------------------------------

const answeredBefore = new Set();

/** Draws the calls. */
export function draw() {
  const calls = world.state?.calls ?? [];
  showCurl(body());
  byId("no-calls").hidden = calls.length > 0;
  keyed(byId("calls"), calls, {
    key: (call) => call.id,
    sign: (call) => JSON.stringify([call, fate(call), ruleOf(call), cardOf(call)?.message.ts, decidedSince(call)]),
    make: drawCall,
    arrived: (element) => {
      for (const fold of byId("calls").querySelectorAll("details[data-keep=answer]")) if (!element.contains(fold)) fold.open = false;
      glow(element, "arrived");
      element.scrollIntoView({ block: "nearest" });
    },
    changed: (element, call) => {
      if (call.state === "waiting" || answeredBefore.has(call.id)) return;
      answeredBefore.add(call.id);
      glow(element);
      element.scrollIntoView({ block: "nearest" });
      announce(`Call ${call.id}: ${outcome(call).say}. ${explained(call)}`);
    },
  });
}

/** What became of the call's grant afterwards: "revoked", "ended" or nothing. */
function fate(call) {
  const grant = call.answer?.grant_id;
  const entry = grant && world.audit.findLast((one) => one.grant_id === grant && /^grant\.(revoked|ended)$/.test(one.kind));
  return entry ? { kind: entry.kind.split(".")[1], at: entry.at } : null;
}

/** The card that this call seems to wait for. */
function cardOf(call) {
  if (call.state !== "waiting") return undefined;
  return pendingCards().find(({ message }) => JSON.stringify(message.blocks).includes(call.body?.client_id));
}

/** How the call went, in two words and a colour. */
function outcome(call) {
  if (call.state === "waiting") return { css: "waiting", say: "waiting" };
  if (call.state === "failed") return { css: "failed", say: "no answer" };
  const decision = call.answer?.decision;
  if (call.status === 200 && decision !== "denied") return { css: "granted", say: decision ?? "ok" };
  if (call.status === 202) return { css: "pending", say: decision ?? "pending" };
  return { css: "refused", say: decision ?? call.answer?.title ?? "refused" };
}

/** What became of the request after this call had to be answered "pending". */
function decidedSince(call) {
  const id = call.status === 202 && call.answer?.request_id;
  const entry = id && world.audit.findLast((one) => one.request_id === id && /^request\.(approved|denied|expired|cancelled)$/.test(one.kind));
  return entry ? `Since then the request was ${entry.kind.split(".")[1]}. Retry, and the server gets that answer.` : undefined;
}

function explained(call) {
  const answer = call.answer ?? {};
  if (call.state === "failed") return call.why ?? "";
  if (call.status === 202) return decidedSince(call) ?? "Nobody has decided yet. Asking again joins the same request; it does not ask people twice.";
  return answer.error_description ?? answer.detail ?? "";
}

function drawCall(call) {
  const { css, say } = outcome(call);
  const body = call.body ?? {};
  const took = call.took_ms !== undefined ? `${call.took_ms < 1000 ? `${call.took_ms} ms` : `${(call.took_ms / 1000).toFixed(1)} s`}` : "";
  return h("li", { class: `call ${css}`, "data-testid": `call-${call.id}`, "data-state": call.state, "data-status": call.status, "data-outcome": css },
    h("div", { class: "call-head" },
      h("span", { class: "call-name" }, h("strong", {}, body.client_id ?? "?"), body.subject ? ` for ${body.subject}` : ""),
      h("span", { class: "pill" }, call.status !== undefined && h("b", {}, call.status), say)),
    h("p", { class: "call-facts" }, `#${call.id} · ${timeOfDay(call.at)}`, took && ` · answered after ${took}`, body.binding_message && h("span", {}, " · number to match: ", h("strong", {}, body.binding_message))),
    scopes(call),
    call.state === "waiting" && hanging(call),
    explained(call) && h("p", { class: "explained" }, explained(call)),
    lifetimes(call),
    call.answer !== undefined && answerFold(call),
    h("div", { class: "call-foot" },
      call.state !== "waiting" && h("button", { type: "button", "data-testid": `retry-${call.id}`, "data-focus": "retry", "aria-label": `Retry call ${call.id}`, onclick: () => retry(call.id) }, "Retry"),
      isLive(call) && h("button", { type: "button", class: "quiet-danger", "data-testid": `revoke-${call.id}`, "data-focus": "revoke", "aria-label": `Revoke the grant of call ${call.id}`, onclick: (event) => revoke(call, event.currentTarget) }, "Revoke"),
      ruleOf(call) && h("button", { type: "button", class: "link", onclick: () => openPolicy(ruleOf(call)) }, `Rule: ${ruleOf(call).join(", ")}`),
      curlFold(call)));
}

/** The rules that decided, as the audit names them. */
function ruleOf(call) {
  const { request_id, grant_id } = call.answer ?? {};
  if (!request_id && !grant_id) return undefined;
  const about = world.audit.find((entry) => entry.detail?.rules?.length && ((request_id && entry.request_id === request_id) || (grant_id && entry.grant_id === grant_id)));
  return about?.detail.rules;
}

function scopes(call) {
  const asked = String(call.body?.scope ?? "").split(/\s+/).filter(Boolean);
  const granted = call.status === 200 ? String(call.answer?.scope ?? "").split(/\s+/).filter(Boolean) : [];
  const all = [...new Set([...asked, ...granted])];
  const settled = call.state === "answered" && call.status !== 202;
  return h("ul", { class: "scopes", "aria-label": granted.length ? "Scopes granted" : "Scopes asked for" }, all.map((scope) => {
    const has = granted.includes(scope);
    return h("li", { class: has ? "scope has" : settled ? "scope lost" : "scope" }, has && icon("check"), scope,
      settled && !has && h("span", { class: "sr" }, " (not granted)"));
  }));
}

function hanging(call) {
  const begun = Date.parse(call.at);
  const bar = h("span", { class: "bar-fill" });
  const line = h("p", { class: "hang-words" });
  const card = cardOf(call);
  const channel = world.state?.channels?.find((one) => one.id === card?.tab)?.name;
  const see = () => {
    openTab(card.tab);
    openPane("slack");
    document.querySelector(`[data-ts="${card.message.ts}"] button`)?.focus();
  };
  const hung = h("div", { class: "hanging", "data-testid": "hanging" },
    h("span", { class: "breath", "aria-hidden": "true" }, h("i"), h("i"), h("i")), line,
    h("span", { class: "bar", "aria-hidden": "true" }, bar),
    channel && h("button", { type: "button", class: "link", "data-focus": "see", onclick: see }, `People are asked in #${channel}`));
  return ticks(hung, () => {
    const gone = Math.max(0, now() - begun);
    line.textContent = call.wait > 0 ? `The call hangs: ${clockwork(gone)} of at most ${call.wait} s` : `Waiting for ${clockwork(gone)}`;
    bar.style.setProperty("width", `${Math.min(100, (gone / 1000 / Math.max(1, call.wait)) * 100)}%`);
  });
}

/** Counts down what is left of token and grant. */
function lifetimes(call) {
  if (call.status !== 200 || !call.answer) return null;
  const { expires_at, grant_expires_at } = call.answer;
  const gone = fate(call);
  return h("div", { class: "lifetimes" },
    expires_at && lifetime("Token", call, expires_at, gone ? "no new one is issued" : ""),
    grant_expires_at && (gone ? h("p", { class: "lifetime past" }, h("span", { class: "what" }, "Grant"), h("span", {}, `${gone.kind} ${timeOfDay(gone.at)}`)) : lifetime("Grant", call, grant_expires_at, "")));
}

function lifetime(what, call, until, note) {
  const [from, to] = [Date.parse(call.at) + (call.took_ms ?? 0), Date.parse(until)];
  const words = h("span", { class: "left" });
  const bar = h("span", { class: "bar-fill" });
  return ticks(h("p", { class: "lifetime", title: `until ${timeOfDay(until)}` }, h("span", { class: "what" }, what), words, h("span", { class: "bar", "aria-hidden": "true" }, bar)), (element) => {
    const left = to - now();
    element.classList.toggle("past", left <= 0 || note !== "");
    words.textContent = left <= 0 ? `ended ${timeOfDay(until)}` : `${clockwork(left)} left${note && `; ${note}`}`;
    bar.style.setProperty("width", `${Math.max(0, Math.min(100, (left / Math.max(1, to - from)) * 100))}%`);
  });
}

const isLive = (call) => call.status === 200 && call.answer?.grant_id && !fate(call) && !(Date.parse(call.answer.grant_expires_at) < now());

async function revoke(call, from) {
  const plain = (text) => ({ type: "plain_text", text });
  const sure = await confirmed({
    title: plain("Revoke this grant?"), style: "danger", confirm: plain("Revoke"), deny: plain("Keep"),
    text: plain("You act as the operator here. Nothing more is issued under this grant, and the same access is refused for a while."),
  }, from);
  if (!sure) return;
  const answer = await post("/page/revoke", { grant_id: call.answer.grant_id, reason: "revoked on the playground's page" });
  toast(answer.ok ? "The grant is revoked" : whyNot(answer));
  await refresh();
}

function answerFold(call) {
  const text = () => (typeof call.answer === "string" ? call.answer : JSON.stringify(call.answer, null, 2));
  const newest = call.id === world.state?.calls?.[0]?.id;
  return h("details", { class: "answer", "data-keep": "answer", open: newest },
    h("summary", { "data-focus": "answer" }, "The answer, as the authorization server got it"),
    h("div", { class: "code" },
      h("pre", { tabindex: 0, "aria-label": `Answer to call ${call.id}` }, `HTTP ${call.status}\n`, typeof call.answer === "string" ? call.answer : json(call.answer)),
      copies(h("button", { type: "button", class: "copy" }, "Copy"), text)));
}

function curlFold(call) {
  return call.curl && h("details", { class: "curl", "data-keep": "curl" },
    h("summary", { "data-focus": "curl" }, "curl"),
    h("div", { class: "code" }, h("pre", { tabindex: 0, "aria-label": `Call ${call.id} as a curl command` }, call.curl),
      copies(h("button", { type: "button", class: "copy" }, "Copy"), () => call.curl)));
}

/** JSON, indented by two and coloured; a very long text is cut off to the eye only. */
export function json(value, depth = 0) {
  const pad = "  ".repeat(depth + 1);
  const end = `\n${"  ".repeat(depth)}`;
  const inside = (items) => items.flatMap((item, index) => [index > 0 ? ",\n" : "\n", pad, ...item]);
  if (Array.isArray(value)) return value.length ? ["[", ...inside(value.map((item) => json(item, depth + 1))), `${end}]`] : ["[]"];
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(([name, item]) => [h("span", { class: "j-name" }, JSON.stringify(name)), ": ", ...json(item, depth + 1)]);
    return members.length ? ["{", ...inside(members), `${end}}`] : ["{}"];
  }
  const text = JSON.stringify(value) ?? "";
  const css = typeof value === "string" ? (text.length > 90 ? "j-text long" : "j-text") : "j-other";
  return [h("span", { class: css, title: text.length > 90 ? text : undefined }, text)];
}
