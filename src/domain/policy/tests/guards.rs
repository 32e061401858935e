//! Skipping rules by their guards gives what reading every rule gives, errors included.

use proptest::prelude::*;

use super::*;

/// Small alphabets, so that texts meet often.
const TEXTS: [&str; 8] = ["a", "a:read", "b:read", "till", "till-cli", "user", "client", ""];
const FACTS: [&str; 8] =
    ["scope", "hook", "grant_type", "client.id", "client.name", "subject.kind", "subject.id", "subject.email"];
/// What no guard is made of: some of them true, some false, some without a value, some no boolean at all.
const OTHERS: [&str; 16] = [
    "true",
    "false",
    "first_time",
    "context.missing == 1",
    "context.level > 1",
    "context.flag",
    "has(context.flag)",
    "has(context.flag) && context.flag",
    "!has(context.level)",
    "has(context.deep.down)",
    "actor[0] == 'x'",
    "1 / size(actor) == 1",
    "scopes.exists(scope, scope == 'a')",
    "scopes.all(s, s.endsWith(':read'))",
    "scope.matches('^a')",
    "(scope == 'a' ? context.flag : scope.startsWith('b'))",
];

fn text() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&TEXTS)
}

fn any_atom() -> impl Strategy<Value = String> {
    let fact = || proptest::sample::select(&FACTS);
    prop_oneof![
        (fact(), text()).prop_map(|(fact, text)| format!("{fact} == '{text}'")),
        (fact(), text()).prop_map(|(fact, text)| format!("'{text}' == {fact}")),
        (fact(), text()).prop_map(|(fact, text)| format!("{fact} != '{text}'")),
        (fact(), text()).prop_map(|(fact, text)| format!("{fact}.startsWith('{text}')")),
        (fact(), text()).prop_map(|(fact, text)| format!("{fact}.endsWith('{text}')")),
        (fact(), text(), text()).prop_map(|(fact, one, two)| format!("{fact} in ['{one}', '{two}']")),
        proptest::sample::select(&OTHERS).prop_map(str::to_owned),
    ]
}

fn any_condition() -> impl Strategy<Value = String> {
    any_atom().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn any_request() -> impl Strategy<Value = TokenRequest> {
    let context = prop_oneof![
        Just(json!({})),
        Just(json!({"flag": true, "level": 2})),
        Just(json!({"flag": "yes", "level": "high", "deep": {"down": 1}})),
        Just(json!({"flag": false, "level": null, "deep": 7})),
    ];
    let scopes = proptest::collection::vec(proptest::sample::select(&["a", "a:read", "b:read", "z"]), 0..4);
    (scopes, text(), text(), any::<bool>(), proptest::collection::vec(text(), 0..2), context).prop_map(
        |(scopes, client, subject, person, actor, context)| {
            let kind = if person { "user" } else { "client" };
            let more = json!({
                "client": {"id": client, "name": subject}, "subject": {"kind": kind, "id": subject},
                "grant_type": client, "actor": actor, "context": context,
            });
            asked_with(&scopes.join(" "), &more)
        },
    )
}

proptest! {
    #[test]
    fn the_same_rule_decides_with_and_without_the_index(
        conditions in proptest::collection::vec(any_condition(), 1..9),
        requests in proptest::collection::vec(any_request(), 1..5),
        first in any::<bool>(),
    ) {
        // A random condition may be no condition at all: those are not what this is about.
        let compiles = |when: &String| Condition::compile(when, Use::RefusesOrAsks).is_ok();
        let usable: Vec<(usize, String)> = conditions.into_iter().filter(compiles).enumerate().collect();
        let names: Vec<String> = usable.iter().map(|(n, _)| format!("rule {n}")).collect();
        let rules = usable.iter().zip(&names).map(|((_, when), name)| (name.as_str(), when.as_str(), deny("No.")));
        let policy = policy(rules.collect());
        for request in &requests {
            let quick = policy.judge(request, &|_| first, noon());
            let plain = policy.judge_plainly(request, &|_| first, noon());
            prop_assert_eq!(quick, plain, "{:?} for {:?}", usable, request);
        }
    }
}

/// How many rules are left to be evaluated.
fn left(when: &[&str], request: &TokenRequest) -> usize {
    let policy = policy(when.iter().map(|when| ("it", *when, deny("No."))).collect());
    let scope = request.scopes.judged().remove(0);
    rules::Sieve::new(&policy.rules, request).candidates(&scope).len()
}

#[test]
fn what_cannot_match_is_not_evaluated() {
    let request = asked_with("a:read", &json!({"context": {"ip": "192.0.2.1"}}));
    for when in [
        "scope == 'b' && context.level > 3",
        "context.level > 3 && scope == 'b'",
        "context.level > 3 && (scope == 'b' || scope in ['c', 'd'] || client.id == 'x')",
        "scope.endsWith(':write') && now.getHours() > 7",
        "!scope.endsWith(':read') && now.getHours() > 7",
        "subject.kind == 'client' && now.getHours() > 7",
        "hook != 'till' && now.getHours() > 7",
        "scope == 'prod' && has(context.break_glass) && context.break_glass",
        "has(context.break_glass) && context.break_glass",
        "scope == 'a' && scope == 'a:read'",
        "false",
    ] {
        assert_eq!(left(&[when], &request), 0, "{when}");
    }
    // What the request tells is asked once, whatever its scopes are; what a scope tells, for each of them.
    let several = asked_with("a a:read b:read", &json!({}));
    let two = policy(vec![
        ("client", "client.id == 'x' && now.getHours() > 7", deny("No.")),
        ("scope", "scope.startsWith('b') && now.getHours() > 7", deny("No.")),
    ]);
    let mut sieve = rules::Sieve::new(&two.rules, &several);
    let left_of_two: Vec<usize> = several.scopes.judged().iter().map(|scope| sieve.candidates(scope).len()).collect();
    assert_eq!(left_of_two, [0, 0, 1]);
    for when in ["scope == 'b' || now.getHours() > 7", "!(scope == 'b' && context.level > 3)", "scope == 'a:read'"] {
        assert_eq!(left(&[when], &request), 1, "{when}");
    }
}

#[test]
fn a_loop_over_long_lists_ends_and_refuses_by_its_rules_name() {
    let ten_thousand: Vec<u32> = (0..10_000).collect();
    let request = asked_with("a", &json!({"context": {"list": ten_thousand, "short": [1, 2, 3]}}));
    for (when, ends) in [
        ("context.list.all(a, a >= 0)", true),
        ("context.list.exists(a, a > 9998)", true),
        ("size(context.list.map(a, a + 1)) == 10000", true),
        ("size(context.list.filter(a, a > 9000)) == 999", true),
        ("context.list.exists_one(a, a == 7)", true),
        ("context.short.all(a, context.short.exists(b, a == b))", true),
        ("context.list.all(a, context.list.exists(b, b < 0) || true)", false),
        ("context.list.exists(a, context.short.exists(b, b == 7))", false),
        ("size(context.list.map(a, context.list.map(b, a + b))) > 0", false),
        ("size(context.list.filter(a, size(context.list.filter(b, false)) == 0)) > 0", false),
        ("context.list.exists_one(a, context.list.exists_one(b, a == b))", false),
        ("context.list.all(a, a >= 0) && context.list.all(a, a >= 0)", false),
    ] {
        let rules = policy(vec![("loops", when, allow(5)), ("all", "true", allow(5))]);
        let judged = judge(&rules, &request).remove(0);
        if let Outcome::Deny(says) = &judged.outcome {
            assert!(!ends && says.contains("`loops`") && says.contains("10000 turns"), "{when}: {says}");
        } else {
            assert!(ends, "{when} was let through by {:?}", judged.rule);
        }
    }
}
