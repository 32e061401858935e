//! What Slack sends us, read leniently after [`super::signature::verify`] has said that Slack sent it.
//!
//! Every member is optional and a member of an unexpected type counts as absent: organization-wide installs
//! send `team: null`, a form without inputs has `state: {}`, and next year there will be more. What is absent
//! is refused later, where it matters. The `response_url` is not read at all: whoever holds it can write into
//! the channel.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

pub use super::command::{Command, Event, What};
use super::inbound::Payload;
pub use super::origin::{ClickUser, Foreign, Origin, origin_refusal};
use crate::domain::access_request::MessageRef;
use crate::domain::ids::SlackChannelId;

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
    /// Somebody types into a menu whose options are searched.
    Suggested(Suggestion),
    /// Something that this service has no use for, by its type.
    Other(String),
}

/// A form or a Home tab, as it was when something happened in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PressedView {
    /// Its identifier at Slack.
    pub id: Option<String>,
    /// Changes with each change of it.
    pub hash: Option<String>,
    /// Which form.
    pub callback_id: String,
    /// What we gave it to carry; it comes back through the client.
    pub private_metadata: String,
    /// What was filled in so far: block, action, text.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// What was chosen from lists of which several can be: block, action, values.
    pub lists: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Somebody types into a menu whose options are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The menu's `action_id`.
    pub action: String,
    /// What was typed.
    pub typed: String,
    /// Who, and from where.
    pub origin: Origin,
    /// The form that it stands in.
    pub view: Option<PressedView>,
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
    /// The form or Home tab it stands on.
    pub view: Option<PressedView>,
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
    /// What was chosen from lists of which several can be: block, action, values.
    pub lists: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Who, and from where.
    pub origin: Origin,
    /// The form's identifier at Slack.
    pub view_id: Option<String>,
    /// What Slack tells this submission by.
    pub trigger_id: Option<String>,
}

impl Submission {
    /// What was filled in at a place; empty where nothing was.
    pub fn value(&self, block: &str, action: &str) -> &str {
        self.values.get(block).and_then(|actions| actions.get(action)).map_or("", String::as_str)
    }

    /// What was chosen from a list; none where the form has no such list.
    pub fn list(&self, block: &str, action: &str) -> Option<&[String]> {
        self.lists.get(block).and_then(|actions| actions.get(action)).map(Vec::as_slice)
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
        Self::of(serde_json::from_str(&payload).map_err(|_| NotUnderstood("the payload is not JSON"))?)
    }

    /// Reads the payload itself.
    ///
    /// # Errors
    /// [`NotUnderstood`], which holds nothing of what was sent.
    pub fn of(payload: Value) -> Result<Self, NotUnderstood> {
        let payload: Payload =
            serde_json::from_value(payload).map_err(|_| NotUnderstood("the payload is not a JSON object"))?;
        let kind = payload.kind.clone().ok_or(NotUnderstood("the payload has no type"))?;
        Ok(match kind.as_str() {
            "block_actions" => Self::Pressed(payload.press()),
            "view_submission" => Self::Submitted(payload.submission()),
            "view_closed" => Self::Closed,
            "block_suggestion" => Self::Suggested(payload.suggestion()),
            _ => Self::Other(kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect()),
        })
    }
}

#[cfg(test)]
mod tests;
