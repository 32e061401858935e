//! What is to be delivered after a step: a step's effects, and what its audit entry says, as rows of the outbox.

use super::Service;
use crate::domain::access_request::{AccessRequest, Effect};
use crate::domain::audit::{AuditEntry, Kind};
use crate::domain::ids::RequestId;
use crate::store::Delivery;

impl Service {
    /// The channels of an access request's cards.
    pub(super) fn channels(&self, request: &AccessRequest) -> Vec<String> {
        if request.question.channels.is_empty() {
            self.home(request).map(|place| place.workspace.channel.to_string()).into_iter().collect()
        } else {
            request.question.channels.iter().map(ToString::to_string).collect()
        }
    }

    /// What is to be told about a step of an access request or its grant: its effects, and in the thread what happened.
    pub(super) fn deliveries(
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
        | Kind::DirectoryChanged
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
