//! What the people do whom a token is for: ask ahead, ask for more time, hand back, withdraw.

use std::collections::BTreeSet;

use super::ahead::{LIFETIME_MAX, SHOWN_BY_US, Wish, asked_ahead, offered, out_of_bounds};
use super::refusing::Limit;
use super::workspaces::Member;
use super::{CONFLICTS_MAX, Error, Hook, Service, fresh_request_id};
use crate::domain::Timestamp;
use crate::domain::access_request::{
    AccessRequest, Ahead, Event, Extension, Origin, ServerAbilities, Status, speaks_for,
};
use crate::domain::audit::Actor;
use crate::domain::grant::{Grant, Status as GrantStatus, TOKEN_LIFETIME_MIN};
use crate::domain::identity::{EmailMapping, Principal};
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::policy::{AheadRuling, Ceremony, Policy, Question, Ruling};
use crate::domain::token_request::TokenRequest;
use crate::store::{Change, Commit, Outcome as Stored};

/// What became of it.
#[derive(Debug)]
pub(super) enum Asked {
    /// People are asked from now on.
    Opened(Box<AccessRequest>),
    /// They were asked already.
    Already(Box<AccessRequest>),
    /// Nobody needs to be asked.
    NoNeed,
    /// No, with words for whoever asked.
    Refused(String),
}

/// How handing back or withdrawing went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parting {
    /// It is.
    Done,
    /// There is no such thing of theirs.
    Unknown,
    /// It was over already.
    Over,
}

impl Service {
    /// Asks ahead, in somebody's name.
    pub(super) async fn ask_ahead(&self, who: &Member, wish: &Wish) -> Result<Asked, Error> {
        let (now, policy) = (self.now(), self.policy());
        let Some(resource) = offered(&policy, wish) else {
            return Ok(Asked::Refused("That is not offered here: /access help says how to see what is.".to_owned()));
        };
        if let Some(says) = out_of_bounds(wish, now) {
            return Ok(Asked::Refused(says));
        }
        let Some(hook) = self.hook_of_here(&who.place, resource) else {
            let says = format!("The policy names no authorization server where {} could be collected.", resource.name);
            return Ok(Asked::Refused(says));
        };
        let mut asked = asked_ahead(who, wish, hook.clone());
        let (question, hooks, server) = match self.judge_ahead(&policy, resource, &asked, who, &who.place, now).await? {
            AheadRuling::Refused(says) => return Ok(Asked::Refused(says)),
            AheadRuling::Allowed => return Ok(Asked::NoNeed),
            AheadRuling::Asked { question, hooks, server } => (question, hooks, server),
        };
        if let Some(first) = hooks.first() {
            asked.hook = first.clone();
        }
        let origin = Origin::Ahead(Box::new(Ahead { by: who.asker.clone(), hooks, starts_at: wish.starts_at }));
        Box::pin(self.open_in_slack(&policy, asked, *question, server, origin, now)).await
    }

    /// Asks for a grant to go on for another while; the grant itself is not touched.
    pub(super) async fn extend(
        &self,
        who: &Member,
        id: &GrantId,
        lifetime: Option<u64>,
        reason: Option<String>,
    ) -> Result<Asked, Error> {
        let (now, policy) = (self.now(), self.policy());
        let refused = |says: &str| Ok(Asked::Refused(says.to_owned()));
        let Some((grant, _)) = self.grant_of_theirs(who, id).await? else {
            return refused("There is no such grant of yours.");
        };
        match grant.status(now) {
            GrantStatus::Reserved | GrantStatus::Active => {}
            GrantStatus::Ended(_) | GrantStatus::Revoked => return refused("This grant is over: ask anew."),
        }
        if grant.open.is_some() {
            return refused("Your client has not collected this grant yet, so there is nothing to extend.");
        }
        if lifetime.is_some_and(|wish| !(TOKEN_LIFETIME_MIN..=LIFETIME_MAX).contains(&wish)) {
            return refused("That is no length of time that access can be given for.");
        }
        let Some(hook) = self.0.settings.hooks.get(&grant.asked.hook) else {
            return refused("The authorization server of this grant is not configured any more.");
        };
        let lasted = u64::try_from((grant.expires_at - grant.starts_at()).num_seconds()).ok();
        let asked = TokenRequest {
            scopes: grant.scopes.clone(),
            requested_lifetime: lifetime.or(lasted),
            reason: reason.or_else(|| grant.asked.reason.clone()),
            binding_message: Some(SHOWN_BY_US.to_owned()),
            ..grant.asked.clone()
        };
        let question = match self.judge(&policy, hook, &asked, now).await? {
            Ruling::Asked(question) => question,
            Ruling::Refused(refused) => return Ok(Asked::Refused(refused.says)),
            Ruling::Allowed(_) | Ruling::Observed(_) | Ruling::BreakGlass(_) => return Ok(Asked::NoNeed),
        };
        let server = hook.dialect.abilities().into();
        let by = who.asker.clone();
        let origin = Origin::Extension(Box::new(Extension { by, of: grant.id, ends_at: grant.expires_at }));
        Box::pin(self.open_in_slack(&policy, asked, question, server, origin, now)).await
    }

    /// The requester has no more need of a grant.
    pub(super) async fn hand_back(&self, who: &Member, id: &GrantId) -> Result<Parting, Error> {
        let now = self.now();
        for _ in 0..CONFLICTS_MAX {
            let Some((grant, request)) = self.grant_of_theirs(who, id).await? else { return Ok(Parting::Unknown) };
            let Ok(step) = grant.hand_back(actor(who), now) else { return Ok(Parting::Over) };
            let deliveries = request
                .as_ref()
                .map(|request| self.deliveries(request, &step.effects, Some(&step.audit)))
                .unwrap_or_default();
            let commit = Commit {
                grant: Some(Change::Replace(step.next)),
                audit: vec![step.audit],
                deliveries,
                ..Commit::default()
            };
            if self.0.store.commit(commit, now).await? == Stored::Done {
                self.tell(grant.request());
                return Ok(Parting::Done);
            }
        }
        Err(Error::Busy)
    }

    /// The requester withdraws a request that nobody has decided.
    pub(super) async fn withdraw(&self, who: &Member, id: &RequestId) -> Result<Parting, Error> {
        match self.0.store.request(id).await? {
            Some(request) if request.is_of(&who.principal) && self.is_at(&who.place, &request) => {
                self.cancel(request, actor(who)).await
            }
            Some(_) | None => Ok(Parting::Unknown),
        }
    }

    /// A hook withdraws a request of its own. Answers `None` where it has no such request, and whether it was still
    /// pending.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn withdraw_for_hook(&self, hook: &Hook, id: &RequestId) -> Result<Option<bool>, Error> {
        let Some(request) = self.request_of_hook(hook, id).await? else { return Ok(None) };
        match self.cancel(request, Actor::Hook(hook.name.clone())).await? {
            Parting::Done => Ok(Some(true)),
            Parting::Over => Ok(Some(false)),
            Parting::Unknown => Ok(None),
        }
    }

    pub(super) async fn cancel(&self, mut request: AccessRequest, by: Actor) -> Result<Parting, Error> {
        let now = self.now();
        for _ in 0..CONFLICTS_MAX {
            let Ok(step) = request.apply(Event::Cancelled { by: by.clone() }, now) else { return Ok(Parting::Over) };
            let commit = self.commit_of(Change::Replace(step.next.clone()), &step);
            if self.0.store.commit(commit, now).await? == Stored::Done {
                self.tell(Some(&request.id));
                return Ok(Parting::Done);
            }
            match self.0.store.request(&request.id).await? {
                Some(again) => request = again,
                None => return Ok(Parting::Unknown),
            }
        }
        Err(Error::Busy)
    }

    /// A grant, if it is for this person or was asked for by them.
    pub(super) async fn grant_of_theirs(
        &self,
        who: &Member,
        id: &GrantId,
    ) -> Result<Option<(Grant, Option<AccessRequest>)>, Error> {
        let Some(grant) = self.0.store.grant(id).await? else { return Ok(None) };
        let request = match grant.request() {
            Some(id) => self.0.store.request(id).await?,
            None => None,
        };
        let asked = request.as_ref().is_some_and(|request| request.is_of(&who.principal));
        let theirs = asked || speaks_for(&grant.asked, &who.principal);
        // The same person may have an account in each of several workspaces: each of them shows what is of there.
        let here = self.is_of_here(&who.place, &grant, request.as_ref());
        Ok((theirs && here).then_some((grant, request)))
    }

    async fn open_in_slack(
        &self,
        policy: &Policy,
        mut asked: TokenRequest,
        question: Question,
        server: ServerAbilities,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Asked, Error> {
        if let Some(refused) = &question.not_now {
            return Ok(Asked::Refused(refused.says.clone()));
        }
        let lasts = asked.requested_lifetime.unwrap_or(u64::MAX).min(question.terms.bounds.max_duration);
        if lasts < TOKEN_LIFETIME_MIN {
            return Ok(Asked::Refused(format!("Access for less than {TOKEN_LIFETIME_MIN} seconds is not granted.")));
        }
        // Three attempts of three people must not be worth trying: six digits.
        let needs_a_number = question.ceremony == Ceremony::Match;
        asked.binding_message = needs_a_number.then(Self::fresh_number).transpose()?;
        let (id, version) = (fresh_request_id()?, policy.version.clone());
        let step = AccessRequest::open_in_slack(id, asked, question, server, version, origin, now);
        let request = &step.next;
        if let Some(pending) = self.0.store.pending(&request.pending_key()).await? {
            if pending.status(now) == Status::Pending {
                return Ok(Asked::Already(Box::new(pending)));
            }
            // Its deadline has passed, and nobody has written that down yet.
            Box::pin(self.time_passed_for(&pending, now)).await?;
        }
        for hook in request.hooks() {
            let there = TokenRequest { hook, ..request.asked.clone() };
            if let Some(standing) = self.0.store.cooldown(&there, &request.question.terms.scopes, now).await? {
                let says = format!(
                    "It was {} a short while ago; ask again after {}.",
                    standing.cause,
                    crate::slack::text::utc(standing.until)
                );
                return Ok(Asked::Refused(says));
            }
        }
        if let Some(Limit { says }) = self.over_a_limit(policy, &request.asked, now).await? {
            return Ok(Asked::Refused(says));
        }
        let mut step = step;
        self.belongs_to_its_hook(&mut step.next);
        step.next.deciding.asked_by = self.everybody_it_might_be(&step.next, now).await;
        let step = match self.prepared(policy, step, now).await? {
            Ok(step) => step,
            Err(says) => return Ok(Asked::Refused(says)),
        };
        let commit = self.commit_of(Change::New(step.next.clone()), &step);
        match self.0.store.commit(commit, now).await? {
            Stored::Done => {
                self.tell(None);
                Ok(Asked::Opened(Box::new(step.next)))
            }
            // Two forms at the same instant: the other was first.
            Stored::Conflict => match self.0.store.pending(&step.next.pending_key()).await? {
                Some(pending) => Ok(Asked::Already(Box::new(pending))),
                None => Err(Error::Busy),
            },
        }
    }
}

impl Service {
    /// Every identity that whoever asked in Slack might have: none of them decides. Where Slack cannot be asked just
    /// now, the one that the directory knows is refused all the same.
    async fn everybody_it_might_be(&self, request: &AccessRequest, now: Timestamp) -> BTreeSet<Principal> {
        let Some(by) = request.origin.asker() else { return BTreeSet::new() };
        let only = BTreeSet::from([by.principal.clone()]);
        let Some(place) = self.home(request) else { return only };
        let directory = place.directory();
        match place.people.standing(&by.slack, directory.email == EmailMapping::Verified, now).await {
            Ok((standing, _)) => directory.possible(&by.slack, &standing),
            Err(_) => only,
        }
    }
}

fn actor(who: &Member) -> Actor {
    Actor::Person(who.slack.clone(), Some(who.principal.clone()))
}
