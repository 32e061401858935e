//! What Slack says of accounts and user groups, asked now. [`super::people`] remembers it for a while.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use super::{Slack, SlackError};
use crate::domain::ids::{SlackChannelId, SlackGroupId, SlackUserId};

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

/// What `users.info` says, leniently: every member is optional, [`super::people`] decides what a missing one means.
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
    /// Who the token speaks for.
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn auth_test(&self) -> Result<Identity, SlackError> {
        self.write(&self.0.patient, "auth.test", &json!({})).await
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
        let call = json!({ "users": user.as_str() });
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
}
