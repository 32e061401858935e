// The right column: the audit trail, newest first. Each entry opens to what it is bound to.

import { byId, glow, h, icon, keyed, timeOfDay } from "./dom.js";
import { json } from "./client.js";
import { openPolicy } from "./policy.js";
import { changed, named, world } from "./world.js";

/** How many entries are drawn; older ones are counted. */
const SHOWN = 200;

/** A drawing and a tone for each kind; what is not listed gets a dot. */
const KINDS = {
  "token.issued": ["key", "good"], "token.refused": ["cross", "bad"],
  "request.opened": ["ask", "open"], "request.joined": ["ask", "quiet"], "vote.recorded": ["check", "open"],
  "request.approved": ["check", "good"], "request.denied": ["cross", "bad"], "request.expired": ["clock", "bad"], "request.cancelled": ["back", "quiet"],
  "grant.allowed": ["check", "good"], "grant.revoked": ["back", "bad"], "grant.ended": ["clock", "quiet"],
  "click.refused": ["lock", "bad"], "delivery.failed": ["plug", "bad"],
};

/** Only what belongs to this access request, if it is set. */
let only = "";

/** Draws the column. */
export function draw() {
  const grants = new Set(world.audit.filter((entry) => only && entry.request_id === only).map((entry) => entry.grant_id).filter(Boolean));
  const matching = world.audit.filter((entry) => !only || entry.request_id === only || grants.has(entry.grant_id));
  byId("no-entries").hidden = world.audit.length > 0;
  drawFilter(matching.length);
  keyed(byId("entries"), matching.slice(-SHOWN).toReversed(), {
    key: (entry) => entry.seq,
    sign: (entry) => JSON.stringify([entry, only, world.state?.people?.length]),
    make: drawEntry,
    arrived: (element) => glow(element, "arrived"),
  });
}

function drawFilter(count) {
  const place = byId("filter");
  if (place.dataset.only === `${only} ${count}`) return;
  place.dataset.only = `${only} ${count}`;
  place.hidden = !only;
  place.replaceChildren(h("span", {}, `${count} entries about `, h("code", {}, short(only))),
    h("button", { type: "button", class: "link", onclick: () => show("") }, "Show all"));
}

function show(request) {
  only = request;
  changed();
}

/** Moments in a summary, in the reader's own time. */
const local = (text) => text.replace(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z)/g, (moment) => timeOfDay(moment.replace(" ", "T").replace(/ ?UTC$/, "Z")) || moment);

function drawEntry(entry) {
  const [drawing, tone] = KINDS[entry.kind] ?? ["dot", "quiet"];
  const rules = (entry.detail?.rules ?? []).filter((rule) => typeof rule === "string");
  return h("li", { class: `entry ${tone}`, "data-testid": `entry-${entry.seq}`, "data-kind": entry.kind },
    h("span", { class: "entry-mark" }, icon(drawing)),
    h("div", { class: "entry-body" },
      h("p", { class: "entry-head" }, h("span", { class: "kind" }, entry.kind ?? "entry"), h("time", { datetime: entry.at, title: entry.at }, timeOfDay(entry.at))),
      h("p", { class: "summary" }, local(named(entry.summary)) || entry.kind),
      h("p", { class: "by" }, "by ", h("span", {}, actor(entry.actor)),
        rules.map((rule) => h("button", { type: "button", class: "rule", "data-focus": `rule ${rule}`, onclick: () => openPolicy([rule]), "aria-label": `Show the rule ${rule} in the policy` }, rule))),
      h("details", { "data-keep": "bound" }, h("summary", { "data-focus": "bound" }, "Bound to"), h("dl", {}, bindings(entry)))));
}

/** "hook billing", "Bob Berger (bob@example.com)"; the API may also send an object. */
function actor(who) {
  if (typeof who === "string") return named(who);
  if (who === null || typeof who !== "object") return "unknown";
  const said = (value) => [value].flat(2).map((one) => (typeof one === "object" && one ? Object.values(one).join(" ") : one)).filter(Boolean).join(" ");
  return named(Object.entries(who).map(([kind, value]) => (kind === "person" ? said(value) : `${kind} ${said(value)}`)).join(", "));
}

const short = (id) => (id?.length > 22 ? `${id.slice(0, 13)}…${id.slice(-5)}` : id);

const NAMES = {
  shown_version: "Shown version", policy: "Policy version", message: "Message", rules: "Rules", scopes: "Scopes", scope: "Scopes",
  client: "Client", subject: "Subject", audience: "Audience", expires_at: "Until", used: "Used",
};

function bindings(entry) {
  const { rules, ...detail } = entry.detail ?? {};
  const request = entry.request_id && h("span", {}, h("code", { title: entry.request_id }, short(entry.request_id)), " ",
    only !== entry.request_id && h("button", { type: "button", class: "link", "data-focus": "only", onclick: () => show(entry.request_id) }, "show only this"));
  const rows = [
    ["Entry", `${entry.seq}`],
    ["Access request", request],
    ["Grant", entry.grant_id && h("code", { title: entry.grant_id }, short(entry.grant_id))],
    ...Object.entries(detail).filter(([, value]) => value !== null).map(([name, value]) => [NAMES[name] ?? name.replaceAll("_", " "), bound(value)]),
    ["Hash", entry.hash && h("code", { class: "hash" }, entry.hash)],
    ["Follows", (entry.previous ?? entry.previous_hash) && h("code", { class: "hash" }, entry.previous ?? entry.previous_hash)],
  ];
  return rows.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

function bound(value) {
  if (typeof value?.id === "string") return [value.kind, value.id].filter(Boolean).join(" ");
  if (typeof value?.channel === "string" && value.ts) return h("code", {}, `${value.channel} ${value.ts}`);
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.length ? named(value.join(", ")) : "none";
  if (value !== null && typeof value === "object") return h("code", { class: "json" }, json(value));
  const text = String(value ?? "none");
  return /^[0-9a-f]{32,}$|^sha256/.test(text) ? h("code", { class: "hash" }, text) : named(text);
}
