//! What holds for the sum of any verdicts whatsoever.

use proptest::prelude::*;

use super::*;

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let ask = |(people, minutes, strict): (u8, u64, bool)| {
        let set = if strict { "owners" } else { "leads" };
        asks(Ask { bounds: bounds(minutes), ..super::ask(&[set], people) })
    };
    prop_oneof![(1u64..90).prop_map(allow), Just(deny("No.")), (1u8..4, 1u64..90, any::<bool>()).prop_map(ask),]
}

/// The longest that one verdict lets a grant last.
fn longest(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Allow(bounds) => Some(bounds.max_duration),
        Outcome::Deny(_) => None,
        Outcome::Ask(ask) => Some(ask.bounds.max_duration),
        Outcome::BreakGlass(glass) => Some(glass.bounds.max_duration),
    }
}

proptest! {
    #[test]
    fn nothing_is_issued_that_was_refused_and_nothing_lasts_longer_than_any_rule_lets_it(
        outcomes in proptest::collection::vec(any_outcome(), 1..8),
        narrow_scope in any::<bool>(),
    ) {
        let names: Vec<String> = (0..outcomes.len()).map(|n| format!("s{n}")).collect();
        let request = asked(&names.join(" "));
        let judge = |(name, outcome): (&String, &Outcome)| Judged {
            scope: Scope::try_from(name.clone()).unwrap(),
            rule: Some(name.clone()),
            outcome: outcome.clone(),
            mode: Mode::Enforce,
        };
        let ruling = policy(vec![]).rule(&request, names.iter().zip(&outcomes).map(judge).collect(), narrow_scope);
        let refusals = outcomes.iter().filter(|outcome| longest(outcome).is_none()).count();
        let (terms, requirements) = match ruling {
            Ruling::Refused(_) => {
                prop_assert!(refusals == outcomes.len() || (refusals > 0 && !narrow_scope));
                return Ok(());
            }
            Ruling::Allowed(terms) | Ruling::Observed(terms) => (terms, Vec::new()),
            Ruling::BreakGlass(glass) => (glass.terms, Vec::new()),
            Ruling::Asked(question) => (question.terms, question.requirements),
        };
        prop_assert!(narrow_scope || refusals == 0);
        prop_assert!(terms.scopes.is_subset(&request.scopes));
        for (name, outcome) in names.iter().zip(&outcomes) {
            let scope = Scope::try_from(name.clone()).unwrap();
            prop_assert_eq!(terms.scopes.contains(&scope), longest(outcome).is_some());
            prop_assert_eq!(terms.dropped.contains_key(&scope), longest(outcome).is_none());
            prop_assert!(longest(outcome).is_none_or(|most| terms.bounds.max_duration <= most));
            let Outcome::Ask(ask) = outcome else { continue };
            let wanted = &ask.requirements[0];
            let met = requirements.iter().find(|r| r.approvers == wanted.approvers && r.scopes.contains(&scope));
            prop_assert!(met.is_some_and(|found| found.count >= wanted.count));
        }
    }
}
