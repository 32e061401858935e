//! Stories about policies: what each scope gets, and what becomes of the whole.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::Timestamp;
use crate::domain::token_request::TokenRequest;

fn bounds(minutes: u64) -> Bounds {
    Bounds { max_duration: minutes * 60, max_token_lifetime: 600, collect_within: 900, uses: Uses::Window }
}

fn allow(minutes: u64) -> Outcome {
    Outcome::Allow(Bounds { collect_within: LONGEST, ..bounds(minutes) })
}

fn deny(says: &str) -> Outcome {
    Outcome::Deny(says.to_owned())
}

fn ask(sets: &[&str], people: u8) -> Ask {
    let approvers = sets.iter().map(|set| SetName::parse(*set).unwrap()).collect();
    let count = NonZeroU8::new(people).unwrap();
    Ask {
        requirements: vec![Requirement { approvers, count, scopes: ScopeSet::default() }],
        bounds: bounds(120),
        decide_within: 1_800,
        ceremony: Ceremony::Click,
        reason: None,
        channel: None,
        notify_later: false,
        unenforced: None,
    }
}

fn asks(ask: Ask) -> Outcome {
    Outcome::Ask(Arc::new(ask))
}

fn policy(rules: Vec<(&str, &str, Outcome)>) -> Policy {
    let rule = |(name, when, outcome): (&str, &str, Outcome)| {
        let purpose = if matches!(outcome, Outcome::Allow(_)) { Use::LetsThrough } else { Use::RefusesOrAsks };
        let when = Condition::compile(when, purpose).unwrap();
        let pattern = match &outcome {
            Outcome::Ask(ask) => ask.reason.as_ref().and_then(|reason| reason.matches.clone()),
            Outcome::Allow(_) | Outcome::Deny(_) => None,
        };
        let reason_pattern = pattern.map(|pattern| compile_pattern(&pattern).unwrap());
        Rule { name: name.to_owned(), when, outcome, reason_pattern }
    };
    Policy {
        version: PolicyVersion("v1".to_owned()),
        approvers: BTreeMap::new(),
        resources: Vec::new(),
        rules: rules.into_iter().map(rule).collect(),
        limits: Limits {
            pending_per_subject: None,
            pending_per_client: None,
            cards_per_approver_per_hour: None,
            denial_cooldown: 600,
        },
        shared: false,
        usual_channel: None,
        warnings: Vec::new(),
    }
}

/// A token request for `scope`, with whatever else the story needs.
fn asked_with(scope: &str, more: &Value) -> TokenRequest {
    let mut request = json!({
        "hook": "till", "grant_type": "client_credentials", "client": {"id": "till-cli"},
        "subject": {"kind": "user", "id": "dora@example.org", "email": "dora@example.org"},
        "audience": ["https://till.example.org"], "scopes": ScopeSet::parse(scope).unwrap(),
    });
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    serde_json::from_value(request).unwrap()
}

fn asked(scope: &str) -> TokenRequest {
    asked_with(scope, &json!({}))
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-23T12:00:00Z")
}

fn judge(policy: &Policy, asked: &TokenRequest) -> Vec<Judged> {
    policy.judge(asked, &|_| false, noon())
}

fn ruling(policy: &Policy, asked: &TokenRequest, narrow_scope: bool) -> Ruling {
    policy.rule(asked, judge(policy, asked), narrow_scope)
}

fn refused(ruling: Ruling) -> Refused {
    match ruling {
        Ruling::Refused(refused) => refused,
        other @ (Ruling::Allowed(_) | Ruling::Asked(_)) => panic!("not refused: {other:?}"),
    }
}

fn allowed(ruling: Ruling) -> Terms {
    match ruling {
        Ruling::Allowed(terms) => terms,
        other @ (Ruling::Refused(_) | Ruling::Asked(_)) => panic!("not allowed: {other:?}"),
    }
}

fn question(ruling: Ruling) -> Question {
    match ruling {
        Ruling::Asked(question) => question,
        other @ (Ruling::Refused(_) | Ruling::Allowed(_)) => panic!("not asked: {other:?}"),
    }
}

/// Whether a condition holds for a request.
fn holds(when: &str, asked: &TokenRequest) -> bool {
    let judged = judge(&policy(vec![("it", when, deny("it holds"))]), asked);
    match &judged[0].outcome {
        Outcome::Deny(says) => says == "it holds",
        Outcome::Allow(_) | Outcome::Ask(_) => unreachable!(),
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

#[test]
fn every_scope_is_decided_by_the_first_rule_that_matches_it() {
    let rules = policy(vec![
        ("no exports", "scope == 'export' && client.id.startsWith('till-')", deny("Never from a till.")),
        ("reads", "scope.endsWith(':read')", allow(5)),
        ("exports", "scope == 'export'", allow(5)),
    ]);
    let judged = judge(&rules, &asked("a:read export pay"));
    let rule = |n: usize| (judged[n].scope.as_str(), judged[n].rule.as_deref());
    assert_eq!([rule(0), rule(1), rule(2)], [("a:read", Some("reads")), ("export", Some("no exports")), ("pay", None)]);
    assert_eq!(judged[2].outcome, deny("No rule allows pay."));
}

#[test]
fn no_scope_at_all_is_judged_once_and_refused_unless_a_rule_names_it() {
    let none = policy(vec![("reads", "scope.endsWith(':read')", allow(5))]);
    assert!(refused(ruling(&none, &asked(""), true)).says.contains("No scope was named"));
    let named = policy(vec![("plain", "scope == ''", allow(5))]);
    let terms = allowed(ruling(&named, &asked(""), true));
    assert!(terms.scopes.is_empty());
    assert_eq!(terms.rules.get(&Scope::unnamed()).map(String::as_str), Some("plain"));
}

#[test]
fn first_time_is_asked_for_each_scope_and_only_where_a_rule_wants_it() {
    let plain = policy(vec![("all", "true", allow(5))]);
    assert!(!plain.asks_first_time());
    plain.judge(&asked("a b"), &|_| panic!("nobody wants to know"), noon());
    let careful = policy(vec![("known", "!first_time", allow(5))]);
    assert!(careful.asks_first_time());
    let judged = careful.judge(&asked("a b"), &|scope| scope.as_str() == "a", noon());
    assert_eq!(judged.iter().map(|j| j.rule.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn refused_scopes_drop_out_where_the_server_can_narrow_and_refuse_all_where_it_cannot() {
    let rules = policy(vec![("reads", "scope.endsWith(':read')", allow(5)), ("no", "scope == 'x'", deny("Not x."))]);
    let terms = allowed(ruling(&rules, &asked("a:read x"), true));
    assert_eq!(terms.scopes.to_string(), "a:read");
    assert_eq!(terms.dropped.values().map(|r| r.says.as_str()).collect::<Vec<_>>(), ["Not x."]);
    let all = refused(ruling(&rules, &asked("a:read x"), false));
    assert_eq!(all.rule.as_deref(), Some("no"));
    assert!(all.says.starts_with("Not x.") && all.says.ends_with("ask for these alone: a:read"), "{}", all.says);
    assert_eq!(refused(ruling(&rules, &asked("x"), true)).says, "Not x.");
    let both = refused(ruling(&rules, &asked("x y"), true));
    assert_eq!((both.says.as_str(), both.rule), ("x: Not x. y: No rule allows y.", Some("no".to_owned())));
}

#[test]
fn the_smallest_bounds_of_all_rules_hold_for_the_whole_token() {
    let single =
        Ask { bounds: Bounds { uses: Uses::Times(1), max_token_lifetime: 300, ..bounds(60) }, ..ask(&["leads"], 1) };
    let many = Ask { bounds: Bounds { uses: Uses::Times(5), collect_within: 60, ..bounds(90) }, ..ask(&["leads"], 1) };
    let rules = policy(vec![
        ("r", "scope == 'r'", allow(30)),
        ("s", "scope == 's'", asks(single)),
        ("m", "scope == 'm'", asks(many)),
    ]);
    let bounds = question(ruling(&rules, &asked("m r s"), false)).terms.bounds;
    let expected = Bounds { max_duration: 1_800, max_token_lifetime: 300, collect_within: 60, uses: Uses::Times(1) };
    assert_eq!(bounds, expected);
}

#[test]
fn requirements_on_the_same_people_merge_and_on_others_stand_beside_each_other() {
    let rules = policy(vec![
        ("a", "scope == 'a'", asks(ask(&["leads"], 1))),
        ("b", "scope == 'b'", asks(ask(&["leads"], 2))),
        ("c", "scope == 'c'", asks(ask(&["leads", "owners"], 1))),
        ("r", "scope == 'r'", allow(5)),
    ]);
    let question = question(ruling(&rules, &asked("a b c r"), true));
    let shape: Vec<_> =
        question.requirements.iter().map(|r| (r.approvers.len(), r.count.get(), r.scopes.to_string())).collect();
    assert_eq!(shape, [(1, 2, "a b".to_owned()), (2, 1, "c".to_owned())]);
    assert_eq!(question.asked.to_string(), "a b c");
    assert_eq!(question.terms.scopes.to_string(), "a b c r");
    assert_eq!(question.not_now, None);
}

#[test]
fn the_strictest_ceremony_the_shortest_patience_and_all_channels_count() {
    let channel = |id: &str| Some(SlackChannelId::parse(id).unwrap());
    let a = Ask { ceremony: Ceremony::Confirm, decide_within: 600, channel: channel("C0TILL"), ..ask(&["leads"], 1) };
    let b = Ask { channel: channel("C0SAFE"), ..ask(&["leads"], 1) };
    let c = Ask { channel: None, ..ask(&["owners"], 1) };
    let mut rules = policy(vec![
        ("a", "scope == 'a'", asks(a)),
        ("b", "scope in ['b', 'd']", asks(b)),
        ("c", "scope == 'c'", asks(c)),
    ]);
    let names = |question: &Question| question.channels.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all = question(ruling(&rules, &asked("a b d"), true));
    assert_eq!(
        (all.ceremony, all.decide_within, names(&all)),
        (Ceremony::Confirm, 600, vec!["C0TILL".to_owned(), "C0SAFE".to_owned()])
    );
    rules.usual_channel = channel("C0USUAL");
    assert_eq!(names(&question(ruling(&rules, &asked("a c"), true))), ["C0TILL", "C0USUAL"]);
    assert!(names(&question(ruling(&rules, &asked("c"), true))).is_empty());
}

#[test]
fn a_missing_or_malformed_reason_opens_nothing_and_says_what_is_wanted() {
    let reason = |required| {
        Some(ReasonRule { required, matches: Some("[A-Z]+-[0-9]+".to_owned()), says: "Name the ticket".to_owned() })
    };
    let strict = policy(vec![("pay", "scope == 'pay'", asks(Ask { reason: reason(true), ..ask(&["leads"], 1) }))]);
    let lenient = policy(vec![("pay", "scope == 'pay'", asks(Ask { reason: reason(false), ..ask(&["leads"], 1) }))]);
    for (given, strict_says, lenient_says) in [
        (json!({}), true, false),
        (json!({"reason": "  "}), true, false),
        (json!({"reason": "because"}), true, true),
        (json!({"reason": "for TILL-7"}), false, false),
    ] {
        let request = asked_with("pay", &given);
        let says = |rules: &Policy| {
            question(ruling(rules, &request, true)).not_now.map(|refused| (refused.rule, refused.says))
        };
        let expected = |says: bool| says.then(|| (Some("pay".to_owned()), "Name the ticket".to_owned()));
        assert_eq!(says(&strict), expected(strict_says), "{given}");
        assert_eq!(says(&lenient), expected(lenient_says), "{given}");
    }
}

#[test]
fn what_is_not_enforced_yet_is_never_asked() {
    let wanting = Ask { unenforced: Some("needs more than there is".to_owned()), ..ask(&["leads"], 1) };
    let rules = policy(vec![("r", "scope == 'r'", allow(5)), ("x", "scope == 'x'", asks(wanting))]);
    let not_now = question(ruling(&rules, &asked("r x"), true)).not_now.unwrap();
    assert_eq!((not_now.rule.as_deref(), not_now.says.as_str()), (Some("x"), "needs more than there is"));
}

fn with_till(mut policy: Policy) -> Policy {
    let text = |says: &str, risk| ScopeText { says: says.to_owned(), risk, less: None };
    let scope = |name: &str| Scope::try_from(name.to_owned()).unwrap();
    let resource = |audience: &str, name: &str, scopes| Resource {
        audience: audience.to_owned(),
        name: name.to_owned(),
        clients: Vec::new(),
        hooks: Vec::new(),
        scopes,
    };
    policy.resources = vec![
        resource(
            "https://till.example.org",
            "Till",
            [
                (scope("open"), text("Open the drawer", Some(Risk::Critical))),
                (scope("see"), text("See the sums", None)),
            ]
            .into(),
        ),
        resource("https://door.example.org", "Door", [(scope("open"), text("Open the door", Some(Risk::Low)))].into()),
    ];
    policy
}

#[test]
fn a_scope_means_what_it_means_at_its_audience() {
    let rules = with_till(policy(vec![]));
    let says = |audience: &[&str], scope: &str| {
        let request = asked_with(scope, &json!({"audience": audience}));
        let scope = Scope::try_from(scope.to_owned()).unwrap();
        rules.resource_text(&request, &scope).map(|text| text.says.clone()).unwrap_or_default()
    };
    assert_eq!(says(&["https://door.example.org"], "open"), "Open the door");
    assert_eq!(says(&["https://door.example.org", "https://till.example.org"], "open"), "Open the drawer");
    assert_eq!(says(&[], "open"), "Open the drawer", "no audience: the worst that it may mean");
    assert_eq!(says(&["https://elsewhere.example.org"], "open"), "");
    assert_eq!(rules.resource_name("https://till.example.org"), Some("Till"));
}

#[test]
fn what_is_critical_needs_two_people_or_a_stronger_ceremony() {
    let rules = |outcome| with_till(policy(vec![("it", "true", outcome)]));
    assert!(refused(ruling(&rules(allow(5)), &asked("open"), true)).says.contains("never issued without asking"));
    assert_eq!(allowed(ruling(&rules(allow(5)), &asked("open see"), true)).scopes.to_string(), "see");
    let weak = question(ruling(&rules(asks(ask(&["leads"], 1))), &asked("open"), true));
    assert!(weak.not_now.unwrap().says.contains("two people or a stronger ceremony"));
    assert_eq!(question(ruling(&rules(asks(ask(&["leads"], 2))), &asked("open"), true)).not_now, None);
    let strong = Ask { ceremony: Ceremony::Match, ..ask(&["leads"], 1) };
    assert_eq!(question(ruling(&rules(asks(strong)), &asked("open"), true)).not_now, None);
}
