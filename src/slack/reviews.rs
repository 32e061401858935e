//! What Slack shows of a broken glass: the card that asks for a review, the form for it, and who is told.
//! Pure: facts in, blocks out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Message;
use super::blocks::{Style, actions, bold, button, context, header, line, named, plain, quote, rich, run, section};
use super::cards::cut_words;
use super::home;
use super::parts::actor_words;
use super::text::{clean, clean_lines, code, cut, date, inert, mention};
use crate::clock::Timestamp;
use crate::domain::grant::{Grant, State as GrantState};
use crate::domain::review::{Review, ReviewState, Verdict};
use crate::domain::scope::Scope;

/// The `action_id` of the button that says that it was justified.
pub const JUSTIFIED: &str = "review_justified";
/// The `action_id` of the button that says that it was not.
pub const NOT_JUSTIFIED: &str = "review_not_justified";
/// The `block_id` and the `action_id` of the only input of the forms, whose `callback_id` is the button's action.
pub const NOTE: &str = "note";
/// Characters of a note, at least and at most.
const NOTE_LENGTH: std::ops::RangeInclusive<usize> = 3..=500;
/// Characters of the list of who is told.
const MENTIONS_MAX: usize = 1_200;
/// Characters of the reason on the card.
const REASON_MAX: usize = 600;

/// What a review card is made from.
#[derive(Clone, Copy)]
pub struct ReviewFacts<'a> {
    /// The review.
    pub review: &'a Review,
    /// The grant that it is about.
    pub grant: Option<&'a Grant>,
    /// Everybody who is told, as mentions of ours.
    pub told: &'a str,
    /// The opaque value of both buttons.
    pub button: &'a str,
    /// When it is drawn.
    pub now: Timestamp,
}

/// The card in the channel, as things stand now.
pub fn card(facts: &ReviewFacts<'_>) -> Message {
    let review = facts.review;
    let (head, answered) = match &review.state {
        ReviewState::Open if review.is_overdue(facts.now) => ("Review overdue", None),
        ReviewState::Open => ("Glass broken: review needed", None),
        ReviewState::Answered { verdict: Verdict::Justified, by, at, note } => {
            ("Reviewed: justified", Some((by, at, note)))
        }
        ReviewState::Answered { verdict: Verdict::NotJustified, by, at, note } => {
            ("Reviewed: not justified", Some((by, at, note)))
        }
    };
    let scopes: Vec<Vec<Value>> =
        review.scopes.judged().iter().map(|scope| vec![run(scope_words(scope.as_str()))]).collect();
    let mut blocks = vec![
        ("head", header(head)),
        ("scopes", rich(vec![line(vec![bold("Granted")]), super::blocks::bullets(scopes)])),
    ];
    blocks.push(("lead", section(&lead(facts))));
    let reason = cut(&clean_lines(review.asked.reason.as_deref().unwrap_or_default()), REASON_MAX).0;
    blocks.push(("why", rich(vec![line(vec![bold("Reason (the client's claim)")]), quote(&reason)])));
    match answered {
        None => {
            let until = date(review.review_by);
            let ask = format!("{} Please say by {until} whether this was justified.", told_words(facts));
            blocks.push(("ask", section(ask.trim())));
            let id = review.id.as_str();
            let (yes, no) = (format!("Review {id} as justified"), format!("Review {id} as not justified"));
            blocks.push((
                "act",
                actions(vec![
                    button(JUSTIFIED, "Justified…", facts.button, &yes, Style::Default),
                    button(NOT_JUSTIFIED, "Not justified…", facts.button, &no, Style::Danger),
                ]),
            ));
        }
        Some((by, at, note)) => {
            blocks.push(("by", section(&format!("Reviewed by {} {}.", actor_words(by), date(*at)))));
            blocks.push(("note", rich(vec![line(vec![bold("What was found")]), quote(&clean_lines(note))])));
        }
    }
    let rules: BTreeSet<&String> = review.rules.iter().collect();
    let rules: Vec<String> = rules.into_iter().take(3).map(|rule| code(&cut(&clean(rule), 80).0)).collect();
    blocks.push(("foot", context(&format!("Review {} · rule {}", code(review.id.as_str()), rules.join(", ")))));
    let client = code(&cut(&clean(&review.asked.client.id), 80).0);
    let text = format!("{head}: {} through {client} (review {})", mention(review.who()), code(review.id.as_str()));
    let metadata = json!({
        "event_type": "countersign_review", "event_payload": { "request_id": review.id.as_str() },
    });
    Message { text: inert(&text), blocks: named(blocks, 1), metadata: Some(metadata) }
}

/// What was granted, also where no scope was named.
fn scope_words(scope: &str) -> &str {
    if scope.is_empty() { "No scope was named: the server decides what the token may do" } else { scope }
}

/// Everybody who is told, as many as fit.
fn told_words(facts: &ReviewFacts<'_>) -> String {
    cut_words(&inert(facts.told), MENTIONS_MAX)
}

/// Who has what until when.
fn lead(facts: &ReviewFacts<'_>) -> String {
    let review = facts.review;
    let client = code(&cut(&clean(&review.asked.client.id), 80).0);
    let subject = code(&cut(&clean(&review.asked.subject.id), 80).0);
    let audience: Vec<String> = review.asked.audience.iter().take(3).map(|a| code(&cut(&clean(a), 150).0)).collect();
    let at = if audience.is_empty() { String::new() } else { format!(" at {}", audience.join(", ")) };
    let ends = match facts.grant.map(|grant| &grant.state) {
        Some(GrantState::Revoked { by, at, .. }) => {
            format!("It was revoked by {} {}.", actor_words(by), date(*at))
        }
        Some(GrantState::Ended { .. }) => format!("It ended {}.", date(review.grant_until)),
        Some(GrantState::Live) | None if facts.now >= review.grant_until => {
            format!("It ended {}.", date(review.grant_until))
        }
        Some(GrantState::Live) | None => format!("It lasts until {}.", date(review.grant_until)),
    };
    format!(
        "{} broke the glass {}: {client} has access as {subject}{at} without anybody's approval. {ends}",
        mention(review.who()),
        date(review.opened_at)
    )
}

/// The review in one row of App Home, mrkdwn of ours.
pub fn line_words(facts: &ReviewFacts<'_>) -> String {
    let review = facts.review;
    let due = if review.is_overdue(facts.now) { "*Overdue* since" } else { "To be reviewed by" };
    let scopes: Vec<&str> = review.scopes.iter().map(Scope::as_str).collect();
    let scopes = home::scopes(scopes.into_iter());
    format!(
        "{due} {}: {} It granted {scopes} (review {})",
        date(review.review_by),
        lead(facts),
        code(review.id.as_str())
    )
}

/// The form behind a button of the card.
pub fn form(private_metadata: &str, review: &Review, verdict: Verdict) -> Value {
    let (action, title, hint) = match verdict {
        Verdict::Justified => (JUSTIFIED, "Justified", "Kept in the audit log with your name."),
        Verdict::NotJustified => (
            NOT_JUSTIFIED,
            "Not justified",
            "What is left of the access is revoked. Kept in the audit log with your name.",
        ),
    };
    let scopes = review.scopes.to_string();
    let scopes = cut(scope_words(&scopes), 2_500).0;
    let lead = format!("{} broke the glass {}.", mention(review.who()), date(review.opened_at));
    let mut blocks =
        named(vec![("lead", section(&lead)), ("scopes", rich(vec![line(vec![bold("Granted: "), run(&scopes)])]))], 1);
    blocks.push(json!({
        "type": "input", "block_id": NOTE, "label": plain("What did you find?", 100), "hint": plain(hint, 200),
        "element": {
            "type": "plain_text_input", "action_id": NOTE, "multiline": true, "focus_on_load": true,
            "min_length": NOTE_LENGTH.start(), "max_length": NOTE_LENGTH.end(),
        },
    }));
    json!({
        "type": "modal", "callback_id": action, "private_metadata": private_metadata, "notify_on_close": false,
        "title": plain(title, 24), "submit": plain("Record", 24), "close": plain("Back", 24), "blocks": blocks,
    })
}

/// The direct message to each who is told: at once, and again when the review is overdue.
pub fn direct(facts: &ReviewFacts<'_>, channel: &str, again: bool) -> Message {
    let begin = if again { "Nobody has reviewed this yet, and it is overdue." } else { "Somebody broke the glass." };
    let words = format!("{begin} {} Review it in <#{channel}>.", lead(facts));
    told(&words, facts.review)
}

/// The reply beneath the card when it is overdue.
pub fn overdue(facts: &ReviewFacts<'_>) -> Message {
    let due = date(facts.review.review_by);
    let words = format!("{} Nobody has said whether this was justified; it was due {due}.", told_words(facts));
    told(words.trim(), facts.review)
}

fn told(words: &str, review: &Review) -> Message {
    let text = format!("Glass broken: review {}", code(review.id.as_str()));
    Message { text, blocks: named(vec![("note", section(words))], 1), metadata: None }
}
