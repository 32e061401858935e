//! Every key that a policy may have, and the test that fails when its enforcement is taken away.
//!
//! The first test holds the list against a policy that uses every key of the language, the second against the tests
//! that there are. What a test is about is in its name; the rest is in docs/policy.md.

use std::collections::BTreeSet;
use std::path::Path;

use countersign::config::{ConfigError, policy_file};

/// A key (with the tables above it), and tests by the names of their functions: each fails when the key is read and
/// forgotten, or when what it demands is not looked at any more.
const KEYS: &[(&str, &[&str])] = &[
    (
        "approvers.slack_groups",
        &["every_click_that_may_not_count_changes_nothing", "an_approver_who_has_left_by_the_hand_over_does_not_count"],
    ),
    (
        "approvers.slack_users",
        &[
            "a_requirement_falls_away_with_its_scopes_and_what_is_left_must_be_for_whoever_leaves_it",
            "an_approver_whom_the_policy_no_longer_names_does_not_count",
        ],
    ),
    ("resource.audience", &["a_card_says_what_the_catalogue_says_at_that_audience_and_nothing_elsewhere"]),
    ("resource.name", &["a_card_says_what_the_catalogue_says_at_that_audience_and_nothing_elsewhere"]),
    ("resource.clients", &["access_offers_a_resource_through_its_clients_alone"]),
    ("resource.hooks", &["what_was_asked_ahead_is_collected_at_the_hooks_of_its_resource_and_nowhere_else"]),
    (
        "resource.owners",
        &[
            "the_clients_owner_decides_nothing_whether_named_or_computed",
            "an_owner_of_the_opening_stays_one_whatever_the_policy_says_later",
            "an_owner_who_became_one_before_the_hand_over_does_not_count_any_more",
        ],
    ),
    ("resource.scope.name", &["a_card_says_what_the_catalogue_says_at_that_audience_and_nothing_elsewhere"]),
    ("resource.scope.says", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    (
        "resource.scope.risk",
        &[
            "what_is_critical_needs_two_people_or_a_stronger_ceremony",
            "a_card_says_what_the_catalogue_says_at_that_audience_and_nothing_elsewhere",
        ],
    ),
    ("resource.scope.less", &["a_lower_scope_of_the_catalogue_is_suggested_and_never_granted_unasked"]),
    ("rule.name", &["every_mistake_in_the_policy_is_told_with_its_key_and_what_is_allowed"]),
    ("rule.when", &["every_scope_is_decided_by_the_first_rule_that_matches_it"]),
    ("rule.mode", &["an_observed_rule_lets_its_scopes_pass_and_the_enforced_ones_decide_the_others"]),
    ("rule.deny", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    ("rule.allow.max_duration", &["a_rule_that_allows_says_how_long_and_how_long_each_token"]),
    ("rule.allow.max_token_lifetime", &["a_rule_that_allows_says_how_long_and_how_long_each_token"]),
    ("rule.ask.approvers", &["every_click_that_may_not_count_changes_nothing"]),
    (
        "rule.ask.approvals",
        &[
            "what_needs_two_people_waits_for_the_second",
            "a_policy_that_asks_for_fewer_now_does_not_make_up_for_somebody_who_left",
        ],
    ),
    ("rule.ask.max_duration", &["the_times_that_a_rule_names_count_and_not_the_usual_ones"]),
    (
        "rule.ask.max_token_lifetime",
        &[
            "the_times_that_a_rule_names_count_and_not_the_usual_ones",
            "a_policy_that_allows_more_gives_nothing_more_to_what_was_granted_before",
        ],
    ),
    ("rule.ask.decide_within", &["the_times_that_a_rule_names_count_and_not_the_usual_ones"]),
    ("rule.ask.collect_within", &["the_times_that_a_rule_names_count_and_not_the_usual_ones"]),
    (
        "rule.ask.uses",
        &[
            "a_single_use_without_identifiers_counts_an_identical_call_within_a_minute_as_the_same",
            "a_reload_that_lowers_the_uses_counts_those_from_before",
            "the_stricter_of_two_policies_bounds_every_token",
        ],
    ),
    (
        "rule.ask.ceremony",
        &[
            "the_right_number_approves_and_is_shown_nowhere",
            "bob_signs_in_again_looks_once_more_and_only_then_it_is_approved",
            "an_approval_by_a_weaker_ceremony_than_the_policy_wants_now_is_void",
            "a_vote_with_less_than_its_ceremony_demands_is_none",
            "a_click_meets_the_ceremony_the_trust_and_the_people_of_the_stricter_policy",
        ],
    ),
    (
        "rule.ask.reason.required",
        &[
            "what_no_rule_names_is_refused_and_what_a_rule_denies_says_why",
            "a_reason_that_may_be_left_out_must_still_be_right_where_it_is_given",
        ],
    ),
    ("rule.ask.reason.matches", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    ("rule.ask.reason.says", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    (
        "rule.ask.self_approval",
        &[
            "with_reason_a_party_approves_only_by_saying_why_and_that_is_on_record",
            "whom_no_rule_trusts_less_needs_no_reason",
        ],
    ),
    ("rule.ask.remind_after", &["those_who_were_asked_are_reminded_and_then_others_are_told_who_may_not_decide"]),
    ("rule.ask.escalate.after", &["time_that_jumps_past_several_reminders_sends_each_once_and_in_order"]),
    ("rule.ask.escalate.to", &["those_who_were_asked_are_reminded_and_then_others_are_told_who_may_not_decide"]),
    ("rule.ask.channel", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    ("rule.ask.notify.to", &["whom_notify_names_is_told_in_the_channel_or_alone_and_may_not_decide_for_that"]),
    ("rule.ask.notify.by", &["each_approver_gets_a_card_that_works_and_is_edited_to_the_outcome"]),
    ("rule.ask.on_behalf", &["a_rule_lets_somebody_ask_for_somebody_else_and_both_are_parties"]),
    ("rule.ask.on_deactivation", &["when_an_approver_or_the_subject_leaves_nothing_of_theirs_goes_on"]),
    ("rule.ask_all.approvers", &["two_of_one_set_are_not_one_of_each"]),
    ("rule.ask_all.approvals", &["the_limits_of_an_ask_all_count_like_those_of_an_ask"]),
    ("rule.limits.max_duration", &["the_limits_of_an_ask_all_count_like_those_of_an_ask"]),
    ("rule.break_glass.max_duration", &["a_broken_glass_lasts_as_long_as_its_rule_says_and_is_reviewed_in_its_time"]),
    (
        "rule.break_glass.max_token_lifetime",
        &["a_broken_glass_lasts_as_long_as_its_rule_says_and_is_reviewed_in_its_time"],
    ),
    ("rule.break_glass.requesters", &["only_a_named_person_with_a_reason_breaks_it_and_slack_must_say_so_now"]),
    ("rule.break_glass.tell", &["dora_breaks_the_glass_everybody_is_told_and_bob_reviews_it"]),
    ("rule.break_glass.review_within", &["a_broken_glass_lasts_as_long_as_its_rule_says_and_is_reviewed_in_its_time"]),
    ("limits.pending_per_subject", &["only_so_many_requests_of_one_person_are_pending_at_once"]),
    ("limits.pending_per_client", &["a_client_that_asks_too_much_at_once_is_told_to_wait"]),
    (
        "limits.cards_per_approver_per_hour",
        &[
            "above_the_limit_requests_join_one_digest_from_which_each_is_opened_and_decided",
            "each_approver_is_counted_for_whatever_channel_and_set_the_card_came_through",
        ],
    ),
    ("limits.denial_cooldown", &["a_denial_refuses_for_as_long_as_the_policy_says"]),
    ("partial", &["what_a_rule_allows_is_issued_while_people_are_asked_about_the_rest"]),
    (
        "shared",
        &[
            "shared_lets_one_person_count_for_both_and_without_it_two_must_agree",
            "whoever_counts_for_several_requirements_at_once_is_named",
        ],
    ),
];

/// Every key once.
const POLICY: &str = r#"
partial = "issue"
shared = false
[approvers.bakers]
slack_groups = ["S0BAKERS"]
slack_users = ["U0BEA"]
[[resource]]
audience = "https://oven.example"
name = "Oven"
clients = ["oven-cli"]
hooks = ["oven"]
owners = ["bea@oven.example"]
[[resource.scope]]
name = "oven:heat"
says = "Heat the oven"
risk = "high"
less = "oven:look"
[[resource.scope]]
name = "oven:look"
says = "Look into the oven"
[[rule]]
name = "never at night"
when = 'scope == "oven:heat" && now.getHours() < 4'
deny = "Bakers sleep, too."
[[rule]]
name = "looking"
when = 'scope == "oven:look"'
mode = "observe"
allow = { max_duration = "8h", max_token_lifetime = "5m" }
[[rule]]
name = "heating"
when = 'scope == "oven:heat"'
[rule.ask]
approvers = ["bakers"]
approvals = 1
max_duration = "2h"
max_token_lifetime = "10m"
decide_within = "30m"
collect_within = "15m"
uses = "window"
ceremony = "confirm"
reason = { required = true, matches = 'BREAD-[0-9]+', says = "Name the loaf" }
remind_after = "10m"
escalate = [{ after = "20m", to = ["bakers"] }]
channel = "C0OVEN"
notify = { to = ["bakers"], by = "both" }
self_approval = "never"
on_behalf = false
on_deactivation = "revoke"
[[rule]]
name = "cleaning"
when = 'scope == "oven:clean"'
ask_all = [{ approvers = ["bakers"], approvals = 1 }]
limits = { max_duration = "30m" }
[[rule]]
name = "fire"
when = 'scope == "oven:open" && has(context.fire)'
break_glass = { max_duration = "30m", max_token_lifetime = "5m", requesters = ["bakers"], tell = ["bakers"], review_within = "24h" }
[limits]
pending_per_subject = 3
pending_per_client = 20
cards_per_approver_per_hour = 30
denial_cooldown = "10m"
"#;

/// The keys of the list.
fn listed() -> BTreeSet<String> {
    KEYS.iter().map(|(key, _)| (*key).to_owned()).collect()
}

fn read(policy: &toml::Value) -> Result<(), Vec<ConfigError>> {
    let text = toml::to_string(policy).expect("TOML");
    policy_file::parse("policy.toml", &text).map(|_| ()).map_err(|errors| errors.0)
}

#[test]
fn every_key_of_a_policy_has_a_test() {
    let parsed = policy_file::parse("policy.toml", POLICY).expect("a policy");
    assert_eq!(parsed.warnings, [""; 0], "everything in it is enforced");
    let policy: toml::Value = toml::from_str(POLICY).expect("TOML");
    read(&policy).expect("a policy");
    let mut used = BTreeSet::new();
    keys(&policy, "", &mut used);
    assert_eq!(used, listed(), "left: the policy; right: the list");
}

/// The reader itself says which keys each table may have: none is missing in the list.
#[test]
fn there_is_no_key_that_the_list_does_not_know() {
    let policy: toml::Value = toml::from_str(POLICY).expect("TOML");
    let (listed, mut tables) = (listed(), 0);
    for place in places(&policy, &toml::Value::is_table) {
        let mut other = policy.clone();
        let table = place.iter().map(String::as_str).fold(&mut other, step).as_table_mut().expect("a table");
        table.insert("zzz".to_owned(), toml::Value::Boolean(true));
        let errors = read(&other).expect_err("an unknown key");
        let Some(unknown) = errors.iter().find(|error| error.found == "an unknown key") else { continue };
        let path = plain(&unknown.key).trim_end_matches("zzz").replace("rule.limits.", "rule.ask.");
        for key in unknown.allowed.split(", ") {
            let (key, tables) = (format!("{path}{key}"), format!("{path}{key}."));
            let is_listed = listed.iter().any(|one| *one == key || one.starts_with(&tables));
            assert!(is_listed, "{key} can be written and is not in the list");
        }
        tables += 1;
    }
    assert!(tables > 15, "{tables} tables");
}

/// Every time of a policy: none, less than none, and more than ten years are mistakes that name the rule.
#[test]
fn no_time_of_a_policy_is_none_or_negative_or_longer_than_ten_years() {
    let policy: toml::Value = toml::from_str(POLICY).expect("TOML");
    let is_time = |value: &toml::Value| {
        let text = value.as_str().unwrap_or_default();
        text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['m', 'h'])
    };
    let times = places(&policy, &is_time);
    assert!(times.len() > 12, "{times:?}");
    for place in times {
        for time in ["0s", "-1h", "3653days", "1000000years"] {
            let mut other = policy.clone();
            *place.iter().map(String::as_str).fold(&mut other, step) = toml::Value::String(time.to_owned());
            let errors = read(&other).expect_err(time);
            let told = errors.iter().any(|error| {
                let last = place.last().map(String::as_str).unwrap_or_default();
                let names_the_rule = place[0] != "rule" || error.key.starts_with("rule.\"");
                error.key.ends_with(last) && error.found.contains(time) && names_the_rule
            });
            assert!(told, "{place:?} = {time}: {errors:?}");
        }
    }
}

#[test]
fn every_key_has_a_worked_example_and_a_row_on_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut shown = BTreeSet::new();
    for block in page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        keys(&toml::from_str(block).expect("TOML"), "", &mut shown);
    }
    let missing: Vec<String> = listed().into_iter().filter(|key| !shown.contains(key)).collect();
    assert!(missing.is_empty(), "no example has {missing:?}");
    let (_, table) = page.split_once("## Every key").expect("the table of all keys");
    let rows: BTreeSet<String> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned)).collect();
    assert_eq!(rows, listed(), "left: the page; right: the list");
}

/// Without what stands in quotation marks or brackets: the names of rules, resources, scopes, and places in lists.
fn plain(key: &str) -> String {
    let mut plain = String::new();
    let mut quoted = false;
    for c in key.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            _ => plain.push(c),
        }
    }
    let parts = plain.split('.').filter(|part| !part.is_empty() && *part != "bakers");
    parts.map(|part| part.split('[').next().unwrap_or_default()).collect::<Vec<_>>().join(".")
}

/// Where something stands in a policy: keys and places in lists.
fn places(policy: &toml::Value, wanted: &dyn Fn(&toml::Value) -> bool) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut left = vec![(Vec::new(), policy)];
    while let Some((place, value)) = left.pop() {
        if wanted(value) {
            found.push(place.clone());
        }
        let inner: Vec<(String, &toml::Value)> = match value {
            toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
            toml::Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        left.extend(inner.into_iter().map(|(key, value)| ([place.clone(), vec![key]].concat(), value)));
    }
    found
}

fn step<'v>(value: &'v mut toml::Value, key: &str) -> &'v mut toml::Value {
    match key.parse::<usize>() {
        Ok(n) => &mut value[n],
        Err(_) => &mut value[key],
    }
}

/// The names of approver sets are the user's own.
fn keys(value: &toml::Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = match path {
                    "" => key.clone(),
                    "approvers" if value.is_table() => path.to_owned(),
                    _ => format!("{path}.{key}"),
                };
                keys(value, &path, all);
            }
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| keys(item, path, all));
        }
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_) => {
            all.insert(path.to_owned());
        }
    }
}

#[test]
fn every_test_of_the_list_is_there() {
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut sources);
    }
    let missing: Vec<&str> = KEYS
        .iter()
        .flat_map(|(_, tests)| *tests)
        .copied()
        .filter(|test| !sources.contains(&format!("fn {test}()")))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

fn collect(folder: &Path, sources: &mut String) {
    for path in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a text"));
        }
    }
}
