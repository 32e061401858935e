//! Where the app is installed: one workspace, several, or a whole organization; each with its own
//! tokens, scopes and subscriptions.
//!
//! It owns who may call with which token, and which installation a person's doing belongs to. It never
//! looks into messages.

use std::collections::BTreeSet;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};

use super::pace::Pace;
use super::workspace::{Refused, Workspace};
use super::{events, scopes};

/// One installation of the app.
#[derive(Debug)]
pub struct Installation {
    /// The people, channels and messages.
    pub workspace: Workspace,
    /// What interactions of this app are signed with.
    pub signing_secret: SecretString,
    /// The token that calls are made with.
    pub bot_token: SecretString,
    /// `xapp-…`, for Socket Mode. Without it the app has none.
    pub app_token: Option<SecretString>,
    /// What the bot token may do. All that the stand-in knows, unless somebody takes some away.
    pub scopes: BTreeSet<String>,
    /// The events that the app is told of.
    pub events: BTreeSet<String>,
    /// Set once the app was removed or its tokens were revoked.
    pub ended: Option<Ended>,
    pub(super) pace: Pace,
    pub(super) used: BTreeSet<&'static str>,
}

/// How an installation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The tokens were revoked.
    Revoked,
    /// The app was removed: its bot user is gone.
    Uninstalled,
}

/// The place of an installation among all.
pub type Seat = usize;

/// Where somebody does something: what of it is known decides which installation hears of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Who.
    pub person: &'a str,
    /// The team or organization whose installation is meant, if it was said.
    pub team: Option<&'a str>,
    /// In which channel.
    pub channel: Option<&'a str>,
    /// In which form or Home tab.
    pub view: Option<&'a str>,
}

impl Installation {
    /// An installation with every scope, told of every event that the stand-in sends.
    pub fn new(signing_secret: SecretString, bot_token: SecretString, workspace: Workspace) -> Self {
        Self {
            workspace,
            signing_secret,
            bot_token,
            app_token: None,
            scopes: scopes::ALL.iter().map(|scope| (*scope).to_owned()).collect(),
            events: events::ALL.iter().map(|event| (*event).to_owned()).collect(),
            ended: None,
            pace: Pace::default(),
            used: BTreeSet::new(),
        }
    }

    /// The same installation with Socket Mode.
    pub fn with_app_token(self, app_token: SecretString) -> Self {
        Self { app_token: Some(app_token), ..self }
    }

    /// What calls with its token are told once it has ended.
    pub fn alive(&self) -> Result<(), Refused> {
        match self.ended {
            None => Ok(()),
            Some(Ended::Revoked) => Err("token_revoked".into()),
            Some(Ended::Uninstalled) => Err("account_inactive".into()),
        }
    }

    /// The team's id, or the organization's where the whole of it installed the app.
    pub fn id(&self) -> &str {
        self.workspace.installed_in()
    }
}

/// All installations. There is always a first one.
#[derive(Debug)]
pub struct Installations {
    first: Installation,
    others: Vec<Installation>,
}

impl Installations {
    /// With one installation to begin with.
    pub fn new(first: Installation) -> Self {
        Self { first, others: Vec::new() }
    }

    /// One more.
    pub fn add(&mut self, installation: Installation) {
        self.others.push(installation);
    }

    /// All of them, in order.
    pub fn all(&self) -> impl Iterator<Item = &Installation> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// All of them, to be changed.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Installation> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// The installation on a seat that came from here.
    pub fn at(&self, seat: Seat) -> &Installation {
        self.all().nth(seat).unwrap_or(&self.first)
    }

    /// The same, to be changed.
    pub fn at_mut(&mut self, seat: Seat) -> &mut Installation {
        match seat.checked_sub(1) {
            Some(other) if other < self.others.len() => &mut self.others[other],
            _ => &mut self.first,
        }
    }

    /// Whose bot token that is.
    pub fn of_token(&self, shown: &str) -> Option<Seat> {
        self.all().position(|held| same(shown, &held.bot_token))
    }

    /// Whose app-level token that is.
    pub fn of_app_token(&self, shown: &str) -> Option<Seat> {
        self.all().position(|held| held.app_token.as_ref().is_some_and(|token| same(shown, token)))
    }

    /// Which installation hears of something. A team that was named wins; then the channel or the view
    /// that it happens in; then where the person belongs; then where the person is known.
    pub fn of(&self, place: Place<'_>) -> Seat {
        let find = |fits: &dyn Fn(&Workspace) -> bool| self.all().position(|held| fits(&held.workspace));
        let named = place.team.and_then(|team| find(&|held| held.installed_in() == team || held.owns_team(team)));
        let channel = || place.channel.and_then(|id| find(&|held| held.channels.contains_key(id)));
        let view = || place.view.and_then(|id| find(&|held| held.view_of(place.person, id).is_some()));
        let own = || find(&|held| held.people.get(place.person).is_some_and(|one| held.owns_team(&one.team_id)));
        let known = || find(&|held| held.people.contains_key(place.person));
        named.or_else(view).or_else(channel).or_else(own).or_else(known).unwrap_or(0)
    }
}

fn same(shown: &str, held: &SecretString) -> bool {
    verify_slices_are_equal(shown.as_bytes(), held.expose_secret().as_bytes()).is_ok()
}
