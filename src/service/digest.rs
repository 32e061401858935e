//! The limit of cards for an approver: above it, access requests share one card in their channel, the digest. It keeps
//! nobody from deciding: whoever may decide opens the card of a request from it, as a direct message.
//!
//! One digest takes what comes within an hour of its first request, and is edited as what stands on it changes; where
//! it is full, another one follows.

use std::collections::BTreeSet;

use super::deliver::random_text;
use super::perform::{Delivered, is_content, may_be_told};
use super::workspaces::Place;
use super::{Error, Service, fresh_request_id, lost};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef};
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{RequestId, SetName, SlackChannelId, SlackUserId};
use crate::slack::digest::{self, DigestFacts, REQUESTS_MAX, Row};
use crate::slack::{Fault, Message, SlackError};
use crate::store::{Claimed, Commit, Delivery, Digest, Joined, Room};

/// A digest as it is drawn.
struct Drawn {
    rows: Vec<Row>,
    asked: String,
}

/// A delivery of a digest at work.
#[derive(Clone, Copy)]
struct Posting<'a> {
    row: &'a Claimed,
    place: &'a Place,
    now: Timestamp,
}

impl Service {
    /// Whether the card of an access request would be one too many for somebody whom it asks: then the request joins
    /// the digest of the channel, and this is how the delivery went. Otherwise the card counts for all of them.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn above_the_limit(
        &self,
        request: &AccessRequest,
        channel: &str,
        user: Option<&SlackUserId>,
        now: Timestamp,
    ) -> Result<Option<Delivered>, Error> {
        let Some(most) = self.policy().limits.cards_per_approver_per_hour else { return Ok(None) };
        let people = match user {
            Some(user) => BTreeSet::from([user.clone()]),
            None => self.people_asked(request, now).await,
        };
        if self.0.store.room_for_card(&request.id, self.team_of(request), &people, most, now).await? == Room::OwnCard {
            return Ok(None);
        }
        let Ok(channel) = SlackChannelId::parse(channel) else { return Ok(None) };
        metrics::counter!("countersign_cards_in_digests_total").increment(1);
        let most = u32::try_from(REQUESTS_MAX).unwrap_or(u32::MAX);
        let open = self.0.store.digest_to_join(&channel, most, now).await?;
        let (id, shown) = match open {
            Some(id) => (id, Delivery::RefreshDigest { channel: channel.to_string() }),
            None => (fresh_request_id()?, Delivery::PostDigest { channel: channel.to_string() }),
        };
        let joined = Some(Joined { digest: id.clone(), channel, request: request.id.clone() });
        Ok(Some(Delivered::Done(Box::new(Commit { joined, deliveries: vec![(id, shown)], ..Commit::default() }))))
    }

    /// Everybody whom a card in a channel asks, as Slack says now; never the requester. Where Slack does not say who
    /// is in a group, whoever was in it before counts: a card is not held back because it cannot be counted.
    async fn people_asked(&self, request: &AccessRequest, now: Timestamp) -> BTreeSet<SlackUserId> {
        let (policy, mut people) = (self.policy(), BTreeSet::new());
        for set in self.notified(request).iter().filter_map(|name| policy.approvers.get(name)) {
            if let Ok(members) = self.members_of(request, set, now).await {
                people.extend(members);
                continue;
            }
            people.extend(set.users.iter().cloned());
            let Some(place) = self.home(request) else { continue };
            let learnt = set.groups.iter().filter_map(|group| place.people.members_as_learnt(group));
            people.extend(learnt.flat_map(|members| members.iter().cloned().collect::<Vec<_>>()));
        }
        if let Some(requester) = self.requester(request) {
            people.remove(&requester);
        }
        people
    }

    /// What became of an access request is shown on the digests that it stands on, too.
    pub(super) async fn refresh_digests(
        &self,
        request: &AccessRequest,
        channel: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let digests = self.0.store.digests_of(&request.id).await?;
        let kept = digests.into_iter().filter(|(_, place)| self.is_kept_with(request, channel, place));
        let deliveries: Vec<_> = kept.map(|(id, channel)| (id, Delivery::RefreshDigest { channel })).collect();
        if !deliveries.is_empty() {
            self.0.store.commit(Commit { deliveries, ..Commit::default() }, now).await?;
        }
        Ok(())
    }

    /// The cards of the digests that are kept up to date with a channel of an access request.
    pub(super) async fn digest_cards_in(
        &self,
        request: &AccessRequest,
        channel: &str,
    ) -> Result<Vec<MessageRef>, Error> {
        let mut cards = Vec::new();
        for (id, place) in self.0.store.digests_of(&request.id).await? {
            if self.is_kept_with(request, channel, &place) {
                cards.extend(self.0.store.digest_cards(&id).await?);
            }
        }
        Ok(cards)
    }

    pub(super) async fn perform_digest(
        &self,
        row: &Claimed,
        digest: &Digest,
        requests: &[AccessRequest],
        place: &Place,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let post = Posting { row, place, now };
        let drawn = self.drawn(requests).await?;
        match &row.delivery {
            Delivery::PostDigest { .. } => self.post_digest(digest, &drawn, post).await,
            Delivery::RefreshDigest { .. } => {
                // Many may join within a second; what is drawn then shows all of them.
                if self.0.store.is_done_later(row).await? {
                    return Ok(Delivered::Unneeded);
                }
                if self.0.store.digest_cards(&digest.id).await?.is_empty() {
                    return self.post_digest(digest, &drawn, post).await;
                }
                self.edit_digest(digest, &drawn, post).await
            }
            Delivery::PostCard { .. }
            | Delivery::PostDirectCard { .. }
            | Delivery::OpenCard { .. }
            | Delivery::RefreshCards { .. }
            | Delivery::TellRequester
            | Delivery::FindPeople
            | Delivery::PassOn { .. }
            | Delivery::TellApprover { .. }
            | Delivery::RefreshHomes
            | Delivery::PublishHome { .. }
            | Delivery::Remind { .. }
            | Delivery::NoteInThread { .. }
            | Delivery::TellThread { .. }
            | Delivery::ReviewCard { .. }
            | Delivery::RefreshReview { .. }
            | Delivery::ReviewNote { .. }
            | Delivery::TellReviewers { .. }
            | Delivery::TellReviewer { .. } => Ok(Delivered::Unneeded),
        }
    }

    async fn post_digest(&self, digest: &Digest, drawn: &Drawn, post: Posting<'_>) -> Result<Delivered, Error> {
        if !drawn.rows.iter().any(Row::is_open) || !self.0.store.digest_cards(&digest.id).await?.is_empty() {
            return Ok(Delivered::Unneeded);
        }
        let channel = digest.channel.as_str();
        match lost::find(post.row, post.place, channel, None).await {
            Ok(Some(message)) => {
                let deliveries = vec![(digest.id.clone(), Delivery::RefreshDigest { channel: channel.to_owned() })];
                let digest_card = Some((digest.id.clone(), message));
                return Ok(Delivered::Done(Box::new(Commit { digest_card, deliveries, ..Commit::default() })));
            }
            Ok(None) => {}
            Err(leave) => return Ok(leave),
        }
        if let Err(leave) = may_be_told(post.place, channel, post.now).await.and_then(|()| self.turn_of(post, channel))
        {
            return Ok(leave);
        }
        let value = random_text();
        self.0.store.mint_digest(&value, &digest.id, channel, None, post.now).await?;
        let slack = &post.place.workspace.slack;
        let mut posted =
            slack.post(channel, &lost::keyed(post.row, self.draw(digest, drawn, &value, digest::card)), None).await;
        if is_content(&posted) {
            let plain = lost::keyed(post.row, self.draw(digest, drawn, &value, digest::plain_card));
            posted = slack.post(channel, &plain, None).await;
        }
        Ok(match posted {
            Ok(message) => Delivered::Done(Box::new(Commit {
                bind_digest: (message.channel == digest.channel)
                    .then(|| (sha256_hex(value.as_bytes()), message.clone())),
                digest_card: Some((digest.id.clone(), message)),
                ..Commit::default()
            })),
            Err(error) => self.without_digest(digest, drawn, None, error, post),
        })
    }

    async fn edit_digest(&self, digest: &Digest, drawn: &Drawn, post: Posting<'_>) -> Result<Delivered, Error> {
        for message in self.0.store.digest_cards(&digest.id).await? {
            if let Err(leave) = self.turn_of(post, message.channel.as_str()) {
                return Ok(leave);
            }
            let value = random_text();
            let (channel, ts) = (message.channel.as_str(), Some(message.ts.as_str()));
            self.0.store.mint_digest(&value, &digest.id, channel, ts, post.now).await?;
            let slack = &post.place.workspace.slack;
            let mut edited = slack.update(&message, &self.draw(digest, drawn, &value, digest::card)).await;
            if is_content(&edited) {
                edited = slack.update(&message, &self.draw(digest, drawn, &value, digest::plain_card)).await;
            }
            if let Err(error) = edited {
                return Ok(self.without_digest(digest, drawn, Some(message), error, post));
            }
        }
        Ok(Delivered::Done(Box::default()))
    }

    fn turn_of(&self, post: Posting<'_>, channel: &str) -> Result<(), Delivered> {
        post.place.pace.take(channel, post.row.delivery.class(), self.now()).map_err(Delivered::Later)
    }

    /// The digest is not there: what still waits on it needs another place. Where its message was deleted that is a new
    /// digest in the channel, where the channel takes nothing it is the channel for what others do not take.
    fn without_digest(
        &self,
        digest: &Digest,
        drawn: &Drawn,
        gone: Option<MessageRef>,
        error: SlackError,
        post: Posting<'_>,
    ) -> Delivered {
        let waiting = || drawn.rows.iter().filter(|row| row.is_pending()).map(|row| row.id().clone());
        let deliveries: Vec<(RequestId, Delivery)> = match (error.fault(), &gone) {
            (Some(Fault::Message), Some(_)) if waiting().next().is_none() => Vec::new(),
            (Some(Fault::Message), Some(_)) => {
                vec![(digest.id.clone(), Delivery::PostDigest { channel: digest.channel.to_string() })]
            }
            (Some(Fault::Place), _) => match post.place.elsewhere(digest.channel.as_str()) {
                Some(channel) => waiting().map(|id| (id, Delivery::PostCard { channel: channel.clone() })).collect(),
                None => return Delivered::Failed(error),
            },
            _ => return Delivered::Failed(error),
        };
        tracing::error!(error = error.code(), digest.id = %digest.id, "a digest is not there any more");
        Delivered::Done(Box::new(Commit { deliveries, gone: gone.into_iter().collect(), ..Commit::default() }))
    }

    async fn drawn(&self, requests: &[AccessRequest]) -> Result<Drawn, Error> {
        let mut rows = Vec::with_capacity(requests.len());
        let mut asked: Vec<SetName> = Vec::new();
        for request in requests {
            let grant = self.0.store.grant_of(&request.id).await?;
            let row = self.with_facts(request, grant.as_ref(), "", Row::of);
            if row.is_pending() {
                asked.extend(self.notified(request));
            }
            rows.push(row);
        }
        asked.sort();
        asked.dedup();
        Ok(Drawn { rows, asked: self.mentions(&asked) })
    }

    fn draw(
        &self,
        digest: &Digest,
        drawn: &Drawn,
        button: &str,
        draw: impl FnOnce(&DigestFacts<'_>) -> Message,
    ) -> Message {
        let most = self.policy().limits.cards_per_approver_per_hour;
        draw(&DigestFacts { id: &digest.id, rows: &drawn.rows, asked: &drawn.asked, most, button })
    }
}
