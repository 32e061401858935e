// The middle column: Slack as one person sees it. Everything that somebody does here goes to the
// stand-in, which signs it and sends it to the service.

import { blocks, confirmed, onlyYou } from "./blockkit.js";
import { drawComposer, replyLine } from "./composer.js";
import { announce, byId, glow, h, icon, keyed, timeOfDay } from "./dom.js";
import { drawForm, kept, pressed } from "./forms.js";
import { mrkdwn, words } from "./mrkdwn.js";
import { become, openTab, personOf, post, refresh, whyNot, world } from "./world.js";

const HOME = "home";

/** Draws the column. */
export function draw() {
  if (!world.state) return;
  drawPeople();
  drawWindow();
  drawTabs();
  drawChannel();
  drawComposer(currentTab());
  drawForm();
}

// ---- who looks ----------------------------------------------------------------------------------

const KINDS = { outsider: "outsider", guest: "guest" };

function drawPeople() {
  const people = world.state.people.filter((person) => person.kind !== "bot");
  keyed(byId("people"), people, {
    key: (person) => person.id,
    sign: (person) => JSON.stringify(person),
    make: (person) => h("label", { class: "segment", "data-testid": `person-${person.id}`, "data-kind": person.kind },
      h("input", { type: "radio", name: "person", value: person.id, "data-focus": person.id, onchange: () => become(person.id) }),
      avatar(person),
      h("span", { class: "who" }, person.name.split(" ")[0]),
      KINDS[person.kind] && h("span", { class: "role" }, KINDS[person.kind])),
  });
  for (const radio of byId("people").querySelectorAll("input")) radio.checked = radio.value === world.person;
  const you = world.state.you;
  byId("person-note").replaceChildren("You are ", h("strong", {}, you?.name ?? world.person), you?.title ? `, ${you.title.toLowerCase()}. ` : ". ", you?.note ?? "");
}

/** Initials on a colour of one's own. */
function avatar(person, css = "") {
  if (!person || person.kind === "bot") return h("span", { class: `avatar bot ${css}`, "aria-hidden": "true" }, icon("seal", ""));
  const initials = person.name.split(/\s+/).map((part) => part[0]).slice(0, 2).join("");
  const colour = [...person.id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 6, 0);
  return h("span", { class: `avatar c${colour} ${css}`, "aria-hidden": "true" }, initials);
}

// ---- the window and its tabs --------------------------------------------------------------------

function drawWindow() {
  const plugged = world.state.slack?.plugged !== false;
  byId("team").textContent = world.state.slack?.team ?? "Slack (a stand-in)";
  byId("window").classList.toggle("unplugged", !plugged);
  byId("unplugged-words").hidden = plugged;
}

/** What was read last, by person and channel; a dot says that there is more. */
const seen = new Map();

function tabs() {
  const channels = world.state.channels.map((channel) => ({
    id: channel.id,
    label: channel.name,
    icon: channel.kind === "dm" ? "chat" : "hash",
    spoken: channel.kind === "dm" ? `Direct messages with ${channel.name}` : `Channel ${channel.name}`,
    newest: newest(channel.id),
  }));
  return [...channels, { id: HOME, label: "Home", icon: "home", spoken: "Home of the app", newest: 0 }];
}

const newest = (channel) => Math.max(0, ...(world.state.messages?.[channel] ?? []).map((message) => Number(message.ts)));

function currentTab() {
  const all = tabs();
  const wanted = all.find((tab) => tab.id === world.tab)
    // Direct messages have another id for each person.
    ?? (world.tab?.startsWith("D") && all.find((tab) => tab.id.startsWith("D")));
  if (wanted) return wanted;
  // Nobody chose yet: where something happens first.
  const busiest = all.reduce((best, tab) => (tab.newest > best.newest && !tab.id.startsWith("D") ? tab : best), all[0]);
  if (busiest.newest > 0 && !world.tab) world.tab = busiest.id;
  return busiest;
}

function drawTabs() {
  const current = currentTab();
  seen.set(`${world.person} ${current.id}`, current.newest);
  const unread = (tab) => tab.id !== current.id && tab.newest > (seen.get(`${world.person} ${tab.id}`) ?? 0);
  keyed(byId("tabs"), tabs(), {
    key: (tab) => tab.id,
    sign: (tab) => JSON.stringify([tab.label, tab.id === current.id, unread(tab)]),
    make: (tab) => h("button", {
      type: "button", role: "tab", id: `tab-${tab.id}`, "data-testid": `tab-${tab.id}`, "data-focus": "tab", "aria-controls": "channel",
      "aria-selected": String(tab.id === current.id), tabindex: tab.id === current.id ? 0 : -1,
      "aria-label": unread(tab) ? `${tab.spoken}, unread` : tab.spoken,
      onclick: () => openTab(tab.id), onkeydown: moveBetweenTabs,
    }, icon(tab.icon), h("span", {}, tab.label), unread(tab) && h("span", { class: "unread" })),
  });
  byId("channel").setAttribute("aria-labelledby", `tab-${current.id}`);
}

function moveBetweenTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...byId("tabs").children];
  const at = all.indexOf(event.currentTarget);
  const next = Number.isFinite(step) ? (at + step + all.length) % all.length : step < 0 ? 0 : all.length - 1;
  const id = all[next].id;
  all[next].click();
  byId(id)?.focus();
}

// ---- messages -----------------------------------------------------------------------------------

let shown = "";

function drawChannel() {
  const tab = currentTab();
  const place = byId("channel");
  const where = `${world.person} ${tab.id}`;
  const moved = where !== shown;
  if (moved) {
    shown = where;
    place.replaceChildren();
    place.kept = undefined;
  }
  if (tab.id === HOME) return drawHome(place);
  const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 60;
  const before = place.childElementCount;
  let toEnd = false;
  keyed(place, threads(tab), {
    key: (item) => item.key,
    sign: (item) => JSON.stringify([item.message, item.replies, trouble.get(item.key), namesKnown(), answering.has(`${world.person} ${item.key}`)]),
    make: (item) => item.empty ?? drawMessage(item, tab),
    arrived: (element, item) => {
      if (!item.message) return;
      glow(element, "arrived");
      announce(`New in ${tab.spoken}: ${spoken(item.message)}`);
      // What somebody must answer, or was just told alone, is shown at once.
      toEnd ||= item.message.ephemeral || cardState(item.message) === "pending";
    },
    changed: (element, item) => {
      if (!item.message || !saysElse(item)) return;
      glow(element.querySelector(".message-body") ?? element);
      announce(`Changed: ${spoken(item.message)}`);
    },
  });
  if (moved || toEnd || (atEnd && place.childElementCount > before)) place.scrollTop = place.scrollHeight;
}

/** What was drawn of each message: opening the line for a reply draws anew and changes nothing. */
const said = new Map();

function saysElse({ key, message, replies }) {
  const now = JSON.stringify([message, replies]);
  const before = said.get(key);
  said.set(key, now);
  return before !== now;
}

const namesKnown = () => world.state.people.length;
const spoken = (message) => h("span", {}, mrkdwn(message.text)).textContent.slice(0, 200);

/** Messages oldest first, each with its replies; an empty channel says what it is for. */
function threads(tab) {
  const all = world.state.messages?.[tab.id] ?? [];
  if (all.length === 0) return [{ key: "empty", empty: emptyChannel(tab) }];
  const tops = all.filter((message) => !message.thread_ts || message.thread_ts === message.ts);
  const known = new Set(tops.map((message) => message.ts));
  const replies = (ts) => all.filter((message) => message.thread_ts === ts && message.ts !== ts);
  // A reply whose parent is gone still says something.
  const orphans = all.filter((message) => message.thread_ts && message.thread_ts !== message.ts && !known.has(message.thread_ts));
  return [...tops, ...orphans]
    .sort((a, b) => Number(a.ts) - Number(b.ts))
    .map((message) => ({ key: `${tab.id} ${message.ts}`, message, replies: known.has(message.ts) ? replies(message.ts) : [] }));
}

function emptyChannel(tab) {
  const say = tab.id.startsWith("D") ? "Countersign writes here what becomes of your own requests." : "Nothing here yet. When the client asks for something that a person must agree to, the card is posted here.";
  return h("div", { class: "empty-channel" }, icon(tab.icon, "icon large"), h("p", {}, say));
}

/** pending, approved, denied, expired, cancelled, revoked, ended; "note" for what is no card. */
export function cardState(message) {
  const said = message.metadata?.event_payload?.state;
  if (typeof said === "string") return said;
  const buttons = (message.blocks ?? []).flatMap((block) => block.elements ?? []).filter((element) => element.type === "button");
  if (buttons.some((button) => /^approve/i.test(words(button.text)))) return "pending";
  const header = message.blocks?.find((block) => block.type === "header");
  const head = `${header ? words(header.text) : ""} ${message.text ?? ""}`.trim();
  const word = head.match(/^\W*(approved|denied|expired|revoked|withdrawn|cancelled|ended|granted)/i)?.[1]?.toLowerCase();
  return { withdrawn: "cancelled", granted: "approved" }[word] ?? word ?? "note";
}

/** The cards that wait for a decision, newest first: `{tab, message}`. */
export function pendingCards() {
  const all = Object.entries(world.state?.messages ?? {}).flatMap(([tab, list]) => list.map((message) => ({ tab, message })));
  return all
    .filter(({ tab, message }) => !tab.startsWith("D") && !message.thread_ts && cardState(message) === "pending")
    .sort((a, b) => Number(b.message.ts) - Number(a.message.ts));
}

function drawMessage({ message, replies, key }, tab) {
  const state = cardState(message);
  if (!said.has(key)) saysElse({ key, message, replies });
  const author = personOf(message.user);
  const time = timeOfDay(Number(message.ts) * 1000, false);
  return h("article", {
    class: message.ephemeral ? "message ephemeral" : "message", "data-testid": `message-${message.ts}`, "data-state": state,
    "data-ephemeral": String(Boolean(message.ephemeral)), "data-ts": message.ts, "aria-label": `${author?.name ?? "Countersign"}, ${time}: ${spoken(message)}`,
  },
  avatar(author),
  h("div", { class: "message-body" },
    message.ephemeral && onlyYou(),
    byline(author, message, time),
    h("div", { class: "blocks" }, content(message, inMessage(tab.id, message.ts, key))),
    trouble.has(key) && h("p", { class: "trouble", role: "alert" }, trouble.get(key)),
    !message.ephemeral && thread(message, replies, tab, key)));
}

/** Which threads are open to be answered, by person and message. */
const answering = new Set();

function thread(message, replies, tab, key) {
  const mark = `${world.person} ${key}`;
  const count = replies.length === 1 ? "1 reply" : `${replies.length} replies`;
  const open = h("button", {
    type: "button", class: "link reply-open", "data-focus": `reply-open ${message.ts}`, "data-testid": `reply-open-${message.ts}`, "aria-expanded": String(answering.has(mark)),
    onclick: () => {
      const opens = !answering.has(mark);
      opens ? answering.add(mark) : answering.delete(mark);
      draw();
      if (opens) byId("channel").querySelector(`[data-testid="reply-${message.ts}"]`)?.focus();
    },
  }, answering.has(mark) ? "Close" : "Reply in thread");
  return h("div", { class: replies.length > 0 || answering.has(mark) ? "thread" : "thread bare" },
    replies.length > 0 && h("p", { class: "thread-count" }, count),
    replies.map((reply) => drawReply(reply, tab, key)),
    answering.has(mark) && replyLine(tab.id, message.ts),
    open);
}

function drawReply(reply, tab, key) {
  const author = personOf(reply.user);
  const time = timeOfDay(Number(reply.ts) * 1000, false);
  const doing = inMessage(tab.id, reply.ts, key);
  return h("div", { class: reply.ephemeral ? "reply ephemeral" : "reply", "data-testid": `message-${reply.ts}`, "data-state": "reply", "data-ephemeral": String(Boolean(reply.ephemeral)) },
    avatar(author, "small"),
    h("div", {}, reply.ephemeral && onlyYou(), byline(author, reply, time), h("div", { class: "blocks" }, content(reply, doing))));
}

/** What the blocks of a message live in: where they stand, and what was entered in them. */
function inMessage(channel, ts, key) {
  const where = { channel, ts };
  const values = kept(`${world.person} ${channel} ${ts}`);
  return { where, values, act: (action) => click({ ...action, values }, where, key) };
}

const byline = (author, message, time) => h("p", { class: "byline" },
  h("strong", {}, author?.name ?? "Countersign"), (!author || author.kind === "bot") && h("span", { class: "app" }, "App"), h("time", {}, time), message.edited && h("span", { class: "edited" }, "(edited)"));

const content = (message, doing) => (message.blocks?.length ? blocks(message.blocks, doing) : h("div", { class: "b-text" }, mrkdwn(message.text)));

// ---- Home ---------------------------------------------------------------------------------------

function drawHome(place) {
  const home = world.state.home;
  const item = { key: "home", home };
  keyed(place, [item], {
    key: () => "home",
    sign: () => JSON.stringify([home?.blocks, trouble.get("home")]),
    make: () => h("div", { class: "home", "data-testid": "home" },
      home
        ? h("div", { class: "blocks" }, blocks(home.blocks, inView(home, "home")))
        : h("div", { class: "empty-channel" }, icon("home", "icon large"), h("p", {}, "The app’s Home shows what waits for you and what access is live. The app has not drawn it for you yet.")),
      trouble.has("home") && h("p", { class: "trouble", role: "alert" }, trouble.get("home"))),
  });
}

/** The same for a view. What was entered stays when Slack replaces the view, by block and action. */
function inView(view, key) {
  const where = { view_id: view.id };
  const values = kept(`${world.person} ${view.id}`);
  return { where, values, act: (action) => click({ ...action, values }, where, key) };
}

// ---- clicks -------------------------------------------------------------------------------------

/** Why the last click on a message went wrong, by message; gone after a while. */
const trouble = new Map();

async function click({ block, element, value, values, from }, where, key) {
  if (element.confirm && !(await confirmed(element.confirm, from))) return;
  const held = from?.matches?.("button") ? from : undefined;
  held?.setAttribute("aria-busy", "true");
  pressed({ person: world.person, element: from, mark: from?.dataset?.focus });
  const answer = await post("/page/click", { as: world.person, ...where, block_id: block.block_id, action_id: element.action_id, value, values });
  held?.removeAttribute("aria-busy");
  const went = answer.ok && answer.body.delivered !== false && !(answer.body.status >= 300);
  if (!went) {
    trouble.set(key, whyNot(answer));
    setTimeout(() => trouble.delete(key) && draw(), 9000);
  }
  await refresh();
}
