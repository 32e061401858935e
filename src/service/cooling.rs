//! Cool-downs: how long a denial refuses, and operators who lift it.

use serde_json::json;

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::Cooldown;
use crate::domain::audit::{Actor, AuditEntry, Kind};
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
        let earlier = self.0.store.denials(asked, &denied).await?;
        let longer = |one: Cooldown| {
            let same = earlier.iter().find(|(audience, scope, _)| *audience == one.audience && *scope == one.scope);
            let denials = same.map(|(_, _, denials)| denials.clone());
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
