//! What the stand-in's workspace holds: people, user groups, channels, messages, forms and Home
//! tabs. Pure functions over plain data; the time is an argument.
//!
//! Shapes follow docs.slack.dev (user object, message, conversation, view). What a real Slack would
//! refuse is refused here with Slack's own error code, so that mistakes show in a test and not in
//! somebody's workspace.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use super::records::{Channel, ChannelKind, Draft, Group, Message, Person, Refused, Team};
use super::views::{OpenView, Trigger};
use crate::clock::Timestamp;

/// How many messages a channel keeps; the oldest go first.
pub const MESSAGES_MAX: usize = 500;

/// How many characters the top-level text of a message may have (chat.postMessage, `msg_too_long`).
const TEXT_CHARS_MAX: usize = 40_000;

/// Everything that the stand-in's Slack knows.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Where the app is installed.
    pub team: Team,
    /// Workspaces that people of shared channels come from.
    pub partners: Vec<Team>,
    /// `A…`
    pub app_id: String,
    /// The app's bot user, which must be among the people.
    pub bot_user: String,
    /// `B…`
    pub bot_id: String,
    /// People by id, bots included.
    pub people: BTreeMap<String, Person>,
    /// User groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Conversations by id.
    pub channels: BTreeMap<String, Channel>,
    pub(super) messages: HashMap<String, VecDeque<Message>>,
    /// Open forms by person, the top one last.
    pub(super) views: HashMap<String, Vec<OpenView>>,
    /// Home tabs by person.
    pub(super) homes: HashMap<String, OpenView>,
    /// What may still open a form, oldest first.
    pub(super) triggers: VecDeque<Trigger>,
    last_micros: i64,
}

impl Workspace {
    /// A workspace where `people` have a direct-message channel with the app each.
    pub fn new(team: Team, app_id: &str, bot_user: &str, people: Vec<Person>) -> Self {
        let mut workspace = Self {
            team,
            partners: Vec::new(),
            app_id: app_id.to_owned(),
            bot_user: bot_user.to_owned(),
            bot_id: format!("B{}", bot_user.get(1..).unwrap_or_default()),
            people: people.into_iter().map(|person| (person.id.clone(), person)).collect(),
            groups: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: HashMap::new(),
            views: HashMap::new(),
            homes: HashMap::new(),
            triggers: VecDeque::new(),
            last_micros: 0,
        };
        let people: Vec<Person> = workspace.people.values().filter(|person| !person.is_bot).cloned().collect();
        for person in &people {
            workspace.open_direct(person);
        }
        workspace
    }

    /// The workspace that a person belongs to, if it is known here.
    pub fn team_of(&self, team_id: &str) -> Option<&Team> {
        std::iter::once(&self.team).chain(&self.partners).find(|team| team.id == team_id)
    }

    /// The person of that id, or Slack's `user_not_found`.
    pub fn person(&self, id: &str) -> Result<&Person, Refused> {
        self.people.get(id).ok_or_else(|| "user_not_found".into())
    }

    /// The name that the bot user goes by.
    pub fn app_name(&self) -> &str {
        self.people.get(&self.bot_user).map_or("app", |bot| bot.real_name.as_str())
    }

    fn open_direct(&mut self, person: &Person) -> String {
        let id = person.direct_channel();
        let name = self.app_name().to_owned();
        let members = vec![person.id.clone(), self.bot_user.clone()];
        self.channels.entry(id.clone()).or_insert_with(|| Channel {
            id: id.clone(),
            name,
            kind: ChannelKind::Dm,
            members,
            is_ext_shared: false,
            is_archived: false,
        });
        id
    }

    /// Opens the direct messages with a person, as `conversations.open` does; answers the channel id.
    pub fn direct_with(&mut self, person: &str) -> Result<String, Refused> {
        let person = self.person(person)?.clone();
        match (person.is_bot, person.deleted) {
            (true, _) => Err("cannot_dm_bot".into()),
            (_, true) => Err("user_disabled".into()),
            (false, false) => Ok(self.open_direct(&person)),
        }
    }

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
        if let Some(thread) = &draft.thread_ts
            && !self.messages_in(&channel.id).any(|message| message.ts == *thread && message.only_for.is_none())
        {
            return Err("thread_not_found".into());
        }
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
            user: self.bot_user.clone(),
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

    /// The conversations that a person sees.
    pub fn channels_of(&self, person: &str) -> impl Iterator<Item = &Channel> {
        self.channels.values().filter(move |channel| channel.has(person))
    }

    /// A message as Slack sends it back in answers and interactions.
    pub fn message_object(&self, message: &Message) -> Value {
        let mut object = json!({
            "type": "message", "user": message.user, "bot_id": self.bot_id, "app_id": self.app_id,
            "team": self.team.id, "text": message.text, "ts": message.ts, "blocks": message.blocks,
        });
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

    /// Changes some members of a person's record. Says what is wrong with a member that does not exist.
    pub fn change_person(&mut self, id: &str, set: &Map<String, Value>) -> Result<(), String> {
        let person = self.people.get_mut(id).ok_or("there is no such person")?;
        *person = changed(person, set)?;
        Ok(())
    }

    /// Changes some members of a channel's record.
    pub fn change_channel(&mut self, id: &str, set: &Map<String, Value>) -> Result<(), String> {
        let channel = self.channels.get_mut(id).ok_or("there is no such channel")?;
        *channel = changed(channel, set)?;
        Ok(())
    }

    /// Replaces the members of a user group.
    pub fn change_group(&mut self, id: &str, users: Vec<String>) -> Result<(), String> {
        self.groups.get_mut(id).ok_or("there is no such user group")?.users = users;
        Ok(())
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

fn changed<T: Serialize + for<'de> Deserialize<'de>>(record: &T, set: &Map<String, Value>) -> Result<T, String> {
    if set.contains_key("id") {
        return Err("an id does not change".to_owned());
    }
    let mut whole = serde_json::to_value(record).map_err(|error| error.to_string())?;
    for (key, value) in set {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).map_err(|error| error.to_string())
}
