//! What approvers do besides deciding: take an approval back, say that they are looking at it, say something to the
//! requester, hand it over. And the service itself, where nobody can decide at all.

use serde_json::json;

use super::{AccessRequest, Claim, Effect, HandOver, Refusal, State, Step, TakenBack, Turn, Vote};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::identity::Voter;

/// How many hand-overs of one request are remembered; further ones are only told and written down.
const HAND_OVERS_MAX: usize = 10;

impl AccessRequest {
    /// The approval that somebody gave: under this account, or as this person.
    pub fn vote_of(&self, voter: &Voter) -> Option<&Vote> {
        self.votes.iter().find(|vote| vote.voter.slack == voter.slack || vote.voter.principal == voter.principal)
    }

    /// The approval counts no more, and the person may approve again. What it narrowed stays narrow.
    pub(super) fn take_back(&self, voter: &Voter, now: Timestamp) -> Result<Step, Refusal> {
        let Some(vote) = self.vote_of(voter) else { return Err(Refusal::NotVoted) };
        let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
        let mut next = self.clone();
        next.votes.retain(|other| other.place != vote.place);
        next.deciding.taken_back.push(TakenBack { by: by.clone(), place: vote.place, voted_at: vote.at, at: now });
        let summary = format!("{by} took the approval back");
        let detail = json!({ "voted_at": vote.at, "shown_version": self.shown_version });
        let audit = next.entry(Kind::VoteWithdrawn, by, summary, detail, now);
        Ok(step(next, audit, vec![Effect::RefreshCards]))
    }

    /// Something that decides nothing. Only those who may decide do it.
    pub(super) fn turn(&self, voter: &Voter, turn: Turn, now: Timestamp) -> Result<Step, Refusal> {
        self.eligible(voter)?;
        let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
        let mut next = self.clone();
        match turn {
            Turn::Claim => {
                if self.deciding.claimed.as_ref().is_some_and(|claim| claim.by == voter.slack) {
                    return Err(Refusal::Nothing);
                }
                next.deciding.claimed = Some(Claim { by: voter.slack.clone(), at: now });
                let summary = format!("{by} is looking at it");
                let audit = next.entry(Kind::RequestClaimed, by, summary, json!({}), now);
                Ok(step(next, audit, vec![Effect::RefreshCards]))
            }
            Turn::Comment(text) => {
                let detail = json!({ "comment": text });
                let summary = format!("{by} said something to the requester");
                let audit = next.entry(Kind::RequestCommented, by, summary, detail, now);
                let told = Effect::PassOn { from: voter.slack.clone(), text: text.clone() };
                Ok(step(
                    next,
                    audit,
                    vec![told, Effect::NoteInThread { text: format!("{} to the requester: {text}", voter.principal) }],
                ))
            }
            Turn::HandOver(other) => {
                if Self::is_same_person(voter, &other) || self.eligible(&other).is_err() {
                    return Err(Refusal::CannotTakeOver);
                }
                let (from, to) = (voter.slack.clone(), other.slack.clone());
                if next.deciding.handed_over.len() < HAND_OVERS_MAX {
                    next.deciding.handed_over.push(HandOver { by: from.clone(), to: to.clone(), at: now });
                }
                let summary = format!("{by} handed it over to {to} ({})", other.principal);
                let detail = json!({ "to": to, "principal": other.principal });
                let audit = next.entry(Kind::RequestHandedOver, by, summary, detail, now);
                Ok(step(next, audit, vec![Effect::RefreshCards, Effect::TellApprover { to, from }]))
            }
        }
    }

    /// Nobody can decide about it: that is said at once, and nobody waits for the deadline.
    pub(super) fn undecidable(&self, why: String, now: Timestamp) -> Step {
        let mut next = self.clone();
        next.state = State::Cancelled { by: Actor::Service, at: now };
        next.deciding.because = Some(why.clone());
        let audit = next.entry(Kind::RequestCancelled, Actor::Service, why.clone(), json!({ "reason": why }), now);
        step(next, audit, vec![Effect::RefreshCards, Effect::TellRequester])
    }

    fn is_same_person(one: &Voter, other: &Voter) -> bool {
        one.slack == other.slack || one.principal == other.principal
    }
}

fn step(next: AccessRequest, audit: AuditEntry, effects: Vec<Effect>) -> Step {
    Step { next, grant: None, cooldowns: Vec::new(), audit, effects }
}
