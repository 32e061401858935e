//! The digest: one card for the access requests that came above the limit of cards for an approver. It decides
//! nothing; its buttons send the card of one request to whoever opens it. Pure: facts in, blocks out.

use serde_json::{Value, json};

use super::Message;
use super::blocks::{Style, button, context, header, named, plain, section};
use super::cards::{CardFacts, cut_words};
use super::ending::{self, Stage};
use super::parts::Parts;
use super::text::{clean, code, counted, cut, date, duration, inert, mention};
use crate::domain::ids::RequestId;
use crate::domain::token_request::SubjectKind;

/// The `action_id` of the button that opens the card of a request. Its value is `VALUE.REQUEST`.
pub const OPEN: &str = "open";
/// How many requests share one digest: each is a block of its own, and all of them together must stay readable.
pub const REQUESTS_MAX: usize = 20;

/// Characters of the list of who is asked.
const MENTIONS_MAX: usize = 1_200;
/// Characters of the scopes in one row, and of how a request ended.
const SCOPES_MAX: usize = 120;
const ENDING_MAX: usize = 400;

/// One access request on a digest.
pub struct Row {
    id: RequestId,
    words: String,
    is_pending: bool,
    opens: bool,
}

impl Row {
    /// Its line: who wants what for how long and until when, or how it ended.
    pub fn of(facts: &CardFacts<'_>) -> Self {
        let request = facts.request;
        let stage = Stage::of(facts);
        let is_pending = stage == Stage::Pending;
        let mut parts = Parts::new(facts);
        let (title, client) = (code(&parts.title()), parts.client_id());
        let who = match (request.asked.subject.kind, facts.requester) {
            (SubjectKind::Client, _) => format!("{client} for itself"),
            (SubjectKind::User, Some(user)) => format!("{client} for {}", mention(user)),
            (SubjectKind::User, None) => format!("{client} for {}", parts.subject_id()),
        };
        let words = if is_pending {
            let names: Vec<&str> = request.question.terms.scopes.iter().map(|scope| scope.as_str()).collect();
            let scopes = match names.as_slice() {
                [] => "no named scope".to_owned(),
                names => code(&ending::listed(names, SCOPES_MAX)),
            };
            let risky = if parts.is_risky() { "*High risk* · " } else { "" };
            let (time, until) = (duration(request.duration), date(request.decide_by));
            format!("*{title}* · {who}\n{risky}{scopes} for {time} · decide by {until}")
        } else {
            let how = cut_words(&ending::sentence(facts, stage), ENDING_MAX);
            format!("*{}:* {title} · {who}\n{how}", stage.headline())
        };
        // What is granted has a card, too: it offers to revoke.
        let opens = match stage {
            Stage::Pending | Stage::Approved => true,
            Stage::Denied | Stage::Expired | Stage::Cancelled | Stage::Revoked | Stage::Ended(_) => false,
        };
        Self { id: request.id.clone(), words, is_pending, opens }
    }

    /// Which request that is.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Whether people still decide about it.
    pub fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Whether there is something to do about it: decide, or revoke.
    pub fn is_open(&self) -> bool {
        self.opens
    }

    fn button(&self, value: &str) -> Option<Value> {
        let label = format!("Open request {}", self.id);
        self.opens.then(|| button(OPEN, "Open…", &format!("{value}.{}", self.id), &label, Style::Default))
    }
}

/// What a digest is made from.
pub struct DigestFacts<'a> {
    /// Its identifier.
    pub id: &'a RequestId,
    /// The requests, in the order in which they joined.
    pub rows: &'a [Row],
    /// Everybody who is asked, as mentions of ours.
    pub asked: &'a str,
    /// How many cards an approver gets within an hour, where the policy still says so.
    pub most: Option<u32>,
    /// The opaque value of its buttons.
    pub button: &'a str,
}

/// The digest as things stand now.
pub fn card(facts: &DigestFacts<'_>) -> Message {
    let title = title(facts);
    let mut blocks = vec![("head", header(&title)), ("lead", section(&lead(facts)))];
    blocks.extend(facts.rows.iter().map(|row| {
        let mut line = section(&row.words);
        if let Some(button) = row.button(facts.button) {
            line["accessory"] = button;
        }
        ("row", line)
    }));
    blocks.push(("foot", context(&format!("Digest {} · nothing is decided here", code(facts.id.as_str())))));
    message(facts, &title, named(blocks, 1))
}

/// The same where Slack does not take it: plain text, and the same buttons.
pub fn plain_card(facts: &DigestFacts<'_>) -> Message {
    let title = title(facts);
    let text = |words: &str| json!({ "type": "section", "text": plain(words, 300) });
    let mut blocks = vec![("head", text(&title))];
    blocks.extend(facts.rows.iter().map(|row| {
        let mut line = text(&format!("Request {}{}", row.id, if row.is_pending { "" } else { ": settled" }));
        if let Some(mut button) = row.button(facts.button) {
            button["text"] = plain("Open", 40);
            line["accessory"] = button;
        }
        ("row", line)
    }));
    message(facts, &title, named(blocks, 1))
}

fn message(facts: &DigestFacts<'_>, title: &str, blocks: Vec<Value>) -> Message {
    let metadata = json!({
        "event_type": "countersign_digest", "event_payload": { "request_id": facts.id.as_str() },
    });
    Message {
        text: format!("{title} (digest {})", code(facts.id.as_str())),
        blocks: unique(blocks),
        metadata: Some(metadata),
    }
}

fn title(facts: &DigestFacts<'_>) -> String {
    let waiting = facts.rows.iter().filter(|row| row.is_pending).count();
    match (waiting, facts.rows.len()) {
        (0, 1) => "Digest: its request is settled".to_owned(),
        (0, all) => format!("Digest: all {} are settled", counted(all, "request")),
        (1, _) => "1 more request needs approval".to_owned(),
        (waiting, _) => format!("{waiting} more requests need approval"),
    }
}

fn lead(facts: &DigestFacts<'_>) -> String {
    let why = match facts.most {
        Some(most) => format!(
            "An approver gets at most {} of their own within an hour; these share one.",
            counted(usize::try_from(most).unwrap_or(usize::MAX), "card")
        ),
        None => "These share one card, so that nobody is asked too often.".to_owned(),
    };
    if !facts.rows.iter().any(Row::is_pending) {
        return why;
    }
    let asked = cut_words(&inert(facts.asked), MENTIONS_MAX);
    let asked = if asked.is_empty() { String::new() } else { format!("Asked: {asked}. ") };
    format!("{asked}{why} *Open…* sends you the card of a request as a direct message, where you decide.")
}

/// Two rows may say the same, and no two blocks of a message may have one identifier.
fn unique(mut blocks: Vec<Value>) -> Vec<Value> {
    for (n, block) in blocks.iter_mut().enumerate() {
        let id = block["block_id"].as_str().unwrap_or_default();
        block["block_id"] = json!(cut(&clean(&format!("{id}_{n}")), 255).0);
    }
    blocks
}
