//! What can be seen of the world after a step: the answer, and where every access request and grant stands. The model
//! says what ought to be seen; pure core and service show what is.

use std::sync::Arc;

use countersign::domain::Timestamp;
use countersign::domain::access_request::AccessRequest;
use countersign::domain::grant::{Ending, Grant, Status};

use super::speak;
use super::world::{CAST, Scopes, Time};

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that concerns anybody.
    Nothing,
    /// A token may be issued, and people may be asked about the rest.
    Token { grant: usize, scopes: Scopes, lifetime: u64, until: Time, asked: Option<usize> },
    /// People are asked.
    Pending { request: usize },
    /// It passes, because the policy only looks on.
    Passes { scopes: Scopes },
    /// The call's identifier came with something else before.
    Conflict,
    /// What a person did counts.
    Done,
    /// No.
    Refused,
}

/// Where an access request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestNow {
    pub status: &'static str,
    pub scopes: Scopes,
    /// In seconds.
    pub lasts: u64,
    pub shown_version: u32,
    /// Who agrees, in order.
    pub agreed: Vec<&'static str>,
    pub decide_by: Time,
}

/// Where a grant stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantNow {
    pub status: &'static str,
    pub request: Option<usize>,
    pub scopes: Scopes,
    pub until: Time,
    pub used: u32,
}

/// Everything, in the order in which it came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    pub requests: Vec<RequestNow>,
    pub grants: Vec<GrantNow>,
}

impl Books {
    /// What the domain's own records show at an instant.
    pub fn of(requests: &[Arc<AccessRequest>], grants: &[Arc<Grant>], now: Time) -> Self {
        let at = speak::time(now);
        let request = |one: &Arc<AccessRequest>| RequestNow {
            status: one.status(at).as_str(),
            scopes: speak::mask(&one.question.terms.scopes),
            lasts: one.duration,
            shown_version: one.shown_version,
            agreed: one.counting().map(|vote| person_of(vote.voter.slack.as_str())).collect(),
            decide_by: speak::millis(one.decide_by),
        };
        let grant = |one: &Arc<Grant>| GrantNow {
            status: status(one, at),
            request: one.request().and_then(|id| requests.iter().position(|request| request.id == *id)),
            scopes: speak::mask(&one.scopes),
            until: speak::millis(one.expires_at),
            used: one.used,
        };
        Self { requests: requests.iter().map(request).collect(), grants: grants.iter().map(grant).collect() }
    }
}

/// Whose account is this?
pub fn person_of(slack: &str) -> &'static str {
    CAST.iter().find(|(account, _)| *account == slack).expect("one of the cast").1
}

/// Where a grant stands, in one word.
pub fn status(grant: &Grant, at: Timestamp) -> &'static str {
    match grant.status(at) {
        Status::Reserved => "reserved",
        Status::Active => "active",
        Status::Revoked => "revoked",
        Status::Ended(Ending::Expired) => "expired",
        Status::Ended(Ending::Uncollected) => "uncollected",
        Status::Ended(Ending::UsedUp) => "used up",
        Status::Ended(Ending::HandedBack) => "handed back",
    }
}

/// The instants to come at which something ends, starts or falls due, in order; `cools` are those of cool-downs.
pub fn instants(
    requests: &[Arc<AccessRequest>],
    grants: &[Arc<Grant>],
    cools: impl Iterator<Item = Time>,
    now: Time,
) -> Vec<Time> {
    let pending = requests.iter().map(|one| one.decide_by);
    let of_grants = grants.iter().flat_map(|one| [Some(one.expires_at), one.collect_by, Some(one.starts_at())]);
    let all = pending.chain(of_grants.flatten()).map(speak::millis).chain(cools).filter(|at| *at > now);
    let mut all: Vec<Time> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}
