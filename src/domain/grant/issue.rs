//! What a grant gives to a token request, and why it gives nothing.

use thiserror::Error;

use super::super::Timestamp;
use super::super::ids::GrantId;
use super::super::scope::ScopeSet;
use super::super::token_request::{Fingerprint, TokenRequest};
use super::{Ending, Grant, Status, after};

/// A token that would live for less than this many seconds is not issued at all.
pub const TOKEN_LIFETIME_MIN: u64 = 5;

/// An identical call without an identifier within this many seconds is the same use.
pub const SAME_USE_SECONDS: i64 = 60;

/// A token that may be issued now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// Under which grant.
    pub grant: GrantId,
    /// For what.
    pub scopes: ScopeSet,
    /// For how long, in whole seconds.
    pub lifetime: u64,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Why no token may be issued under a grant now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotIssued {
    /// It is revoked.
    #[error("the grant was revoked")]
    Revoked,
    /// It ended, or too little is left of it.
    #[error("the grant has ended")]
    Ended(Ending),
    /// It has not started.
    #[error("the grant has not started yet")]
    NotYet,
    /// It does not cover what is asked.
    #[error("the grant does not cover this token request")]
    NotCovered,
    /// What is asked for, or allowed, is less than [`TOKEN_LIFETIME_MIN`].
    #[error("a token of less than {TOKEN_LIFETIME_MIN} seconds is not issued")]
    TooShort,
}

impl Grant {
    /// Whether an unnamed call is the same use as the last one: identical, and within [`SAME_USE_SECONDS`].
    /// Of two calls at once, the one that looked at the clock first may well be recorded last.
    pub fn is_same_use(&self, fingerprint: &Fingerprint, now: Timestamp) -> bool {
        let near = |at: &Timestamp| (now - at).abs() < chrono::Duration::seconds(SAME_USE_SECONDS);
        self.last_use.as_ref().is_some_and(|(at, last)| last == fingerprint && near(at))
    }

    /// What may be issued to a token request under it: all that is asked where that is no more than its own, and
    /// the rest where what goes beyond was taken out by the people who approved. Everything but the scopes is equal.
    pub fn answers(&self, asked: &TokenRequest, scopes: &ScopeSet) -> Option<ScopeSet> {
        let names_the_same_kind = scopes.is_empty() == self.scopes.is_empty();
        if self.open.is_some() {
            return None;
        }
        let same_coverage = self.asked.is_plainly_alike(asked) || self.coverage == asked.coverage_key();
        if !same_coverage || !names_the_same_kind {
            return None;
        }
        let beyond: Vec<_> = scopes.iter().filter(|scope| !self.scopes.contains(scope)).collect();
        let left: ScopeSet = scopes.iter().filter(|scope| self.scopes.contains(scope)).cloned().collect();
        let was_decided = beyond.iter().all(|scope| self.removed.contains(scope));
        (was_decided && (beyond.is_empty() || !left.is_empty())).then_some(left)
    }

    /// Whether it covers a token request: equal in all but the scopes, which are no more than its own.
    pub fn covers(&self, asked: &TokenRequest, scopes: &ScopeSet) -> bool {
        self.answers(asked, scopes).is_some_and(|issued| issued == *scopes)
    }

    /// The token that may be issued at `now`: min(that call's wish, the longest token, what is left).
    ///
    /// `lifetime_max` is what the current policy allows; the stricter of it and the grant's own wins.
    /// `repeated` says that this call is the same use as one counted before.
    ///
    /// # Errors
    /// [`NotIssued`], the reason why not.
    pub fn issue(
        &self,
        asked: &TokenRequest,
        scopes: &ScopeSet,
        lifetime_max: u64,
        repeated: bool,
        now: Timestamp,
    ) -> Result<Issuance, NotIssued> {
        match self.status(now) {
            Status::Revoked => return Err(NotIssued::Revoked),
            Status::Ended(Ending::UsedUp) if repeated && now < self.expires_at => {}
            Status::Ended(how) => return Err(NotIssued::Ended(how)),
            Status::Reserved | Status::Active => {}
        }
        let Some(scopes) = self.answers(asked, scopes) else { return Err(NotIssued::NotCovered) };
        if !self.has_started(now) {
            return Err(NotIssued::NotYet);
        }
        let left = u64::try_from((self.expires_at - now).num_seconds()).unwrap_or(0);
        let wish = asked.requested_lifetime.unwrap_or(u64::MAX);
        let longest = self.max_token_lifetime.min(lifetime_max);
        if left < TOKEN_LIFETIME_MIN {
            return Err(NotIssued::Ended(Ending::Expired));
        }
        let lifetime = wish.min(longest).min(left);
        if lifetime < TOKEN_LIFETIME_MIN {
            return Err(NotIssued::TooShort);
        }
        Ok(Issuance { grant: self.id.clone(), scopes, lifetime, expires_at: after(now, lifetime) })
    }
}
