// Elements, lists that keep their elements, times that tick, and what a screen reader is told.
// Data becomes text nodes and attributes only: nothing in this page turns data into markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element with that id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element. Names that start with "on" are listeners, true and false switch an attribute on or
 * off, undefined and null leave it out. Children are nodes or text; empty ones are skipped.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else if (name === "checked") element.checked = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return element;
}

/** One of the drawings at the end of index.html. */
export function icon(name, css = "icon") {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", css);
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Shows `items` in `parent`, one element each, and leaves an element alone while its item says the same
 * (`sign`). A changed element is made anew; open folds and the focus move over to the new one.
 * `arrived` and `changed` are called with the element and the item, but not on the first drawing.
 */
export function keyed(parent, items, { key, sign, make, arrived, changed }) {
  const before = parent.kept ?? new Map();
  const first = parent.kept === undefined;
  const after = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const said = sign(item);
    let kept = before.get(name);
    if (!kept) {
      kept = { said, element: make(item) };
      if (!first) arrived?.(kept.element, item);
    } else if (kept.said !== said) {
      const element = make(item);
      const carry = carryOver(kept.element, element);
      kept.element.replaceWith(element);
      carry();
      // Moving an element takes the focus away, so it stays where it is.
      if (kept.element === place) place = element;
      kept = { said, element };
      changed?.(element, item);
    }
    after.set(name, kept);
    if (kept.element === place) place = place.nextElementSibling;
    else parent.insertBefore(kept.element, place);
  }
  for (const [name, kept] of before) if (!after.has(name)) kept.element.remove();
  parent.kept = after;
}

/** Remembers which folds are open and where the focus is; the function it returns restores both. */
function carryOver(old, fresh) {
  const open = new Map([...old.querySelectorAll("details[data-keep]")].map((fold) => [fold.dataset.keep, fold.open]));
  const held = old.contains(document.activeElement) ? document.activeElement : undefined;
  const mark = held?.dataset.focus;
  return () => {
    for (const fold of fresh.querySelectorAll("details[data-keep]")) {
      if (open.has(fold.dataset.keep)) fold.open = open.get(fold.dataset.keep);
    }
    if (!held) return;
    const heir = mark && fresh.querySelector(`[data-focus="${CSS.escape(mark)}"]`);
    if (!heir) fresh.setAttribute("tabindex", "-1");
    (heir ?? fresh).focus({ preventScroll: true });
  };
}

/** Lets an element glow once, gently. */
export function glow(element, css = "changed") {
  element.classList.remove(css);
  void element.offsetWidth; // starts the animation anew
  element.classList.add(css);
  setTimeout(() => element.classList.remove(css), 2400);
}

/** Tells a screen reader, politely. */
export function announce(text) {
  const line = h("p", {}, text);
  byId("announce").append(line);
  setTimeout(() => line.remove(), 8000);
}

let toastTimer;

/** A short word at the bottom of the page; for a screen reader too. */
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.hidden = false;
  announce(text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (place.hidden = true), 4500);
}

/** A button that copies what `text()` says. */
export function copies(button, text) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      toast("Copied");
    } catch {
      toast("The browser did not allow copying");
    }
  });
  return button;
}

// ---- time ---------------------------------------------------------------------------------------

let ahead = 0;

/** Takes over the server's clock: all countdowns follow it. */
export function setClock(serverNow) {
  const moment = Date.parse(serverNow);
  if (Number.isFinite(moment)) ahead = moment - Date.now();
}

/** Now, by the server's clock, in milliseconds. */
export const now = () => Date.now() + ahead;

/** 9 s, 4:05 min, 1:04:05 h: short enough to tick. */
export function clockwork(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (hours > 0) return `${hours}:${two(minutes)}:${two(rest)} h`;
  if (minutes > 0) return `${minutes}:${two(rest)} min`;
  return `${rest} s`;
}

/** 1 hour 30 minutes. */
export function inWords(seconds) {
  const parts = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const words = [];
  let left = Math.round(seconds);
  for (const [size, name] of parts) {
    const count = Math.floor(left / size);
    left %= size;
    if (count > 0) words.push(`${count} ${name}${count === 1 ? "" : "s"}`);
  }
  return words.slice(0, 2).join(" ") || "no time";
}

/** 14:03:22 in the reader's time zone. */
export function timeOfDay(moment, seconds = true) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return "";
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
}

const ticking = new Set();

/** Calls `draw(element)` now and once a second for as long as the element is on the page. */
export function ticks(element, draw) {
  draw(element);
  ticking.add({ element, draw, seen: false });
  return element;
}

setInterval(() => {
  for (const tick of ticking) {
    if (tick.element.isConnected) {
      tick.seen = true;
      tick.draw(tick.element);
    } else if (tick.seen) {
      ticking.delete(tick);
    } else {
      tick.seen = true; // it gets one more second to be put on the page
    }
  }
}, 1000);
