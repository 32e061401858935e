//! An access request: people are asked whether a token may be issued.
//!
//! `open` gives birth to one, `apply` is everything that can happen to it afterwards. Nothing leaves a
//! terminal state, a vote counts only for the version that was shown, and what is granted is what was shown.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::Timestamp;
use super::audit::{Actor, AuditEntry, Kind};
use super::grant::{Grant, Source, State as GrantState, after, rule_names, spoken};
use super::hashing::sha256_hex;
use super::identity::{Principal, Voter, parties};
use super::ids::{GrantId, RequestId, SlackChannelId};
use super::policy::{PolicyVersion, Question, Requirement};
use super::quorum::{self, Approval};
use super::scope::ScopeSet;
use super::token_request::{SubjectKind, TokenRequest};

/// How many differing retries are noted on a card; further ones only count.
const NOTES_MAX: usize = 10;

/// An access request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its identifier.
    pub id: RequestId,
    /// The token request that opened it.
    pub asked: TokenRequest,
    /// What people are asked, with what would be granted.
    pub question: Question,
    /// How long the grant would last, in seconds: min(asked, the policy's maximum).
    pub duration: u64,
    /// What this authorization server can do; the card offers no more.
    pub server: ServerAbilities,
    /// The policy that opened it.
    pub policy: PolicyVersion,
    /// Counts what is asked; a decision binds to it.
    pub shown_version: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it expires unless decided.
    pub decide_by: Timestamp,
    /// The votes so far, in order.
    pub votes: Vec<Vote>,
    /// Differing retries that were noted already, as hashes.
    pub noted: BTreeSet<String>,
    /// Where it stands.
    pub state: State,
    /// The compare-and-swap counter; it never leaves the store.
    pub version: i64,
}

/// What the dialect's server can do with an answer, as far as people need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAbilities {
    /// It can issue fewer scopes than were asked for.
    pub narrow_scope: bool,
    /// It can issue a token that lives as long as we say.
    pub set_lifetime: bool,
    /// It can be told to revoke what it issued.
    pub revoke: bool,
}

/// Where an access request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// People are asked.
    Pending,
    /// Every requirement is met; the grant lives on by itself.
    Approved {
        /// When the last vote came.
        at: Timestamp,
        /// The grant.
        grant: GrantId,
    },
    /// An approver denied.
    Denied {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// Why, in the approver's words.
        reason: String,
    },
    /// Nobody decided in time.
    Expired {
        /// When that was written down.
        at: Timestamp,
    },
    /// It was withdrawn.
    Cancelled {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
    },
}

/// The five words of the Access Request and Approval Profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// People are asked.
    Pending,
    /// Every requirement was met.
    Approved,
    /// An approver denied.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Withdrawn.
    Cancelled,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An approval that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who, as known at the click.
    pub voter: Voter,
    /// The requirements (by index) it may count for.
    pub counts_for: Vec<usize>,
    /// When.
    pub at: Timestamp,
    /// What was shown.
    pub shown_version: u32,
    /// The message that was clicked.
    pub message: MessageRef,
    /// The policy at that moment.
    pub policy: PolicyVersion,
}

/// A message in Slack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageRef {
    /// The conversation.
    pub channel: SlackChannelId,
    /// Slack's time stamp, which is the message's identifier there.
    pub ts: String,
}

/// A click on a card, with everything learnt for it. Its identifier for a grant is drawn by the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// Who clicked.
    pub voter: Voter,
    /// For what.
    pub choice: Choice,
    /// The version that the clicked button was made for.
    pub shown_version: u32,
    /// The message that was clicked.
    pub message: MessageRef,
    /// The policy at that moment.
    pub policy: PolicyVersion,
    /// The identifier that a grant would get.
    pub grant_id: GrantId,
}

/// What the click says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Yes, as shown.
    Approve,
    /// No.
    Deny {
        /// Why, in the approver's words.
        reason: String,
        /// For how many seconds what was refused is refused again without asking.
        cooldown: u64,
    },
}

/// What may happen to an access request. Closed: a new one is a compile error in [`AccessRequest::apply`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An approver clicked.
    Voted(Box<Ballot>),
    /// The same token request came again.
    AskedAgain(Box<TokenRequest>),
    /// Time passed.
    TimePassed,
    /// It is withdrawn.
    Cancelled {
        /// By whom.
        by: Actor,
    },
}

/// What is to be done outside, as data. The worker renders from the store, so a late or repeated effect shows the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Post the card to each of its channels.
    PostCards,
    /// Edit every card to what the store says.
    RefreshCards,
    /// Tell the requester where things stand, if they are in Slack.
    TellRequester,
    /// Say something in the card's thread.
    NoteInThread {
        /// What.
        text: String,
    },
}

/// A scope that is refused for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// The hook.
    pub hook: String,
    /// The client.
    pub client: String,
    /// The subject's kind.
    pub subject_kind: SubjectKind,
    /// The subject.
    pub subject: String,
    /// The audience; empty where none was named.
    pub audience: String,
    /// The scope; empty where none was named.
    pub scope: String,
    /// Until when.
    pub until: Timestamp,
    /// Why: `denied` or `revoked`.
    pub cause: &'static str,
}

impl Cooldown {
    /// One for each scope at each audience.
    pub fn of(asked: &TokenRequest, scopes: &ScopeSet, until: Timestamp, cause: &'static str) -> Vec<Self> {
        let mut all = Vec::new();
        for audience in audiences(asked) {
            for scope in scopes.judged() {
                all.push(Self {
                    hook: asked.hook.to_string(),
                    client: asked.client.id.clone(),
                    subject_kind: asked.subject.kind,
                    subject: asked.subject.id.clone(),
                    audience: audience.clone(),
                    scope: scope.into(),
                    until,
                    cause,
                });
            }
        }
        all
    }
}

/// The audiences of a token request, or the empty one where none was named.
pub fn audiences(asked: &TokenRequest) -> Vec<String> {
    if asked.audience.is_empty() { vec![String::new()] } else { asked.audience.iter().cloned().collect() }
}

/// What follows from an event: all of it is committed together, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The access request afterwards.
    pub next: AccessRequest,
    /// The grant that exists from now on.
    pub grant: Option<Grant>,
    /// What is refused from now on.
    pub cooldowns: Vec<Cooldown>,
    /// What is written down.
    pub audit: AuditEntry,
    /// What is to be done outside.
    pub effects: Vec<Effect>,
}

/// Why an event changes nothing; a person can be told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It was decided, expired or withdrawn.
    #[error("this request is already settled")]
    Settled(Status),
    /// What was clicked is not what is asked any more.
    #[error("this card is out of date")]
    OutOfDate,
    /// The person is in none of the approver sets.
    #[error("you are not one of the approvers")]
    NotAnApprover,
    /// The person asked for it, or is its subject or an actor.
    #[error("nobody decides on their own request")]
    OwnRequest,
    /// The person's approval is recorded already.
    #[error("your approval is already recorded")]
    AlreadyVoted,
    /// There is nothing to do.
    #[error("nothing has changed")]
    Nothing,
}

impl AccessRequest {
    /// Birth: the first token request, already judged. Later ones are [`Event::AskedAgain`].
    pub fn open(
        id: RequestId,
        asked: TokenRequest,
        question: Question,
        server: ServerAbilities,
        policy: PolicyVersion,
        now: Timestamp,
    ) -> Step {
        let duration = asked.requested_lifetime.unwrap_or(u64::MAX).min(question.terms.bounds.max_duration);
        let decide_by = after(now, question.decide_within);
        let hook = Actor::Hook(asked.hook.clone());
        let (votes, noted, state) = (Vec::new(), BTreeSet::new(), State::Pending);
        let (shown_version, version, opened_at) = (1, 0, now);
        let next = Self {
            id,
            asked,
            question,
            duration,
            server,
            policy,
            shown_version,
            opened_at,
            decide_by,
            votes,
            noted,
            state,
            version,
        };
        let summary = format!(
            "{} asks for {} as {}",
            next.asked.client.id,
            spoken(&next.question.terms.scopes),
            next.asked.subject.id
        );
        let detail = json!({
            "fingerprint": next.asked.fingerprint(), "scopes": next.question.terms.scopes, "audience": next.asked.audience,
            "duration": next.duration, "decide_by": next.decide_by, "reason": next.asked.reason,
            "shown_version": next.shown_version,
        });
        let audit = next.entry(Kind::RequestOpened, hook, summary, detail, now);
        let effects = vec![Effect::PostCards, Effect::TellRequester];
        Step { next, grant: None, cooldowns: Vec::new(), audit, effects }
    }

    /// Everything that can happen afterwards.
    ///
    /// # Errors
    /// [`Refusal`]: nothing changes, and a person can be told why.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<Step, Refusal> {
        match self.status(now) {
            Status::Pending => {}
            Status::Expired if self.state == State::Pending => {
                return if event == Event::TimePassed {
                    Ok(self.expire(now))
                } else {
                    Err(Refusal::Settled(Status::Expired))
                };
            }
            settled @ (Status::Approved | Status::Denied | Status::Expired | Status::Cancelled) => {
                return Err(if event == Event::TimePassed { Refusal::Nothing } else { Refusal::Settled(settled) });
            }
        }
        match event {
            Event::TimePassed => Err(Refusal::Nothing),
            Event::Cancelled { by } => Ok(self.cancel(by, now)),
            Event::AskedAgain(asked) => self.ask_again(&asked, now),
            Event::Voted(ballot) => self.vote(*ballot, now),
        }
    }

    /// Where it stands at `now`: a deadline that has passed counts, whether or not anybody wrote it down.
    pub fn status(&self, now: Timestamp) -> Status {
        match &self.state {
            State::Pending if now >= self.decide_by => Status::Expired,
            State::Pending => Status::Pending,
            State::Approved { .. } => Status::Approved,
            State::Denied { .. } => Status::Denied,
            State::Expired { .. } => Status::Expired,
            State::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// When it next wants to hear that time has passed.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => Some(self.decide_by),
            State::Approved { .. } | State::Denied { .. } | State::Expired { .. } | State::Cancelled { .. } => None,
        }
    }

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

    fn vote(&self, ballot: Ballot, now: Timestamp) -> Result<Step, Refusal> {
        if ballot.shown_version != self.shown_version {
            return Err(Refusal::OutOfDate);
        }
        let counts_for = self.eligible(&ballot.voter)?;
        match &ballot.choice {
            Choice::Deny { reason, cooldown } => Ok(self.deny(&ballot, reason, *cooldown, now)),
            Choice::Approve if self.has_voted(&ballot.voter) => Err(Refusal::AlreadyVoted),
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
        let detail =
            json!({ "shown_version": ballot.shown_version, "message": ballot.message, "policy": ballot.policy });
        let Ballot { voter, shown_version, message, policy, grant_id, choice: _ } = ballot;
        let mut next = self.clone();
        next.votes.push(Vote { voter, counts_for, at: now, shown_version, message, policy });
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

    fn expire(&self, now: Timestamp) -> Step {
        let mut next = self.clone();
        next.state = State::Expired { at: now };
        let summary = format!("nobody decided by {}", self.decide_by);
        let audit = next.entry(Kind::RequestExpired, Actor::Time, summary, json!({}), now);
        Step {
            next,
            grant: None,
            cooldowns: Vec::new(),
            audit,
            effects: vec![Effect::RefreshCards, Effect::TellRequester],
        }
    }

    fn cancel(&self, by: Actor, now: Timestamp) -> Step {
        let mut next = self.clone();
        next.state = State::Cancelled { by: by.clone(), at: now };
        let audit = next.entry(Kind::RequestCancelled, by.clone(), format!("{by} withdrew it"), json!({}), now);
        Step {
            next,
            grant: None,
            cooldowns: Vec::new(),
            audit,
            effects: vec![Effect::RefreshCards, Effect::TellRequester],
        }
    }

    /// A retry attaches and gets at most what the card shows; what differs is noted in the thread, once.
    fn ask_again(&self, asked: &TokenRequest, now: Timestamp) -> Result<Step, Refusal> {
        let differences = self.differences(asked);
        let hash = sha256_hex(differences.join("\n").as_bytes());
        if differences.is_empty() || self.noted.contains(&hash) || self.noted.len() >= NOTES_MAX {
            return Err(Refusal::Nothing);
        }
        let mut next = self.clone();
        next.noted.insert(hash);
        let text = format!("Asked again with {}. What is granted stays what the card shows.", differences.join(", "));
        let hook = Actor::Hook(asked.hook.clone());
        let audit = next.entry(Kind::RequestJoined, hook, text.clone(), json!({ "differences": differences }), now);
        Ok(Step { next, grant: None, cooldowns: Vec::new(), audit, effects: vec![Effect::NoteInThread { text }] })
    }

    fn differences(&self, asked: &TokenRequest) -> Vec<String> {
        let mut all = Vec::new();
        if asked.reason != self.asked.reason {
            all.push(format!("another reason: {}", asked.reason.as_deref().unwrap_or("none")));
        }
        if asked.requested_lifetime != self.asked.requested_lifetime {
            let wish = asked.requested_lifetime.map_or_else(|| "none named".to_owned(), |s| format!("{s} s"));
            all.push(format!("another lifetime: {wish}"));
        }
        if asked.context.get("ip") != self.asked.context.get("ip") {
            let address = asked.context.get("ip").and_then(|ip| ip.as_str()).unwrap_or("unknown");
            all.push(format!("another address: {address}"));
        }
        all
    }

    fn entry(
        &self,
        kind: Kind,
        actor: Actor,
        summary: String,
        mut detail: serde_json::Value,
        at: Timestamp,
    ) -> AuditEntry {
        detail["rules"] = json!(rule_names(&self.question.terms));
        if detail.get("policy").is_none() {
            detail["policy"] = json!(self.policy);
        }
        AuditEntry { at, kind, actor, request_id: Some(self.id.clone()), grant_id: None, summary, detail }
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
