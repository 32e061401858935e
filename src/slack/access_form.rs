//! The form of the slash command: what to ask for, through which client, for how long and why; and before it is sent,
//! who will be asked.
//!
//! The value of an option is a hash of what it stands for: a scope can be longer than Slack allows for a value, and a
//! place in a list would mean something else after the policy was reloaded.

use serde_json::{Value, json};

use super::blocks::{context, plain, section};
use super::cards::{WORDS_MAX, cut_words};
use super::text::{clean, clean_lines, cut, duration, inert};
use crate::domain::hashing::sha256_hex;
use crate::domain::policy::ScopeText;

/// The `callback_id` of the form.
pub const ACCESS_FORM: &str = "access";
/// The `callback_id` of the form for an extension.
pub const EXTEND_FORM: &str = "extend";
/// The client.
pub const CLIENT: &str = "client";
/// The resource.
pub const RESOURCE: &str = "resource";
/// The scopes.
pub const SCOPES: &str = "scopes";
/// How long.
pub const TIME: &str = "time";
/// From when on.
pub const START: &str = "start";
/// Why.
pub const REASON: &str = "reason";
/// More options than this are searched, not listed.
pub const LISTED_MAX: usize = 100;
/// The times that the form offers, in seconds.
pub const TIMES: [u64; 10] = [300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200, 604_800];
/// Characters that a reason has at most.
const REASON_MAX: usize = 500;
/// How many scopes can be chosen at once.
const SCOPES_MAX: usize = 50;

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What it is called.
    pub name: String,
    /// What it means.
    pub says: Option<String>,
}

impl Choice {
    /// Something whose name says it.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), says: None }
    }

    /// A scope, with what the policy says of it.
    pub fn scope(name: &str, text: &ScopeText) -> Self {
        let risk = text.risk.map(|risk| format!(" (risk: {})", super::parts::risk_word(risk))).unwrap_or_default();
        Self { name: name.to_owned(), says: Some(format!("{}{risk}", clean(&text.says))) }
    }

    /// The value that stands for it.
    pub fn value(&self) -> String {
        value_of(&self.name)
    }

    fn option(&self) -> Value {
        let mut option = json!({ "text": plain(&self.name, 75), "value": self.value() });
        if let Some(says) = self.says.as_deref().filter(|says| !says.is_empty()) {
            option["description"] = plain(says, 75);
        }
        option
    }
}

/// The value that stands for a name.
pub fn value_of(name: &str) -> String {
    sha256_hex(name.as_bytes()).get(..40).unwrap_or_default().to_owned()
}

/// What the form shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// The clients that are offered.
    pub clients: Vec<Choice>,
    /// The one that is chosen.
    pub client: Option<Choice>,
    /// What can be asked for through it.
    pub resources: Vec<Choice>,
    /// The one that is chosen.
    pub resource: Option<Choice>,
    /// Its scopes that may be asked for.
    pub scopes: Vec<Choice>,
    /// Those that are chosen.
    pub chosen: Vec<Choice>,
    /// The time that is chosen, in seconds.
    pub time: Option<u64>,
    /// The start that is chosen, in seconds since 1970.
    pub start: Option<i64>,
    /// What was written.
    pub reason: String,
    /// Who will be asked, and for how long it would be (mrkdwn of ours).
    pub who: String,
}

impl Form {
    /// The block of the scopes: another one for each client and resource, so that Slack forgets what was chosen before.
    pub fn scopes_block(&self) -> String {
        let of = |choice: &Option<Choice>| choice.as_ref().map(|choice| choice.name.clone()).unwrap_or_default();
        let names = format!("{}\n{}", of(&self.client), of(&self.resource));
        format!("{SCOPES}_{}", sha256_hex(names.as_bytes()).get(..8).unwrap_or_default())
    }

    /// The form as a view.
    pub fn view(&self) -> Value {
        let mut blocks = vec![self.input(
            CLIENT,
            "Through which client?",
            one(CLIENT, &self.clients, self.client.as_ref(), "Choose a client"),
        )];
        if self.client.is_some() && !self.resources.is_empty() {
            let of = one(RESOURCE, &self.resources, self.resource.as_ref(), "Choose a resource");
            blocks.push(self.input(RESOURCE, "What do you need access to?", of));
        }
        if self.resource.is_some() && !self.scopes.is_empty() {
            let mut scopes = self.input("", "Scopes", several(&self.scopes, &self.chosen));
            scopes["block_id"] = json!(self.scopes_block());
            scopes["hint"] = plain("Ask for the least you need. An approver can remove some.", 200);
            blocks.push(scopes);
        }
        blocks.extend([self.time_input(), self.start_input(), self.reason_input()]);
        let who = if self.who.is_empty() { "Choose what you need to see who will be asked." } else { &self.who };
        let mut who = context(&cut_words(&inert(who), WORDS_MAX));
        who["block_id"] = json!("who");
        blocks.push(who);
        json!({
            "type": "modal", "callback_id": ACCESS_FORM, "notify_on_close": false, "private_metadata": "",
            "title": plain("Request access", 24), "submit": plain("Send request", 24), "close": plain("Cancel", 24),
            "blocks": blocks,
        })
    }

    #[expect(clippy::unused_self, reason = "reads as what it belongs to")]
    fn input(&self, block: &str, label: &str, element: Value) -> Value {
        json!({ "type": "input", "block_id": block, "label": plain(label, 100), "element": element, "dispatch_action": true })
    }

    fn time_input(&self) -> Value {
        let option = |seconds: u64| json!({ "text": plain(&duration(seconds), 75), "value": seconds.to_string() });
        let options: Vec<Value> = TIMES.iter().map(|seconds| option(*seconds)).collect();
        let chosen = option(self.time.filter(|time| TIMES.contains(time)).unwrap_or(3_600));
        let element =
            json!({ "type": "static_select", "action_id": TIME, "options": options, "initial_option": chosen });
        self.input(TIME, "For how long?", element)
    }

    fn start_input(&self) -> Value {
        let mut element = json!({ "type": "datetimepicker", "action_id": START });
        if let Some(start) = self.start {
            element["initial_date_time"] = json!(start);
        }
        json!({
            "type": "input", "block_id": START, "label": plain("From when on?", 100), "optional": true,
            "hint": plain("Nothing chosen: from the decision on.", 200), "element": element,
        })
    }

    fn reason_input(&self) -> Value {
        let mut element = json!({
            "type": "plain_text_input", "action_id": REASON, "multiline": true, "max_length": REASON_MAX,
            "placeholder": plain("Name the ticket. This is shown to the approvers and kept in the audit.", 150),
        });
        let reason = cut(&clean_lines(&self.reason), REASON_MAX).0;
        if !reason.is_empty() {
            element["initial_value"] = json!(reason);
        }
        json!({
            "type": "input", "block_id": REASON, "label": plain("Why do you need it?", 100), "optional": true,
            "element": element,
        })
    }
}

/// A menu for one of them; searched where there are too many to list.
fn one(action: &str, all: &[Choice], chosen: Option<&Choice>, placeholder: &str) -> Value {
    let mut element = menu(all, "static_select", "external_select");
    element["action_id"] = json!(action);
    element["placeholder"] = plain(placeholder, 150);
    if let Some(chosen) = chosen {
        element["initial_option"] = chosen.option();
    }
    element
}

fn several(all: &[Choice], chosen: &[Choice]) -> Value {
    let mut element = menu(all, "multi_static_select", "multi_external_select");
    element["action_id"] = json!(SCOPES);
    element["placeholder"] = plain("Choose scopes", 150);
    element["max_selected_items"] = json!(SCOPES_MAX);
    if !chosen.is_empty() {
        element["initial_options"] = chosen.iter().map(Choice::option).collect();
    }
    element
}

fn menu(all: &[Choice], listed: &str, searched: &str) -> Value {
    if all.len() > LISTED_MAX {
        return json!({ "type": searched, "min_query_length": 0 });
    }
    let options: Vec<Value> = all.iter().map(Choice::option).collect();
    json!({ "type": listed, "options": options })
}

/// The options that fit what somebody typed into a searched menu: at most 100.
pub fn found(all: &[Choice], typed: &str) -> Vec<Value> {
    let typed = typed.trim().to_lowercase();
    let fits = |choice: &&Choice| {
        let says = choice.says.as_deref().unwrap_or_default();
        typed.is_empty() || choice.name.to_lowercase().contains(&typed) || says.to_lowercase().contains(&typed)
    };
    all.iter().filter(fits).take(LISTED_MAX).map(Choice::option).collect()
}

/// What stands on the screen until the form is ready: a trigger is good for three seconds only.
pub fn loading() -> Value {
    words_view("Request access", "One moment…")
}

/// A form that only says something. `words` are ours.
pub fn words_view(title: &str, words: &str) -> Value {
    let blocks = super::blocks::named(vec![("note", section(&worded(words)))], 1);
    json!({ "type": "modal", "callback_id": "words", "title": plain(title, 24), "close": plain("Close", 24), "blocks": blocks })
}

/// Words of ours, never none and never too many.
pub(super) fn worded(words: &str) -> String {
    let words = cut_words(&inert(words), WORDS_MAX);
    if words.is_empty() { "Nothing was changed.".to_owned() } else { words }
}

/// The form for an extension: how long, and why. What it carries comes back through the client.
pub fn extend_view(carried: &str, what: &str, lasted: u64, reason: &str) -> Value {
    let form = Form { time: Some(nearest(lasted)), reason: reason.to_owned(), ..Form::default() };
    let mut time = form.time_input();
    // Nothing is drawn anew here.
    time["dispatch_action"] = json!(false);
    let mut what = section(&worded(what));
    what["block_id"] = json!("what");
    let blocks = vec![what, time, form.reason_input()];
    json!({
        "type": "modal", "callback_id": EXTEND_FORM, "private_metadata": carried, "notify_on_close": false,
        "title": plain("Extend access", 24), "submit": plain("Send request", 24), "close": plain("Cancel", 24),
        "blocks": blocks,
    })
}

fn nearest(lasted: u64) -> u64 {
    TIMES.into_iter().filter(|time| *time <= lasted).max().unwrap_or(TIMES[0])
}
