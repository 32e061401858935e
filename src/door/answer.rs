//! What the service decided about one token request, before a dialect says it in its server's words.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::policy::Refused;
use crate::domain::scope::{Scope, ScopeSet};

/// The answer to a token request. Everything that is not [`Answer::Granted`] issues nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A token may be issued, within these bounds.
    Granted(Granted),
    /// The policy only looks on: issue as without us.
    Observed(Observed),
    /// People are asked; ask again.
    Pending(Pending),
    /// No.
    Denied(Denied),
    /// Too much is asked at once.
    TooMany {
        /// When to come back, in seconds.
        retry_after_secs: u64,
        /// Which limit, in words.
        says: String,
    },
    /// The same `webhook-id` came with another body.
    Conflict,
    /// Nothing could be decided: a store that does not answer, a shutdown.
    Unavailable {
        /// When to come back, in seconds.
        retry_after_secs: u64,
        /// What is the matter, without a detail that an outsider could use.
        says: String,
    },
}

/// A token that may be issued now.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    /// For these scopes, never more than were asked for.
    pub scopes: ScopeSet,
    /// For this long, in whole seconds.
    pub lifetime: u64,
    /// When the token must end.
    pub expires_at: Timestamp,
    /// When the grant behind it ends.
    pub grant_expires_at: Timestamp,
    /// The grant behind it.
    pub grant_id: GrantId,
    /// The access request behind the grant; none under an allow rule.
    pub request_id: Option<RequestId>,
    /// The signed receipt, a compact JWS.
    pub receipt: String,
    /// The scopes that dropped out, each with what to say about it.
    pub dropped: BTreeMap<Scope, Refused>,
    /// What people are still asked about beside that, where the policy issues in parts.
    pub pending: Option<Box<PendingRest>>,
}

/// The rest of a token request of which a part was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingRest {
    /// The access request.
    pub request_id: RequestId,
    /// The scopes that people are asked about.
    pub scopes: ScopeSet,
    /// How long to wait before asking again, in seconds.
    pub interval: u64,
    /// Where its state can be read.
    pub status_url: String,
}

/// A token that passes because the policy only looks on. There is no grant behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// What was asked for, without what an enforced rule refused.
    pub scopes: ScopeSet,
    /// As long as the call wished, in whole seconds; none where it named no time: then the server's own holds.
    pub lifetime: Option<u64>,
    /// The end of that.
    pub expires_at: Option<Timestamp>,
    /// The scopes that dropped out, each with what to say about it.
    pub dropped: BTreeMap<Scope, Refused>,
}

/// People are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The access request.
    pub request_id: RequestId,
    /// How long to wait before asking again, in seconds.
    pub interval: u64,
    /// Where its state can be read.
    pub status_url: String,
    /// When it expires unless decided.
    pub expires_at: Timestamp,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Denied {
    /// What the caller is told.
    pub says: String,
    /// The access request, where there was one.
    pub request_id: Option<RequestId>,
    /// Why, for programs.
    pub error: DeniedKind,
}

/// Why a token request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeniedKind {
    /// The policy says no, or says nothing.
    Policy,
    /// An approver said no.
    Person,
    /// Nobody decided in time.
    Expired,
    /// It was withdrawn.
    Cancelled,
    /// What is asked was denied a short while ago.
    CoolingDown,
    /// What is asked was granted and then revoked.
    Revoked,
    /// A refresh or an exchange that no live grant covers: those never ask anybody.
    NotCovered,
    /// More scopes than a person can judge.
    TooMuchScope,
}

impl Denied {
    /// The refusal of a call that asks for more than a person can judge.
    pub fn too_much(says: &str) -> Self {
        Self { says: says.to_owned(), request_id: None, error: DeniedKind::TooMuchScope }
    }
}

impl DeniedKind {
    /// The OAuth 2.0 error code that fits (RFC 6749 section 5.2, RFC 8628 section 3.5).
    ///
    /// A refresh that is no longer covered is `invalid_grant`, which makes a client discard its refresh token and
    /// begin anew instead of trying it again. Everything that was decided is `access_denied`.
    pub fn oauth_error(self) -> &'static str {
        match self {
            Self::Policy | Self::Person | Self::Expired | Self::Cancelled | Self::CoolingDown | Self::Revoked => {
                "access_denied"
            }
            Self::NotCovered => "invalid_grant",
            Self::TooMuchScope => "invalid_scope",
        }
    }

    /// The word for logs, metrics and AuthZEN's `context.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy_denied",
            Self::Person => "approver_denied",
            Self::Expired => "request_expired",
            Self::Cancelled => "request_cancelled",
            Self::CoolingDown => "cooling_down",
            Self::Revoked => "grant_revoked",
            Self::NotCovered => "not_covered",
            Self::TooMuchScope => "too_much_scope",
        }
    }
}
