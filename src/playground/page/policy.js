// The policy in force, as text, with the rules marked that decided something.

import { byId, h, icon } from "./dom.js";
import { world } from "./world.js";

/** Wires the dialog. */
export function begin() {
  byId("open-policy").addEventListener("click", () => openPolicy());
  byId("policy-close").addEventListener("click", () => byId("policy").close());
  byId("policy").addEventListener("click", (event) => event.target === byId("policy") && byId("policy").close());
}

/** Opens the policy with `rules` (names) marked; without names, those that decided last. */
export function openPolicy(rules) {
  const marked = rules?.length ? rules : lastRules();
  byId("policy-words").textContent = [world.policy?.file, "Each scope is judged on its own: the first rule that matches decides; no match is a refusal."].filter(Boolean).join(" · ");
  drawRules(marked);
  const text = byId("policy-text");
  text.replaceChildren(...drawText(world.policy?.text ?? "The policy could not be read.", marked));
  const dialog = byId("policy");
  if (!dialog.open) dialog.showModal();
  text.focus({ preventScroll: true });
  const first = text.querySelector("mark");
  text.scrollTop = first ? Math.max(0, first.offsetTop - text.offsetTop - 40) : 0;
}

/** The names of the rules that decided, newest first. */
function decided() {
  return [...new Set(world.audit.toReversed().flatMap((entry) => entry.detail?.rules ?? []).filter((name) => typeof name === "string"))];
}

const lastRules = () => world.audit.findLast((entry) => entry.detail?.rules?.length)?.detail.rules ?? [];

function drawRules(marked) {
  const names = [...new Set([...marked, ...decided()])];
  byId("policy-rules").replaceChildren(...(names.length === 0
    ? [h("p", { class: "fine" }, "No rule has decided anything yet.")]
    : [h("span", { class: "fine" }, "Rules that decided:"), ...names.map((name) => h("button", {
      type: "button", class: "rule", "aria-pressed": String(marked.includes(name)), onclick: () => openPolicy([name]),
    }, marked.includes(name) && icon("check"), name))]));
}

function drawText(text, marked) {
  const lines = text.split("\n");
  const blocks = marks(lines, marked);
  const out = [];
  let mark = null;
  lines.forEach((line, at) => {
    const drawn = h("span", { class: "line" }, h("span", { class: "number", "aria-hidden": "true" }, String(at + 1).padStart(3)), h("span", { class: "toml" }, toml(line)), "\n");
    if (!blocks.has(at)) {
      mark = null;
      return out.push(drawn);
    }
    if (!mark) out.push((mark = h("mark", { "data-testid": "deciding-rule" })));
    mark.append(drawn);
  });
  return out;
}

/** The numbers of the lines that belong to the `[[rule]]` blocks of these names. */
export function marks(lines, names) {
  const found = new Set();
  const starts = lines.flatMap((line, at) => (/^\s*\[\[rule\]\]/.test(line) ? [at] : []));
  for (const start of starts) {
    let end = start + 1;
    while (end < lines.length && !/^\s*\[(?!\[?rule\.)/.test(lines[end])) end += 1;
    // Empty lines and remarks before the next table belong to that one.
    while (end > start + 1 && /^\s*(#.*)?$/.test(lines[end - 1])) end -= 1;
    const name = lines.slice(start, end).map(nameOf).find((one) => one !== undefined);
    if (names.includes(name)) for (let at = start; at < end; at += 1) found.add(at);
  }
  return found;
}

function nameOf(line) {
  const found = line.match(/^\s*name\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)')/);
  if (!found) return undefined;
  if (found[2] !== undefined) return found[2];
  try {
    return JSON.parse(`"${found[1]}"`);
  } catch {
    return found[1];
  }
}

/** One line of TOML: remarks, tables, keys and texts in their own tone. */
function toml(line) {
  if (/^\s*\[/.test(line)) return [h("span", { class: "t-table" }, line)];
  return line.split(/("(?:[^"\\]|\\.)*"|'[^']*'|#.*$)/).filter(Boolean).map((part) => {
    if (part.startsWith("#")) return h("span", { class: "t-remark" }, part);
    return /^["']/.test(part) ? h("span", { class: "t-text" }, part) : part;
  });
}
