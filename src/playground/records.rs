//! The records that a workspace consists of: people, user groups, conversations, messages.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A workspace that people belong to: the one where the app is installed, or a partner's.
#[derive(Debug, Clone)]
pub struct Team {
    /// `T…`
    pub id: String,
    /// The part before `.slack.com`.
    pub domain: String,
    /// What people call it.
    pub name: String,
}

/// An organization (Enterprise Grid): several workspaces with one directory of people.
#[derive(Debug, Clone)]
pub struct Organization {
    /// `E…`
    pub id: String,
    /// The part before `.enterprise.slack.com`.
    pub domain: String,
    /// What people call it.
    pub name: String,
    /// Its workspaces besides the one where everything belongs that is not said to be elsewhere.
    pub teams: Vec<Team>,
    /// How the app came in.
    pub install: Install,
}

/// How the app came into an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// One workspace of it installed the app for itself.
    Workspace,
    /// The organization installed it for all its workspaces: payloads then name no team.
    OrganizationWide,
}

/// Somebody, or a bot. The flags are those of Slack's user object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// `U…`
    pub id: String,
    /// The workspace of this person, which is not ours for a Slack Connect partner.
    pub team_id: String,
    /// The handle, which identifies nobody.
    pub name: String,
    /// As it is shown.
    pub real_name: String,
    /// Job title, for the page.
    pub title: String,
    /// One line for the page: what this person may do in the demo.
    pub note: String,
    /// Address in the profile.
    pub email: Option<String>,
    /// Whether the address was confirmed.
    pub is_email_confirmed: bool,
    /// Deactivated.
    pub deleted: bool,
    /// A bot user.
    pub is_bot: bool,
    /// A user that stands for an app.
    pub is_app_user: bool,
    /// A guest.
    pub is_restricted: bool,
    /// A guest of a single channel.
    pub is_ultra_restricted: bool,
    /// An outsider who shares no channel with us.
    pub is_stranger: bool,
    /// Invited, not joined yet.
    pub is_invited_user: bool,
    /// How far their clock is from UTC, in seconds. Slack's own records always have it.
    pub tz_offset: Option<i32>,
}

impl Person {
    /// An ordinary full member of `team_id` whose handle and address come from the first name.
    pub fn member(team_id: &str, id: &str, real_name: &str, domain: &str) -> Self {
        let name = real_name.split(' ').next().unwrap_or(real_name).to_lowercase();
        Self {
            id: id.to_owned(),
            team_id: team_id.to_owned(),
            email: Some(format!("{name}@{domain}")),
            name,
            real_name: real_name.to_owned(),
            title: String::new(),
            note: String::new(),
            is_email_confirmed: true,
            deleted: false,
            is_bot: false,
            is_app_user: false,
            is_restricted: false,
            is_ultra_restricted: false,
            is_stranger: false,
            is_invited_user: false,
            tz_offset: None,
        }
    }

    /// The same person with what the page says about them.
    pub fn described(self, title: &str, note: &str) -> Self {
        Self { title: title.to_owned(), note: note.to_owned(), ..self }
    }

    /// The id of the direct-message channel between this person and the app.
    pub fn direct_channel(&self) -> String {
        format!("D{}", self.id.get(1..).unwrap_or_default())
    }

    /// Slack's user object, as `users.info` answers it.
    pub fn user_object(&self) -> Value {
        let mut profile = json!({ "real_name": self.real_name, "display_name": self.name, "title": self.title, "team": self.team_id });
        if let Some(email) = &self.email {
            profile["email"] = json!(email);
        }
        let mut user = json!({
            "id": self.id, "team_id": self.team_id, "name": self.name, "real_name": self.real_name,
            "deleted": self.deleted, "is_admin": false, "is_owner": false, "is_primary_owner": false,
            "is_bot": self.is_bot, "is_app_user": self.is_app_user, "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted, "is_stranger": self.is_stranger,
            "is_invited_user": self.is_invited_user, "is_email_confirmed": self.is_email_confirmed,
            "profile": profile,
        });
        if let Some(offset) = self.tz_offset {
            user["tz_offset"] = json!(offset);
        }
        user
    }
}

/// A user group.
#[derive(Debug, Clone)]
pub struct Group {
    /// `S…`
    pub id: String,
    /// Without the `@`.
    pub handle: String,
    /// As it is shown.
    pub name: String,
    /// The ids of its members.
    pub users: Vec<String>,
}

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A channel.
    Channel,
    /// The direct messages between one person and the app.
    Dm,
}

/// A conversation, without its messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// `C…` or `D…`
    pub id: String,
    /// Without the `#`; for direct messages, the app's name.
    pub name: String,
    /// Channel or direct messages.
    pub kind: ChannelKind,
    /// The ids of those who see it. The app can post only where its bot user is among them.
    pub members: Vec<String>,
    /// Shared with another organization: the flag that says outsiders may be inside.
    pub is_ext_shared: bool,
    /// Nothing can be posted any more.
    pub is_archived: bool,
}

impl Channel {
    /// A channel that only its members know of: its id begins with `G`.
    pub fn is_private(&self) -> bool {
        self.id.starts_with('G')
    }

    /// Whether `person` sees this conversation.
    pub fn has(&self, person: &str) -> bool {
        self.members.iter().any(|member| member == person)
    }
}

/// A message as it stands now.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Its identity within the channel: seconds, a dot, six digits.
    pub ts: String,
    /// Who wrote it: the bot or a person.
    pub user: String,
    /// Fallback and notification text.
    pub text: String,
    /// Block Kit blocks, each with a `block_id`.
    pub blocks: Value,
    /// The message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Whether it was updated.
    pub edited: bool,
    /// Message metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// The only person who sees it, if it is ephemeral.
    #[serde(skip)]
    pub only_for: Option<String>,
}

impl Message {
    /// Whether `person`, who is in the channel, sees this message.
    pub fn visible_to(&self, person: &str) -> bool {
        self.only_for.as_deref().is_none_or(|only| only == person)
    }
}

/// What the app wants to say.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Fallback text.
    pub text: Option<String>,
    /// Validated and completed blocks.
    pub blocks: Option<Value>,
    /// The thread to answer in.
    pub thread_ts: Option<String>,
    /// Message metadata.
    pub metadata: Option<Value>,
    /// Who says it, if it is not the app.
    pub by: Option<String>,
}

/// Why Slack would refuse a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Slack's error code.
    pub code: &'static str,
    /// `response_metadata.messages`, where Slack explains.
    pub messages: Vec<String>,
    /// The scope that the token lacks.
    pub needed: Option<&'static str>,
    /// When it may be tried again, in seconds: the call came too soon.
    pub retry_after: Option<u64>,
}

impl Refused {
    /// Refused with Slack's explanations.
    pub fn because(code: &'static str, messages: Vec<String>) -> Self {
        Self { messages, ..Self::from(code) }
    }
}

impl From<&'static str> for Refused {
    fn from(code: &'static str) -> Self {
        Self { code, messages: Vec::new(), needed: None, retry_after: None }
    }
}
