//! What becomes of a grant between its birth and its end: it starts, is collected, nears its end, is handed back.

use serde_json::json;

use super::super::Timestamp;
use super::super::access_request::Cooldown;
use super::super::audit::{Actor, Kind};
use super::super::policy::{Bounds, Uses};
use super::super::scope::ScopeSet;
use super::super::token_request::TokenRequest;
use super::{Ending, Grant, GrantStep, NotIssued, Start, State, Status, spoken};

impl Start {
    /// When it must be asked whether those who approved still would be enough, as long as nobody has.
    pub fn unchecked(self) -> Option<Timestamp> {
        match self {
            Self::At { at, checked: false } => Some(at),
            Self::AtOnce | Self::At { .. } => None,
        }
    }
}

impl Grant {
    /// Whether it may be used already. One that starts later waits until its start was looked at, however late that is.
    pub fn has_started(&self, now: Timestamp) -> bool {
        match self.start {
            Start::AtOnce => true,
            Start::At { at, checked } => checked && now >= at,
        }
    }

    /// When it starts, or started.
    pub fn starts_at(&self) -> Timestamp {
        match self.start {
            Start::AtOnce => self.granted_at,
            Start::At { at, .. } => at,
        }
    }

    /// Whether a call may collect what was asked for ahead.
    pub fn is_open_to(&self, call: &TokenRequest, scopes: &ScopeSet, now: Timestamp) -> bool {
        let names_the_same_kind = scopes.is_empty() == self.scopes.is_empty();
        let alive = match self.status(now) {
            Status::Reserved | Status::Active => true,
            Status::Ended(_) | Status::Revoked => false,
        };
        alive
            && now >= self.starts_at()
            && self.open.as_ref().is_some_and(|hooks| hooks.contains(&call.hook))
            && self.asked.is_what_was_asked_ahead_by(call)
            && names_the_same_kind
            && scopes.is_subset(&self.scopes)
    }

    /// The first call takes it: from now on it belongs to that hook, subject and key.
    ///
    /// # Errors
    /// [`NotIssued`] when this call may not, or not yet.
    pub fn collect(&self, call: &TokenRequest, scopes: &ScopeSet, now: Timestamp) -> Result<GrantStep, NotIssued> {
        if !self.is_open_to(call, scopes, now) {
            return Err(NotIssued::NotCovered);
        }
        if !self.has_started(now) {
            return Err(NotIssued::NotYet);
        }
        let mut next = self.clone();
        next.open = None;
        next.asked = TokenRequest {
            hook: call.hook.clone(),
            issuer: call.issuer.clone(),
            grant_type: call.grant_type.clone(),
            client: call.client.clone(),
            subject: call.subject.clone(),
            cnf: call.cnf.clone(),
            ..self.asked.clone()
        };
        next.coverage = next.asked.coverage_key();
        let summary = format!("{} collects the grant of {}", call.hook, spoken(&self.scopes));
        let detail = json!({ "subject": call.subject, "cnf": call.cnf.is_some() });
        let audit = next.entry(Kind::GrantCollected, Actor::Hook(call.hook.clone()), summary, detail, now);
        Ok(GrantStep { next, cooldowns: Vec::new(), audit, effects: self.card_effects() })
    }

    /// At its start those who approved were asked about again, and still are enough.
    pub fn started(&self, now: Timestamp) -> Option<GrantStep> {
        let at = self.start.unchecked().filter(|at| now >= *at)?;
        let mut next = self.clone();
        next.start = Start::At { at, checked: true };
        let summary = format!("the grant of {} starts", spoken(&self.scopes));
        let audit = next.entry(Kind::GrantStarted, Actor::Time, summary, json!({}), now);
        Some(GrantStep { next, cooldowns: Vec::new(), audit, effects: self.card_effects() })
    }

    /// With a warning before its end: so long before, and at most a tenth of its time.
    #[must_use]
    pub fn warned_before_end(mut self, seconds: u64) -> Self {
        let lasts = u64::try_from((self.expires_at - self.starts_at()).num_seconds()).unwrap_or(0);
        let before = i64::try_from(seconds.min(lasts / 10)).unwrap_or(0);
        self.warn_at = (before > 0).then(|| self.expires_at - chrono::Duration::seconds(before));
        self
    }

    /// It ends soon, and its requester is told, once.
    pub fn nears_end(&self, now: Timestamp) -> Option<GrantStep> {
        self.warn_at.filter(|at| now >= *at && now < self.expires_at)?;
        let mut next = self.clone();
        next.warn_at = None;
        let summary = format!("the grant of {} ends at {}", spoken(&self.scopes), self.expires_at);
        let audit = next.entry(Kind::GrantEnding, Actor::Time, summary, json!({}), now);
        Some(GrantStep { next, cooldowns: Vec::new(), audit, effects: self.card_effects() })
    }

    /// Whoever it is for has no more need of it. That is nobody's no: what it covered may be asked for again.
    ///
    /// # Errors
    /// [`NotIssued`] when it is over already.
    pub fn hand_back(&self, by: Actor, now: Timestamp) -> Result<GrantStep, NotIssued> {
        match self.status(now) {
            Status::Revoked => return Err(NotIssued::Revoked),
            Status::Ended(how) => return Err(NotIssued::Ended(how)),
            Status::Reserved | Status::Active => {}
        }
        let summary = format!("{by} handed the grant of {} back", spoken(&self.scopes));
        let detail = json!({ "how": Ending::HandedBack, "used": self.used, "last_token_expires_at": self.last_token_expires_at });
        let audit = self.entry(Kind::GrantEnded, by, summary, detail, now);
        let mut next = self.clone();
        next.state = State::Ended { at: now, how: Ending::HandedBack };
        Ok(GrantStep { next, cooldowns: Vec::new(), audit, effects: self.card_effects() })
    }

    /// What a revocation refuses at one hook, it refuses at each hook where it could have been collected.
    pub(super) fn at_each_hook(&self, cooldowns: Vec<Cooldown>) -> Vec<Cooldown> {
        let Some(hooks) = &self.open else { return cooldowns };
        let at = |one: &Cooldown| hooks.iter().map(|hook| Cooldown { hook: hook.to_string(), ..one.clone() }).collect();
        cooldowns.iter().flat_map(|one| -> Vec<Cooldown> { at(one) }).collect()
    }

    /// How often it may be used under what the policy says today: the fewer of both.
    pub fn uses_under(&self, today: &Bounds) -> Uses {
        self.uses.fewer(today.uses)
    }

    /// The longest token that a grant may still give under what the policy says today: the stricter wins. None where
    /// that policy would have ended it, or used it up, by now.
    pub fn bounded_by(&self, today: &Bounds, repeated: bool, now: Timestamp) -> Option<u64> {
        let used_up = match self.uses_under(today) {
            Uses::Window => false,
            Uses::Times(most) => self.used >= most && !repeated,
        };
        let end = super::after(self.starts_at(), today.max_duration).min(self.expires_at);
        let left = u64::try_from((end - now).num_seconds()).ok().filter(|left| *left > 0)?;
        (!used_up).then(|| left.min(today.max_token_lifetime))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::super::ids::{GrantId, HookName};
    use super::super::super::policy::{PolicyVersion, Terms};
    use super::super::super::token_request::CoverageKey;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_795_460_000 + seconds, 0).unwrap()
    }

    fn call(hook: &str, subject: &str) -> TokenRequest {
        serde_json::from_value(json!({
            "hook": hook, "grant_type": "client_credentials", "client": {"id": "ledger-cli"},
            "subject": {"kind": "user", "id": subject}, "scopes": ["a"], "audience": ["https://x.example"],
        }))
        .unwrap()
    }

    fn terms() -> Terms {
        let asked = call("shop", "alice@example.com");
        let bounds = Bounds { max_duration: 3_600, max_token_lifetime: 600, collect_within: 900, uses: Uses::Window };
        Terms { scopes: asked.scopes, dropped: BTreeMap::new(), rules: BTreeMap::new(), bounds }
    }

    fn ahead() -> Grant {
        let id = GrantId::parse(format!("grn_{:032x}", 1)).unwrap();
        let asked = call("shop", "alice@example.com");
        let grant = Grant::allowed(id, &asked, &terms(), PolicyVersion("p".to_owned()), at(0));
        let hooks = ["shop", "other"].map(|hook| HookName::parse(hook).unwrap()).to_vec();
        Grant { open: Some(hooks), coverage: CoverageKey::ahead(&asked), ..grant }
    }

    #[test]
    fn what_was_asked_ahead_belongs_to_the_first_call_that_collects_it() {
        let grant = ahead();
        let scopes = terms().scopes;
        // Another spelling of the same address is the same person.
        let mut bound = call("other", "Alice@Example.com");
        bound.cnf = Some(json!({ "jkt": "k" }));
        assert!(!grant.covers(&bound, &scopes), "as long as it is open it covers nothing by itself");
        let next = grant.collect(&bound, &scopes, at(10)).unwrap().next;
        assert!(next.covers(&bound, &scopes));
        for other in [call("other", "Alice@Example.com"), call("shop", "alice@example.com")] {
            assert!(!next.covers(&other, &scopes));
            assert_eq!(next.collect(&other, &scopes, at(11)), Err(NotIssued::NotCovered));
        }
        assert_eq!((next.expires_at, next.scopes), (grant.expires_at, grant.scopes));
    }

    #[test]
    fn a_call_with_anything_besides_collects_nothing() {
        let changes: [fn(&mut TokenRequest); 5] = [
            |call| call.hook = HookName::parse("third").unwrap(),
            |call| call.client.id.push('x'),
            |call| call.actor.push("agent".to_owned()),
            |call| call.authorization_details.push(json!({ "type": "pay" })),
            |call| call.audience.clear(),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut other = call("shop", "alice@example.com");
            change(&mut other);
            assert_eq!(ahead().collect(&other, &terms().scopes, at(1)), Err(NotIssued::NotCovered), "change {n}");
        }
    }

    #[test]
    fn nothing_is_usable_before_its_start_was_looked_at() {
        let grant = Grant { start: Start::At { at: at(100), checked: false }, open: None, ..ahead() };
        assert_eq!(grant.due_at(), Some(at(100)));
        assert!(grant.started(at(99)).is_none() && !grant.has_started(at(3_000)));
        let started = grant.started(at(100)).unwrap().next;
        assert!(started.has_started(at(100)) && !started.has_started(at(99)));
    }

    #[test]
    fn the_warning_comes_once_and_at_most_a_tenth_before_the_end() {
        let grant = Grant { open: None, ..ahead() };
        assert_eq!(grant.clone().warned_before_end(60).warn_at, Some(at(3_540)));
        let warned = grant.warned_before_end(6_000);
        assert_eq!((warned.warn_at, warned.due_at()), (Some(at(3_240)), Some(at(3_240))));
        assert!(warned.nears_end(at(3_239)).is_none());
        let told = warned.nears_end(at(3_240)).unwrap().next;
        assert!(told.nears_end(at(3_241)).is_none());
        assert_eq!(told.due_at(), Some(at(3_600)));
    }

    #[test]
    fn the_stricter_of_two_policies_bounds_every_token() {
        let (grant, mut today) = (Grant { open: None, used: 1, ..ahead() }, terms().bounds);
        assert_eq!(grant.bounded_by(&today, false, at(3_500)), Some(100));
        today.max_token_lifetime = 30;
        assert_eq!(grant.bounded_by(&today, false, at(10)), Some(30));
        today.max_duration = 600;
        assert_eq!(
            (grant.bounded_by(&today, false, at(590)), grant.bounded_by(&today, false, at(600))),
            (Some(10), None)
        );
        today.uses = Uses::Times(1);
        assert_eq!((grant.bounded_by(&today, false, at(10)), grant.bounded_by(&today, true, at(10))), (None, Some(30)));
    }
}
