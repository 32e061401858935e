//! What a deployment expects of Slack, compared with what Slack says: token, scopes, workspace, app, channels, user
//! groups, people. Asks only; nothing is posted. Each finding that is wrong says what to do about it.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{Slack, SlackError};
use crate::domain::ids::{SlackChannelId, SlackGroupId, SlackUserId};

/// The scopes without which something does not work, with what that is.
const NEEDED: [(&str, &str); 5] = [
    ("chat:write", "posting and editing cards"),
    ("users:read", "telling members from guests and bots"),
    ("usergroups:read", "approver sets that name user groups"),
    ("channels:read", "seeing whether a channel is shared or archived"),
    ("groups:read", "the same of private channels"),
];
/// The scopes without which something works less well.
const USEFUL: [(&str, &str); 5] = [
    ("commands", "slash command"),
    ("im:write", "card for one person, where a rule says notify.by = \"direct\" or \"both\""),
    ("channels:history", "finding a card again whose answer was lost, instead of posting a second"),
    ("groups:history", "finding one again in a private channel"),
    ("im:history", "finding one again in direct messages"),
];

/// What the policy names, in whichever workspace it is.
pub struct Named {
    /// Where rules have their cards posted.
    pub channels: BTreeSet<SlackChannelId>,
    /// The user groups of approver sets.
    pub groups: BTreeSet<SlackGroupId>,
    /// The people of approver sets.
    pub users: BTreeSet<SlackUserId>,
}

/// What the configuration expects of one workspace.
pub struct Expected<'a> {
    /// The workspace.
    pub team_id: &'a str,
    /// The app.
    pub app_id: &'a str,
    /// Where cards go.
    pub channels: BTreeSet<SlackChannelId>,
    /// Whether people are found by address.
    pub by_address: bool,
    /// Whether people of other companies may read cards.
    pub allow_shared_channels: bool,
    /// The app-level token, where there is one.
    pub app_token: Option<&'a SecretString>,
    /// The slash command.
    pub command: &'a str,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Fine(String),
    /// Worth knowing; it works all the same.
    Note(String),
    /// Wrong, and what to do.
    Wrong(String, String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine(what) => write!(f, "ok     {what}"),
            Self::Note(what) => write!(f, "note   {what}"),
            Self::Wrong(what, mend) => write!(f, "WRONG  {what}\n       {mend}"),
        }
    }
}

impl Finding {
    /// Whether somebody has to do something.
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong(..))
    }
}

fn wrong(what: impl Into<String>, mend: &str) -> Finding {
    Finding::Wrong(what.into(), mend.to_owned())
}

/// Looks at what the policy names. An identifier is looked up in the workspace of the request at hand, so it is right where
/// it is right in one of them.
pub async fn examine_policy(workspaces: &[(String, Slack, bool)], named: &Named) -> Vec<Finding> {
    let mut all = Vec::new();
    for channel in &named.channels {
        let mut looks = Vec::new();
        for (name, slack, allow_shared_channels) in workspaces {
            looks.push((name.as_str(), channel_of(slack, channel, *allow_shared_channels).await));
        }
        all.push(best(looks));
    }
    for group in &named.groups {
        let mut looks = Vec::new();
        for (name, slack, _) in workspaces {
            looks.push((name.as_str(), group_of(slack, group).await));
        }
        all.push(best(looks));
    }
    for user in &named.users {
        let mut looks = Vec::new();
        for (name, slack, _) in workspaces {
            looks.push((name.as_str(), person(slack, user).await));
        }
        all.push(best(looks));
    }
    all
}

/// Of several workspaces the first where it is right, and which that is; else what is wrong in the first.
fn best(looks: Vec<(&str, Finding)>) -> Finding {
    let several = looks.len() > 1;
    let fine = looks.iter().find(|(_, finding)| !finding.is_wrong());
    match (fine, looks.first()) {
        (Some((name, Finding::Fine(what))), _) if several => Finding::Fine(format!("{what}, in {name}")),
        (Some((_, fine)), _) => fine.clone(),
        (None, Some((name, Finding::Wrong(what, mend)))) if several => {
            wrong(format!("in no workspace, and in {name}: {what}"), mend)
        }
        (None, Some((_, wrong))) => wrong.clone(),
        (None, None) => Finding::Note("there is no workspace".to_owned()),
    }
}

async fn group_of(slack: &Slack, group: &SlackGroupId) -> Finding {
    match slack.group_members(group).await {
        Ok(members) if members.is_empty() => {
            wrong(format!("the user group {group} is empty"), "Put the approvers into it: nobody can decide.")
        }
        Ok(members) => Finding::Fine(format!("user group {group}: {} people", members.len())),
        Err(error) => wrong(
            format!("the user group {group} cannot be read: {}", error.code()),
            "Check its id (S…) in the policy, and that it is not disabled.",
        ),
    }
}

/// Looks at everything that is of one workspace.
pub async fn examine(slack: &Slack, expected: &Expected<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    if !token(slack, expected, &mut all).await {
        return all;
    }
    scopes(slack, expected, &mut all).await;
    for channel in &expected.channels {
        all.push(channel_of(slack, channel, expected.allow_shared_channels).await);
    }
    if let Some(app_token) = expected.app_token {
        all.push(match slack.open_connection(app_token).await {
            Ok(_) => Finding::Fine("the app-level token opens sockets".to_owned()),
            Err(error) => wrong(
                format!("the app-level token opens no socket: {}", error.code()),
                "It needs the scope connections:write, and Socket Mode must be on in the app's settings.",
            ),
        });
    }
    all.push(Finding::Note(format!(
        "type {} help in Slack: no call can tell whether a command exists",
        expected.command
    )));
    all
}

/// The token: whose it is. Without it there is nothing to look at.
async fn token(slack: &Slack, expected: &Expected<'_>, all: &mut Vec<Finding>) -> bool {
    let identity = match slack.auth_test().await {
        Ok(identity) => identity,
        Err(error) => {
            let mend = match &error {
                SlackError::Permanent(_) => {
                    "Take the bot token (xoxb-…) from OAuth & Permissions, and install the app."
                }
                SlackError::RateLimited { .. } | SlackError::Temporary(_) | SlackError::OutcomeUnknown(_) => {
                    "Slack cannot be reached from here: check slack.api_url, the way out and the certificates."
                }
            };
            all.push(wrong(format!("the bot token is not accepted: {}", error.code()), mend));
            return false;
        }
    };
    let team = identity.team_id.unwrap_or_default();
    if team == expected.team_id || identity.enterprise_id.as_deref() == Some(expected.team_id) {
        all.push(Finding::Fine(format!("the bot token is of {team}")));
    } else {
        let mend = "Correct slack.team_id, or take the token of that workspace.";
        all.push(wrong(format!("the bot token is of {team}, and slack.team_id is {}", expected.team_id), mend));
    }
    let Some(bot) = identity.bot_id else {
        all.push(wrong("the token is no bot's", "Take the bot token (xoxb-…), not a person's."));
        return true;
    };
    all.push(match slack.app_of(&bot).await {
        Ok(Some(app)) if app == expected.app_id => Finding::Fine(format!("it is the app {app}")),
        Ok(Some(app)) => wrong(
            format!("the token is of the app {app}, and slack.app_id is {}", expected.app_id),
            "Correct slack.app_id: every click is refused as another app's.",
        ),
        Ok(None) | Err(_) => Finding::Note("Slack does not say which app the token is of".to_owned()),
    });
    true
}

async fn scopes(slack: &Slack, expected: &Expected<'_>, all: &mut Vec<Finding>) {
    let Some(granted) = slack.granted_scopes().await else {
        all.push(Finding::Note("Slack does not say which scopes the token has".to_owned()));
        return;
    };
    let by_address = expected.by_address.then_some(("users:read.email", "finding people by address"));
    let mut missing = 0;
    for (scope, what) in NEEDED.into_iter().chain(by_address) {
        if !granted.contains(scope) {
            missing += 1;
            let mend = "Add it under OAuth & Permissions and install the app again.";
            all.push(wrong(format!("the scope {scope} is missing: {what}"), mend));
        }
    }
    if missing == 0 {
        all.push(Finding::Fine("every scope that is needed".to_owned()));
    }
    for (scope, what) in USEFUL {
        if !granted.contains(scope) {
            all.push(Finding::Note(format!("without the scope {scope} there is no {what}")));
        }
    }
}

async fn channel_of(slack: &Slack, channel: &SlackChannelId, allow_shared_channels: bool) -> Finding {
    let conversation = match slack.conversation(channel).await {
        Ok(conversation) => conversation,
        Err(error) => {
            let mend = "Check its id (C…), and invite the app where it is private: /invite @countersign";
            return wrong(format!("the channel {channel} cannot be seen: {}", error.code()), mend);
        }
    };
    if conversation.is_archived == Some(true) {
        wrong(format!("the channel {channel} is archived"), "Name another one, or take it out of the archive.")
    } else if conversation.is_member == Some(false) {
        wrong(format!("the app is not in the channel {channel}"), "Invite it there: /invite @countersign")
    } else if conversation.has_outsiders() && !allow_shared_channels {
        wrong(
            format!("people of other companies read the channel {channel}"),
            "Use another one; or set slack.allow_shared_channels, if they may read who asks for what.",
        )
    } else {
        Finding::Fine(format!("channel {channel}"))
    }
}

async fn person(slack: &Slack, user: &SlackUserId) -> Finding {
    let mend = "Take them out of the approver set, or correct the id (U…).";
    match slack.user(user).await {
        Ok(account) if account.deleted == Some(true) => wrong(format!("{user} is deactivated"), mend),
        Ok(account) if account.is_bot != Some(false) => wrong(format!("{user} is a bot"), mend),
        Ok(account) if account.is_restricted != Some(false) || account.is_ultra_restricted != Some(false) => {
            wrong(format!("{user} is a guest and can never decide"), mend)
        }
        Ok(_) => Finding::Fine(format!("person {user}")),
        Err(error) => wrong(format!("{user} cannot be looked up: {}", error.code()), mend),
    }
}

impl Slack {
    /// The app that a bot belongs to.
    async fn app_of(&self, bot: &str) -> Result<Option<String>, SlackError> {
        #[derive(Deserialize)]
        struct Info {
            bot: Bot,
        }
        #[derive(Deserialize)]
        struct Bot {
            app_id: Option<String>,
        }
        self.read("bots.info", &[("bot", bot)]).await.map(|info: Info| info.bot.app_id)
    }

    /// The scopes of the token, which Slack names in a header of every answer.
    async fn granted_scopes(&self) -> Option<BTreeSet<String>> {
        use secrecy::ExposeSecret;
        let http = &self.0.patient.http_api.connector;
        let token = SecretString::from(self.0.token.token_value.0.clone());
        let call = http.client.post(format!("{}/auth.test", http.base)).bearer_auth(token.expose_secret());
        let response = call.timeout(http.deadline).json(&json!({})).send().await.ok()?;
        let named = response.headers().get("x-oauth-scopes")?.to_str().ok()?.to_owned();
        Some(named.split(',').map(|scope| scope.trim().to_owned()).collect())
    }
}
