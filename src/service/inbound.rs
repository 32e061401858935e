//! What comes from Slack, whichever way: over HTTP to our doors, or down a socket. Whatever it leads to is committed
//! when [`Service::take`] returns, so only then may it be acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::workspaces::Place;
use super::{CommandAnswer, Error, FormAnswer, Service};
use crate::domain::Timestamp;
use crate::domain::ids::{RequestId, SlackChannelId, SlackUserId};
use crate::slack::click::{Command, Event, Interaction, What};
use crate::slack::forms;
use crate::slack::socket::Inbound;
use crate::store::{Commit, Delivery};

/// How many events are remembered, so that a repeated one is known.
const EVENTS_MAX: usize = 10_000;
/// After Slack said that the app was removed, it is tried again this much later.
const REMOVED_PAUSE: TimeDelta = TimeDelta::seconds(60);

/// Events that were taken, in the order in which they came.
#[derive(Default)]
pub(super) struct Events(Mutex<(HashSet<String>, VecDeque<String>)>);

impl Events {
    fn is_known(&self, id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.contains(id)
    }

    fn remember(&self, id: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.0.insert(id.clone()) {
            all.1.push_back(id);
        }
        if all.1.len() > EVENTS_MAX
            && let Some(oldest) = all.1.pop_front()
        {
            all.0.remove(&oldest);
        }
    }
}

impl Service {
    /// Takes something from Slack. Answers with what Slack is to be told, where it expects more than "taken".
    ///
    /// # Errors
    /// When the store does not answer: then it must not be acknowledged.
    pub async fn take(&self, inbound: Inbound) -> Result<Option<Value>, Error> {
        match inbound {
            Inbound::Interaction(Interaction::Pressed(press)) => {
                Box::pin(self.pressed(&press)).await?;
                Ok(None)
            }
            Inbound::Interaction(Interaction::Submitted(form)) => {
                Ok(form_answer(Box::pin(self.submitted(&form)).await?))
            }
            Inbound::Interaction(Interaction::Suggested(search)) => Box::pin(self.suggested(&search)).await.map(Some),
            Inbound::Interaction(Interaction::Closed | Interaction::Other(_)) => Ok(None),
            Inbound::Command(command) => self.commanded(&command).await,
            Inbound::Event(event) => self.happened(event).await,
        }
    }

    async fn commanded(&self, command: &Command) -> Result<Option<Value>, Error> {
        if command.ssl_check {
            return Ok(None);
        }
        Ok(match Box::pin(self.command(command)).await? {
            CommandAnswer::Nothing => None,
            // Only whoever typed it sees that.
            CommandAnswer::Say(message) => {
                Some(json!({ "response_type": "ephemeral", "text": message.text, "blocks": message.blocks }))
            }
        })
    }

    async fn happened(&self, event: Event) -> Result<Option<Value>, Error> {
        let (event_id, app, team, enterprise, what) = match event {
            Event::Challenge(challenge) => return Ok(Some(json!({ "challenge": challenge }))),
            Event::Other(_) => return Ok(None),
            Event::Happened { event_id, app, team, enterprise, what } => (event_id, app, team, enterprise, what),
        };
        let known = event_id.as_ref().is_some_and(|id| self.0.events.is_known(id));
        let of = |place: &&Place| {
            app.as_ref().is_some_and(|app| *app == place.workspace.app_id)
                && match &place.workspace.enterprise_id {
                    Some(organization) => enterprise.as_ref() == Some(organization),
                    None => team.as_ref().is_none_or(|team| *team == place.workspace.team_id),
                }
        };
        // What is told for another app or workspace concerns nothing here, and what was taken is taken.
        if let Some(place) = self.places().find(of).filter(|_| !known) {
            self.heard(place, what).await?;
        }
        if let Some(id) = event_id {
            self.0.events.remember(id);
        }
        Ok(None)
    }

    async fn heard(&self, place: &Place, what: What) -> Result<(), Error> {
        let now = self.now();
        match what {
            What::HomeOpened(user) => Box::pin(self.home_opened(&user)).await,
            What::AccountChanged(user, deleted) => Box::pin(self.told_of(place, &user, deleted, now)).await,
            What::GroupChanged(group) => {
                place.people.forget_group(&group);
                Ok(())
            }
            What::SharingChanged(channel) => {
                place.channels.forget(&channel);
                Ok(())
            }
            What::ChannelRenamed(old, new) => self.channel_renamed(&old, &new, now).await,
            What::ChannelGone(channel) => self.channel_gone(place, &channel, now).await,
            What::Removed(why) => self.token_fails(place, why, now + REMOVED_PAUSE, now).await,
            What::Other(_) => Ok(()),
        }
    }

    /// Slack says that an account changed. That it is deactivated is known even where Slack cannot be asked now.
    async fn told_of(&self, place: &Place, user: &SlackUserId, deleted: bool, now: Timestamp) -> Result<(), Error> {
        self.account_changed(user).await?;
        if deleted && place.people.standing_since(user, now).is_none() {
            place.people.is_deactivated(user, now);
        }
        Ok(())
    }

    /// A channel has another id: its cards are there now, and are drawn again with buttons that count there.
    async fn channel_renamed(&self, old: &SlackChannelId, new: &SlackChannelId, now: Timestamp) -> Result<(), Error> {
        let requests = self.0.store.requests_in(old, now).await?;
        tracing::warn!(%old, %new, "a channel has another id; the configuration and the policy still name the old one");
        self.0.store.move_cards(old, new).await?;
        let refresh = |request: &RequestId| (request.clone(), Delivery::RefreshCards { channel: new.to_string() });
        self.redraw(requests.iter().map(refresh).collect(), now).await
    }

    /// Nobody reaches the cards of a channel any more: what is pending there needs another card.
    async fn channel_gone(&self, place: &Place, channel: &SlackChannelId, now: Timestamp) -> Result<(), Error> {
        place.channels.forget(channel);
        let Some(elsewhere) = place.elsewhere(channel.as_str()) else { return Ok(()) };
        let requests = self.0.store.requests_in(channel, now).await?;
        let post = |request: &RequestId| (request.clone(), Delivery::PostCard { channel: elsewhere.clone() });
        self.redraw(requests.iter().map(post).collect(), now).await
    }

    async fn redraw(&self, deliveries: Vec<(RequestId, Delivery)>, now: Timestamp) -> Result<(), Error> {
        if !deliveries.is_empty() {
            self.0.store.commit(Commit { deliveries, ..Commit::default() }, now).await?;
            self.tell(None);
        }
        Ok(())
    }

    /// Draws everything that is open into a channel, from the store. Answers with how many cards that will be.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rebuild(&self, channel: &SlackChannelId) -> Result<usize, Error> {
        let now = self.now();
        let open = self.0.store.open_requests(now).await?;
        let post = |request: &RequestId| (request.clone(), Delivery::PostCard { channel: channel.to_string() });
        let deliveries: Vec<_> = open.iter().map(post).collect();
        let count = deliveries.len();
        self.redraw(deliveries, now).await?;
        Ok(count)
    }
}

/// What Slack is told about a form that was sent.
fn form_answer(answer: FormAnswer) -> Option<Value> {
    match answer {
        FormAnswer::Close => None,
        FormAnswer::Say(words) => Some(json!({ "response_action": "update", "view": forms::stale_view(&words) })),
        FormAnswer::Show(view) => Some(json!({ "response_action": "update", "view": view })),
        FormAnswer::Errors(all) => {
            let errors: serde_json::Map<String, Value> =
                all.into_iter().map(|(block, says)| (block, json!(says))).collect();
            Some(json!({ "response_action": "errors", "errors": errors }))
        }
    }
}
