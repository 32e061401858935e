//! What Slack sends us, read leniently after [`super::signature::verify`] has said that Slack sent it.
//!
//! Every member is optional and a member of an unexpected type counts as absent: organization-wide installs
//! send `team: null`, a form without inputs has `state: {}`, and next year there will be more. What is absent
//! is refused later, where it matters. The `response_url` is not read at all: whoever holds it can write into
//! the channel.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;
use thiserror::Error;

use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackUserId};

/// A payload that cannot be understood at all. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the payload is not understood: {0}")]
pub struct NotUnderstood(&'static str);

/// Something a person did in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// A button was pressed.
    Pressed(Press),
    /// A form was sent.
    Submitted(Submission),
    /// A form was closed without sending it.
    Closed,
    /// Something that this service has no use for, by its type.
    Other(String),
}

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// The button's `action_id`, empty if there was none.
    pub action: String,
    /// The button's `value`, empty if there was none. It comes back through the client: an opaque text.
    pub value: String,
    /// How many actions the payload holds. Anything but one is to be refused.
    pub actions: usize,
    /// Who, and from where.
    pub origin: Origin,
    /// The message it stands on; none on a form, on an ephemeral message, or where the payload contradicts itself.
    pub message: Option<MessageRef>,
    /// The conversation it happened in, for answering the person there.
    pub channel: Option<SlackChannelId>,
    /// What allows opening one form, for three seconds.
    pub trigger_id: Option<String>,
}

/// A form that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which form.
    pub callback_id: String,
    /// What we gave the form to carry; it comes back through the client.
    pub private_metadata: String,
    /// What was filled in: block, action, text.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// Who, and from where.
    pub origin: Origin,
    /// The form's identifier at Slack.
    pub view_id: Option<String>,
}

impl Submission {
    /// What was filled in at a place; empty where nothing was.
    pub fn value(&self, block: &str, action: &str) -> &str {
        self.values.get(block).and_then(|actions| actions.get(action)).map_or("", String::as_str)
    }
}

/// Who did it, from which workspace, through which app: as the payload says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The person.
    pub user: Option<ClickUser>,
    /// `team.id`: the workspace; absent on organization-wide installs, the other side's in Slack Connect.
    pub team: Option<String>,
    /// `enterprise.id`.
    pub enterprise: Option<String>,
    /// `api_app_id`.
    pub app: Option<String>,
    /// `view.app_id`, on forms.
    pub view_app: Option<String>,
    /// `view.app_installed_team_id`, on forms: the workspace that the app is installed in.
    pub installed_team: Option<String>,
}

/// A person who clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickUser {
    /// The account.
    pub id: SlackUserId,
    /// The workspace of the account.
    pub team_id: Option<String>,
}

/// Why a click cannot be one of ours, before anybody is asked about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Foreign {
    /// It was made for another app, or does not say for which.
    #[error("it was made for another app")]
    OtherApp,
    /// It comes from another workspace.
    #[error("it comes from another workspace")]
    OtherWorkspace,
    /// It does not say who clicked.
    #[error("it does not say who clicked")]
    Nobody,
    /// Whoever clicked belongs to another workspace, or it does not say to which.
    #[error("whoever clicked belongs to another workspace")]
    Stranger,
}

impl Foreign {
    /// A word for an audit entry and a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherApp => "other_app",
            Self::OtherWorkspace => "other_workspace",
            Self::Nobody => "no_user",
            Self::Stranger => "other_workspace_user",
        }
    }
}

/// The first checks of a click, in order: our app, our workspace, a user of our workspace.
///
/// For an app that is installed in one workspace. `team` may be null (an organization-wide install sends
/// that), but never another's; the user's own workspace must always be named and ours.
pub fn origin_refusal(origin: &Origin, app_id: &str, team_id: &str) -> Option<Foreign> {
    let mut apps = [&origin.app, &origin.view_app].into_iter().flatten();
    let for_our_app = (origin.app.is_some() || origin.view_app.is_some()) && apps.all(|app| app == app_id);
    let mut teams = [&origin.team, &origin.installed_team].into_iter().flatten();
    if !for_our_app {
        return Some(Foreign::OtherApp);
    }
    if !teams.all(|team| team == team_id) {
        return Some(Foreign::OtherWorkspace);
    }
    match &origin.user {
        None => Some(Foreign::Nobody),
        Some(user) if user.team_id.as_deref() == Some(team_id) => None,
        Some(_) => Some(Foreign::Stranger),
    }
}

impl Interaction {
    /// Reads the verified body of `POST /slack/interactions`: a form with exactly one `payload`.
    ///
    /// # Errors
    /// [`NotUnderstood`], which holds nothing of what was sent.
    pub fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        let mut payloads = url::form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
        let (_, payload) = payloads.next().ok_or(NotUnderstood("there is no payload"))?;
        if payloads.next().is_some() {
            return Err(NotUnderstood("there are two payloads"));
        }
        let payload: Payload =
            serde_json::from_str(&payload).map_err(|_| NotUnderstood("the payload is not a JSON object"))?;
        let kind = payload.kind.clone().ok_or(NotUnderstood("the payload has no type"))?;
        Ok(match kind.as_str() {
            "block_actions" => Self::Pressed(payload.press()),
            "view_submission" => Self::Submitted(payload.submission()),
            "view_closed" => Self::Closed,
            _ => Self::Other(kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect()),
        })
    }
}

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

/// A member of an unexpected type counts as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

macro_rules! wire {
    ($type:ident { $($(#[$attr:meta])* $field:ident: $of:ty),* $(,)? }) => {
        #[derive(Debug, Default, Clone, Deserialize)]
        #[serde(default)]
        struct $type {
            $($(#[$attr])* #[serde(deserialize_with = "lenient")] $field: Option<$of>,)*
        }
    };
}

wire!(Payload {
    #[serde(rename = "type")]
    kind: String,
    user: WireUser,
    team: WireId,
    enterprise: WireId,
    api_app_id: String,
    actions: Vec<Value>,
    container: WireContainer,
    channel: WireId,
    message: WireMessage,
    trigger_id: String,
    view: WireView,
});
wire!(WireId { id: String });
wire!(WireUser { id: String, team_id: String });
wire!(WireMessage { ts: String });
wire!(WireContainer { channel_id: String, message_ts: String, is_ephemeral: bool });
wire!(WireAction { action_id: String, value: String });
wire!(WireView {
    id: String,
    callback_id: String,
    private_metadata: String,
    app_id: String,
    app_installed_team_id: String,
    state: WireState,
});
wire!(WireState { values: BTreeMap<String, BTreeMap<String, Value>>, });
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

impl Payload {
    fn origin(&self) -> Origin {
        let user = self.user.clone().unwrap_or_default();
        let id = user.id.and_then(|id| SlackUserId::parse(id).ok());
        Origin {
            user: id.map(|id| ClickUser { id, team_id: user.team_id }),
            team: self.team.clone().and_then(|team| team.id),
            enterprise: self.enterprise.clone().and_then(|enterprise| enterprise.id),
            app: self.api_app_id.clone(),
            view_app: self.view.as_ref().and_then(|view| view.app_id.clone()),
            installed_team: self.view.as_ref().and_then(|view| view.app_installed_team_id.clone()),
        }
    }

    /// The message that was clicked. Two places say so; where they differ, neither is believed.
    fn clicked(&self) -> Option<MessageRef> {
        let container = self.container.clone().unwrap_or_default();
        if container.is_ephemeral == Some(true) {
            return None;
        }
        let channel = agreed(container.channel_id, self.channel.clone().and_then(|channel| channel.id))?;
        let ts = agreed(container.message_ts, self.message.clone().and_then(|message| message.ts))?;
        Some(MessageRef { channel: SlackChannelId::parse(channel).ok()?, ts })
    }

    fn press(self) -> Press {
        let actions = self.actions.as_deref().unwrap_or_default();
        let first = actions.first().and_then(|action| WireAction::deserialize(action).ok()).unwrap_or_default();
        let channel = self.channel.clone().and_then(|channel| channel.id);
        let channel = channel.or_else(|| self.container.clone().and_then(|container| container.channel_id));
        Press {
            action: first.action_id.unwrap_or_default(),
            value: first.value.unwrap_or_default(),
            actions: actions.len(),
            origin: self.origin(),
            message: self.clicked(),
            channel: channel.and_then(|id| SlackChannelId::parse(id).ok()),
            trigger_id: self.trigger_id,
        }
    }

    fn submission(self) -> Submission {
        let origin = self.origin();
        let view = self.view.unwrap_or_default();
        let values = view.state.unwrap_or_default().values.unwrap_or_default();
        let filled = |(action, element): (String, Value)| {
            let text = element["value"].as_str().or_else(|| element["selected_option"]["value"].as_str());
            text.map(|text| (action, text.to_owned()))
        };
        Submission {
            callback_id: view.callback_id.unwrap_or_default(),
            private_metadata: view.private_metadata.unwrap_or_default(),
            values: values
                .into_iter()
                .map(|(block, of)| (block, of.into_iter().filter_map(filled).collect()))
                .collect(),
            origin,
            view_id: view.id,
        }
    }
}

fn agreed(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}
