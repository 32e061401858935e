// The line beneath a channel: a message, or a slash command, which Slack sends to the app. Beneath a thread
// the same line writes a reply; there Slack has no commands.

import { byId, h, toast } from "./dom.js";
import { post, refresh, whyNot, world } from "./world.js";

/** The command that the app has; offered while somebody types a slash. */
const COMMAND = "/access";

/** What was typed and not sent yet, by place. */
const drafts = new Map();

/** Draws the line for a channel; hidden where nothing can be written. */
export function drawComposer(tab) {
  const place = byId("composer");
  const writable = tab && tab.id !== "home";
  place.hidden = !writable;
  if (!writable) {
    place.dataset.where = "";
    return;
  }
  const where = `${world.person} ${tab.id}`;
  if (place.dataset.where === where) return;
  place.dataset.where = where;
  const direct = tab.id.startsWith("D");
  place.replaceChildren(line(where, tab.id, undefined, direct ? `Message ${tab.label}, or type ${COMMAND}` : `Message #${tab.label}, or type ${COMMAND}`));
}

/** The line beneath a thread. */
export const replyLine = (channel, ts) => line(`${world.person} ${channel} ${ts}`, channel, ts, "Reply…");

function line(key, channel, thread, placeholder) {
  const field = h("input", {
    type: "text", "aria-label": placeholder, placeholder, autocomplete: "off", maxlength: 3000, value: drafts.get(key) ?? "",
    "data-testid": thread ? `reply-${thread}` : "compose", "data-focus": thread ? `reply ${thread}` : "compose",
    oninput: () => {
      drafts.set(key, field.value);
      offer.hidden = Boolean(thread) || field.value.length === 0 || !COMMAND.startsWith(field.value) || field.value === COMMAND;
    },
    onkeydown: (event) => {
      if (event.key === "Tab" && !event.shiftKey && !offer.hidden) {
        event.preventDefault();
        complete();
      }
    },
  });
  const complete = () => {
    field.value = `${COMMAND} `;
    drafts.set(key, field.value);
    offer.hidden = true;
    field.focus();
  };
  const offer = h("button", { type: "button", class: "offer", hidden: true, onclick: complete }, h("code", {}, COMMAND), " ask for access, see what is live");
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const send = async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    const answer = await sent(channel, thread, text);
    const bad = !answer.ok || answer.body.delivered === false || answer.body.status >= 300;
    trouble.hidden = !bad;
    trouble.textContent = bad ? whyNot(answer) : "";
    if (!bad) {
      drafts.delete(key);
      field.value = "";
    }
    await refresh();
    if (bad && !trouble.isConnected) toast(whyNot(answer));
  };
  return h("form", { class: "compose", novalidate: true, onsubmit: send }, offer, h("div", { class: "compose-row" }, field, h("button", { type: "submit", class: "bare", "aria-label": "Send" }, "➤")), trouble);
}

function sent(channel, thread, text) {
  const command = text.match(/^(\/[a-z][a-z0-9_-]*)(?:\s+([\s\S]*))?$/);
  if (command) return post("/page/command", { as: world.person, channel, thread_ts: thread, command: command[1], text: command[2] ?? "" });
  return post("/page/say", { as: world.person, channel, thread_ts: thread, text });
}
