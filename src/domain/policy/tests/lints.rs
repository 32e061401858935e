//! What is said about policies that can be used, and what must not be said of them.

use super::*;

/// The findings about a policy, as `about: says`.
fn found(policy: &Policy, weight: Weight) -> Vec<String> {
    let findings = policy.lint().into_iter().filter(|finding| finding.weight == weight);
    findings.map(|finding| format!("{}: {}", finding.about, finding.says)).collect()
}

/// The second of two rules is called unreachable.
fn second_is_unreachable(first: &str, second: &str) -> bool {
    let rules = policy(vec![("first", first, deny("No.")), ("second", second, deny("No."))]);
    found(&rules, Weight::Mend).iter().any(|says| says.starts_with("rule 2") && says.contains("unreachable"))
}

#[test]
fn a_rule_that_an_earlier_one_always_comes_before_is_unreachable() {
    for (first, second) in [
        ("true", "scope == 'a'"),
        ("scope == 'a'", "scope == 'a'"),
        ("scope == \"a\"", "  scope  ==  'a' // the same"),
        ("now.getHours() > 7", "scope == 'a' && now.getHours() > 7"),
        ("scope.matches('^a') && hook == 'x'", "hook == 'x' && (client.id == 'y' && scope.matches('^a'))"),
        ("scope.endsWith(':read')", "scope == 'a:read'"),
        ("scope.endsWith(':read')", "scope in ['a:read', 'b:read'] && has(context.ip)"),
        ("scope.endsWith(':read') || hook == 'x'", "scope in ['a:read', 'b:read']"),
        ("scope.startsWith('a')", "scope.startsWith('a:b') && client.id == 'x'"),
        ("scope.endsWith(':read')", "scope.endsWith('b:read')"),
        ("scope in ['a', 'b']", "scope == 'a' || scope == 'b'"),
        ("scope != 'z'", "scope == 'a'"),
    ] {
        assert!(second_is_unreachable(first, second), "{first} / {second}");
    }
}

#[test]
fn a_rule_that_may_match_is_not_called_unreachable() {
    for (first, second) in [
        ("scope == 'a'", "true"),
        ("scope == 'a' && hook == 'x'", "scope == 'a'"),
        ("scope.endsWith(':read')", "scope in ['a:read', 'b:write']"),
        ("scope.startsWith('a:b')", "scope.startsWith('a')"),
        ("scope.matches('^a')", "scope.matches('^b')"),
        ("!scope.endsWith(':read')", "scope == 'a:read'"),
        ("context.level > 3", "scope == 'a' && context.level > 4"),
        ("client.id == 'x'", "client.name == 'x'"),
        ("scope == 'a' || hook == 'x'", "scope == 'b'"),
    ] {
        assert!(!second_is_unreachable(first, second), "{first} / {second}");
    }
}

#[test]
fn several_earlier_rules_together_make_one_unreachable() {
    let rules = policy(vec![
        ("a", "scope == 'a'", deny("No.")),
        ("reads", "scope.endsWith(':read')", deny("No.")),
        ("both", "scope in ['a', 'b:read'] && now.getHours() > 7", deny("No.")),
        ("more", "scope in ['a', 'b:read', 'c']", deny("No.")),
    ]);
    let unreachable = found(&rules, Weight::Mend);
    assert!(unreachable.len() == 1 && unreachable[0].contains("earlier rules decide each"), "{unreachable:?}");
}

#[test]
fn a_condition_that_nothing_can_make_true_is_unreachable() {
    for (when, why) in [
        ("scope == 'a' && scope == 'b'", "can never be true"),
        ("false && now.getHours() > 7", "can never be true"),
        ("scope == 'a b'", "is not one scope"),
        ("scope in ['a', 'ü']", "is not one scope"),
    ] {
        let rules = policy(vec![("it", when, deny("No."))]);
        assert!(found(&rules, Weight::Mend).iter().any(|says| says.contains(why)), "{when}");
    }
}

fn with_people(mut policy: Policy, sets: &[(&str, &[&str], &[&str])]) -> Policy {
    for (name, users, groups) in sets {
        let users = users.iter().map(|user| SlackUserId::parse(*user).unwrap()).collect();
        let groups = groups.iter().map(|group| SlackGroupId::parse(*group).unwrap()).collect();
        policy.approvers.insert(SetName::parse(*name).unwrap(), ApproverSet { users, groups });
    }
    policy
}

#[test]
fn a_quorum_that_nobody_can_reach_is_to_be_mended() {
    let both = || {
        let (a, b) = (ask(&["a"], 1), ask(&["b"], 1));
        let requirements = a.requirements.iter().chain(&b.requirements).cloned().collect();
        policy(vec![("both", "scope == 'x'", asks(Ask { requirements, ..a.clone() }))])
    };
    let one = with_people(both(), &[("a", &["U0ANN"], &[]), ("b", &["U0ANN"], &[])]);
    let says = found(&one, Weight::Mend);
    assert!(says.len() == 1 && says[0].contains("needs 2 different people") && says[0].contains("have 1"), "{says:?}");
    let shared = Policy { shared: true, ..one };
    assert!(found(&shared, Weight::Mend).is_empty(), "one person may count for both");
    for sets in [
        [("a", &["U0ANN"] as &[&str], &[] as &[&str]), ("b", &["U0ANN", "U0BEN"], &[])],
        [("a", &["U0ANN"], &[]), ("b", &["U0ANN"], &["S0ALL"])],
    ] {
        assert!(found(&with_people(both(), &sets), Weight::Mend).is_empty(), "{sets:?}");
    }
}

#[test]
fn whoever_is_needed_and_asks_leaves_nobody_to_decide() {
    let rules = policy(vec![("it", "scope == 'x'", asks(ask(&["a"], 2)))]);
    let all = with_people(rules, &[("a", &["U0ANN", "U0BEN"], &[]), ("idle", &[], &["S0IDLE"])]);
    let known = found(&all, Weight::Know);
    assert!(known.iter().any(|says| says.contains("needs everybody in a")), "{known:?}");
    assert!(known.iter().any(|says| says.starts_with("approver set `idle`")), "{known:?}");
    let empty = with_people(policy(vec![]), &[("none", &[], &[])]);
    assert_eq!(found(&empty, Weight::Mend), ["approver set `none`: Nobody is in it."]);
}

#[test]
fn what_is_critical_and_weakly_guarded_is_named() {
    let about = |outcome, weight| {
        let rules = with_till(policy(vec![("it", "scope == 'open'", outcome)]));
        found(&rules, weight).into_iter().find(|says| says.contains("critical")).unwrap_or_default()
    };
    assert!(about(allow(5), Weight::Mend).contains("never issued without asking"));
    assert!(about(asks(ask(&["leads"], 1)), Weight::Mend).contains("needs `match`, two people or `step_up`"));
    for weak in [ask(&["leads"], 2), Ask { ceremony: Ceremony::Match, ..ask(&["leads"], 1) }] {
        let says = about(asks(weak), Weight::Know);
        assert!(says.contains("only the ceremony `step_up` survives a stolen Slack account"), "{says}");
    }
    let strong = Ask { ceremony: Ceremony::StepUp, ..ask(&["leads"], 1) };
    assert_eq!((about(asks(strong.clone()), Weight::Know), about(asks(strong), Weight::Mend)), Default::default());
}

#[test]
fn claims_holes_and_people_who_are_only_told_are_named() {
    let hole = Ask {
        self_approval: SelfApproval::Allowed,
        reminders: vec![Reminder { after: 60, to: vec![SetName::parse("chiefs").unwrap()] }],
        ..ask(&["leads"], 1)
    };
    let rules = policy(vec![("it", "scope == 'x' && reason != ''", asks(hole))]);
    let known = found(&rules, Weight::Know).join("\n");
    for says in
        ["`reason`, which is what the client claims", "gets it alone", "escalate tells chiefs, who may not decide"]
    {
        assert!(known.contains(says), "{says}: {known}");
    }
}

#[test]
fn a_client_that_may_ask_for_itself_and_that_nobody_owns_is_named() {
    let asked = || asks(ask(&["leads"], 1));
    let about = |rules: Vec<(&str, &str, Outcome)>, owners: Owners| {
        let mut rules = with_till(policy(rules));
        rules.resources[0].owners = owners;
        let known = found(&rules, Weight::Know).into_iter();
        known.filter(|says| says.contains("`owners` names nobody")).collect::<Vec<_>>()
    };
    let says = about(vec![("it", "scope == 'see'", asked())], Owners::default());
    assert!(says.len() == 1 && says[0].starts_with("resource `Till`") && says[0].contains("rule 1 `it`"), "{says:?}");
    let dana = Owners::Named([crate::domain::identity::Principal::new("dana@example.org")].into());
    let trusting = Ask { self_approval: SelfApproval::Allowed, ..ask(&["leads"], 1) };
    for (rules, owners) in [
        (vec![("it", "scope == 'see'", asked())], dana),
        (vec![("it", "scope == 'see'", asked())], Owners::compile("context.owners").unwrap()),
        (vec![("it", "scope == 'see' && subject.kind == 'user'", asked())], Owners::default()),
        (vec![("no", "subject.kind == 'client'", deny("No.")), ("it", "true", asked())], Owners::default()),
        (vec![("it", "scope == 'elsewhere'", asked())], Owners::default()),
        (vec![("it", "true", allow(5))], Owners::default()),
        (vec![("it", "true", asks(trusting))], Owners::default()),
    ] {
        let names: Vec<&str> = rules.iter().map(|(_, when, _)| *when).collect();
        assert!(about(rules.clone(), owners).is_empty(), "{names:?}");
    }
}

#[test]
fn whoever_counts_for_several_requirements_at_once_is_named() {
    let both = || {
        let (a, b) = (ask(&["a"], 1), ask(&["b"], 1));
        let requirements = a.requirements.iter().chain(&b.requirements).cloned().collect();
        let rules = with_till(policy(vec![("both", "scope == 'open'", asks(Ask { requirements, ..a.clone() }))]));
        Policy { shared: true, ..rules }
    };
    let twice = |sets: &[(&str, &[&str], &[&str])]| {
        let known = found(&with_people(both(), sets), Weight::Know);
        known.iter().any(|says| says.contains("`shared = true`: somebody who is in a and in b"))
    };
    assert!(twice(&[("a", &["U0ANN"], &[]), ("b", &["U0ANN", "U0BEN"], &[])]));
    assert!(twice(&[("a", &["U0ANN"], &[]), ("b", &[], &["S0ALL"])]));
    assert!(!twice(&[("a", &["U0ANN"], &[]), ("b", &["U0BEN"], &[])]));
    // For what is critical that is one person, not two.
    let says = found(&both(), Weight::Mend).join(" ");
    assert!(says.contains("asks one person, who may be in all of its approver sets, for a click"), "{says}");
    let weak = question(ruling(&both(), &asked("open"), true)).not_now.expect("refused");
    assert!(weak.says.contains("two people or a stronger ceremony"), "{}", weak.says);
    assert_eq!(question(ruling(&Policy { shared: false, ..both() }, &asked("open"), true)).not_now, None);
}

/// An explanation tells the same verdict, and each part that it blames is false.
#[test]
fn an_explanation_names_the_part_that_was_false_with_what_it_saw() {
    let rules = policy(vec![
        ("hours", "scope.endsWith(':read') && now.getHours('Europe/Berlin') >= 20", deny("Closed.")),
        ("robots", "(scope == 'a:read' && subject.kind == 'client')", deny("No robots.")),
        ("alarm", "has(context.alarm) && context.alarm", allow(5)),
        ("either", "scope == 'x' || client.id == 'y'", allow(5)),
        ("reads", "scope.endsWith(':read')", allow(5)),
    ]);
    let explained = rules.explain(&asked("a:read z"), &|_| false, noon());
    assert_eq!(explained.iter().map(|one| one.judged.clone()).collect::<Vec<_>>(), judge(&rules, &asked("a:read z")));
    let told: Vec<(usize, &str, String)> = explained[0]
        .earlier
        .iter()
        .map(|passed| {
            let seen =
                passed.seen.iter().map(|seen| format!("{}={}", seen.what, seen.value.clone().unwrap_or_default()));
            (passed.number, passed.part.as_str(), seen.collect::<Vec<_>>().join(" "))
        })
        .collect();
    let expected = [
        (1, "now.getHours('Europe/Berlin') >= 20", "now.getHours('Europe/Berlin')=13"),
        (2, "subject.kind == 'client'", "subject.kind=\"user\""),
        (3, "has(context.alarm)", "context.alarm="),
        (4, "scope == 'x' || client.id == 'y'", "client.id=\"till-cli\" scope=\"a:read\""),
    ];
    assert_eq!(told, expected.map(|(number, part, seen)| (number, part, seen.to_owned())));
    assert_eq!((explained[0].number, explained[1].number), (Some(5), None));
    assert_eq!(explained[1].earlier.len(), 5);
}
