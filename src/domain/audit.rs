//! What is written down of every transition, hash-chained by the store in the same transaction.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Timestamp;
use super::hashing::{canonical_json, sha256_hex};
use super::identity::Principal;
use super::ids::{GrantId, HookName, RequestId, SlackUserId};

/// What happened. Closed; the text form is what the store and the API show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A token request was refused without asking.
    #[serde(rename = "token.refused")]
    TokenRefused,
    /// A token may be issued under a grant.
    #[serde(rename = "token.issued")]
    TokenIssued,
    /// An access request was opened.
    #[serde(rename = "request.opened")]
    RequestOpened,
    /// The same token request came again with another reason, lifetime or address.
    #[serde(rename = "request.joined")]
    RequestJoined,
    /// Nobody has decided yet, and people were told.
    #[serde(rename = "request.reminded")]
    RequestReminded,
    /// An approver agreed, and more must.
    #[serde(rename = "vote.recorded")]
    VoteRecorded,
    /// An approver took an approval back.
    #[serde(rename = "vote.withdrawn")]
    VoteWithdrawn,
    /// An approver agreed to less than what was shown, and more people must agree.
    #[serde(rename = "request.narrowed")]
    RequestNarrowed,
    /// An approver typed another number than the client shows.
    #[serde(rename = "number.wrong")]
    NumberWrong,
    /// An approver is looking at it.
    #[serde(rename = "request.claimed")]
    RequestClaimed,
    /// An approver said something to the requester.
    #[serde(rename = "request.commented")]
    RequestCommented,
    /// An approver asked another one to decide.
    #[serde(rename = "request.handed_over")]
    RequestHandedOver,
    /// Every requirement is met.
    #[serde(rename = "request.approved")]
    RequestApproved,
    /// An approver denied.
    #[serde(rename = "request.denied")]
    RequestDenied,
    /// Nobody decided in time.
    #[serde(rename = "request.expired")]
    RequestExpired,
    /// It was withdrawn.
    #[serde(rename = "request.cancelled")]
    RequestCancelled,
    /// A rule allowed; a grant counts its tokens.
    #[serde(rename = "grant.allowed")]
    GrantAllowed,
    /// Somebody ended a grant.
    #[serde(rename = "grant.revoked")]
    GrantRevoked,
    /// A grant's time is up, its uses are used up, or nobody collected it.
    #[serde(rename = "grant.ended")]
    GrantEnded,
    /// The account of an approver is gone, and with it the vote.
    #[serde(rename = "vote.struck")]
    VoteStruck,
    /// What was granted ahead belongs to a hook's call from now on.
    #[serde(rename = "grant.collected")]
    GrantCollected,
    /// At the start of what was granted ahead, those who approved still were enough.
    #[serde(rename = "grant.started")]
    GrantStarted,
    /// The requester is told that a grant ends soon.
    #[serde(rename = "grant.ending")]
    GrantEnding,
    /// Somebody broke the glass; the review is open.
    #[serde(rename = "glass.broken")]
    GlassBroken,
    /// Nobody has reviewed a broken glass in time, and people were told.
    #[serde(rename = "review.overdue")]
    ReviewOverdue,
    /// Somebody said whether breaking the glass was justified.
    #[serde(rename = "review.answered")]
    ReviewAnswered,
    /// An operator lifted cool-downs.
    #[serde(rename = "cooldown.lifted")]
    CooldownLifted,
    /// What would have been asked or refused, where the policy only looks on.
    #[serde(rename = "observed")]
    Observed,
    /// A policy was read anew and is in force.
    #[serde(rename = "policy.reloaded")]
    PolicyReloaded,
    /// A policy that was to be read anew cannot be used; the one before stays in force.
    #[serde(rename = "policy.refused")]
    PolicyRefused,
    /// The directory does not name somebody as before.
    #[serde(rename = "directory.changed")]
    DirectoryChanged,
    /// A click, form or command counted for nothing.
    #[serde(rename = "click.refused")]
    ClickRefused,
    /// A message could not be delivered and will not be tried again.
    #[serde(rename = "delivery.failed")]
    DeliveryFailed,
}

impl Kind {
    /// The text form, such as `request.opened`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenRefused => "token.refused",
            Self::TokenIssued => "token.issued",
            Self::RequestOpened => "request.opened",
            Self::RequestJoined => "request.joined",
            Self::RequestReminded => "request.reminded",
            Self::VoteRecorded => "vote.recorded",
            Self::VoteWithdrawn => "vote.withdrawn",
            Self::RequestNarrowed => "request.narrowed",
            Self::NumberWrong => "number.wrong",
            Self::RequestClaimed => "request.claimed",
            Self::RequestCommented => "request.commented",
            Self::RequestHandedOver => "request.handed_over",
            Self::RequestApproved => "request.approved",
            Self::RequestDenied => "request.denied",
            Self::RequestExpired => "request.expired",
            Self::RequestCancelled => "request.cancelled",
            Self::GrantAllowed => "grant.allowed",
            Self::GrantRevoked => "grant.revoked",
            Self::GrantEnded => "grant.ended",
            Self::VoteStruck => "vote.struck",
            Self::GrantCollected => "grant.collected",
            Self::GrantStarted => "grant.started",
            Self::GrantEnding => "grant.ending",
            Self::GlassBroken => "glass.broken",
            Self::ReviewOverdue => "review.overdue",
            Self::ReviewAnswered => "review.answered",
            Self::CooldownLifted => "cooldown.lifted",
            Self::Observed => "observed",
            Self::PolicyReloaded => "policy.reloaded",
            Self::PolicyRefused => "policy.refused",
            Self::DirectoryChanged => "directory.changed",
            Self::ClickRefused => "click.refused",
            Self::DeliveryFailed => "delivery.failed",
        }
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// An authorization server, through its hook.
    Hook(HookName),
    /// A person in Slack, with the identity where one is known.
    Person(SlackUserId, Option<Principal>),
    /// An operator, by the name of the key.
    Operator(String),
    /// Time passed.
    Time,
    /// The service itself.
    Service,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(name) => write!(f, "hook {name}"),
            Self::Person(user, Some(principal)) => write!(f, "{user} ({principal})"),
            Self::Person(user, None) => write!(f, "{user}"),
            Self::Operator(name) => write!(f, "operator {name}"),
            Self::Time => f.write_str("time"),
            Self::Service => f.write_str("countersign"),
        }
    }
}

/// One entry, before the store gives it its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: Kind,
    /// Who.
    pub actor: Actor,
    /// About which access request.
    pub request_id: Option<RequestId>,
    /// About which grant.
    pub grant_id: Option<GrantId>,
    /// For people, one sentence.
    pub summary: String,
    /// What it is bound to: rules, shown version, policy version, message and more. Never a secret.
    pub detail: Value,
}

impl AuditEntry {
    /// The text that is stored and hashed: RFC 8785's canonical form, so that equal entries have equal hashes.
    pub fn canonical(&self) -> String {
        canonical_json(self)
    }
}

/// The hash that chains an entry, as its canonical text, to the one before it. Every field counts.
pub fn chain_hash(sequence: i64, canonical: &str, previous: &str) -> String {
    sha256_hex(format!("countersign.audit.v1\n{sequence}\n{previous}\n{canonical}").as_bytes())
}

/// What the first entry of a chain follows.
pub const CHAIN_START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
