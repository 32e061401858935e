//! Messages: posting, whispering, changing, deleting, reading back. Pure; the time is an argument.

use serde_json::{Value, json};

use super::records::{Channel, Draft, Message, Refused};
use super::workspace::Workspace;
use crate::clock::Timestamp;

/// How many messages a channel keeps; the oldest go first. Slack keeps them all: this is for a process that is left
/// running, and far more than anybody makes by hand or a test does in one channel.
pub const MESSAGES_MAX: usize = 5_000;

/// How many characters the top-level text of a message may have (chat.postMessage, `msg_too_long`).
const TEXT_CHARS_MAX: usize = 40_000;

impl Workspace {
    /// Where a message to `target` goes: a channel id as it is, a user id's direct messages.
    fn destination(&mut self, target: &str) -> Result<Channel, Refused> {
        let id = match target.starts_with('U') || target.starts_with('W') {
            true => self.direct_with(target).map_err(|_| Refused::from("channel_not_found"))?,
            false => target.to_owned(),
        };
        let channel = self.channels.get(&id).ok_or(Refused::from("channel_not_found"))?;
        if channel.is_archived {
            return Err("is_archived".into());
        }
        if !channel.has(&self.bot_user) {
            return Err("not_in_channel".into());
        }
        Ok(channel.clone())
    }

    /// The next message time: the clock's, but never twice the same.
    fn next_ts(&mut self, now: Timestamp) -> String {
        self.last_micros = now.timestamp_micros().max(self.last_micros + 1);
        format!("{}.{:06}", self.last_micros / 1_000_000, self.last_micros % 1_000_000)
    }

    /// Posts a message for everybody in the channel; answers the channel id and the message.
    pub fn post(&mut self, target: &str, draft: Draft, now: Timestamp) -> Result<(String, Message), Refused> {
        let channel = self.destination(target)?;
        self.thread_exists(&channel.id, &draft)?;
        self.keep(channel.id, draft, None, now)
    }

    /// Shows a message to one person of the channel only.
    pub fn whisper(
        &mut self,
        target: &str,
        to: &str,
        draft: Draft,
        now: Timestamp,
    ) -> Result<(String, Message), Refused> {
        let channel = self.destination(target)?;
        self.person(to)?;
        if !channel.has(to) {
            return Err("user_not_in_channel".into());
        }
        self.keep(channel.id, draft, Some(to.to_owned()), now)
    }

    /// Shows something in a channel that is there, whether the app is a member or not.
    pub(super) fn show(
        &mut self,
        channel: &str,
        draft: Draft,
        only_for: Option<String>,
        now: Timestamp,
    ) -> Result<Message, Refused> {
        if !self.channels.contains_key(channel) {
            return Err("channel_not_found".into());
        }
        self.keep(channel.to_owned(), draft, only_for, now).map(|(_, message)| message)
    }

    fn keep(
        &mut self,
        channel: String,
        draft: Draft,
        only_for: Option<String>,
        now: Timestamp,
    ) -> Result<(String, Message), Refused> {
        let text = draft.text.unwrap_or_default();
        let blocks = draft.blocks.unwrap_or_else(|| json!([]));
        sayable(&text, &blocks)?;
        let message = Message {
            ts: self.next_ts(now),
            user: draft.by.unwrap_or_else(|| self.bot_user.clone()),
            text,
            blocks,
            thread_ts: draft.thread_ts,
            edited: false,
            metadata: draft.metadata,
            only_for,
        };
        let messages = self.messages.entry(channel.clone()).or_default();
        if messages.len() >= MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(message.clone());
        Ok((channel, message))
    }

    /// Changes a message in place. What the draft leaves out stays as it is.
    pub fn update(&mut self, channel: &str, ts: &str, draft: Draft) -> Result<Message, Refused> {
        if !self.channels.contains_key(channel) {
            // Unlike chat.postMessage, chat.update takes no user id.
            return Err("channel_not_found".into());
        }
        let (channel, bot) = (self.destination(channel)?.id, self.bot_user.clone());
        let message = self
            .messages
            .get_mut(&channel)
            .and_then(|all| all.iter_mut().find(|message| message.ts == ts && message.only_for.is_none()))
            .ok_or(Refused::from("message_not_found"))?;
        if message.user != bot {
            return Err("cant_update_message".into());
        }
        let text = draft.text.unwrap_or_else(|| message.text.clone());
        let blocks = draft.blocks.unwrap_or_else(|| message.blocks.clone());
        sayable(&text, &blocks)?;
        (message.text, message.blocks, message.edited) = (text, blocks, true);
        if draft.metadata.is_some() {
            message.metadata = draft.metadata;
        }
        Ok(message.clone())
    }

    /// The messages of a channel, oldest first.
    pub fn messages_in(&self, channel: &str) -> impl Iterator<Item = &Message> {
        self.messages.get(channel).into_iter().flatten()
    }

    /// A message of a channel by its time, ephemeral ones too.
    pub fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages_in(channel).find(|message| message.ts == ts)
    }

    /// Somebody writes into a channel, or beneath a message of it.
    pub fn say(&mut self, person: &str, channel: &str, draft: Draft, now: Timestamp) -> Result<Message, Refused> {
        let held =
            self.channels.get(channel).filter(|held| held.has(person)).ok_or(Refused::from("channel_not_found"))?;
        if held.is_archived {
            return Err("is_archived".into());
        }
        let draft = Draft { by: Some(person.to_owned()), ..draft };
        self.thread_exists(channel, &draft)?;
        self.keep(channel.to_owned(), draft, None, now).map(|(_, message)| message)
    }

    /// Takes a message away. `by` says who does it: the app may delete its own messages only, an
    /// administrator (`None`) any.
    pub fn delete(&mut self, channel: &str, ts: &str, by: Option<&str>) -> Result<(), Refused> {
        if !self.channels.contains_key(channel) {
            return Err("channel_not_found".into());
        }
        let message = self.message(channel, ts).filter(|message| message.only_for.is_none());
        let message = message.ok_or(Refused::from("message_not_found"))?;
        if by.is_some_and(|by| by != message.user) {
            return Err("cant_delete_message".into());
        }
        if let Some(messages) = self.messages.get_mut(channel) {
            messages.retain(|message| message.ts != ts);
        }
        Ok(())
    }

    /// What the app can read of a channel, newest first: top-level messages, or one thread with its parent.
    pub fn history(&self, channel: &str, thread: Option<&str>) -> Result<Vec<&Message>, Refused> {
        let held = self.channels.get(channel).ok_or(Refused::from("channel_not_found"))?;
        if !held.has(&self.bot_user) {
            return Err("not_in_channel".into());
        }
        let shown = |message: &&Message| match thread {
            None => message.thread_ts.as_deref().is_none_or(|parent| parent == message.ts),
            Some(thread) => message.ts == thread || message.thread_ts.as_deref() == Some(thread),
        };
        let mut all: Vec<&Message> =
            self.messages_in(channel).filter(|message| message.only_for.is_none()).filter(shown).collect();
        if thread.is_some() && all.is_empty() {
            return Err("thread_not_found".into());
        }
        if thread.is_none() {
            all.reverse();
        }
        Ok(all)
    }

    fn thread_exists(&self, channel: &str, draft: &Draft) -> Result<(), Refused> {
        let there = |thread: &String| {
            self.messages_in(channel).any(|message| message.ts == *thread && message.only_for.is_none())
        };
        match &draft.thread_ts {
            Some(thread) if !there(thread) => Err("thread_not_found".into()),
            _ => Ok(()),
        }
    }

    /// A message as Slack sends it back in answers and interactions.
    pub fn message_object(&self, message: &Message) -> Value {
        let mut object = json!({
            "type": "message", "user": message.user, "team": self.team.id, "text": message.text, "ts": message.ts,
            "blocks": message.blocks,
        });
        if message.user == self.bot_user {
            (object["bot_id"], object["app_id"]) = (json!(self.bot_id), json!(self.app_id));
        }
        if let Some(thread) = &message.thread_ts {
            object["thread_ts"] = json!(thread);
        }
        if let Some(metadata) = &message.metadata {
            object["metadata"] = metadata.clone();
        }
        if message.edited {
            object["edited"] = json!({ "user": self.bot_id, "ts": message.ts });
        }
        object
    }
}

fn sayable(text: &str, blocks: &Value) -> Result<(), Refused> {
    if text.is_empty() && blocks.as_array().is_none_or(Vec::is_empty) {
        return Err("no_text".into());
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err("msg_too_long".into());
    }
    Ok(())
}
