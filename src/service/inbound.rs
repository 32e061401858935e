//! What comes from Slack, whichever way: over HTTP to our doors, or down a socket. Whatever it leads to is committed
//! when [`Service::take`] returns, so only then may it be acknowledged.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::workspaces::{Caller, Place, Through};
use super::{CommandAnswer, Error, FormAnswer, Service};
use crate::domain::Timestamp;
use crate::domain::ids::{RequestId, SlackChannelId, SlackUserId, WorkspaceName};
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
    pub async fn take(&self, inbound: Inbound, through: &Through) -> Result<Option<Value>, Error> {
        match inbound {
            Inbound::Interaction(Interaction::Pressed(press)) => {
                let from = self.caller(through, &press.origin);
                Box::pin(self.pressed(&from, &press)).await?;
                Ok(None)
            }
            Inbound::Interaction(Interaction::Submitted(form)) => {
                let from = self.caller(through, &form.origin);
                Ok(form_answer(Box::pin(self.submitted(&from, &form)).await?))
            }
            Inbound::Interaction(Interaction::Suggested(search)) => {
                let from = self.caller(through, &search.origin);
                Box::pin(self.suggested(&from, &search)).await.map(Some)
            }
            Inbound::Interaction(Interaction::Closed | Interaction::Other(_)) => Ok(None),
            Inbound::Command(command) => {
                let from = self.caller(through, &command.origin);
                self.commanded(&from, &command).await
            }
            Inbound::Event(event) => self.happened(event, through).await,
        }
    }

    async fn commanded(&self, from: &Caller, command: &Command) -> Result<Option<Value>, Error> {
        if command.ssl_check {
            return Ok(None);
        }
        Ok(match Box::pin(self.command(from, command)).await? {
            CommandAnswer::Nothing => None,
            // Only whoever typed it sees that.
            CommandAnswer::Say(message) => {
                Some(json!({ "response_type": "ephemeral", "text": message.text, "blocks": message.blocks }))
            }
        })
    }

    async fn happened(&self, event: Event, through: &Through) -> Result<Option<Value>, Error> {
        let (event_id, app, team, enterprise, what) = match event {
            Event::Challenge(challenge) => return Ok(Some(json!({ "challenge": challenge }))),
            Event::Other(_) => return Ok(None),
            Event::Happened { event_id, app, team, enterprise, what } => (event_id, app, team, enterprise, what),
        };
        let of = |place: &&&Arc<Place>| {
            app.as_ref().is_some_and(|app| *app == place.workspace.app_id)
                && match &place.workspace.enterprise_id {
                    Some(organization) => enterprise.as_ref() == Some(organization),
                    None => team.as_ref().is_none_or(|team| *team == place.team().as_str()),
                }
        };
        let mut fitting = self.those(through).filter(|place| of(&place));
        // What is told for another app or workspace concerns nothing here, what could be about two of them neither.
        let (Some(place), None) = (fitting.next(), fitting.next()) else { return Ok(None) };
        // What was taken is taken. Another workspace's app has identifiers of its own.
        let id = event_id.map(|id| format!("{}/{id}", place.team()));
        if !id.as_ref().is_some_and(|id| self.0.events.is_known(id)) {
            self.heard(place, what).await?;
        }
        if let Some(id) = id {
            self.0.events.remember(id);
        }
        Ok(None)
    }

    async fn heard(&self, place: &Arc<Place>, what: What) -> Result<(), Error> {
        let now = self.now();
        match what {
            What::HomeOpened(user) => Box::pin(self.home_opened(place, &user)).await,
            What::AccountChanged(user, deleted) => Box::pin(self.told_of(place, &user, deleted, now)).await,
            What::GroupChanged(group) => {
                place.people.forget_group(&group);
                Ok(())
            }
            What::SharingChanged(channel) => {
                place.channels.forget(&channel);
                Ok(())
            }
            What::ChannelRenamed(old, new) => self.channel_renamed(place, &old, &new, now).await,
            What::ChannelGone(channel) => self.channel_gone(place, &channel, now).await,
            What::Removed(why) => self.token_fails(place, why, now + REMOVED_PAUSE, now).await,
            What::Other(_) => Ok(()),
        }
    }

    /// Slack says that an account changed. That it is deactivated is known even where Slack cannot be asked now.
    async fn told_of(
        &self,
        place: &Arc<Place>,
        user: &SlackUserId,
        deleted: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.account_changed(place, user).await?;
        if deleted && place.people.standing_since(user, now).is_none() {
            place.people.is_deactivated(user, now);
        }
        Ok(())
    }

    /// A channel has another id: its cards are there now, and are drawn again with buttons that count there.
    async fn channel_renamed(
        &self,
        place: &Arc<Place>,
        old: &SlackChannelId,
        new: &SlackChannelId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let requests = self.of_here(place, self.0.store.requests_in(old, now).await?).await?;
        tracing::warn!(%old, %new, "a channel has another id; the configuration and the policy still name the old one");
        self.0.store.move_cards(&requests, old, new).await?;
        let refresh = |request: &RequestId| (request.clone(), Delivery::RefreshCards { channel: new.to_string() });
        self.redraw(requests.iter().map(refresh).collect(), now).await
    }

    /// Nobody reaches the cards of a channel any more: what is pending there needs another card.
    async fn channel_gone(&self, place: &Arc<Place>, channel: &SlackChannelId, now: Timestamp) -> Result<(), Error> {
        place.channels.forget(channel);
        let Some(elsewhere) = place.elsewhere(channel.as_str()) else { return Ok(()) };
        let requests = self.of_here(place, self.0.store.requests_in(channel, now).await?).await?;
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

    /// Those of some access requests that belong to a workspace.
    async fn of_here(&self, place: &Arc<Place>, all: Vec<RequestId>) -> Result<Vec<RequestId>, Error> {
        let mut here = Vec::new();
        for id in all {
            let request = self.0.store.request(&id).await?;
            if request.is_some_and(|request| self.is_at(place, &request)) {
                here.push(id);
            }
        }
        Ok(here)
    }

    /// Draws everything that is open in a workspace into a channel of it, from the store. Answers with how many cards
    /// that will be; nothing where there is no such workspace.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rebuild(
        &self,
        workspace: Option<&WorkspaceName>,
        channel: &SlackChannelId,
    ) -> Result<Option<usize>, Error> {
        let now = self.now();
        let mut places = self.places();
        let Some(place) = places.find(|place| workspace.is_none_or(|name| *name == place.workspace.name)) else {
            return Ok(None);
        };
        let open = self.of_here(place, self.0.store.open_requests(now).await?).await?;
        let post = |request: &RequestId| (request.clone(), Delivery::PostCard { channel: channel.to_string() });
        let deliveries: Vec<_> = open.iter().map(post).collect();
        let count = deliveries.len();
        self.redraw(deliveries, now).await?;
        Ok(Some(count))
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
