//! Observing: what rules would have done that only look on, or all of them where the whole hook is observed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Judged, Mode, Outcome, Policy, Requirement, Ruling};
use crate::domain::ids::SetName;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

/// How much of a token request is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// What observed rules decide.
    ByRule,
    /// Everything: the hook is observed.
    ByHook,
}

/// What would have become of a token request, or of the observed part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What the whole of it would have got.
    pub verdict: Would,
    /// What each scope would have got, in order.
    pub scopes: Vec<ObservedScope>,
    /// Who would have been asked.
    pub requirements: Vec<Requirement>,
    /// Who that is: the users and user groups of each set.
    pub people: BTreeMap<SetName, Vec<String>>,
}

/// One scope that passed although a rule would have stood in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedScope {
    /// The scope; empty where none was named.
    pub scope: Scope,
    /// The rule, where one matched.
    pub rule: Option<String>,
    /// What it would have got.
    pub verdict: Would,
    /// What a refusal would have said.
    pub says: Option<String>,
}

/// What would have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Would {
    /// Issued without asking.
    Allowed,
    /// People would have been asked.
    Asked,
    /// The glass would have been broken.
    BrokenGlass,
    /// Refused.
    Refused,
}

impl Would {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Asked => "asked",
            Self::BrokenGlass => "broken_glass",
            Self::Refused => "refused",
        }
    }
}

impl Policy {
    /// What the observed part of a token request would have got; none where nothing of it is observed.
    pub fn observed(
        &self,
        asked: &TokenRequest,
        judged: &[Judged],
        narrow_scope: bool,
        how: Observed,
    ) -> Option<Observation> {
        let counts = |one: &&Judged| how == Observed::ByHook || one.mode == Mode::Observe;
        let part: Vec<Judged> = judged.iter().filter(counts).cloned().collect();
        if part.is_empty() {
            return None;
        }
        let scopes = part.iter().map(observed_scope).collect();
        let enforced = part.into_iter().map(|one| Judged { mode: Mode::Enforce, ..one }).collect();
        let (verdict, requirements) = match self.rule(asked, enforced, narrow_scope) {
            Ruling::Refused(_) => (Would::Refused, Vec::new()),
            Ruling::Allowed(_) | Ruling::Observed(_) => (Would::Allowed, Vec::new()),
            Ruling::BreakGlass(_) => (Would::BrokenGlass, Vec::new()),
            Ruling::Asked(question) if question.not_now.is_some() => (Would::Refused, Vec::new()),
            Ruling::Asked(question) => (Would::Asked, question.requirements),
        };
        let people = self.people_of(&requirements);
        Some(Observation { verdict, scopes, requirements, people })
    }

    fn people_of(&self, requirements: &[Requirement]) -> BTreeMap<SetName, Vec<String>> {
        let names: BTreeSet<&SetName> = requirements.iter().flat_map(|wanted| &wanted.approvers).collect();
        let ids = |name: &SetName| {
            let set = self.approvers.get(name);
            let groups = set.into_iter().flat_map(|set| set.groups.iter().map(ToString::to_string));
            let users = set.into_iter().flat_map(|set| set.users.iter().map(ToString::to_string));
            groups.chain(users).collect()
        };
        names.into_iter().map(|name| (name.clone(), ids(name))).collect()
    }
}

fn observed_scope(one: &Judged) -> ObservedScope {
    let (verdict, says) = match &one.outcome {
        Outcome::Allow(_) => (Would::Allowed, None),
        Outcome::Deny(says) => (Would::Refused, Some(says.clone())),
        Outcome::Ask(_) => (Would::Asked, None),
        Outcome::BreakGlass(_) => (Would::BrokenGlass, None),
    };
    ObservedScope { scope: one.scope.clone(), rule: one.rule.clone(), verdict, says }
}
