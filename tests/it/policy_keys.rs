//! Every key that a policy may have, and the test that fails when its enforcement is taken away.
//!
//! The first test holds the list against a policy that uses every key of the language, the second against the tests
//! that there are. What a test is about is in its name; the rest is in docs/policy.md.

use std::collections::BTreeSet;
use std::path::Path;

/// A key (with the tables above it), and tests by the names of their functions.
const KEYS: &[(&str, &[&str])] = &[
    ("approvers.slack_groups", &["an_approver_who_has_left_by_the_hand_over_does_not_count"]),
    ("approvers.slack_users", &["an_approver_whom_the_policy_no_longer_names_does_not_count"]),
    ("resource.audience", &["the_form_says_who_will_be_asked_and_sends_it"]),
    ("resource.name", &["the_form_says_who_will_be_asked_and_sends_it"]),
    ("resource.clients", &["a_form_whose_fields_were_tampered_with_asks_nobody"]),
    ("resource.hooks", &["one_line_asks_ahead_and_the_next_call_collects_it"]),
    ("resource.scope.name", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    ("resource.scope.says", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    ("resource.scope.risk", &["what_is_critical_needs_two_people_or_a_stronger_ceremony"]),
    ("resource.scope.less", &["a_lower_scope_of_the_catalogue_is_suggested_and_never_granted_unasked"]),
    ("rule.name", &["every_mistake_in_the_policy_is_told_with_its_key_and_what_is_allowed"]),
    ("rule.when", &["every_scope_is_decided_by_the_first_rule_that_matches_it"]),
    ("rule.mode", &["an_observed_rule_lets_its_scopes_pass_and_the_enforced_ones_decide_the_others"]),
    ("rule.deny", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    ("rule.allow.max_duration", &["what_a_rule_allows_is_answered_at_once_and_an_operator_can_still_stop_it"]),
    ("rule.allow.max_token_lifetime", &["what_a_rule_allows_is_answered_at_once_and_an_operator_can_still_stop_it"]),
    ("rule.ask.approvers", &["every_click_that_may_not_count_changes_nothing"]),
    ("rule.ask.approvals", &["what_needs_two_people_waits_for_the_second"]),
    ("rule.ask.max_duration", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    ("rule.ask.max_token_lifetime", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    ("rule.ask.decide_within", &["nobody_decides_in_time"]),
    ("rule.ask.collect_within", &["an_approval_that_nobody_collects_is_void"]),
    ("rule.ask.uses", &["a_single_use_without_identifiers_counts_an_identical_call_within_a_minute_as_the_same"]),
    (
        "rule.ask.ceremony",
        &[
            "the_right_number_approves_and_is_shown_nowhere",
            "bob_signs_in_again_looks_once_more_and_only_then_it_is_approved",
            "an_approval_by_a_weaker_ceremony_than_the_policy_wants_now_is_void",
        ],
    ),
    ("rule.ask.reason.required", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    ("rule.ask.reason.matches", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    ("rule.ask.reason.says", &["what_no_rule_names_is_refused_and_what_a_rule_denies_says_why"]),
    ("rule.ask.remind_after", &["those_who_were_asked_are_reminded_and_then_others_are_told_who_may_not_decide"]),
    ("rule.ask.escalate.after", &["time_that_jumps_past_several_reminders_sends_each_once_and_in_order"]),
    ("rule.ask.escalate.to", &["those_who_were_asked_are_reminded_and_then_others_are_told_who_may_not_decide"]),
    ("rule.ask.channel", &["alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up"]),
    ("rule.ask.notify.by", &["each_approver_gets_a_card_that_works_and_is_edited_to_the_outcome"]),
    ("rule.ask.on_deactivation", &["when_an_approver_or_the_subject_leaves_nothing_of_theirs_goes_on"]),
    ("rule.ask_all.approvers", &["later_approvers_vote_on_the_narrower_version_and_earlier_votes_still_count"]),
    ("rule.ask_all.approvals", &["the_same_set_twice_in_one_ask_all_wants_that_many_more_people"]),
    ("rule.limits.max_duration", &["what_cannot_work_later_is_a_mistake_now"]),
    ("rule.break_glass.max_duration", &["two_glasses_need_somebody_who_may_break_both_and_tell_everybody"]),
    ("rule.break_glass.requesters", &["only_a_named_person_with_a_reason_breaks_it_and_slack_must_say_so_now"]),
    ("rule.break_glass.tell", &["dora_breaks_the_glass_everybody_is_told_and_bob_reviews_it"]),
    ("rule.break_glass.review_within", &["a_review_that_nobody_answers_is_told_again_daily_and_never_expires"]),
    ("limits.pending_per_subject", &["the_answers_look_as_the_document_says"]),
    ("limits.pending_per_client", &["a_client_that_asks_too_much_at_once_is_told_to_wait"]),
    (
        "limits.cards_per_approver_per_hour",
        &[
            "above_the_limit_requests_join_one_digest_from_which_each_is_opened_and_decided",
            "each_approver_is_counted_for_whatever_channel_and_set_the_card_came_through",
        ],
    ),
    ("limits.denial_cooldown", &["each_denial_refuses_twice_as_long_as_the_one_before_also_over_a_restart"]),
    ("partial", &["what_a_rule_allows_is_issued_while_people_are_asked_about_the_rest"]),
];

/// Every key once.
const POLICY: &str = r#"
partial = "issue"
[approvers.bakers]
slack_groups = ["S0BAKERS"]
slack_users = ["U0BEA"]
[[resource]]
audience = "https://oven.example"
name = "Oven"
clients = ["oven-cli"]
hooks = ["oven"]
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
notify = { by = "both" }
on_deactivation = "revoke"
[[rule]]
name = "cleaning"
when = 'scope == "oven:clean"'
ask_all = [{ approvers = ["bakers"], approvals = 1 }]
limits = { max_duration = "30m" }
[[rule]]
name = "fire"
when = 'scope == "oven:open" && has(context.fire)'
break_glass = { max_duration = "30m", requesters = ["bakers"], tell = ["bakers"], review_within = "24h" }
[limits]
pending_per_subject = 3
pending_per_client = 20
cards_per_approver_per_hour = 30
denial_cooldown = "10m"
"#;

#[test]
fn every_key_of_a_policy_has_a_test() {
    let policy = countersign::config::policy_file::parse("policy.toml", POLICY).expect("a policy");
    assert_eq!(policy.warnings, [""; 0], "everything in it is enforced");
    let policy: toml::Value = toml::from_str(POLICY).expect("TOML");
    let mut used = BTreeSet::new();
    keys(&policy, "", &mut used);
    let listed: BTreeSet<String> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(used, listed, "left: the policy; right: the list");
}

/// The names of approver sets are the user's own.
fn keys(value: &toml::Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, path.strip_suffix(".bakers").unwrap_or(&path), all);
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
