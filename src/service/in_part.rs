//! A part of a token request is issued while people are asked about the rest.

use super::ask::{INTERVAL, Look};
use super::hand_over::Case;
use super::{CONFLICTS_MAX, Call, Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::AccessRequest;
use crate::domain::policy::{Policy, Refused, Ruling, Terms};
use crate::domain::scope::{Scope, ScopeSet};
use crate::hooks::{Answer, PendingRest};

impl Service {
    /// `partial = "issue"`: what a rule allows is issued now, whatever becomes of the rest. Where people are asked, the
    /// answer says about what; where they are not, the rest drops out.
    pub(super) async fn with_what_is_allowed(
        &self,
        policy: &Policy,
        call: &Call,
        allowed: Terms,
        ruling: &Ruling,
        look: Look,
        now: Timestamp,
    ) -> Result<Look, Error> {
        let Ruling::Asked(question) = ruling else { return Ok(look) };
        let (pending, refused) = match &look {
            Look::Waiting(request) => (Some(Box::new(self.pending_rest(request, &question.asked))), None),
            Look::Answer(Answer::Denied(denied)) => (None, Some(denied.says.clone())),
            Look::Answer(Answer::TooMany { says, .. }) => (None, Some(says.clone())),
            Look::Answer(
                Answer::Granted(_)
                | Answer::Pending(_)
                | Answer::Conflict
                | Answer::Observed(_)
                | Answer::Unavailable { .. },
            )
            | Look::Again => return Ok(look),
        };
        let mut terms = allowed;
        terms.dropped.clone_from(&question.terms.dropped);
        if let Some(says) = refused {
            let of = |scope: &Scope| (scope.clone(), Refused { rule: None, says: says.clone() });
            terms.dropped.extend(question.asked.iter().map(of));
        }
        let narrower = Ruling::Allowed(terms.clone());
        let case = Case { call, ruling: &narrower, terms: &terms, observed: None, approved: None, now };
        for _ in 0..CONFLICTS_MAX {
            match self.issue_from_grants(&case).await? {
                Some(Answer::Granted(mut granted)) => {
                    granted.pending = pending;
                    return Ok(Look::Answer(Answer::Granted(granted)));
                }
                Some(other) => return Ok(Look::Answer(other)),
                // What was revoked stays refused, also as a part.
                None if self.0.store.cooldown(&call.asked, &terms.scopes, now).await?.is_some() => return Ok(look),
                None => match self.allow(policy, call, &terms, now).await? {
                    Look::Again => {}
                    other @ (Look::Answer(_) | Look::Waiting(_)) => return Ok(other),
                },
            }
        }
        Err(Error::Busy)
    }

    fn pending_rest(&self, request: &AccessRequest, scopes: &ScopeSet) -> PendingRest {
        PendingRest {
            request_id: request.id.clone(),
            scopes: scopes.clone(),
            interval: INTERVAL,
            status_url: self.status_url(request),
        }
    }
}
