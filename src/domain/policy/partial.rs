//! `partial = "issue"`: what may be issued now, while people are asked about the rest.

use super::{Judged, Outcome, Partial, Policy, Ruling, Terms};
use crate::domain::token_request::TokenRequest;

impl Policy {
    /// The terms of the scopes that a rule allows, where others beside them must be asked about and the policy says
    /// not to hold them for that. Only for a server that can narrow.
    pub fn allowed_now(&self, asked: &TokenRequest, judged: &[Judged]) -> Option<Terms> {
        if self.partial != Partial::Issue {
            return None;
        }
        let is_allowed = |one: &&Judged| matches!(one.outcome, Outcome::Allow(_));
        let allowed: Vec<Judged> = judged.iter().filter(is_allowed).cloned().collect();
        if allowed.len() == judged.len() {
            return None;
        }
        let Ruling::Allowed(terms) = self.rule(asked, allowed, true) else { return None };
        Some(terms)
    }
}
