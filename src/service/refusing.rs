//! Saying no to a call, and that it is on record.

use serde_json::json;

use super::ask::{Call, Look};
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, State, Status};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::spoken;
use crate::domain::policy::Policy;
use crate::domain::token_request::{SubjectKind, TokenRequest};
use crate::hooks::{Answer, Denied, DeniedKind};
use crate::store::Commit;

/// A limit that stands against asking people once more.
pub(super) struct Limit {
    pub says: String,
}

impl Service {
    /// What stands against asking people once more about the same subject or client.
    pub(super) async fn over_a_limit(
        &self,
        policy: &Policy,
        asked: &TokenRequest,
        now: Timestamp,
    ) -> Result<Option<Limit>, Error> {
        let (most, whose) = match asked.subject.kind {
            SubjectKind::User => (policy.limits.pending_per_subject, "this subject"),
            SubjectKind::Client => (policy.limits.pending_per_client, "this client"),
        };
        let Some(most) = most else { return Ok(None) };
        let pending = self.0.store.pending_of(asked, now).await?;
        let says = || format!("{pending} access requests of {whose} are pending already.");
        Ok((pending >= most).then(|| Limit { says: says() }))
    }

    /// Refuses a call; the refusal is on record before the answer.
    pub(super) async fn refuse(
        &self,
        call: &Call,
        kind: DeniedKind,
        says: String,
        rule: Option<&str>,
        now: Timestamp,
    ) -> Result<Look, Error> {
        let audit = self.refusal(&call.asked, &says, rule, now);
        let commit = Commit { call: call.named.clone(), audit: vec![audit], ..Commit::default() };
        let answer = Answer::Denied(Denied { says, request_id: None, error: kind });
        self.committed(commit, Look::Answer(answer), now).await
    }

    /// A refusal that leaves nothing but its record, at a bounded rate: who asks too much must not fill the audit.
    pub(super) async fn turned_away(&self, call: &Call, says: &str) -> Result<(), Error> {
        let now = self.now();
        if self.0.refusals.may_be_written(call.asked.hook.as_str(), now) {
            let audit = vec![self.refusal(&call.asked, says, None, now)];
            self.0.store.commit(Commit { audit, ..Commit::default() }, now).await?;
        }
        Ok(())
    }

    fn refusal(&self, asked: &TokenRequest, says: &str, rule: Option<&str>, now: Timestamp) -> AuditEntry {
        AuditEntry {
            at: now,
            kind: Kind::TokenRefused,
            actor: Actor::Hook(asked.hook.clone()),
            request_id: None,
            grant_id: None,
            summary: format!("{} was refused {}: {says}", asked.client.id, spoken(&asked.scopes)),
            detail: json!({
                "client": asked.client, "subject": asked.subject, "scopes": asked.scopes, "audience": asked.audience,
                "rules": rule.into_iter().collect::<Vec<_>>(), "policy": self.policy().version,
            }),
        }
    }
}

/// What a call is told whose access request ended without a grant.
pub(super) fn ended(request: &AccessRequest, now: Timestamp) -> Answer {
    let suggested = &request.deciding.suggested;
    let (error, says) = match (&request.state, request.status(now)) {
        (State::Denied { .. }, _) if !suggested.is_empty() => {
            let says = format!("An approver did not grant all of this. Ask for these alone: {suggested}");
            (DeniedKind::Person, says)
        }
        (State::Denied { .. }, _) => (DeniedKind::Person, "An approver denied this request.".to_owned()),
        (_, Status::Cancelled) => {
            let because = request.deciding.because.clone();
            (DeniedKind::Cancelled, because.unwrap_or_else(|| "This request was withdrawn.".to_owned()))
        }
        (_, _) => (DeniedKind::Expired, "Nobody decided on this request in time.".to_owned()),
    };
    Answer::Denied(Denied { says, request_id: Some(request.id.clone()), error })
}
