//! What every story needs: a running service, a stand-in for Slack, and verbs that read like a script.

pub mod asker;
pub mod asking;
pub mod boreas;
pub mod looking;
pub mod provider;
pub mod raw;
pub mod slack;
pub mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::{self, Running, Worker};
use countersign::clock::{Clock, ManualClock, SharedClock, SystemClock};
use countersign::config::Config;
use countersign::http::serve::serve;
use countersign::playground::{HookAccess, HookCredential, Playground, Settings};
use countersign::service::Service;
use reqwest::Client;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(15);

/// The real service with a stand-in for Slack beside it, each on a loopback port of its own.
pub struct TestApp {
    pub clock: ManualClock,
    pub playground: Playground,
    pub http: Client,
    slack_url: String,
    address: SocketAddr,
    folder: PathBuf,
    running: Option<Running>,
    worker: Worker,
    sockets: bool,
    _slack_stops: watch::Sender<bool>,
    _temporary: TempDir,
}

/// How a story's service differs from the usual one.
pub struct Stage {
    worker: Worker,
    policy: String,
    folder: Option<PathBuf>,
    changes: Vec<(String, String)>,
    sockets: bool,
    both: bool,
}

impl Stage {
    /// With another policy.
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = policy.into();
        self
    }

    /// With a passage of `countersign.toml` replaced, which must be there.
    pub fn change_config(mut self, passage: &str, other: &str) -> Self {
        self.changes.push((passage.to_owned(), other.to_owned()));
        self
    }

    /// Slack's calls come through sockets.
    pub fn sockets(mut self) -> Self {
        self.sockets = true;
        self
    }

    /// With a second workspace, Boreas, in the same service.
    pub fn two_workspaces(mut self) -> Self {
        self.both = true;
        self
    }

    /// With its files in another folder.
    pub fn folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Starts both.
    pub async fn start(self) -> TestApp {
        let mut app = self.set().await;
        app.run().await.expect("the service starts");
        app
    }

    /// Sets the stage; the service does not run yet.
    pub async fn set(self) -> TestApp {
        let clock = ManualClock::starting_at(SystemClock.now());
        let playground = Playground::new(settings(), Arc::new(clock.clone())).expect("a stand-in");
        let slack = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let slack_url = format!("http://{}", slack.local_addr().expect("an address"));
        let (slack_stops, stopped) = watch::channel(false);
        tokio::spawn(serve(slack, playground.router(), stopped, Duration::ZERO));
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = self.folder.unwrap_or_else(|| temporary.path().to_owned());
        // The port is kept for restarts: whoever is bound to it now gives it to the service.
        let address = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let database = folder.join("countersign.db").display().to_string();
        let mut config = world::config(&address.to_string(), &slack_url, &database);
        if self.sockets {
            config = config.replacen("[slack]\n", "[slack]\napp_token = { env = \"APP_TOKEN\" }\n", 1);
        }
        if self.both {
            config = boreas::config(&config, &slack_url, self.sockets);
            playground.install(boreas::installation(self.sockets));
        }
        for (passage, other) in &self.changes {
            assert!(config.contains(passage.as_str()), "the configuration has no {passage:?}");
            config = config.replacen(passage.as_str(), other, 1);
        }
        std::fs::write(folder.join("countersign.toml"), config).expect("a configuration");
        std::fs::write(folder.join("policy.toml"), self.policy).expect("a policy");
        playground.connect(format!("http://{address}"));
        if self.sockets {
            playground.socket_mode(SecretString::from(world::APP_TOKEN));
        }
        let http = Client::builder().no_proxy().build().expect("a client");
        TestApp {
            clock,
            playground,
            http,
            slack_url,
            address,
            folder,
            running: None,
            worker: self.worker,
            sockets: self.sockets,
            _slack_stops: slack_stops,
            _temporary: temporary,
        }
    }
}

impl TestApp {
    /// A service whose worker takes a step only when the story says so: time belongs to the story.
    pub async fn start() -> Self {
        Self::stage().start().await
    }

    /// A service as it runs in production.
    pub async fn working() -> Self {
        Stage { worker: Worker::Runs, ..Self::stage() }.start().await
    }

    /// The usual stage, to be changed before the start.
    pub fn stage() -> Stage {
        Stage {
            worker: Worker::Stepped,
            policy: world::POLICY.to_owned(),
            folder: None,
            changes: Vec::new(),
            sockets: over_sockets(),
            both: false,
        }
    }

    /// Starts the service on its files.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let environment = world::environment();
        let env = |name: &str| environment.get(name).map(|secret| (*secret).to_owned());
        let loaded =
            Config::load(&self.folder.join("countersign.toml"), &env).map_err(|errors| anyhow::anyhow!("{errors}"))?;
        let clock: SharedClock = Arc::new(self.clock.clone());
        self.running = Some(Box::pin(app::start(loaded, clock, listener, self.worker)).await?);
        // Where Slack is down there is none to wait for.
        if self.sockets && self.playground.is_plugged() {
            self.until_real(PATIENCE, async || !self.sockets().await.is_empty()).await;
        }
        Ok(())
    }

    /// Slack's plug is in again. What people do reaches the service at once over HTTP, over sockets once one is open.
    pub async fn plug_in(&self) {
        self.page("/page/plug", serde_json::json!({ "plugged": true })).await;
        if self.sockets {
            self.until_real(PATIENCE, async || !self.sockets().await.is_empty()).await;
        }
    }

    /// Stops it as SIGTERM does: held calls are answered.
    pub async fn stop(&mut self) {
        self.running.take().expect("it runs").stop(Duration::ZERO).await;
    }

    /// Stops and starts it on the same files and the same port.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await.expect("the service starts again");
    }

    /// The running service.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// The service behind the doors.
    pub fn service(&self) -> &Service {
        &self.running().service
    }

    /// Its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Lets the worker do whatever is due now, until nothing is.
    pub async fn settle(&self) {
        if self.worker == Worker::Runs {
            return;
        }
        loop {
            let ended = self.service().time_passed().await.expect("time passes");
            let delivered = self.service().deliver().await.expect("deliveries go out");
            if ended + delivered == 0 {
                return;
            }
        }
    }

    /// Time passes, and what it brings is done.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.settle().await;
    }

    /// Waits until `look` finds something. Looks again after each change in Slack, never just after a while.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let mut changes = self.playground.changes();
        let found = async {
            loop {
                changes.mark_unchanged();
                self.settle().await;
                if let Some(found) = look().await {
                    return found;
                }
                tokio::select! {
                    changed = changes.changed() => changed.expect("the stand-in lives"),
                    () = self.service().work_to_do(), if self.worker == Worker::Stepped => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }
}

impl TestApp {
    /// Waits for what takes real time and tells nobody: looks four times a second.
    pub async fn until_real(&self, most: Duration, mut look: impl AsyncFnMut() -> bool) {
        let looking = async {
            while !look().await {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        tokio::time::timeout(most, looking).await.expect("it happens in time");
    }
}

/// The switch: with `IT_TRANSPORT=sockets` the same suite runs over Socket Mode.
fn over_sockets() -> bool {
    std::env::var("IT_TRANSPORT").is_ok_and(|transport| transport == "sockets")
}

/// Minutes, for stories.
pub fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Seconds, for stories.
pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
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
