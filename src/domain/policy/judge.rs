//! The verdict of each scope on its own.

use super::facts::{Facts, Names};
use super::rules::Sieve;
use super::{Judged, Mode, Outcome, Policy, Rule};
use crate::domain::Timestamp;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

impl Policy {
    /// Judges every scope of a token request; the unnamed one where none is named.
    ///
    /// `first_time` says whether the client never had a grant of that scope for that subject; it is asked
    /// only where [`Policy::asks_first_time`]. A condition that cannot be evaluated refuses its scope.
    pub fn judge(&self, asked: &TokenRequest, first_time: &dyn Fn(&Scope) -> bool, now: Timestamp) -> Vec<Judged> {
        let (mut facts, mut sieve) = (Facts::new(asked, now), Sieve::new(&self.rules, asked));
        let judge = |scope: &Scope| judge_in_order(&sieve.candidates(scope), scope, first_time, &mut facts);
        asked.scopes.judged().iter().map(judge).collect()
    }

    /// As [`Policy::judge`], evaluating rule after rule without the index: what the index is held to.
    #[cfg(test)]
    pub(super) fn judge_plainly(
        &self,
        asked: &TokenRequest,
        first_time: &dyn Fn(&Scope) -> bool,
        now: Timestamp,
    ) -> Vec<Judged> {
        let mut facts = Facts::new(asked, now);
        let all: Vec<&Rule> = self.rules.iter().collect();
        asked.scopes.judged().iter().map(|scope| judge_in_order(&all, scope, first_time, &mut facts)).collect()
    }

    /// Whether a rule that may match wants to know what came for the first time.
    pub fn asks_first_time(&self, asked: &TokenRequest) -> bool {
        let mut sieve = Sieve::new(&self.rules, asked);
        let wanted = |scope: &Scope| sieve.candidates(scope).iter().any(|rule| rule.when.asks_first_time());
        self.rules.names().contains("first_time") && asked.scopes.judged().iter().any(wanted)
    }
}

/// The first of these rules that is true decides; one that cannot be evaluated refuses.
fn judge_in_order(
    rules: &[&Rule],
    scope: &Scope,
    first_time: &dyn Fn(&Scope) -> bool,
    facts: &mut Facts<'_>,
) -> Judged {
    let names = rules.iter().fold(Names::default(), |all, rule| all.union(rule.when.names()));
    let context = facts.of_scope(scope, names, first_time);
    for rule in rules {
        match rule.when.holds(&context) {
            Ok(false) => {}
            Ok(true) => {
                let (rule, outcome, mode) = (Some(rule.name.clone()), rule.outcome.clone(), rule.mode);
                return Judged { scope: scope.clone(), rule, outcome, mode };
            }
            Err(why) => return cannot_tell(rule, scope, &why),
        }
    }
    let outcome = Outcome::Deny(no_rule(scope));
    Judged { scope: scope.clone(), rule: None, outcome, mode: Mode::Enforce }
}

fn cannot_tell(rule: &Rule, scope: &Scope, why: &str) -> Judged {
    let says = format!("The rule `{}` cannot be applied to this request, so it refuses: {why}.", rule.name);
    let outcome = Outcome::Deny(says);
    Judged { scope: scope.clone(), rule: Some(rule.name.clone()), outcome, mode: rule.mode }
}

fn no_rule(scope: &Scope) -> String {
    if *scope == Scope::unnamed() {
        "No scope was named, and no rule allows that.".to_owned()
    } else {
        format!("No rule allows {scope}.")
    }
}
