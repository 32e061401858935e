//! Stories about breaking the glass, and about rules that only look on.

use super::*;
use crate::domain::ids::SetName;

fn set(name: &str) -> SetName {
    SetName::parse(name).unwrap()
}

fn glass(minutes: u64, requesters: &str, tell: &str) -> Outcome {
    let (requesters, tell) = (vec![set(requesters)], vec![set(tell)]);
    Outcome::BreakGlass(Arc::new(BreakGlass { bounds: bounds(minutes), requesters, tell, review_within: minutes * 60 }))
}

fn rules() -> Policy {
    policy(vec![
        (
            "glass",
            "scope == 'prod:admin' && has(context.break_glass) && context.break_glass",
            glass(30, "on-call", "leads"),
        ),
        ("other glass", "scope == 'prod:data' && has(context.break_glass)", glass(20, "owners", "owners")),
        ("reads", "scope.endsWith(':read')", allow(5)),
        ("writes", "scope.endsWith(':write')", asks(ask(&["leads"], 1))),
    ])
}

fn emergency(scope: &str) -> TokenRequest {
    asked_with(scope, &json!({ "context": { "break_glass": true }, "reason": "the tills are down" }))
}

fn broken(ruling: Ruling) -> Glass {
    match ruling {
        Ruling::BreakGlass(glass) => glass,
        other @ (Ruling::Refused(_) | Ruling::Allowed(_) | Ruling::Asked(_) | Ruling::Observed(_)) => {
            panic!("no glass is broken: {other:?}")
        }
    }
}

#[test]
fn the_glass_is_broken_only_where_the_server_says_that_it_is_an_emergency() {
    refused(ruling(&rules(), &asked("prod:admin"), true));
    let glass = broken(ruling(&rules(), &emergency("prod:admin"), false));
    assert_eq!((glass.terms.scopes.to_string().as_str(), glass.terms.bounds.max_duration), ("prod:admin", 30 * 60));
    assert_eq!(glass.refuses(&emergency("prod:admin")), None);
}

#[test]
fn two_glasses_need_somebody_who_may_break_both_and_tell_everybody() {
    let glass = broken(ruling(&rules(), &emergency("prod:admin prod:data a:read"), true));
    assert_eq!(glass.requesters, [[set("on-call")], [set("owners")]]);
    assert_eq!(glass.tell, [set("leads"), set("owners")]);
    assert_eq!((glass.review_within, glass.terms.bounds.max_duration), (20 * 60, 5 * 60));
}

#[test]
fn beside_what_people_are_asked_the_glass_stays_whole() {
    let asked = question(ruling(&rules(), &emergency("prod:admin a:write a:read"), true));
    assert_eq!(asked.terms.scopes.to_string(), "a:read a:write");
    let dropped: Vec<String> = asked.terms.dropped.values().map(|refused| refused.says.clone()).collect();
    assert_eq!(dropped, ["prod:admin is issued by breaking the glass and must be asked for alone."]);
    let all = refused(ruling(&rules(), &emergency("prod:admin a:write a:read"), false));
    assert!(
        all.says.contains("must be asked for alone") && all.says.ends_with("these alone: a:read a:write"),
        "{}",
        all.says
    );
}

#[test]
fn a_client_for_itself_and_whoever_gives_no_reason_break_nothing() {
    let glass = broken(ruling(&rules(), &emergency("prod:admin"), true));
    let mut itself = emergency("prod:admin");
    itself.subject.kind = crate::domain::token_request::SubjectKind::Client;
    assert!(glass.refuses(&itself).unwrap().says.contains("cannot break the glass for itself"));
    for reason in [None, Some(" ")] {
        let silent = TokenRequest { reason: reason.map(str::to_owned), ..emergency("prod:admin") };
        assert_eq!(glass.refuses(&silent).unwrap().says, "Breaking the glass needs a reason.");
    }
}

fn observed_rules(observed: &[&str]) -> Policy {
    let mut rules: Vec<Rule> = Vec::new();
    for (name, when, outcome) in [
        ("no exports", "scope == 'export'", deny("Never.")),
        ("writes", "scope.endsWith(':write')", asks(ask(&["leads"], 2))),
        ("reads", "scope.endsWith(':read')", allow(5)),
        ("deletes", "scope.endsWith(':delete')", deny("No.")),
    ] {
        let mode = if observed.contains(&name) { Mode::Observe } else { Mode::Enforce };
        let when = Condition::compile(when, Use::RefusesOrAsks).unwrap();
        rules.push(Rule { name: name.to_owned(), when, outcome, reason_pattern: None, mode });
    }
    Policy { rules: rules.into(), ..policy(vec![]) }
}

#[test]
fn what_an_observed_rule_decides_passes_and_the_enforced_ones_decide_the_rest() {
    let policy = observed_rules(&["no exports", "writes"]);
    let Ruling::Observed(terms) = ruling(&policy, &asked("export a:write"), false) else { panic!("not observed") };
    assert_eq!(terms.scopes.to_string(), "a:write export");
    let mixed = allowed(ruling(&policy, &asked("export a:read"), false));
    assert_eq!((mixed.scopes.to_string().as_str(), mixed.bounds.max_duration), ("a:read export", 5 * 60));
    refused(ruling(&policy, &asked("export a:delete"), false));
    // A scope that no rule decides is observed by nobody.
    refused(ruling(&policy, &asked("export unheard"), false));
}

#[test]
fn an_observation_says_what_would_have_been_done_and_who_would_have_been_asked() {
    let policy = observed_rules(&["no exports", "writes"]);
    let observe = |scope: &str, how| {
        let asked = asked(scope);
        policy.observed(&asked, &judge(&policy, &asked), true, how)
    };
    let asked_of = observe("a:write a:read", Observed::ByRule).unwrap();
    assert_eq!((asked_of.verdict, asked_of.scopes.len()), (Would::Asked, 1));
    assert_eq!(asked_of.requirements[0].count.get(), 2);
    assert_eq!(observe("export", Observed::ByRule).unwrap().verdict, Would::Refused);
    assert_eq!(observe("a:read a:delete", Observed::ByRule), None);
    let all = observe("a:read a:delete unheard", Observed::ByHook).unwrap();
    let verdicts: Vec<Would> = all.scopes.iter().map(|one| one.verdict).collect();
    assert_eq!((all.verdict, verdicts), (Would::Allowed, vec![Would::Refused, Would::Allowed, Would::Refused]));
}
