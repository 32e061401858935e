//! The whole service on loopback with the stand-in in Slack's place, as `countersign demo` runs it: real HTTP in
//! every direction, a real SQLite file, the policy that the test gives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::{self, Running, Worker};
use countersign::clock::{SharedClock, SystemClock};
use countersign::config::Config;
use countersign::domain::hashing::sha256_hex;
use countersign::http::serve::serve;
use countersign::playground::{HookAccess, HookCredential, Playground, Settings, Workspace};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the generic hook `billing` shows.
pub const HOOK_TOKEN: &str = "billing-token-of-this-test";
/// What the AuthZEN hook shows.
pub const PEP_TOKEN: &str = "authzen-token-of-this-test";
/// What an operator shows.
pub const OPERATOR_KEY: &str = "csk_operator-of-this-test";
/// What somebody shows who may only look.
pub const VIEWER_KEY: &str = "csk_viewer-of-this-test";

/// What this service shows at the OpenID provider.
pub const STEP_UP_SECRET: &str = "step-up-secret-of-this-test";

const SIGNING_SECRET: &str = "signing-secret-of-this-test";
const BOT_TOKEN: &str = "standin-token-of-this-test";

/// A service and its stand-in. Stop it; what is dropped without that goes on until the test's process ends.
pub struct Deployment {
    /// Where the service answers.
    pub service: String,
    /// Where the stand-in answers.
    pub playground: String,
    running: Running,
    stop_playground: watch::Sender<bool>,
    _folder: TempDir,
}

impl Deployment {
    /// Starts with this policy. The AuthZEN hook holds its calls for `hold`, such as `5s`.
    pub async fn start(policy: &str, hold: &str) -> Self {
        Self::start_with(policy, hold, "").await
    }

    /// The same, with more in the deployment's file.
    pub async fn start_with(policy: &str, hold: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (page, doors) = (loopback().await, loopback().await);
        let (page_at, doors_at) = (page.local_addr().unwrap(), doors.local_addr().unwrap());
        let file = folder.path().join("countersign.toml");
        let database = folder.path().join("countersign.db");
        let config = config(page_at, doors_at, &database.display().to_string(), hold) + more;
        std::fs::write(&file, config).unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();

        let clock: SharedClock = Arc::new(SystemClock);
        let playground = Playground::new(settings(policy), Arc::clone(&clock)).unwrap();
        let (stop_playground, stopped) = watch::channel(false);
        tokio::spawn(serve(page, playground.router(), stopped, Duration::ZERO));
        playground.connect(format!("http://{doors_at}"));

        let loaded = Config::load(&file, &secret).unwrap_or_else(|errors| panic!("{errors}"));
        let running = Box::pin(app::start(loaded, clock, doors, Worker::Runs)).await.unwrap();
        let (service, playground) = (format!("http://{doors_at}"), format!("http://{page_at}"));
        Self { service, playground, running, stop_playground, _folder: folder }
    }

    /// Ends both.
    pub async fn stop(self) {
        self.running.stop(Duration::ZERO).await;
        self.stop_playground.send_replace(true);
    }
}

async fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn secret(name: &str) -> Option<String> {
    let secret = match name {
        "SIGNING_SECRET" => SIGNING_SECRET,
        "BOT_TOKEN" => BOT_TOKEN,
        "HOOK_TOKEN" => HOOK_TOKEN,
        "PEP_TOKEN" => PEP_TOKEN,
        "STEP_UP_SECRET" => STEP_UP_SECRET,
        _ => return None,
    };
    Some(secret.to_owned())
}

fn settings(policy: &str) -> Settings {
    Settings {
        signing_secret: SIGNING_SECRET.into(),
        bot_token: BOT_TOKEN.into(),
        workspace: Workspace::demo(),
        hook: HookAccess { name: "billing".to_owned(), credential: HookCredential::Bearer(HOOK_TOKEN.into()) },
        operator_key: Some(OPERATOR_KEY.into()),
        policy_text: policy.to_owned(),
        policy_file: "policy.toml".to_owned(),
        page: false,
    }
}

fn config(page: SocketAddr, doors: SocketAddr, database: &str, hold: &str) -> String {
    let (operator, viewer) = (sha256_hex(OPERATOR_KEY.as_bytes()), sha256_hex(VIEWER_KEY.as_bytes()));
    format!(
        r#"
[server]
listen = "{doors}"
public_url = "http://{doors}"
[database]
url = "sqlite://{database}"
[policy]
file = "policy.toml"
[slack]
api_url = "http://{page}/api"
team_id = "T0ACME"
app_id = "A0COUNTERSIGN"
channel = "C0APPROVALS"
allow_shared_channels = true
burst = 1000
bot_token = {{ env = "BOT_TOKEN" }}
signing_secrets = [{{ env = "SIGNING_SECRET" }}]
[[hook]]
name = "billing"
dialect = "generic"
bearer = {{ env = "HOOK_TOKEN" }}
[[hook]]
name = "authzen"
dialect = "authzen"
bearer = {{ env = "PEP_TOKEN" }}
hold = "{hold}"
[identity.users]
"U0ALICE" = "alice@example.com"
"U0BOB" = "bob@example.com"
"U0CAROL" = "carol@example.com"
[api]
keys = [
  {{ name = "operator", role = "operator", sha256 = "{operator}" }},
  {{ name = "viewer", role = "viewer", sha256 = "{viewer}" }},
]
"#
    )
}
