//! What is shown in Slack: messages posted and edited, forms and Home tabs opened and changed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::{Slack, SlackError};
use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackUserId};

/// What is shown: a fallback for notifications, the blocks, and identifiers for apps that read the channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// What a notification says (mrkdwn, cleaned and escaped). Never empty.
    pub text: String,
    /// Block Kit blocks.
    pub blocks: Vec<Value>,
    /// Message metadata: every app in the channel can read it, so identifiers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

impl Slack {
    /// Posts a message to a channel, or to a person (`U…`, as a direct message), or in a thread.
    ///
    /// Of the answer only `channel` and `ts` are read: they name the message, and nothing else of it may
    /// turn a post that happened into a failure.
    ///
    /// # Errors
    /// [`SlackError`]; after [`SlackError::OutcomeUnknown`] the message may stand in the channel.
    pub async fn post(
        &self,
        channel: &str,
        message: &Message,
        thread_ts: Option<&str>,
    ) -> Result<MessageRef, SlackError> {
        let call = Sent { channel, user: None, ts: None, thread_ts, message, quiet: Quiet::posted() };
        let Posted { channel, ts } = self.write(&self.0.patient, "chat.postMessage", &call).await?;
        Ok(MessageRef { channel, ts })
    }

    /// Changes a message that was posted. Doing it twice changes nothing.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn update(&self, at: &MessageRef, message: &Message) -> Result<(), SlackError> {
        let channel = at.channel.as_str();
        let call = Sent { channel, user: None, ts: Some(&at.ts), thread_ts: None, message, quiet: Quiet::default() };
        self.write::<_, Done>(&self.0.patient, "chat.update", &call).await.map(|_| ())
    }

    /// The address that leads to a message itself (`chat.getPermalink`, which needs no scope). None where what comes
    /// back is no address at Slack: people are sent there.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn permalink(&self, at: &MessageRef) -> Result<Option<Url>, SlackError> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(default)]
            permalink: String,
        }
        let with = [("channel", at.channel.as_str()), ("message_ts", at.ts.as_str())];
        let Found { permalink } = self.read("chat.getPermalink", &with).await?;
        Ok(Url::parse(&permalink).ok().filter(is_at_slack))
    }

    /// Shows a message in a channel to one person only; it vanishes when they reload.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn whisper(
        &self,
        channel: &SlackChannelId,
        user: &SlackUserId,
        message: &Message,
    ) -> Result<(), SlackError> {
        let (channel, user) = (channel.as_str(), Some(user.as_str()));
        let call = Sent { channel, user, ts: None, thread_ts: None, message, quiet: Quiet::default() };
        self.write::<_, Done>(&self.0.interactive, "chat.postEphemeral", &call).await.map(|_| ())
    }

    /// Opens a dialog for the person whose click made `trigger_id`, within three seconds of it and once.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn open_view(&self, trigger_id: &str, view: &Value) -> Result<(), SlackError> {
        let call = json!({ "trigger_id": trigger_id, "view": view });
        self.write::<_, Done>(&self.0.interactive, "views.open", &call).await.map(|_| ())
    }

    /// As [`Slack::open_view`], and answers what Slack calls the dialog, so that it can be changed.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn open_form(&self, trigger_id: &str, view: &Value) -> Result<String, SlackError> {
        let call = json!({ "trigger_id": trigger_id, "view": view });
        self.write::<_, Shown>(&self.0.interactive, "views.open", &call).await.map(|shown| shown.view.id)
    }

    /// Changes a dialog that is open.
    ///
    /// # Errors
    /// [`SlackError`]; with a `hash`, also when it changed since.
    pub async fn update_view(&self, view_id: &str, hash: Option<&str>, view: &Value) -> Result<(), SlackError> {
        let mut call = json!({ "view_id": view_id, "view": view });
        if let Some(hash) = hash {
            call["hash"] = json!(hash);
        }
        self.write::<_, Done>(&self.0.interactive, "views.update", &call).await.map(|_| ())
    }

    /// Draws somebody's App Home; answers what Slack calls it.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn publish_home(&self, user: &SlackUserId, view: &Value) -> Result<String, SlackError> {
        let call = json!({ "user_id": user, "view": view });
        self.write::<_, Shown>(&self.0.patient, "views.publish", &call).await.map(|shown| shown.view.id)
    }
}

/// Whether it is the address of a page of Slack's.
fn is_at_slack(address: &Url) -> bool {
    let ours = |host: &str| [".slack.com", ".slack-gov.com"].iter().any(|domain| host.ends_with(domain));
    address.scheme() == "https" && address.host_str().is_some_and(ours)
}

/// What `chat.postMessage`, `chat.update` and `chat.postEphemeral` are sent.
#[derive(Serialize)]
struct Sent<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<&'a str>,
    #[serde(flatten)]
    message: &'a Message,
    #[serde(flatten)]
    quiet: Quiet,
}

/// Nothing in our messages is looked for links or mentions, and no link is unfolded: which Slack asks about only when
/// it posts.
#[derive(Serialize)]
struct Quiet {
    parse: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_links: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unfurl_media: Option<bool>,
}

impl Quiet {
    fn posted() -> Self {
        Self { unfurl_links: Some(false), unfurl_media: Some(false), ..Self::default() }
    }
}

impl Default for Quiet {
    fn default() -> Self {
        Self { parse: "none", unfurl_links: None, unfurl_media: None }
    }
}

/// All that is read of the answer to a post.
#[derive(Deserialize)]
struct Posted {
    channel: SlackChannelId,
    ts: String,
}

/// All that is read of the answer about a view.
#[derive(Deserialize)]
struct Shown {
    view: ShownView,
}

#[derive(Deserialize)]
struct ShownView {
    id: String,
}

/// An answer of which only `ok: true` counts, which the connector has checked.
#[derive(Deserialize)]
struct Done {}
