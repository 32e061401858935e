//! Somebody is gone: the account was deactivated, or the directory does not name the person any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::workspaces::Place;
use super::{CONFLICTS_MAX, Error, Service};
use crate::domain::access_request::{AccessRequest, Event, speaks_for};
use crate::domain::audit::Actor;
use crate::domain::identity::{EmailMapping, Principal, Standing};
use crate::domain::ids::SlackUserId;
use crate::domain::policy::OnDeactivation;
use crate::store::{Change, Outcome};

/// Under which name the directory of the last start is remembered.
const DIRECTORY: &str = "directory";
/// How many grants are looked at in one go.
const PAGE: u32 = 500;

impl Service {
    /// Slack says that something about an account changed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn account_changed(&self, place: &Arc<Place>, user: &SlackUserId) -> Result<(), Error> {
        place.people.forget(user);
        match place.people.standing(user, false, self.now()).await {
            Ok((standing, _)) if standing.deleted => {
                let principal = place.directory().principal(user, &standing);
                // An address that cannot be vouched for any more still says whose requests these were.
                let principal = principal.or_else(|| standing.email.as_deref().map(Principal::new));
                self.account_gone(place, user, principal.as_ref()).await
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, user = %user, "Slack could not be asked about an account that changed");
                Ok(())
            }
        }
    }

    /// Slack was asked about an account for another reason, and says that it is deactivated: what follows from that
    /// happens beside, because a click must be answered.
    pub(super) fn learnt_of(&self, place: &Arc<Place>, user: &SlackUserId, standing: &Standing) {
        if !standing.deleted {
            return;
        }
        let principal = place.directory().principal(user, standing);
        let principal = principal.or_else(|| standing.email.as_deref().map(Principal::new));
        let (service, place, user) = (self.clone(), Arc::clone(place), user.clone());
        tokio::spawn(async move {
            if let Err(error) = service.account_gone(&place, &user, principal.as_ref()).await {
                tracing::error!(%error, "what follows from a deactivated account waits for the store");
            }
        });
    }

    /// An account is gone: its votes count no more. Where it was the person's last one, the person is gone.
    ///
    /// What one workspace says of its people concerns what belongs to it, and nothing of another one.
    pub(super) async fn account_gone(
        &self,
        place: &Arc<Place>,
        user: &SlackUserId,
        who: Option<&Principal>,
    ) -> Result<(), Error> {
        for request in self.0.store.all_pending().await? {
            if self.is_at(place, &request) && request.votes.iter().any(|vote| vote.voter.slack == *user) {
                self.strike(request, user).await?;
            }
        }
        let Some(who) = who else { return Ok(()) };
        for other in place.directory().slack_users_of(who).filter(|other| *other != user) {
            // What was learnt a while ago may be from when it was still there.
            place.people.forget(other);
            match place.people.standing(other, false, self.now()).await {
                Ok((standing, _)) if standing.deleted => {}
                // Whoever cannot be asked about may still be there: what is theirs stays until it ends.
                Ok(_) | Err(_) => return Ok(()),
            }
        }
        self.person_gone(place, who).await
    }

    /// A person is gone: what they wait for is withdrawn, and what was granted ends where the rule says so.
    async fn person_gone(&self, place: &Arc<Place>, who: &Principal) -> Result<(), Error> {
        for request in self.0.store.all_pending().await? {
            if self.is_at(place, &request) && request.is_of(who) {
                self.cancel(request, Actor::Service).await?;
            }
        }
        let mut after = String::new();
        loop {
            let page = self.0.store.live_grants_of_requests(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id.to_string();
            for grant in page {
                let subject = speaks_for(&grant.asked, who);
                let decided = grant.deciders.iter().any(|decider| decider.principal == *who);
                let (true, Some(id)) = (subject || decided, grant.request()) else { continue };
                let request = self.0.store.request(id).await?;
                let revokes = request.as_ref().is_some_and(|one| {
                    self.is_at(place, one) && one.question.on_deactivation == OnDeactivation::Revoke
                });
                if revokes {
                    let whose = if subject { "the person that it is for" } else { "somebody who approved it" };
                    let why = format!("the account of {whose} was deactivated");
                    self.revoke_grant(&grant.id, Actor::Service, &why).await?;
                }
            }
        }
    }

    async fn strike(&self, mut request: AccessRequest, user: &SlackUserId) -> Result<(), Error> {
        let now = self.now();
        for _ in 0..CONFLICTS_MAX {
            let Ok(step) = request.apply(Event::ApproverGone { user: user.clone() }, now) else { return Ok(()) };
            let commit = self.commit_of(Change::Replace(step.next.clone()), &step);
            if self.0.store.commit(commit, now).await? == Outcome::Done {
                self.tell(Some(&request.id));
                return Ok(());
            }
            match self.0.store.request(&request.id).await? {
                Some(again) => request = again,
                None => return Ok(()),
            }
        }
        Err(Error::Busy)
    }

    /// Compares the directory with the one of the last start: who is not in it any more is gone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn directory_loaded(&self) -> Result<(), Error> {
        let mut today: BTreeMap<String, String> = BTreeMap::new();
        for place in self.places() {
            let account = |user: &SlackUserId| format!("{}/{user}", place.team());
            today.extend(place.directory().users.iter().map(|(user, who)| (account(user), who.to_string())));
        }
        let before: BTreeMap<String, String> = match self.0.store.remembered(DIRECTORY).await? {
            Some(text) => serde_json::from_str(&text).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let earlier = self.place_named(None).map(|place| place.team().to_string()).unwrap_or_default();
        // Once there was one workspace, and accounts were remembered without it.
        let whole = |(user, who): (String, String)| match user.contains('/') {
            true => (user, who),
            false => (format!("{earlier}/{user}"), who),
        };
        let before: BTreeMap<String, String> = before.into_iter().map(whole).collect();
        for (user, who) in before.iter().filter(|(user, who)| today.get(*user) != Some(*who)) {
            let Some((team, user)) = user.split_once('/') else { continue };
            let (Ok(user), who) = (SlackUserId::parse(user), Principal::new(who)) else { continue };
            // Nobody of a workspace that is gone can decide; what was asked there expires.
            let Some(place) = self.places().find(|place| place.team().as_str() == team) else { continue };
            tracing::warn!(user = %user, "the directory does not name this account as before: its votes count no more");
            for request in self.0.store.all_pending().await? {
                if self.is_at(place, &request) && request.votes.iter().any(|vote| vote.voter.slack == user) {
                    self.strike(request, &user).await?;
                }
            }
            // Where addresses map, whoever left the table may still be somebody.
            let directory = place.directory();
            let may_map = directory.email == EmailMapping::Verified;
            let still_there = directory.slack_users_of(&who).next().is_some();
            if !still_there && !may_map {
                self.person_gone(place, &who).await?;
            }
        }
        if before != today {
            let text = serde_json::to_string(&today).unwrap_or_default();
            self.0.store.remember(DIRECTORY, &text).await?;
        }
        Ok(())
    }
}
