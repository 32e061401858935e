//! Slash commands and events, verified before: read as leniently as clicks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::click::{ClickUser, NotUnderstood, Origin};
use super::inbound::wire;
use crate::domain::ids::{SlackChannelId, SlackUserId};

/// A slash command, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The command, such as `/access`.
    pub command: String,
    /// What follows it.
    pub text: String,
    /// Who, and from where.
    pub origin: Origin,
    /// The conversation it was typed in.
    pub channel: Option<SlackChannelId>,
    /// What allows opening one form, for three seconds.
    pub trigger_id: Option<String>,
    /// Slack only looks whether our certificate is good; there is no command.
    pub ssl_check: bool,
}

impl Command {
    /// Reads the verified body of `POST /slack/commands`: a plain form. Total: what is absent stays empty.
    pub fn parse(body: &[u8]) -> Self {
        let mut form: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            form.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        let mut take = |name: &str| form.remove(name).filter(|value| !value.is_empty());
        let team = take("team_id");
        let user = take("user_id").and_then(|id| SlackUserId::parse(id).ok());
        let origin = Origin {
            // A command can be typed only by members of the workspace that it names.
            user: user.map(|id| ClickUser { id, team_id: team.clone() }),
            team,
            enterprise: take("enterprise_id"),
            app: take("api_app_id"),
            view_app: None,
            installed_team: None,
        };
        Self {
            command: take("command").unwrap_or_default(),
            text: take("text").unwrap_or_default(),
            origin,
            channel: take("channel_id").and_then(|id| SlackChannelId::parse(id).ok()),
            trigger_id: take("trigger_id"),
            ssl_check: take("ssl_check").as_deref() == Some("1"),
        }
    }
}

/// An event, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Slack asks whether this address is ours; it is answered with the challenge.
    Challenge(String),
    /// Something happened.
    Happened {
        /// What Slack calls this delivery; repeated deliveries have the same.
        event_id: Option<String>,
        /// The event's type, such as `app_home_opened`.
        kind: String,
        /// The app it was sent to.
        app: Option<String>,
        /// The workspace.
        team: Option<String>,
        /// The user that it is about, where there is one.
        user: Option<SlackUserId>,
    },
    /// Something else, by its type.
    Other(String),
}

impl Event {
    /// Reads the verified body of `POST /slack/events`.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        let envelope: Envelope =
            serde_json::from_slice(body).map_err(|_| NotUnderstood("the event is not a JSON object"))?;
        let kind = envelope.kind.ok_or(NotUnderstood("the event has no type"))?;
        match kind.as_str() {
            "url_verification" => envelope.challenge.map(Self::Challenge).ok_or(NotUnderstood("there is no challenge")),
            "event_callback" => {
                let event = envelope.event.unwrap_or_default();
                // Some events name the user by id, some by the whole account.
                let user = event.user.as_ref().and_then(|user| user.as_str().or_else(|| user["id"].as_str()));
                Ok(Self::Happened {
                    event_id: envelope.event_id,
                    kind: event.kind.ok_or(NotUnderstood("the event has no type"))?,
                    app: envelope.api_app_id,
                    team: envelope.team_id,
                    user: user.and_then(|id| SlackUserId::parse(id).ok()),
                })
            }
            _ => Ok(Self::Other(kind)),
        }
    }
}

wire!(Envelope {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    event_id: String,
    api_app_id: String,
    team_id: String,
    event: WireEvent,
});
wire!(WireEvent {
    #[serde(rename = "type")]
    kind: String,
    user: Value,
});
