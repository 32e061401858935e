// What this page knows, and how it learns it: the state of the stand-in as one person sees it, the audit
// trail, the policy. The stream says only that something changed; everything is then read again.

import { setClock } from "./dom.js";

/** Who looks at first: an approver, so that the first card has something to press. */
const SOMEBODY = "U0BOB";

/** Everything the columns draw from. */
export const world = {
  /** What GET /page/state answered last. */
  state: null,
  /** Audit entries, oldest first. */
  audit: [],
  /** `{text, file}` */
  policy: null,
  /** What the client can be made to ask. */
  presets: [],
  /** Who looks at Slack. */
  person: stored("person") ?? SOMEBODY,
  /** A channel id, or "home". */
  tab: stored("tab"),
  /** Whether the playground answers. */
  reachable: true,
};

const listeners = new Set();

/** Calls `draw` after each change of what is known. */
export function onChange(draw) {
  listeners.add(draw);
}

/** Draws everything. */
export function changed() {
  for (const draw of listeners) draw(world);
}

/** Something kept for this browser tab. */
export function stored(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`countersign.${name}`)) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps something for this browser tab. */
export function store(name, value) {
  try {
    sessionStorage.setItem(`countersign.${name}`, JSON.stringify(value));
  } catch {
    // Without storage the page forgets on reload, and works otherwise.
  }
}

async function get(path) {
  const response = await fetch(path, { headers: { accept: "application/json" }, cache: "no-store" });
  if (!response.ok) throw Object.assign(new Error(path), { status: response.status });
  return response.json();
}

/** Sends JSON. Answers `{ok, status, body}`; a network failure is `{ok: false, why}`. */
export async function post(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    const text = await response.text();
    let answer = {};
    try {
      answer = text ? JSON.parse(text) : {};
    } catch {
      answer = { error: text };
    }
    return { ok: response.ok, status: response.status, body: answer };
  } catch {
    return { ok: false, status: 0, body: {}, why: "The playground does not answer." };
  }
}

/** Why a post failed, in words. */
export function whyNot(answer) {
  const body = answer.body ?? {};
  return answer.why ?? body.why ?? body.error ?? body.detail ?? `The playground answered ${answer.status}.`;
}

// ---- reading ------------------------------------------------------------------------------------

let reading = null;
let again = false;

/** Reads state and audit; calls that come while it reads become one more reading. */
export function refresh() {
  if (reading) {
    again = true;
    return reading;
  }
  reading = (async () => {
    do {
      again = false;
      await readState();
      // While the service is down there is no audit to read; what was read stays.
      if (world.reachable && world.state?.service?.up !== false) await readAudit();
      changed();
    } while (again);
  })().finally(() => (reading = null));
  return reading;
}

async function readState() {
  const asked = world.person;
  try {
    const state = await get(`/page/state?as=${encodeURIComponent(asked)}`);
    world.reachable = true;
    if (asked !== world.person) {
      again = true; // somebody else looks by now
      return;
    }
    setClock(state.now);
    world.state = state;
  } catch (error) {
    world.reachable = error.status !== undefined;
    if (error.status === 404 && asked !== SOMEBODY) {
      world.person = SOMEBODY; // somebody who is not among the people any more
      again = true;
    }
  }
}

const PAGE = 200;

async function readAudit() {
  try {
    for (;;) {
      const after = world.audit.at(-1)?.seq ?? 0;
      const answer = await get(`/page/audit?after=${after}`);
      const entries = Array.isArray(answer) ? answer : (answer.entries ?? []);
      const fresh = entries.filter((entry) => entry && entry.seq > after);
      world.audit = world.audit.concat(fresh);
      if (entries.length < PAGE || fresh.length === 0) return;
    }
  } catch {
    // The next reading may succeed.
  }
}

/** Reads what does not change while the playground runs. */
export async function readFixed() {
  const [presets, policy] = await Promise.allSettled([get("/page/presets"), get("/page/policy")]);
  if (presets.status === "fulfilled") world.presets = presets.value;
  if (policy.status === "fulfilled") world.policy = policy.value;
}

/** Follows the stream of changes, for good. */
export function follow() {
  const stream = new EventSource("/page/stream");
  let opened = false;
  stream.addEventListener("open", () => {
    // After a break this may be another playground: start over.
    if (opened) {
      world.audit = [];
      readFixed().then(refresh);
    }
    opened = true;
  });
  stream.addEventListener("message", () => {
    refresh();
    // The audit entry may be written a moment after the call that caused it.
    setTimeout(refresh, 350);
  });
  stream.addEventListener("error", () => {
    world.reachable = false;
    changed();
  });
  // Time passing writes audit entries too, without a change in Slack.
  setInterval(() => document.visibilityState === "visible" && refresh(), 4000);
}

// ---- who and where ------------------------------------------------------------------------------

/** Looks at Slack as somebody else. */
export async function become(person) {
  if (world.person === person) return;
  world.person = person;
  store("person", person);
  await refresh();
}

/** Opens a channel, the direct messages or Home. */
export function openTab(tab) {
  world.tab = tab;
  store("tab", tab);
  if (tab === "home") post("/page/home", { as: world.person }).then(refresh);
  changed();
}

/** Shows one part of the page where there is no room for all. */
export function openPane(pane) {
  document.body.dataset.pane = pane;
  changed();
}

// ---- names --------------------------------------------------------------------------------------

/** The person of that id, if it is known. */
export const personOf = (id) => world.state?.people?.find((person) => person.id === id);

/** The user group of that id; the page knows names only where the stand-in gives them. */
export const groupOf = (id) => world.state?.groups?.find((group) => group.id === id);

/** Puts names where a text of ours has ids of people and groups. */
export function named(text) {
  return String(text ?? "")
    .replace(/\b[UW][A-Z0-9]{2,23}\b/g, (id) => personOf(id)?.name ?? id)
    .replace(/\bS[A-Z0-9]{3,23}\b/g, (id) => (groupOf(id) ? `@${groupOf(id).handle}` : id));
}
