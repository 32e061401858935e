//! The Slack workspaces of `countersign.toml`: `[slack]`, or several `[[slack]]`.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;
use url::Url;

use super::reader::{Section, shown};
use super::secrets::Sources;
use super::{Slack, Workspaces, values};
use crate::domain::identity::{Directory, EmailMapping, Principal};
use crate::domain::ids::{SlackChannelId, SlackTeamId, SlackUserId, WorkspaceName};

const SLACK_API: &str = "https://slack.com/api";
const COMMAND: &str = "/access";
/// How long before the end of a grant its requester is told, in seconds.
const WARN_BEFORE_END: u64 = 10 * 60;
/// Slack allows "short bursts" beyond one message a second and channel, and does not say how short.
const BURST: u32 = 5;
const CONNECTIONS: u32 = 2;
/// Slack's own limit for one app.
const CONNECTIONS_MAX: u32 = 10;

/// The people whom a table names, by their Slack accounts.
pub(super) type Users = BTreeMap<SlackUserId, Principal>;

/// Reads `[slack]`, or every `[[slack]]`. `email` and `users` are what `[identity]` says; its table is the first one's.
pub(super) fn read(
    root: &Section<'_>,
    sources: &Sources<'_>,
    (email, users): (EmailMapping, Users),
    warnings: &mut Vec<String>,
) -> Option<Workspaces> {
    root.missing("slack", "a table that says which workspace, app and channel, or a list of such tables");
    let sections = root.one_or_several("slack", "name");
    let several = sections.len() > 1;
    let (mut all, mut is_wrong, mut users) = (Vec::<Slack>::new(), sections.is_empty(), Some(users));
    for section in sections {
        let directory = Directory { email, users: users.take().unwrap_or_default() };
        match workspace(&section, sources, directory, several) {
            Some(workspace) => {
                told_apart(&section, &workspace, &all);
                all.push(workspace);
            }
            None => is_wrong = true,
        }
        section.done();
    }
    for workspace in all.iter().filter(|one| several && one.directory.users.is_empty() && email == EmailMapping::Off) {
        warnings.push(format!(
            "slack.{:?}.users is empty and e-mail addresses do not count: nobody of that workspace can decide or ask.",
            workspace.name.as_str()
        ));
    }
    let mut all = all.into_iter();
    let first = all.next().filter(|_| !is_wrong)?;
    Some(Workspaces { first, others: all.collect() })
}

/// Whatever Slack sends must say by itself which of several workspaces it is about.
fn told_apart(section: &Section<'_>, workspace: &Slack, earlier: &[Slack]) {
    if earlier.iter().any(|one| one.name == workspace.name) {
        section.wrong("name", &format!("\"{}\" for the second time", workspace.name), "each name once");
    }
    if earlier.iter().any(|one| one.team_id == workspace.team_id) {
        let found = format!("\"{}\" for the second time", workspace.team_id);
        section.wrong("team_id", &found, "each workspace once");
    }
    let is_wide = |one: &&Slack| one.enterprise_id.is_some() && one.enterprise_id == workspace.enterprise_id;
    if earlier.iter().any(|one| is_wide(&one)) {
        let found = format!("{:?} for the second time", workspace.enterprise_id.as_deref().unwrap_or_default());
        section.wrong("enterprise_id", &found, "each organization once: its one installation is for all of it");
    }
    let same_app = || earlier.iter().filter(|one| one.app_id == workspace.app_id);
    if same_app().any(|one| one.app_token.is_some() != workspace.app_token.is_some()) {
        let found = format!("one workspace of the app {} with an app_token and one without", workspace.app_id);
        section.wrong_here(&found, "the same app_token in each: sockets are switched on for an app as a whole");
    }
    let sockets: u32 =
        same_app().chain([workspace]).filter(|one| one.app_token.is_some()).map(|one| one.connections).sum();
    if sockets > CONNECTIONS_MAX {
        let found = format!("{sockets} connections of the app {} in all", workspace.app_id);
        section.wrong("connections", &found, &format!("at most {CONNECTIONS_MAX} for one app"));
    }
}

fn workspace(section: &Section<'_>, sources: &Sources<'_>, mut directory: Directory, several: bool) -> Option<Slack> {
    let api_url = match section.has("api_url") {
        true => section.read("api_url", api_url),
        false => Url::parse(SLACK_API).ok(),
    };
    let team_id = team_id(section);
    if several {
        section.missing("name", "a name for it, which hooks can say");
    }
    let name = match section.has("name") {
        true => section.read("name", |v| values::name(v, |t| WorkspaceName::parse(t))),
        // There is only one: its id does for a name.
        false => team_id.as_ref().and_then(|team| WorkspaceName::parse(team.as_str().to_ascii_lowercase()).ok()),
    };
    let enterprise_id = section.read("enterprise_id", enterprise_id);
    let app_id = section.need("app_id", AN_APP, app_id);
    let channel = section.need("channel", "the id of a channel, like \"C0APPROVALS\"", |v| {
        values::name(v, |t| SlackChannelId::parse(t))
    });
    let command = match section.has("command") {
        true => section.read("command", command),
        false => Some(COMMAND.to_owned()),
    };
    let warn_before_end = section.read("warn_before_end", values::seconds).unwrap_or(WARN_BEFORE_END);
    let a_channel = |v: &DeValue<'_>| values::name(v, |t| SlackChannelId::parse(t));
    let fallback_channel = section.read("fallback_channel", a_channel).or_else(|| channel.clone());
    let allow_shared_channels = section.read("allow_shared_channels", values::truth).unwrap_or_default();
    let burst = section.read("burst", |v| values::number(v, 1)).unwrap_or(BURST);
    let bot_token = sources.one(section, "bot_token");
    let app_token = if section.has("app_token") { sources.one(section, "app_token") } else { None };
    let connections = section.read("connections", connections).unwrap_or(CONNECTIONS);
    // Through sockets nothing is signed: Slack is whoever answers at its own address.
    if !section.has("app_token") {
        section.missing("signing_secrets", "a list of secrets, two during a rotation, or an app_token");
    }
    let signing_secrets = sources.several(section, "signing_secrets");
    let signing_secrets = if section.has("signing_secrets") { signing_secrets } else { Some(Vec::new()) };
    own_users(section, &mut directory);
    Some(Slack {
        name: name?,
        api_url: api_url?,
        team_id: team_id?,
        enterprise_id,
        app_id: app_id?,
        channel: channel?,
        command: command?,
        warn_before_end,
        bot_token: bot_token?,
        signing_secrets: signing_secrets?,
        fallback_channel: fallback_channel?,
        allow_shared_channels,
        burst,
        app_token,
        connections,
        directory,
    })
}

fn team_id(section: &Section<'_>) -> Option<SlackTeamId> {
    section.need("team_id", "the workspace's id, like \"T0ACME\"", |v| values::name(v, |t| SlackTeamId::parse(t)))
}

/// The people whom a workspace's own table names.
fn own_users(section: &Section<'_>, directory: &mut Directory) {
    let Some(table) = section.section("users") else { return };
    let more = users(&table);
    for user in more.keys().filter(|user| directory.users.contains_key(*user)) {
        table.wrong(user.as_str(), "an account for the second time", "each account once");
    }
    directory.users.extend(more);
}

/// Who is who in each workspace, and nothing else of the file: for a reload.
pub(super) fn directories(root: &Section<'_>) -> BTreeMap<SlackTeamId, Directory> {
    let (email, users) = root.section("identity").map(identity).unwrap_or_default();
    let (mut users, mut all) = (Some(users), BTreeMap::new());
    for section in root.one_or_several("slack", "name") {
        let mut directory = Directory { email, users: users.take().unwrap_or_default() };
        own_users(&section, &mut directory);
        all.extend(team_id(&section).map(|team| (team, directory)));
    }
    all
}

/// Slack closes a socket now and then; one of two is always open.
fn connections(value: &DeValue<'_>) -> Result<u32, String> {
    let fits = values::number(value, 1).ok().filter(|number| *number <= CONNECTIONS_MAX);
    fits.ok_or_else(|| format!("a whole number from 1 to {CONNECTIONS_MAX}"))
}

/// The bot's token goes there: in the clear only where nobody else can listen.
fn api_url(value: &DeValue<'_>) -> Result<Url, String> {
    let url = values::address(value)?;
    if url.scheme() == "https" || values::is_loopback(&url) {
        return Ok(url);
    }
    Err("an https address (plain http only on this machine): the bot's token is sent there".to_owned())
}

fn enterprise_id(value: &DeValue<'_>) -> Result<String, String> {
    let fits = |text: &&str| {
        text.len() >= 3 && text.starts_with('E') && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    value.as_str().filter(fits).map(str::to_owned).ok_or_else(|| "an organization's id, like \"E0ACME\"".to_owned())
}

const AN_APP: &str = "the app's id, like \"A0COUNTERSIGN\"";

fn app_id(value: &DeValue<'_>) -> Result<String, String> {
    let fits = |text: &&str| {
        text.len() >= 3 && text.starts_with('A') && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    value.as_str().filter(fits).map(str::to_owned).ok_or_else(|| AN_APP.to_owned())
}

fn command(value: &DeValue<'_>) -> Result<String, String> {
    let fits = |text: &&str| {
        let name = text.strip_prefix('/').unwrap_or_default();
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    let command = value.as_str().filter(fits).map(str::to_owned);
    command.ok_or_else(|| "a slash command like \"/access\": a-z, 0-9, - and _, at most 32".to_owned())
}

/// Reads `[identity]`: whether addresses count, and the table of the first workspace.
pub(super) fn identity(section: Section<'_>) -> (EmailMapping, Users) {
    const MAPPINGS: [(&str, EmailMapping); 2] = [("off", EmailMapping::Off), ("verified", EmailMapping::Verified)];
    let email = section.read("email", |v| values::one_of(v, &MAPPINGS)).unwrap_or_default();
    let users = section.section("users").map(|table| users(&table)).unwrap_or_default();
    section.done();
    (email, users)
}

/// A table of Slack accounts with who each is in the directory.
fn users(table: &Section<'_>) -> Users {
    let mut users = BTreeMap::new();
    for (key, value) in table.entries() {
        let user = SlackUserId::parse(key).map_err(|error| table.wrong(key, &format!("{key:?}"), error.wanted));
        match (user, values::text(value)) {
            (Ok(user), Ok(who)) => {
                users.insert(user, Principal::new(&who));
            }
            (_, Err(allowed)) => table.wrong(key, &shown(value), &allowed),
            (Err(()), Ok(_)) => {}
        }
    }
    users
}

/// Names of workspaces, for a message.
pub(super) fn names(of: &Workspaces) -> String {
    let names: BTreeSet<String> = of.all().map(|one| format!("\"{}\"", one.name)).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
