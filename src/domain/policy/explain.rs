//! Why a scope got what it got: the rule that decided, and what kept each earlier one from deciding.
//!
//! This is the plain reading, rule after rule, for people. [`Policy::judge`] gives the same verdicts.

use std::collections::BTreeSet;

use cel::Value;

use super::condition::Condition;
use super::facts::{Facts, Names};
use super::{Judged, Policy, Rule, check, spelling};
use crate::domain::Timestamp;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

/// The most characters of a value that are shown.
const SHOWN_MAX: usize = 120;

/// The verdict of one scope, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What it got.
    pub judged: Judged,
    /// The place of the rule that decided, counted from 1; none where no rule matched.
    pub number: Option<usize>,
    /// The rules before it, in order.
    pub earlier: Vec<Passed>,
}

/// A rule that does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its place, counted from 1.
    pub number: usize,
    /// Its name.
    pub rule: String,
    /// The first part of its condition that is false, as it is written.
    pub part: String,
    /// What that part saw.
    pub seen: Vec<Seen>,
}

/// Something that a condition reads, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As it is written.
    pub what: String,
    /// Its value for people; none where it has none.
    pub value: Option<String>,
}

impl Policy {
    /// Judges as [`Policy::judge`] does, and says why.
    pub fn explain(&self, asked: &TokenRequest, first_time: &dyn Fn(&Scope) -> bool, now: Timestamp) -> Vec<Explained> {
        let explain = |judged: Judged| {
            let decided = self.rules.iter().position(|rule| judged.rule.as_ref() == Some(&rule.name));
            let before = self.rules.iter().take(decided.unwrap_or(self.rules.len())).enumerate();
            let scope = judged.scope.clone();
            let mut seer = Seer { facts: Facts::new(asked, now), scope: &scope, first_time };
            let earlier = before.map(|(at, rule)| seer.passed(at + 1, rule)).collect();
            Explained { number: decided.map(|at| at + 1), earlier, judged }
        };
        self.judge(asked, first_time, now).into_iter().map(explain).collect()
    }
}

/// What sees the values of one scope.
struct Seer<'a> {
    facts: Facts<'a>,
    scope: &'a Scope,
    first_time: &'a dyn Fn(&Scope) -> bool,
}

impl Seer<'_> {
    fn passed(&mut self, number: usize, rule: &Rule) -> Passed {
        let parts = spelling::conjuncts(rule.when.source());
        let part = parts.into_iter().find(|part| self.value(part) == Some(Value::Bool(false)));
        let part = part.unwrap_or(rule.when.source());
        Passed { number, rule: rule.name.clone(), part: part.to_owned(), seen: self.seen(part) }
    }

    /// What a part of a condition reads: the computed side of a comparison, else every fact in it.
    fn seen(&mut self, part: &str) -> Vec<Seen> {
        let computed = spelling::sides(part).map(|(left, right)| [left, right]).into_iter().flatten();
        let computed: Vec<&str> = computed.filter(|side| side.contains('(')).collect();
        let mut all: Vec<Seen> = Vec::new();
        for side in computed {
            if let Some(value) = self.value(side) {
                all.push(Seen { what: side.to_owned(), value: Some(shown(&value)) });
            }
        }
        if !all.is_empty() {
            return all;
        }
        let facts: BTreeSet<String> = Condition::part(part).map(|part| check::facts(&part)).unwrap_or_default();
        facts
            .into_iter()
            .map(|what| {
                let value = self.value(&what).map(|value| shown(&value));
                Seen { what, value }
            })
            .collect()
    }

    fn value(&mut self, text: &str) -> Option<Value> {
        let part = Condition::part(text).ok()?;
        let names: Names = part.names();
        let context = self.facts.of_scope(self.scope, names, self.first_time);
        part.value(&context)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of CEL's values grow without us")]
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Timestamp(at) => at.to_rfc3339(),
        Value::Duration(time) => match time.to_std() {
            Ok(time) => humantime::format_duration(time).to_string(),
            Err(_) => format!("{} seconds", time.num_seconds()),
        },
        other => other.json().map(|json| json.to_string()).unwrap_or_else(|_| format!("of type {}", other.type_of())),
    };
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    format!("{}…", text.chars().take(SHOWN_MAX).collect::<String>())
}
