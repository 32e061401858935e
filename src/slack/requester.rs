//! The direct message to whoever asked: where things stand, and what they can do about it.

use serde_json::{Value, json};

use super::Message;
use super::blocks::{Style, actions, button, confirm, section};
use super::cards::{self, CardFacts};
use super::ending::Stage;
use super::text::{code, date, inert};
use crate::domain::access_request::Origin;
use crate::domain::grant::Start;

/// The `action_id` of the button that asks for more time.
pub const EXTEND: &str = "my_extend";
/// The `action_id` of the button that hands back.
pub const DONE: &str = "my_done";
/// The `action_id` of the button that withdraws.
pub const WITHDRAW: &str = "my_withdraw";

/// All of them.
pub const ALL: [&str; 3] = [EXTEND, DONE, WITHDRAW];

/// What can be done from the message, by the opaque value of each button; none where it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Asks for more time.
    pub extend: Option<String>,
    /// Hands back.
    pub done: Option<String>,
    /// Withdraws.
    pub withdraw: Option<String>,
}

/// How calmly a step is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By a new message, which notifies.
    Anew,
    /// By an edit of the last one.
    InPlace,
}

/// The word of the stage that a message shows, and how it is told.
pub fn stage(facts: &CardFacts<'_>, ends_soon: bool) -> (&'static str, Told) {
    match Stage::of(facts) {
        Stage::Approved if ends_soon => ("ending", Told::Anew),
        stage @ (Stage::Pending | Stage::Approved | Stage::Denied | Stage::Expired | Stage::Revoked) => {
            (stage.word(), Told::Anew)
        }
        // Both are what was to be expected, or what they did themselves.
        stage @ (Stage::Cancelled | Stage::Ended(_)) => (stage.word(), Told::InPlace),
    }
}

/// The message. `number` is what the asker tells the approver, where the ceremony needs that.
pub fn message(facts: &CardFacts<'_>, controls: &Controls, number: Option<&str>, ends_soon: bool) -> Message {
    let mut message = cards::requester_message(facts);
    let mut before: Vec<Value> = Vec::new();
    let mut say = |id: &str, words: &str| {
        let mut block = section(words);
        block["block_id"] = json!(format!("{id}_{}", facts.request.shown_version));
        before.push(block);
    };
    if let Some(grant) = facts.grant.filter(|_| ends_soon) {
        let words = format!("Your access ends {}.", date(grant.expires_at));
        say("soon", &format!("*Ends soon.* {words}"));
        message.text = inert(&format!("Ends soon: {words} (request {})", code(facts.request.id.as_str())));
    }
    if let Some(number) = number {
        say(
            "number",
            &format!(
                "*The number of this request is* {}. Tell it to whoever approves, and to nobody else.",
                code(number)
            ),
        );
    }
    if let Some(words) = facts.grant.and_then(|grant| match grant.start {
        Start::At { at, .. } if at > facts.now => Some(format!("It starts {}.", date(at))),
        Start::At { .. } | Start::AtOnce => None,
    }) {
        say("start", &words);
    }
    match &facts.request.origin {
        Origin::Hook => {}
        Origin::Ahead(_) if facts.grant.is_some_and(|grant| grant.open.is_some() && ends_later(facts)) => {
            say("ahead", "The next call of your client collects it.");
        }
        Origin::Ahead(_) => {}
        Origin::Extension(_) => say("more", "This is about more time for access that you have."),
    }
    message.blocks.splice(0..0, before);
    let drawn = drawn(facts, controls);
    if !drawn.is_empty() {
        let mut act = actions(drawn);
        act["block_id"] = json!(format!("my_{}", facts.request.shown_version));
        let at = message.blocks.len().saturating_sub(1);
        message.blocks.insert(at, act);
    }
    message
}

fn ends_later(facts: &CardFacts<'_>) -> bool {
    Stage::of(facts) == Stage::Approved
}

fn drawn(facts: &CardFacts<'_>, controls: &Controls) -> Vec<Value> {
    let id = facts.request.id.as_str();
    let mut all = Vec::new();
    if let Some(value) = &controls.extend {
        all.push(button(EXTEND, "Extend…", value, &format!("Ask for more time for request {id}"), Style::Default));
    }
    if let Some(value) = &controls.done {
        let mut done = button(DONE, "I'm done", value, &format!("Hand back what request {id} granted"), Style::Default);
        let what = "No new token is issued for it from then on. You can ask again at any time.";
        done["confirm"] = confirm("Hand this access back?", what, "Hand back", "Keep", false);
        all.push(done);
    }
    if let Some(value) = &controls.withdraw {
        let mut withdraw = button(WITHDRAW, "Withdraw", value, &format!("Withdraw request {id}"), Style::Default);
        let what = "Nobody needs to decide about it any more. You can ask again at any time.";
        withdraw["confirm"] = confirm("Withdraw this request?", what, "Withdraw", "Keep", false);
        all.push(withdraw);
    }
    all
}
