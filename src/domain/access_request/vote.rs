//! People decide: who may, what counts, and what follows.

use serde_json::json;

use super::{AccessRequest, Ballot, Choice, Cooldown, Effect, Refusal, State, Step, Vote};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, Kind};
use crate::domain::grant::{Grant, Source, State as GrantState, after, rule_names, spoken};
use crate::domain::identity::{Principal, Voter, parties};
use crate::domain::ids::GrantId;
use crate::domain::policy::{Question, Requirement};
use crate::domain::quorum::{self, Approval};

impl AccessRequest {
    /// Who may click: a member of an approver set of this request who is no party to it. Answers with the
    /// requirements (by index) that the person would count for.
    ///
    /// # Errors
    /// [`Refusal::OwnRequest`] or [`Refusal::NotAnApprover`].
    pub fn eligible(&self, voter: &Voter) -> Result<Vec<usize>, Refusal> {
        let counts_for = counts_for(&self.question.requirements, voter);
        if parties(&self.asked).iter().any(|party| *party == voter.principal || voter.possible.contains(party)) {
            Err(Refusal::OwnRequest)
        } else if counts_for.is_empty() {
            Err(Refusal::NotAnApprover)
        } else {
            Ok(counts_for)
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

    /// How many people count for each requirement so far.
    pub fn counted(&self) -> Vec<u8> {
        let votes = self.counting();
        let approvals: Vec<Approval<'_>> =
            votes.map(|vote| Approval { who: &vote.voter.principal, counts_for: &vote.counts_for }).collect();
        quorum::counted(&self.question.requirements, &approvals, self.question.shared)
    }

    /// The votes for what is shown now. Those for anything else say nothing about it.
    fn counting(&self) -> impl Iterator<Item = &Vote> {
        self.votes.iter().filter(|vote| vote.shown_version == self.shown_version)
    }

    pub(super) fn vote(&self, ballot: Ballot, now: Timestamp) -> Result<Step, Refusal> {
        if ballot.shown_version != self.shown_version {
            return Err(Refusal::OutOfDate);
        }
        let counts_for = self.eligible(&ballot.voter)?;
        match &ballot.choice {
            Choice::Deny { reason, cooldown } => Ok(self.deny(&ballot, reason, *cooldown, now)),
            Choice::Approve if self.has_voted(&ballot.voter) => Err(Refusal::AlreadyVoted),
            Choice::Approve if !ballot.proof.satisfies(self.question.ceremony) => Err(Refusal::CeremonyMissing),
            Choice::Approve => Ok(self.approve(ballot, counts_for, now)),
        }
    }

    /// Whether this person, or somebody who might be this person, approved what is shown. Who came first
    /// makes no difference.
    fn has_voted(&self, voter: &Voter) -> bool {
        let is = |one: &Voter, who: &Principal| one.principal == *who || one.possible.contains(who);
        let same =
            |other: &Voter| other.slack == voter.slack || is(voter, &other.principal) || is(other, &voter.principal);
        self.counting().any(|vote| same(&vote.voter))
    }

    fn approve(&self, ballot: Ballot, counts_for: Vec<usize>, now: Timestamp) -> Step {
        let actor = Actor::Person(ballot.voter.slack.clone(), Some(ballot.voter.principal.clone()));
        let detail = json!({
            "shown_version": ballot.shown_version, "message": ballot.message, "policy": ballot.policy,
            "proof": ballot.proof,
        });
        let Ballot { voter, shown_version, message, policy, grant_id, proof, choice: _ } = ballot;
        let mut next = self.clone();
        next.votes.push(Vote { voter, counts_for, at: now, shown_version, message, policy, proof });
        if !quorum::met(&self.question.requirements, &next.counted()) {
            let summary = format!("{actor} approved; more people must");
            let audit = next.entry(Kind::VoteRecorded, actor, summary, detail, now);
            return Step { next, grant: None, cooldowns: Vec::new(), audit, effects: vec![Effect::RefreshCards] };
        }
        let grant = next.granted(grant_id.clone(), now);
        next.state = State::Approved { at: now, grant: grant_id.clone() };
        let summary = format!("{actor} approved {} until {}", spoken(&grant.scopes), grant.expires_at);
        let mut audit = next.entry(Kind::RequestApproved, actor, summary, detail, now);
        audit.grant_id = Some(grant_id);
        audit.detail["expires_at"] = json!(grant.expires_at);
        let effects = vec![Effect::RefreshCards, Effect::TellRequester];
        Step { next, grant: Some(grant), cooldowns: Vec::new(), audit, effects }
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
            state: GrantState::Live,
            version: 0,
        }
    }

    fn deny(&self, ballot: &Ballot, reason: &str, cooldown: u64, now: Timestamp) -> Step {
        let by = Actor::Person(ballot.voter.slack.clone(), Some(ballot.voter.principal.clone()));
        let mut next = self.clone();
        next.state = State::Denied { by: by.clone(), at: now, reason: reason.to_owned() };
        let summary = format!("{by} denied {}", spoken(&self.question.asked));
        let detail = json!({
            "reason": reason, "shown_version": ballot.shown_version, "message": ballot.message, "policy": ballot.policy,
        });
        let audit = next.entry(Kind::RequestDenied, by, summary, detail, now);
        let cooldowns = Cooldown::of(&self.asked, &self.question.asked, after(now, cooldown), "denied");
        Step { next, grant: None, cooldowns, audit, effects: vec![Effect::RefreshCards, Effect::TellRequester] }
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
