//! The verdict of each scope on its own.

use super::facts::{self, Names};
use super::{Judged, Outcome, Policy, Rule};
use crate::domain::Timestamp;
use crate::domain::scope::Scope;
use crate::domain::token_request::TokenRequest;

impl Policy {
    /// Judges every scope of a token request; the unnamed one where none is named.
    ///
    /// `first_time` says whether the client never had a grant of that scope for that subject; it is asked
    /// only where [`Policy::asks_first_time`]. A condition that cannot be evaluated refuses its scope.
    pub fn judge(&self, asked: &TokenRequest, first_time: &dyn Fn(&Scope) -> bool, now: Timestamp) -> Vec<Judged> {
        let request = facts::for_request(asked, self.names(), now);
        let asks_first_time = self.asks_first_time();
        let judge = |scope: Scope| {
            let context = facts::for_scope(&request, &scope, asks_first_time.then(|| first_time(&scope)));
            for rule in &self.rules {
                match rule.when.holds(&context) {
                    Ok(false) => {}
                    Ok(true) => {
                        return Judged { scope, rule: Some(rule.name.clone()), outcome: rule.outcome.clone() };
                    }
                    Err(why) => return cannot_tell(rule, scope, &why),
                }
            }
            let outcome = Outcome::Deny(no_rule(&scope));
            Judged { scope, rule: None, outcome }
        };
        asked.scopes.judged().into_iter().map(judge).collect()
    }

    /// Whether any condition wants to know what came for the first time.
    pub fn asks_first_time(&self) -> bool {
        self.names().contains("first_time")
    }

    fn names(&self) -> Names {
        self.rules.iter().fold(Names::default(), |all, rule| all.union(rule.when.names()))
    }
}

fn cannot_tell(rule: &Rule, scope: Scope, why: &str) -> Judged {
    let says = format!("The rule `{}` cannot be applied to this request, so it refuses: {why}.", rule.name);
    Judged { scope, rule: Some(rule.name.clone()), outcome: Outcome::Deny(says) }
}

fn no_rule(scope: &Scope) -> String {
    if *scope == Scope::unnamed() {
        "No scope was named, and no rule allows that.".to_owned()
    } else {
        format!("No rule allows {scope}.")
    }
}
