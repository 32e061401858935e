//! Refuses what Slack would refuse in blocks and views, and fills in the ids that Slack makes up.
//!
//! Limits: docs.slack.dev, reference/block-kit. Block types and members that are not listed here are
//! refused: a type that the stand-in does not know cannot be checked. Elements are in
//! [`super::elements`].

use std::collections::HashSet;

use serde_json::{Value, json};

use super::elements::{self, Place};

/// Where blocks are shown; some are allowed in some places only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// A message: at most 50 blocks.
    Message,
    /// A form: at most 100 blocks.
    Modal,
    /// A Home tab: at most 100 blocks.
    Home,
}

/// Collects what is wrong, each with a JSON pointer, as Slack's `response_metadata.messages` do.
#[derive(Debug, Default)]
pub struct Findings {
    pub(super) found: Vec<String>,
    /// Elements that want the focus; one may.
    pub(super) focused: usize,
}

impl Findings {
    /// Notes that something is wrong at `at`.
    pub fn wrong(&mut self, at: &str, what: impl std::fmt::Display) {
        self.found.push(format!("[ERROR] {what} [json-pointer:{at}]"));
    }

    /// Members that are not in `known` are refused, and so is anything that is not an object.
    pub fn members(&mut self, object: &Value, at: &str, known: &[&str]) {
        let Some(members) = object.as_object() else {
            return self.wrong(at, "must be an object");
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            self.wrong(at, format_args!("invalid additional property: {name}"));
        }
    }

    /// A text member of 1 to `max` characters; `required` or not.
    pub fn string(&mut self, object: &Value, at: &str, name: &str, max: usize, required: bool) {
        match object.get(name) {
            None if required => self.wrong(at, format_args!("missing required field: {name}")),
            None => {}
            Some(Value::String(text)) => self.length(text, &format!("{at}/{name}"), max),
            Some(_) => self.wrong(&format!("{at}/{name}"), "must be a string"),
        }
    }

    fn length(&mut self, text: &str, at: &str, max: usize) {
        match text.chars().count() {
            0 => self.wrong(at, "must be more than 0 characters"),
            count if count > max => self.wrong(at, format_args!("must be less than {} characters", max + 1)),
            _ => {}
        }
    }

    /// A text object with 1 to `max` characters.
    pub fn text(&mut self, object: &Value, at: &str, name: &str, max: usize, plain_only: bool) {
        let Some(text) = object.get(name) else {
            return self.wrong(at, format_args!("missing required field: {name}"));
        };
        self.text_object(text, &format!("{at}/{name}"), max, plain_only);
    }

    /// The same, for a member that may be absent.
    pub fn text_if_there(&mut self, object: &Value, at: &str, name: &str, max: usize, plain_only: bool) {
        if object.get(name).is_some() {
            self.text(object, at, name, max, plain_only);
        }
    }

    fn text_object(&mut self, text: &Value, at: &str, max: usize, plain_only: bool) {
        match text["type"].as_str() {
            Some("plain_text") => self.members(text, at, &["type", "text", "emoji"]),
            Some("mrkdwn") if !plain_only => self.members(text, at, &["type", "text", "verbatim"]),
            _ => self.wrong(&format!("{at}/type"), "unsupported type of text object"),
        }
        self.string(text, at, "text", max, true);
    }

    /// A member that is a list of `min` to `max` things; answers the list.
    pub fn list<'a>(&mut self, object: &'a Value, at: &str, name: &str, min: usize, max: usize) -> &'a [Value] {
        let Some(list) = object.get(name).and_then(Value::as_array) else {
            self.wrong(at, format_args!("missing required field: {name}"));
            return &[];
        };
        if list.len() < min {
            self.wrong(&format!("{at}/{name}"), format_args!("must have at least {min} items"));
        }
        if list.len() > max {
            self.wrong(&format!("{at}/{name}"), format_args!("no more than {max} items allowed"));
        }
        list
    }

    /// One of a few words, or absent.
    pub fn one_of(&mut self, object: &Value, at: &str, name: &str, words: &[&str]) {
        if object.get(name).is_some_and(|value| !value.as_str().is_some_and(|word| words.contains(&word))) {
            self.wrong(&format!("{at}/{name}"), format_args!("must be one of {}", words.join(", ")));
        }
    }
}

/// Checks the blocks of a message; answers them with every id filled in.
///
/// # Errors
/// Everything that Slack would complain about.
pub fn message(blocks: Value) -> Result<Value, Vec<String>> {
    let mut findings = Findings::default();
    let holder = json!({ "blocks": blocks });
    check_blocks(&holder, "", Surface::Message, 0, &mut findings);
    finished(holder, findings).map(|mut holder| holder["blocks"].take())
}

/// Checks a form or a Home tab; answers it with every id filled in.
///
/// # Errors
/// Everything that Slack would complain about.
pub fn view(view: Value) -> Result<Value, Vec<String>> {
    let mut findings = Findings::default();
    let surface = match view["type"].as_str() {
        Some("modal") => check_modal(&view, &mut findings),
        Some("home") => {
            findings.members(&view, "/view", &["type", "blocks", "private_metadata", "callback_id", "external_id"]);
            Surface::Home
        }
        _ => return Err(vec!["[ERROR] unsupported type of view [json-pointer:/view/type]".to_owned()]),
    };
    for (name, max) in [("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)] {
        if view[name] != "" {
            findings.string(&view, "/view", name, max, false);
        }
    }
    check_blocks(&view, "/view", surface, 1, &mut findings);
    if findings.focused > 1 {
        findings.wrong("/view/blocks", "only one element may have focus_on_load");
    }
    finished(view, findings)
}

fn check_modal(view: &Value, findings: &mut Findings) -> Surface {
    let known = ["type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "external_id"];
    let flags = ["clear_on_close", "notify_on_close", "submit_disabled"];
    findings.members(view, "/view", &[known.as_slice(), &flags].concat());
    findings.text(view, "/view", "title", 24, true);
    findings.text_if_there(view, "/view", "close", 24, true);
    findings.text_if_there(view, "/view", "submit", 24, true);
    let inputs = view["blocks"].as_array().into_iter().flatten().any(|block| block["type"] == "input");
    if inputs && view.get("submit").is_none() {
        findings.wrong("/view", "missing required field: submit (there are input blocks)");
    }
    Surface::Modal
}

fn finished(mut holder: Value, findings: Findings) -> Result<Value, Vec<String>> {
    if !findings.found.is_empty() {
        return Err(findings.found);
    }
    fill_ids(&mut holder);
    Ok(holder)
}

/// Slack makes up a `block_id` or an `action_id` where the app gave none.
fn fill_ids(holder: &mut Value) {
    for block in holder["blocks"].as_array_mut().into_iter().flatten() {
        fill(block, "block_id");
        let interactive = matches!(block["type"].as_str(), Some("section" | "actions" | "input"));
        if !interactive {
            continue;
        }
        for name in ["accessory", "element"] {
            if let Some(element) = block.get_mut(name).filter(|element| element["type"] != "image") {
                fill(element, "action_id");
            }
        }
        if let Some(elements) = block.get_mut("elements").and_then(Value::as_array_mut) {
            elements.iter_mut().for_each(|element| fill(element, "action_id"));
        }
    }
}

fn fill(object: &mut Value, name: &str) {
    if object.get(name).is_none() {
        let mut id = super::random_hex();
        id.truncate(5);
        object[name] = json!(id);
    }
}

fn check_blocks(holder: &Value, above: &str, surface: Surface, min: usize, findings: &mut Findings) {
    let max = match surface {
        Surface::Message => 50,
        Surface::Modal | Surface::Home => 100,
    };
    let mut seen = HashSet::new();
    for (index, block) in findings.list(holder, above, "blocks", min, max).iter().enumerate() {
        let at = format!("{above}/blocks/{index}");
        if let Some(id) = block["block_id"].as_str()
            && !seen.insert(id)
        {
            findings.wrong(&format!("{at}/block_id"), format_args!("block_id {id} already exists"));
        }
        findings.string(block, &at, "block_id", 255, false);
        check_block(block, &at, surface, findings);
        unique_actions(block, &at, findings);
    }
}

fn check_block(block: &Value, at: &str, surface: Surface, f: &mut Findings) {
    match (block["type"].as_str().unwrap_or_default(), surface) {
        ("divider", _) => f.members(block, at, &["type", "block_id"]),
        ("header", _) => {
            f.members(block, at, &["type", "block_id", "text"]);
            f.text(block, at, "text", 150, true);
        }
        ("section", _) => check_section(block, at, f),
        ("context", _) => {
            f.members(block, at, &["type", "block_id", "elements"]);
            for (index, element) in f.list(block, at, "elements", 1, 10).iter().enumerate() {
                let at = format!("{at}/elements/{index}");
                match element["type"].as_str() {
                    Some("image") => elements::image(element, &at, f),
                    _ => f.text_object(element, &at, 2000, false),
                }
            }
        }
        ("actions", _) => {
            f.members(block, at, &["type", "block_id", "elements"]);
            for (index, element) in f.list(block, at, "elements", 1, 25).iter().enumerate() {
                elements::check(element, &format!("{at}/elements/{index}"), Place::Actions, f);
            }
        }
        ("image", _) => {
            f.members(block, at, &["type", "block_id", "image_url", "alt_text", "title"]);
            f.string(block, at, "image_url", 3000, true);
            f.string(block, at, "alt_text", 2000, true);
            f.text_if_there(block, at, "title", 2000, true);
        }
        ("rich_text", _) => super::rich_text::check(block, at, f),
        ("markdown", Surface::Message) => {
            f.members(block, at, &["type", "block_id", "text"]);
            f.string(block, at, "text", 12_000, true);
        }
        ("alert", Surface::Modal) => {
            f.members(block, at, &["type", "block_id", "text", "level"]);
            f.text(block, at, "text", 200, false);
            f.one_of(block, at, "level", &["default", "info", "warning", "error", "success"]);
        }
        ("input", _) => {
            f.members(block, at, &["type", "block_id", "label", "element", "hint", "optional", "dispatch_action"]);
            f.text(block, at, "label", 2000, true);
            f.text_if_there(block, at, "hint", 2000, true);
            for name in ["optional", "dispatch_action"] {
                if block.get(name).is_some_and(|flag| !flag.is_boolean()) {
                    f.wrong(&format!("{at}/{name}"), "must be a boolean");
                }
            }
            elements::check(&block["element"], &format!("{at}/element"), Place::Input, f);
        }
        (kind, _) => f.wrong(&format!("{at}/type"), format_args!("unsupported type of block here: {kind}")),
    }
}

fn check_section(block: &Value, at: &str, f: &mut Findings) {
    f.members(block, at, &["type", "block_id", "text", "fields", "accessory", "expand"]);
    f.text_if_there(block, at, "text", 3000, false);
    match (block.get("text"), block.get("fields")) {
        (None, None) => f.wrong(at, "must have text or fields"),
        (Some(_), None) => {}
        (_, Some(_)) => {
            for (index, field) in f.list(block, at, "fields", 1, 10).iter().enumerate() {
                f.text_object(field, &format!("{at}/fields/{index}"), 2000, false);
            }
        }
    }
    if let Some(accessory) = block.get("accessory") {
        elements::check(accessory, &format!("{at}/accessory"), Place::Section, f);
    }
}

fn unique_actions(block: &Value, at: &str, findings: &mut Findings) {
    let held = block.get("element").into_iter().chain(block.get("accessory"));
    let mut seen = HashSet::new();
    for element in held.chain(block["elements"].as_array().into_iter().flatten()) {
        if let Some(id) = element["action_id"].as_str()
            && !seen.insert(id)
        {
            findings.wrong(at, format_args!("action_id {id} already exists"));
        }
    }
}
