//! The rules in order, with what tells quickly which of them a scope can fall under.
//!
//! The index holds, for each scope that some condition names, the rules whose [`Guard`](super::guard::Guard) does
//! not fail for it; a scope that no condition names has the rules that are left then. What is skipped is exactly
//! what plain evaluation would have found false, so the first rule that matches is the same.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;

use super::Rule;
use super::facts::Names;
use super::guard::Known;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

/// The rules of a policy, in their order.
#[derive(Debug, Default)]
pub struct Rules {
    all: Vec<Rule>,
    by_scope: HashMap<String, Vec<usize>>,
    /// For a scope that no condition names.
    rest: Vec<usize>,
    names: Names,
}

impl Rules {
    /// The rules that may match this scope, in order. The others are exactly false.
    pub(super) fn candidates<'a>(
        &'a self,
        asked: &'a TokenRequest,
        scope: &'a Scope,
    ) -> impl Iterator<Item = &'a Rule> {
        let known = Known { scope: Some(scope.as_str()), asked: Some(asked) };
        let listed = self.by_scope.get(scope.as_str()).unwrap_or(&self.rest);
        let rules = listed.iter().filter_map(|at| self.all.get(*at));
        rules.filter(move |rule| !rule.when.guard().is_surely_false(known))
    }

    /// The variables that any condition names.
    pub(super) fn names(&self) -> Names {
        self.names
    }
}

impl From<Vec<Rule>> for Rules {
    fn from(all: Vec<Rule>) -> Self {
        let guards = || all.iter().map(|rule| rule.when.guard());
        let named: BTreeSet<&str> = guards().filter_map(|guard| guard.scopes()).flatten().collect();
        let left_for = |scope: &str| {
            let known = Known { scope: Some(scope), asked: None };
            let left = guards().enumerate().filter(|(_, guard)| !guard.is_surely_false(known));
            left.map(|(at, _)| at).collect()
        };
        let by_scope = named.into_iter().map(|scope| (scope.to_owned(), left_for(scope))).collect();
        let rest = guards().enumerate().filter(|(_, guard)| guard.scopes().is_none()).map(|(at, _)| at).collect();
        let names = all.iter().fold(Names::default(), |names, rule| names.union(rule.when.names()));
        Self { by_scope, rest, names, all }
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<T: IntoIterator<Item = Rule>>(rules: T) -> Self {
        rules.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.all
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}
