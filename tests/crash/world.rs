//! What survives every kill: the folder with the database and the configuration, and the stand-in for Slack,
//! which runs in this process on a port of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use countersign::clock::SystemClock;
use countersign::domain::hashing::sha256_hex;
use countersign::http::serve::serve;
use countersign::playground::workspace::{Channel, ChannelKind, Person};
use countersign::playground::{HookAccess, HookCredential, Playground, Settings, Workspace};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the hook shows.
pub const HOOK_TOKEN: &str = "crash-hook-token-5f1d2c";
/// What the operator shows.
pub const OPERATOR_KEY: &str = "csk_crash-operator-91ab77";
const SIGNING_SECRET: &str = "crash-signing-secret-0c9e";
const BOT_TOKEN: &str = "standin-crash-bot-token-77";

/// Those who may decide, with the identity that each is mapped to.
pub const APPROVERS: [(&str, &str); 3] =
    [("U0BOB", "bob@example.com"), ("U0CAROL", "carol@example.com"), ("U0DAN", "dan@example.com")];
/// Those who see the card and may not decide.
pub const BYSTANDERS: [&str; 3] = ["U0ALICE", "U0EVE", "U0GREG"];
/// How many channels there are for cards. The stand-in keeps 500 messages of each.
pub const CHANNELS: usize = 128;

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:{{port}}"
public_url = "http://127.0.0.1"
[database]
url = "sqlite://{{database}}"
[policy]
file = "policy.toml"
[slack]
api_url = "{{standin}}/api"
team_id = "T0ACME"
app_id = "A0COUNTERSIGN"
channel = "C0APPROVALS"
allow_shared_channels = true
burst = 1000
bot_token = { env = "CRASH_BOT_TOKEN" }
signing_secrets = [{ env = "CRASH_SIGNING_SECRET" }]
[[hook]]
name = "billing"
dialect = "generic"
bearer = { env = "CRASH_HOOK_TOKEN" }
hold = "60s"
[identity]
email = "off"
[identity.users]
"U0ALICE" = "alice@example.com"
"U0BOB" = "bob@example.com"
"U0CAROL" = "carol@example.com"
"U0DAN" = "dan@example.com"
[api]
keys = [{ name = "oracle", role = "operator", sha256 = "{{operator}}" }]
"#;

const POLICY: &str = r#"
[approvers.leads]
slack_groups = ["S0PAYLEADS"]

[[rule]]
name = "reads are free"
when = 'scope == "invoices:read"'
allow = { max_duration = "8h" }

[[rule]]
name = "once"
when = 'scope == "payments:refund"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", uses = "single", channel = "{{channel}}" }

[[rule]]
name = "for a while"
when = 'scope == "deploy:production"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", ceremony = "confirm", channel = "{{channel}}" }

[[rule]]
name = "two people"
when = 'scope == "customers:export"'
ask = { approvers = ["leads"], approvals = 2, max_duration = "1h", channel = "{{channel}}" }

[[rule]]
name = "soon over"
when = 'scope == "status:brief"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", decide_within = "3s", channel = "{{channel}}" }

[limits]
denial_cooldown = "1h"
"#;

/// What a run needs.
pub struct World {
    /// Where everything is.
    pub folder: TempDir,
    /// The stand-in for Slack.
    pub playground: Playground,
    /// Its address.
    pub standin: String,
    stop: watch::Sender<bool>,
}

impl World {
    /// A new folder and a new stand-in that listens.
    pub async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = Settings {
            signing_secret: SIGNING_SECRET.into(),
            bot_token: BOT_TOKEN.into(),
            workspace: workspace(),
            hook: HookAccess { name: "billing".to_owned(), credential: HookCredential::Bearer(HOOK_TOKEN.into()) },
            operator_key: None,
            policy_text: String::new(),
            policy_file: "policy.toml".to_owned(),
            page: false,
        };
        let playground = Playground::new(settings, Arc::new(SystemClock))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let standin = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, playground.router(), stopped, Duration::from_millis(200)));
        let world = Self { folder, playground, standin, stop };
        world.write_policy(0)?;
        Ok(world)
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("countersign.db")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("countersign.toml")
    }

    /// What the services said, one after the other.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("service.log")
    }

    /// From the next start on, new cards go to this channel.
    pub fn write_policy(&self, channel: usize) -> anyhow::Result<()> {
        let text = POLICY.replace("{{channel}}", &channel_id(channel % CHANNELS));
        std::fs::write(self.folder.path().join("policy.toml"), text).context("the policy cannot be written")
    }

    /// From the next start on, the service listens on this port.
    pub fn write_config(&self, port: u16) -> anyhow::Result<()> {
        let text = CONFIG
            .replace("{{port}}", &port.to_string())
            .replace("{{database}}", &self.database().display().to_string())
            .replace("{{standin}}", &self.standin)
            .replace("{{operator}}", &sha256_hex(OPERATOR_KEY.as_bytes()));
        std::fs::write(self.config(), text).context("the configuration cannot be written")
    }

    /// The secrets that the configuration names.
    pub fn environment() -> [(&'static str, &'static str); 3] {
        [("CRASH_BOT_TOKEN", BOT_TOKEN), ("CRASH_SIGNING_SECRET", SIGNING_SECRET), ("CRASH_HOOK_TOKEN", HOOK_TOKEN)]
    }

    /// Keeps the folder for whoever looks into a failure, and says where it is.
    pub fn keep(self) -> PathBuf {
        self.stop.send_replace(true);
        self.folder.keep()
    }
}

/// The channel of this number.
pub fn channel_id(n: usize) -> String {
    format!("C0CRASH{n:03}")
}

/// The demo's people, one more approver, and many channels.
fn workspace() -> Workspace {
    let mut workspace = Workspace::demo();
    let dan = Person::member("T0ACME", "U0DAN", "Dan Diaz", "example.com");
    workspace.people.insert(dan.id.clone(), dan);
    if let Some(leads) = workspace.groups.get_mut("S0PAYLEADS") {
        leads.users.push("U0DAN".to_owned());
    }
    let everybody = ["U0COUNTERSIGN"].into_iter().chain(BYSTANDERS).chain(APPROVERS.map(|(user, _)| user));
    let members: Vec<String> = everybody.map(str::to_owned).collect();
    for n in 0..CHANNELS {
        let (id, members) = (channel_id(n), members.clone());
        let name = id.to_lowercase();
        let kind = ChannelKind::Channel;
        let channel = Channel { id: id.clone(), name, kind, members, is_ext_shared: true, is_archived: false };
        workspace.channels.insert(id, channel);
    }
    workspace
}
