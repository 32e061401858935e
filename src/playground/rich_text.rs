//! Checks of `rich_text` blocks: sections, lists, quotes and what stands in them.

use serde_json::Value;

use super::blocks::Findings;

/// How many characters the texts of one block may have together.
const CHARS_MAX: usize = 12_000;

/// Checks one `rich_text` block.
pub fn check(block: &Value, at: &str, f: &mut Findings) {
    f.members(block, at, &["type", "block_id", "elements"]);
    let mut chars = 0;
    for (index, part) in f.list(block, at, "elements", 1, 1000).iter().enumerate() {
        chars += check_part(part, &format!("{at}/elements/{index}"), true, f);
    }
    if chars > CHARS_MAX {
        f.wrong(at, format_args!("must be less than {} characters", CHARS_MAX + 1));
    }
}

/// Checks a section, quote, preformatted text or list; answers how many characters it shows.
fn check_part(part: &Value, at: &str, lists: bool, f: &mut Findings) -> usize {
    let known: &[&str] = match part["type"].as_str().unwrap_or_default() {
        "rich_text_section" => &["type", "elements"],
        "rich_text_quote" | "rich_text_preformatted" => &["type", "elements", "border", "language"],
        "rich_text_list" if lists => &["type", "elements", "style", "indent", "offset", "border"],
        kind => {
            f.wrong(&format!("{at}/type"), format_args!("unsupported type of rich text: {kind}"));
            return 0;
        }
    };
    f.members(part, at, known);
    let list = part["type"] == "rich_text_list";
    if list {
        f.one_of(part, at, "style", &["bullet", "ordered"]);
    }
    let mut chars = 0;
    for (index, element) in f.list(part, at, "elements", 0, 1000).iter().enumerate() {
        let at = format!("{at}/elements/{index}");
        chars += match list {
            true => check_part(element, &at, false, f),
            false => check_inline(element, &at, f),
        };
    }
    chars
}

fn check_inline(element: &Value, at: &str, f: &mut Findings) -> usize {
    let (known, required): (&[&str], &str) = match element["type"].as_str().unwrap_or_default() {
        "text" => (&["type", "text", "style"], "text"),
        "link" => (&["type", "url", "text", "style", "unsafe"], "url"),
        "user" => (&["type", "user_id", "style"], "user_id"),
        "usergroup" => (&["type", "usergroup_id", "style"], "usergroup_id"),
        "channel" => (&["type", "channel_id", "style"], "channel_id"),
        "emoji" => (&["type", "name", "unicode", "style"], "name"),
        "broadcast" => (&["type", "range", "style"], "range"),
        "color" => (&["type", "value"], "value"),
        "date" => (&["type", "timestamp", "format", "url", "fallback", "style"], "format"),
        kind => {
            f.wrong(&format!("{at}/type"), format_args!("unsupported type of rich text element: {kind}"));
            return 0;
        }
    };
    f.members(element, at, known);
    f.string(element, at, required, CHARS_MAX, true);
    if let Some(style) = element.get("style") {
        f.members(style, &format!("{at}/style"), &["bold", "italic", "strike", "code", "underline", "highlight"]);
    }
    element["text"].as_str().map_or(0, |text| text.chars().count())
}
