//! What the requester is told by direct message, and what they can do from there.

use super::Service;
use super::controls::Minting;
use super::workspaces::Place;
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::grant::{Grant, Status as GrantStatus};
use crate::domain::ids::SlackUserId;
use crate::domain::policy::Ceremony;
use crate::slack::Message;
use crate::slack::requester::{self, Controls, Told};
use crate::store::{Control, Place as Whereabouts};

/// A direct message to the requester.
pub(super) struct Telling {
    /// What stage it shows.
    pub stage: &'static str,
    /// Whether it notifies.
    pub how: Told,
    /// The message.
    pub message: Message,
    /// The same, once another one took its place.
    pub without_controls: Message,
    /// Its buttons, to be kept before it is sent.
    pub controls: Vec<Control>,
}

impl Service {
    /// Draws the message from the store's truth at `now`.
    pub(super) fn told(
        &self,
        request: &AccessRequest,
        grant: Option<&Grant>,
        (place, user): (&Place, &SlackUserId),
        now: Timestamp,
    ) -> Telling {
        let mut minting = Minting::new(place.team(), user, Whereabouts::Direct);
        let mut controls = Controls::default();
        let alive = grant.filter(|grant| match grant.status(now) {
            GrantStatus::Reserved | GrantStatus::Active => true,
            GrantStatus::Ended(_) | GrantStatus::Revoked => false,
        });
        if let Some(grant) = alive {
            if grant.open.is_none() {
                controls.extend = Some(minting.value(requester::EXTEND, Some(&request.id), Some(&grant.id)));
            }
            controls.done = Some(minting.value(requester::DONE, Some(&request.id), Some(&grant.id)));
        }
        if request.status(now) == Status::Pending {
            controls.withdraw = Some(minting.value(requester::WITHDRAW, Some(&request.id), None));
        }
        let ends_soon = alive.is_some_and(|grant| ends_soon(place, grant, now));
        // Only what was asked in Slack has a number of ours; a client shows its own.
        let ours = request.origin.asker().is_some_and(|asker| asker.slack == *user)
            && request.question.ceremony == Ceremony::Match
            && request.status(now) == Status::Pending;
        let number = request.asked.binding_message.as_deref().filter(|_| ours);
        self.with_facts(request, grant, "", |facts| {
            let (stage, how) = requester::stage(facts, ends_soon);
            Telling {
                stage,
                how,
                message: requester::message(facts, &controls, number, ends_soon),
                without_controls: requester::message(facts, &Controls::default(), None, false),
                controls: minting.made.clone(),
            }
        })
    }
}

/// Whether the time of the warning has come.
fn ends_soon(place: &Place, grant: &Grant, now: Timestamp) -> bool {
    let warned = grant.clone().warned_before_end(place.workspace.warn_before_end);
    grant.warn_at.is_none() && warned.warn_at.is_some_and(|at| now >= at)
}
