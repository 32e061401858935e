// Slack's texts as elements: mrkdwn, plain text and rich text (docs.slack.dev, "Formatting message text").
// Whatever is not known stays text.

import { h, now } from "./dom.js";
import { groupOf, personOf, world } from "./world.js";

/** The emoji that cards and answers use; others stay as `:name:`. */
const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", no_entry: "⛔", no_entry_sign: "🚫", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", leftwards_arrow_with_hook: "↩️", lock: "🔒", unlock: "🔓", key: "🔑",
  information_source: "ℹ️", memo: "📝", alarm_clock: "⏰", stopwatch: "⏱️", warning: "⚠️", x: "❌", eyes: "👀",
  rotating_light: "🚨", bell: "🔔", robot_face: "🤖", bust_in_silhouette: "👤", package: "📦", fire: "🔥",
  white_circle: "⚪", large_green_circle: "🟢", large_yellow_circle: "🟡", large_orange_circle: "🟠", red_circle: "🔴",
  shield: "🛡️", wave: "👋", tada: "🎉", arrow_right: "➡️", back: "🔙", scissors: "✂️", wastebasket: "🗑️",
};

const decode = (text) => text.replace(/&(amp|lt|gt);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">" })[name]);
const emoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => (Object.hasOwn(EMOJI, name) ? EMOJI[name] : whole));

/** A plain_text or mrkdwn object as nodes. */
export function textObject(object) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  // Lines stay lines in plain text, too.
  return String(object.text ?? "").split("\n").flatMap((line, n) => [n > 0 && h("br"), object.emoji === false ? line : emoji(line)]);
}

/** The words of a text object, for labels. */
export const words = (object) => h("span", {}, textObject(object)).textContent;

/** A mrkdwn text as nodes: code blocks, then quotes and lines, then what stands inside a line. */
export function mrkdwn(text) {
  return String(text ?? "").split(/(```[\s\S]+?```)/).flatMap((part) => {
    const block = part.match(/^```\n?([\s\S]+?)\n?```$/);
    return block ? [h("pre", {}, decode(block[1]))] : lines(part);
  });
}

function lines(text) {
  const out = [];
  let quote = null;
  for (const line of text.split("\n")) {
    const quoted = line.match(/^(?:&gt;|>) ?(.*)$/);
    if (quoted) {
      if (quote) quote.append(h("br"));
      else out.push((quote = h("blockquote")));
      quote.append(...inline(quoted[1]));
      continue;
    }
    if (out.length && !quote) out.push(h("br"));
    quote = null;
    out.push(...inline(line));
  }
  return out;
}

/** What stands inside one line. Inline code is set aside first: nothing is formatted within it. */
function inline(text) {
  const codes = [];
  const aside = text.replace(/[\uE000\uE001]/g, "").replace(/`([^`]+)`/g, (_, code) => `\uE000${codes.push(code) - 1}\uE001`);
  return styled(aside, codes);
}

const STYLES = { "*": "strong", _: "em", "~": "s" };

function styled(text, codes) {
  // A marker opens after a space or punctuation and closes before one, as in Slack.
  const found = text.match(/(^|[\s([{"'.,:;!?~*_>-])([*_~])(?=\S)((?:<[^>]*>|(?!\2).)*?[^\s])\2(?![A-Za-z0-9])/s);
  if (!found) return leaves(text, codes);
  const at = found.index + found[1].length;
  const end = found.index + found[0].length;
  return [
    ...leaves(text.slice(0, at), codes),
    h(STYLES[found[2]], {}, styled(found[3], codes)),
    ...styled(text.slice(end), codes),
  ];
}

/** Mentions, dates and links in angle brackets, code that was set aside, and plain words. */
function leaves(text, codes) {
  return text.split(/(<[^<>]+>|\uE000\d+\uE001)/).filter(Boolean).map((part) => {
    if (part.startsWith("\uE000")) return h("code", {}, decode(codes[Number(part.slice(1, -1))]));
    return /^<.+>$/.test(part) ? token(part.slice(1, -1)) : emoji(decode(part));
  });
}

/** What stands in angle brackets. */
function token(inside) {
  const [head, ...rest] = inside.split("|");
  const label = rest.join("|");
  if (head.startsWith("@")) return mention(head.slice(1));
  if (head.startsWith("#")) return chip(`#${label || channelName(head.slice(1))}`);
  if (head.startsWith("!subteam^")) return groupMention(head.slice(9).split("^")[0], label);
  if (head.startsWith("!date^")) {
    const [, seconds, ...format] = head.split("^");
    return moment(Number(seconds), format[0] ?? "", decode(label));
  }
  if (head.startsWith("!")) return chip(`@${label || head.slice(1)}`);
  return link(decode(head), decode(label || head));
}

const chip = (text, title) => h("span", { class: "mention", title }, text);
const channelName = (id) => world.state?.channels?.find((channel) => channel.id === id)?.name ?? id;

/** @Bob Berger; one's own name stands out. */
export function mention(id) {
  const person = personOf(id);
  const me = world.state?.you?.id === id;
  return h("span", { class: me ? "mention me" : "mention", title: id }, `@${person?.name ?? id}`);
}

function groupMention(id, label) {
  const group = groupOf(id);
  return chip(label || `@${group?.handle ?? id}`, group?.name ?? id);
}

function link(address, label) {
  const safe = /^(https?:|mailto:)/i.test(address);
  return safe ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label) : label;
}

/** A moment in the reader's time zone, in one of Slack's formats. */
function moment(seconds, format, fallback) {
  const date = new Date(seconds * 1000);
  if (!Number.isFinite(seconds) || Number.isNaN(date.getTime())) return fallback;
  const text = format.replace(/\{([a-z_]+)\}/g, (whole, name) => formatted(date, name) ?? whole);
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, text);
}

function formatted(date, name) {
  const day = (options) => date.toLocaleDateString([], options);
  const short = { month: "short", day: "numeric", year: "numeric" };
  switch (name) {
    case "date_num": return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
    case "date": return day({ month: "long", day: "numeric", year: "numeric" });
    case "date_short": return day(short);
    case "date_long": return day({ weekday: "long", month: "long", day: "numeric", year: "numeric" });
    case "date_pretty": return nearDay(date) ?? day({ month: "long", day: "numeric", year: "numeric" });
    case "date_short_pretty": return nearDay(date) ?? day(short);
    case "date_long_pretty": return nearDay(date) ?? day({ weekday: "long", month: "long", day: "numeric", year: "numeric" });
    case "time": return date.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    case "time_secs": return date.toLocaleTimeString([], { hour: "numeric", minute: "2-digit", second: "2-digit" });
    case "ago": return ago(date);
    default: return undefined;
  }
}

function nearDay(date) {
  const start = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime();
  const days = Math.round((start(date) - start(new Date(now()))) / 86_400_000);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

function ago(date) {
  const seconds = Math.round((date.getTime() - now()) / 1000);
  const say = new Intl.RelativeTimeFormat([], { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return say.format(Math.trunc(seconds / size), unit);
  }
  return say.format(seconds, "second");
}

// ---- rich text ----------------------------------------------------------------------------------

/** The parts of a rich_text block as nodes. */
export const richText = (block) => (block.elements ?? []).map(richPart);

function richPart(part) {
  const runs = () => (part.elements ?? []).map(richRun);
  switch (part.type) {
    case "rich_text_section": return h("p", {}, runs());
    case "rich_text_quote": return h("blockquote", {}, runs());
    case "rich_text_preformatted": return h("pre", {}, runs());
    case "rich_text_list": return h(part.style === "ordered" ? "ol" : "ul", {}, (part.elements ?? []).map((item) => h("li", {}, (item.elements ?? []).map(richRun))));
    default: return h("p", { class: "unknown" }, `(${part.type} is not drawn here)`);
  }
}

function richRun(run) {
  const node = richInner(run);
  const style = run.style ?? {};
  const tags = { code: "code", strike: "s", italic: "em", bold: "strong", underline: "u" };
  return Object.entries(tags).reduce((inner, [name, tag]) => (style[name] ? h(tag, {}, inner) : inner), node);
}

function richInner(run) {
  switch (run.type) {
    case "text": return h("span", { class: "run" }, String(run.text ?? ""));
    case "user": return mention(run.user_id);
    case "usergroup": return groupMention(run.usergroup_id, "");
    case "channel": return chip(`#${channelName(run.channel_id)}`);
    case "broadcast": return chip(`@${run.range}`);
    case "emoji": return h("span", {}, emoji(`:${run.name}:`));
    case "link": return h("span", {}, link(String(run.url ?? ""), String(run.text ?? run.url ?? "")));
    case "date": return h("span", {}, moment(Number(run.timestamp), String(run.format ?? ""), String(run.fallback ?? "")));
    default: return h("span", { class: "unknown" }, `(${run.type})`);
  }
}
