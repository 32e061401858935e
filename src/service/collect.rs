//! What was granted ahead: its start, and the call that collects it. And the order in which grants are tried.

use super::hand_over::Case;
use super::{Call, Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Origin};
use crate::domain::audit::Actor;
use crate::domain::grant::{Grant, GrantStep};
use crate::domain::identity::Voter;
use crate::domain::policy::{Ruling, Terms, Uses};
use crate::domain::token_request::{CoverageKey, TokenRequest};
use crate::store::{Change, Commit, Outcome, StoreError};

use super::click::Why;

/// After Slack could not be asked at a start, it is asked again this many seconds later.
const START_AGAIN: i64 = 10;

/// What came of looking at a grant at its start.
enum Begun {
    Started(Box<Grant>),
    Over,
    /// Slack cannot be asked just now.
    Unknown,
}

impl Service {
    /// The grants of a call in the order to try them. A use that was counted before is answered by the grant that
    /// counted it, although another one may last longer.
    pub(super) async fn in_order(&self, case: &Case<'_>, mut grants: Vec<Grant>) -> Result<Vec<Grant>, Error> {
        let Case { call, terms, now, .. } = *case;
        if grants.len() < 2 || grants.iter().all(|grant| grant.uses_under(&terms.bounds) == Uses::Window) {
            return Ok(grants);
        }
        match &call.named {
            Some(named) => {
                let earlier = self.0.store.earlier_call(named).await?;
                grants.sort_by_key(|grant| Some(&grant.id) != earlier.as_ref());
            }
            None => {
                let fingerprint = call.asked.fingerprint();
                grants.sort_by_key(|grant| !grant.is_same_use(&fingerprint, now));
            }
        }
        Ok(grants)
    }

    /// Takes what was granted ahead for this call, if there is something: from now on it belongs to it.
    pub(super) async fn collected_for(&self, case: &Case<'_>) -> Result<Option<Grant>, Error> {
        let Case { call, ruling, terms, now, .. } = *case;
        if !matches!(ruling, Ruling::Asked(_)) || !call.asked.may_open_a_request() {
            return Ok(None);
        }
        for key in CoverageKey::waiting_for(&call.asked) {
            for grant in self.0.store.live_grants(key, now).await? {
                if !grant.is_open_to(&call.asked, &terms.scopes, now) {
                    continue;
                }
                if self.is_another_call(call).await? {
                    return Err(StoreError::OtherBody.into());
                }
                let grant = match self.begin(&grant, now).await? {
                    Begun::Started(grant) => *grant,
                    Begun::Over => continue,
                    Begun::Unknown => return Err(Error::SlackSilent),
                };
                let Some(step) = grant.collected_by(&call.asked, ruling, terms, now) else { continue };
                let next = step.next.clone();
                // Somebody else may have collected it at the same instant.
                if self.commit_grant(&grant, step, now).await? {
                    return Ok(Some(Grant { version: next.version + 1, ..next }));
                }
            }
        }
        Ok(None)
    }

    /// Whether a hook's call would be covered by something that people were asked about in Slack.
    pub(super) async fn waited_for(
        &self,
        call: &Call,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Option<AccessRequest>, Error> {
        let mut keys = CoverageKey::waiting_for(&call.asked);
        keys.push(call.asked.coverage_key());
        let pending = self.0.store.pending_that_cover(&keys).await?;
        Ok(pending.into_iter().find(|request| request.would_cover(&call.asked, &terms.scopes, now)))
    }

    /// What is due of a grant that has not ended: its start, or the warning before its end.
    pub(super) async fn look_after(&self, grant: &Grant, now: Timestamp) -> Result<bool, Error> {
        if grant.start.unchecked().is_some_and(|at| now >= at) {
            return match self.begin(grant, now).await? {
                Begun::Started(_) | Begun::Over => Ok(true),
                Begun::Unknown => {
                    let again = now + chrono::Duration::seconds(START_AGAIN);
                    self.0.store.look_again_at(&grant.id, again).await?;
                    Ok(false)
                }
            };
        }
        match grant.nears_end(now) {
            Some(step) => self.commit_grant(grant, step, now).await,
            None => Ok(false),
        }
    }

    /// At its start it is asked anew, of Slack and of the policy, whether those who approved would be enough.
    async fn begin(&self, grant: &Grant, now: Timestamp) -> Result<Begun, Error> {
        let Some(step) = grant.started(now) else { return Ok(Begun::Started(Box::new(grant.clone()))) };
        let request = match grant.request() {
            Some(id) => self.0.store.request(id).await?,
            None => None,
        };
        let why = match &request {
            None => Some("the access request behind this grant is gone".to_owned()),
            Some(request) => match self.still_agreed(grant, request, now).await? {
                Some(why) => why,
                None => return Ok(Begun::Unknown),
            },
        };
        if let Some(why) = why {
            // Whether it was ended here or by somebody who was first: it does not start.
            let _ = self.revoke(grant, request.as_ref(), Actor::Service, &why, None, now).await?;
            return Ok(Begun::Over);
        }
        let next = step.next.clone();
        if self.commit_grant(grant, step, now).await? {
            return Ok(Begun::Started(Box::new(Grant { version: next.version + 1, ..next })));
        }
        match self.0.store.grant(&grant.id).await? {
            Some(again) if again.has_started(now) => Ok(Begun::Started(Box::new(again))),
            Some(_) | None => Ok(Begun::Over),
        }
    }

    /// Why it does not start, if so. The outer `None`: Slack cannot be asked.
    async fn still_agreed(
        &self,
        grant: &Grant,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<Option<Option<String>>, Error> {
        let mut people: Vec<Voter> = Vec::new();
        for decider in &grant.deciders {
            match self.voter(&decider.slack, request, now).await {
                Ok(voter) if voter.principal == decider.principal => people.push(voter),
                Ok(_) => {}
                Err(Why::SlackDown) => return Ok(None),
                Err(_) => {}
            }
        }
        let policy = self.policy();
        let ruling = match &request.origin {
            Origin::Ahead(ahead) => {
                let Some(place) = self.home(request) else {
                    return Ok(Some(Some("its workspace is not configured any more".to_owned())));
                };
                let resource = policy.resources.iter().find(|one| request.asked.audience.contains(&one.audience));
                let Some(resource) = resource else {
                    return Ok(Some(Some("the policy does not know what it is for any more".to_owned())));
                };
                let asked = TokenRequest { scopes: grant.scopes.clone(), ..request.asked.clone() };
                Some(self.judge_ahead(&policy, resource, &asked, &ahead.by, place, now).await?)
            }
            Origin::Hook | Origin::Extension(_) => None,
        };
        Ok(Some(request.refuses_to_start(&people, ruling.as_ref())))
    }

    /// Commits a step of a grant; false when somebody else was first.
    pub(super) async fn commit_grant(&self, grant: &Grant, step: GrantStep, now: Timestamp) -> Result<bool, Error> {
        let request = match grant.request() {
            Some(id) => self.0.store.request(id).await?,
            None => None,
        };
        let mut deliveries = request
            .as_ref()
            .map(|request| self.deliveries(request, &step.effects, Some(&step.audit)))
            .unwrap_or_default();
        deliveries.extend(self.review_refresh(grant).await?);
        let commit = Commit {
            grant: Some(Change::Replace(step.next)),
            cooldowns: step.cooldowns,
            audit: vec![step.audit],
            deliveries,
            ..Commit::default()
        };
        let done = self.0.store.commit(commit, now).await? == Outcome::Done;
        if done {
            self.tell(grant.request());
        }
        Ok(done)
    }
}
