//! What each delivery about a broken glass does: its card, its thread, and everybody who is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::deliver::random_text;
use super::perform::Delivered;
use super::reviews::refreshed_review;
use super::workspaces::Place;
use super::{Error, Service, lost};
use crate::domain::Timestamp;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{RequestId, SlackUserId};
use crate::domain::review::{Review, ReviewState};
use crate::slack::{Fault, Message, SlackError, reviews};
use crate::store::{Claimed, Commit, Delivery};

/// How many people are told by direct message; in the channel everybody is mentioned.
const PEOPLE_MAX: usize = 50;

impl Service {
    pub(super) async fn perform_review(
        &self,
        row: &Claimed,
        review: &Review,
        place: &Arc<Place>,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        // Homes are no messages, and keep a pace of their own.
        let is_home = matches!(row.delivery, Delivery::RefreshHomes | Delivery::PublishHome { .. });
        if !is_home && let Err(until) = place.pace.take(&row.lane, row.delivery.class(), now) {
            return Ok(Delivered::Later(until));
        }
        match &row.delivery {
            Delivery::ReviewCard { channel } => self.post_review(row, review, place, channel, now).await,
            Delivery::RefreshReview { .. } => self.refresh_review(review, place, now).await,
            Delivery::ReviewNote { .. } => self.note_review(row, review, place, now).await,
            Delivery::TellReviewers { number } => self.reviewers(review, place, *number).await,
            Delivery::TellReviewer { user, number } => self.tell_reviewer(row, review, place, user, *number, now).await,
            Delivery::RefreshHomes => self.refresh_homes_of_review(review, place, now).await,
            Delivery::PublishHome { user } => self.publish_home(place, user, row.created_at, now).await,
            Delivery::PostCard { .. }
            | Delivery::PostDirectCard { .. }
            | Delivery::OpenCard { .. }
            | Delivery::PostDigest { .. }
            | Delivery::RefreshDigest { .. }
            | Delivery::RefreshCards { .. }
            | Delivery::TellRequester
            | Delivery::FindPeople
            | Delivery::PassOn { .. }
            | Delivery::TellApprover { .. }
            | Delivery::Remind { .. }
            | Delivery::NoteInThread { .. }
            | Delivery::TellThread { .. } => Ok(Delivered::Unneeded),
        }
    }

    async fn post_review(
        &self,
        row: &Claimed,
        review: &Review,
        place: &Place,
        channel: &str,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        if !self.0.store.review_cards(&review.id).await?.is_empty() {
            return Ok(Delivered::Unneeded);
        }
        match lost::find(row, place, channel, None).await {
            Ok(None) => {}
            Ok(Some(message)) => {
                // Nobody knows the value of its buttons: it is drawn again with one that counts there.
                return Ok(Delivered::Done(Box::new(Commit {
                    review_card: Some((review.id.clone(), message)),
                    deliveries: vec![refreshed_review(&review.id, place)],
                    ..Commit::default()
                })));
            }
            Err(leave) => return Ok(leave),
        }
        let value = random_text();
        self.0.store.mint_review(&value, &review.id, channel, None, now).await?;
        let card = lost::keyed(row, self.with_review(review, &value, now, reviews::card).await?);
        let posted = place.workspace.slack.post(channel, &card, None).await;
        Ok(sent(posted.map(|message| Commit {
            bind_review: Some((sha256_hex(value.as_bytes()), message.clone())),
            review_card: Some((review.id.clone(), message)),
            ..Commit::default()
        })))
    }

    async fn tell_reviewer(
        &self,
        row: &Claimed,
        review: &Review,
        place: &Place,
        user: &str,
        number: u32,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        if review.state != ReviewState::Open {
            return Ok(Delivered::Unneeded);
        }
        if let Ok(user) = SlackUserId::parse(user) {
            match lost::find_direct(row, place, &user).await {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(Delivered::Done(Box::default())),
                Err(leave) => return Ok(leave),
            }
        }
        let channel = place.workspace.channel.to_string();
        let draw = |facts: &reviews::ReviewFacts<'_>| reviews::direct(facts, &channel, number > 0);
        let message = lost::keyed(row, self.with_review(review, "", now, draw).await?);
        Ok(sent(place.workspace.slack.post(user, &message, None).await.map(|_| Commit::default())))
    }

    async fn refresh_review(&self, review: &Review, place: &Place, now: Timestamp) -> Result<Delivered, Error> {
        for message in self.0.store.review_cards(&review.id).await? {
            let value = random_text();
            let (channel, ts) = (message.channel.as_str(), Some(message.ts.as_str()));
            self.0.store.mint_review(&value, &review.id, channel, ts, now).await?;
            let card = self.with_review(review, &value, now, reviews::card).await?;
            match place.workspace.slack.update(&message, &card).await {
                Ok(()) => {}
                // Somebody deleted the message. Those who were told still find the review in their Home.
                Err(error) if error.fault() == Some(Fault::Message) => {}
                Err(error) => return Ok(Delivered::Failed(error)),
            }
        }
        Ok(Delivered::Done(Box::default()))
    }

    async fn note_review(
        &self,
        row: &Claimed,
        review: &Review,
        place: &Place,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        if review.state != ReviewState::Open {
            return Ok(Delivered::Unneeded);
        }
        let note = lost::keyed(row, self.with_review(review, "", now, reviews::overdue).await?);
        for card in self.0.store.review_cards(&review.id).await? {
            match lost::find(row, place, card.channel.as_str(), Some(&card.ts)).await {
                Ok(None) => {}
                Ok(Some(_)) => continue,
                Err(leave) => return Ok(leave),
            }
            if let Err(error) = place.workspace.slack.post(card.channel.as_str(), &note, Some(&card.ts)).await {
                return Ok(Delivered::Failed(error));
            }
        }
        Ok(Delivered::Done(Box::default()))
    }

    /// Everybody who is in a set that is told, as Slack says now: one direct message for each, in one commit with the
    /// end of this delivery, so that nobody is told twice by a second attempt.
    async fn reviewers(&self, review: &Review, place: &Place, number: u32) -> Result<Delivered, Error> {
        let policy = self.policy();
        let mut people: BTreeSet<SlackUserId> = BTreeSet::new();
        for set in review.tell.iter().filter_map(|name| policy.approvers.get(name)) {
            people.extend(set.users.iter().cloned());
            for group in &set.groups {
                match place.workspace.slack.group_members(group).await {
                    Ok(members) => people.extend(members),
                    Err(error) => return Ok(Delivered::Failed(error)),
                }
            }
        }
        people.remove(review.who());
        let tell = |user: SlackUserId| {
            let about: RequestId = review.id.clone();
            (about, Delivery::TellReviewer { user: user.to_string(), number })
        };
        let deliveries = people.into_iter().take(PEOPLE_MAX).map(tell).collect();
        Ok(Delivered::Done(Box::new(Commit { deliveries, ..Commit::default() })))
    }

    async fn with_review(
        &self,
        review: &Review,
        button: &str,
        now: Timestamp,
        draw: impl FnOnce(&reviews::ReviewFacts<'_>) -> Message,
    ) -> Result<Message, Error> {
        let grant = self.0.store.grant(&review.grant).await?;
        let told = self.mentions(&review.tell);
        Ok(draw(&reviews::ReviewFacts { review, grant: grant.as_ref(), told: &told, button, now }))
    }
}

fn sent(result: Result<Commit, SlackError>) -> Delivered {
    match result {
        Ok(commit) => Delivered::Done(Box::new(commit)),
        Err(error) => Delivered::Failed(error),
    }
}
