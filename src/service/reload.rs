//! A new policy while the service runs: all of it, or none of it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use serde_json::json;

use super::{Error, Service};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::identity::Directory;
use crate::domain::ids::SlackTeamId;
use crate::domain::policy::{Policy, PolicyVersion};
use crate::store::Commit;

impl Service {
    /// Puts a policy in force that was read and checked. From this instant every click and every issuance is judged
    /// by it; what is asked already stays as it was shown, and the stricter of both counts.
    ///
    /// # Errors
    /// When the store does not answer: then the policy is in force, and only its record is missing.
    pub async fn policy_reloaded(&self, policy: Policy) -> Result<(), Error> {
        let (version, warnings) = (policy.version.clone(), policy.warnings.clone());
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let before = {
            let mut current = self.0.policy.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::new(policy)).version.clone()
        };
        self.0.policy_refused.store(false, Ordering::Relaxed);
        metrics::counter!("countersign_policy_reloads_total", "outcome" => "reloaded").increment(1);
        tracing::info!(
            version = version.0,
            before = before.0,
            "the policy and who is who were read anew; secrets and hooks were not"
        );
        let same = version == before;
        let summary = if same { "the policy was read anew; it is the same" } else { "another policy is in force" };
        self.policy_audit(Kind::PolicyReloaded, summary, &version, &before).await
    }

    /// Who is who from this instant on: every click and every first hand-over is judged by it. What becomes of those
    /// who are gone is [`Service::directory_loaded`].
    pub fn directories_become(&self, directories: BTreeMap<SlackTeamId, Directory>) {
        for (team, directory) in directories {
            if let Some(place) = self.place_named(Some(&team)) {
                place.directory_is(directory);
            }
        }
    }

    /// A policy that was to be put in force cannot be used: the one before stays, and that is said loudly.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn policy_refused(&self, mistakes: &str, file: Option<PolicyVersion>) -> Result<(), Error> {
        let current = self.policy().version.clone();
        self.0.policy_refused.store(true, Ordering::Relaxed);
        metrics::counter!("countersign_policy_reloads_total", "outcome" => "refused").increment(1);
        for mistake in mistakes.lines() {
            tracing::error!(kept = current.0, "nothing was reloaded: {mistake}");
        }
        let file = file.unwrap_or_else(|| PolicyVersion("unreadable".to_owned()));
        let summary = "what was read anew cannot be used; what was in force before stays";
        self.policy_audit(Kind::PolicyRefused, summary, &file, &current).await
    }

    /// Only hashes: the audit never shows what stands in the file.
    async fn policy_audit(
        &self,
        kind: Kind,
        summary: &str,
        version: &PolicyVersion,
        other: &PolicyVersion,
    ) -> Result<(), Error> {
        let now = self.now();
        let (is, was) = match kind == Kind::PolicyReloaded {
            true => (version, other),
            false => (other, other),
        };
        let audit = AuditEntry {
            at: now,
            kind,
            actor: Actor::Service,
            request_id: None,
            grant_id: None,
            summary: summary.to_owned(),
            detail: json!({ "file": version, "policy": is, "before": was }),
        };
        self.0.store.commit(Commit { audit: vec![audit], ..Commit::default() }, now).await?;
        Ok(())
    }
}
