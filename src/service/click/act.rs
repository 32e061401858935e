//! What a click that passed the checks leads to.

use serde_json::json;

use super::{Acted, Carried, Checked, Refused, Why};
use crate::domain::Timestamp;
use crate::domain::access_request::{
    AccessRequest, Ballot, Choice, Event, Filled, MessageRef, Proof, Refusal, State, Status,
};
use crate::domain::audit::Actor;
use crate::domain::grant::{Grant, NotIssued};
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::RequestId;
use crate::domain::policy::Ceremony;
use crate::domain::token_request::SubjectKind;
use crate::service::time::measured;
use crate::service::workspaces::Place;
use crate::service::{CONFLICTS_MAX, Error, Service, fresh_grant_id};
use crate::slack::approving::{self, Changes};
use crate::slack::click::Press;
use crate::slack::forms;
use crate::store::{Change, Commit, Delivery, Outcome};

impl Service {
    /// Approve was pressed: that is a vote, unless something has to be filled in first.
    pub(super) async fn approve(&self, checked: Checked, press: &Press, now: Timestamp) -> Result<Acted, Error> {
        let request = &checked.request;
        match request.question.ceremony {
            Ceremony::Click | Ceremony::Confirm if request.needs_a_reason_of(&checked.voter) => {}
            Ceremony::Click | Ceremony::Confirm => {
                let vote = self.vote(checked, Choice::Approve, Filled::default(), Proof::Click, now);
                return Box::pin(vote).await;
            }
            Ceremony::StepUp if request.needs_a_reason_of(&checked.voter) => {}
            Ceremony::StepUp => return self.send_a_link(checked, press, now).await,
            Ceremony::Match => {}
        }
        Ok(self.ask_for_approval(checked, press, Changes::Not, now).await)
    }

    pub(super) async fn deny(&self, checked: Checked, reason: String, now: Timestamp) -> Result<Acted, Error> {
        Box::pin(self.vote(checked, Choice::Deny { reason }, Filled::default(), Proof::Click, now)).await
    }

    /// A vote, whatever it says: every guard runs now, and what follows is committed before anybody is told.
    pub(in crate::service) async fn vote(
        &self,
        checked: Checked,
        choice: Choice,
        filled: Filled,
        proof: Proof,
        now: Timestamp,
    ) -> Result<Acted, Error> {
        let Checked { mut request, button, message, voter, once, .. } = checked;
        for _ in 0..CONFLICTS_MAX {
            let refused = |request: AccessRequest, why| Ok(Err((Some(Box::new(request)), why)));
            let known = match self.with_owners(request.clone(), now) {
                Ok(known) => known,
                Err(says) => return refused(request, Why::OwnersUnknown(says)),
            };
            if choice == Choice::Approve
                && request.shown_version == button.shown_version
                && let Some(stricter) = self.stricter(&known, &filled, now).await?
            {
                return refused(request, Why::PolicyChanged(stricter));
            }
            let ballot = Ballot {
                voter: voter.clone(),
                choice: choice.clone(),
                filled: filled.clone(),
                cooldown: self.policy().limits.denial_cooldown,
                proof: proof.clone(),
                shown_version: button.shown_version,
                message: message.clone(),
                policy: self.policy().version.clone(),
                grant_id: fresh_grant_id()?,
            };
            let mut step = match known.apply(Event::Voted(Box::new(ballot)), now) {
                Ok(step) => step,
                Err(refusal) => return refused(request, Why::Refused(refusal)),
            };
            self.lengthen(&request.asked, &mut step.cooldowns, now).await?;
            let was_wrong = step.next.deciding.wrong_numbers.len() > request.deciding.wrong_numbers.len();
            let mut commit = self.commit_of(Change::Replace(step.next.clone()), &step);
            commit.vote =
                (step.next.votes.len() > request.votes.len()).then(|| step.next.votes.last().cloned()).flatten();
            // A button that is bound stays so: only one that is not yet must be bound by this click.
            commit.bind = button.ts.is_none().then(|| (button.hash.clone(), message.clone()));
            commit.card = button.ts.is_none().then(|| (request.id.clone(), message.clone()));
            commit.once.clone_from(&once);
            match self.0.store.commit(commit, now).await? {
                Outcome::Done => {
                    measured(&step.next, now);
                    self.tell(Some(&request.id));
                    // The wrong number is on record; only now does anybody learn that it was one.
                    return if was_wrong { refused(step.next, Why::WrongNumber) } else { Ok(Ok(())) };
                }
                Outcome::Conflict if self.has_counted(once.as_ref()).await? => return Ok(Ok(())),
                Outcome::Conflict => match self.0.store.request(&request.id).await? {
                    Some(again) if again.version != request.version => request = again,
                    // Not the request but the button was taken: another message was clicked first.
                    Some(same) => return Ok(Err((Some(Box::new(same)), Why::OtherMessage))),
                    None => return Err(Error::Busy),
                },
            }
        }
        Err(Error::Busy)
    }

    /// A card that the store does not know, of a request that is settled: it was posted and its answer was lost.
    pub(super) async fn stray(
        &self,
        checked: &Checked,
        now: Timestamp,
    ) -> Result<Option<(RequestId, MessageRef)>, Error> {
        let Checked { request, button, message, .. } = checked;
        if button.ts.is_some() || request.status(now) == Status::Pending {
            return Ok(None);
        }
        let known = self.0.store.cards(&request.id).await?.contains(message);
        Ok((!known).then(|| (request.id.clone(), message.clone())))
    }

    /// The click came too late, but it says where that card is: from now on it is edited like any other.
    pub(super) async fn adopt(&self, request: RequestId, message: MessageRef, now: Timestamp) -> Result<(), Error> {
        let refresh = Delivery::RefreshCards { channel: message.channel.to_string() };
        let deliveries = vec![(request.clone(), refresh)];
        self.0.store.commit(Commit { deliveries, card: Some((request, message)), ..Commit::default() }, now).await?;
        self.tell(None);
        Ok(())
    }

    /// Deny… opens a form; whoever may not decide learns so before filling it in.
    pub(super) async fn ask_for_a_reason(&self, checked: Checked, press: &Press, now: Timestamp) -> Acted {
        let checked = self.may_act(checked, now)?;
        let carried = carried(press, &checked);
        let form = self.with_facts(&checked.request, None, "", |facts| forms::deny_form(&carried, facts));
        self.open_for(checked, press, &form).await
    }

    /// Approve with changes… opens a form with everything that can be taken out.
    pub(super) async fn ask_for_changes(&self, checked: Checked, press: &Press, now: Timestamp) -> Acted {
        self.ask_for_approval(checked, press, Changes::Offered, now).await
    }

    async fn ask_for_approval(&self, checked: Checked, press: &Press, changes: Changes, now: Timestamp) -> Acted {
        let checked = self.may_act(checked, now)?;
        let request = &checked.request;
        let hopeless = if request.has_voted(&checked.voter) {
            Some(Refusal::AlreadyVoted)
        } else if request.is_barred(&checked.voter) {
            Some(Refusal::Barred)
        } else if request.question.ceremony == Ceremony::Match && !request.has_number() {
            Some(Refusal::NoNumber)
        } else {
            None
        };
        if let Some(refusal) = hopeless {
            return Err((Some(Box::new(checked.request)), Why::Refused(refusal)));
        }
        let carried = carried(press, &checked);
        let own = request.needs_a_reason_of(&checked.voter);
        let form = self.with_facts(request, None, "", |facts| approving::approve_form(&carried, facts, changes, own));
        self.open_for(checked, press, &form).await
    }

    /// Whether somebody may act on what the button shows: told before a form is opened, and again when it is sent.
    pub(super) fn may_act(&self, checked: Checked, now: Timestamp) -> Result<Checked, Refused> {
        let refused = |request: AccessRequest, why| Err((Some(Box::new(request)), why));
        let Checked { place, request, button, message, voter, once } = checked;
        let request = match self.with_owners(request.clone(), now) {
            Ok(request) => request,
            Err(says) => return refused(request, Why::OwnersUnknown(says)),
        };
        let refusal = match request.status(now) {
            Status::Pending => request.eligible(&voter).err(),
            settled => Some(Refusal::Settled(settled)),
        };
        let stale = (button.shown_version != request.shown_version).then_some(Refusal::OutOfDate);
        match refusal.or(stale) {
            Some(refusal) => refused(request, Why::Refused(refusal)),
            None => Ok(Checked { place, request, button, message, voter, once }),
        }
    }

    /// Opens a form for whoever pressed the button.
    pub(super) async fn open_for(&self, checked: Checked, press: &Press, form: &serde_json::Value) -> Acted {
        self.open_form(&checked.place, press, form).await.map_err(|why| (Some(Box::new(checked.request)), why))
    }

    pub(super) async fn show_details(&self, checked: &Checked, press: &Press) -> Acted {
        let view = self.with_facts(&checked.request, None, "", forms::details_view);
        self.open_form(&checked.place, press, &view).await.map_err(|why| (Some(Box::new(checked.request.clone())), why))
    }

    pub(in crate::service) async fn open_form(
        &self,
        place: &Place,
        press: &Press,
        view: &serde_json::Value,
    ) -> Result<(), Why> {
        let Some(trigger) = &press.trigger_id else { return Err(Why::Malformed("no trigger")) };
        place.workspace.slack.open_view(trigger, view).await.map_err(|error| {
            tracing::warn!(error = error.code(), "a form could not be opened");
            Why::NoForm
        })
    }

    /// Revoke: whoever may decide now, a decider, or the requester.
    pub(super) async fn revoke_by_click(&self, checked: Checked, now: Timestamp) -> Result<Acted, Error> {
        let Checked { request, button, message, voter, .. } = checked;
        for _ in 0..CONFLICTS_MAX {
            let grant = match &request.state {
                State::Approved { grant, .. } => self.0.store.grant(grant).await?,
                State::Pending | State::Denied { .. } | State::Expired { .. } | State::Cancelled { .. } => None,
            };
            let Some(grant) = grant else { return Ok(Err((Some(Box::new(request)), Why::GrantOver))) };
            if !may_revoke(&request, &grant, &voter) {
                return Ok(Err((Some(Box::new(request)), Why::MayNotRevoke)));
            }
            let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
            let bind = Some((button.hash.clone(), message.clone()));
            match self.revoke(&grant, Some(&request), by, "revoked on the card", bind, now).await? {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(
                    NotIssued::Revoked
                    | NotIssued::Ended(_)
                    | NotIssued::NotCovered
                    | NotIssued::NotYet
                    | NotIssued::TooShort,
                ) => {
                    return Ok(Err((Some(Box::new(request)), Why::GrantOver)));
                }
            }
        }
        Err(Error::Busy)
    }
}

/// What a form carries from the click that opened it to its submission.
pub(super) fn carried(press: &Press, checked: &Checked) -> String {
    let (_, value) = super::pressed_what(press);
    let message = &checked.message;
    json!(Carried { v: value.to_owned(), c: message.channel.to_string(), t: message.ts.clone() }).to_string()
}

/// Whoever may decide now, a decider, or the requester.
pub(super) fn may_revoke(request: &AccessRequest, grant: &Grant, voter: &Voter) -> bool {
    let subject = &request.asked.subject;
    let names = [Some(subject.id.as_str()), subject.email.as_deref()];
    let is_subject = names.into_iter().flatten().any(|name| Principal::new(name) == voter.principal);
    // A client is another subject than a person of the same name.
    let is_requester = subject.kind == SubjectKind::User && is_subject;
    let decided = grant.deciders.iter().any(|decider| decider.principal == voter.principal);
    is_requester || decided || request.eligible(voter).is_ok()
}
