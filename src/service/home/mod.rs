//! App Home: drawn from the store, on opening and after each change that concerns whoever opened it. What is pressed
//! there goes through the very same checks as a click on the card.

mod parts;
mod press;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::click::Why;
use super::controls::Minting;
use super::perform::Delivered;
use super::workspaces::{Member, Place};
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::AccessRequest;
use crate::domain::identity::Principal;
use crate::domain::ids::{RequestId, SetName, SlackUserId};
use crate::domain::review::Review;
use crate::domain::token_request::TokenRequest;
use crate::slack::home::Home;
use crate::store::{Commit, Control, Delivery, Place as Whereabouts};

/// Whoever has not opened Home for this many days is not drawn for until they do.
const VIEWERS_DAYS: i64 = 7;
/// A Home is drawn anew at most once in this many seconds.
const AGAIN_SECONDS: i64 = 3;

impl Service {
    /// Somebody opened App Home.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn home_opened(&self, place: &Arc<Place>, user: &SlackUserId) -> Result<(), Error> {
        let now = self.now();
        let who = self.member(place, user, now).await;
        let principal = who.as_ref().ok().map(|who| who.principal.clone());
        self.0.store.home_opened(place.team(), user, principal.as_ref(), now).await?;
        self.draw_home(place, user, who, 0, now).await?.unwrap_or_else(|error| {
            tracing::warn!(error = error.code(), "App Home could not be drawn");
        });
        Ok(())
    }

    /// Something changed: whoever has opened Home and is concerned gets it drawn anew.
    pub(super) async fn refresh_homes(
        &self,
        request: &AccessRequest,
        place: &Place,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let sets = request.question.requirements.iter().flat_map(|requirement| &requirement.approvers);
        let mut users = self.in_sets_as_learnt(place, sets);
        users.extend(request.votes.iter().map(|vote| vote.voter.slack.clone()));
        let asker = request.origin.asker().map(|asker| asker.principal.clone());
        let people = named_in(&request.asked).chain(asker).collect();
        self.refresh_viewers(place, &request.id, users, people, now).await
    }

    /// The same about the review of a broken glass.
    pub(super) async fn refresh_homes_of_review(
        &self,
        review: &Review,
        place: &Place,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let mut users = self.in_sets_as_learnt(place, &review.tell);
        users.insert(review.who().clone());
        self.refresh_viewers(place, &review.id, users, named_in(&review.asked).collect(), now).await
    }

    /// Everybody in some approver sets, user groups as they were learnt last: whoever is missing there sees the change
    /// when they open Home.
    fn in_sets_as_learnt<'a>(
        &self,
        place: &Place,
        names: impl IntoIterator<Item = &'a SetName>,
    ) -> BTreeSet<SlackUserId> {
        let (policy, mut users) = (self.policy(), BTreeSet::new());
        for set in names.into_iter().filter_map(|name| policy.approvers.get(name)) {
            users.extend(set.users.iter().cloned());
            let groups = set.groups.iter().filter_map(|group| place.people.members_as_learnt(group));
            users.extend(groups.flat_map(|members| members.iter().cloned().collect::<Vec<_>>()));
        }
        users
    }

    async fn refresh_viewers(
        &self,
        place: &Place,
        about: &RequestId,
        users: BTreeSet<SlackUserId>,
        people: Vec<Principal>,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let since = now - chrono::Duration::days(VIEWERS_DAYS);
        let users: Vec<SlackUserId> = users.into_iter().collect();
        let viewers = self.0.store.viewers(place.team(), &users, &people, since).await?;
        let deliveries = viewers.into_iter().map(|user| (about.clone(), Delivery::PublishHome { user })).collect();
        Ok(Delivered::Done(Box::new(Commit { deliveries, ..Commit::default() })))
    }

    /// Draws somebody's Home anew, unless that was done since this was written, and not too often.
    pub(super) async fn publish_home(
        &self,
        place: &Arc<Place>,
        user: &SlackUserId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let Some(home) = self.0.store.home(place.team(), user).await? else { return Ok(Delivered::Unneeded) };
        if home.published_at > since {
            return Ok(Delivered::Unneeded);
        }
        let again = home.published_at + chrono::Duration::seconds(AGAIN_SECONDS);
        if again > now {
            return Ok(Delivered::Later(again));
        }
        let who = self.member(place, user, now).await;
        Ok(match self.draw_home(place, user, who, home.page, now).await? {
            Ok(()) => Delivered::Done(Box::default()),
            Err(error) => Delivered::Failed(error),
        })
    }

    async fn draw_home(
        &self,
        place: &Place,
        user: &SlackUserId,
        who: Result<Member, Why>,
        page: u32,
        now: Timestamp,
    ) -> Result<Result<(), crate::slack::SlackError>, Error> {
        let mut minting = Minting::new(place.team(), user, Whereabouts::Home);
        let mut home = Home {
            refused: None,
            parts: Vec::new(),
            page: usize::try_from(page).unwrap_or(0),
            value: String::new(),
            now,
        };
        match &who {
            Ok(who) => home.parts = self.parts(who, &mut minting, now).await?,
            Err(why) => home.refused = Some(Self::asking_words(why)),
        }
        home.value = minting.value("page", None, None);
        let kept: BTreeSet<&str> =
            home.shown().map(|button| button.value.as_str()).chain([home.value.as_str()]).collect();
        // Only what the shown page holds is pressed.
        let made: Vec<Control> =
            minting.made.into_iter().filter(|control| kept.contains(control.value.as_str())).collect();
        self.0.store.mint_controls(&made, now).await?;
        match place.workspace.slack.publish_home(user, &home.view()).await {
            Ok(view) => {
                self.0.store.home_drawn(place.team(), user, Some(&view), Some(page), now).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Whom a token request is for, by every name that it has for them.
fn named_in(asked: &TokenRequest) -> impl Iterator<Item = Principal> {
    [Some(asked.subject.id.as_str()), asked.subject.email.as_deref()].into_iter().flatten().map(Principal::new)
}
