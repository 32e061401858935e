//! Our own rules for what is shown: Slack's limits once more, and above all the mistakes that no published checker
//! finds. One value is one argument of a Web API call (a message with its blocks) or one view.
//!
//! The unit tests of `src/slack` and the binary `forms` share this file.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Characters of the mrkdwn of one text object, and of the fallback of a message.
const MRKDWN_MAX: usize = 3_000;
/// Characters of the rich text of one block.
const RICH_MAX: usize = 12_000;
/// Bytes of one view.
const VIEW_BYTES_MAX: usize = 250_000;

/// What is wrong with a message or a view, as sentences; nothing where it is right.
pub fn problems(value: &Value) -> Vec<String> {
    let mut lint = Lint::default();
    match value["type"].as_str() {
        Some("modal") => lint.modal(value),
        Some("home") => lint.blocks(&value["blocks"], 100),
        _ => lint.message(value),
    }
    let is_home = value["type"] == "home";
    for block in value["blocks"].as_array().into_iter().flatten() {
        lint.block(block, is_home);
    }
    lint.wrong(lint.focus > 1, || "more than one element takes the focus".to_owned());
    lint.bad
}

/// The markup that is left in mrkdwn, `<…>` by `<…>`.
pub fn tokens(text: &str) -> Vec<&str> {
    text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
}

/// Sees every object of a value.
pub fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            see(members);
            members.values().for_each(|member| walk(member, see));
        }
        Value::Array(all) => all.iter().for_each(|one| walk(one, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[derive(Default)]
struct Lint {
    bad: Vec<String>,
    block_ids: BTreeSet<String>,
    labels: BTreeSet<String>,
    styles: BTreeSet<String>,
    focus: usize,
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Characters that nobody sees or that reorder a line.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether somebody who sees neither colours nor emoji can read something here.
fn has_words(text: &str) -> bool {
    let mut pieces = text.split(':').peekable();
    let mut read = pieces.next().is_some_and(|before| before.chars().any(char::is_alphanumeric));
    while let Some(piece) = pieces.next() {
        // `:name:` is a picture; any other colon is a colon.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-'".contains(c);
        let is_emoji = pieces.peek().is_some() && !piece.is_empty() && piece.chars().all(is_name);
        let words = if is_emoji { pieces.next().unwrap_or_default() } else { piece };
        read = read || words.chars().any(char::is_alphanumeric);
    }
    read
}

/// Whether `<token>` in mrkdwn is one that we write: a mention of an account, a user group or a channel, or a date whose
/// fallback names its time zone. In the tests, the ids of strangers' markup say EVIL.
fn is_ours(token: &str) -> bool {
    let id = |id: &str, first: &[char]| {
        id.starts_with(first)
            && !id.contains("EVIL")
            && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    if let Some(user) = token.strip_prefix('@') {
        return id(user, &['U', 'W']);
    }
    if let Some(group) = token.strip_prefix("!subteam^") {
        return id(group, &['S']);
    }
    if let Some(channel) = token.strip_prefix('#') {
        return id(channel, &['C', 'G']);
    }
    token.strip_prefix("!date^").is_some_and(|date| date.matches('^').count() == 1 && date.ends_with(" UTC"))
}

impl Lint {
    fn wrong(&mut self, is: bool, what: impl FnOnce() -> String) {
        if is {
            self.bad.push(what());
        }
    }

    fn message(&mut self, value: &Value) {
        self.blocks(&value["blocks"], 50);
        let text = value["text"].as_str().unwrap_or_default();
        self.wrong(text.trim().is_empty(), || "there is no fallback text".to_owned());
        self.wrong(!has_words(text), || "the fallback text says nothing in words".to_owned());
        self.mrkdwn("the fallback text", text);
        self.wrong(value.get("attachments").is_some(), || "attachments say something by colour".to_owned());
        let payload = value.get("metadata").map(|metadata| &metadata["event_payload"]);
        let strings = payload
            .is_none_or(|payload| payload.as_object().is_some_and(|members| members.values().all(Value::is_string)));
        self.wrong(!strings, || "the metadata holds something other than strings".to_owned());
    }

    fn modal(&mut self, value: &Value) {
        self.blocks(&value["blocks"], 100);
        for member in ["title", "submit", "close"] {
            self.wrong(chars(&value[member]["text"]) > 24, || format!("{member} is too long"));
            self.texts(member, &value[member]);
        }
        self.wrong(value["title"].is_null(), || "the form has no title".to_owned());
        self.wrong(value["close"].is_null(), || "the form has no word for leaving it".to_owned());
        let asks = list(&value["blocks"]).any(|block| block["type"] == "input");
        self.wrong(asks != value["submit"].is_object(), || "inputs and submit belong together".to_owned());
        let id = value["callback_id"].as_str().unwrap_or_default();
        self.wrong(id.is_empty() || id.len() > 255, || "callback_id".to_owned());
        self.wrong(chars(&value["private_metadata"]) > 3_000, || "private_metadata is too long".to_owned());
        self.wrong(value.to_string().len() > VIEW_BYTES_MAX, || "the view is too large".to_owned());
    }

    fn blocks(&mut self, blocks: &Value, most: usize) {
        let count = list(blocks).count();
        self.wrong(count == 0 || count > most, || format!("{count} blocks"));
    }

    fn block(&mut self, block: &Value, is_home: bool) {
        let id = block["block_id"].as_str().unwrap_or_default();
        let new = self.block_ids.insert(id.to_owned());
        self.wrong(id.is_empty() || id.len() > 255, || format!("block_id {id:?}"));
        self.wrong(!new, || format!("block_id {id} twice"));
        self.limits(id, block);
        self.texts(id, block);
        let mut action_ids = BTreeSet::new();
        if is_home {
            self.styles.clear(); // each row has its own buttons
        }
        let mut seen = Vec::new();
        walk(block, &mut |o| seen.push(o));
        for o in seen {
            if let Some(action) = o.get("action_id").map(|action| action.as_str().unwrap_or_default()) {
                let new = action_ids.insert(action);
                self.wrong(action.is_empty() || action.len() > 255, || format!("action_id {action:?}"));
                self.wrong(!new, || format!("action_id {action} twice in {id}"));
            }
            self.focus += usize::from(o.get("focus_on_load") == Some(&Value::Bool(true)));
            self.element(id, o);
        }
    }

    fn limits(&mut self, id: &str, block: &Value) {
        let (text, elements) = (chars(&block["text"]["text"]), list(&block["elements"]).count());
        let fields = list(&block["fields"]).count();
        match block["type"].as_str().unwrap_or_default() {
            "section" => {
                self.wrong(text > MRKDWN_MAX || fields > 10 || (text == 0 && fields == 0), || format!("section {id}"));
                let long = list(&block["fields"]).any(|field| chars(&field["text"]) > 2_000);
                self.wrong(long, || format!("a field of {id} is too long"));
            }
            "header" => self.wrong(text > 150, || format!("{id} is too long")),
            "context" => self.wrong(!(1..=10).contains(&elements), || format!("{elements} elements in {id}")),
            "actions" => self.wrong(!(1..=25).contains(&elements), || format!("{elements} elements in {id}")),
            "rich_text" => self.rich(id, block),
            "input" => {
                self.wrong(!(1..=2_000).contains(&chars(&block["label"]["text"])), || format!("the label of {id}"));
                self.wrong(chars(&block["hint"]["text"]) > 2_000, || format!("the hint of {id}"));
            }
            "alert" => self.wrong(!(1..=200).contains(&text), || format!("{text} characters in {id}")),
            "image" => self.wrong(chars(&block["alt_text"]) == 0, || format!("the picture {id} is not described")),
            _ => {}
        }
    }

    fn rich(&mut self, id: &str, block: &Value) {
        let mut text = String::new();
        let (mut reaches_out, mut leads_away) = (false, false);
        walk(block, &mut |o| match o.get("type").and_then(Value::as_str) {
            Some("text") => text.push_str(o["text"].as_str().unwrap_or_default()),
            Some("link") => {
                text.push_str(o.get("text").and_then(Value::as_str).unwrap_or_default());
                leads_away |= !o["url"].as_str().unwrap_or_default().starts_with("https://acme.slack.com/");
            }
            Some("broadcast" | "channel" | "color") => reaches_out = true,
            _ => {}
        });
        let count = text.chars().count();
        self.wrong(count > RICH_MAX, || format!("{id} has {count} characters of rich text"));
        self.wrong(!text.chars().any(char::is_alphanumeric), || format!("{id} says nothing in words"));
        self.wrong(leads_away, || format!("a link in {id} does not lead to Slack"));
        self.wrong(reaches_out, || format!("{id} calls out to a channel or says something by colour"));
    }

    /// Every text object and run below a value, and no character that nobody sees.
    fn texts(&mut self, id: &str, value: &Value) {
        let mut seen = Vec::new();
        walk(value, &mut |o| seen.push(o));
        for o in seen {
            let text = o.get("text").and_then(Value::as_str).unwrap_or_default();
            match o.get("type").and_then(Value::as_str) {
                Some("mrkdwn") => {
                    self.wrong(o.get("verbatim") != Some(&Value::Bool(true)), || format!("{id} is not verbatim"));
                    self.wrong(text.trim().is_empty(), || format!("{id} has an empty text"));
                    self.wrong(!has_words(text), || format!("{id} says nothing in words: {text}"));
                    self.mrkdwn(id, text);
                    self.wrong(text.matches('`').count() % 2 == 1, || format!("inline code in {id} is left open"));
                }
                Some("plain_text") => {
                    self.wrong(text.trim().is_empty(), || format!("{id} has an empty plain text"));
                    self.wrong(o.get("emoji") != Some(&Value::Bool(false)), || format!("{id} allows emoji"));
                }
                Some("text") => self.wrong(text.is_empty(), || format!("{id} has an empty run")),
                Some("emoji") => self.wrong(true, || format!("{id} has an emoji")),
                _ => {}
            }
            for said in ["text", "title", "alt_text", "accessibility_label", "initial_value"] {
                let said = o.get(said).and_then(Value::as_str).unwrap_or_default();
                self.wrong(said.contains(is_hidden), || format!("{id} has hidden characters"));
            }
        }
    }

    fn mrkdwn(&mut self, id: &str, text: &str) {
        let count = text.chars().count();
        self.wrong(count > MRKDWN_MAX, || format!("{id} has {count} characters"));
        self.wrong(text.matches('<').count() != text.matches('>').count(), || format!("{id} has half of a token"));
        for token in tokens(text).into_iter().filter(|token| !is_ours(token)) {
            self.wrong(true, || format!("{id} has <{token}>"));
        }
    }

    fn element(&mut self, id: &str, o: &Map<String, Value>) {
        let member = |name: &str| o.get(name).unwrap_or(&Value::Null);
        match member("type").as_str().unwrap_or_default() {
            "button" => self.button(o),
            "plain_text_input" => {
                let (least, most) = (member("min_length").as_u64(), member("max_length").as_u64());
                self.wrong(most.is_some_and(|most| most > 3_000) || least > most.or(least), || {
                    format!("the lengths of the input in {id}")
                });
                let given = u64::try_from(chars(member("initial_value"))).unwrap_or(u64::MAX);
                self.wrong(given > most.unwrap_or(3_000), || format!("the input in {id} begins too long"));
            }
            "checkboxes" | "radio_buttons" => self.options(id, o, 10),
            "overflow" => self.options(id, o, 5),
            "static_select" | "multi_static_select" => self.options(id, o, 100),
            _ => {}
        }
        self.wrong(chars(&member("placeholder")["text"]) > 150, || format!("the placeholder in {id}"));
        let dialog = member("confirm");
        if dialog.get("title").is_some() {
            let too_long = [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)]
                .iter()
                .any(|(part, most)| !(1..=*most).contains(&chars(&dialog[part]["text"])));
            self.wrong(too_long, || format!("a part of the dialog in {id} is absent or too long"));
        }
    }

    fn button(&mut self, o: &Map<String, Value>) {
        let text = |name: &str| o.get(name).and_then(Value::as_str).unwrap_or_default();
        let says = o.get("text").map(|text| &text["text"]).and_then(Value::as_str).unwrap_or_default();
        let label = text("accessibility_label");
        self.wrong(says.chars().count() > 75 || !has_words(says), || format!("the button says {says:?}"));
        self.wrong(label.chars().count() > 75 || !has_words(label), || format!("the label {label:?} of {says:?}"));
        let new = self.labels.insert(label.to_owned());
        self.wrong(!new, || format!("the label {label:?} twice: it does not say what the button is about"));
        self.wrong(text("value").len() > 2_000, || format!("the value of {says:?} is too long"));
        let style = text("style");
        let new = style.is_empty() || self.styles.insert(style.to_owned());
        self.wrong(!new, || format!("two buttons are {style}"));
    }

    fn options(&mut self, id: &str, o: &Map<String, Value>, most: usize) {
        let member = |name: &str| o.get(name).unwrap_or(&Value::Null);
        let grouped = list(member("option_groups")).flat_map(|group| list(&group["options"]));
        let options: Vec<&Value> = list(member("options")).chain(grouped).collect();
        let count = options.len();
        self.wrong(count == 0 || count > most, || format!("{count} options in {id}"));
        let values: BTreeSet<&str> = options.iter().filter_map(|option| option["value"].as_str()).collect();
        self.wrong(values.len() != count, || format!("two options in {id} have one value, or one has none"));
        for option in &options {
            let wrong = !(1..=75).contains(&chars(&option["text"]["text"]))
                || chars(&option["value"]) > 150
                || chars(&option["description"]["text"]) > 75;
            self.wrong(wrong, || format!("an option in {id} is empty or too long"));
        }
        let initial = o.get("initial_option").into_iter().chain(list(member("initial_options")));
        for chosen in initial.filter(|chosen| !options.contains(chosen)) {
            self.wrong(true, || format!("{} in {id} is chosen and not offered", chosen["value"]));
        }
    }
}
