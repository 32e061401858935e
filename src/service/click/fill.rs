//! What an approver filled in, read against the stored request: a form holds places in a list, never a scope, and
//! whatever does not fit the request is refused.

use std::collections::BTreeSet;

use super::{Checked, FormAnswer, Sent, Why};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Choice, Filled, Less, Proof, Refusal, Status};
use crate::domain::policy::Ceremony;
use crate::domain::scope::{Scope, ScopeSet};
use crate::service::{Error, Service};
use crate::slack::approving::{self, CHANGES_FORM};
use crate::slack::click::Submission;

impl Service {
    /// The form behind Approve or Approve with changes… was sent.
    pub(super) async fn approve_by_form(
        &self,
        checked: Checked,
        form: &Submission,
        now: Timestamp,
    ) -> Result<Sent, Error> {
        let request = &checked.request;
        let is_pending = request.status(now) == Status::Pending;
        if is_pending && checked.button.shown_version != request.shown_version {
            // Its places would mean others by now.
            return Ok(Err((Some(Box::new(checked.request)), Why::Refused(Refusal::OutOfDate))));
        }
        if !is_pending {
            let settled = Refusal::Settled(request.status(now));
            return Ok(Err((Some(Box::new(checked.request)), Why::Refused(settled))));
        }
        let wanted = request.question.ceremony == Ceremony::Match || request.needs_a_reason_of(&checked.voter);
        if form.callback_id != CHANGES_FORM && !wanted {
            // Nobody was ever given such a form for this.
            return Ok(Err((Some(Box::new(checked.request)), Why::Malformed("unknown form"))));
        }
        let filled = match self.filled(form, request) {
            Ok(filled) => filled,
            Err(why) => return Ok(Err((Some(Box::new(checked.request)), Why::Malformed(why)))),
        };
        let step_up = match request.question.ceremony {
            Ceremony::StepUp => match request.less(&checked.voter, &filled) {
                Ok(Less::Nothing | Less::Narrower(_)) => true,
                Ok(Less::Refused(_)) => false,
                Err(refusal) => return Ok(Err((Some(Box::new(checked.request)), Why::Refused(refusal)))),
            },
            Ceremony::Click | Ceremony::Confirm | Ceremony::Match => false,
        };
        if step_up {
            // It is approved in the browser: the form gives way to the link.
            let view = self.link_to_sign_in(checked, filled, now).await?;
            return Ok(view.map(|(_, view)| FormAnswer::Show(Box::new(view))));
        }
        let acted = Box::pin(self.vote(checked, Choice::Approve, filled, Proof::Click, now)).await?;
        Ok(acted.map(|()| FormAnswer::Close))
    }

    fn filled(&self, form: &Submission, request: &AccessRequest) -> Result<Filled, &'static str> {
        let text = |block: &str| Some(form.value(block, block).trim().to_owned()).filter(|text| !text.is_empty());
        let mut filled = Filled { note: text(approving::NOTE), number: text(approving::NUMBER), ..Filled::default() };
        if filled.note.as_ref().is_some_and(|note| note.chars().count() > *approving::NOTE_LENGTH.end()) {
            return Err("too long a note");
        }
        if form.callback_id != CHANGES_FORM {
            return Ok(filled);
        }
        if approving::offers_scopes(request) {
            let kept = form.list(approving::SCOPES, approving::SCOPES).ok_or("no scopes")?;
            filled.keep = Some(places(kept, &request.question.terms.scopes.iter().collect::<Vec<_>>())?);
        }
        let times = approving::times(request);
        if times.len() > 1 {
            let place: usize = form.value(approving::TIME, approving::TIME).parse().map_err(|_| "no time")?;
            filled.duration = Some(*times.get(place).ok_or("no such time")?);
        }
        let instead = self.with_facts(request, None, "", approving::alternatives);
        if let Some(chosen) = form.list(approving::INSTEAD, approving::INSTEAD) {
            let lower: Vec<_> = instead.iter().map(|(_, lower)| lower).collect();
            filled.suggest = places(chosen, &lower)?.iter().cloned().collect::<BTreeSet<_>>();
        }
        Ok(filled)
    }
}

/// The scopes at these places.
fn places(chosen: &[String], of: &[&Scope]) -> Result<ScopeSet, &'static str> {
    chosen
        .iter()
        .map(|place| {
            let place: usize = place.parse().map_err(|_| "a place that is no number")?;
            of.get(place).map(|scope| (*scope).clone()).ok_or("a place that is not there")
        })
        .collect()
}
