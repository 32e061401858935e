//! The stage: the real binary as a child process, the stand-in for Slack beside it, and the verbs of the stories in
//! `tests/it/support`, which are the same here.

#[path = "../it/support/asker.rs"]
pub mod asker;
#[path = "../it/support/asking.rs"]
pub mod asking;
#[path = "../it/support/provider.rs"]
pub mod provider;
#[path = "../it/support/slack.rs"]
pub mod slack;
#[path = "../it/support/world.rs"]
pub mod world;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::{Clock, SystemClock, Timestamp};
use countersign::http::serve::serve;
use countersign::playground::{HookAccess, HookCredential, Playground, Settings};
use reqwest::Client;
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long is waited for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A settled service has nothing to deliver for so long at most; what Slack keeps from being delivered goes on waiting.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// This moment.
pub fn now() -> Timestamp {
    SystemClock.now()
}

/// The running service, Slack's stand-in, and what they share.
pub struct TestApp {
    pub http: Client,
    pub playground: Playground,
    slack_url: String,
    address: SocketAddr,
    folder: TempDir,
    child: Option<std::process::Child>,
    _slack_stops: watch::Sender<bool>,
}

/// What a service is started with.
pub struct Stage {
    policy: String,
    changes: Vec<(String, String)>,
}

/// The usual stage with this policy.
pub fn stage(policy: &str) -> Stage {
    Stage { policy: policy.to_owned(), changes: Vec::new() }
}

impl Stage {
    /// With a passage of `countersign.toml` replaced, which must be there.
    pub fn config(mut self, passage: &str, other: &str) -> Self {
        self.changes.push((passage.to_owned(), other.to_owned()));
        self
    }

    /// Starts both, and waits until the service is ready.
    pub async fn start(self) -> TestApp {
        let mut app = self.set().await;
        app.run().await;
        app
    }

    /// Sets the stage; the service does not run yet.
    pub async fn set(self) -> TestApp {
        let playground = Playground::new(settings(), Arc::new(SystemClock)).expect("a stand-in");
        let slack = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let slack_url = format!("http://{}", slack.local_addr().expect("an address"));
        let (slack_stops, stopped) = watch::channel(false);
        tokio::spawn(serve(slack, playground.router(), stopped, Duration::ZERO));
        let folder = tempfile::tempdir().expect("a folder");
        let address = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let database = folder.path().join("countersign.db").display().to_string();
        let mut config = world::config(&address.to_string(), &slack_url, &database);
        for (passage, other) in &self.changes {
            assert!(config.contains(passage.as_str()), "the configuration has no {passage:?}");
            config = config.replacen(passage.as_str(), other, 1);
        }
        std::fs::write(folder.path().join("countersign.toml"), config).expect("a configuration");
        std::fs::write(folder.path().join("policy.toml"), self.policy).expect("a policy");
        playground.connect(format!("http://{address}"));
        let http = Client::builder().no_proxy().build().expect("a client");
        TestApp { http, playground, slack_url, address, folder, child: None, _slack_stops: slack_stops }
    }
}

impl TestApp {
    /// A command of the binary, with nothing of our own environment but the secrets.
    fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).env_clear().envs(world::environment()).env("RUST_LOG", "info").stdin(Stdio::null());
        command
    }

    /// Runs a command of the binary in the folder of the two files until it ends.
    pub fn tool(&self, arguments: &[&str]) -> Output {
        Self::command(arguments).current_dir(self.folder.path()).output().expect("the binary")
    }

    /// Starts the service on its files, and waits until it is ready.
    pub async fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.file("service.log")).expect("a log");
        let config = self.file("countersign.toml").display().to_string();
        let mut command = Self::command(&["serve", "--config", &config]);
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the binary starts"));
        let ready = self.url("/readyz");
        let began = Instant::now();
        while !self.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(began.elapsed() < PATIENCE, "not ready: {}", self.said());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// SIGKILL: nobody is told.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// SIGKILL, and started again on the same files.
    pub async fn crash(&mut self) {
        self.kill();
        self.run().await;
    }

    /// SIGHUP with another policy; waits until the audit says what became of it.
    pub async fn reload(&self, policy: &str) {
        std::fs::write(self.file("policy.toml"), policy).expect("a policy");
        let before = self.happened().await.iter().filter(|kind| kind.starts_with("policy.")).count();
        let id = self.child.as_ref().expect("it runs").id();
        let sent = Command::new("sh").args(["-c", &format!("kill -HUP {id}")]).status().expect("a shell");
        assert!(sent.success());
        self.until("the policy", async || {
            let now = self.happened().await.iter().filter(|kind| kind.starts_with("policy.")).count();
            (now > before).then_some(())
        })
        .await;
    }

    /// What it wrote to standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.file("service.log")).unwrap_or_default()
    }

    /// An address of the stand-in.
    pub fn slack_address(&self, path: &str) -> String {
        format!("{}{path}", self.slack_url)
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until nothing waits to be delivered.
    pub async fn settle(&self) {
        let began = Instant::now();
        while began.elapsed() < SETTLES_WITHIN {
            let answer = self.http.get(self.url("/metrics")).send().await;
            let Ok(answer) = answer else { return };
            let text = answer.text().await.unwrap_or_default();
            let waiting = text.lines().find_map(|line| line.strip_prefix("countersign_outbox_waiting "));
            if waiting.and_then(|number| number.trim().parse::<f64>().ok()) == Some(0.0) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Real time passes.
    pub async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.settle().await;
    }

    /// Somebody presses a button; what follows from it is not waited for.
    pub async fn press(&self, person: &str, card: &slack::Card, action: &str) -> Value {
        let (block, value) = card.button(action);
        let click = serde_json::json!({
            "as": person, "channel": card.channel, "ts": card.ts, "block_id": block, "action_id": action, "value": value,
        });
        self.page("/page/click", click).await
    }

    /// Waits until `look` finds something.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The audit, oldest first.
    pub async fn audit(&self) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.operator_sees(&format!("/v1/audit?after={after}&limit=200")).await;
            let entries = page["entries"].as_array().expect("a list").clone();
            let Some(last) = entries.last() else { return all };
            after = last["seq"].as_i64().expect("a number");
            all.extend(entries);
        }
    }

    /// What happened, in one word each.
    pub async fn happened(&self) -> Vec<String> {
        self.audit().await.iter().map(|entry| entry["kind"].as_str().expect("a text").to_owned()).collect()
    }

    /// How often something happened.
    pub async fn times(&self, kind: &str) -> usize {
        self.happened().await.iter().filter(|word| *word == kind).count()
    }

    /// Why clicks were refused, in order.
    pub async fn refusals(&self) -> Vec<String> {
        let refused = self.audit().await.into_iter().filter(|entry| entry["kind"] == "click.refused");
        refused.map(|entry| entry["detail"]["why"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// How an access request stands.
    pub async fn stands(&self, request: &str) -> Value {
        self.operator_sees(&format!("/v1/requests/{request}")).await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // No row leaves a service behind.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn settings() -> Settings {
    Settings {
        signing_secret: SecretString::from(world::SIGNING_SECRET),
        bot_token: SecretString::from(world::BOT_TOKEN),
        workspace: world::workspace(),
        hook: HookAccess {
            name: "shop".to_owned(),
            credential: HookCredential::Bearer(SecretString::from(world::SHOP_TOKEN)),
        },
        operator_key: None,
        policy_text: String::new(),
        policy_file: "policy.toml".to_owned(),
        page: false,
    }
}
