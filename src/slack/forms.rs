//! The dialogs: why a request is denied, everything in full, and that a form came too late.

use serde_json::{Value, json};

use super::blocks::{Style, actions, bold, button, line, named, plain, preformatted, rich, run, section};
use super::cards::{CardFacts, WORDS_MAX, cut_words};
use super::parts::{Parts, shown_number};
use super::text::{clean_lines, code, inert};
use crate::domain::access_request::State;
use crate::domain::grant::State as GrantState;
use crate::domain::hashing::canonical_json;

/// The `callback_id` of the form for a denial.
pub const DENY_FORM: &str = "deny";
/// The `callback_id` of the view that leads to the browser, and the `action_id` of the button in it.
pub const STEP_UP: &str = "step_up";
/// The `block_id` and the `action_id` of its only input.
pub const REASON: &str = "reason";
/// Characters that a denial's reason has at least and at most.
pub const REASON_LENGTH: std::ops::RangeInclusive<usize> = 3..=500;
/// Characters of one block of the full view; Slack allows 12,000.
const PIECE: usize = 3_000;
/// How many such blocks are shown: a view may not grow without end.
const PIECES_MAX: usize = 16;

/// The form that asks for the reason of a denial. `private_metadata` comes back with it, through the client.
pub fn deny_form(private_metadata: &str, facts: &CardFacts<'_>) -> Value {
    let mut parts = Parts::new(facts);
    let lead = format!("{} · through {} · as {}", code(&parts.title()), parts.client_id(), parts.subject_id());
    let scopes = parts.scopes("Asks for", &facts.request.question.terms.scopes);
    let mut blocks = named(vec![("scopes", scopes), ("lead", section(&lead))], facts.request.shown_version);
    blocks.push(json!({
        "type": "input", "block_id": REASON, "label": plain("Reason", 100),
        "hint": plain("Shown to the requester and kept in the audit log.", 200),
        "element": {
            "type": "plain_text_input", "action_id": REASON, "multiline": true, "focus_on_load": true,
            "min_length": REASON_LENGTH.start(), "max_length": REASON_LENGTH.end(),
        },
    }));
    json!({
        "type": "modal", "callback_id": DENY_FORM, "private_metadata": private_metadata, "notify_on_close": false,
        "title": plain("Deny request", 24), "submit": plain("Deny", 24), "close": plain("Back", 24), "blocks": blocks,
    })
}

/// The approver's own way to the ceremony that happens in a browser. Whoever holds the link must still sign in as
/// the approver, and confirm.
pub fn step_up_view(url: &str, facts: &CardFacts<'_>) -> Value {
    let mut parts = Parts::new(facts);
    let lead = format!("{} · through {} · as {}", code(&parts.title()), parts.client_id(), parts.subject_id());
    let scopes = parts.scopes("Asks for", &facts.request.question.terms.scopes);
    let words = "This needs to be sure that it is you: sign in again in your browser, look once more at what is asked, \
                 and approve there. The link is yours alone and works for ten minutes. Nothing is approved yet.";
    let label = format!("Sign in and approve request {}", facts.request.id);
    let mut way = button(STEP_UP, "Sign in and approve", "link", &label, Style::Primary);
    way["url"] = json!(url);
    let blocks =
        vec![("scopes", scopes), ("lead", section(&lead)), ("words", section(words)), ("act", actions(vec![way]))];
    let blocks = named(blocks, facts.request.shown_version);
    json!({
        "type": "modal", "callback_id": STEP_UP, "title": plain("Sign in to approve", 24),
        "close": plain("Back", 24), "blocks": blocks,
    })
}

/// Everything that the card shows or had to cut, in full.
pub fn details_view(facts: &CardFacts<'_>) -> Value {
    let request = facts.request;
    let asked = &request.asked;
    let mut parts = Parts::new(facts);
    let mut blocks = vec![("scopes", parts.scopes("Scopes", &request.question.terms.scopes))];
    let joined = |all: &mut dyn Iterator<Item = &String>| all.cloned().collect::<Vec<_>>().join("\n");
    let denied = match &request.state {
        State::Denied { reason, .. } => Some(reason.clone()),
        State::Pending | State::Approved { .. } | State::Expired { .. } | State::Cancelled { .. } => None,
    };
    let revoked = facts.grant.and_then(|grant| match &grant.state {
        GrantState::Revoked { reason, .. } => Some(reason.clone()),
        GrantState::Live | GrantState::Ended { .. } => None,
    });
    let mut texts: Vec<(&'static str, String)> = vec![
        ("Reason (the client's claim, not verified)", asked.reason.clone().unwrap_or_default()),
        ("Shown to its user (the client's claim)", shown_number(request).unwrap_or_default().to_owned()),
        ("Reason of the denial", denied.unwrap_or_default()),
        ("Reason of the revocation", revoked.unwrap_or_default()),
        (
            "Client",
            [Some(asked.client.id.clone()), asked.client.name.clone()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        (
            "Subject",
            [Some(asked.subject.id.clone()), asked.subject.email.clone()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        ("Audience", joined(&mut asked.audience.iter())),
        ("Authorization server", asked.issuer.clone().unwrap_or_default()),
        ("Acting through", joined(&mut asked.actor.iter())),
        (
            "Authorization details",
            asked.authorization_details.iter().map(canonical_json).collect::<Vec<_>>().join("\n"),
        ),
        ("Bound to a key", asked.cnf.as_ref().map(canonical_json).unwrap_or_default()),
    ];
    if !asked.context.is_empty() {
        texts.push(("Vouched for by the authorization server", canonical_json(&asked.context)));
    }
    let dropped: Vec<String> =
        request.question.terms.dropped.iter().map(|(scope, why)| format!("{scope}: {}", why.says)).collect();
    texts.push(("Refused by the policy", dropped.join("\n")));
    let notes =
        request.counting().filter_map(|vote| Some(format!("{}: {}", vote.voter.principal, vote.note.as_ref()?)));
    texts.push(("Notes of those who approved", notes.collect::<Vec<_>>().join("\n")));
    texts.push(("Taken out by approvers", request.removed().to_string()));
    blocks.extend(in_full(&texts).into_iter().map(|block| ("full", block)));
    let mut blocks = named(blocks, request.shown_version);
    for (n, block) in blocks.iter_mut().enumerate() {
        // Two pieces may say the same; their ids may not.
        block["block_id"] = json!(format!("{}_{n}", block["block_id"].as_str().unwrap_or_default()));
    }
    json!({ "type": "modal", "callback_id": "details", "title": plain("Request in full", 24), "close": plain("Close", 24), "blocks": blocks })
}

/// The texts that are not empty, each under its name, cut only where the view would grow without end.
fn in_full(texts: &[(&'static str, String)]) -> Vec<Value> {
    let mut blocks = Vec::new();
    for (name, text) in texts {
        let text: Vec<char> = clean_lines(text).chars().collect();
        for (n, piece) in text.chunks(PIECE).enumerate() {
            if blocks.len() == PIECES_MAX {
                blocks.push(rich(vec![line(vec![run(
                    "There is more than a dialog can show; the audit log has all of it.",
                )])]));
                return blocks;
            }
            let name = if n == 0 { bold(name) } else { run("(continued)") };
            let piece: String = piece.iter().collect();
            blocks.push(rich(vec![line(vec![name]), preformatted(&piece)]));
        }
    }
    blocks
}

/// What a form becomes that was sent too late, or by somebody who may not: nothing was changed.
///
/// `words` are ours: mentions and dates are kept, any other markup becomes text.
pub fn stale_view(words: &str) -> Value {
    let words = inert(words);
    let words = if words.is_empty() { "Nothing was changed.".to_owned() } else { cut_words(&words, WORDS_MAX) };
    let blocks = named(vec![("note", section(&words))], 1);
    json!({ "type": "modal", "callback_id": "stale", "title": plain("Nothing was changed", 24), "close": plain("Close", 24), "blocks": blocks })
}
