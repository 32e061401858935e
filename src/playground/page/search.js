// The menu whose options the app knows (external_select): what is typed goes to the app, and its answer is
// the list. A combobox in the sense of the ARIA practices: arrows move, Enter takes, Escape closes.

import { announce, h } from "./dom.js";
import { words } from "./mrkdwn.js";
import { post, world } from "./world.js";

/** How long somebody pauses before the app is asked, in milliseconds. */
const PAUSE = 180;

/** What an option that was chosen once is called, by its value: the field shows words, not values. */
const known = new Map();

let made = 0;

/** The field for one or several choices. `doing.where` says which form or message it stands in. */
export function search(block, element, common, value, keep, doing) {
  made += 1;
  const listId = `found-${made}`;
  const several = element.type === "multi_external_select";
  const least = element.min_query_length ?? 3;
  for (const option of [element.initial_option, ...(element.initial_options ?? [])]) if (option) known.set(option.value, words(option.text));
  let chosen = [value].flat().filter(Boolean);
  let found = [];
  let at = -1;
  let asked = 0;

  const chips = h("ul", { class: "chips", "aria-label": "Chosen" });
  const list = h("ul", { class: "found", role: "listbox", id: listId, hidden: true, "aria-label": common["aria-label"] ?? "Found" });
  const note = h("p", { class: "hint", role: "status", hidden: true });
  const line = h("input", {
    ...common, type: "text", role: "combobox", autocomplete: "off", "aria-expanded": "false", "aria-controls": listId, "aria-autocomplete": "list",
    placeholder: words(element.placeholder) || "Type to search…", value: several ? "" : (known.get(chosen[0]) ?? ""),
    oninput: () => later(), onfocus: () => least === 0 && later(), onkeydown: moves, onblur: () => setTimeout(close, 150),
  });

  let timer;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  }

  async function ask() {
    const query = line.value.trim();
    if (query.length < least) return tell(query ? `Type at least ${least} characters.` : "");
    const mine = ++asked;
    const answer = await post("/page/suggest", { as: world.person, ...doing.where, block_id: block.block_id, action_id: element.action_id, value: query });
    if (mine !== asked) return; // somebody typed on
    const { options, option_groups: groups, why } = answer.body;
    found = [...(options ?? []), ...(groups ?? []).flatMap((group) => group.options)];
    at = -1;
    tell(why ?? (answer.ok && found.length === 0 ? "Nothing found." : ""));
    draw(groups);
    if (found.length > 0) announce(found.length === 1 ? "1 option" : `${found.length} options`);
  }

  function tell(text) {
    note.textContent = text;
    note.hidden = !text;
  }

  function draw(groups) {
    const item = (option) => h("li", {
      role: "option", id: `${listId}-${found.indexOf(option)}`, "aria-selected": String(chosen.includes(option.value)), "data-value": option.value,
      onpointerdown: (event) => event.preventDefault(), onclick: () => take(option),
    }, words(option.text), option.description && h("span", { class: "description" }, words(option.description)));
    list.replaceChildren(...(groups
      ? groups.map((group) => h("li", { role: "presentation" }, h("p", { class: "group" }, words(group.label)), h("ul", { role: "group", "aria-label": words(group.label) }, group.options.map(item))))
      : found.map(item)));
    list.hidden = found.length === 0;
    line.setAttribute("aria-expanded", String(found.length > 0));
  }

  function take(option) {
    known.set(option.value, words(option.text));
    if (!several) {
      chosen = [option.value];
      line.value = words(option.text);
    } else {
      chosen = chosen.includes(option.value) ? chosen : [...chosen, option.value].slice(0, element.max_selected_items ?? 100);
      line.value = "";
    }
    drawChips();
    close();
    keep(several ? chosen : option.value, line);
  }

  function drawChips() {
    chips.hidden = !several || chosen.length === 0;
    chips.replaceChildren(...chosen.map((value) => h("li", {}, known.get(value) ?? value, h("button", {
      type: "button", class: "bare", "aria-label": `Remove ${known.get(value) ?? value}`,
      onclick: () => {
        chosen = chosen.filter((one) => one !== value);
        drawChips();
        line.focus();
        keep(chosen, line);
      },
    }, "×"))));
  }

  function close() {
    list.hidden = true;
    at = -1;
    line.setAttribute("aria-expanded", "false");
    line.removeAttribute("aria-activedescendant");
  }

  function moves(event) {
    if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      return close();
    }
    if (event.key === "Enter" && !list.hidden && at >= 0) {
      event.preventDefault();
      return take(found[at]);
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    if (list.hidden) return later();
    at = (at + step + found.length) % found.length;
    for (const item of list.querySelectorAll("[role=option]")) item.classList.toggle("here", item.id === `${listId}-${at}`);
    line.setAttribute("aria-activedescendant", `${listId}-${at}`);
    document.getElementById(`${listId}-${at}`)?.scrollIntoView({ block: "nearest" });
  }

  drawChips();
  return h("div", { class: "search" }, chips, line, list, note);
}
