//! The Slack workspaces (or organizations) that this service speaks with, each with an app, a token, budgets and what
//! was learnt there. An access request belongs to one of them, and nobody of another decides about it.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use secrecy::SecretString;

use super::Service;
use super::pace::Pace;
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Asker};
use crate::domain::grant::Grant;
use crate::domain::identity::{Directory, Standing};
use crate::domain::ids::{HookName, SlackChannelId, SlackTeamId, WorkspaceName};
use crate::domain::review::Review;
use crate::slack::Slack;
use crate::slack::channels::Channels;
use crate::slack::click::{Foreign, Origin, origin_refusal};
use crate::slack::people::People;

/// A workspace as it is configured.
pub struct Workspace {
    /// What it is called in the configuration.
    pub name: WorkspaceName,
    /// The app.
    pub app_id: String,
    /// The workspace.
    pub team_id: SlackTeamId,
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
    /// How long before the end of a grant its requester is told, in seconds.
    pub warn_before_end: u64,
    /// Who its people are at the start.
    pub directory: Directory,
    /// Its Web API.
    pub slack: Slack,
}

/// The workspaces that a service is started with.
pub struct Workspaces {
    /// Whose people decide for a hook that names none.
    pub first: Workspace,
    /// The others.
    pub others: Vec<Workspace>,
    /// Whose the rows of the store are that name no workspace: they are from when there was only one.
    pub earlier: SlackTeamId,
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
    directory: RwLock<Arc<Directory>>,
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
            directory: RwLock::new(Arc::new(workspace.directory.clone())),
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

impl Place {
    /// Which it is.
    pub fn team(&self) -> &SlackTeamId {
        &self.workspace.team_id
    }

    /// Who its people are.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who its people are from now on.
    pub fn directory_is(&self, directory: Directory) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
    }

    /// Why an account is not a full, active member of it, if so.
    pub fn outsider(&self, standing: &Standing) -> Option<crate::domain::identity::Outsider> {
        standing.outsider(self.workspace.team_id.as_str())
    }

    /// Why something that was done in Slack cannot be for it, before anybody is asked about the person.
    fn refuses(&self, origin: &Origin) -> Option<Foreign> {
        let of = &self.workspace;
        origin_refusal(origin, &of.app_id, of.team_id.as_str(), of.enterprise_id.as_deref())
    }
}

/// At least one.
pub(super) struct Places {
    first: Arc<Place>,
    others: Vec<Arc<Place>>,
    earlier: SlackTeamId,
}

impl Places {
    pub fn new(workspaces: Workspaces) -> Self {
        let place = |workspace| Arc::new(Place::new(workspace));
        Self {
            first: place(workspaces.first),
            others: workspaces.others.into_iter().map(place).collect(),
            earlier: workspaces.earlier,
        }
    }
}

/// The workspaces that something can be about: those whose secret signed it, or whose app's socket it came down.
#[derive(Debug, Clone)]
pub struct Through(Vec<SlackTeamId>);

impl Through {
    /// Those whose secret signed it.
    pub fn signed_for(teams: Vec<SlackTeamId>) -> Self {
        Self(teams)
    }
}

/// Who did something in Slack, with the workspace that it reached us through.
#[derive(Clone)]
pub(super) struct Caller {
    /// The workspace: the one that it is about, else one whose secret signed it.
    pub place: Arc<Place>,
    /// Why it cannot be for that workspace, if so.
    pub foreign: Option<Foreign>,
    /// Who and from where, as the payload says.
    pub origin: Origin,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("place", self.place.team())
            .field("foreign", &self.foreign)
            .finish_non_exhaustive()
    }
}

/// A full member of a workspace, with an identity.
#[derive(Clone)]
pub(super) struct Member {
    /// The workspace: what this person does counts there and nowhere else.
    pub place: Arc<Place>,
    /// Who it is.
    pub asker: Asker,
}

impl Deref for Member {
    type Target = Asker;

    fn deref(&self) -> &Asker {
        &self.asker
    }
}

impl Service {
    /// All of them.
    pub(super) fn places(&self) -> impl Iterator<Item = &Arc<Place>> {
        std::iter::once(&self.0.places.first).chain(&self.0.places.others)
    }

    /// The workspace of that id, where it is configured. What names none is from when there was only one.
    pub(super) fn place_named(&self, team: Option<&SlackTeamId>) -> Option<&Arc<Place>> {
        let team = team.unwrap_or(&self.0.places.earlier);
        self.places().find(|place| place.team() == team)
    }

    /// The workspace that an access request belongs to: nobody of another one decides about it. None where it is not
    /// configured any more.
    pub(super) fn home(&self, request: &AccessRequest) -> Option<&Arc<Place>> {
        self.place_named(request.deciding.workspace.as_ref())
    }

    /// Which workspace an access request belongs to, configured or not.
    pub(super) fn team_of<'a>(&'a self, request: &'a AccessRequest) -> &'a SlackTeamId {
        request.deciding.workspace.as_ref().unwrap_or(&self.0.places.earlier)
    }

    /// Whether an access request belongs to a workspace.
    pub(super) fn is_at(&self, place: &Arc<Place>, request: &AccessRequest) -> bool {
        self.home(request).is_some_and(|home| Arc::ptr_eq(home, place))
    }

    /// The workspace that the review of a broken glass belongs to.
    pub(super) fn home_of_review(&self, review: &Review) -> Option<&Arc<Place>> {
        self.place_named(review.workspace.as_ref())
    }

    /// The workspace whose people decide for a hook.
    pub(super) fn home_of_hook(&self, hook: &HookName) -> Option<&Arc<Place>> {
        self.place_named(Some(&self.0.settings.hooks.get(hook)?.workspace))
    }

    /// The hooks whose people are those of this one.
    pub(super) fn hooks_beside(&self, hook: &HookName) -> Vec<HookName> {
        let hooks = &self.0.settings.hooks;
        let workspace = hooks.get(hook).map(|hook| &hook.workspace);
        hooks.values().filter(|other| Some(&other.workspace) == workspace).map(|other| other.name.clone()).collect()
    }

    /// Whether a grant belongs to a workspace: through its access request, else through its hook.
    pub(super) fn is_of_here(&self, place: &Arc<Place>, grant: &Grant, request: Option<&AccessRequest>) -> bool {
        let home = match request {
            Some(request) => self.home(request),
            None => self.home_of_hook(&grant.asked.hook),
        };
        home.is_some_and(|home| Arc::ptr_eq(home, place))
    }

    /// What comes down a socket of a workspace's app can be about each workspace that has the same app.
    pub(super) fn through_socket_of(&self, place: &Place) -> Through {
        let same_app = |other: &&Arc<Place>| other.workspace.app_id == place.workspace.app_id;
        Through(self.places().filter(same_app).map(|other| other.team().clone()).collect())
    }

    /// The workspaces that something can be about.
    pub(super) fn those(&self, through: &Through) -> impl Iterator<Item = &Arc<Place>> {
        self.places().filter(|place| through.0.contains(place.team()))
    }

    /// Who did something, and in which workspace. What a payload says of itself counts only where that workspace's
    /// secret signed it.
    pub(super) fn caller(&self, through: &Through, origin: &Origin) -> Caller {
        let is_named = |place: &&Arc<Place>| origin.team.as_deref() == Some(place.team().as_str());
        let fitting: Vec<&Arc<Place>> = self.those(through).filter(|place| place.refuses(origin).is_none()).collect();
        let fits = fitting.iter().copied().find(is_named).or(fitting.first().copied());
        if let Some(place) = fits {
            return Caller { place: Arc::clone(place), foreign: None, origin: origin.clone() };
        }
        // None fits: the one that fits best says why.
        let closest = self.those(through).max_by_key(|place| (place.refuses(origin), is_named(place)));
        let place = closest.unwrap_or(&self.0.places.first);
        let of_another = self.places().any(|place| place.refuses(origin).is_none());
        let foreign = if of_another { Some(Foreign::OtherSignature) } else { place.refuses(origin) };
        Caller { place: Arc::clone(place), foreign: foreign.or(Some(Foreign::OtherSignature)), origin: origin.clone() }
    }
}
