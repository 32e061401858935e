//! The two files that a deployment consists of: `countersign.toml` says how it runs, `policy.toml` who may
//! get what. Everything in them means something or is refused, and all mistakes are told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::hashing::sha256_hex;
use crate::domain::identity::Directory;
use crate::domain::ids::{HookName, SlackChannelId, SlackTeamId, WorkspaceName};
use crate::domain::policy::{Mode, Outcome, Policy, PolicyVersion, Rule};

mod describe;
mod hook_file;
pub mod policy_file;
mod reader;
mod rule_file;
mod secrets;
mod server_file;
mod slack_file;
mod step_up_file;
#[cfg(test)]
mod tests;
mod values;

pub use crate::door::{Dialect, HookAuth};
pub use describe::describe;
pub use reader::{ConfigError, ConfigErrors};
pub use step_up_file::{PersonClaim, StepUpConfig};

/// How a deployment runs. Every value is in its final type.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that all of this stands in, as a path that can be opened.
    pub file: PathBuf,
    /// Where callers reach it.
    pub server: Server,
    /// Where it keeps what it knows.
    pub database: Database,
    /// The policy file, as a path that can be opened.
    pub policy_file: PathBuf,
    /// The Slack workspaces.
    pub slack: Workspaces,
    /// The hooks, in the order of the file. Names are distinct, at most one speaks AuthZEN.
    pub hooks: Vec<HookConfig>,
    /// Where approvers authenticate anew, if any rule demands that.
    pub step_up: Option<StepUpConfig>,
    /// The keys of the operators' API. Names are distinct.
    pub api_keys: Vec<ApiKey>,
}

/// Where callers reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The socket it listens on.
    pub listen: SocketAddr,
    /// How Slack and clients reach it.
    pub public_url: Url,
}

impl Server {
    /// The public address without a slash at its end, to put paths behind.
    pub fn public_base(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }
}

/// Where the service keeps what it knows: a file of `SQLite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// As it stands in the configuration, such as `sqlite://countersign.db`.
    pub url: String,
    /// The file, relative to the working directory where it is relative.
    pub file: PathBuf,
}

/// The Slack workspaces, in the order of the file. Names and workspaces are distinct.
#[derive(Debug, Clone)]
pub struct Workspaces {
    /// Whose people decide for a hook that names none.
    pub first: Slack,
    /// The others.
    pub others: Vec<Slack>,
}

impl Workspaces {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Slack> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The one of that name.
    pub fn named(&self, name: &WorkspaceName) -> Option<&Slack> {
        self.all().find(|one| one.name == *name)
    }

    /// The one with that id.
    pub fn of(&self, team: &SlackTeamId) -> Option<&Slack> {
        self.all().find(|one| one.team_id == *team)
    }
}

/// A Slack workspace and the app in it.
#[derive(Debug, Clone)]
pub struct Slack {
    /// What it is called here; its id in lower case where it is the only one and has no name.
    pub name: WorkspaceName,
    /// Where Slack's Web API is.
    pub api_url: Url,
    /// The workspace.
    pub team_id: SlackTeamId,
    /// The organization, where the app is installed in all of it.
    pub enterprise_id: Option<String>,
    /// The app.
    pub app_id: String,
    /// Where cards go unless a rule says otherwise.
    pub channel: SlackChannelId,
    /// Where cards go that their channel does not take: the usual channel unless it says otherwise.
    pub fallback_channel: SlackChannelId,
    /// Whether cards may be posted to channels that people of other companies read.
    pub allow_shared_channels: bool,
    /// How many messages may go to one channel at once, before one a second.
    pub burst: u32,
    /// The slash command.
    pub command: String,
    /// How long before the end of a grant its requester is told, in seconds; at most a tenth of its time.
    pub warn_before_end: u64,
    /// The bot's token.
    pub bot_token: SecretString,
    /// What Slack signs its calls with; two during a rotation, never none.
    pub signing_secrets: Vec<SecretString>,
    /// The app-level token: with it Slack's calls come through sockets that this service opens.
    pub app_token: Option<SecretString>,
    /// How many sockets are open at once.
    pub connections: u32,
    /// Who its people are in the directory.
    pub directory: Directory,
}

impl Slack {
    /// The address of the Web API without a slash at its end, to put methods behind.
    pub fn api_base(&self) -> &str {
        self.api_url.as_str().trim_end_matches('/')
    }
}

/// One authorization server's hook.
#[derive(Debug, Clone)]
pub struct HookConfig {
    /// Its name, which is part of its address.
    pub name: HookName,
    /// How its server speaks.
    pub dialect: Dialect,
    /// How its server proves who it is.
    pub auth: HookAuth,
    /// The longest that a call is held for people.
    pub hold: Duration,
    /// Where Ory Hydra's admin API is.
    pub admin_url: Option<Url>,
    /// Whether the policy is enforced for its calls, or only recorded.
    pub mode: Mode,
    /// The workspace whose people decide.
    pub workspace: SlackTeamId,
}

/// A key of the operators' API. Only its hash is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Who it was given to.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the key, in lower-case hexadecimal.
    pub sha256: String,
}

/// What a caller of the operators' API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and revoke.
    Operator,
}

/// Who is who in each workspace.
pub type Directories = BTreeMap<SlackTeamId, Directory>;

/// A deployment, read and checked.
#[derive(Debug)]
pub struct Loaded {
    /// How it runs.
    pub config: Config,
    /// Who may get what.
    pub policy: Policy,
    /// What was asked for and is not done, none of it less safe for that; for the log at start.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// The channels that rules name for their cards.
    pub fn channels_of_rules(&self) -> BTreeSet<SlackChannelId> {
        let of_rule = |rule: &Rule| match &rule.outcome {
            Outcome::Ask(ask) => ask.channel.clone(),
            Outcome::Allow(_) | Outcome::Deny(_) | Outcome::BreakGlass(_) => None,
        };
        self.policy.rules.iter().filter_map(of_rule).collect()
    }
}

impl Config {
    /// Reads both files. `env` answers for environment variables, so that tests need not set any.
    ///
    /// # Errors
    /// [`ConfigErrors`]: every mistake of both files.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigErrors> {
        let text = read_file(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut warnings = Vec::new();
        let sources = secrets::Sources { env, folder };
        let config = server_file::parse(&path.display().to_string(), &text, &sources, &mut warnings);
        // The policy is read even where the first file has mistakes, so that all of them are told at once.
        match config {
            Ok(mut config) => {
                path.clone_into(&mut config.file);
                let policy = config.load_policy()?;
                warnings.extend(policy.warnings.iter().cloned());
                Ok(Loaded { config, policy, warnings })
            }
            Err(ConfigErrors(mut errors)) => {
                let policy = server_file::policy_path(&text, folder);
                let in_policy = policy.map(|path| read_file(&path).and_then(|text| parse_policy(&path, &text)));
                if let Some(Err(ConfigErrors(more))) = in_policy {
                    errors.extend(more);
                }
                Err(ConfigErrors(errors))
            }
        }
    }

    /// What is read anew while the service runs: the policy, and who is who. All of it can be used, or none.
    ///
    /// # Errors
    /// [`ConfigErrors`]: every mistake of both.
    pub fn reread(&self) -> Result<(Policy, Directories), ConfigErrors> {
        match (self.load_policy(), self.load_directories()) {
            (Ok(policy), Ok(directories)) => Ok((policy, directories)),
            (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
            (Err(ConfigErrors(errors)), Err(ConfigErrors(more))) => {
                Err(ConfigErrors(errors.into_iter().chain(more).collect()))
            }
        }
    }

    fn load_directories(&self) -> Result<Directories, ConfigErrors> {
        let file = self.file.display().to_string();
        let all = server_file::directories(&file, &read_file(&self.file)?)?;
        let missing = self.slack.all().filter(|one| !all.contains_key(&one.team_id));
        let errors: Vec<ConfigError> = missing
            .map(|one| ConfigError {
                file: file.clone(),
                line: None,
                key: "slack".to_owned(),
                found: format!("no workspace {} any more", one.team_id),
                allowed: "the workspaces of the start: for others the service must be started anew".to_owned(),
            })
            .collect();
        if errors.is_empty() { Ok(all) } else { Err(ConfigErrors(errors)) }
    }

    /// The version of what stands in the policy file now, whether or not it can be used.
    pub fn policy_version(&self) -> Option<PolicyVersion> {
        read_file(&self.policy_file).ok().map(|text| PolicyVersion(sha256_hex(text.as_bytes())))
    }

    /// Reads the policy file as it is now: at the start, and whenever it is to be reloaded.
    ///
    /// # Errors
    /// [`ConfigErrors`]: every mistake in it, and hooks that it names and nobody configured.
    pub fn load_policy(&self) -> Result<Policy, ConfigErrors> {
        let mut policy = parse_policy(&self.policy_file, &read_file(&self.policy_file)?)?;
        let usual = |hook: &HookConfig| Some((hook.name.clone(), self.slack.of(&hook.workspace)?.channel.clone()));
        policy.usual_channels = self.hooks.iter().filter_map(usual).collect();
        let names = || self.hooks.iter().map(|hook| &hook.name);
        let mut errors = Vec::new();
        for resource in &policy.resources {
            for hook in resource.hooks.iter().filter(|hook| !names().any(|name| name == *hook)) {
                errors.push(ConfigError {
                    file: self.policy_file.display().to_string(),
                    line: None,
                    key: format!("resource.{:?}.hooks", resource.audience),
                    found: format!("\"{hook}\""),
                    allowed: format!(
                        "a hook of this deployment: {}",
                        names().map(HookName::as_str).collect::<Vec<_>>().join(", ")
                    ),
                });
            }
        }
        if self.step_up.is_none() {
            errors.extend(policy.rules.iter().filter(|rule| rule.needs_step_up()).map(|rule| ConfigError {
                file: self.policy_file.display().to_string(),
                line: None,
                key: format!("rule.{:?}.ceremony", rule.name),
                found: "\"step_up\"".to_owned(),
                allowed: "another ceremony, or a table [step_up] in the deployment's file".to_owned(),
            }));
        }
        if errors.is_empty() { Ok(policy) } else { Err(ConfigErrors(errors)) }
    }
}

/// The most bytes of a configuration file. A policy of a thousand rules has less than half a megabyte.
const FILE_MAX: u64 = 4 << 20;

/// Reads a policy file by itself, without the deployment that it belongs to.
///
/// # Errors
/// [`ConfigErrors`]: every mistake in it.
pub fn read_policy(path: &Path) -> Result<Policy, ConfigErrors> {
    parse_policy(path, &read_file(path)?)
}

fn parse_policy(path: &Path, text: &str) -> Result<Policy, ConfigErrors> {
    policy_file::parse(&path.display().to_string(), text)
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let wrong = |found: String| {
        let (file, key) = (path.display().to_string(), String::new());
        let allowed = format!("a TOML file of at most {} MiB", FILE_MAX >> 20);
        ConfigErrors(vec![ConfigError { file, line: None, key, found, allowed }])
    };
    let unreadable = |error: std::io::Error| wrong(format!("no readable text file ({error})"));
    let mut text = String::new();
    // One byte more than may be there, whatever the file says its length is.
    let file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::Read::take(file, FILE_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_MAX {
        return Err(wrong(format!("a file of more than {} MiB", FILE_MAX >> 20)));
    }
    Ok(text)
}
