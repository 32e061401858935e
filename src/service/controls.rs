//! The buttons of direct messages and of App Home. Their values are random and stored hashed with whom they are for;
//! everything else is read from the store, and whoever presses one is looked at now.

use std::sync::Arc;

use super::click::Why;
use super::deliver::random_text;
use super::workspaces::{Caller, Member, Place};
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::Asker;
use crate::domain::identity::EmailMapping;
use crate::domain::ids::{GrantId, RequestId, SlackTeamId, SlackUserId};
use crate::slack::click::{Foreign, Press};
use crate::store::{Control, Place as Whereabouts};

/// Makes the values of one message or view before it is sent.
pub(super) struct Minting {
    workspace: SlackTeamId,
    user: SlackUserId,
    place: Whereabouts,
    pub made: Vec<Control>,
}

impl Minting {
    pub fn new(workspace: &SlackTeamId, user: &SlackUserId, place: Whereabouts) -> Self {
        Self { workspace: workspace.clone(), user: user.clone(), place, made: Vec::new() }
    }

    /// The value of a button.
    pub fn value(&mut self, action: &'static str, request: Option<&RequestId>, grant: Option<&GrantId>) -> String {
        let value = random_text();
        self.made.push(Control {
            value: value.clone(),
            workspace: self.workspace.clone(),
            user: self.user.clone(),
            place: self.place,
            action: action.to_owned(),
            request: request.cloned(),
            grant: grant.cloned(),
        });
        value
    }
}

impl Service {
    /// Who did something in Slack, asked of Slack now: a full member of our workspace with an identity.
    pub(super) async fn asker(&self, from: &Caller) -> Result<Member, Why> {
        if let Some(foreign) = from.foreign {
            return Err(Why::Foreign(foreign));
        }
        let Some(user) = &from.origin.user else { return Err(Why::Foreign(Foreign::Nobody)) };
        self.member(&from.place, &user.id, self.now()).await
    }

    /// The identity of an account of a workspace, if it is a full member's.
    pub(super) async fn member(&self, place: &Arc<Place>, user: &SlackUserId, now: Timestamp) -> Result<Member, Why> {
        let directory = place.directory();
        let maps = directory.email == EmailMapping::Verified;
        let (standing, _) = place.people.standing(user, maps, now).await.map_err(|_| Why::SlackDown)?;
        if let Some(outsider) = place.outsider(&standing) {
            self.learnt_of(place, user, &standing);
            return Err(Why::Outsider(outsider));
        }
        let principal = directory.principal(user, &standing).ok_or(Why::Unmapped)?;
        Ok(Member { place: Arc::clone(place), asker: Asker { slack: user.clone(), principal } })
    }

    /// A button of a direct message or of Home, with whoever pressed it. In Home it counts on that view only.
    pub(super) async fn control(&self, from: &Caller, press: &Press) -> Result<Result<(Member, Control), Why>, Error> {
        if press.actions != 1 {
            return Ok(Err(Why::Malformed("not exactly one action")));
        }
        let who = match self.asker(from).await {
            Ok(who) => who,
            Err(why) => return Ok(Err(why)),
        };
        let Some(control) = self.0.store.control(&press.value).await? else { return Ok(Err(Why::UnknownButton)) };
        if !control.is_of(who.place.team(), &who.slack) || control.action != press.action {
            return Ok(Err(Why::UnknownButton));
        }
        let right_place = match (control.place, &press.view) {
            (Whereabouts::Direct, None) => true,
            (Whereabouts::Home, Some(view)) => {
                self.0.store.home(who.place.team(), &who.slack).await?.is_some_and(|home| home.view_id == view.id)
            }
            (Whereabouts::Direct, Some(_)) | (Whereabouts::Home, None) => false,
        };
        Ok(if right_place { Ok((who, control)) } else { Err(Why::OtherMessage) })
    }

    /// The words for somebody who cannot ask, or whose button counts for nothing.
    pub(super) fn asking_words(why: &Why) -> String {
        use crate::domain::identity::Outsider;
        let says = match why {
            Why::Foreign(_) | Why::Outsider(Outsider::OtherWorkspace) => {
                "Only members of this workspace can ask for access here."
            }
            Why::Outsider(Outsider::Deactivated | Outsider::Bot | Outsider::Guest) => {
                "Guests, bots and deactivated accounts cannot ask for access."
            }
            Why::Unmapped => {
                "Your Slack account is not mapped to anybody in the directory, so nobody knows for whom you ask. Ask an operator."
            }
            Why::UnknownButton | Why::OtherMessage => {
                "This button is out of date. Look at the newest message, or open Home anew."
            }
            Why::SlackDown => "Slack could not be asked just now who you are. Try again in a moment.",
            _ => "That could not be understood.",
        };
        format!("{says} Nothing was changed.")
    }
}
