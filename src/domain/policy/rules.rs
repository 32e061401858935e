//! The rules in order, with what tells quickly which of them a scope can fall under.
//!
//! The index holds, for each scope that some condition names, the rules whose [`Guard`](super::guard::Guard) does
//! not fail for it; a scope that no condition names has the rules that are left then. What is skipped is exactly
//! what plain evaluation would have found false, so the first rule that matches is the same. What a guard says of
//! the request alone is asked once for all of its scopes.

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
    by_name: HashMap<String, usize>,
    /// For a scope that no condition names.
    rest: Vec<usize>,
    names: Names,
}

/// What sifts the rules for the scopes of one token request, one after the other.
pub(super) struct Sieve<'a> {
    rules: &'a Rules,
    asked: &'a TokenRequest,
    /// Of each rule: whether it is out whatever the scope is, once that was asked.
    out: Vec<Option<bool>>,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(rules: &'a Rules, asked: &'a TokenRequest) -> Self {
        // For a single scope one look at each rule is enough.
        let places = if asked.scopes.len() > 1 { rules.all.len() } else { 0 };
        Self { rules, asked, out: vec![None; places] }
    }

    /// The rules that may match this scope, in order. The others are exactly false.
    pub(super) fn candidates(&mut self, scope: &Scope) -> Vec<&'a Rule> {
        let (rules, asked) = (self.rules, self.asked);
        let known = Known { scope: Some(scope.as_str()), asked: Some(asked), kind: None };
        let listed = rules.by_scope.get(scope.as_str()).unwrap_or(&rules.rest);
        let mut left = Vec::new();
        for at in listed {
            let Some(rule) = rules.all.get(*at) else { continue };
            let guard = rule.when.guard();
            let is_out = self
                .out
                .get_mut(*at)
                .is_some_and(|out| *out.get_or_insert_with(|| guard.is_surely_false(Known { scope: None, ..known })));
            if !is_out && !guard.is_surely_false(known) {
                left.push(rule);
            }
        }
        left
    }
}

impl Rules {
    /// The rule of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Rule> {
        self.by_name.get(name).and_then(|at| self.all.get(*at))
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
            let left = guards().enumerate().filter(|(_, guard)| !guard.is_surely_false(Known::scope(scope)));
            left.map(|(at, _)| at).collect()
        };
        let by_scope = named.into_iter().map(|scope| (scope.to_owned(), left_for(scope))).collect();
        let rest = guards().enumerate().filter(|(_, guard)| guard.scopes().is_none()).map(|(at, _)| at).collect();
        let names = all.iter().fold(Names::default(), |names, rule| names.union(rule.when.names()));
        let by_name = all.iter().enumerate().map(|(at, rule)| (rule.name.clone(), at)).collect();
        Self { by_scope, by_name, rest, names, all }
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
