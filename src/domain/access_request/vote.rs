//! People decide: who may, what counts, and what follows.

use std::collections::BTreeSet;

use serde_json::json;

use super::deciding::WrongNumber;
use super::narrow::Less;
use super::{AccessRequest, Ballot, Choice, Cooldown, Effect, Proof, Refusal, State, Step, Vote, WRONG_NUMBERS_MAX};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, Kind};
use crate::domain::grant::{Grant, Source, Start, State as GrantState, after, rule_names, spoken};
use crate::domain::identity::{Principal, Voter, parties};
use crate::domain::ids::GrantId;
use crate::domain::policy::{Ceremony, Question, Requirement, SelfApproval};
use crate::domain::quorum::{self, Approval};
use crate::domain::scope::ScopeSet;

impl AccessRequest {
    /// The identities that are a party to it: its subject, the actors, whoever asked in Slack, the client's owners.
    pub fn parties(&self) -> BTreeSet<Principal> {
        let (owners, asked_by) = (self.deciding.owners.iter(), self.deciding.asked_by.iter());
        let asker = self.origin.asker();
        let asker = asker.map(|asker| [asker.principal.clone(), Principal::new(asker.slack.as_str())]);
        let asker = asker.into_iter().flatten();
        parties(&self.asked).into_iter().chain(owners.chain(asked_by).cloned()).chain(asker).collect()
    }

    /// Whether somebody is, or might be, a party to it.
    pub fn is_party(&self, voter: &Voter) -> bool {
        self.parties().iter().any(|party| *party == voter.principal || voter.possible.contains(party))
    }

    /// Who may click: a member of an approver set of this request who is no party to it, unless its rules say that
    /// a party may. Answers with the requirements (by index) that the person would count for.
    ///
    /// # Errors
    /// [`Refusal::OwnRequest`] or [`Refusal::NotAnApprover`].
    pub fn eligible(&self, voter: &Voter) -> Result<Vec<usize>, Refusal> {
        let counts_for = counts_for(&self.question.requirements, voter);
        if self.question.self_approval == SelfApproval::Never && self.is_party(voter) {
            Err(Refusal::OwnRequest)
        } else if counts_for.is_empty() {
            Err(Refusal::NotAnApprover)
        } else {
            Ok(counts_for)
        }
    }

    /// Whether this person must say why they approve.
    pub fn needs_a_reason_of(&self, voter: &Voter) -> bool {
        match self.question.self_approval {
            SelfApproval::Never | SelfApproval::WithReason => self.is_party(voter),
            SelfApproval::Allowed => false,
        }
    }

    /// Whether somebody may approve and has not yet: asked before a ceremony is begun.
    ///
    /// # Errors
    /// As [`AccessRequest::eligible`], or [`Refusal::AlreadyVoted`].
    pub fn may_approve(&self, voter: &Voter) -> Result<(), Refusal> {
        self.eligible(voter)?;
        if self.has_voted(voter) { Err(Refusal::AlreadyVoted) } else { Ok(()) }
    }

    /// Whether a vote counts under this answer to "may a party decide".
    pub fn may_count(&self, self_approval: SelfApproval, voter: &Voter, vote: &Vote) -> bool {
        match self_approval {
            SelfApproval::Never => !self.is_party(voter),
            SelfApproval::WithReason => vote.note.is_some() || !self.is_party(voter),
            SelfApproval::Allowed => true,
        }
    }

    /// How many people count for each requirement so far.
    pub fn counted(&self) -> Vec<u8> {
        self.seated(|approvals| quorum::counted(&self.question.requirements, approvals, self.question.shared))
    }

    /// Who counts for each requirement so far.
    pub fn counted_people(&self) -> Vec<Vec<&Vote>> {
        let votes: Vec<&Vote> = self.counting().collect();
        let seats =
            self.seated(|approvals| quorum::seated(&self.question.requirements, approvals, self.question.shared));
        seats.into_iter().map(|at| at.into_iter().filter_map(|n| votes.get(n).copied()).collect()).collect()
    }

    fn seated<T>(&self, seat: impl FnOnce(&[Approval<'_>]) -> T) -> T {
        // What somebody counts for follows from the requirements of now: narrowing may have ended some.
        let votes: Vec<(&Vote, Vec<usize>)> =
            self.counting().map(|vote| (vote, counts_for(&self.question.requirements, &vote.voter))).collect();
        let approvals: Vec<Approval<'_>> =
            votes.iter().map(|(vote, counts_for)| Approval { who: &vote.voter.principal, counts_for }).collect();
        seat(&approvals)
    }

    /// The votes for what is shown now, or for more than that. Those for anything else say nothing about it.
    pub fn counting(&self) -> impl Iterator<Item = &Vote> {
        let counts = |vote: &&Vote| {
            vote.shown_version == self.shown_version || vote.shown.as_ref().is_some_and(|shown| self.is_within(shown))
        };
        self.votes.iter().filter(counts).filter(|vote| !self.struck.contains(&vote.voter.slack))
    }

    pub(super) fn vote(&self, ballot: Ballot, now: Timestamp) -> Result<Step, Refusal> {
        if ballot.shown_version != self.shown_version {
            return Err(Refusal::OutOfDate);
        }
        self.eligible(&ballot.voter)?;
        match &ballot.choice {
            Choice::Deny { reason } => Ok(self.deny(&ballot, reason, &ScopeSet::default(), now)),
            Choice::Approve => self.agree(ballot, now),
        }
    }

    /// Everything between a yes and its counting. What was typed is looked at last: only a yes that would count
    /// may cost somebody their one attempt.
    fn agree(&self, mut ballot: Ballot, now: Timestamp) -> Result<Step, Refusal> {
        let note = ballot.filled.note.take().map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        ballot.filled.note = note;
        if self.has_voted(&ballot.voter) {
            return Err(Refusal::AlreadyVoted);
        }
        if self.is_barred(&ballot.voter) {
            return Err(Refusal::Barred);
        }
        if self.needs_a_reason_of(&ballot.voter) && ballot.filled.note.is_none() {
            return Err(Refusal::ReasonNeeded);
        }
        let less = self.less(&ballot.voter, &ballot.filled)?;
        if self.question.ceremony == Ceremony::Match && !ballot.proof.satisfies(Ceremony::Match) {
            if !self.has_number() {
                return Err(Refusal::NoNumber);
            }
            let typed = ballot.filled.number.as_deref().map(str::trim).filter(|typed| !typed.is_empty());
            let Some(typed) = typed else { return Err(Refusal::NumberNeeded) };
            if !self.is_the_number(typed) {
                return Ok(self.wrong_number(&ballot, now));
            }
            ballot.proof = Proof::Number;
        }
        match less {
            // A refusal needs no ceremony, also one that says what to ask for instead.
            Less::Nothing | Less::Narrower(_) if !ballot.proof.satisfies(self.question.ceremony) => {
                Err(Refusal::CeremonyMissing)
            }
            Less::Nothing => Ok(self.approve(ballot, now)),
            Less::Narrower(next) => Ok(next.narrowed(self, ballot, now)),
            Less::Refused(suggested) => {
                let reason = ballot.filled.note.clone().unwrap_or_else(|| "Less than this was offered.".to_owned());
                Ok(self.deny(&ballot, &reason, &suggested, now))
            }
        }
    }

    /// Whether this person, or somebody who might be this person, approved what is shown. Who came first
    /// makes no difference.
    pub fn has_voted(&self, voter: &Voter) -> bool {
        let is = |one: &Voter, who: &Principal| one.principal == *who || one.possible.contains(who);
        let same =
            |other: &Voter| other.slack == voter.slack || is(voter, &other.principal) || is(other, &voter.principal);
        self.counting().any(|vote| same(&vote.voter))
    }

    /// A yes to what this request shows.
    pub(super) fn approve(&self, ballot: Ballot, now: Timestamp) -> Step {
        let actor = Actor::Person(ballot.voter.slack.clone(), Some(ballot.voter.principal.clone()));
        let mut detail = json!({
            "shown_version": self.shown_version, "message": ballot.message, "policy": ballot.policy,
            "scopes": self.question.terms.scopes, "duration": self.duration, "proof": ballot.proof,
        });
        if let Some(note) = &ballot.filled.note {
            detail["note"] = json!(note);
        }
        if self.is_party(&ballot.voter) {
            detail["self_approval"] = json!(true);
        }
        if self.is_narrowed() {
            detail["removed"] = json!(self.removed());
        }
        let place = u32::try_from(self.votes.len() + self.deciding.taken_back.len()).unwrap_or(u32::MAX);
        let Ballot { voter, message, policy, grant_id, filled, proof, cooldown, .. } = ballot;
        let counts_for = counts_for(&self.question.requirements, &voter);
        let mut next = self.clone();
        next.votes.push(Vote {
            voter,
            counts_for,
            at: now,
            shown_version: self.shown_version,
            message,
            policy,
            place,
            shown: Some(self.shown()),
            note: filled.note,
            proof,
        });
        if !quorum::met(&self.question.requirements, &next.counted()) {
            let summary = format!("{actor} approved; more people must");
            let audit = next.entry(Kind::VoteRecorded, actor, summary, detail, now);
            return Step { next, grant: None, cooldowns: Vec::new(), audit, effects: vec![Effect::RefreshCards] };
        }
        let grant = next.placed(next.granted(grant_id.clone(), now), now);
        next.state = State::Approved { at: now, grant: grant_id.clone() };
        let summary = format!("{actor} approved {} until {}", spoken(&grant.scopes), grant.expires_at);
        let mut audit = next.entry(Kind::RequestApproved, actor, summary, detail, now);
        audit.grant_id = Some(grant_id);
        audit.detail["expires_at"] = json!(grant.expires_at);
        let refused = next.refused();
        let cooldowns = match refused.is_empty() {
            true => Vec::new(),
            false => Cooldown::of(&self.asked, &refused, after(now, cooldown), "denied"),
        };
        let effects = vec![Effect::RefreshCards, Effect::TellRequester];
        Step { next, grant: Some(grant), cooldowns, audit, effects }
    }

    /// How long a grant lives: from the moment of the decision, for the duration that the card showed.
    fn granted(&self, id: GrantId, now: Timestamp) -> Grant {
        let terms = &self.question.terms;
        let expires_at = after(now, self.duration);
        Grant {
            id,
            source: Source::Request(self.id.clone()),
            asked: self.asked.clone(),
            coverage: self.asked.coverage_key(),
            scopes: terms.scopes.clone(),
            removed: self.removed(),
            granted_at: now,
            expires_at,
            collect_by: Some(after(now, terms.bounds.collect_within)),
            max_token_lifetime: terms.bounds.max_token_lifetime,
            uses: terms.bounds.uses,
            used: 0,
            last_use: None,
            last_token_expires_at: None,
            deciders: self.counting().map(|vote| vote.voter.clone()).collect(),
            policy: self.policy.clone(),
            rules: rule_names(terms),
            start: Start::AtOnce,
            open: None,
            warn_at: None,
            state: GrantState::Live,
            version: 0,
        }
    }

    /// A no. What could be asked for instead does not cool down.
    pub(super) fn deny(&self, ballot: &Ballot, reason: &str, suggested: &ScopeSet, now: Timestamp) -> Step {
        let by = Actor::Person(ballot.voter.slack.clone(), Some(ballot.voter.principal.clone()));
        let summary = format!("{by} denied {}", spoken(&self.question.asked));
        self.denied(ballot, &by, reason, suggested, summary, now)
    }

    fn denied(
        &self,
        ballot: &Ballot,
        by: &Actor,
        reason: &str,
        suggested: &ScopeSet,
        summary: String,
        now: Timestamp,
    ) -> Step {
        let mut next = self.clone();
        next.state = State::Denied { by: by.clone(), at: now, reason: reason.to_owned() };
        next.deciding.suggested = suggested.clone();
        let mut detail = json!({
            "reason": reason, "shown_version": ballot.shown_version, "message": ballot.message, "policy": ballot.policy,
        });
        if !suggested.is_empty() {
            detail["suggested"] = json!(suggested);
        }
        let audit = next.entry(Kind::RequestDenied, by.clone(), summary, detail, now);
        let before = self.refused();
        let asked = self.question.asked.iter().chain(before.iter());
        let refused: ScopeSet = asked.filter(|scope| !suggested.contains(scope)).cloned().collect();
        let cooldowns = match refused.is_empty() && !suggested.is_empty() {
            true => Vec::new(),
            false => Cooldown::of(&self.asked, &refused, after(now, ballot.cooldown), "denied"),
        };
        Step { next, grant: None, cooldowns, audit, effects: vec![Effect::RefreshCards, Effect::TellRequester] }
    }

    /// A number that is not the client's: it is on record before anybody learns that. The third one denies.
    fn wrong_number(&self, ballot: &Ballot, now: Timestamp) -> Step {
        let Voter { slack, principal, possible, .. } = &ballot.voter;
        let (slack, principal, possible) = (slack.clone(), principal.clone(), possible.clone());
        let actor = Actor::Person(slack.clone(), Some(principal.clone()));
        let mut counted = self.clone();
        counted.deciding.wrong_numbers.push(WrongNumber { slack, principal, possible, at: now });
        let attempts = counted.deciding.wrong_numbers.len();
        if attempts >= WRONG_NUMBERS_MAX {
            let summary = format!("{actor} typed the third wrong number: denied");
            let reason = "Three wrong numbers were typed.";
            return counted.denied(ballot, &Actor::Service, reason, &ScopeSet::default(), summary, now);
        }
        let summary = format!("{actor} typed a wrong number and cannot approve this request any more");
        let detail = json!({ "attempts": attempts, "shown_version": ballot.shown_version, "message": ballot.message });
        let audit = counted.entry(Kind::NumberWrong, actor, summary, detail, now);
        Step { next: counted, grant: None, cooldowns: Vec::new(), audit, effects: vec![Effect::RefreshCards] }
    }
}

/// The requirements (by index) that somebody would count for.
pub fn counts_for(requirements: &[Requirement], voter: &Voter) -> Vec<usize> {
    let in_any = |requirement: &Requirement| requirement.approvers.iter().any(|set| voter.member_of.contains(set));
    requirements.iter().enumerate().filter(|(_, requirement)| in_any(requirement)).map(|(n, _)| n).collect()
}

/// Whether these people would meet a question: asked again when a grant is handed over for the first time.
pub fn would_meet<'a>(question: &Question, people: impl Iterator<Item = &'a Voter>) -> bool {
    let people: Vec<(&Voter, Vec<usize>)> =
        people.map(|voter| (voter, counts_for(&question.requirements, voter))).collect();
    let approvals: Vec<Approval<'_>> =
        people.iter().map(|(voter, counts_for)| Approval { who: &voter.principal, counts_for }).collect();
    quorum::met(&question.requirements, &quorum::counted(&question.requirements, &approvals, question.shared))
}
