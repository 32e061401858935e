//! What is refused without asking, after a denial or a revocation.

use crate::domain::Timestamp;
use crate::domain::grant::after;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::{SubjectKind, TokenRequest};

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
    /// Which denial in a row this is, from 1; 0 where it is none.
    pub denials: u32,
}

/// The longest that denials in a row refuse, in seconds.
const LONGEST: u64 = 24 * 60 * 60;
/// Denials are in a row as long as no such quiet time, in seconds, lies between the end of one and the next.
const QUIET: u64 = 24 * 60 * 60;

/// How often something was denied in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denials {
    /// How often.
    pub times: u32,
    /// Until when the last of them refused.
    pub until: Timestamp,
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
                    denials: 0,
                });
            }
        }
        all
    }
}

impl Cooldown {
    /// A denial refuses for twice as long as the one before it, up to a day; after a quiet day it begins anew.
    /// What is no denial stays as it is.
    pub fn after(mut self, earlier: Option<&Denials>, now: Timestamp) -> Self {
        if self.cause != "denied" {
            return self;
        }
        let in_a_row = earlier.filter(|earlier| now < after(earlier.until, QUIET)).map_or(0, |earlier| earlier.times);
        let once = u64::try_from((self.until - now).num_seconds()).unwrap_or(0);
        let doubled = once.saturating_mul(1 << in_a_row.min(20)).min(LONGEST.max(once));
        self.until = after(now, doubled);
        self.denials = in_a_row.saturating_add(1);
        self
    }
}

/// The audiences of a token request, or the empty one where none was named.
pub fn audiences(asked: &TokenRequest) -> Vec<String> {
    if asked.audience.is_empty() { vec![String::new()] } else { asked.audience.iter().cloned().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_795_460_000 + seconds, 0).unwrap()
    }

    fn denied(now: i64, cause: &'static str) -> Cooldown {
        let text = || "x".to_owned();
        let until = at(now + 600);
        let subject_kind = SubjectKind::User;
        Cooldown {
            hook: text(),
            client: text(),
            subject_kind,
            subject: text(),
            audience: text(),
            scope: text(),
            until,
            cause,
            denials: 0,
        }
    }

    #[test]
    fn each_denial_in_a_row_refuses_twice_as_long_up_to_a_day() {
        let (mut now, mut earlier, mut lasted) = (0, None, Vec::new());
        for _ in 0..10 {
            let cooldown = denied(now, "denied").after(earlier.as_ref(), at(now));
            lasted.push((cooldown.until - at(now)).num_minutes());
            earlier = Some(Denials { times: cooldown.denials, until: cooldown.until });
            now = cooldown.until.timestamp() - at(0).timestamp() + 60;
        }
        assert_eq!(lasted, [10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440]);
    }

    #[test]
    fn after_a_quiet_day_it_begins_anew_and_a_revocation_does_not_count() {
        let earlier = Denials { times: 3, until: at(0) };
        let day = 24 * 60 * 60;
        assert_eq!(denied(day - 1, "denied").after(Some(&earlier), at(day - 1)).denials, 4);
        assert_eq!(denied(day, "denied").after(Some(&earlier), at(day)).denials, 1);
        let revoked = denied(60, "revoked").after(Some(&earlier), at(60));
        assert_eq!((revoked.denials, revoked.until), (0, at(660)));
    }
}
