//! Slack: the only place that talks to it, and a view that can be rebuilt from the store.
//!
//! Outbound, [`Slack`] makes Web API calls through slack-morphism over our own connector; [`cards`] and
//! [`forms`] say what is shown, [`text`] keeps what strangers wrote inert. Inbound, [`signature`] proves that
//! Slack sent it and [`click`] reads it leniently. [`people`] remembers, briefly, what Slack said of accounts
//! and user groups. Nothing here decides anything.

pub mod access_command;
pub mod access_form;
mod blocks;
mod command;
mod connector;
pub mod ending;
mod error;
pub mod home;
mod inbound;
mod parts;

pub mod approving;
pub mod cards;
pub mod channels;
pub mod click;
pub mod digest;
pub mod doctor;
pub mod forms;
pub mod notes;
pub mod people;
pub mod plain;
pub mod reminders;
pub mod requester;
pub mod reviews;
pub mod signature;
pub mod socket;
pub mod talking;
pub mod text;

#[cfg(test)]
mod card_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod lint;
#[cfg(test)]
#[path = "../../tests/forms/lint.rs"]
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient};
use thiserror::Error;

use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackGroupId, SlackUserId};

use connector::Http;
pub use error::{Fault, RETRY_AFTER_MAX, SlackError};

/// How long calls to Slack may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For a connection.
    pub connect: Duration,
    /// For a call that nobody waits for: posts and edits.
    pub patient: Duration,
    /// For a call while Slack waits three seconds for us to answer a click.
    pub interactive: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            patient: Duration::from_secs(10),
            interactive: Duration::from_millis(2_500),
        }
    }
}

/// Slack cannot be called at all with this configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Slack's Web API cannot be used: {0}")]
pub struct Unusable(String);

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

/// Slack's Web API, as far as this service calls it. Clones share connections and the token.
#[derive(Clone)]
pub struct Slack(Arc<Inner>);

struct Inner {
    patient: SlackClient<Http>,
    interactive: SlackClient<Http>,
    token: SlackApiToken,
    deadlines: Deadlines,
    organization: Option<Organization>,
}

/// An organization that the app is installed in as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id, `E…`.
    pub id: String,
    /// The workspace of it that is asked about user groups, and stands for all of them.
    pub team_id: String,
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").field("api", &self.0.patient.http_api.connector.base).finish_non_exhaustive()
    }
}

/// Who the bot token speaks for (`auth.test`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The workspace, or the `E…` id of an organization.
    pub team_id: Option<String>,
    /// The workspace's name.
    pub team: Option<String>,
    /// The bot's user id.
    pub user_id: Option<String>,
    /// The bot's id.
    pub bot_id: Option<String>,
    /// The organization, where there is one.
    pub enterprise_id: Option<String>,
}

/// What `users.info` says, leniently: every member is optional, [`people`] decides what a missing one means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The user id.
    pub id: Option<String>,
    /// The workspace it belongs to.
    pub team_id: Option<String>,
    /// Deactivated. Slack leaves it out when false.
    pub deleted: Option<bool>,
    /// A bot.
    pub is_bot: Option<bool>,
    /// An app's account.
    pub is_app_user: Option<bool>,
    /// A guest.
    pub is_restricted: Option<bool>,
    /// A guest of a single channel.
    pub is_ultra_restricted: Option<bool>,
    /// Somebody of another company who shares no channel with us.
    pub is_stranger: Option<bool>,
    /// Invited, and not joined.
    pub is_invited_user: Option<bool>,
    /// Whether the address of the profile was confirmed.
    pub is_email_confirmed: Option<bool>,
    /// How far the person's clock is from UTC, in seconds.
    pub tz_offset: Option<i32>,
    /// The profile.
    pub profile: Option<Profile>,
    /// What the account is in an organization.
    pub enterprise_user: Option<EnterpriseUser>,
}

/// The part of an organization's account that is of use here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EnterpriseUser {
    /// The organization.
    pub enterprise_id: Option<String>,
}

/// The part of a profile that is of use here. Names are not: they identify nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// The address.
    pub email: Option<String>,
}

impl Slack {
    /// Slack at `api_url` (such as `https://slack.com/api`) with a bot token.
    ///
    /// # Errors
    /// [`Unusable`] when the address is not one, or TLS cannot be set up.
    pub fn new(api_url: &str, bot_token: &SecretString) -> Result<Self, Unusable> {
        Self::with_deadlines(api_url, bot_token, Deadlines::default())
    }

    /// As [`Slack::new`], with other deadlines: for the tests, which do not wait ten seconds.
    ///
    /// # Errors
    /// As [`Slack::new`].
    pub fn with_deadlines(api_url: &str, bot_token: &SecretString, deadlines: Deadlines) -> Result<Self, Unusable> {
        let base = api_url.trim_end_matches('/').to_owned();
        let address = url::Url::parse(&base).map_err(|why| Unusable(format!("`{base}` is not an address: {why}")))?;
        if !matches!(address.scheme(), "https" | "http") || address.host_str().is_none() {
            return Err(Unusable(format!("`{base}` is not an http or https address")));
        }
        let client = connector::client(deadlines.connect).map_err(|why| Unusable(why.to_string()))?;
        let with = |deadline| SlackClient::new(Http { client: client.clone(), base: base.clone(), deadline });
        let (patient, interactive) = (with(deadlines.patient), with(deadlines.interactive));
        let token = SlackApiToken::new(SlackApiTokenValue(bot_token.expose_secret().to_owned()));
        Ok(Self(Arc::new(Inner { patient, interactive, token, deadlines, organization: None })))
    }

    /// The same, installed in an organization as a whole.
    ///
    /// # Errors
    /// As [`Slack::new`].
    pub fn in_organization(
        api_url: &str,
        bot_token: &SecretString,
        organization: Option<Organization>,
    ) -> Result<Self, Unusable> {
        let Self(inner) = Self::new(api_url, bot_token)?;
        let inner = Arc::into_inner(inner).ok_or_else(|| Unusable("it is shared already".to_owned()))?;
        Ok(Self(Arc::new(Inner { organization, ..inner })))
    }

    /// The organization that the app is installed in, if it is installed in all of it.
    fn organization(&self) -> Option<&Organization> {
        self.0.organization.as_ref()
    }

    /// How long calls may take.
    pub fn deadlines(&self) -> Deadlines {
        self.0.deadlines
    }

    /// Who the token speaks for.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn auth_test(&self) -> Result<Identity, SlackError> {
        self.write(&self.0.patient, "auth.test", &json!({})).await
    }

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

    /// Where a socket for inbound messages may be opened, once, with the app-level token.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn open_connection(&self, app_token: &SecretString) -> Result<url::Url, SlackError> {
        #[derive(Deserialize)]
        struct Opened {
            url: url::Url,
        }
        let token = SlackApiToken::new(SlackApiTokenValue(app_token.expose_secret().to_owned()));
        let session = self.0.patient.open_session(&token);
        let opened = session.http_session_api.http_post("apps.connections.open", &json!({}), None).await;
        opened.map(|opened: Opened| opened.url).map_err(SlackError::from)
    }

    /// What Slack says of an account.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn user(&self, user: &SlackUserId) -> Result<Account, SlackError> {
        #[derive(Deserialize)]
        struct Info {
            user: Account,
        }
        self.read("users.info", &[("user", user.as_str())]).await.map(|info: Info| info.user)
    }

    /// The one active account with this address, if there is one.
    ///
    /// # Errors
    /// [`SlackError`]; that there is none is not an error.
    pub async fn lookup_by_email(&self, email: &str) -> Result<Option<String>, SlackError> {
        #[derive(Deserialize)]
        struct Found {
            user: Account,
        }
        match self.read("users.lookupByEmail", &[("email", email)]).await {
            Ok(Found { user }) => Ok(user.id),
            Err(SlackError::Permanent(code)) if code == "users_not_found" => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The conversation with one person, opened where there was none.
    ///
    /// # Errors
    /// [`SlackError`]; without the scope `im:write` it is permanent.
    pub async fn open_direct(&self, user: &SlackUserId) -> Result<SlackChannelId, SlackError> {
        #[derive(Deserialize)]
        struct Opened {
            channel: Conversation,
        }
        #[derive(Deserialize)]
        struct Conversation {
            id: String,
        }
        let call = serde_json::json!({ "users": user.as_str() });
        let Opened { channel } = self.write(&self.0.patient, "conversations.open", &call).await?;
        SlackChannelId::parse(channel.id).map_err(|_| SlackError::Temporary("the answer is no conversation".to_owned()))
    }

    /// The members of a user group, now.
    ///
    /// # Errors
    /// [`SlackError`]; a disabled or unknown group is one.
    pub async fn group_members(&self, group: &SlackGroupId) -> Result<BTreeSet<SlackUserId>, SlackError> {
        #[derive(Deserialize)]
        struct Members {
            users: Vec<String>,
        }
        let mut with = vec![("usergroup", group.as_str())];
        // A token of a whole organization has to say of which workspace.
        with.extend(self.organization().map(|of| ("team_id", of.team_id.as_str())));
        let Members { users } = self.read("usergroups.users.list", &with).await?;
        // An id that is none can click nothing, so it is no member worth knowing.
        Ok(users.into_iter().filter_map(|id| SlackUserId::parse(id).ok()).collect())
    }

    async fn write<RQ, RS>(&self, client: &SlackClient<Http>, method: &str, body: &RQ) -> Result<RS, SlackError>
    where
        RQ: Serialize + Send + Sync,
        RS: DeserializeOwned + Send,
    {
        let session = client.open_session(&self.0.token);
        session.http_session_api.http_post(method, body, None).await.map_err(SlackError::from)
    }

    async fn read<RS>(&self, method: &str, with: &[(&str, &str)]) -> Result<RS, SlackError>
    where
        RS: DeserializeOwned + Send,
    {
        let session = self.0.interactive.open_session(&self.0.token);
        let with: Vec<(&str, Option<&str>)> = with.iter().map(|(name, value)| (*name, Some(*value))).collect();
        session.http_session_api.http_get(method, &with, None).await.map_err(SlackError::from)
    }
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
