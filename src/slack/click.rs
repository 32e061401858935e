//! What Slack sends us, read leniently after [`super::signature::verify`] has said that Slack sent it.
//!
//! Every member is optional and a member of an unexpected type counts as absent: organization-wide installs
//! send `team: null`, a form without inputs has `state: {}`, and next year there will be more. What is absent
//! is refused later, where it matters. The `response_url` is not read at all: whoever holds it can write into
//! the channel.

use std::collections::BTreeMap;

use thiserror::Error;

pub use super::command::{Command, Event};
use super::inbound::Payload;
use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackUserId};

/// A payload that cannot be understood at all. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the payload is not understood: {0}")]
pub struct NotUnderstood(pub(super) &'static str);

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
