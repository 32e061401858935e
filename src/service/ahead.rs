//! What the policy says of something that is asked ahead.
//!
//! Asking ahead is judged by the same policy as a hook's call, once for each hook where it could be collected; what
//! must be agreed on is the sum of all of them. Nobody knows then how the client will call, so conditions see
//! `grant_type = ""`, no actor, no authorization details and an empty `context`.

use std::sync::Arc;

use super::workspaces::{Member, Place};
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{Asker, speaks_for};
use crate::domain::grant::TOKEN_LIFETIME_MIN;
use crate::domain::identity::Principal;
use crate::domain::ids::HookName;
use crate::domain::policy::{AheadRuling, Judging, Policy, Resource};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};

/// How far ahead something may be asked for, in days.
pub(super) const AHEAD_MAX_DAYS: i64 = 30;
/// The longest that access may be asked for, in seconds: a year.
pub(super) const LIFETIME_MAX: u64 = 366 * 86_400;

/// What somebody asks for ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub client: String,
    pub audience: String,
    pub scopes: ScopeSet,
    pub lifetime: Option<u64>,
    pub starts_at: Option<Timestamp>,
    pub reason: Option<String>,
    /// For whom, unless for whoever asks.
    pub subject: Option<Principal>,
}

impl Service {
    /// Judges what is asked ahead for each hook where it could be collected. A hook whose verdict refuses any of it
    /// drops out; of the others all that they demand is demanded.
    pub(super) async fn judge_ahead(
        &self,
        policy: &Policy,
        resource: &Resource,
        asked: &TokenRequest,
        who: &Asker,
        place: &Arc<Place>,
        now: Timestamp,
    ) -> Result<AheadRuling, Error> {
        let mut there = Vec::new();
        let hooks_here = resource.hooks.iter().filter_map(|name| self.0.settings.hooks.get(name));
        // Somebody of one workspace asks the people of it, and those of no other.
        for hook in hooks_here.filter(|hook| hook.workspace == *place.team()) {
            let at_hook = TokenRequest { hook: hook.name.clone(), ..asked.clone() };
            let judged = self.judged(policy, &at_hook, now).await?;
            there.push(Judging { hook: hook.name.clone(), server: hook.dialect.abilities().into(), judged });
        }
        let nowhere = format!("The policy names no authorization server where {} could be collected.", resource.name);
        Ok(policy.rule_ahead(asked, speaks_for(asked, &who.principal), there, nowhere))
    }

    /// The first hook of a resource whose people are those of this workspace.
    pub(super) fn hook_of_here<'r>(&self, place: &Place, resource: &'r Resource) -> Option<&'r HookName> {
        let is_here =
            |name: &&HookName| self.0.settings.hooks.get(*name).is_some_and(|hook| hook.workspace == *place.team());
        resource.hooks.iter().find(is_here)
    }

    /// The scopes of a resource that somebody may ask for through a client: those that are not refused outright.
    pub(super) async fn askable(
        &self,
        policy: &Policy,
        resource: &Resource,
        client: &str,
        who: &Member,
        now: Timestamp,
    ) -> Result<Vec<Scope>, Error> {
        let mut scopes = Vec::new();
        let Some(hook) = self.hook_of_here(&who.place, resource) else { return Ok(scopes) };
        for scope in resource.scopes.keys() {
            let wish = Wish {
                client: client.to_owned(),
                audience: resource.audience.clone(),
                scopes: std::iter::once(scope.clone()).collect(),
                lifetime: None,
                starts_at: None,
                reason: None,
                subject: None,
            };
            let asked = asked_ahead(who, &wish, hook.clone());
            match self.judge_ahead(policy, resource, &asked, who, &who.place, now).await? {
                AheadRuling::Refused(_) => {}
                AheadRuling::Allowed | AheadRuling::Asked { .. } => scopes.push(scope.clone()),
            }
        }
        Ok(scopes)
    }
}

/// The resource that a wish is about, if it is offered through this client with all of these scopes.
pub(super) fn offered<'p>(policy: &'p Policy, wish: &Wish) -> Option<&'p Resource> {
    policy.resources.iter().find(|resource| {
        resource.audience == wish.audience
            && resource.clients.contains(&wish.client)
            && !wish.scopes.is_empty()
            && wish.scopes.iter().all(|scope| resource.scopes.contains_key(scope))
    })
}

/// Stands for the number that the asker is shown, until there is one.
pub(super) const SHOWN_BY_US: &str = "shown by us";

/// The token request that a hook may send one day, as far as it is known.
pub(super) fn asked_ahead(who: &Asker, wish: &Wish, hook: HookName) -> TokenRequest {
    let subject = wish.subject.as_ref().unwrap_or(&who.principal);
    TokenRequest {
        hook,
        issuer: None,
        grant_type: String::new(),
        client: Client { id: wish.client.clone(), name: None },
        subject: Subject { kind: SubjectKind::User, id: subject.to_string(), email: None },
        actor: Vec::new(),
        scopes: wish.scopes.clone(),
        audience: std::iter::once(wish.audience.clone()).collect(),
        authorization_details: Vec::new(),
        cnf: None,
        // Where approvers must type a number, we show the asker one of ours when it is opened; that there will be one
        // is known while it is judged.
        binding_message: Some(SHOWN_BY_US.to_owned()),
        requested_lifetime: wish.lifetime,
        reason: wish.reason.clone(),
        context: std::collections::BTreeMap::new(),
    }
}

/// Why a wish cannot be meant, whatever the policy says.
pub(super) fn out_of_bounds(wish: &Wish, now: Timestamp) -> Option<String> {
    if wish.lifetime.is_some_and(|wish| !(TOKEN_LIFETIME_MIN..=LIFETIME_MAX).contains(&wish)) {
        return Some("That is no length of time that access can be given for.".to_owned());
    }
    match wish.starts_at {
        Some(start) if start <= now => Some("That start is in the past.".to_owned()),
        Some(start) if start > now + chrono::Duration::days(AHEAD_MAX_DAYS) => {
            Some(format!("It can be asked for at most {AHEAD_MAX_DAYS} days ahead."))
        }
        Some(_) | None => None,
    }
}
