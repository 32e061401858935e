//! What an access request remembers of the people who decide: how it was narrowed, what was taken back, wrong
//! numbers, who is looking at it. It owns these records and never who may decide.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::AccessRequest;
use super::hours::Clock;
use crate::domain::Timestamp;
use crate::domain::audit::Actor;
use crate::domain::hashing::sha256_hex;
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::{SlackTeamId, SlackUserId};
use crate::domain::scope::{Scope, ScopeSet};

/// How many wrong numbers deny a request.
pub const WRONG_NUMBERS_MAX: usize = 3;

/// What is remembered beside the votes. Everything in it only ever makes a decision harder, or is for reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deciding {
    /// The Slack workspace whose people decide; none in rows from when there was only one.
    pub workspace: Option<SlackTeamId>,
    /// How what is asked was narrowed, in order.
    pub narrowed: Vec<Narrowing>,
    /// Approvals that were taken back.
    pub taken_back: Vec<TakenBack>,
    /// Wrong numbers that were typed.
    pub wrong_numbers: Vec<WrongNumber>,
    /// The client's owners, as the policy named them when the request was opened.
    pub owners: BTreeSet<Principal>,
    /// Every identity that a person might have who asked in Slack; empty where a hook call did.
    pub asked_by: BTreeSet<Principal>,
    /// What could be asked for instead, in the words of whoever did not grant all of it.
    pub suggested: ScopeSet,
    /// Who is looking at it.
    pub claimed: Option<Claim>,
    /// To whom it was handed over, in order.
    pub handed_over: Vec<HandOver>,
    /// Whether Slack could not be asked yet if anybody can decide about it at all.
    pub unchecked: bool,
    /// Why the service itself withdrew it.
    pub because: Option<String>,
    /// What this client had for this subject before.
    pub history: History,
    /// The clock of the person who asked, where Slack knows it.
    pub clock: Option<Clock>,
}

/// What a client had for a subject before it asked: what makes a request unusual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Whether anybody looked.
    pub known: bool,
    /// The scopes that it never had.
    pub new: ScopeSet,
    /// Its last grant that people approved.
    pub last: Option<Earlier>,
}

/// An earlier grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// What it was for.
    pub scopes: ScopeSet,
    /// When it was granted.
    pub at: Timestamp,
    /// For how many seconds.
    pub duration: u64,
}

/// What a vote was given for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The scopes.
    pub scopes: ScopeSet,
    /// For how many seconds.
    pub duration: u64,
}

/// An approver made less of what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The shown version since then.
    pub version: u32,
    /// The scopes that were taken out.
    pub removed: ScopeSet,
    /// Those of them that people had to be asked about: they cool down as after a denial.
    pub refused: ScopeSet,
    /// For how many seconds it was until then.
    pub duration_before: u64,
    /// Why, in the approver's words.
    pub note: Option<String>,
}

/// An approval that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// Whose.
    pub by: Actor,
    /// Its place among all votes of the request.
    pub place: u32,
    /// When it had been given.
    pub voted_at: Timestamp,
    /// When it was taken back.
    pub at: Timestamp,
}

/// Somebody typed another number than the client shows. What was typed is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongNumber {
    /// Who: the account.
    pub slack: SlackUserId,
    /// The person.
    pub principal: Principal,
    /// Everybody whom that account might belong to.
    pub possible: BTreeSet<Principal>,
    /// When.
    pub at: Timestamp,
}

/// Somebody is looking at it. That decides nothing and keeps nobody away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub by: SlackUserId,
    /// Since when.
    pub at: Timestamp,
}

/// An approver asked another one to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Who asked.
    pub by: SlackUserId,
    /// Whom.
    pub to: SlackUserId,
    /// When.
    pub at: Timestamp,
}

/// What an approver filled in besides pressing the button. Empty where nothing had to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// The scopes that are left of those shown; none means all of them.
    pub keep: Option<ScopeSet>,
    /// For how many seconds, where that is less than what is shown.
    pub duration: Option<u64>,
    /// Lower scopes of the catalogue that could be asked for instead.
    pub suggest: BTreeSet<Scope>,
    /// Why, in the approver's words.
    pub note: Option<String>,
    /// The number that the client shows, as it was typed.
    pub number: Option<String>,
}

impl AccessRequest {
    /// What is shown now.
    pub fn shown(&self) -> Shown {
        Shown { scopes: self.question.terms.scopes.clone(), duration: self.duration }
    }

    /// Whether a yes to something is a yes to what is shown now: it was as much, or more.
    pub(super) fn is_within(&self, shown: &Shown) -> bool {
        let scopes = &self.question.terms.scopes;
        let names_the_same_kind = scopes.is_empty() == shown.scopes.is_empty();
        names_the_same_kind && scopes.is_subset(&shown.scopes) && self.duration <= shown.duration
    }

    /// Every scope that approvers have taken out.
    pub fn removed(&self) -> ScopeSet {
        self.deciding.narrowed.iter().flat_map(|one| one.removed.iter().cloned()).collect()
    }

    /// Every scope that approvers have taken out and that people had to be asked about.
    pub fn refused(&self) -> ScopeSet {
        self.deciding.narrowed.iter().flat_map(|one| one.refused.iter().cloned()).collect()
    }

    /// Whether an approver made less of it.
    pub fn is_narrowed(&self) -> bool {
        !self.deciding.narrowed.is_empty()
    }

    /// Whether the client shows a number that can be typed.
    pub fn has_number(&self) -> bool {
        self.asked.shows_a_number()
    }

    /// Whether what was typed is the number that the client shows. Spaces make no difference. What is compared are
    /// hashes, all of them in full, so that the time it takes tells nothing.
    pub(super) fn is_the_number(&self, typed: &str) -> bool {
        let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let wanted = self.asked.binding_message.as_deref().map(plain).unwrap_or_default();
        let (typed, known) = (sha256_hex(plain(typed).as_bytes()), sha256_hex(wanted.as_bytes()));
        let differences = typed.bytes().zip(known.bytes()).fold(0u8, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        !wanted.is_empty() && differences == 0
    }

    /// Whether somebody, or somebody who might be that person, typed a wrong number before.
    pub fn is_barred(&self, voter: &Voter) -> bool {
        self.deciding.wrong_numbers.iter().any(|wrong| {
            wrong.slack == voter.slack
                || wrong.principal == voter.principal
                || wrong.possible.contains(&voter.principal)
                || voter.possible.contains(&wrong.principal)
        })
    }
}
