//! Who hears of a new card beside the channel: each gets a card of their own as a direct message.
//!
//! Such a card is one like any other: its buttons count on that one message, every check is made at the click, and it
//! is edited to the outcome with the card of the first channel.

use std::collections::BTreeSet;

use super::perform::Delivered;
use super::workspaces::Place;
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::ids::SlackUserId;
use crate::domain::policy::NotifyBy;
use crate::slack::SlackError;
use crate::store::{Commit, Delivery};

/// How many people get a card of their own; whoever else may decide finds the one in the channel, or their Home.
const PEOPLE_MAX: usize = 20;

impl Service {
    /// Where a new card goes: the channels, each person, or both.
    pub(super) fn first_cards(request: &AccessRequest, channels: &[String]) -> Vec<Delivery> {
        let posts = || channels.iter().cloned().map(|channel| Delivery::PostCard { channel });
        match request.question.notify.by {
            NotifyBy::Channel => posts().collect(),
            NotifyBy::Direct => vec![Delivery::FindPeople],
            NotifyBy::Both => posts().chain([Delivery::FindPeople]).collect(),
        }
    }

    /// Finds the people, as Slack says now, and the conversation with each; then a card is posted to each of them. All
    /// of it is one commit with the end of this delivery, so that a second attempt posts nothing twice.
    pub(super) async fn find_people(
        &self,
        request: &AccessRequest,
        place: &Place,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        if request.status(now) != Status::Pending {
            return Ok(Delivered::Unneeded);
        }
        match self.direct_channels(request, place).await {
            Ok(channels) if channels.is_empty() => {
                // Nobody is there to be told: the channel is better than silence.
                let card = |channel| (request.id.clone(), Delivery::PostCard { channel });
                let deliveries = self.channels(request).into_iter().map(card).collect();
                Ok(Delivered::Done(Box::new(Commit { deliveries, ..Commit::default() })))
            }
            Ok(channels) => {
                let card = |(user, channel)| (request.id.clone(), Delivery::PostDirectCard { channel, user });
                let deliveries = channels.into_iter().map(card).collect();
                Ok(Delivered::Done(Box::new(Commit { deliveries, ..Commit::default() })))
            }
            Err(error) => Ok(Delivered::Failed(error)),
        }
    }

    async fn direct_channels(
        &self,
        request: &AccessRequest,
        place: &Place,
    ) -> Result<Vec<(SlackUserId, String)>, SlackError> {
        let policy = self.policy();
        let mut people: BTreeSet<SlackUserId> = BTreeSet::new();
        let sets = self.notified(request);
        for set in sets.iter().filter_map(|name| policy.approvers.get(name)) {
            people.extend(set.users.iter().cloned());
            for group in &set.groups {
                people.extend(place.workspace.slack.group_members(group).await?);
            }
        }
        // Whoever asks may not decide; they are told in another way.
        if let Some(requester) = self.requester(request) {
            people.remove(&requester);
        }
        let mut channels = Vec::new();
        for user in people.into_iter().take(PEOPLE_MAX) {
            match place.workspace.slack.open_direct(&user).await {
                Ok(channel) => channels.push((user, channel.to_string())),
                // Somebody who cannot be written to keeps nobody else from being told.
                Err(SlackError::Permanent(code)) => {
                    tracing::warn!(error = code, "a person cannot be written to");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(channels)
    }
}
