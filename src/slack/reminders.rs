//! What is said when nobody decides: a reply in the card's thread, and the same as a direct message.

use super::Message;
use super::blocks::{named, section};
use super::cards::{CardFacts, cut_words};
use super::text::{clean, code, cut, date, duration, inert};
use crate::domain::policy::Reminder;

/// Characters of the mentions in one reminder.
const MENTIONS_MAX: usize = 1_200;

/// What a reminder stands beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beneath {
    /// The card of its request.
    Card,
    /// A digest, which is about others, too.
    Digest,
}

/// Tells people that nobody has decided yet, and why they are told. `told` are mentions of ours.
pub fn reminder(facts: &CardFacts<'_>, reminder: &Reminder, told: &str, beneath: Beneath) -> Message {
    let (request, waits) = (facts.request, duration(reminder.after));
    let which = match beneath {
        Beneath::Card => "this request".to_owned(),
        Beneath::Digest => format!("the request {}", code(request.id.as_str())),
    };
    let asked = cut_words(&inert(facts.approver_words), MENTIONS_MAX);
    let told = if told.chars().count() <= MENTIONS_MAX { inert(told) } else { String::new() };
    let told = if told.is_empty() { String::new() } else { format!("{told} ") };
    let until = date(request.decide_by);
    let client = code(&cut(&clean(&request.asked.client.id), 80).0);
    let words = if reminder.to.is_empty() {
        format!(
            "{told}Nobody has decided on {which} of {client} for {waits}. You are reminded because you are asked \
             to decide. Without a decision it expires {until}, and nothing is issued."
        )
    } else {
        let sets: Vec<String> = reminder.to.iter().map(|set| code(set.as_str())).collect();
        format!(
            "{told}Nobody has decided on {which} of {client} for {waits}. You are told because the policy \
             escalates it to {}. Being told is not being asked: {asked} can decide. It expires {until}.",
            sets.join(" and ")
        )
    };
    let text = format!("Still waiting: request {} expires {until}", code(request.id.as_str()));
    Message { text: inert(&text), blocks: named(vec![("remind", section(&words))], 1), metadata: None }
}
