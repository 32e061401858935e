//! Planted faults, each one change to something of ours, with the oracles that have to notice it. They show that the
//! oracles bite: a table is printed, and the run fails when one of them stops.

use countersign::slack::{cards, forms};
use serde_json::{Value, json};

use super::scene::{Frame, Scene, every_state};
use super::surfaces::posted;
use super::ugly;

/// Who has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oracle {
    /// Our own rules, `lint.rs`.
    Lint,
    /// The crate slackblocks.
    Slackblocks,
    /// The models of Slack's package for Python.
    SlackSdk,
    /// The compiler of TypeScript with Slack's types.
    Tsc,
}

impl Oracle {
    /// Its name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Slackblocks => "slackblocks",
            Self::SlackSdk => "slack_sdk",
            Self::Tsc => "tsc",
        }
    }
}

use Oracle::{Lint, SlackSdk, Slackblocks, Tsc};

/// A planted fault.
pub struct Mutant {
    /// What is wrong.
    pub name: &'static str,
    /// Who has to notice.
    pub noticed_by: &'static [Oracle],
    /// What it is planted in.
    base: fn() -> Value,
    /// The change.
    plant: fn(&mut Value),
}

impl Mutant {
    /// What it was before.
    pub fn before(&self) -> Value {
        (self.base)()
    }

    /// What it is afterwards.
    pub fn planted(&self) -> Value {
        let mut value = self.before();
        (self.plant)(&mut value);
        value
    }
}

const fn mutant(
    name: &'static str,
    noticed_by: &'static [Oracle],
    base: fn() -> Value,
    plant: fn(&mut Value),
) -> Mutant {
    Mutant { name, noticed_by, base, plant }
}

fn scene(state: &str) -> Scene {
    let all = every_state(&ugly::plain(), &Frame::ordinary());
    all.into_iter().find(|scene| scene.state == state).expect("a state")
}

/// A pending card.
fn card() -> Value {
    posted(&scene("pending").draw(cards::card)).expect("a card")
}

/// An approved card: its button asks again.
fn approved() -> Value {
    posted(&scene("approved").draw(cards::card)).expect("a card")
}

/// The form for a denial.
fn form() -> Value {
    scene("pending").draw(|facts| forms::deny_form("opaque", facts))
}

/// The form with one more input, which offers something.
fn offering() -> Value {
    let mut form = form();
    let options: Vec<Value> = ["one", "two"].map(option).into();
    let select = json!({
        "type": "static_select", "action_id": "choice", "options": options, "initial_option": option("one"),
        "placeholder": text("Choose"),
    });
    blocks(&mut form)
        .push(json!({ "type": "input", "block_id": "choice", "label": text("Choice"), "element": select }));
    form
}

/// A home tab.
fn home() -> Value {
    json!({ "type": "home", "blocks": card()["blocks"] })
}

fn text(says: &str) -> Value {
    json!({ "type": "plain_text", "text": says, "emoji": false })
}

fn option(says: &str) -> Value {
    json!({ "text": text(says), "value": says })
}

fn words(count: usize) -> String {
    "w".repeat(count)
}

fn blocks(value: &mut Value) -> &mut Vec<Value> {
    value["blocks"].as_array_mut().expect("blocks")
}

/// The first object of a type.
fn first<'a>(value: &'a mut Value, kind: &str) -> &'a mut Value {
    find(value, kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

fn find<'a>(value: &'a mut Value, kind: &str) -> Option<&'a mut Value> {
    if value["type"] == kind && value.get("text") != Some(&Value::Null) {
        return Some(value);
    }
    match value {
        Value::Array(all) => all.iter_mut().find_map(|one| find(one, kind)),
        Value::Object(members) => members.values_mut().find_map(|one| find(one, kind)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn without(value: &mut Value, member: &str) {
    value.as_object_mut().expect("an object").remove(member);
}

fn repeat(value: &mut Value, times: usize) {
    let one = blocks(value)[0].clone();
    *blocks(value) = (0..times)
        .map(|n| {
            let mut one = one.clone();
            one["block_id"] = json!(format!("b{n}"));
            one
        })
        .collect();
}

fn buttons(value: &mut Value, count: usize) {
    let one = first(value, "button").clone();
    let nth = |n: usize| {
        let mut one = one.clone();
        one["action_id"] = json!(format!("a{n}"));
        one["accessibility_label"] = json!(format!("Label {n}"));
        without(&mut one, "style");
        one
    };
    first(value, "actions")["elements"] = (0..count).map(nth).collect();
}

/// All planted faults.
pub const MUTANTS: &[Mutant] = &[
    // Structure.
    mutant("a type of block is misspelt", &[Slackblocks, SlackSdk, Tsc], card, |v| {
        first(v, "header")["type"] = json!("headr");
    }),
    mutant("a button without text", &[Lint, Slackblocks, SlackSdk, Tsc], card, |v| without(first(v, "button"), "text")),
    mutant("a button in a third colour", &[Slackblocks, SlackSdk, Tsc], card, |v| {
        first(v, "button")["style"] = json!("warning");
    }),
    mutant("a header in mrkdwn", &[Lint, Slackblocks, SlackSdk, Tsc], card, |v| {
        first(v, "header")["text"]["type"] = json!("mrkdwn");
    }),
    mutant("an input without a label", &[Lint, Slackblocks, SlackSdk, Tsc], form, |v| {
        without(first(v, "input"), "label")
    }),
    mutant("an unknown element of rich text", &[Slackblocks, SlackSdk, Tsc], card, |v| {
        first(v, "rich_text_section")["type"] = json!("rich_text_chapter");
    }),
    mutant("a button in place of an input", &[Lint, Slackblocks, SlackSdk, Tsc], form, |v| {
        first(v, "input")["element"] = json!({ "type": "button", "action_id": "reason", "text": text("Reason") });
    }),
    mutant("an alert of an unknown level", &[Slackblocks, SlackSdk, Tsc], form, |v| {
        blocks(v).push(json!({ "type": "alert", "block_id": "a", "level": "critical", "text": text("Look twice") }));
    }),
    mutant("a property that does not exist", &[SlackSdk, Tsc], card, |v| first(v, "section")["colour"] = json!("red")),
    mutant("a home tab with a button to send it", &[SlackSdk, Tsc], home, |v| v["submit"] = text("Send")),
    mutant("a dialog that cannot be declined", &[Lint, Slackblocks, SlackSdk], approved, |v| {
        without(&mut first(v, "button")["confirm"], "deny");
    }),
    mutant("a section with nothing in it", &[Lint, Slackblocks, SlackSdk], card, |v| {
        without(first(v, "section"), "text")
    }),
    mutant("an alert in a message", &[Slackblocks], card, |v| {
        blocks(v).push(json!({ "type": "alert", "block_id": "a", "level": "warning", "text": text("Look twice") }));
    }),
    mutant("an input and nothing to send it", &[Lint, Slackblocks], form, |v| without(v, "submit")),
    // Lengths.
    mutant("76 characters on a button", &[Lint, Slackblocks, SlackSdk], card, |v| {
        first(v, "button")["text"] = text(&words(76));
    }),
    mutant("26 buttons", &[Lint, Slackblocks, SlackSdk], card, |v| buttons(v, 26)),
    mutant("3,001 characters in a section", &[Lint, Slackblocks, SlackSdk], card, |v| {
        first(v, "section")["text"]["text"] = json!(words(3_001));
    }),
    mutant("11 fields", &[Lint, Slackblocks, SlackSdk], card, |v| {
        let field = json!({ "type": "mrkdwn", "text": "field", "verbatim": true });
        blocks(v).push(json!({ "type": "section", "block_id": "f", "fields": vec![field; 11] }));
    }),
    mutant("2,001 characters in a field", &[Lint, Slackblocks], card, |v| {
        let field = json!({ "type": "mrkdwn", "text": words(2_001), "verbatim": true });
        blocks(v).push(json!({ "type": "section", "block_id": "f", "fields": [field] }));
    }),
    mutant("151 characters in a header", &[Lint, Slackblocks, SlackSdk], card, |v| {
        first(v, "header")["text"] = text(&words(151));
    }),
    mutant("a value of 2,001 characters", &[Lint, Slackblocks, SlackSdk], card, |v| {
        first(v, "button")["value"] = json!(words(2_001));
    }),
    mutant("an action_id of 256 characters", &[Lint, Slackblocks, SlackSdk], card, |v| {
        first(v, "button")["action_id"] = json!(words(256));
    }),
    mutant("a dialog of 301 characters", &[Lint, Slackblocks, SlackSdk], approved, |v| {
        first(v, "button")["confirm"]["text"] = text(&words(301));
    }),
    mutant("an empty text", &[Lint, Slackblocks, SlackSdk], card, |v| first(v, "section")["text"]["text"] = json!("")),
    mutant("11 elements in a context", &[Lint, Slackblocks, SlackSdk], card, |v| {
        let one = first(v, "context")["elements"][0].clone();
        first(v, "context")["elements"] = json!(vec![one; 11]);
    }),
    mutant("a label of 76 characters", &[Lint, Slackblocks, SlackSdk], card, |v| {
        first(v, "button")["accessibility_label"] = json!(words(76));
    }),
    mutant("a form's title of 25 characters", &[Lint, Slackblocks, SlackSdk], form, |v| v["title"] = text(&words(25))),
    mutant("a form of 101 blocks", &[Lint, Slackblocks, SlackSdk], form, |v| {
        without(v, "submit");
        repeat(v, 101);
    }),
    mutant("a home tab of 101 blocks", &[Lint, Slackblocks, SlackSdk], home, |v| repeat(v, 101)),
    mutant("a message of 51 blocks", &[Lint, Slackblocks], card, |v| repeat(v, 51)),
    mutant("3,001 characters of private metadata", &[Lint, Slackblocks, SlackSdk], form, |v| {
        v["private_metadata"] = json!(words(3_001));
    }),
    mutant("an input for 3,001 characters", &[Lint, Slackblocks], form, |v| {
        first(v, "plain_text_input")["max_length"] = json!(3_001);
    }),
    mutant("an input for less than it needs", &[Lint, Slackblocks], form, |v| {
        first(v, "plain_text_input")["min_length"] = json!(501);
    }),
    // What is offered.
    mutant("101 options", &[Lint, Slackblocks, SlackSdk], offering, |v| {
        let all: Vec<Value> = (0..101).map(|n| option(&format!("option {n}"))).collect();
        first(v, "static_select")["initial_option"] = all[0].clone();
        first(v, "static_select")["options"] = json!(all);
    }),
    mutant("options twice, plain and in groups", &[Slackblocks, SlackSdk], offering, |v| {
        let group = json!({ "label": text("Group"), "options": [option("three")] });
        first(v, "static_select")["option_groups"] = json!([group]);
    }),
    mutant("an option of 76 characters", &[Lint, Slackblocks], offering, |v| {
        first(v, "static_select")["options"][1]["text"] = text(&words(76));
    }),
    mutant("an option with a value of 151 characters", &[Lint, Slackblocks], offering, |v| {
        first(v, "static_select")["options"][1]["value"] = json!(words(151));
    }),
    mutant("11 checkboxes", &[Lint, Slackblocks], offering, |v| {
        let all: Vec<Value> = (0..11).map(|n| option(&format!("option {n}"))).collect();
        *first(v, "static_select") = json!({ "type": "checkboxes", "action_id": "choice", "options": all });
    }),
    mutant("what is chosen is not offered", &[Lint], offering, |v| {
        first(v, "static_select")["initial_option"] = option("three");
    }),
    // What only our own rules know.
    mutant("a block_id twice", &[Lint], card, |v| {
        let id = blocks(v)[0]["block_id"].clone();
        blocks(v)[1]["block_id"] = id;
    }),
    mutant("an action_id twice", &[Lint], card, |v| {
        buttons(v, 2);
        first(v, "actions")["elements"][1]["action_id"] = json!("a0");
    }),
    mutant("no text for notifications", &[Lint], card, |v| v["text"] = json!("")),
    mutant("two elements take the focus", &[Lint], form, |v| {
        let mut second = first(v, "input").clone();
        second["block_id"] = json!("second");
        blocks(v).push(second);
    }),
    mutant("a button that a screen reader does not explain", &[Lint], card, |v| {
        without(first(v, "button"), "accessibility_label");
    }),
    mutant("two buttons with one label", &[Lint], card, |v| {
        buttons(v, 2);
        first(v, "actions")["elements"][1]["accessibility_label"] = json!("Label 0");
    }),
    mutant("mrkdwn in which Slack looks for links and names", &[Lint], card, |v| {
        without(&mut first(v, "section")["text"], "verbatim");
    }),
    mutant("a stranger calls everybody", &[Lint], card, |v| {
        first(v, "section")["text"]["text"] = json!("Please <!channel> decide");
    }),
    mutant("rich text calls everybody", &[Lint, Slackblocks], card, |v| {
        let call = json!({ "type": "broadcast", "range": "channel" });
        first(v, "rich_text_section")["elements"].as_array_mut().expect("runs").push(call);
    }),
    mutant("a link that leads elsewhere", &[Lint], card, |v| {
        let link = json!({ "type": "link", "url": "https://evil.example", "text": "Open its card" });
        first(v, "rich_text_section")["elements"].as_array_mut().expect("runs").push(link);
    }),
    mutant("a button that is only a picture", &[Lint], card, |v| {
        first(v, "button")["text"] = text(":white_check_mark:")
    }),
    mutant("a section that is only a picture", &[Lint], card, |v| {
        first(v, "section")["text"]["text"] = json!("✅ :tada:");
    }),
    mutant("a colour in place of words", &[Lint, Slackblocks], card, |v| {
        v["attachments"] = json!([{ "color": "danger", "fallback": "!" }]);
    }),
    mutant("both buttons are green", &[Lint], card, |v| {
        buttons(v, 2);
        first(v, "actions")["elements"][0]["style"] = json!("primary");
        first(v, "actions")["elements"][1]["style"] = json!("primary");
    }),
    mutant("a name that reorders its line", &[Lint], card, |v| {
        first(v, "section")["text"]["text"] = json!("Approve \u{202e}lla");
    }),
    mutant("inline code that is left open", &[Lint], card, |v| {
        first(v, "section")["text"]["text"] = json!("client `billing");
    }),
    mutant("plain text that turns names into emoji", &[Lint], card, |v| {
        first(v, "header")["text"]["emoji"] = json!(true);
    }),
    mutant("metadata that is not text", &[Lint], card, |v| v["metadata"]["event_payload"]["n"] = json!(1)),
];
