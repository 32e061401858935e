//! Somebody is gone: the account was deactivated, or the directory does not name the person any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::workspaces::Place;
use super::{CONFLICTS_MAX, Error, Service};
use crate::domain::access_request::{AccessRequest, Event, Vote, speaks_for};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::identity::{Principal, Standing};
use crate::domain::ids::SlackUserId;
use crate::domain::policy::OnDeactivation;
use crate::store::{Change, Commit, Outcome};

/// Under which name the directory that was in force last is remembered.
const DIRECTORY: &str = "directory";
/// How many grants are looked at in one go.
const PAGE: u32 = 500;

/// How somebody is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// Slack says that the account is deactivated.
    Deactivated,
    /// Nothing maps the account to the person any more.
    Unmapped,
}

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
        self.person_gone(place, who, Gone::Deactivated).await
    }

    /// A person is gone: what they wait for is withdrawn, and what was granted ends where the rule says so.
    async fn person_gone(&self, place: &Arc<Place>, who: &Principal, how: Gone) -> Result<(), Error> {
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
                    let why = match how {
                        Gone::Deactivated => format!("the account of {whose} was deactivated"),
                        Gone::Unmapped => format!("{whose} is not in the directory any more"),
                    };
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

    /// Whether a person whom the table named is still somebody: through another account of it or, where addresses map,
    /// through theirs. None where Slack does not say.
    async fn is_still_somebody(&self, place: &Arc<Place>, user: &SlackUserId, who: &Principal) -> Option<bool> {
        let directory = place.directory();
        if directory.slack_users_of(who).next().is_some() {
            return Some(true);
        }
        if !directory.maps_addresses() {
            return Some(false);
        }
        match place.people.standing(user, true, self.now()).await {
            Ok((standing, _)) => {
                let is_them = directory.principal(user, &standing).as_ref() == Some(who);
                Some(is_them && place.outsider(&standing).is_none())
            }
            Err(unavailable) if unavailable.0.says_there_is_no_account() => Some(false),
            Err(_) => None,
        }
    }

    async fn unmapped(&self, account: &str, summary: &str) -> Result<(), Error> {
        let now = self.now();
        tracing::warn!(account, "{summary}: its votes count no more");
        let audit = AuditEntry {
            at: now,
            kind: Kind::DirectoryChanged,
            actor: Actor::Service,
            request_id: None,
            grant_id: None,
            summary: summary.to_owned(),
            detail: json!({ "account": account }),
        };
        self.0.store.commit(Commit { audit: vec![audit], ..Commit::default() }, now).await?;
        Ok(())
    }

    /// Compares the directory with the one before, at the start and whenever it was read anew: who is not in it any
    /// more is gone. Those about whom Slack must be asked and does not answer have their turn the next time.
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
        let mut remembered = today.clone();
        for (account, who) in before.iter().filter(|(account, who)| today.get(*account) != Some(*who)) {
            let Some((team, user)) = account.split_once('/') else { continue };
            let (Ok(user), person) = (SlackUserId::parse(user), Principal::new(who)) else { continue };
            // Nobody of a workspace that is gone can decide; what was asked there expires.
            let Some(place) = self.places().find(|place| place.team().as_str() == team) else { continue };
            let was = |vote: &Vote| vote.voter.slack == user && vote.voter.principal == person;
            for request in self.0.store.all_pending().await? {
                if self.is_at(place, &request) && request.votes.iter().any(was) {
                    self.strike(request, &user).await?;
                }
            }
            match self.is_still_somebody(place, &user, &person).await {
                Some(true) => self.unmapped(account, "the directory does not name this account as before").await?,
                Some(false) => {
                    self.person_gone(place, &person, Gone::Unmapped).await?;
                    self.unmapped(account, "the directory does not name this person any more").await?;
                }
                None => {
                    tracing::warn!(user = %user, "the directory does not name this account as before, and Slack does not say who it is: asked again later");
                    remembered.insert(account.clone(), who.clone());
                }
            }
        }
        if before != remembered {
            let text = serde_json::to_string(&remembered).unwrap_or_default();
            self.0.store.remember(DIRECTORY, &text).await?;
        }
        Ok(())
    }
}
