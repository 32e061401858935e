//! What happens: load, decide, commit, answer. The only place where the edges meet.
//!
//! Every unit of work has one shape: read the clock once, load, let the domain decide, commit with a
//! compare-and-swap, and only then wake, post or answer. Who lost the race looks again, a bounded number of times.

mod access_form;
mod ahead;
mod ask;
mod cards;
mod click;
mod collect;
mod commands;
mod controls;
mod cooling;
mod deliver;
mod deliveries;
mod departed;
mod digest;
mod glass;
mod hand_over;
mod home;
mod in_part;
mod inbound;
mod listen;
mod lost;
mod meant;
mod notify;
mod observe;
mod opening;
mod operate;
mod pace;
mod perform;
mod perform_review;
mod receipts;
mod refusing;
mod reload;
mod remind;
mod repeats;
mod requester;
mod reviews;
mod settings;
mod step_up;
mod time;
mod told;
mod waiters;
mod workspaces;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::DateTime;
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::clock::SharedClock;
use crate::domain::Timestamp;
use crate::domain::ids::{GrantId, HookName, RequestId};
use crate::domain::policy::Policy;
use crate::hooks::Dialect;
use crate::openid::Provider;
use crate::store::Store;

pub use crate::openid::NotProven;
pub use ask::Call;
pub use click::FormAnswer;
pub use commands::CommandAnswer;
pub use cooling::Lift;
pub use deliver::Due;
pub use operate::{GrantView, RequestView, Revocation};
pub use reviews::ReviewView;
pub use settings::{Hook, Settings};
pub use step_up::{Confirmation, NoStepUp, Returned};
pub use waiters::HELD_MAX;
pub use workspaces::{Through, Workspace, Workspaces};

/// What callers of the service see of the store: how a call is named, and what went wrong.
pub use crate::store::{HookCall, StoreError};

/// How often a unit of work looks again after somebody else was first.
const CONFLICTS_MAX: usize = 8;

/// So long nothing is written before deliveries have their turn.
const QUIET: Duration = Duration::from_millis(5);
/// And so long they wait for that at most.
const QUIET_MAX: Duration = Duration::from_millis(250);

/// What went wrong. Callers refuse; nobody is granted anything by an error.
#[derive(Debug, Error)]
pub enum Error {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others were first too often.
    #[error("too many others change the same thing at once")]
    Busy,
    /// Slack had to be asked before anything may be issued, and does not answer.
    #[error("Slack does not say whether those who approved still may")]
    SlackSilent,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    settings: Settings,
    store: Store,
    openid: Option<Provider>,
    policy: RwLock<Arc<Policy>>,
    policy_refused: AtomicBool,
    repeats: repeats::Repeats,
    breaking: tokio::sync::Mutex<()>,
    clock: SharedClock,
    latest: AtomicI64,
    waiters: waiters::Waiters,
    receipts: receipts::Receipts,
    work: Notify,
    draining: watch::Sender<bool>,
    refusals: click::Refusals,
    slack_fails: AtomicBool,
    places: workspaces::Places,
    events: inbound::Events,
    probed: tokio::sync::Mutex<Option<(Instant, Result<(), StoreError>)>>,
}

impl Error {
    /// What a caller may be told: no paths, no statements.
    pub fn shown(&self) -> &'static str {
        match self {
            Self::SlackSilent => {
                "Slack does not say whether those who approved still may; nothing is granted meanwhile."
            }
            Self::Busy => "Too much happens to this at once; try again.",
            Self::Store(StoreError::CannotWrite(_) | StoreError::Disk(_)) => {
                "The store cannot be written; nothing is granted meanwhile."
            }
            Self::Store(StoreError::Corrupt(_) | StoreError::Inconsistent { .. }) => {
                "The store is damaged; nothing is granted meanwhile."
            }
            Self::Store(
                StoreError::Database(_) | StoreError::Unusable(_) | StoreError::Stopped | StoreError::OtherBody,
            ) => "The store does not answer; nothing is granted meanwhile.",
        }
    }
}

impl Service {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the receipts' key file cannot be read or made.
    pub fn new(
        settings: Settings,
        policy: Policy,
        store: Store,
        workspaces: Workspaces,
        openid: Option<Provider>,
        clock: SharedClock,
        receipts_key: &Path,
    ) -> anyhow::Result<Self> {
        let latest = AtomicI64::new(store.latest().timestamp_millis());
        let places = workspaces::Places::new(workspaces);
        Ok(Self(Arc::new(Inner {
            settings,
            store,
            openid,
            policy: RwLock::new(Arc::new(policy)),
            policy_refused: AtomicBool::new(false),
            repeats: repeats::Repeats::default(),
            breaking: tokio::sync::Mutex::default(),
            clock,
            latest,
            waiters: waiters::Waiters::default(),
            receipts: receipts::Receipts::open(receipts_key)?,
            work: Notify::new(),
            draining: watch::Sender::new(false),
            refusals: click::Refusals::default(),
            slack_fails: AtomicBool::new(false),
            places,
            events: inbound::Events::default(),
            probed: tokio::sync::Mutex::new(None),
        })))
    }

    /// The hook of this name.
    pub fn hook(&self, name: &str) -> Option<Arc<Hook>> {
        let name = HookName::parse(name).ok()?;
        self.0.settings.hooks.get(&name).cloned()
    }

    /// The hook that speaks AuthZEN, if one is configured.
    pub fn authzen_hook(&self) -> Option<Arc<Hook>> {
        self.0.settings.hooks.values().find(|hook| hook.dialect == Dialect::Authzen).cloned()
    }

    /// How clients reach this service.
    pub fn public_url(&self) -> &str {
        &self.0.settings.public_url
    }

    /// The public keys of receipts.
    pub fn jwks(&self) -> serde_json::Value {
        self.0.receipts.jwks()
    }

    /// The current instant. It never goes back: a clock that is set back does not revive what has ended.
    pub fn now(&self) -> Timestamp {
        let now = self.0.clock.now();
        let latest = self.0.latest.fetch_max(now.timestamp_millis(), Ordering::Relaxed);
        DateTime::from_timestamp_millis(latest).filter(|latest| *latest > now).unwrap_or(now)
    }

    /// The machine's time, which signatures are checked against.
    pub fn wall_clock(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.0.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store's health.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Comes back once nothing was written for a moment, or after a quarter of a second: people and calls wait for
    /// their writes, what is told outside afterwards does not.
    pub async fn others_first(&self) {
        let begin = tokio::time::Instant::now();
        loop {
            let written = self.0.store.written();
            tokio::time::sleep(QUIET).await;
            if self.0.store.written() == written || begin.elapsed() >= QUIET_MAX {
                return;
            }
        }
    }

    /// From now on held calls are answered and none is held any more.
    pub fn drain(&self) {
        self.0.draining.send_replace(true);
    }

    /// Whether it is draining.
    pub fn is_draining(&self) -> bool {
        *self.0.draining.borrow()
    }

    /// How many calls are held.
    pub fn held(&self) -> usize {
        self.0.waiters.held()
    }

    /// Comes back when there may be something to deliver or to end.
    pub async fn work_to_do(&self) {
        self.0.work.notified().await;
    }

    /// After a commit: lets held calls and the worker look.
    fn tell(&self, request: Option<&RequestId>) {
        if let Some(id) = request {
            self.0.waiters.wake(id);
        }
        self.0.work.notify_one();
    }

    /// Six digits that nobody can guess: for `/access`, whose asker we show the number that approvers must type.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn fresh_number() -> Result<String, Error> {
        let mut bytes = [0u8; 8];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Busy)?;
        Ok(format!("{:06}", u64::from_le_bytes(bytes) % 1_000_000))
    }
}

/// A fresh identifier. Version 7 UUIDs sort by time.
fn fresh(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::now_v7().simple())
}

fn fresh_request_id() -> Result<RequestId, Error> {
    RequestId::parse(fresh("req")).map_err(|_| Error::Busy)
}

fn fresh_grant_id() -> Result<GrantId, Error> {
    GrantId::parse(fresh("grn")).map_err(|_| Error::Busy)
}
