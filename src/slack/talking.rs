//! The forms for what approvers do besides deciding: say something to the requester, hand over to another approver.

use serde_json::{Value, json};

use super::blocks::{named, plain, section};
use super::cards::CardFacts;
use super::parts::Parts;
use super::text::{code, date};

/// The `callback_id` of the form for a comment.
pub const COMMENT_FORM: &str = "comment";
/// The block and the action of its words.
pub const WORDS: &str = "words";
/// The `callback_id` of the form for handing over.
pub const HAND_OVER_FORM: &str = "hand_over";
/// The block and the action of whom it is handed to.
pub const TO: &str = "to";
/// Characters of a comment.
const WORDS_MAX: usize = 1_000;

/// The form that passes something on to the requester.
pub fn comment_form(private_metadata: &str, facts: &CardFacts<'_>) -> Value {
    let input = json!({
        "type": "input", "block_id": WORDS, "label": plain("What to say", 100),
        "hint": plain("Sent to the requester and written into the thread. It decides nothing.", 200),
        "element": {
            "type": "plain_text_input", "action_id": WORDS, "multiline": true, "focus_on_load": true, "min_length": 1,
            "max_length": WORDS_MAX,
        },
    });
    form(private_metadata, facts, COMMENT_FORM, "Comment", "Send", input)
}

/// The form that asks another approver to decide.
pub fn hand_over_form(private_metadata: &str, facts: &CardFacts<'_>) -> Value {
    let input = json!({
        "type": "input", "block_id": TO, "label": plain("To whom", 100),
        "hint": plain("Another approver of this request. They are told directly; everybody else may still decide.", 200),
        "element": { "type": "users_select", "action_id": TO, "focus_on_load": true },
    });
    form(private_metadata, facts, HAND_OVER_FORM, "Hand over", "Hand over", input)
}

fn form(metadata: &str, facts: &CardFacts<'_>, callback: &str, title: &str, submit: &str, input: Value) -> Value {
    let request = facts.request;
    let mut parts = Parts::new(facts);
    let lead = format!(
        "{} · through {} · as {} · to be decided by {}",
        code(&parts.title()),
        parts.client_id(),
        parts.subject_id(),
        date(request.decide_by)
    );
    let scopes = parts.scopes("Asks for", &request.question.terms.scopes);
    let mut blocks = named(vec![("scopes", scopes), ("lead", section(&lead))], request.shown_version);
    blocks.push(input);
    json!({
        "type": "modal", "callback_id": callback, "private_metadata": metadata, "notify_on_close": false,
        "title": plain(title, 24), "submit": plain(submit, 24), "close": plain("Back", 24), "blocks": blocks,
    })
}
