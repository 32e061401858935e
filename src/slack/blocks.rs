//! The few Block Kit blocks that cards and forms are made of, each inside its limit (docs.slack.dev, "Blocks").

use serde_json::{Value, json};

use super::text::{clean, cut, inert};
use crate::domain::hashing::{canonical_value, sha256_hex};

/// Characters of a button's label for screen readers.
const LABEL_MAX: usize = 75;

/// A block with what stands in it, moved: `json!` would copy all of it, once for each block around it.
fn with(mut block: Value, member: &str, inside: Vec<Value>) -> Value {
    block[member] = Value::Array(inside);
    block
}

/// Plain text without emoji: `:name:` stays as it was written.
pub(super) fn plain(text: &str, most: usize) -> Value {
    let (text, _) = cut(&clean(text), most);
    let text = if text.is_empty() { "(empty)".to_owned() } else { text };
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// Our own words. `verbatim` keeps Slack from looking for links and names in them.
pub(super) fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": inert(text), "verbatim": true })
}

pub(super) fn header(text: &str) -> Value {
    json!({ "type": "header", "text": plain(text, 150) })
}

pub(super) fn section(words: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(words) })
}

/// Name and value in two columns; at most ten.
pub(super) fn fields(all: &[(&str, String)]) -> Value {
    let fields: Vec<Value> = all.iter().take(10).map(|(name, value)| mrkdwn(&format!("*{name}*\n{value}"))).collect();
    with(json!({ "type": "section" }), "fields", fields)
}

pub(super) fn context(words: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(words)] })
}

pub(super) fn rich(elements: Vec<Value>) -> Value {
    with(json!({ "type": "rich_text" }), "elements", elements)
}

/// Text of anybody: in rich text it is never looked for mentions, links or formatting.
pub(super) fn run(text: &str) -> Value {
    json!({ "type": "text", "text": if text.is_empty() { " " } else { text } })
}

pub(super) fn bold(text: &str) -> Value {
    json!({ "type": "text", "text": text, "style": { "bold": true } })
}

pub(super) fn mono(text: &str) -> Value {
    json!({ "type": "text", "text": text, "style": { "code": true } })
}

/// Words of a rich text that lead to a page.
pub(super) fn link(address: &str, words: &str) -> Value {
    json!({ "type": "link", "url": address, "text": words })
}

pub(super) fn line(runs: Vec<Value>) -> Value {
    with(json!({ "type": "rich_text_section" }), "elements", runs)
}

pub(super) fn quote(text: &str) -> Value {
    json!({ "type": "rich_text_quote", "elements": [run(text)] })
}

pub(super) fn preformatted(text: &str) -> Value {
    json!({ "type": "rich_text_preformatted", "elements": [run(text)] })
}

pub(super) fn bullets(items: Vec<Vec<Value>>) -> Value {
    let items: Vec<Value> = items.into_iter().map(line).collect();
    with(json!({ "type": "rich_text_list", "style": "bullet" }), "elements", items)
}

pub(super) fn actions(buttons: Vec<Value>) -> Value {
    with(json!({ "type": "actions" }), "elements", buttons)
}

/// What a button looks like; Slack allows each of the two coloured ones once in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Default,
    Primary,
    Danger,
}

/// A button. `label` is what a screen reader says: it names the request.
pub(super) fn button(action: &str, text: &str, value: &str, label: &str, style: Style) -> Value {
    let (label, _) = cut(label, LABEL_MAX);
    let mut button = json!({
        "type": "button", "action_id": action, "text": plain(text, 75), "value": value, "accessibility_label": label,
    });
    match style {
        Style::Default => {}
        Style::Primary => button["style"] = json!("primary"),
        Style::Danger => button["style"] = json!("danger"),
    }
    button
}

/// A dialog that asks again before a button counts.
pub(super) fn confirm(title: &str, text: &str, yes: &str, no: &str, dangerous: bool) -> Value {
    let mut dialog = json!({
        "title": plain(title, 100), "text": plain(text, 300), "confirm": plain(yes, 30), "deny": plain(no, 30),
    });
    if dangerous {
        dialog["style"] = json!("danger");
    }
    dialog
}

/// Gives each block an id made of its name, the shown version and what it says: Slack draws a block anew
/// only under a new id, and an unchanged one should not flicker.
pub(super) fn named(blocks: Vec<(&'static str, Value)>, version: u32) -> Vec<Value> {
    let name = |(name, mut block): (&'static str, Value)| {
        let digest = sha256_hex(canonical_value(&block).as_bytes());
        block["block_id"] = json!(format!("{name}_v{version}_{}", digest.get(..8).unwrap_or_default()));
        block
    };
    blocks.into_iter().map(name).collect()
}
