//! What operators can do: look, and revoke. Nothing here approves: there is one decision path.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::{CONFLICTS_MAX, Error, Hook, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef, State, Status};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::{Grant, NotIssued, Source, Status as GrantStatus};
use crate::domain::ids::{GrantId, HookName, RequestId, SlackTeamId};
use crate::store::{Chained, Change, Commit, DeadLetter, Outcome, StoreError};

/// A write that takes longer than this does not work.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// Anybody may ask for the health; the disk is asked no more often than this.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);

/// An access request as operators see it.
#[derive(Debug, Serialize)]
pub struct RequestView {
    /// Its identifier.
    pub id: RequestId,
    /// `pending`, `approved`, `denied`, `expired` or `cancelled`, at this instant.
    pub status: Status,
    /// The Slack workspace whose people decide.
    pub workspace: SlackTeamId,
    /// The hook.
    pub hook: HookName,
    /// The client's identifier.
    pub client: String,
    /// The subject's kind and identifier.
    pub subject: Value,
    /// What would be or was granted.
    pub scope: String,
    /// The audiences.
    pub audience: Vec<String>,
    /// Why, in the client's words.
    pub reason: Option<String>,
    /// The rules that asked.
    pub rules: Vec<String>,
    /// What people were shown.
    pub shown_version: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it expires unless decided.
    pub decide_by: Timestamp,
    /// Who has approved so far.
    pub approved_by: Vec<String>,
    /// How it ended.
    pub outcome: State,
}

/// A grant as operators see it.
#[derive(Debug, Serialize)]
pub struct GrantView {
    /// Its identifier.
    pub id: GrantId,
    /// `reserved`, `active`, `expired`, `uncollected`, `used_up` or `revoked`, at this instant.
    pub status: String,
    /// Where it comes from.
    pub source: Source,
    /// The hook.
    pub hook: HookName,
    /// The client's identifier.
    pub client: String,
    /// The subject's kind and identifier.
    pub subject: Value,
    /// What may be issued.
    pub scope: String,
    /// The audiences.
    pub audience: Vec<String>,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// Its absolute end.
    pub expires_at: Timestamp,
    /// How often it was used.
    pub used: u32,
    /// When the last token that was issued under it runs out.
    pub last_token_expires_at: Option<Timestamp>,
    /// The people who approved.
    pub approved_by: Vec<String>,
    /// The rules that decided.
    pub rules: Vec<String>,
}

/// How a revocation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// It is revoked from now on.
    Done,
    /// There is no such grant.
    Unknown,
    /// It was over already.
    Over,
}

impl Service {
    /// Access requests, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn requests(&self, before: Option<&str>, most: u32) -> Result<Vec<RequestView>, Error> {
        let now = self.now();
        Ok(self.0.store.requests(before, most).await?.iter().map(|request| self.request_view(request, now)).collect())
    }

    /// One access request.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn request(&self, id: &RequestId) -> Result<Option<RequestView>, Error> {
        let now = self.now();
        Ok(self.0.store.request(id).await?.map(|request| self.request_view(&request, now)))
    }

    /// Grants, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn grants(&self, before: Option<&str>, most: u32) -> Result<Vec<GrantView>, Error> {
        let now = self.now();
        Ok(self.0.store.grants(before, most).await?.iter().map(|grant| grant_view(grant, now)).collect())
    }

    /// One grant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<GrantView>, Error> {
        let now = self.now();
        Ok(self.0.store.grant(id).await?.map(|grant| grant_view(&grant, now)))
    }

    /// Ends a grant in an operator's name, or in a hook's on behalf of its client.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_grant(&self, id: &GrantId, by: Actor, reason: &str) -> Result<Revocation, Error> {
        let now = self.now();
        for _ in 0..CONFLICTS_MAX {
            let Some(grant) = self.0.store.grant(id).await? else { return Ok(Revocation::Unknown) };
            let of_another = matches!(&by, Actor::Hook(hook) if *hook != grant.asked.hook);
            if of_another {
                return Ok(Revocation::Unknown);
            }
            let request = match grant.request() {
                Some(request) => self.0.store.request(request).await?,
                None => None,
            };
            match self.revoke(&grant, request.as_ref(), by.clone(), reason, None, now).await? {
                Ok(true) => return Ok(Revocation::Done),
                Ok(false) => {}
                Err(_) => return Ok(Revocation::Over),
            }
        }
        Err(Error::Busy)
    }

    /// Commits the end of a grant; `Ok(false)` when somebody else was first.
    pub(super) async fn revoke(
        &self,
        grant: &Grant,
        request: Option<&AccessRequest>,
        by: Actor,
        reason: &str,
        bind: Option<(String, MessageRef)>,
        now: Timestamp,
    ) -> Result<Result<bool, NotIssued>, Error> {
        // What the service ends by itself is nobody's no: nothing cools down.
        let by_itself = by == Actor::Service;
        let cooldown = if by_itself { 0 } else { self.policy().limits.denial_cooldown };
        let mut step = match grant.revoke(by, reason, cooldown, now) {
            Ok(step) => step,
            Err(over) => return Ok(Err(over)),
        };
        if by_itself {
            step.cooldowns.clear();
        }
        let mut deliveries =
            request.map(|request| self.deliveries(request, &step.effects, Some(&step.audit))).unwrap_or_default();
        deliveries.extend(self.review_refresh(grant).await?);
        let commit = Commit {
            grant: Some(Change::Replace(step.next)),
            cooldowns: step.cooldowns,
            audit: vec![step.audit],
            deliveries,
            // A card whose post was never answered becomes known by this click, and is edited like any other.
            card: request.zip(bind.as_ref()).map(|(request, (_, message))| (request.id.clone(), message.clone())),
            bind,
            ..Commit::default()
        };
        let done = self.0.store.commit(commit, now).await? == Outcome::Done;
        if done {
            self.tell(grant.request());
        }
        Ok(Ok(done))
    }

    /// Audit entries after a number, in order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit(&self, after: i64, most: u32) -> Result<Vec<Chained>, Error> {
        Ok(self.0.store.audit(after, most).await?)
    }

    /// Deliveries that were given up.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn dead_letters(&self, most: u32) -> Result<Vec<DeadLetter>, Error> {
        Ok(self.0.store.dead_letters(most).await?)
    }
}

fn subject(asked: &crate::domain::token_request::TokenRequest) -> Value {
    json!({ "kind": asked.subject.kind, "id": asked.subject.id })
}

impl Service {
    fn request_view(&self, request: &AccessRequest, now: Timestamp) -> RequestView {
        RequestView {
            id: request.id.clone(),
            status: request.status(now),
            workspace: self.team_of(request).clone(),
            hook: request.asked.hook.clone(),
            client: request.asked.client.id.clone(),
            subject: subject(&request.asked),
            scope: request.question.terms.scopes.to_string(),
            audience: request.asked.audience.iter().cloned().collect(),
            reason: request.asked.reason.clone(),
            rules: request.question.terms.rules.values().cloned().collect(),
            shown_version: request.shown_version,
            opened_at: request.opened_at,
            decide_by: request.decide_by,
            approved_by: request.counting().map(|vote| vote.voter.principal.to_string()).collect(),
            outcome: request.state.clone(),
        }
    }
}

fn grant_view(grant: &Grant, now: Timestamp) -> GrantView {
    use crate::domain::grant::Ending;
    let status = match grant.status(now) {
        GrantStatus::Reserved => "reserved",
        GrantStatus::Active => "active",
        GrantStatus::Ended(Ending::Expired) => "expired",
        GrantStatus::Ended(Ending::Uncollected) => "uncollected",
        GrantStatus::Ended(Ending::UsedUp) => "used_up",
        GrantStatus::Ended(Ending::HandedBack) => "handed_back",
        GrantStatus::Revoked => "revoked",
    };
    GrantView {
        id: grant.id.clone(),
        status: status.to_owned(),
        source: grant.source.clone(),
        hook: grant.asked.hook.clone(),
        client: grant.asked.client.id.clone(),
        subject: subject(&grant.asked),
        scope: grant.scopes.to_string(),
        audience: grant.asked.audience.iter().cloned().collect(),
        granted_at: grant.granted_at,
        expires_at: grant.expires_at,
        used: grant.used,
        last_token_expires_at: grant.last_token_expires_at,
        approved_by: grant.deciders.iter().map(|decider| decider.principal.to_string()).collect(),
        rules: grant.rules.clone(),
    }
}

impl Service {
    /// Writes something real, at most once a second, to learn whether writing works.
    ///
    /// # Errors
    /// What keeps it from working.
    pub async fn writing_works(&self) -> Result<(), StoreError> {
        let mut last = self.0.probed.lock().await;
        if let Some((at, outcome)) = last.as_ref()
            && at.elapsed() < PROBE_EVERY
        {
            return outcome.clone();
        }
        let deadline = tokio::time::timeout(PROBE_DEADLINE, self.0.store.probe(self.now()));
        let outcome = deadline.await.unwrap_or_else(|_| Err(StoreError::Database("a write took too long".to_owned())));
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// What does not work although calls are answered.
    pub async fn degraded(&self) -> Vec<&'static str> {
        let dead = self.0.store.outbox_counts().await.map(|(_, dead)| dead).unwrap_or(0);
        let slack = self.0.slack_fails.load(Ordering::Relaxed).then_some("slack");
        let policy = self.0.policy_refused.load(Ordering::Relaxed).then_some("policy");
        let token = self.places().any(|place| place.why_paused().is_some()).then_some("slack_token");
        let sockets = self.sockets_missing().then_some("slack_sockets");
        let dead = (dead > 0).then_some("dead_letters");
        slack.into_iter().chain(token).chain(sockets).chain(dead).chain(policy).collect()
    }

    /// Brings the gauges up to date.
    pub async fn measure(&self) {
        metrics::gauge!("countersign_held_calls").set(count(self.held() as u64));
        if let Ok(overdue) = self.0.store.overdue_reviews(self.now()).await {
            metrics::gauge!("countersign_reviews_overdue").set(count(overdue.unsigned_abs()));
        }
        if let Ok((ready, dead)) = self.0.store.outbox_counts().await {
            metrics::gauge!("countersign_outbox_waiting").set(count(ready.unsigned_abs()));
            metrics::gauge!("countersign_outbox_dead").set(count(dead.unsigned_abs()));
        }
    }

    /// Writes down that an authentic call could not be judged.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn call_refused(&self, hook: &Hook, why: &str) -> Result<(), Error> {
        let now = self.now();
        if !self.0.refusals.may_be_written(hook.name.as_str(), now) {
            return Ok(());
        }
        let audit = AuditEntry {
            at: now,
            kind: Kind::TokenRefused,
            actor: Actor::Hook(hook.name.clone()),
            request_id: None,
            grant_id: None,
            summary: format!("a call of {} could not be judged", hook.name),
            detail: json!({ "why": why.chars().take(1_000).collect::<String>() }),
        };
        self.0.store.commit(Commit { audit: vec![audit], ..Commit::default() }, now).await?;
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts of this size are exact")]
fn count(n: u64) -> f64 {
    n as f64
}
