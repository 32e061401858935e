//! What is said in a card's thread when something happened: one sentence per event, in order, so that the thread is
//! the readable record. Pure: facts in, a message out.

use super::Message;
use super::blocks::{bold, line, named, quote, rich, section};
use super::cards::CardFacts;
use super::ending::{self, Stage};
use super::parts::actor_words;
use super::text::{clean_lines, counted, cut, date, duration, inert, mention};
use crate::clock::Timestamp;
use crate::domain::access_request::State;
use crate::domain::audit::{Actor, Kind};

/// Characters of a denial's reason in the thread.
const REASON_MAX: usize = 1_000;

/// The reply for an event of an access request or its grant; none for what nobody needs to read there.
pub fn event(facts: &CardFacts<'_>, what: Kind, by: &Actor, at: Timestamp) -> Option<Message> {
    let (who, when) = (actor_words(by), date(at));
    let words = match what {
        Kind::RequestOpened => {
            format!("Asked {when}; can be decided until {}.", date(facts.request.decide_by))
        }
        Kind::VoteRecorded => format!("{who} approved {when}. More people must approve."),
        Kind::VoteWithdrawn => format!("{who} took the approval back {when}."),
        Kind::RequestNarrowed => {
            let left = facts.request.question.terms.scopes.len();
            let time = duration(facts.request.duration);
            format!("{who} approved less {when}: {} for {time}. More people must approve.", counted(left, "scope"))
        }
        Kind::NumberWrong => format!("{who} typed a wrong number {when} and cannot approve this any more."),
        Kind::RequestClaimed => format!("{who} is looking at it since {when}."),
        Kind::RequestHandedOver => match facts.request.deciding.handed_over.last() {
            Some(last) => format!("{who} asked {} to decide {when}.", mention(&last.to)),
            None => format!("{who} asked somebody else to decide {when}."),
        },
        Kind::RequestApproved => {
            let until = facts.grant.map(|grant| format!(" until {}", date(grant.expires_at))).unwrap_or_default();
            let left = facts.request.question.terms.scopes.len();
            let asked = left + facts.request.removed().len();
            let narrowed = (left < asked).then_some(left);
            let narrowed = narrowed.map(|n| format!(", narrowed to {n} of {asked} scopes")).unwrap_or_default();
            format!("{who} approved {when}: granted{until}{narrowed}.")
        }
        Kind::RequestDenied => format!("{who} denied {when}."),
        Kind::RequestExpired => format!("Expired {when}: nobody decided in time."),
        Kind::RequestCancelled => format!("Withdrawn by {who} {when}."),
        Kind::VoteStruck => "A vote does not count any more: the account of that approver was deactivated.".to_owned(),
        Kind::GrantRevoked => format!("Revoked by {who} {when}."),
        Kind::GrantEnded => format!("{} {when}.", ending::sentence(facts, Stage::of(facts)).trim_end_matches('.')),
        _ => return None,
    };
    let mut blocks = vec![("note", section(&words))];
    if let (Kind::RequestDenied, State::Denied { reason, .. }) = (what, &facts.request.state) {
        let reason = cut(&clean_lines(reason), REASON_MAX).0;
        if !reason.is_empty() {
            blocks.push(("why", rich(vec![line(vec![bold("Reason")]), quote(&reason)])));
        }
    }
    Some(Message { text: inert(&words), blocks: named(blocks, facts.request.shown_version), metadata: None })
}
