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
mod departed;
mod glass;
mod hand_over;
mod home;
mod in_part;
mod inbound;
mod listen;
mod meant;
mod notify;
mod observe;
mod opening;
mod operate;
mod pace;
mod perform;
mod perform_review;
mod receipts;
mod reload;
mod remind;
mod repeats;
mod requester;
mod reviews;
mod step_up;
mod time;
mod told;
mod waiters;
mod workspaces;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::DateTime;
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::clock::SharedClock;
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Effect};
use crate::domain::audit::{AuditEntry, Kind};
use crate::domain::identity::Directory;
use crate::domain::ids::{GrantId, HookName, RequestId, SlackChannelId};
use crate::domain::policy::{Mode, Policy};
use crate::hooks::{Dialect, HookAuth};
use crate::openid::Provider;
use crate::slack::Slack;
use crate::slack::people::People;
use crate::store::{Delivery, Store};

pub use crate::openid::NotProven;
pub use ask::Call;
pub use click::FormAnswer;
pub use commands::CommandAnswer;
pub use cooling::Lift;
pub use deliver::Due;
pub use operate::{GrantView, RequestView, Revocation};
pub use reviews::ReviewView;
pub use step_up::{Confirmation, NoStepUp, Returned};
pub use waiters::HELD_MAX;
pub use workspaces::Workspace;

/// What callers of the service see of the store: how a call is named, and what went wrong.
pub use crate::store::{HookCall, StoreError};

/// How often a unit of work looks again after somebody else was first.
const CONFLICTS_MAX: usize = 8;

/// So long nothing is written before deliveries have their turn.
const QUIET: Duration = Duration::from_millis(5);
/// And so long they wait for that at most.
const QUIET_MAX: Duration = Duration::from_millis(250);

/// A hook as it is configured.
pub struct Hook {
    /// Its name.
    pub name: HookName,
    /// How its server speaks.
    pub dialect: Dialect,
    /// How its server proves who it is.
    pub auth: HookAuth,
    /// How long a call may be held.
    pub hold: Duration,
    /// Whether the policy is enforced for its calls, or only recorded.
    pub mode: Mode,
}

/// What the service is made of.
pub struct Settings {
    /// The hooks, by name.
    pub hooks: BTreeMap<HookName, Arc<Hook>>,
    /// Who Slack users are.
    pub directory: Directory,
    /// The workspace.
    pub team_id: String,
    /// The app.
    pub app_id: String,
    /// Where cards go unless a rule says otherwise.
    pub channel: SlackChannelId,
    /// How long before the end of a grant its requester is told, in seconds.
    pub warn_before_end: u64,
    /// How clients reach this service, without a slash at the end.
    pub public_url: String,
}

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
    slack: Slack,
    openid: Option<Provider>,
    people: People,
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
        workspace: Workspace,
        openid: Option<Provider>,
        clock: SharedClock,
        receipts_key: &Path,
    ) -> anyhow::Result<Self> {
        let latest = AtomicI64::new(store.latest().timestamp_millis());
        let first = workspaces::Place::new(workspace);
        let (slack, people) = (first.workspace.slack.clone(), first.people.clone());
        let places = workspaces::Places { first, others: Vec::new() };
        Ok(Self(Arc::new(Inner {
            settings,
            store,
            slack,
            openid,
            people,
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

    /// The channels of an access request's cards.
    fn channels(&self, request: &AccessRequest) -> Vec<String> {
        if request.question.channels.is_empty() {
            vec![self.0.settings.channel.to_string()]
        } else {
            request.question.channels.iter().map(ToString::to_string).collect()
        }
    }

    /// What is to be told about a step of an access request or its grant: its effects, and in the thread what happened.
    fn deliveries(
        &self,
        request: &AccessRequest,
        effects: &[Effect],
        audit: Option<&AuditEntry>,
    ) -> Vec<(RequestId, Delivery)> {
        let channels = self.channels(request);
        let mut all = Vec::new();
        let each = |one: &dyn Fn(String) -> Delivery| channels.iter().cloned().map(one).collect::<Vec<_>>();
        for effect in effects {
            match effect {
                Effect::PostCards => all.extend(Self::first_cards(request, &channels)),
                Effect::RefreshCards => all.extend(each(&|channel| Delivery::RefreshCards { channel })),
                Effect::Remind { number } => {
                    all.extend(each(&|channel| Delivery::Remind { channel, number: *number }));
                }
                Effect::TellRequester if !self.may_have_requester(request) => {}
                Effect::TellRequester => all.push(Delivery::TellRequester),
                Effect::NoteInThread { text } => {
                    all.extend(each(&|channel| Delivery::NoteInThread { channel, text: text.clone() }));
                }
                Effect::PassOn { from, text } => {
                    all.push(Delivery::PassOn { from: from.clone(), text: text.clone() });
                }
                Effect::TellApprover { to, from } => {
                    all.push(Delivery::TellApprover { to: to.clone(), from: from.clone() });
                }
            }
        }
        if let Some(audit) = audit.filter(|audit| is_told_in_the_thread(audit.kind)) {
            let (what, by, at) = (audit.kind, &audit.actor, audit.at);
            all.extend(each(&|channel| Delivery::TellThread { channel, what, by: by.clone(), at }));
        }
        if audit.is_some() {
            all.push(Delivery::RefreshHomes);
        }
        all.into_iter().map(|delivery| (request.id.clone(), delivery)).collect()
    }
}

/// Whether the thread of a card says that this happened.
fn is_told_in_the_thread(kind: Kind) -> bool {
    match kind {
        Kind::RequestOpened
        | Kind::VoteRecorded
        | Kind::VoteWithdrawn
        | Kind::RequestNarrowed
        | Kind::NumberWrong
        | Kind::RequestClaimed
        | Kind::RequestHandedOver
        | Kind::RequestApproved
        | Kind::RequestDenied
        | Kind::RequestExpired
        | Kind::RequestCancelled
        | Kind::VoteStruck
        | Kind::GrantRevoked
        | Kind::GrantEnded => true,
        // What differs in a retry and what somebody says are noted in their own words; the others are nobody's business.
        Kind::RequestJoined
        | Kind::RequestCommented
        | Kind::RequestReminded
        | Kind::GlassBroken
        | Kind::ReviewOverdue
        | Kind::ReviewAnswered
        | Kind::CooldownLifted
        | Kind::Observed
        | Kind::PolicyReloaded
        | Kind::PolicyRefused
        | Kind::TokenRefused
        | Kind::TokenIssued
        | Kind::GrantAllowed
        | Kind::GrantCollected
        | Kind::GrantStarted
        | Kind::GrantEnding
        | Kind::ClickRefused
        | Kind::DeliveryFailed => false,
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
