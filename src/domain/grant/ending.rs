//! How a grant ends: somebody revokes it, or its end by itself is written down.

use serde_json::json;

use super::super::Timestamp;
use super::super::access_request::Cooldown;
use super::super::audit::{Actor, Kind};
use super::{Ending, Grant, GrantStep, NotIssued, Source, State, Status, after, spoken};

impl Grant {
    /// Ends it. What it covered is refused for the longer of the cool-down and what an allow had left.
    ///
    /// # Errors
    /// [`NotIssued`] when it is over already.
    pub fn revoke(&self, by: Actor, reason: &str, cooldown: u64, now: Timestamp) -> Result<GrantStep, NotIssued> {
        match self.status(now) {
            Status::Revoked => return Err(NotIssued::Revoked),
            // It would still answer the call that used it up.
            Status::Ended(Ending::UsedUp) if self.state == State::Live && now < self.expires_at => {}
            Status::Ended(how) => return Err(NotIssued::Ended(how)),
            Status::Reserved | Status::Active => {}
        }
        let until = match self.source {
            Source::AllowRule => after(now, cooldown).max(self.expires_at),
            Source::Request(_) | Source::BreakGlass => after(now, cooldown),
        };
        let summary = format!("{by} revoked the grant of {}", spoken(&self.scopes));
        let audit = self.entry(
            Kind::GrantRevoked,
            by.clone(),
            summary,
            json!({ "reason": reason, "last_token_expires_at": self.last_token_expires_at, "refused_until": until }),
            now,
        );
        let mut next = self.clone();
        next.state = State::Revoked { by, at: now, reason: reason.to_owned() };
        let cooldowns = self.at_each_hook(Cooldown::of(&self.asked, &self.scopes, until, "revoked"));
        Ok(GrantStep { next, cooldowns, audit, effects: self.card_effects() })
    }

    /// Writes its end down, if it has ended by itself.
    pub fn time_passed(&self, now: Timestamp) -> Option<GrantStep> {
        if self.due_at().is_none_or(|due| now < due) {
            return None;
        }
        let how = match (&self.state, self.status(now)) {
            (State::Live, Status::Ended(how)) => how,
            (State::Live | State::Revoked { .. } | State::Ended { .. }, _) => return None,
        };
        let what = match how {
            Ending::Expired => "time is up",
            Ending::Uncollected => "nobody collected it in time",
            Ending::UsedUp => "its last use was used",
            Ending::HandedBack => "it was handed back",
        };
        let summary = format!("the grant of {} ended: {what}", spoken(&self.scopes));
        let audit = self.entry(Kind::GrantEnded, Actor::Time, summary, json!({ "how": how, "used": self.used }), now);
        let mut next = self.clone();
        next.state = State::Ended { at: now, how };
        Some(GrantStep { next, cooldowns: Vec::new(), audit, effects: self.card_effects() })
    }
}
