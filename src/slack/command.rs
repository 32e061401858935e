//! Slash commands and events, verified before: read as leniently as clicks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::click::{ClickUser, NotUnderstood, Origin};
use super::inbound::wire;
use crate::domain::ids::{SlackChannelId, SlackGroupId, SlackUserId};

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
        Self::read(form)
    }

    /// Reads the same as a JSON object.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub fn of(payload: Value) -> Result<Self, NotUnderstood> {
        let Value::Object(members) = payload else { return Err(NotUnderstood("the command is not a JSON object")) };
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        };
        Ok(Self::read(members.into_iter().filter_map(text).collect()))
    }

    fn read(mut form: BTreeMap<String, String>) -> Self {
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
        /// The app it was sent to.
        app: Option<String>,
        /// The workspace.
        team: Option<String>,
        /// The organization.
        enterprise: Option<String>,
        /// What.
        what: What,
    },
    /// Something else, by its type.
    Other(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Somebody opened the app's Home.
    HomeOpened(SlackUserId),
    /// Somebody's account changed; whether it is deactivated now.
    AccountChanged(SlackUserId, bool),
    /// A user group changed.
    GroupChanged(SlackGroupId),
    /// A channel is shared with another company, or no longer.
    SharingChanged(SlackChannelId),
    /// A channel has another id.
    ChannelRenamed(SlackChannelId, SlackChannelId),
    /// A channel was archived, or the app was taken out of it.
    ChannelGone(SlackChannelId),
    /// The app's own token was revoked, or the app was removed.
    Removed(&'static str),
    /// Something that is of no use here, by its type.
    Other(String),
}

impl Event {
    /// Reads the verified body of `POST /slack/events`.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        Self::of(serde_json::from_slice(body).map_err(|_| NotUnderstood("the event is not JSON"))?)
    }

    /// Reads the same, parsed.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub fn of(payload: Value) -> Result<Self, NotUnderstood> {
        let envelope: Envelope =
            serde_json::from_value(payload).map_err(|_| NotUnderstood("the event is not a JSON object"))?;
        let kind = envelope.kind.ok_or(NotUnderstood("the event has no type"))?;
        match kind.as_str() {
            "url_verification" => envelope.challenge.map(Self::Challenge).ok_or(NotUnderstood("there is no challenge")),
            "event_callback" => {
                let event = envelope.event.unwrap_or_default();
                let kind = event["type"].as_str().ok_or(NotUnderstood("the event has no type"))?;
                Ok(Self::Happened {
                    event_id: envelope.event_id,
                    app: envelope.api_app_id,
                    team: envelope.team_id,
                    enterprise: envelope.enterprise_id,
                    what: what(kind, &event).unwrap_or_else(|| What::Other(word(kind))),
                })
            }
            _ => Ok(Self::Other(word(&kind))),
        }
    }
}

/// What an event says, where it says all that is needed.
fn what(kind: &str, event: &Value) -> Option<What> {
    // Some events name things by id, some by the whole object.
    let id = |name: &str| event[name].as_str().or_else(|| event[name]["id"].as_str());
    let user = || SlackUserId::parse(id("user")?).ok();
    let channel = |name: &str| SlackChannelId::parse(id(name)?).ok();
    Some(match kind {
        "app_home_opened" if event["tab"] != "messages" => What::HomeOpened(user()?),
        "user_change" => What::AccountChanged(user()?, event["user"]["deleted"] == true),
        "subteam_members_changed" => What::GroupChanged(SlackGroupId::parse(id("subteam_id")?).ok()?),
        "subteam_updated" => What::GroupChanged(SlackGroupId::parse(id("subteam")?).ok()?),
        "channel_shared" | "channel_unshared" => What::SharingChanged(channel("channel")?),
        "channel_id_changed" => What::ChannelRenamed(channel("old_channel_id")?, channel("new_channel_id")?),
        "channel_archive" | "group_archive" | "channel_deleted" | "channel_left" | "group_left" => {
            What::ChannelGone(channel("channel")?)
        }
        "tokens_revoked" if event["tokens"]["bot"].as_array().is_some_and(|bots| !bots.is_empty()) => {
            What::Removed("tokens_revoked")
        }
        "app_uninstalled" => What::Removed("app_uninstalled"),
        _ => return None,
    })
}

/// A word of Slack's for a log line.
fn word(kind: &str) -> String {
    kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect()
}

wire!(Envelope {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    event_id: String,
    api_app_id: String,
    team_id: String,
    enterprise_id: String,
    event: Value,
});
