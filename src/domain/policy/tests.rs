//! Stories about policies: what each scope gets, and what becomes of the whole.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::Timestamp;
use crate::domain::token_request::TokenRequest;

mod conditions;
mod emergencies;
mod guards;
mod lints;
mod properties;

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
        self_approval: SelfApproval::Never,
        reminders: Vec::new(),
        notify: Notify::default(),
        on_deactivation: OnDeactivation::Keep,
        on_behalf: false,
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
            Outcome::Allow(_) | Outcome::Deny(_) | Outcome::BreakGlass(_) => None,
        };
        let reason_pattern = pattern.map(|pattern| compile_pattern(&pattern).unwrap());
        Rule { name: name.to_owned(), when, outcome, reason_pattern, mode: Mode::Enforce }
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
        partial: Partial::Hold,
        usual_channels: std::collections::BTreeMap::new(),
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
        other @ (Ruling::Allowed(_) | Ruling::Asked(_) | Ruling::BreakGlass(_) | Ruling::Observed(_)) => {
            panic!("not refused: {other:?}")
        }
    }
}

fn allowed(ruling: Ruling) -> Terms {
    match ruling {
        Ruling::Allowed(terms) => terms,
        other @ (Ruling::Refused(_) | Ruling::Asked(_) | Ruling::BreakGlass(_) | Ruling::Observed(_)) => {
            panic!("not allowed: {other:?}")
        }
    }
}

fn question(ruling: Ruling) -> Question {
    match ruling {
        Ruling::Asked(question) => question,
        other @ (Ruling::Refused(_) | Ruling::Allowed(_) | Ruling::BreakGlass(_) | Ruling::Observed(_)) => {
            panic!("not asked: {other:?}")
        }
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
    assert!(!plain.asks_first_time(&asked("a b")));
    plain.judge(&asked("a b"), &|_| panic!("nobody wants to know"), noon());
    let careful = policy(vec![("known", "!first_time", allow(5))]);
    assert!(careful.asks_first_time(&asked("a b")));
    let elsewhere = policy(vec![("known", "scope == 'c' && !first_time", allow(5))]);
    assert!(!elsewhere.asks_first_time(&asked("a b")), "no rule that may match wants to know");
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
    rules.usual_channels = channel("C0USUAL").map(|usual| (asked("a").hook, usual)).into_iter().collect();
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

fn with_till(mut policy: Policy) -> Policy {
    let text = |says: &str, risk| ScopeText { says: says.to_owned(), risk, less: None };
    let scope = |name: &str| Scope::try_from(name.to_owned()).unwrap();
    let resource = |audience: &str, name: &str, scopes| Resource {
        audience: audience.to_owned(),
        name: name.to_owned(),
        clients: Vec::new(),
        hooks: Vec::new(),
        owners: Owners::default(),
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
    assert_eq!(
        question(ruling(&rules(asks(strong)), &asked_with("open", &json!({"binding_message": "7"})), true)).not_now,
        None
    );
}
