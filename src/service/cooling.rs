//! Cool-downs: how long a denial refuses, and operators who lift it.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::Cooldown;
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::ids::HookName;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::TokenRequest;
use crate::store::{Commit, CooldownKey, CoolingDown};

/// How many cool-downs are looked through to be lifted at once.
const LIFTED_MAX: u32 = 1_000;

/// Which cool-downs to lift: all that agree with what is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lift {
    /// The hook.
    pub hook: Option<String>,
    /// The client.
    pub client: Option<String>,
    /// The subject.
    pub subject: Option<String>,
    /// The audience.
    pub audience: Option<String>,
    /// The scope.
    pub scope: Option<String>,
}

impl Lift {
    /// Whether nothing is named: then nothing is lifted, because everything would be.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fits(&self, key: &CooldownKey) -> bool {
        let agree = |wanted: &Option<String>, is: &String| wanted.as_ref().is_none_or(|wanted| wanted == is);
        agree(&self.hook, &key.hook)
            && agree(&self.client, &key.client)
            && agree(&self.subject, &key.subject)
            && agree(&self.audience, &key.audience)
            && agree(&self.scope, &key.scope)
    }
}

impl Service {
    /// A denial that follows on others refuses for longer.
    pub(super) async fn lengthen(
        &self,
        asked: &TokenRequest,
        cooldowns: &mut Vec<Cooldown>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let denied: ScopeSet = cooldowns.iter().filter_map(|one| Scope::try_from(one.scope.clone()).ok()).collect();
        if cooldowns.is_empty() {
            return Ok(());
        }
        // What was asked ahead is refused at each hook where it could have been collected; each has its own count.
        let hooks: BTreeSet<&String> = cooldowns.iter().map(|one| &one.hook).collect();
        let mut earlier = Vec::new();
        for name in hooks {
            let Ok(hook) = HookName::parse(name.clone()) else { continue };
            let there = TokenRequest { hook, ..asked.clone() };
            let found = self.0.store.denials(&there, &denied).await?.into_iter();
            earlier.extend(found.map(|(audience, scope, denials)| ((name.clone(), audience, scope), denials)));
        }
        let longer = |one: Cooldown| {
            let is_this = |(hook, audience, scope): &(String, String, String)| {
                (hook, audience, scope) == (&one.hook, &one.audience, &one.scope)
            };
            let denials = earlier.iter().find(|(place, _)| is_this(place)).map(|(_, denials)| denials.clone());
            one.after(denials.as_ref(), now)
        };
        *cooldowns = std::mem::take(cooldowns).into_iter().map(longer).collect();
        Ok(())
    }

    /// What cools down now, the longest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cooling_down(&self, most: u32) -> Result<Vec<CoolingDown>, Error> {
        Ok(self.0.store.cooling_down(self.now(), most).await?)
    }

    /// Lifts cool-downs in an operator's name. Answers with what was lifted; how often it was denied is forgotten too.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lift_cooldowns(&self, lift: &Lift, by: Actor, reason: &str) -> Result<Vec<CooldownKey>, Error> {
        let now = self.now();
        let all = self.0.store.cooling_down(now, LIFTED_MAX).await?;
        let lifted: Vec<CooldownKey> = all.into_iter().map(|one| one.key).filter(|key| lift.fits(key)).collect();
        if lifted.is_empty() || lift.is_empty() {
            return Ok(Vec::new());
        }
        let audit = AuditEntry {
            at: now,
            kind: Kind::CooldownLifted,
            summary: format!("{by} lifted {} cool-downs", lifted.len()),
            actor: by,
            request_id: None,
            grant_id: None,
            detail: json!({ "reason": reason, "lifted": lifted }),
        };
        self.0.store.commit(Commit { audit: vec![audit], lifted: lifted.clone(), ..Commit::default() }, now).await?;
        Ok(lifted)
    }
}
