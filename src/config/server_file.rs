//! `countersign.toml`: how a deployment runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::reader::{ConfigErrors, Findings, Section};
use super::secrets::Sources;
use super::{ApiKey, Config, Database, Role, Server, hook_file, slack_file, step_up_file, values};
use crate::domain::identity::Directory;
use crate::domain::ids::SlackTeamId;

const AN_ADDRESS: &str = "how Slack and clients reach this service, like \"https://countersign.example.com\"";
const A_DATABASE: &str = "an SQLite file like \"sqlite://countersign.db\"; this version has no other database";
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

/// Who is who, by workspace: all that is read anew while the service runs.
pub(super) fn directories(file: &str, text: &str) -> Result<BTreeMap<SlackTeamId, Directory>, ConfigErrors> {
    let findings = Findings::new(file, text);
    let Some(table) = findings.parse() else { return findings.conclude(None) };
    let all = slack_file::directories(&Section::root(&findings, &table));
    findings.conclude(Some(all))
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
    let identity = root.section("identity").map(slack_file::identity).unwrap_or_default();
    let slack = slack_file::read(&root, sources, identity, warnings);
    let hooks = hook_file::read(&root, sources, slack.as_ref(), warnings);
    let step_up = root.section("step_up").map(|section| step_up_file::read(section, sources, warnings));
    let api_keys = root.section("api").map(api_keys).unwrap_or_default();
    root.done();
    let (server, database, policy_file, slack) = (server?, database?, policy_file?, slack?);
    // Named and wrong is reported; it is not the same as not named.
    let step_up = match step_up {
        Some(step_up) => Some(step_up?),
        None => None,
    };
    Some(Config { file: PathBuf::new(), server, database, policy_file, slack, hooks, step_up, api_keys })
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
