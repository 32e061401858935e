//! Observed hooks and rules: what would have been asked or refused is written down, and the server issues as before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ask::{Call, Look};
use super::{Error, Hook, Service};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::{after, spoken};
use crate::domain::policy::{Bounds, Mode, Observation, Observed, Policy, Ruling, Terms, Would};
use crate::domain::token_request::TokenRequest;
use crate::hooks::{Answer, Observed as Passed};
use crate::store::Commit;

/// What the policy makes of a token request, and what it would have made of the observed part.
pub(super) struct Judgement {
    pub ruling: Ruling,
    pub observed: Option<Observation>,
    /// What a server that can narrow may issue now, while people are asked about the rest.
    pub allowed_now: Option<Terms>,
}

impl Service {
    /// Judges under a policy; a hook that is observed lets everything pass.
    pub(super) async fn judgement(
        &self,
        policy: &Policy,
        hook: &Hook,
        asked: &TokenRequest,
        now: Timestamp,
    ) -> Result<Judgement, Error> {
        let judged = self.judged(policy, asked, now).await?;
        let narrow_scope = hook.dialect.abilities().narrow_scope;
        let how = match hook.mode {
            Mode::Enforce => Observed::ByRule,
            Mode::Observe => Observed::ByHook,
        };
        let observed = policy.observed(asked, &judged, narrow_scope, how);
        let allowed_now = match hook.mode {
            Mode::Enforce if narrow_scope => policy.allowed_now(asked, &judged),
            Mode::Enforce | Mode::Observe => None,
        };
        let ruling = match hook.mode {
            Mode::Enforce => policy.rule(asked, judged, narrow_scope),
            Mode::Observe => Ruling::Observed(Terms {
                scopes: asked.scopes.clone(),
                dropped: BTreeMap::new(),
                rules: BTreeMap::new(),
                bounds: Bounds::default(),
            }),
        };
        Ok(Judgement { ruling, observed, allowed_now })
    }

    /// Everything that is left passes: it is written down, and no grant exists for it.
    pub(super) async fn pass(
        &self,
        call: &Call,
        terms: &Terms,
        observed: Option<&Observation>,
        now: Timestamp,
    ) -> Result<Look, Error> {
        let commit = Commit {
            call: call.named.clone(),
            audit: observed.map(|observed| self.observation(call, observed, now)).into_iter().collect(),
            ..Commit::default()
        };
        if let Some(observed) = observed {
            metrics::counter!("countersign_observed_total", "verdict" => observed.verdict.as_str()).increment(1);
        }
        let lifetime = call.asked.requested_lifetime;
        let answer = Answer::Observed(Passed {
            scopes: terms.scopes.clone(),
            lifetime,
            expires_at: lifetime.map(|lifetime| after(now, lifetime)),
            dropped: terms.dropped.clone(),
        });
        self.committed(commit, Look::Answer(answer), now).await
    }

    fn observation(&self, call: &Call, observed: &Observation, now: Timestamp) -> AuditEntry {
        let asked = &call.asked;
        let would = match observed.verdict {
            Would::Allowed => "would have been allowed",
            Would::Asked => "would have been asked about",
            Would::BrokenGlass => "would have broken the glass",
            Would::Refused => "would have been refused",
        };
        AuditEntry {
            at: now,
            kind: Kind::Observed,
            actor: Actor::Hook(asked.hook.clone()),
            request_id: None,
            grant_id: None,
            summary: format!("{} passed with {}, which {would}", asked.client.id, spoken(&asked.scopes)),
            detail: json!({
                "client": asked.client, "subject": asked.subject, "audience": asked.audience,
                "observed": detail(observed), "policy": self.policy().version,
                "call": call.named.as_ref().map(|named| &named.id),
            }),
        }
    }
}

/// An observation as it stands in the audit, also beside what was enforced.
pub(super) fn detail(observed: &Observation) -> Value {
    json!(observed)
}
