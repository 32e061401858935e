//! A grant: what may be issued, until when, how often. It comes from an approved access request or an allow
//! rule (break-glass follows), and its end is absolute: no retry extends it, reads enforce it.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::access_request::{Cooldown, Effect};
use super::audit::{Actor, AuditEntry, Kind};
use super::identity::Voter;
use super::ids::{GrantId, HookName, RequestId};
use super::policy::{PolicyVersion, Terms, Uses};
use super::scope::ScopeSet;
use super::token_request::{CoverageKey, Fingerprint, TokenRequest};

mod ending;
mod issue;
mod tenure;

pub use issue::{Issuance, NotIssued, SAME_USE_SECONDS, TOKEN_LIFETIME_MIN};

/// Where a grant comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An approved access request.
    Request(RequestId),
    /// A rule that allows.
    AllowRule,
    /// A person broke the glass, as a rule lets them.
    BreakGlass,
}

/// What was done to a grant. Its ends by time are not states: [`Grant::status`] derives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Nothing: it lives until time or uses end it.
    Live,
    /// Somebody revoked it.
    Revoked {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// Why, in their words.
        reason: String,
    },
    /// Its end by time or uses was written down.
    Ended {
        /// When that was written down.
        at: Timestamp,
        /// How it ended.
        how: Ending,
    },
}

/// How a grant ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its time was up.
    Expired,
    /// Nobody collected it in time.
    Uncollected,
    /// Its last use was used.
    UsedUp,
    /// Whoever it was for had no more need of it.
    HandedBack,
}

/// When a grant may be used from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// From the decision on.
    #[default]
    AtOnce,
    /// Later, and only once it was asked at that time whether those who approved still would be enough.
    At {
        /// When.
        at: Timestamp,
        /// Whether that was asked.
        checked: bool,
    },
}

/// What a grant is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Approved, nothing issued yet.
    Reserved,
    /// Tokens are issued under it.
    Active,
    /// It ended by itself.
    Ended(Ending),
    /// It was revoked.
    Revoked,
}

/// A grant. Everything but `state`, `used` and what is learnt from issuing is fixed at its birth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Its identifier.
    pub id: GrantId,
    /// Where it comes from.
    pub source: Source,
    /// The token request that it answers; later ones must equal it in all but scopes and claims.
    pub asked: TokenRequest,
    /// What it is found by.
    pub coverage: CoverageKey,
    /// What may be issued.
    pub scopes: ScopeSet,
    /// What approvers took out of what was asked: the same call gets the rest without asking again.
    #[serde(default)]
    pub removed: ScopeSet,
    /// When the decision was made: its clock starts here.
    pub granted_at: Timestamp,
    /// Its absolute end.
    pub expires_at: Timestamp,
    /// When it is void unless collected; none for an allow rule, which is collected as it is made.
    pub collect_by: Option<Timestamp>,
    /// The longest life of one token, in seconds.
    pub max_token_lifetime: u64,
    /// How often it may be used.
    pub uses: Uses,
    /// How often it was.
    pub used: u32,
    /// When it was last used, and by which token request: an identical one soon after is the same use.
    pub last_use: Option<(Timestamp, Fingerprint)>,
    /// When the last token that was issued under it runs out.
    pub last_token_expires_at: Option<Timestamp>,
    /// The people who approved, as they were known then. Empty for an allow rule.
    pub deciders: Vec<Voter>,
    /// The policy that it was granted under.
    pub policy: PolicyVersion,
    /// The rules that decided, sorted.
    pub rules: Vec<String>,
    /// From when on it may be used.
    #[serde(default)]
    pub start: Start,
    /// Where it may be collected, as long as it belongs to no call: it was asked for ahead.
    #[serde(default)]
    pub open: Option<Vec<HookName>>,
    /// When the requester is to be told that it ends soon; none once that is done, or where nobody wants it.
    #[serde(default)]
    pub warn_at: Option<Timestamp>,
    /// What was done to it.
    pub state: State,
    /// The compare-and-swap counter; it never leaves the store.
    pub version: i64,
}

/// A change of a grant with all that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantStep {
    /// The grant afterwards.
    pub next: Grant,
    /// What is refused from now on.
    pub cooldowns: Vec<Cooldown>,
    /// What is written down.
    pub audit: AuditEntry,
    /// What is to be done outside.
    pub effects: Vec<Effect>,
}

impl Grant {
    /// The grant of an allow rule: made when it is first used, to count and to be revocable.
    pub fn allowed(id: GrantId, asked: &TokenRequest, terms: &Terms, policy: PolicyVersion, now: Timestamp) -> Self {
        let lasts = asked.requested_lifetime.unwrap_or(u64::MAX).min(terms.bounds.max_duration);
        Self {
            id,
            source: Source::AllowRule,
            coverage: asked.coverage_key(),
            scopes: terms.scopes.clone(),
            removed: ScopeSet::default(),
            granted_at: now,
            expires_at: after(now, lasts),
            collect_by: None,
            max_token_lifetime: terms.bounds.max_token_lifetime,
            uses: terms.bounds.uses,
            used: 0,
            last_use: None,
            last_token_expires_at: None,
            deciders: Vec::new(),
            policy,
            rules: rule_names(terms),
            start: Start::AtOnce,
            open: None,
            warn_at: None,
            state: State::Live,
            version: 0,
            asked: asked.clone(),
        }
    }

    /// The grant of somebody who broke the glass: it begins at once, and is as short as the rule says.
    pub fn emergency(id: GrantId, asked: &TokenRequest, terms: &Terms, policy: PolicyVersion, now: Timestamp) -> Self {
        Self { source: Source::BreakGlass, ..Self::allowed(id, asked, terms, policy, now) }
    }

    /// Whether tokens may be issued under it at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        match self.status(now) {
            Status::Reserved | Status::Active => true,
            Status::Ended(_) | Status::Revoked => false,
        }
    }

    /// What it is at `now`. Expiry holds by this reading, whether or not anybody wrote it down.
    pub fn status(&self, now: Timestamp) -> Status {
        match &self.state {
            State::Revoked { .. } => Status::Revoked,
            State::Ended { how, .. } => Status::Ended(*how),
            State::Live => {
                if let Uses::Times(most) = self.uses
                    && self.used >= most
                {
                    Status::Ended(Ending::UsedUp)
                } else if self.used == 0 && self.collect_by.is_some_and(|by| now >= by && by < self.expires_at) {
                    // Whichever end came first names it, however late anybody looks.
                    Status::Ended(Ending::Uncollected)
                } else if now >= self.expires_at {
                    Status::Ended(Ending::Expired)
                } else if self.used == 0 {
                    Status::Reserved
                } else {
                    Status::Active
                }
            }
        }
    }

    /// When it next wants to hear that time has passed. One that is used up still answers the call that used
    /// it, should its answer have been lost, so its end is written down with its time.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Revoked { .. } | State::Ended { .. } => None,
            State::Live => {
                let collect_by = self.collect_by.filter(|_| self.used == 0);
                [self.start.unchecked(), self.warn_at, collect_by, Some(self.expires_at)].into_iter().flatten().min()
            }
        }
    }

    /// The access request behind it, if there is one.
    pub fn request(&self) -> Option<&RequestId> {
        match &self.source {
            Source::Request(id) => Some(id),
            Source::AllowRule | Source::BreakGlass => None,
        }
    }

    pub(super) fn card_effects(&self) -> Vec<Effect> {
        self.request().map(|_| vec![Effect::RefreshCards, Effect::TellRequester]).unwrap_or_default()
    }

    pub(super) fn entry(
        &self,
        kind: Kind,
        actor: Actor,
        summary: String,
        detail: serde_json::Value,
        at: Timestamp,
    ) -> AuditEntry {
        let (request_id, grant_id) = (self.request().cloned(), Some(self.id.clone()));
        AuditEntry { at, kind, actor, request_id, grant_id, summary, detail }
    }
}

/// The instant `seconds` after `start`, capped a hundred years ahead so that no arithmetic overflows.
pub fn after(start: Timestamp, seconds: u64) -> Timestamp {
    const CENTURY: i64 = 100 * 365 * 24 * 3_600;
    let seconds = i64::try_from(seconds).unwrap_or(CENTURY).min(CENTURY);
    start.checked_add_signed(chrono::Duration::seconds(seconds)).unwrap_or(start)
}

/// The scopes for a sentence: `a b`, or words where none is named.
pub fn spoken(scopes: &ScopeSet) -> String {
    if scopes.is_empty() { "no named scope".to_owned() } else { scopes.to_string() }
}

pub(super) fn rule_names(terms: &Terms) -> Vec<String> {
    let mut names: Vec<String> = terms.rules.values().cloned().collect();
    names.sort();
    names.dedup();
    names
}
