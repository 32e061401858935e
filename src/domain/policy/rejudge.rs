//! Whether a policy that changed since people were asked asks for more now than they were told.

use super::{Question, Requirement, Ruling};
use crate::domain::scope::ScopeSet;

/// What the policy of now wants beyond what people were asked. Words for whoever clicked follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stricter {
    /// It refuses some or all of what is shown, in these words.
    Refuses(String),
    /// It allows less time, in seconds.
    Shorter(u64),
    /// It wants other people, or more of them, or a stronger ceremony.
    WantsMore,
}

impl Question {
    /// Whether what is shown (`shown`, for `duration` seconds) under this question may still be approved as it is,
    /// under a new ruling of the same token request. Where the ruling wants less than before, nothing gets easier.
    ///
    /// # Errors
    /// [`Stricter`]: what the new ruling wants besides.
    pub fn still_enough(&self, shown: &ScopeSet, duration: u64, now: &Ruling) -> Result<(), Stricter> {
        let terms = match now {
            Ruling::Refused(refused) => return Err(Stricter::Refuses(refused.says.clone())),
            Ruling::Allowed(terms) | Ruling::Observed(terms) => terms,
            Ruling::BreakGlass(glass) => &glass.terms,
            Ruling::Asked(question) => &question.terms,
        };
        if !shown.is_subset(&terms.scopes) {
            let dropped = terms.dropped.iter().find(|(scope, _)| shown.contains(scope));
            return Err(Stricter::Refuses(dropped.map(|(_, why)| why.says.clone()).unwrap_or_default()));
        }
        if duration > terms.bounds.max_duration {
            return Err(Stricter::Shorter(terms.bounds.max_duration));
        }
        let Ruling::Asked(question) = now else { return Ok(()) };
        let removed: ScopeSet = terms.scopes.iter().filter(|scope| !shown.contains(scope)).cloned().collect();
        let wanted = question.without(&removed);
        if let Some(refused) = &wanted.not_now {
            return Err(Stricter::Refuses(refused.says.clone()));
        }
        let has = |one: &Requirement| {
            self.requirements.iter().any(|own| own.approvers == one.approvers && own.count >= one.count)
        };
        let more = wanted.ceremony > self.ceremony
            || wanted.self_approval < self.self_approval
            || (self.shared && !wanted.shared)
            || !wanted.requirements.iter().all(has);
        if more { Err(Stricter::WantsMore) } else { Ok(()) }
    }
}
