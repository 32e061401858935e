// Forms as Slack shows them, on top of the conversation: drawing, filling in, sending, closing, and where the
// focus goes.

import { blocks } from "./blockkit.js";
import { byId, h, icon } from "./dom.js";
import { words } from "./mrkdwn.js";
import { post, refresh, whyNot, world } from "./world.js";

/** What was entered, by person and place. Slack keeps it when a view is replaced and its block and action are still there. */
const entered = new Map();

/** What was entered there until now; to be filled further. */
export function kept(place) {
  if (!entered.has(place)) {
    if (entered.size > 60) entered.clear();
    entered.set(place, {});
  }
  return entered.get(place);
}

/** What the person pressed before the form opened: the focus goes back there. */
let opener = null;
let open = "";

/** Somebody pressed something: if a form opens, the focus comes back there afterwards. */
export function pressed(where) {
  opener = where;
}

/** Draws the form on top of the person's screen, or takes it away. */
export function drawForm() {
  const over = byId("over");
  const held = world.state.view;
  const inside = byId("window-inside");
  inside.inert = Boolean(held);
  over.hidden = !held;
  if (!held) {
    if (open) giveFocusBack();
    open = "";
    over.replaceChildren();
    return;
  }
  const shape = `${world.person} ${held.id} ${held.view.hash ?? ""} ${JSON.stringify(held.view.blocks)}`;
  if (shape === open) return showErrors(over, held.errors ?? {});
  const fresh = open === "";
  open = shape;
  const values = kept(`${world.person} ${held.id}`);
  const form = drawDialog(held, values);
  // A form that is replaced while somebody is in a field of it leaves them there.
  over.dataset.mark = over.contains(document.activeElement) ? (document.activeElement.dataset.focus ?? "") : "";
  over.replaceChildren(form);
  const mark = over.dataset.mark && form.querySelector(`[data-focus="${CSS.escape(over.dataset.mark)}"]`);
  if (!fresh && mark) mark.focus({ preventScroll: true });
  else if (fresh || over.dataset.person === world.person) (form.querySelector("[data-first], .form-body input, .form-body textarea, .form-body select") ?? form).focus({ preventScroll: true });
  over.dataset.person = world.person;
}

function drawDialog(held, values) {
  const view = held.view;
  const doing = {
    values, errors: held.errors,
    where: { view_id: held.id },
    act: (action) => post("/page/click", { as: world.person, view_id: held.id, values, block_id: action.block.block_id, action_id: action.element.action_id, value: action.value }).then(refresh),
  };
  const sends = (event) => {
    event.preventDefault();
    submit(held, values, dialog);
  };
  const escapes = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close(held, false);
  };
  const dialog = h("div", { class: "form", role: "dialog", "aria-labelledby": "form-title", tabindex: -1, "data-testid": "form", onkeydown: escapes }, h("form", { novalidate: true, onsubmit: sends },
  h("div", { class: "form-head" },
    h("span", { class: "avatar bot small", "aria-hidden": "true" }, icon("seal", "")),
    h("h3", { id: "form-title" }, words(view.title)),
    h("button", { type: "button", class: "bare", "aria-label": "Dismiss", onclick: () => close(held, true) }, icon("cross"))),
  h("div", { class: "form-body blocks" }, blocks(view.blocks, doing), h("p", { class: "trouble", role: "alert", hidden: true })),
  h("div", { class: "form-foot" },
    h("button", { type: "button", onclick: () => close(held, false) }, view.close ? words(view.close) : "Cancel"),
    view.submit && h("button", { type: "submit", class: "primary" }, words(view.submit)))));
  return dialog;
}

function close(held, clear) {
  post("/page/close", { as: world.person, view_id: held.id, clear }).then(refresh);
}

async function submit(held, values, form) {
  const button = form.querySelector("[type=submit]");
  button?.setAttribute("aria-busy", "true");
  const answer = await post("/page/submit", { as: world.person, view_id: held.id, values });
  button?.removeAttribute("aria-busy");
  const line = form.querySelector(".form-body > .trouble");
  const errors = answer.body.errors ?? {};
  const bad = Object.keys(errors).length === 0 && (!answer.ok || answer.body.why || answer.body.status >= 300);
  line.hidden = !bad;
  line.textContent = bad ? whyNot(answer) : "";
  await refresh();
  if (Object.keys(errors).length > 0 && form.isConnected) {
    showErrors(form, errors);
    form.querySelector("[aria-invalid=true]")?.focus();
  }
}

/** Writes what is wrong beside the fields, without touching what was entered. */
function showErrors(place, errors) {
  for (const line of place.querySelectorAll("[data-error-for]")) {
    const text = errors[line.dataset.errorFor] ?? "";
    if (line.textContent !== text) line.textContent = text;
    line.hidden = !text;
    for (const field of line.parentElement.querySelectorAll("input, textarea, select")) {
      text ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
    }
  }
}

function giveFocusBack() {
  const lost = document.activeElement === document.body || byId("over").contains(document.activeElement);
  if (!lost || opener?.person !== world.person) return;
  const old = opener.element?.isConnected ? opener.element : undefined;
  const heir = old ?? (opener.mark && byId("channel").querySelector(`[data-focus="${CSS.escape(opener.mark)}"]`));
  (heir ?? byId("channel")).focus({ preventScroll: true });
  opener = null;
}
