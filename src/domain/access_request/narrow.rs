//! Approving less than what is shown: scopes are taken out and the time gets shorter, nothing is ever added.

use serde_json::json;

use super::vote::counts_for;
use super::{AccessRequest, Ballot, Filled, Narrowing, Refusal, Step};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, Kind};
use crate::domain::grant::spoken;
use crate::domain::identity::Voter;
use crate::domain::policy::Question;
use crate::domain::scope::{Scope, ScopeSet};

/// What an approval leaves of what is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Less {
    /// All of it.
    Nothing,
    /// This much, which the server can be told.
    Narrower(Box<AccessRequest>),
    /// The server can only take all or nothing, so the call is refused; these could be asked for instead.
    Refused(ScopeSet),
}

impl AccessRequest {
    /// What an approver's form leaves of what is shown.
    ///
    /// # Errors
    /// [`Refusal`] where it would add something, leave nothing that needs approval, or ask of the server what it
    /// cannot do.
    pub fn less(&self, voter: &Voter, filled: &Filled) -> Result<Less, Refusal> {
        let shown = &self.question.terms.scopes;
        let keep = filled.keep.as_ref().unwrap_or(shown);
        let duration = filled.duration.unwrap_or(self.duration);
        if !keep.is_subset(shown) || duration > self.duration || filled.duration == Some(0) {
            return Err(Refusal::Widens);
        }
        let removed = self.taken_out(filled);
        if removed.is_empty() && duration == self.duration {
            return Ok(Less::Nothing);
        }
        let suggested: ScopeSet = keep.iter().chain(&filled.suggest).cloned().collect();
        if !removed.is_empty() && (!self.server.narrow_scope || keep.is_empty()) {
            return if suggested.is_empty() { Err(Refusal::NothingLeft) } else { Ok(Less::Refused(suggested)) };
        }
        if duration < self.duration && !self.server.set_lifetime {
            return Err(Refusal::CannotShorten);
        }
        let mut next = self.preview(filled);
        if next.question.requirements.is_empty() {
            return Err(Refusal::NothingLeft);
        }
        if counts_for(&next.question.requirements, voter).is_empty() {
            return Err(Refusal::NotYoursToLeave);
        }
        next.shown_version = self.shown_version.saturating_add(1);
        next.deciding.suggested = next.deciding.suggested.iter().chain(&filled.suggest).cloned().collect();
        let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
        next.deciding.narrowed.push(Narrowing {
            by,
            at: voter.learnt_at,
            version: next.shown_version,
            refused: removed.iter().filter(|scope| self.question.asked.contains(scope)).cloned().collect(),
            removed,
            duration_before: self.duration,
            note: filled.note.clone(),
        });
        Ok(Less::Narrower(Box::new(next)))
    }

    /// The scopes that a form takes out of what is shown.
    pub fn taken_out(&self, filled: &Filled) -> ScopeSet {
        let keeps = |scope: &Scope| filled.keep.as_ref().is_none_or(|keep| keep.contains(scope));
        self.question.terms.scopes.iter().filter(|scope| !keeps(scope)).cloned().collect()
    }

    /// What would be granted if a form were sent as it is filled in: never more than what is shown. It is for looking
    /// at; whether it may be approved is for [`AccessRequest::less`].
    #[must_use]
    pub fn preview(&self, filled: &Filled) -> Self {
        let mut next = self.clone();
        next.duration = filled.duration.unwrap_or(self.duration).min(self.duration);
        next.question = self.question.without(&self.taken_out(filled));
        next
    }

    /// The approval of this narrower version, which makes it the one that is shown.
    pub(super) fn narrowed(mut self, before: &Self, ballot: Ballot, now: Timestamp) -> Step {
        if let Some(last) = self.deciding.narrowed.last_mut() {
            last.at = now;
        }
        let removed = self.deciding.narrowed.last().map(|last| last.removed.clone()).unwrap_or_default();
        let mut step = self.approve(ballot, now);
        step.audit.detail["removed_now"] = json!(removed);
        step.audit.detail["duration_before"] = json!(before.duration);
        if step.grant.is_none() {
            let left = spoken(&self.question.terms.scopes);
            step.audit.kind = Kind::RequestNarrowed;
            step.audit.summary = format!("{} approved only {left}; more people must", step.audit.actor);
        }
        step
    }
}

impl Question {
    /// The same question without some of its scopes. A requirement that is there for those alone falls away;
    /// bounds, ceremony and counts stay as strict as they were.
    pub fn without(&self, removed: &ScopeSet) -> Self {
        let left = |scopes: &ScopeSet| scopes.iter().filter(|scope| !removed.contains(scope)).cloned().collect();
        let mut next = self.clone();
        next.terms.scopes = left(&self.terms.scopes);
        next.terms.rules.retain(|scope: &Scope, _| !removed.contains(scope));
        next.asked = left(&self.asked);
        for requirement in &mut next.requirements {
            requirement.scopes = left(&requirement.scopes);
        }
        if !removed.is_empty() {
            next.requirements.retain(|requirement| !requirement.scopes.is_empty());
        }
        next
    }
}
