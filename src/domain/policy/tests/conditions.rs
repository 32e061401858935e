//! Stories about conditions: what they see, and what is wrong with them.

use super::*;

/// Whether a condition holds for a request.
fn holds(when: &str, asked: &TokenRequest) -> bool {
    let judged = judge(&policy(vec![("it", when, deny("it holds"))]), asked);
    match &judged[0].outcome {
        Outcome::Deny(says) => says == "it holds",
        Outcome::Allow(_) | Outcome::Ask(_) | Outcome::BreakGlass(_) => unreachable!(),
    }
}

#[test]
fn conditions_see_what_was_asked() {
    let request = asked_with(
        "a:read b",
        &json!({
            "actor": ["agent-7"], "requested_lifetime": 3600, "reason": "TILL-1", "client": {"id": "till-cli", "name": "Till"},
            "authorization_details": [{"type": "pay", "amount": 120, "currency": "EUR"}],
            "context": {"ip": "203.0.113.7", "amr": ["hwk"], "level": 3, "break_glass": true}
        }),
    );
    for when in [
        "scope == 'a:read' || scope == 'b'",
        "scopes == ['a:read', 'b']",
        "'https://till.example.org' in audience && size(audience) == 1",
        "client.id.startsWith('till-') && client.name == 'Till'",
        "subject.kind == 'user' && subject.id == 'dora@example.org' && subject.email.endsWith('@example.org')",
        "actor == ['agent-7']",
        "grant_type == 'client_credentials' && hook == 'till'",
        "authorization_details.exists(d, d.type == 'pay' && d.amount + 1 > 120)",
        "reason.matches('^TILL-[0-9]+$') && matches(reason, 'TILL')",
        "has(context.break_glass) && context.break_glass && context.level - 4 < 0",
        "has(context.amr) && 'hwk' in context.amr",
        "requested_lifetime == duration('1h')",
        "!first_time",
        "now == timestamp('2026-11-23T12:00:00Z')",
        "[1, 2].all(scope, scope > 0) && size(scope) > 0",
    ] {
        assert!(holds(when, &request), "{when}");
    }
}

#[test]
fn what_is_absent_is_an_empty_text_an_empty_list_or_no_time() {
    let request = asked_with("", &json!({"audience": [], "subject": {"kind": "client", "id": "till-cli"}}));
    for when in [
        "scope == '' && scopes == [] && audience == [] && actor == [] && authorization_details == []",
        "client.name == '' && subject.email == '' && reason == ''",
        "requested_lifetime == duration('0s') && !has(context.ip)",
    ] {
        assert!(holds(when, &request), "{when}");
    }
}

#[test]
fn hours_are_counted_where_the_office_is() {
    let rules =
        || policy(vec![("day", "now.getHours('Europe/Berlin') >= 7 && now.getHours('Europe/Berlin') < 20", allow(1))]);
    for (time, open) in [
        ("2026-07-01T04:59:59Z", false),
        ("2026-07-01T05:00:00Z", true),
        ("2026-12-01T05:59:59Z", false),
        ("2026-12-01T18:59:59Z", true),
        ("2026-12-01T19:00:00Z", false),
    ] {
        let judged = rules().judge(&asked("a"), &|_| false, at(time));
        assert_eq!(matches!(judged[0].outcome, Outcome::Allow(_)), open, "{time}");
    }
}

#[test]
fn what_cannot_be_a_condition_is_found_at_load() {
    for (when, why) in [
        ("scope ==", "not a CEL expression"),
        ("scpe == 'a'", "there is no `scpe`; a condition can use scope, scopes"),
        ("audience.all(a, b == '')", "there is no `b`"),
        ("audience.exists(a, a == '') && a == ''", "there is no `a`"),
        (".nobody == 1", "there is no `nobody`"),
        ("subject.mail == ''", "`subject` has no `mail`; it has kind, id, email"),
        ("has(client.owner)", "`client` has no `owner`"),
        ("false && sizeof(scope) == 1", "there is no function `sizeof`"),
        ("false && scope.begins('a')", "there is no method `begins`"),
        ("false && Foo{a: 1} == 1", "there is no type `Foo`"),
        ("binding_message == '42'", "what the client claims"),
        ("context.?ip.orValue('') == ''", "not a CEL expression"),
        ("scope", "it, is of type string"),
        ("size(scopes)", "is of type int"),
        ("scope == 'never' && client.id", "is of type string"),
        ("scope == 'never' && (first_time ? true : audience[0])", "is of type string"),
        ("scope == 'never' && scope + 1 == 2", "types in it do not fit together"),
        ("context.acr", "is of type string"),
        ("scope == 'never' && now.getHours('Europe/Berlim') > 7", "unknown time zone Europe/Berlim"),
        ("scope == 'never' && requested_lifetime > duration('2 hours')", "cannot read `2 hours`"),
        ("scope == 'never' && scope.matches('(')", "the pattern `(` cannot be used"),
        ("scope == 'never' && scope.matches('(\\\\w{100}){100}{100}')", "cannot be used"),
        ("scope.matches(client.id)", "must be written out"),
    ] {
        let error = Condition::compile(when, Use::RefusesOrAsks).expect_err(when).to_string();
        assert!(error.contains(why), "{when}: {error}");
    }
}

#[test]
fn a_rule_that_issues_without_asking_must_not_rest_on_the_clients_claims() {
    let error = Condition::compile("scope == 'a' && reason != ''", Use::LetsThrough).unwrap_err().to_string();
    assert!(error.contains("`reason` is what the client claims"), "{error}");
    assert!(Condition::compile("scope == 'a' && reason != ''", Use::RefusesOrAsks).is_ok());
    assert!(Condition::compile("['x'].exists(reason, reason == 'x')", Use::LetsThrough).is_ok(), "another `reason`");
}

#[test]
fn a_condition_that_cannot_be_evaluated_refuses_and_names_its_rule() {
    let request = asked_with("a", &json!({"context": {"level": "high", "zero": 0, "token": "s3cret"}}));
    for (when, why) in [
        ("context.break_glass", "there is no `break_glass` (has() tells"),
        ("1 / context.zero == 1", "it divides by zero"),
        ("actor[0] == 'x'", "past the end of a list"),
        ("context.level > 3", "types of two values do not fit"),
        ("int(context.token) == 1", "`int` cannot take the value"),
        ("context.level", "neither true nor false"),
        ("9223372036854775807 + size(scopes) > 0", "becomes too large"),
        ("context.level && scope == 'a'", "types of two values"),
    ] {
        let rules = policy(vec![("careful", when, allow(1)), ("all", "true", allow(1))]);
        let judged = judge(&rules, &request);
        let Outcome::Deny(says) = &judged[0].outcome else { panic!("{when} let it through") };
        assert!(says.contains("`careful`") && says.contains(why), "{when}: {says}");
        assert!(!says.contains("s3cret") && !says.contains("high"), "{when} tells a value: {says}");
        assert_eq!(judged[0].rule.as_deref(), Some("careful"));
    }
}
