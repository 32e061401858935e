//! The Slack workspaces (or organizations) that this service speaks with, each with an app, a token, budgets and what
//! was learnt there. An access request belongs to one of them, and nobody of another decides about it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::Service;
use super::pace::Pace;
use crate::domain::Timestamp;
use crate::domain::access_request::AccessRequest;
use crate::domain::ids::SlackChannelId;
use crate::slack::Slack;
use crate::slack::channels::Channels;
use crate::slack::click::{Foreign, Origin, origin_refusal};
use crate::slack::people::People;

/// A workspace as it is configured.
pub struct Workspace {
    /// The app.
    pub app_id: String,
    /// The workspace.
    pub team_id: String,
    /// The organization, where the app is installed in all of it.
    pub enterprise_id: Option<String>,
    /// Where cards go unless a rule says otherwise.
    pub channel: SlackChannelId,
    /// Where cards go that their channel does not take.
    pub fallback_channel: SlackChannelId,
    /// Whether cards may be posted where people of other companies read them.
    pub allow_shared_channels: bool,
    /// How many messages may go to one channel at once, before one a second.
    pub burst: u32,
    /// The app-level token, where Slack's calls come through sockets.
    pub app_token: Option<SecretString>,
    /// How many sockets are open at once.
    pub connections: u32,
    /// Its Web API.
    pub slack: Slack,
}

impl Workspace {
    /// How many sockets are wanted.
    pub(super) fn connections(&self) -> u32 {
        if self.app_token.is_some() { self.connections } else { 0 }
    }
}

/// A workspace with what is known of it while the service runs.
pub(super) struct Place {
    pub workspace: Workspace,
    pub people: People,
    pub channels: Channels,
    pub pace: Pace,
    /// How many sockets are open.
    pub sockets: AtomicUsize,
    paused: Mutex<Option<Paused>>,
}

/// The app or its token does not work: nothing is sent until `until`, and then it is tried again.
struct Paused {
    until: Timestamp,
    why: String,
}

impl Place {
    pub fn new(workspace: Workspace) -> Self {
        let (people, pace) = (People::new(workspace.slack.clone()), Pace::new(workspace.burst));
        Self {
            workspace,
            people,
            pace,
            channels: Channels::default(),
            sockets: AtomicUsize::new(0),
            paused: Mutex::default(),
        }
    }

    /// Until when nothing is sent here.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().as_ref().map(|paused| paused.until).filter(|until| *until > now)
    }

    /// Why nothing can be sent here, if so.
    pub fn why_paused(&self) -> Option<String> {
        self.lock().as_ref().map(|paused| paused.why.clone())
    }

    /// Nothing is sent until then. Answers whether that is news.
    pub fn pause(&self, until: Timestamp, why: &str) -> bool {
        self.lock().replace(Paused { until, why: why.to_owned() }).is_none()
    }

    /// Something was sent: it works again.
    pub fn works(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Paused>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// The workspace that an access request belongs to.
    pub(super) fn home(&self, _: &AccessRequest) -> &Place {
        &self.0.places.first
    }

    /// Why what somebody did in Slack cannot be for us, before anybody is asked about the person.
    pub(super) fn is_foreign(&self, origin: &Origin) -> Option<Foreign> {
        let of = &self.0.places.first.workspace;
        origin_refusal(origin, &of.app_id, &of.team_id, of.enterprise_id.as_deref())
    }

    /// All of them.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.0.places.first).chain(&self.0.places.others)
    }
}

/// At least one.
pub(super) struct Places {
    pub first: Place,
    pub others: Vec<Place>,
}
