//! Stories about `policy.toml`: what each mistake is told, and what becomes of settings that are not there yet.

use super::*;
use crate::domain::policy::Ruling;

#[test]
fn every_mistake_in_the_policy_is_told_with_its_key_and_what_is_allowed() {
    for (passage, mistake, told) in [
        ("[approvers.customs-officers]", "shared = maybe\n[approvers.customs-officers]", "found a mistake in the TOML"),
        (
            "slack_groups = [\"S0MASTERS\"]",
            "slack_groups = [\"@masters\"]",
            "policy.toml:13: approvers.harbour-masters.slack_groups: found \"@masters\"; allowed: a Slack user-group id",
        ),
        (
            "slack_groups = [\"S0MASTERS\"]",
            "slack_groups = []",
            "approvers.harbour-masters: found an approver set with nobody in it; allowed: slack_users, slack_groups, or both",
        ),
        (
            "slack_groups = [\"S0MASTERS\"]",
            "slack_channel = \"C0X\"",
            "approvers.harbour-masters.slack_channel: found an unknown key; allowed: slack_groups, slack_users",
        ),
        (
            "[approvers.harbour-masters]",
            "[approvers.Masters]",
            "approvers.Masters: found \"Masters\"; allowed: an approver set's name",
        ),
        (
            "audience = \"https://customs.harbour.example\"",
            "audience = \"https://berths.harbour.example\"",
            "found \"https://berths.harbour.example\" for the second time",
        ),
        (
            "hooks = [\"customs\"]",
            "hooks = [\"custom\"]",
            "resource.\"https://customs.harbour.example\".hooks: found \"custom\"; allowed: a hook of this deployment: berths, customs, hydra, authzen",
        ),
        (
            "risk = \"high\"",
            "risk = \"severe\"",
            "scope.\"berths:assign\".risk: found \"severe\"; allowed: \"low\", \"medium\", \"high\", \"critical\"",
        ),
        (
            "less = \"berths:read\"",
            "less = \"berths:look\"",
            "found \"berths:look\" as what is less than \"berths:assign\"; allowed: another scope of the same resource",
        ),
        ("says = \"See which ship lies where\"", "", "scope.\"berths:read\".says: found nothing"),
        ("name = \"cargo:release\"", "name = \"cargo release\"", "found \"cargo release\"; allowed: one scope"),
        (
            "name = \"moving ships\"",
            "name = \"looking at night\"",
            "rule: found \"looking at night\" for the second time",
        ),
        ("name = \"moving ships\"\n", "", "rule[4].name: found nothing; allowed: a name"),
        (
            "when = 'scope == \"berths:assign\"'",
            "when = 'skope == \"berths:assign\"'",
            "rule.\"moving ships\".when: found skope == \"berths:assign\"; allowed: a condition that can be used, but there is no `skope`",
        ),
        ("when = 'scope == \"berths:assign\"'", "when = 'scope'", "is of type string"),
        (
            "when = 'scope == \"berths:assign\"'",
            "",
            "rule.\"moving ships\".when: found nothing; allowed: a CEL condition",
        ),
        (
            "when = 'scope.endsWith(\":read\") && now",
            "when = 'reason != \"\" && now",
            "rule.\"anybody may look by day\".when",
        ),
        (
            "deny = \"Cargo is released by people. Ask the customs desk.\"",
            "",
            "rule.\"robots never release cargo\": found no verdict; allowed: exactly one of allow, deny",
        ),
        (
            "deny = \"Cargo",
            "allow = { max_duration = \"1h\" }\ndeny = \"Cargo",
            "rule.\"robots never release cargo\": found allow and deny",
        ),
        (
            "deny = \"Cargo",
            "limits = { max_duration = \"1h\" }\ndeny = \"Cargo",
            "limits: found limits; allowed: limits beside ask_all",
        ),
        (
            "deny = \"Cargo is released by people. Ask the customs desk.\"",
            "deny = \"\"",
            "deny: found \"\"; allowed: a text that is not empty",
        ),
        (
            "deny = \"Cargo",
            "mode = \"watch\"\ndeny = \"Cargo",
            "rule.\"robots never release cargo\".mode: found \"watch\"; allowed: \"enforce\", \"observe\"",
        ),
        (
            "allow = { max_duration = \"8h\"",
            "allow = { duration = \"8h\"",
            "rule.\"anybody may look by day\".allow.max_duration: found nothing; allowed: how long access may last",
        ),
        (
            "approvers = [\"harbour-masters\"]",
            "approvers = [\"harbor-masters\"]",
            "rule.\"moving ships\".ask.approvers: found \"harbor-masters\"; allowed: an approver set of this policy: customs-officers, harbour-masters",
        ),
        ("approvers = [\"harbour-masters\"]", "approvers = []", "ask.approvers: found an empty list"),
        (
            "approvals = 2",
            "approvals = 0",
            "rule.\"releasing cargo takes two\".ask.approvals: found the number 0; allowed: a whole number from 1 to 255",
        ),
        ("approvals = 2", "approvals = -1", "ask.approvals: found the number -1"),
        (
            "approvals = 2",
            "approvals = 3",
            "ask.approvals: found 3 people out of 2; allowed: no more people than the approver sets name",
        ),
        (
            "max_duration = \"2h\"",
            "max_duration = \"0s\"",
            "ask.max_duration: found \"0s\"; allowed: a time like \"30m\"",
        ),
        ("max_duration = \"2h\"", "max_duration = \"-2h\"", "ask.max_duration: found \"-2h\""),
        ("max_duration = \"2h\"", "max_duration = \"11y\"", "ask.max_duration: found \"11y\""),
        ("max_duration = \"2h\"", "max_duration = \"1500ms\"", "ask.max_duration: found \"1500ms\""),
        ("max_duration = \"2h\"", "max_duration = 7200", "ask.max_duration: found the number 7200"),
        ("max_duration = \"2h\"", "", "ask.max_duration: found nothing"),
        (
            "uses = \"window\"",
            "uses = \"twice\"",
            "ask.uses: found \"twice\"; allowed: \"window\", \"single\", or a number",
        ),
        ("uses = \"window\"", "uses = 0", "ask.uses: found the number 0"),
        (
            "ceremony = \"confirm\"",
            "ceremony = \"handshake\"",
            "ask.ceremony: found \"handshake\"; allowed: \"click\", \"confirm\", \"match\", \"step_up\"",
        ),
        ("'SHIP-[0-9]+'", "'SHIP-([0-9]+'", "ask.reason.matches: found SHIP-([0-9]+"),
        (
            "channel = \"C0BERTHS\"",
            "channel = \"#berths\"",
            "ask.channel: found \"#berths\"; allowed: a Slack channel id",
        ),
        (
            "channel = \"C0BERTHS\"",
            "escalate = [{ after = \"20m\", to = [\"nobody\"] }]",
            "ask.escalate[1].to: found \"nobody\"; allowed: an approver set",
        ),
        ("pending_per_subject = 3", "pending_per_subject = 0", "limits.pending_per_subject: found the number 0"),
        ("denial_cooldown = \"10m\"", "denial_cooldown = \"soon\"", "limits.denial_cooldown: found \"soon\""),
        (
            "denial_cooldown =",
            "denial_cool_down =",
            "limits.denial_cool_down: found an unknown key; allowed: cards_per_approver_per_hour, denial_cooldown",
        ),
    ] {
        let errors = load(SERVER, &with(POLICY, passage, mistake)).expect_err(mistake).to_string();
        assert!(errors.contains(told), "{mistake}\n  told:   {errors}\n  wanted: {told}");
    }
}

const LATER: &str = r#"
[approvers.a]
slack_users = ["U0MIRA"]
[approvers.b]
slack_groups = ["S0MASTERS"]
[[rule]]
name = "together"
when = 'scope == "together"'
ask_all = [{ approvers = ["a"], approvals = 1 }, { approvers = ["b"], approvals = 1 }]
limits = { max_duration = "30m", uses = "single" }
[[rule]]
name = "typed"
when = 'scope == "typed"'
ask = { approvers = ["a"], approvals = 1, max_duration = "1h", ceremony = "match" }
[[rule]]
name = "again"
when = 'scope == "again"'
ask = { approvers = ["a"], approvals = 1, max_duration = "1h", ceremony = "step_up" }
[[rule]]
name = "glass"
when = 'scope == "glass" && has(context.alarm) && context.alarm'
break_glass = { max_duration = "30m", requesters = ["a"], tell = ["b"], review_within = "24h" }
[[rule]]
name = "later"
when = 'scope == "later"'
ask = { approvers = ["a"], approvals = 1, max_duration = "1h", remind_after = "5m", escalate = [{ after = "9m", to = ["b"] }] }
[limits]
cards_per_approver_per_hour = 30
"#;

#[test]
fn a_policy_of_conveniences_is_read_without_a_warning() {
    let policy = policy_file::parse("policy.toml", LATER).unwrap();
    assert_eq!(policy.warnings, [""; 0]);
    assert_eq!(policy.limits.cards_per_approver_per_hour, Some(30));
    let Some(Outcome::Ask(ask)) = policy.rules.last().map(|rule| &rule.outcome) else { panic!("not an ask") };
    let told = [(300, 0), (540, 1)];
    assert_eq!(ask.reminders.iter().map(|reminder| (reminder.after, reminder.to.len())).collect::<Vec<_>>(), told);
}

#[test]
fn the_same_set_twice_in_one_ask_all_wants_that_many_more_people() {
    let twice = with(
        LATER,
        "{ approvers = [\"b\"], approvals = 1 }]",
        "{ approvers = [\"b\"], approvals = 1 }, { approvers = [\"b\"], approvals = 2 }]",
    );
    let policy = policy_file::parse("policy.toml", &twice).unwrap();
    let Outcome::Ask(ask) = &policy.rules[0].outcome else { panic!("not an ask") };
    let wanted: Vec<(&str, u8)> = ask.requirements.iter().map(|r| (r.approvers[0].as_str(), r.count.get())).collect();
    assert_eq!(wanted, [("a", 1), ("b", 3)]);
}

#[test]
fn what_cannot_work_later_is_a_mistake_now() {
    for (passage, mistake, told) in [
        ("limits = { max_duration = \"30m\", uses = \"single\" }", "", "rule.\"together\".limits: found nothing"),
        ("limits = { max_duration = \"30m\", uses", "limits = { uses", "limits.max_duration: found nothing"),
        (
            "approvers = [\"b\"], approvals = 1 }]",
            "approvers = [\"c\"], approvals = 1 }]",
            "ask_all[2].approvers: found \"c\"",
        ),
        ("requesters = [\"a\"], ", "", "break_glass.requesters: found nothing"),
        (", review_within = \"24h\"", "", "break_glass.review_within: found nothing"),
        ("context.alarm'", "reason != \"\"'", "what the client claims"),
    ] {
        let errors = policy_file::parse("policy.toml", &with(LATER, passage, mistake)).expect_err(mistake).to_string();
        assert!(errors.contains(told), "{mistake}\n  told:   {errors}\n  wanted: {told}");
    }
}

#[test]
fn an_approver_set_cannot_hold_another_so_there_is_no_circle() {
    for (mistake, told) in [
        ("approvers = [\"customs-officers\"]", "approvers.harbour-masters.approvers: found an approver set inside"),
        (
            "slack_users = [\"U0MIRA\"]\nsets = [\"harbour-masters\"]",
            "approvers.harbour-masters.sets: found an approver set inside",
        ),
        ("slack_users = [\"customs-officers\"]", "slack_users: found \"customs-officers\"; allowed: a Slack user id"),
    ] {
        let text = with(POLICY, "slack_groups = [\"S0MASTERS\"]", mistake);
        let errors = policy_file::parse("policy.toml", &text).expect_err(mistake).to_string();
        assert!(errors.contains(told), "{mistake}: {errors}");
    }
}

#[test]
fn every_time_of_a_rule_is_more_than_none_and_at_most_ten_years() {
    for key in ["max_duration", "max_token_lifetime", "decide_within", "collect_within"] {
        for time in ["0s", "-1h", "3653days", "1000000years", "", "soon", "500ms"] {
            let rule = with(POLICY, &format!("{key} = \"{}\"", usual(key)), &format!("{key} = \"{time}\""));
            let errors = policy_file::parse("policy.toml", &rule).expect_err(time).to_string();
            assert!(
                errors.contains(&format!("rule.\"moving ships\".ask.{key}: found \"{time}\"; allowed: a time")),
                "{errors}"
            );
        }
    }
}

/// What the rule `moving ships` of the example says.
fn usual(key: &str) -> &'static str {
    match key {
        "max_duration" => "2h",
        "max_token_lifetime" => "10m\"                     # of each token",
        "decide_within" => "30m",
        _ => "15m\"                         # an approval",
    }
    .split('"')
    .next()
    .unwrap()
}

#[test]
fn a_hostile_pattern_is_refused_by_its_size_or_ends_in_time() {
    let huge = with(POLICY, "SHIP-[0-9]+", "(\\w{100}){100}{100}");
    let errors = policy_file::parse("policy.toml", &huge).expect_err("too large").to_string();
    assert!(errors.contains("rule.\"moving ships\".ask.reason.matches"), "{errors}");
    // Exponential for engines that go back; this one reads the text once.
    let slow = with(POLICY, "SHIP-[0-9]+", "^(a+)+$");
    let policy = policy_file::parse("policy.toml", &slow).unwrap();
    let asked = serde_json::json!({
        "hook": "berths", "grant_type": "client_credentials", "client": {"id": "c"}, "scopes": ["berths:assign"],
        "subject": {"kind": "user", "id": "mira@harbour.example"}, "reason": format!("{}!", "a".repeat(9_000))
    });
    let asked = serde_json::from_value(asked).unwrap();
    let judged = policy.judge(&asked, &|_| false, "2026-01-01T00:00:00Z".parse().unwrap());
    let Ruling::Asked(question) = policy.rule(&asked, judged, true) else { panic!("not asked") };
    assert_eq!(question.not_now.and_then(|refused| refused.rule).as_deref(), Some("moving ships"));
}

#[test]
fn a_policy_file_that_is_cut_off_too_long_or_no_text_is_refused_by_its_name() {
    let folder = folder(SERVER, POLICY);
    let file = folder.path().join("policy.toml");
    for (bytes, told) in [
        (POLICY.as_bytes()[..POLICY.find("SHIP-[0-9]+").unwrap()].to_vec(), "a mistake in the TOML"),
        ("#".repeat(10 << 20).into_bytes(), "found a file of more than 4 MiB"),
        ([b"# \xff\xfe\n", POLICY.as_bytes()].concat(), "no readable text file (stream did not contain valid UTF-8)"),
    ] {
        fs::write(&file, bytes).unwrap();
        let errors = load_in(folder.path()).expect_err(told).to_string();
        assert!(errors.contains("policy.toml") && errors.contains(told), "{told}: {errors}");
    }
    // Cut off between two rules it is a policy again, with less in it: what is missing is refused.
    let cut = &POLICY[..POLICY.rfind("[[rule]]").unwrap()];
    let policy = policy_file::parse("policy.toml", cut).unwrap();
    assert_eq!(policy.rules.len(), 4);
}
