//! Breaking the glass: what a rule issues at once in an emergency, to whom, and who must look at it afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Bounds, Refused, Terms};
use crate::domain::ids::SetName;
use crate::domain::scope::Scope;
use crate::domain::token_request::{SubjectKind, TokenRequest};

/// What a *break-glass* rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// What the grant may be.
    pub bounds: Bounds,
    /// Who may break the glass: a person in one of these sets.
    pub requesters: Vec<SetName>,
    /// Who is told at once, and who may review it afterwards.
    pub tell: Vec<SetName>,
    /// How long they have for the review, in seconds.
    pub review_within: u64,
}

/// The sum of the break-glass rules of one token request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glass {
    /// What is granted at once.
    pub terms: Terms,
    /// For each rule its sets: whoever asks must be in one of each.
    pub requesters: Vec<Vec<SetName>>,
    /// Everybody whom any rule wants told.
    pub tell: Vec<SetName>,
    /// The shortest time for the review, in seconds.
    pub review_within: u64,
}

impl Glass {
    pub(super) fn of(terms: Terms, rules: &[Arc<BreakGlass>]) -> Self {
        let mut requesters: Vec<Vec<SetName>> = rules.iter().map(|rule| rule.requesters.clone()).collect();
        requesters.sort();
        requesters.dedup();
        let tell: BTreeSet<SetName> = rules.iter().flat_map(|rule| rule.tell.iter().cloned()).collect();
        let review_within = rules.iter().map(|rule| rule.review_within).min().unwrap_or_default();
        Self { terms, requesters, tell: tell.into_iter().collect(), review_within }
    }

    /// Why this token request may not break the glass, whoever is behind it.
    pub fn refuses(&self, asked: &TokenRequest) -> Option<Refused> {
        let says = if asked.subject.kind == SubjectKind::Client {
            "A client cannot break the glass for itself: only a person who is named for it can."
        } else if asked.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
            "Breaking the glass needs a reason."
        } else {
            return None;
        };
        Some(Refused { rule: self.terms.rules.values().next().cloned(), says: says.to_owned() })
    }
}

/// What a scope that may only be asked for alone is told beside others.
pub(super) fn alone(scope: &Scope, rule: Option<String>) -> Refused {
    let says = format!("{scope} is issued by breaking the glass and must be asked for alone.");
    Refused { rule, says }
}
