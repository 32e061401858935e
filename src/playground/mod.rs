//! The playground: a stand-in for Slack with one page, for `countersign demo` and for the tests.
//!
//! It speaks Slack's HTTP: the Web API comes in under `/api/{method}`, signed interactions go out to
//! the service. Nothing here decides about access: the service under test is the real one, reached
//! over real HTTP in both directions, also for the client's calls to the hook.
//!
//! What is where: [`installs`], [`workspace`], `messages` and [`views`] hold the state as plain data.
//! [`api`] is the Web API, `methods` and `directory` what its methods do, [`blocks`] refuses what Slack
//! would refuse, `pace` what comes too fast, `scopes` what the token may not; [`faults`] breaks calls on
//! request. [`interactions`], `forms`, `suggestions`, [`gestures`] and `administration` build what
//! people do, `delivery` takes it to the service, over HTTP or over `sockets`, and `events` sends again
//! what was not taken. [`client`] is the OAuth client of the page's left column, [`page`] has the page's
//! routes and the guard that keeps other hosts and other sites out.
//!
//! It is a stand-in and says so; it listens wherever the caller binds it (loopback), accepts only its
//! own token, and keeps nothing beyond bounded memory.

mod administration;
pub mod api;
mod arguments;
pub mod blocks;
pub mod client;
mod delivery;
mod demo;
mod directory;
mod elements;
mod entries;
mod events;
pub mod faults;
mod forms;
pub mod gestures;
mod hub;
pub mod installs;
pub mod interactions;
mod messages;
mod methods;
mod pace;
pub mod page;
mod records;
mod responses;
mod rich_text;
mod scopes;
mod sockets;
mod suggestions;
pub mod views;
pub mod workspace;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};
use reqwest::redirect::Policy;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::clock::{SharedClock, Timestamp};
pub use delivery::signature;
pub use installs::Installation;
use installs::Installations;
pub use workspace::Workspace;

/// The largest body that the stand-in reads, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Slack gives an app three seconds to answer an interaction.
const INTERACTION_TIMEOUT: Duration = Duration::from_secs(3);

/// Longer than any hold of a hook call.
const HOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// How the stand-in's client authenticates at the hook.
pub struct HookAccess {
    /// The name in `POST /hooks/{name}`.
    pub name: String,
    /// What it shows.
    pub credential: HookCredential,
}

/// A credential of the generic dialect.
pub enum HookCredential {
    /// `Authorization: Bearer …`
    Bearer(SecretString),
    /// A Standard Webhooks secret, `whsec_…`
    Webhook(SecretString),
}

/// Everything that the stand-in needs to know.
pub struct Settings {
    /// What interactions are signed with.
    pub signing_secret: SecretString,
    /// The only token that the Web API accepts.
    pub bot_token: SecretString,
    /// The people, groups and channels to begin with.
    pub workspace: Workspace,
    /// Where and how the client asks.
    pub hook: HookAccess,
    /// For the audit and the revocations on the page; without it these answer 404.
    pub operator_key: Option<SecretString>,
    /// The policy in force, as text.
    pub policy_text: String,
    /// Its file name.
    pub policy_file: String,
    /// Whether the page itself is served; its JSON routes always are.
    pub page: bool,
}

/// The stand-in. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Playground(Arc<Inner>);

struct Inner {
    hook: HookAccess,
    operator_key: Option<SecretString>,
    policy_text: String,
    policy_file: String,
    page: bool,
    clock: SharedClock,
    state: Mutex<Held>,
    version: watch::Sender<u64>,
    slack_http: reqwest::Client,
    hook_http: reqwest::Client,
    ask_restart: mpsc::Sender<()>,
    restarts: Mutex<Option<mpsc::Receiver<()>>>,
}

/// What changes while the stand-in runs.
struct Held {
    installs: Installations,
    hub: hub::Hub,
    faults: faults::Faults,
    /// Events that were not taken.
    retries: events::Queue,
    /// What somebody wants to go out later.
    held_back: Vec<delivery::Parcel>,
    responses: responses::Addresses,
    /// Where the stand-in was reached last, such as `http://127.0.0.1:7000`.
    own_url: String,
    log: api::Log,
    calls: VecDeque<client::Call>,
    calls_made: u64,
    plugged: bool,
    service_url: Option<String>,
    service_up: bool,
}

impl Playground {
    /// A stand-in that is not connected to a service yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be built, or a Standard Webhooks secret cannot be used.
    pub fn new(settings: Settings, clock: SharedClock) -> anyhow::Result<Self> {
        client::usable(&settings.hook.credential)?;
        let (ask_restart, restarts) = mpsc::channel(1);
        let first = Installation::new(settings.signing_secret, settings.bot_token, settings.workspace);
        let state = Held {
            installs: Installations::new(first),
            hub: hub::Hub::default(),
            faults: faults::Faults::default(),
            retries: events::Queue::new(),
            held_back: Vec::new(),
            responses: responses::Addresses::default(),
            own_url: String::new(),
            log: api::Log::default(),
            calls: VecDeque::new(),
            calls_made: 0,
            plugged: true,
            service_url: None,
            service_up: false,
        };
        Ok(Self(Arc::new(Inner {
            hook: settings.hook,
            operator_key: settings.operator_key,
            policy_text: settings.policy_text,
            policy_file: settings.policy_file,
            page: settings.page,
            clock,
            state: Mutex::new(state),
            version: watch::Sender::new(1),
            slack_http: http_client(INTERACTION_TIMEOUT)?,
            hook_http: http_client(HOOK_TIMEOUT)?,
            ask_restart,
            restarts: Mutex::new(Some(restarts)),
        })))
    }

    /// Every route of the stand-in: Web API, faults, page. Only loopback host names get in.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/api/{method}", any(api::call))
            .route("/faults", get(faults::list).post(faults::add).delete(faults::clear))
            .route("/log", get(api::log))
            .route("/page/click", post(interactions::click))
            .route("/page/submit", post(forms::submit))
            .route("/page/close", post(forms::close))
            .route("/page/suggest", post(suggestions::suggest))
            .route("/page/home", post(gestures::open_home))
            .route("/page/command", post(gestures::command))
            .route("/page/say", post(gestures::say))
            .route("/page/raw", post(gestures::raw))
            .route("/page/release", post(delivery::release))
            .route("/page/retries", post(events::retries))
            .route("/page/pace", post(pace::set))
            .route("/page/responses", get(responses::look))
            .route("/response/{team}/{secret}", post(responses::respond))
            .route("/link", any(sockets::link))
            .route("/page/socket", get(sockets::look).post(sockets::switch))
            .route("/page/socket/act", post(sockets::befall))
            .merge(administration::routes())
            .merge(page::routes())
            .merge(client::routes())
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(self.clone(), page::guard))
            .with_state(self.clone())
    }

    /// Where signed interactions and hook calls go from now on, such as `http://127.0.0.1:8080`.
    pub fn connect(&self, service_base_url: String) {
        let url = service_base_url.trim_end_matches('/').to_owned();
        self.change(|state| (state.service_url, state.service_up) = (Some(url), true));
    }

    /// Installs the app once more: in another workspace, or in a whole organization.
    pub fn install(&self, installation: Installation) {
        self.change(|state| state.installs.add(installation));
    }

    /// Gives the first installation an app-level token, so that its app can open sockets.
    pub fn socket_mode(&self, app_token: SecretString) {
        self.change(|state| state.installs.at_mut(0).app_token = Some(app_token));
    }

    /// Whether Slack can be reached.
    pub fn is_plugged(&self) -> bool {
        self.read(|state| state.plugged)
    }

    /// Whoever runs the service takes this once: a message means that somebody asked on the page for
    /// a restart of the service. A second taker gets a channel that is closed.
    pub fn restarts(&self) -> mpsc::Receiver<()> {
        let taken = self.0.restarts.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }

    fn somebody_restarts(&self) -> bool {
        self.0.restarts.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Tells the page whether the service runs.
    pub fn service_is(&self, up: bool) {
        self.change(|state| state.service_up = up);
    }

    /// Follows the version, which grows at each change and at each Web API call: what a test waits
    /// on instead of sleeping.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// Looks at the workspace as it stands now: for tests that compare it with what the service says.
    pub fn look<T>(&self, look: impl FnOnce(&Workspace) -> T) -> T {
        self.read(|state| look(&state.installs.at(0).workspace))
    }

    /// Whether a Web API call after the `after`th that arrived is being answered slowly, as a fault has it: the caller
    /// still waits, or has gone.
    pub fn answers_slowly(&self, after: u64) -> bool {
        self.read(|state| state.log.answers_slowly(after))
    }

    /// Changes the first workspace by hand, as before anybody came: without telling the app.
    pub fn arrange<T>(&self, change: impl FnOnce(&mut Workspace) -> T) -> T {
        self.change(|state| change(&mut state.installs.at_mut(0).workspace))
    }

    /// Remembers under which name it was reached: addresses that it hands out begin with it.
    fn answers_as(&self, host: &str) {
        if !self.read(|state| state.own_url.strip_prefix("http://") == Some(host)) {
            self.lock().own_url = format!("http://{host}");
        }
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state, then wakes whoever follows the version.
    fn change<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        let done = act(&mut self.lock());
        self.0.version.send_modify(|version| *version += 1);
        done
    }
}

fn http_client(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(timeout);
    builder.build().context("the stand-in's HTTP client")
}

/// Sixteen random hexadecimal digits.
fn random_hex() -> String {
    let mut hex = uuid::Uuid::new_v4().simple().to_string();
    hex.truncate(16);
    hex
}

/// Lays `over` upon `base`: objects are merged member by member, everything else is replaced.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}
