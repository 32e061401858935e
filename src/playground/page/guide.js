// The guided path: steps that check themselves off from what really happened. To add one, put it into STEPS (or into
// ways.js) with `done`, `hint` and `lead`; "Show me" then prepares form, person and tab and points at what to press; the
// pressing is left to the person.

import { choose } from "./client.js";
import { announce, byId, h, icon, keyed, now } from "./dom.js";
import { cardState, pendingCards } from "./slack.js";
import { ways } from "./ways.js";
import { become, openPane, openTab, store, stored, world } from "./world.js";

/** What is kept for this browser tab: which steps are done, and what the two longer ones have seen. */
const memory = { since: 0, done: {}, plug: {}, restart: {}, ...stored("guide") };

/** The step that somebody chose to look at, if it is not the next one. */
let chosen = null;

// ---- what happened ------------------------------------------------------------------------------

const ended = /^request\.(approved|denied|expired|cancelled)$/;
const at = (thing) => Date.parse(thing.at);
const entries = (kind) => world.audit.filter((entry) => entry.kind === kind && at(entry) >= memory.since);
const calls = () => world.state?.calls ?? [];
const isPlugged = () => world.state?.slack?.plugged !== false;

/** The ids of the access requests that wait for somebody. */
function waiting() {
  const settled = new Set(world.audit.filter((entry) => ended.test(entry.kind)).map((entry) => entry.request_id));
  return entries("request.opened").map((entry) => entry.request_id).filter((id) => !settled.has(id));
}

const pendingCard = () => pendingCards()[0];

/**
 * The first of these presets whose client had nothing decided lately: a standing grant or a cool-down
 * would answer the others without asking anybody.
 */
function untouched(...ids) {
  const all = ids.map((id) => world.presets.find((one) => one.id === id)).filter(Boolean);
  const decided = world.audit.filter((entry) => /^(request\.(approved|denied)|grant\.revoked)$/.test(entry.kind) && now() - at(entry) < 30 * 60_000);
  const about = (entry) => JSON.stringify([entry, world.audit.find((one) => one.kind === "request.opened" && one.request_id === entry.request_id)]);
  return all.find((one) => !decided.some((entry) => about(entry).includes(one.body?.client_id))) ?? all[0] ?? world.presets[0];
}

const refund = () => untouched("alice-refund", "build-refund", "agent-refund");
const whileAway = () => untouched("build-refund", "agent-refund", "alice-refund");
const inBetween = () => untouched("agent-refund", "build-refund", "alice-refund");

const wasFree = () => entries("grant.allowed").length > 0;

function outsiderRefused() {
  const outsiders = (world.state?.people ?? []).filter((person) => person.kind === "outsider").map((person) => person.id);
  return entries("click.refused").some((entry) => outsiders.some((id) => JSON.stringify([entry.actor, entry.detail, entry.summary]).includes(id)));
}

/** A call that began after the approval and got the same grant. */
const retried = () => entries("request.approved").some((approved) =>
  calls().some((call) => call.status === 200 && call.answer?.grant_id && call.answer.grant_id === approved.grant_id && at(call) > at(approved)));

/** Follows the plug: pulled, something asked meanwhile, back in, the card is there. */
function plugSurvived() {
  const plug = memory.plug;
  if (!isPlugged()) {
    if (!plug.pulled || plug.back) memory.plug = { pulled: now() };
    return false;
  }
  if (!plug.pulled) return false;
  plug.back ??= now();
  const asked = plugAsked();
  if (!asked) return false;
  const all = Object.values(world.state?.messages ?? {}).flat();
  return all.some((message) => JSON.stringify(message).includes(asked.request_id) || (Number(message.ts) * 1000 > plug.back - 500 && cardState(message) === "pending"));
}

const plugAsked = () => entries("request.opened").findLast((entry) => at(entry) >= memory.plug.pulled - 1000 && at(entry) <= (memory.plug.back ?? Infinity));

/** Notes which requests were waiting when the service went down. */
export function restarting() {
  const open = waiting();
  if (open.length > 0) memory.restart = { at: now(), held: open };
  store("guide", memory);
}

/** A request that was open before a restart was decided after it. */
function restartSurvived() {
  if (world.state?.service?.up === false && !(now() - (memory.restart.at ?? 0) < 30_000)) restarting();
  const { at: when, held } = memory.restart;
  return Boolean(held) && world.audit.some((entry) => ended.test(entry.kind) && held.includes(entry.request_id) && at(entry) > when);
}

// ---- where to lead ------------------------------------------------------------------------------

const somebody = (id, kind) => (world.state?.people?.find((person) => person.id === id) ?? world.state?.people?.find((person) => person.kind === kind))?.id;
const toAsk = (preset) => ({ pane: "client", preset: preset?.id, find: () => byId("ask") });
const toPlug = () => ({ pane: document.body.dataset.pane, find: () => byId("plug") });

/** The card's button that begins with `words`, as seen by `person`; of the request for a scope, where one is named. */
function toCard(person, words, scope) {
  const card = pendingCards().find(({ message }) => !scope || JSON.stringify(message.blocks).includes(scope));
  return {
    pane: "slack", person, tab: card?.tab,
    find: () => buttonOf(card && `article[data-ts="${card.message.ts}"]`, words) ?? byId("channel"),
  };
}

function buttonOf(selector, words) {
  const scope = selector ? byId("channel").querySelector(selector) : byId("channel");
  return [...(scope?.querySelectorAll("button") ?? [])].findLast((button) => button.textContent.trim().toLowerCase().startsWith(words));
}

function toRevoke() {
  const all = Object.entries(world.state?.messages ?? {}).flatMap(([tab, list]) => list.map((message) => ({ tab, message })));
  const card = all.findLast(({ tab, message }) => !tab.startsWith("D") && JSON.stringify(message.blocks ?? []).includes('"Revoke'));
  const inClient = { pane: "client", find: () => document.querySelector("[data-testid^=revoke-]") };
  if (!card) return inClient;
  return { pane: "slack", person: somebody("U0BOB", "member"), tab: card.tab, find: () => buttonOf(`article[data-ts="${card.message.ts}"]`, "revoke") ?? inClient.find() };
}

const toRetry = () => {
  const approved = entries("request.approved").at(-1);
  const call = calls().find((one) => one.state !== "waiting" && approved && (one.answer?.request_id === approved.request_id || one.answer?.grant_id === approved.grant_id));
  return { pane: "client", find: () => document.querySelector(call ? `[data-testid="retry-${call.id}"]` : "[data-testid^=retry-]") ?? byId("ask") };
};

// ---- the steps ----------------------------------------------------------------------------------

const bob = () => somebody("U0BOB", "member");
const needsCard = (words) => (pendingCard() ? words : "First something must wait for a decision: ask for a refund.");

const STEPS = [
  {
    id: "read", short: "A free read", title: "An allowed read is answered at once",
    done: wasFree,
    hint: () => "Alice’s CLI asks to read invoices. A rule allows that, so nobody is asked and the answer comes within milliseconds.",
    lead: () => toAsk(world.presets.find((one) => one.id === "alice-read") ?? world.presets[0]),
  },
  {
    id: "ask", short: "A refund waits", title: "A refund waits for Bob",
    done: () => entries("request.opened").length > 0,
    hint: () => "The same CLI asks for refunds. The call hangs while a card is posted in Slack, and a person decides.",
    lead: () => toAsk(refund()),
  },
  {
    id: "outsider", short: "Eve is refused", title: "Eve’s click is refused",
    done: outsiderRefused,
    hint: () => needsCard("Eve is of another company, but in the channel. Be Eve and press Approve: only she sees the refusal, and it is on record."),
    lead: () => (pendingCard() ? toCard(somebody("U0EVE", "outsider"), "approve") : toAsk(refund())),
  },
  {
    id: "approve", short: "Bob approves", title: "Bob approves, and the call is answered",
    done: () => entries("request.approved").length > 0,
    hint: () => needsCard("Be Bob, a payments lead, and approve. The card changes in place; the call that hangs gets its answer in the same moment."),
    lead: () => (pendingCard() ? toCard(bob(), "approve") : toAsk(refund())),
  },
  {
    id: "retry", short: "No second question", title: "The retry is answered without asking again",
    done: retried,
    hint: () => "Authorization servers repeat calls. Press Retry on the same call: the standing grant answers at once, and nobody is bothered twice.",
    lead: toRetry,
  },
  {
    id: "revoke", short: "Revoke", title: "Access is taken back",
    done: () => entries("grant.revoked").length > 0,
    hint: () => "Press Revoke on the card, or on the call as the operator. The grant ends now, the card says so, and asking again is refused for a while.",
    lead: toRevoke,
  },
  {
    id: "plug", short: "Slack goes down", title: "Slack goes away, and nothing is lost",
    done: plugSurvived,
    hint: () => {
      if (!isPlugged()) return plugAsked() ? "The request is safe in the database. Now plug Slack back in, and watch the card arrive." : `Slack is gone. Now ask: “${whileAway()?.title}”. Nothing can be posted, and nothing is forgotten.`;
      if (memory.plug.back && !plugAsked()) return "Nothing was asked while Slack was away. Pull the plug again, ask, and plug it back in.";
      return memory.plug.back ? "Slack is back. The card is on its way." : "Pull Slack’s plug, ask for something, and plug it back in. The card is posted late, but it is posted.";
    },
    lead: () => (isPlugged() || plugAsked() ? toPlug() : toAsk(whileAway())),
  },
  {
    id: "restart", short: "A restart", title: "A restart in mid-request loses nothing",
    done: restartSurvived,
    hint: () => {
      const open = (memory.restart.held ?? []).some((id) => waiting().includes(id));
      if (open) return "The service is back on the same database. The card from before the restart is still good: decide on it. Then Retry the call.";
      return waiting().length > 0 ? "Something waits for a decision. Restart the service now." : `Ask: “${inBetween()?.title}”. Then restart the service while the call hangs.`;
    },
    lead: () => {
      if ((memory.restart.held ?? []).some((id) => waiting().includes(id))) return toCard(bob(), "approve");
      return waiting().length > 0 ? { pane: document.body.dataset.pane, find: () => byId("restart") } : toAsk(inBetween());
    },
  },
];

/** The request that waits for this scope. */
function waitsFor(scope) {
  const opened = entries("request.opened").filter((entry) => (entry.detail?.scopes ?? []).includes(scope));
  return opened.find((entry) => waiting().includes(entry.request_id));
}

/** Whether somebody has approved the request that waits for this scope. */
const hasApproved = (scope, person) => world.audit.some((entry) =>
  entry.kind === "vote.recorded" && entry.request_id === waitsFor(scope)?.request_id && JSON.stringify(entry.actor).includes(person));

/** The review of the last broken glass. */
function toReview(person) {
  const all = Object.entries(world.state?.messages ?? {}).flatMap(([tab, list]) => list.map((message) => ({ tab, message })));
  const card = all.findLast(({ tab, message }) => !tab.startsWith("D") && JSON.stringify(message.blocks ?? []).includes('"review_justified"'));
  return { pane: "slack", person, tab: card?.tab ?? "C0APPROVALS", find: () => buttonOf(card && `article[data-ts="${card.message.ts}"]`, "justified") ?? byId("channel") };
}

const WAYS = ways({
  entries, waits: (scope) => Boolean(waitsFor(scope)), settled: hasApproved, toCard, toReview,
  toAsk: (id) => toAsk(world.presets.find((one) => one.id === id)),
});

/** The two paths. */
const PATHS = [
  { id: "story", title: "The story", steps: STEPS, end: "Now look at the ways to decide, or play: be Greg the guest, deny with a reason, let CI export customers, or type a request of your own under Details." },
  { id: "ways", title: "Ways to decide", steps: WAYS, end: "Each of these is a rule of the policy; open it at the top right, and see which one decided." },
];
const ALL = PATHS.flatMap((path) => path.steps);

/** The path that is looked at: the one chosen, or the first that is not walked to its end. */
const pathNow = () => PATHS.find((path) => path.id === memory.path) ?? PATHS[0];

// ---- drawing ------------------------------------------------------------------------------------

/** Checks off what happened and draws the path. */
export function draw() {
  if (!world.state) return;
  // Nothing was ever asked here: this is another demo than the one that was walked through.
  if (world.audit.length === 0 && calls().length === 0) Object.assign(memory, { since: 0, done: {}, plug: isPlugged() ? {} : memory.plug, restart: {} });
  for (const step of ALL) {
    if (!step.done() || memory.done[step.id]) continue;
    memory.done[step.id] = true;
    if (chosen === step.id) chosen = null;
    announce(`Step done: ${step.title}`);
  }
  store("guide", memory);
  const path = pathNow();
  const next = path.steps.find((step) => !memory.done[step.id]);
  const shown = path.steps.find((step) => step.id === chosen) ?? next;
  keyed(byId("guide"), [{ shown, next }], {
    key: () => "guide",
    sign: () => JSON.stringify([memory.done, path.id, shown?.id, shown?.hint()]),
    make: () => drawPath(path, shown, next),
  });
}

function drawPath(path, shown, next) {
  const count = path.steps.filter((step) => memory.done[step.id]).length;
  return h("div", { class: "path" },
    h("div", { class: "path-now" },
      h("div", { class: "path-words" },
        h("div", { class: "path-count" },
          h("div", { class: "path-choice", role: "group", "aria-label": "Paths" }, PATHS.map((one) => h("button", {
            type: "button", class: "link", "data-testid": `path-${one.id}`, "data-focus": `path ${one.id}`, "aria-pressed": String(one === path), onclick: () => choosePath(one.id),
          }, one.title))),
          `${count} of ${path.steps.length}`, h("progress", { max: path.steps.length, value: count, "aria-label": "Steps done" })),
        h("h2", { id: "guide-title" }, shown ? shown.title : path.id === "story" ? "You have seen the whole story" : "You have decided in every way there is"),
        h("p", { class: "path-hint", "data-testid": "guide-hint" }, shown ? shown.hint() : path.end)),
      h("div", { class: "path-buttons" },
        shown && h("button", { type: "button", class: "primary", "data-testid": "show-me", "data-focus": "show-me", onclick: () => lead(shown) }, "Show me"),
        count > 0 && h("button", { type: "button", class: "link", "data-focus": "over", onclick: startOver }, "Start over"))),
    h("ol", { class: "steps" }, path.steps.map((step, index) => drawStep(step, index, shown, next))));
}

function drawStep(step, index, shown, next) {
  const done = Boolean(memory.done[step.id]);
  return h("li", { class: done ? "done" : step === next ? "next" : "" },
    h("button", {
      type: "button", "data-testid": `step-${step.id}`, "data-done": String(done), "data-focus": `step ${step.id}`, "aria-current": step === shown ? "step" : undefined,
      onclick: () => {
        chosen = step.id;
        draw();
      },
    }, h("span", { class: "ring", "aria-hidden": "true" }, done && icon("check")), h("span", { class: "short" }, step.short),
    h("span", { class: "sr" }, `. Step ${index + 1}: ${step.title}${done ? ", done" : ""}`)));
}

function choosePath(id) {
  memory.path = id;
  chosen = null;
  store("guide", memory);
  draw();
}

function startOver() {
  // What happened stays on record; from here on only what happens next counts.
  Object.assign(memory, { since: now(), done: {}, plug: {}, restart: {} });
  chosen = null;
  draw();
}

/** Prepares everything for a step and points at what to press. */
async function lead(step) {
  const way = step.lead();
  if (way.preset) choose(way.preset);
  if (way.person) await become(way.person);
  if (way.tab) openTab(way.tab);
  openPane(way.pane ?? "client");
  requestAnimationFrame(() => point(way.find()));
}

function point(element) {
  if (!element) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  element.focus({ preventScroll: true });
  element.classList.add("pointed");
  setTimeout(() => element.classList.remove("pointed"), 3200);
}
