//! A hook asks: the answer from a standing grant, from the policy, or from people.
//!
//! Whatever the store says when a call is woken or repeated decides; nothing is remembered in memory but who waits.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::hand_over::Case;
use super::observe::Judgement;
use super::refusing::{Limit, ended};
use super::{CONFLICTS_MAX, Error, HELD_MAX, Hook, Service, fresh_grant_id, fresh_request_id};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Event, Refusal, ServerAbilities, Status, Step};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::{Grant, TOKEN_LIFETIME_MIN};
use crate::domain::ids::RequestId;
use crate::domain::policy::{Judged, Policy, Question, Ruling, Terms};
use crate::domain::token_request::TokenRequest;
use crate::hooks::{Answer, DeniedKind, Pending};
use crate::store::{Change, Commit, HookCall, Outcome, StoreError};

/// How long a client should wait before it asks again, in seconds.
pub(super) const INTERVAL: u64 = 5;
/// How long a client should wait that was refused for asking too much, in seconds.
const LIMIT_RETRY_AFTER: u64 = 30;
/// A held call is answered this long before its time is up, so that the answer arrives in time.
const MARGIN: Duration = Duration::from_millis(500);

/// A token request with the call that brought it.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is asked.
    pub asked: TokenRequest,
    /// The call, where the server names it.
    pub named: Option<HookCall>,
}

/// Where a call stands at one look at the store.
pub(super) enum Look {
    /// Answer this.
    Answer(Answer),
    /// People are asked.
    Waiting(Box<AccessRequest>),
    /// Somebody else was first, or something was written down: look again.
    Again,
}

impl Service {
    /// Answers a token request, holding the call for at most `hold` while people decide.
    ///
    /// # Errors
    /// When the store does not answer; the caller refuses.
    pub async fn token_requested(&self, hook: &Hook, call: &Call, hold: Duration) -> Result<Answer, Error> {
        let answer = Box::pin(self.answer_to(hook, call, hold)).await?;
        // Boxed, like all that a held call must not keep room for while it waits.
        match &answer {
            Answer::TooMany { says, .. } => Box::pin(self.turned_away(call, says)).await?,
            Answer::Conflict => {
                Box::pin(self.turned_away(call, "its identifier was used for another body before")).await?;
            }
            Answer::Granted(_)
            | Answer::Observed(_)
            | Answer::Pending(_)
            | Answer::Denied(_)
            | Answer::Unavailable { .. } => {}
        }
        Ok(answer)
    }

    async fn answer_to(&self, hook: &Hook, call: &Call, hold: Duration) -> Result<Answer, Error> {
        let until = Instant::now() + hold.saturating_sub(MARGIN);
        let mut draining = self.0.draining.subscribe();
        let mut looks = 0;
        let request = loop {
            // Boxed: a held call must not keep room for the looking while it waits.
            match Box::pin(self.look(hook, call, None)).await? {
                Look::Answer(answer) => return Ok(answer),
                Look::Waiting(request) => break request,
                Look::Again if looks < CONFLICTS_MAX => looks += 1,
                Look::Again => return Err(Error::Busy),
            }
        };
        // Nor room for the access request: what it will have to say is short.
        let (id, pending) = (request.id.clone(), self.pending(&request));
        drop(request);
        if hold <= MARGIN || self.held() >= HELD_MAX || *draining.borrow() {
            return Ok(pending);
        }
        loop {
            let mut waiter = self.0.waiters.subscribe(&id);
            // Subscribed first: a decision made since the look above is seen by this second one.
            match Box::pin(self.look_at(hook, call, &id)).await? {
                Look::Answer(answer) => return Ok(answer),
                Look::Waiting(_) => {}
                Look::Again => continue,
            }
            tokio::select! {
                () = waiter.news() => {}
                () = tokio::time::sleep_until(until) => return Ok(pending),
                _ = draining.changed() => return Ok(pending),
            }
        }
    }

    /// The state of an access request, for the hook that opened it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn request_of_hook(&self, hook: &Hook, id: &RequestId) -> Result<Option<AccessRequest>, Error> {
        Ok(self.0.store.request(id).await?.filter(|request| request.hooks().contains(&hook.name)))
    }

    /// One look at the access request that a held call waits for. How it ended answers the call; only an
    /// approval looks for the grant, so that a held call never opens a second access request.
    async fn look_at(&self, hook: &Hook, call: &Call, id: &RequestId) -> Result<Look, Error> {
        let now = self.now();
        let Some(request) = self.0.store.request(id).await? else { return Ok(Look::Again) };
        match request.status(now) {
            Status::Pending => Ok(Look::Waiting(Box::new(request))),
            Status::Approved => match Box::pin(self.look(hook, call, Some(&request))).await? {
                Look::Waiting(other) if other.id != *id => Ok(Look::Answer(self.pending(&other))),
                look => Ok(look),
            },
            Status::Denied | Status::Expired | Status::Cancelled => Ok(Look::Answer(ended(&request, now))),
        }
    }

    /// One look: judge, then a standing grant, the pending request, a cool-down, and at last the policy's word. A held
    /// call brings the access request whose approval it waited for.
    async fn look(&self, hook: &Hook, call: &Call, approved: Option<&AccessRequest>) -> Result<Look, Error> {
        let now = self.now();
        let policy = self.policy();
        let Judgement { ruling, observed, allowed_now } = self.judgement(&policy, hook, &call.asked, now).await?;
        let observed = observed.as_ref();
        let terms = match &ruling {
            Ruling::Refused(refused) => {
                return self.refuse(call, DeniedKind::Policy, refused.says.clone(), refused.rule.as_deref(), now).await;
            }
            Ruling::Observed(terms) => return self.pass(call, terms, observed, now).await,
            Ruling::Allowed(terms) => terms,
            Ruling::Asked(question) => &question.terms,
            Ruling::BreakGlass(glass) => &glass.terms,
        };
        if call.asked.requested_lifetime.unwrap_or(u64::MAX).min(terms.bounds.max_duration) < TOKEN_LIFETIME_MIN {
            let says = format!("Access for less than {TOKEN_LIFETIME_MIN} seconds is not granted.");
            return self.refuse(call, DeniedKind::Policy, says, None, now).await;
        }
        let case = Case { call, ruling: &ruling, terms, observed, approved, now };
        if let Some(answer) = self.issue_from_grants(&case).await? {
            return Ok(Look::Answer(answer));
        }
        let look = match (Box::pin(self.without_asking(&policy, call, &ruling, terms, now)).await?, &ruling) {
            (Some(look), _) => look,
            // Somebody may have decided after the look at the grants and before the one at what is pending: a look at
            // the grants that comes after both misses nothing, and nobody is asked about what was just approved.
            (None, Ruling::Asked(question)) => match self.issue_from_grants(&case).await? {
                Some(answer) => Look::Answer(answer),
                None => Box::pin(self.open(&policy, hook, call, question, now)).await?,
            },
            (None, Ruling::Allowed(_) | Ruling::BreakGlass(_) | Ruling::Observed(_) | Ruling::Refused(_)) => {
                Look::Again
            }
        };
        match allowed_now {
            Some(allowed) => Box::pin(self.with_what_is_allowed(&policy, call, allowed, &ruling, look, now)).await,
            None => Ok(look),
        }
    }

    /// No standing grant covers the call: the pending request, a cool-down, and at last the policy's word. Nothing where
    /// that is to ask people.
    async fn without_asking(
        &self,
        policy: &Policy,
        call: &Call,
        ruling: &Ruling,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Option<Look>, Error> {
        // In an emergency nobody waits for what people still think over.
        let waits = match ruling {
            Ruling::BreakGlass(_) => None,
            Ruling::Allowed(_) | Ruling::Asked(_) | Ruling::Observed(_) | Ruling::Refused(_) => {
                self.0.store.pending(&call.asked.pending_key()).await?
            }
        };
        if let Some(pending) = waits {
            return Box::pin(self.attach(call, pending, now)).await.map(Some);
        }
        if let Some(standing) = self.0.store.cooldown(&call.asked, &terms.scopes, now).await? {
            let says = format!("It was {} a short while ago; ask again after {}.", standing.cause, standing.until);
            let kind = if standing.cause == "revoked" { DeniedKind::Revoked } else { DeniedKind::CoolingDown };
            return self.refuse(call, kind, says, None, now).await.map(Some);
        }
        match ruling {
            Ruling::Refused(_) | Ruling::Observed(_) => Ok(Some(Look::Again)),
            Ruling::Allowed(terms) => self.allow(policy, call, terms, now).await.map(Some),
            Ruling::Asked(_) => match self.waited_for(call, terms, now).await? {
                Some(pending) => Box::pin(self.attach(call, pending, now)).await.map(Some),
                None => Ok(None),
            },
            Ruling::BreakGlass(glass) => Box::pin(self.break_glass(policy, call, glass, now)).await.map(Some),
        }
    }

    /// The verdict of each scope.
    pub(super) async fn judged(
        &self,
        policy: &Policy,
        asked: &TokenRequest,
        now: Timestamp,
    ) -> Result<Vec<Judged>, Error> {
        let first = if policy.asks_first_time(asked) { self.0.store.first_times(asked).await? } else { Vec::new() };
        Ok(policy.judge(asked, &|scope| first.contains(scope), now))
    }

    pub(super) async fn judge(
        &self,
        policy: &Policy,
        hook: &Hook,
        asked: &TokenRequest,
        now: Timestamp,
    ) -> Result<Ruling, Error> {
        let judged = self.judged(policy, asked, now).await?;
        Ok(policy.rule(asked, judged, hook.dialect.abilities().narrow_scope))
    }

    /// A retry joins the pending request: no second card. A deadline that has passed is written down first.
    async fn attach(&self, call: &Call, pending: AccessRequest, now: Timestamp) -> Result<Look, Error> {
        if pending.status(now) != Status::Pending {
            self.time_passed_for(&pending, now).await?;
            return Ok(Look::Again);
        }
        self.0.repeats.count(&pending.id, now);
        match pending.apply(Event::AskedAgain(Box::new(call.asked.clone())), now) {
            Ok(step) => {
                let mut commit = self.commit_of(Change::Replace(step.next.clone()), &step);
                commit.call.clone_from(&call.named);
                self.committed(commit, Look::Waiting(Box::new(pending)), now).await
            }
            Err(Refusal::Nothing) if call.named.is_some() => {
                let commit = Commit { call: call.named.clone(), ..Commit::default() };
                self.committed(commit, Look::Waiting(Box::new(pending)), now).await
            }
            Err(_) => Ok(Look::Waiting(Box::new(pending))),
        }
    }

    /// An allow rule's grant exists to count and to be revocable; the next look issues under it.
    pub(super) async fn allow(
        &self,
        policy: &Policy,
        call: &Call,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Look, Error> {
        let grant = Grant::allowed(fresh_grant_id()?, &call.asked, terms, policy.version.clone(), now);
        let audit = AuditEntry {
            at: now,
            kind: Kind::GrantAllowed,
            actor: Actor::Hook(call.asked.hook.clone()),
            request_id: None,
            grant_id: Some(grant.id.clone()),
            summary: format!("{} may have {} until {}", call.asked.client.id, grant.scopes, grant.expires_at),
            detail: json!({ "rules": grant.rules, "policy": grant.policy, "expires_at": grant.expires_at }),
        };
        // With the call's identifier: one that came with another body before must not leave a grant behind.
        let call = call.named.clone();
        let commit = Commit { grant: Some(Change::New(grant)), audit: vec![audit], call, ..Commit::default() };
        self.committed(commit, Look::Again, now).await
    }

    async fn open(
        &self,
        policy: &Policy,
        hook: &Hook,
        call: &Call,
        question: &Question,
        now: Timestamp,
    ) -> Result<Look, Error> {
        if !call.asked.may_open_a_request() {
            let says = "No standing grant covers this, and this grant type cannot ask people.".to_owned();
            return self.refuse(call, DeniedKind::NotCovered, says, None, now).await;
        }
        if let Some(refused) = &question.not_now {
            let rule = refused.rule.as_deref();
            return self.refuse(call, DeniedKind::Policy, refused.says.clone(), rule, now).await;
        }
        if let Some(Limit { says }) = self.over_a_limit(policy, &call.asked, now).await? {
            return Ok(Look::Answer(Answer::TooMany { retry_after_secs: LIMIT_RETRY_AFTER, says }));
        }
        let abilities = hook.dialect.abilities();
        let server = ServerAbilities {
            narrow_scope: abilities.narrow_scope,
            set_lifetime: abilities.set_lifetime,
            revoke: abilities.revoke,
        };
        let id = fresh_request_id()?;
        let step = AccessRequest::open(id, call.asked.clone(), question.clone(), server, policy.version.clone(), now);
        let step = match self.prepared(policy, step, now).await? {
            Ok(step) => step,
            Err(says) => return self.refuse(call, DeniedKind::Policy, says, None, now).await,
        };
        let mut commit = self.commit_of(Change::New(step.next.clone()), &step);
        commit.call.clone_from(&call.named);
        self.committed(commit, Look::Waiting(Box::new(step.next)), now).await
    }

    /// Commits, and only then lets the look stand.
    pub(super) async fn committed(&self, commit: Commit, look: Look, now: Timestamp) -> Result<Look, Error> {
        let delivers = !commit.deliveries.is_empty();
        match self.0.store.commit(commit, now).await {
            Ok(Outcome::Done) => {
                if delivers {
                    self.tell(None);
                }
                Ok(look)
            }
            Ok(Outcome::Conflict) => Ok(Look::Again),
            Err(StoreError::OtherBody) => Ok(Look::Answer(Answer::Conflict)),
            Err(error) => Err(error.into()),
        }
    }

    /// A step of an access request as one commit.
    pub(super) fn commit_of(&self, request: Change<AccessRequest>, step: &Step) -> Commit {
        let deliveries = self.deliveries(&step.next, &step.effects, Some(&step.audit));
        let warning = self.home(&step.next).map_or(0, |place| place.workspace.warn_before_end);
        Commit {
            request: Some(request),
            grant: step.grant.clone().map(|grant| Change::New(grant.warned_before_end(warning))),
            cooldowns: step.cooldowns.clone(),
            audit: vec![step.audit.clone()],
            deliveries,
            ..Commit::default()
        }
    }

    pub(super) fn status_url(&self, request: &AccessRequest) -> String {
        format!("{}/hooks/{}/requests/{}", self.public_url(), request.asked.hook, request.id)
    }

    fn pending(&self, request: &AccessRequest) -> Answer {
        Answer::Pending(Pending {
            request_id: request.id.clone(),
            interval: INTERVAL,
            status_url: self.status_url(request),
            expires_at: request.decide_by,
        })
    }
}
