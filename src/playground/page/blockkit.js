// Block Kit as Slack draws it: blocks, and the elements that people press or fill in
// (docs.slack.dev, "Blocks" and "Block elements").
//
// `doing` is what the blocks live in: `act({block, element, value})` sends a click or a choice,
// `values` holds what was entered so far by block and action, `errors` what is wrong by block.

import { h, icon } from "./dom.js";
import { richText, textObject, words } from "./mrkdwn.js";
import { search } from "./search.js";
import { world } from "./world.js";

/** All blocks of a message or view. */
export const blocks = (list, doing) => (list ?? []).map((block) => drawBlock(block, doing));

function drawBlock(block, doing) {
  switch (block.type) {
    case "header": return h("p", { class: "b-header", role: "heading", "aria-level": "3" }, textObject(block.text));
    case "section": return section(block, doing);
    case "rich_text": return h("div", { class: "b-rich" }, richText(block));
    case "context": return context(block);
    case "divider": return h("hr", { class: "b-divider" });
    case "actions": return h("div", { class: "b-actions" }, (block.elements ?? []).map((element) => control(block, element, doing)));
    case "input": return input(block, doing);
    case "alert": return alert(block);
    case "markdown": return h("p", { class: "b-section" }, String(block.text ?? ""));
    case "image": return h("p", { class: "unknown" }, `Image: ${block.alt_text ?? ""}`);
    default: return h("p", { class: "unknown" }, `(This stand-in does not draw “${block.type}”.)`);
  }
}

function section(block, doing) {
  const fields = (block.fields ?? []).map((field) => h("div", { class: "field" }, textObject(field)));
  return h("div", { class: "b-section" },
    h("div", { class: "b-main" },
      block.text && h("div", { class: "b-text" }, textObject(block.text)),
      fields.length > 0 && h("div", { class: "b-fields" }, fields)),
    block.accessory && h("div", { class: "b-accessory" }, control(block, block.accessory, doing)));
}

function context(block) {
  return h("div", { class: "b-context" }, (block.elements ?? []).map((element) =>
    h("span", {}, element.type === "image" ? `(${element.alt_text ?? "image"})` : textObject(element))));
}

function alert(block) {
  const level = ["info", "warning", "error", "success"].includes(block.level) ? block.level : "info";
  return h("div", { class: `b-alert ${level}` },
    h("span", { class: "level" }, { info: "Note", warning: "Careful", error: "Problem", success: "Done" }[level]),
    h("div", {}, textObject(block.text)));
}

// ---- what people press --------------------------------------------------------------------------

function control(block, element, doing) {
  switch (element.type) {
    case "button": return button(block, element, doing);
    case "image": return h("span", { class: "unknown" }, `Image: ${element.alt_text ?? ""}`);
    case "overflow": return overflow(block, element, doing);
    default: return chooser(block, element, doing);
  }
}

function button(block, element, doing) {
  const text = words(element.text);
  const said = element.accessibility_label;
  // What a button is called begins with what one sees on it, so that voice control finds it.
  const label = said && (said.startsWith(text) ? said : `${text}: ${said}`);
  const css = { primary: "primary", danger: "danger" }[element.style] ?? "";
  // A button with an address opens it; Slack tells the app of it all the same.
  if (/^https?:/.test(element.url ?? "")) {
    const way = h("a", {
      class: `button ${css}`, href: element.url, target: "_blank", rel: "noopener noreferrer", title: said, "aria-label": label && `${label} (opens in a new tab)`,
      "data-action": element.action_id, "data-focus": `${element.action_id}`,
      onclick: () => doing.act({ block, element, value: element.value, from: way }),
    }, textObject(element.text));
    return way;
  }
  const pressed = h("button", {
    type: "button", class: css, "aria-label": label, title: said, "data-action": element.action_id, "data-value": element.value,
    "data-block": block.block_id, "data-focus": `${element.action_id}`,
    onclick: () => doing.act({ block, element, value: element.value, from: pressed }),
  }, textObject(element.text));
  return pressed;
}

function overflow(block, element, doing) {
  const menu = h("select", {
    "aria-label": "More actions", "data-action": element.action_id,
    onchange: () => menu.value && doing.act({ block, element, value: menu.value, from: menu }),
  }, h("option", { value: "" }, "More…"), (element.options ?? []).map((option) => h("option", { value: option.value }, words(option.text))));
  return menu;
}

/** A menu or choice outside an input block: choosing is sent at once. */
function chooser(block, element, doing) {
  const field = entry(block, element, { ...doing, label: words(element.placeholder) || "Choose", chose: (value, from) => doing.act({ block, element, value, from }) });
  return field ?? h("span", { class: "unknown" }, `(This stand-in does not draw “${element.type}”.)`);
}

// ---- what people fill in ------------------------------------------------------------------------

let made = 0;

/** Fields that somebody types into: these do not tell the app with every change. */
const typed = new Set(["plain_text_input", "email_text_input", "url_text_input", "number_input"]);

function input(block, doing) {
  const element = block.element ?? {};
  made += 1;
  const ids = { field: `field-${made}`, hint: `hint-${made}`, error: `error-${made}` };
  const error = doing.errors?.[block.block_id];
  const label = words(block.label);
  const described = [block.hint && ids.hint, ids.error].filter(Boolean).join(" ");
  const chose = (value, from) => {
    doing.entered?.();
    if (block.dispatch_action && !typed.has(element.type)) doing.act({ block, element, value, from });
  };
  // A text that dispatches is sent when somebody presses Enter, or with each letter if it says so.
  const enters = (value, from) => block.dispatch_action && doing.act({ block, element, value, from });
  const several = ["checkboxes", "radio_buttons", "multi_static_select"].includes(element.type);
  const field = entry(block, element, { ...doing, id: ids.field, described, invalid: Boolean(error), required: !block.optional, chose, enters })
    ?? h("span", { class: "unknown" }, `(This stand-in does not draw “${element.type}”.)`);
  const optional = block.optional && h("span", { class: "optional" }, " (optional)");
  const beneath = [
    block.hint && h("p", { class: "hint", id: ids.hint }, textObject(block.hint)),
    h("p", { class: "error", id: ids.error, "data-error-for": block.block_id, hidden: !error }, error ?? ""),
  ];
  return several
    ? h("fieldset", { class: "b-input", "data-block": block.block_id, "aria-describedby": described }, h("legend", {}, label, optional), field, beneath)
    : h("div", { class: "b-input", "data-block": block.block_id }, h("label", { for: ids.field }, label, optional), field, beneath);
}

/** What an element holds before anybody touches it. */
function initial(element) {
  const list = element.initial_options?.map((option) => option.value);
  return list ?? element.initial_option?.value ?? element.initial_value ?? element.initial_user ?? element.initial_date ?? element.initial_time ?? element.initial_date_time ?? null;
}

const options = (element) => [...(element.options ?? []), ...(element.option_groups ?? []).flatMap((group) => group.options ?? [])];

/** The field for one element; undefined for elements that are not drawn here. */
function entry(block, element, doing) {
  const held = ((doing.values ?? {})[block.block_id] ??= {});
  if (!(element.action_id in held)) held[element.action_id] = initial(element);
  const keep = (value, from) => {
    held[element.action_id] = value;
    doing.chose?.(value, from);
  };
  const says = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const tells = doing.enters && typed.has(element.type) ? {
    onkeydown: (event) => {
      if (event.key !== "Enter" || event.target.tagName === "TEXTAREA" || !says.includes("on_enter_pressed")) return;
      if (doing.enters(held[element.action_id], event.target) !== undefined) event.preventDefault();
    },
    onchange: (event) => says.includes("on_character_entered") && doing.enters(held[element.action_id], event.target),
  } : {};
  const common = {
    ...tells, id: doing.id, "data-action": element.action_id, "data-focus": `${block.block_id} ${element.action_id}`,
    "aria-label": doing.label, "aria-describedby": doing.described || undefined, "aria-invalid": doing.invalid ? "true" : undefined,
    "aria-required": doing.required ? "true" : undefined, "data-first": element.focus_on_load,
  };
  const value = held[element.action_id];
  switch (element.type) {
    case "plain_text_input": return textField(element, common, value, keep);
    case "email_text_input": return oneLine("email", element, common, value, keep);
    case "url_text_input": return oneLine("url", element, common, value, keep);
    case "number_input": return oneLine("number", element, common, value, keep);
    case "datepicker": return oneLine("date", element, common, value, keep);
    case "timepicker": return oneLine("time", element, common, value, keep);
    case "datetimepicker": return moment(common, value, keep);
    case "external_select":
    case "multi_external_select": return search(block, element, common, value, keep, doing);
    case "static_select": return select(element, common, value, keep);
    case "users_select": return people(element, common, value, keep);
    case "radio_buttons": return choices("radio", element, common, value, keep);
    case "checkboxes": return choices("checkbox", element, common, value, keep);
    case "multi_static_select": return h("div", { class: "many" }, choices("checkbox", element, common, value, keep));
    default: return undefined;
  }
}

function textField(element, common, value, keep) {
  if (!element.multiline) return oneLine("text", element, common, value, keep);
  const area = h("textarea", {
    ...common, rows: 3, maxlength: element.max_length, placeholder: words(element.placeholder), value: value ?? "",
    oninput: () => keep(area.value || null, area),
  });
  return area;
}

function oneLine(type, element, common, value, keep) {
  const line = h("input", {
    ...common, type, maxlength: element.max_length, placeholder: words(element.placeholder), value: value ?? "", autocomplete: "off",
    oninput: () => keep(line.value || null, line),
  });
  return line;
}

/** Slack keeps a moment as a Unix time; the browser's field has the reader's time zone. */
function moment(common, value, keep) {
  const two = (n) => String(n).padStart(2, "0");
  const local = (seconds) => {
    const at = new Date(seconds * 1000);
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
  };
  const field = h("input", {
    ...common, type: "datetime-local", value: value ? local(value) : "",
    onchange: () => keep(field.value ? Math.round(new Date(field.value).getTime() / 1000) : null, field),
  });
  return field;
}

function select(element, common, value, keep) {
  const option = (one) => h("option", { value: one.value, selected: one.value === value }, words(one.text));
  const menu = h("select", { ...common, onchange: () => keep(menu.value || null, menu) },
    h("option", { value: "", selected: !value }, words(element.placeholder) || "Choose…"),
    (element.options ?? []).map(option),
    (element.option_groups ?? []).map((group) => h("optgroup", { label: words(group.label) }, (group.options ?? []).map(option))));
  return menu;
}

function people(element, common, value, keep) {
  const all = (world.state?.people ?? []).filter((person) => person.kind !== "bot");
  const menu = h("select", { ...common, onchange: () => keep(menu.value || null, menu) },
    h("option", { value: "" }, words(element.placeholder) || "Choose somebody…"),
    all.map((person) => h("option", { value: person.id, selected: person.id === value }, person.name)));
  return menu;
}

function choices(type, element, common, value, keep) {
  made += 1;
  const name = `choice-${made}`;
  const chosen = new Set(Array.isArray(value) ? value : [value]);
  const tell = (box) => {
    if (type === "radio") return keep(box.value, box);
    box.checked ? chosen.add(box.value) : chosen.delete(box.value);
    keep(options(element).map((option) => option.value).filter((one) => chosen.has(one)), box);
  };
  const choice = (option, index) => {
    const box = h("input", {
      type, name, value: option.value, checked: chosen.has(option.value), "data-action": common["data-action"],
      "data-focus": `${common["data-focus"]} ${option.value}`, "aria-invalid": common["aria-invalid"],
      "data-first": index === 0 && common["data-first"], onchange: () => tell(box),
    });
    return h("label", { class: "choice" }, box, h("span", {}, textObject(option.text),
      option.description && h("span", { class: "description" }, textObject(option.description))));
  };
  const groups = (element.option_groups ?? []).map((group) => [h("p", { class: "group" }, words(group.label)), (group.options ?? []).map(choice)]);
  return h("div", { class: "choices" }, (element.options ?? []).map(choice), groups);
}

// ---- asking again -------------------------------------------------------------------------------

/**
 * Slack's confirm dialog. Resolves to whether the person meant it. The focus goes to the safe answer
 * first and afterwards back to where it was.
 */
export function confirmed(confirm, from) {
  return new Promise((resolve) => {
    const answer = (meant) => {
      dialog.close();
      dialog.remove();
      if (from?.isConnected) from.focus({ preventScroll: true });
      resolve(meant);
    };
    const css = confirm.style === "danger" ? "danger" : "primary";
    const no = h("button", { type: "button", onclick: () => answer(false) }, textObject(confirm.deny));
    const yes = h("button", { type: "button", class: css, onclick: () => answer(true) }, textObject(confirm.confirm));
    const dialog = h("dialog", {
      class: "confirm", role: "dialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text", "data-testid": "confirm",
      oncancel: (event) => {
        event.preventDefault();
        answer(false);
      },
    },
    h("h3", { id: "confirm-title" }, textObject(confirm.title)),
    h("div", { id: "confirm-text" }, textObject(confirm.text)),
    h("div", { class: "row" }, no, yes));
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}

/** The note that an ephemeral message carries. */
export const onlyYou = () => h("p", { class: "only-you" }, icon("eye"), "Only visible to you");
