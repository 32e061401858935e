//! Slack: the only place that talks to it, and a view that can be rebuilt from the store.
//!
//! Outbound, [`Slack`] makes Web API calls through slack-morphism over our own connector (`messages`, `accounts`); [`cards`] and
//! [`forms`] say what is shown, [`text`] keeps what strangers wrote inert. Inbound, [`signature`] proves that
//! Slack sent it and [`click`] reads it leniently. [`people`] remembers, briefly, what Slack said of accounts
//! and user groups. Nothing here decides anything.

pub mod access_command;
pub mod access_form;
mod accounts;
mod blocks;
mod command;
mod connector;
pub mod ending;
mod error;
pub mod home;
mod inbound;
mod messages;
mod origin;
mod parts;
mod progress;
mod unusual;

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

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slack_morphism::{SlackApiToken, SlackApiTokenValue, SlackClient};
use thiserror::Error;

pub use accounts::{Account, EnterpriseUser, Identity, Profile};
use connector::Http;
pub use error::{Fault, RETRY_AFTER_MAX, SlackError};
pub use messages::Message;

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
