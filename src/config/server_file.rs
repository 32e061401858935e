//! `countersign.toml`: how a deployment runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use url::Url;

use super::reader::{ConfigErrors, Findings, Section};
use super::secrets::Sources;
use super::{ApiKey, Config, Database, Role, Server, Slack, hook_file, step_up_file, values};
use crate::domain::identity::{Directory, EmailMapping, Principal};
use crate::domain::ids::{SlackChannelId, SlackTeamId, SlackUserId};

const AN_ADDRESS: &str = "how Slack and clients reach this service, like \"https://countersign.example.com\"";
const A_DATABASE: &str = "an SQLite file like \"sqlite://countersign.db\"; this version has no other database";
const SLACK_API: &str = "https://slack.com/api";
const COMMAND: &str = "/access";
/// How long before the end of a grant its requester is told, in seconds.
const WARN_BEFORE_END: u64 = 10 * 60;
/// Slack allows "short bursts" beyond one message a second and channel, and does not say how short.
const BURST: u32 = 5;
const CONNECTIONS: u32 = 2;
/// Slack's own limit for one app.
const CONNECTIONS_MAX: u32 = 10;

/// Reads the text of the file.
pub(super) fn parse(
    file: &str,
    text: &str,
    sources: &Sources<'_>,
    warnings: &mut Vec<String>,
) -> Result<Config, ConfigErrors> {
    let findings = Findings::new(file, text);
    let Some(table) = findings.parse() else { return findings.conclude(None) };
    let config = read(Section::root(&findings, &table), sources, warnings);
    findings.conclude(config)
}

/// Where the policy is, read leniently: for a file that has mistakes elsewhere.
pub(super) fn policy_path(text: &str, folder: &Path) -> Option<PathBuf> {
    let table = DeTable::parse(text).ok()?;
    let file = table.get_ref().get("policy")?.get_ref().get("file")?.get_ref().as_str()?;
    Some(folder.join(file))
}

fn read(root: Section<'_>, sources: &Sources<'_>, warnings: &mut Vec<String>) -> Option<Config> {
    let server = needed(&root, "server", "a table with listen and public_url").and_then(|s| server(s, warnings));
    let database = needed(&root, "database", "a table with url").and_then(database);
    let policy_file = needed(&root, "policy", "a table with file").and_then(|section| {
        let file = section.need("file", "the policy file, relative to this one", values::text);
        section.done();
        file.map(|file| sources.folder.join(file))
    });
    let slack = needed(&root, "slack", "a table that says which workspace, app and channel");
    let slack = slack.and_then(|section| slack_of(section, sources));
    let hooks = hook_file::read(&root, sources, warnings);
    let identity = root.section("identity").map(identity).unwrap_or_default();
    let step_up = root.section("step_up").map(|section| step_up_file::read(section, sources, warnings));
    let api_keys = root.section("api").map(api_keys).unwrap_or_default();
    root.done();
    let (server, database, policy_file, slack) = (server?, database?, policy_file?, slack?);
    // Named and wrong is reported; it is not the same as not named.
    let step_up = match step_up {
        Some(step_up) => Some(step_up?),
        None => None,
    };
    Some(Config { server, database, policy_file, slack, hooks, identity, step_up, api_keys })
}

fn needed<'a>(root: &Section<'a>, key: &'static str, allowed: &str) -> Option<Section<'a>> {
    root.missing(key, allowed);
    root.section(key)
}

fn server(section: Section<'_>, warnings: &mut Vec<String>) -> Option<Server> {
    let listen = section.need("listen", A_SOCKET, |value| {
        value.as_str().and_then(|text| text.parse::<SocketAddr>().ok()).ok_or_else(|| A_SOCKET.to_owned())
    });
    let public_url = section.need("public_url", AN_ADDRESS, values::address);
    section.done();
    let public_url = public_url?;
    if public_url.scheme() == "http" && !values::is_loopback(&public_url) {
        warnings.push(format!("server.public_url is {public_url}: plain http can be read and changed on its way."));
    }
    Some(Server { listen: listen?, public_url })
}

const A_SOCKET: &str = "an IP address and a port, like \"127.0.0.1:8080\"";

fn database(section: Section<'_>) -> Option<Database> {
    let database = section.need("url", A_DATABASE, |value| {
        let url = value.as_str().unwrap_or_default();
        let file = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        let plain = |file: &&str| !file.is_empty() && !file.starts_with(':') && !file.contains(['?', '#', '%']);
        let file = file.filter(plain).ok_or_else(|| A_DATABASE.to_owned())?;
        Ok(Database { url: url.to_owned(), file: PathBuf::from(file) })
    });
    section.done();
    database
}

fn slack_of(section: Section<'_>, sources: &Sources<'_>) -> Option<Slack> {
    let api_url = match section.has("api_url") {
        true => section.read("api_url", api_url),
        false => Url::parse(SLACK_API).ok(),
    };
    let team_id =
        section.need("team_id", "the workspace's id, like \"T0ACME\"", |v| values::name(v, |t| SlackTeamId::parse(t)));
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
    let bot_token = sources.one(&section, "bot_token");
    let app_token = if section.has("app_token") { sources.one(&section, "app_token") } else { None };
    let connections = section.read("connections", connections).unwrap_or(CONNECTIONS);
    // Through sockets nothing is signed: Slack is whoever answers at its own address.
    if !section.has("app_token") {
        section.missing("signing_secrets", "a list of secrets, two during a rotation, or an app_token");
    }
    let signing_secrets = sources.several(&section, "signing_secrets");
    let signing_secrets = if section.has("signing_secrets") { signing_secrets } else { Some(Vec::new()) };
    section.done();
    Some(Slack {
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
    })
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

fn identity(section: Section<'_>) -> Directory {
    const MAPPINGS: [(&str, EmailMapping); 2] = [("off", EmailMapping::Off), ("verified", EmailMapping::Verified)];
    let email = section.read("email", |v| values::one_of(v, &MAPPINGS)).unwrap_or_default();
    let mut users = BTreeMap::new();
    if let Some(table) = section.section("users") {
        for (key, value) in table.entries() {
            let user = SlackUserId::parse(key).map_err(|error| table.wrong(key, &format!("{key:?}"), error.wanted));
            match (user, values::text(value)) {
                (Ok(user), Ok(who)) => {
                    users.insert(user, Principal::new(&who));
                }
                (_, Err(allowed)) => table.wrong(key, &super::reader::shown(value), &allowed),
                (Err(()), Ok(_)) => {}
            }
        }
    }
    section.done();
    Directory { email, users }
}

fn api_keys(section: Section<'_>) -> Vec<ApiKey> {
    const ROLES: [(&str, Role); 2] = [("viewer", Role::Viewer), ("operator", Role::Operator)];
    let mut keys: Vec<ApiKey> = Vec::new();
    let mut seen = BTreeSet::new();
    for one in section.sections("keys", "name") {
        let name = one.need("name", "a name for the audit", values::text);
        let role = one.need("role", "\"viewer\" or \"operator\"", |v| values::one_of(v, &ROLES));
        one.missing("sha256", A_HASH);
        let sha256 = one.value("sha256").and_then(|value| {
            let hash = hash(value.get_ref());
            if hash.is_none() {
                // Not shown: it may be the key itself, put in the wrong place.
                one.wrong("sha256", "something else", A_HASH);
            }
            hash
        });
        if let Some(name) = name.as_ref().filter(|name| !seen.insert((*name).clone())) {
            one.wrong("name", &format!("{name:?} for the second time"), "each name once");
        }
        one.done();
        if let (Some(name), Some(role), Some(sha256)) = (name, role, sha256) {
            keys.push(ApiKey { name, role, sha256 });
        }
    }
    section.done();
    keys
}

const A_HASH: &str = "the SHA-256 of the key, 64 hexadecimal digits";

fn hash(value: &DeValue<'_>) -> Option<String> {
    let hash = value.as_str()?.to_ascii_lowercase();
    (hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hash)
}
