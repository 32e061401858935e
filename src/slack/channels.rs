//! Conversations: what Slack says of one, and whether a message of ours stands in it although its answer was lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;

use super::{Slack, SlackError};
use crate::clock::Timestamp;
use crate::domain::access_request::MessageRef;
use crate::domain::ids::SlackChannelId;

/// How long an answer about a channel is believed.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// How far "learnt" may lie after "now", as for people.
const SKEW: TimeDelta = TimeDelta::seconds(3);
/// How many channels are remembered at once.
const KEPT_MAX: usize = 1_024;
/// How many messages one look into the history reads, and how many such pages.
const PAGE: &str = "200";
const PAGES_MAX: usize = 5;
/// Slack's clock and ours may differ by so much.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

/// What Slack says of a conversation, leniently; what is absent is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Conversation {
    /// The id: another one than asked for where it was changed.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Archived: nobody can write.
    pub is_archived: Option<bool>,
    /// Our app is in it.
    pub is_member: Option<bool>,
    /// People of other companies are in it.
    pub is_ext_shared: Option<bool>,
    /// Sharing it with another company was begun.
    pub is_pending_ext_shared: Option<bool>,
    /// A direct message.
    pub is_im: Option<bool>,
}

impl Conversation {
    /// Whether people of other companies can read it, or soon can. What Slack does not say counts as yes.
    pub fn has_outsiders(&self) -> bool {
        self.is_im != Some(true) && (self.is_ext_shared != Some(false) || self.is_pending_ext_shared == Some(true))
    }
}

/// What is remembered of channels, for a minute.
#[derive(Default)]
pub struct Channels(Mutex<BTreeMap<SlackChannelId, (Conversation, Timestamp)>>);

impl Channels {
    /// What Slack says of a channel, learnt at most a minute ago.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn look(
        &self,
        slack: &Slack,
        channel: &SlackChannelId,
        now: Timestamp,
    ) -> Result<Conversation, SlackError> {
        let known = self.lock().get(channel).cloned();
        if let Some((conversation, at)) = known
            && now - at <= FRESH
            && now - at >= -SKEW
        {
            return Ok(conversation);
        }
        let conversation = slack.conversation(channel).await?;
        let mut all = self.lock();
        if all.len() >= KEPT_MAX {
            all.retain(|_, (_, at)| now - *at <= FRESH);
        }
        all.insert(channel.clone(), (conversation.clone(), now));
        Ok(conversation)
    }

    /// Slack says that something about a channel changed.
    pub fn forget(&self, channel: &SlackChannelId) {
        self.lock().remove(channel);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SlackChannelId, (Conversation, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one look into the history says.
#[derive(Deserialize)]
struct History {
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    response_metadata: Value,
}

impl Slack {
    /// What Slack says of a conversation, now.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn conversation(&self, channel: &SlackChannelId) -> Result<Conversation, SlackError> {
        #[derive(Deserialize)]
        struct Info {
            channel: Conversation,
        }
        self.read("conversations.info", &[("channel", channel.as_str())]).await.map(|info: Info| info.channel)
    }

    /// A message of this app that carries `key` in its metadata and was posted since `since`, in a channel or in a
    /// thread of it. Metadata can be copied by any app of the channel, so only what `app_id` posted counts.
    ///
    /// # Errors
    /// [`SlackError`]; without the scope for it, a permanent one.
    pub async fn find_posted(
        &self,
        channel: &SlackChannelId,
        thread: Option<&str>,
        key: &str,
        app_id: &str,
        since: Timestamp,
    ) -> Result<Option<MessageRef>, SlackError> {
        let oldest = format!("{}.000000", (since - CLOCKS_APART).timestamp());
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let mut with = vec![
                ("channel", channel.as_str()),
                ("oldest", oldest.as_str()),
                ("limit", PAGE),
                ("include_all_metadata", "true"),
            ];
            with.extend(thread.map(|ts| ("ts", ts)));
            if !cursor.is_empty() {
                with.push(("cursor", cursor.as_str()));
            }
            let method = if thread.is_some() { "conversations.replies" } else { "conversations.history" };
            let page: History = self.read(method, &with).await?;
            if let Some(found) = page.messages.iter().find(|message| is_ours(message, key, app_id)) {
                let ts = found["ts"].as_str().unwrap_or_default().to_owned();
                return Ok(Some(MessageRef { channel: channel.clone(), ts }));
            }
            cursor = page.response_metadata["next_cursor"].as_str().unwrap_or_default().to_owned();
            if !page.has_more || cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }
}

fn is_ours(message: &Value, key: &str, app_id: &str) -> bool {
    let of_app = message["app_id"].as_str().or_else(|| message["bot_profile"]["app_id"].as_str());
    message["metadata"]["event_payload"]["key"] == key
        && message["ts"].is_string()
        && of_app.is_none_or(|app| app == app_id)
        && (of_app.is_some() || message["bot_id"].is_string())
}
