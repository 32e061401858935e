//! What each key of a policy does, where no other story needs it: every value here is another than the usual one, so
//! that a key which is read and forgotten is found.

use serde_json::json;

use crate::support::asking::{Answer, alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{TestApp, minutes, seconds};

/// The usual policy with more in front of its rules.
fn with(more: &str) -> String {
    POLICY.replacen("[[rule]]", &format!("{more}\n[[rule]]"), 1)
}

const TIMES: &str = r#"
[[rule]]
name = "times"
when = 'scope == "times"'
[rule.ask]
approvers = ["leads"]
approvals = 1
max_duration = "3h"
max_token_lifetime = "7m"
decide_within = "20m"
collect_within = "5m"
"#;

#[tokio::test]
async fn the_times_that_a_rule_names_count_and_not_the_usual_ones() {
    let app = TestApp::stage().policy(with(TIMES)).start().await;
    let first = app.ask(&alice("times")).await.pending();
    app.advance(minutes(20) - seconds(1)).await;
    assert_eq!(app.ask(&alice("times")).await.pending(), first);
    app.advance(seconds(1)).await;
    let second = app.ask(&alice("times")).await.pending();
    assert_ne!(second, first, "decide_within");
    app.approve("U0BOB", &app.card_of(DESK, 1).await).await;
    app.advance(minutes(5)).await;
    let third = app.ask(&alice("times")).await.pending();
    assert_ne!(third, second, "collect_within");
    app.approve("U0BOB", &app.card_of(DESK, 2).await).await;
    app.advance(minutes(5) - seconds(1)).await;
    let granted = app.ask(&alice("times")).await.granted().clone();
    assert_eq!(granted["expires_in"], 420, "max_token_lifetime");
    let end: chrono::DateTime<chrono::Utc> =
        granted["grant_expires_at"].as_str().expect("a time").parse().expect("a time");
    let left = (end - countersign::clock::Clock::now(&app.clock)).num_seconds();
    assert!((175 * 60..=175 * 60 + 1).contains(&left), "max_duration: {left}");
    app.advance(minutes(174)).await;
    assert_eq!(app.ask(&alice("times")).await.granted()["expires_in"], 61, "max_duration");
}

#[tokio::test]
async fn a_rule_that_allows_says_how_long_and_how_long_each_token() {
    let short = r#"
[[rule]]
name = "short"
when = 'scope == "short"'
allow = { max_duration = "20m", max_token_lifetime = "3m" }
"#;
    let app = TestApp::stage().policy(with(short)).start().await;
    let first = app.ask(&alice("short")).await.granted().clone();
    assert_eq!(first["expires_in"], 180, "max_token_lifetime");
    app.advance(minutes(9)).await;
    assert_eq!(app.ask(&alice("short")).await.granted()["grant_id"], first["grant_id"]);
    app.advance(minutes(11)).await;
    let next = app.ask(&alice("short")).await.granted().clone();
    assert_ne!(next["grant_id"], first["grant_id"], "max_duration");
    // Revoked, it is refused for what was left of it, which is less than the 8 hours that others may have.
    app.operator_revokes(next["grant_id"].as_str().expect("a grant"), "enough").await;
    app.advance(minutes(20) - seconds(2)).await;
    app.ask(&alice("short")).await.denied();
    app.advance(seconds(2)).await;
    app.ask(&alice("short")).await.granted();
}

#[tokio::test]
async fn a_denial_refuses_for_as_long_as_the_policy_says() {
    let app =
        TestApp::stage().policy(POLICY.replace("denial_cooldown = \"10m\"", "denial_cooldown = \"3m\"")).start().await;
    app.ask(&alice("plain:x")).await.pending();
    app.deny_with("U0BOB", &app.card(DESK).await, "Not now.").await;
    app.advance(minutes(3) - seconds(1)).await;
    app.ask(&alice("plain:x")).await.denied();
    app.advance(seconds(1)).await;
    app.ask(&alice("plain:x")).await.pending();
}

#[tokio::test]
async fn a_reason_that_may_be_left_out_must_still_be_right_where_it_is_given() {
    let rule = r#"
[[rule]]
name = "maybe"
when = 'scope == "maybe"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", reason = { required = false, matches = 'PAY-[0-9]+', says = "PAY- and a number, or nothing" } }
"#;
    let app = TestApp::stage().policy(with(rule)).start().await;
    let refused = app.ask(&but(alice("maybe"), json!({ "reason": "because" }))).await;
    assert_eq!(refused.denied(), "PAY- and a number, or nothing");
    app.ask(&but(alice("maybe"), json!({ "reason": null }))).await.pending();
}

#[tokio::test]
async fn shared_lets_one_person_count_for_both_and_without_it_two_must_agree() {
    let rule = r#"
[[rule]]
name = "both"
when = 'scope == "both"'
ask_all = [{ approvers = ["leads"], approvals = 1 }, { approvers = ["owners"], approvals = 1 }]
limits = { max_duration = "1h" }
"#;
    for shared in [true, false] {
        let app = TestApp::stage().policy(format!("shared = {shared}\n{}", with(rule))).start().await;
        app.ask(&alice("both")).await.pending();
        app.approve("U0CAROL", &app.card(DESK).await).await;
        assert_eq!(app.ask(&alice("both")).await.status, if shared { 200 } else { 202 }, "shared = {shared}");
    }
}

#[tokio::test]
async fn the_limits_of_an_ask_all_count_like_those_of_an_ask() {
    let rule = r#"
[[rule]]
name = "both"
when = 'scope == "both"'
ask_all = [{ approvers = ["leads"], approvals = 2 }]
limits = { max_duration = "40m", uses = 2 }
"#;
    let app = TestApp::stage().policy(with(rule)).start().await;
    app.ask(&alice("both")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("both")).await.pending();
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask_as("one", &alice("both")).await.granted();
    app.advance(minutes(40) - seconds(10)).await;
    assert_eq!(app.ask_as("two", &alice("both")).await.granted()["expires_in"], 10, "max_duration");
    app.ask_as("three", &alice("both")).await.pending();
}

#[tokio::test]
async fn whom_notify_names_is_told_in_the_channel_or_alone_and_may_not_decide_for_that() {
    for (by, alone) in [("channel", false), ("both", true)] {
        let plain = "when = 'scope.startsWith(\"plain:\")'\nask = { ";
        let notify = format!("{plain}notify = {{ to = [\"owners\"], by = \"{by}\" }}, ");
        let app = TestApp::stage().policy(POLICY.replace(plain, &notify)).start().await;
        app.group_is("S0LEADS", &["U0BOB"]).await;
        app.ask(&alice("plain:x")).await.pending();
        let card = app.card(DESK).await;
        assert!(card.says.contains("Told besides, and not asked: <@U0CAROL>."), "{by}: {}", card.says);
        let carols = app.messages("U0CAROL", "D0CAROL").await;
        assert_eq!(
            carols.iter().filter(|card| card.buttons().contains(&"approve")).count(),
            usize::from(alone),
            "{by}"
        );
        assert!(app.direct("U0BOB").await.is_empty(), "{by}: who is asked and not named");
        app.click("U0CAROL", &card, "approve").await;
        assert!(app.whisper_comes("U0CAROL", DESK).await.contains("can't decide"), "{by}");
        app.approve("U0BOB", &card).await;
        app.ask(&alice("plain:x")).await.granted();
    }
}

#[tokio::test]
async fn only_so_many_requests_of_one_person_are_pending_at_once() {
    let app =
        TestApp::stage().policy(POLICY.replace("pending_per_subject = 20", "pending_per_subject = 2")).start().await;
    for scope in ["plain:1", "plain:2"] {
        app.ask(&alice(scope)).await.pending();
    }
    let refused = app.ask(&alice("plain:3")).await;
    refused.problem(429);
    assert!(!refused.header("retry-after").is_empty());
    app.ask(&but(alice("plain:3"), json!({ "subject": "carol@example.com" }))).await.pending();
    app.approve("U0BOB", &app.card_of(DESK, 0).await).await;
    app.ask(&alice("plain:3")).await.pending();
}

/// Two resources, each with a client, and who may ask for whom.
const OFFERS: &str = r#"
[[resource.scope]]
name = "ledger:pay"
says = "Pay"
[[resource]]
audience = "https://vault.test"
name = "Vault"
clients = ["vault-cli"]
hooks = ["shop"]
[[resource.scope]]
name = "vault:look"
says = "Look into the vault"
risk = "critical"
[[rule]]
name = "looking"
when = 'scope == "vault:look"'
ask = { approvers = ["leads"], approvals = 2, max_duration = "1h", on_behalf = true }
"#;

async fn offering() -> TestApp {
    let policy = with(OFFERS).replace(
        "hooks = [\"shop\"]\n[[resource.scope]]\nname = \"ledger:read\"",
        "hooks = [\"shop\"]\nclients = [\"ledger-cli\"]\n[[resource.scope]]\nname = \"ledger:read\"",
    );
    TestApp::stage().policy(policy).start().await
}

#[tokio::test]
async fn access_offers_a_resource_through_its_clients_alone() {
    let app = offering().await;
    for (line, says) in [
        ("ledger-cli vault:look for 1h because PAY-1", "Through `ledger-cli` there is no"),
        ("vault-cli ledger:write for 1h because PAY-1", "Through `vault-cli` there is no"),
    ] {
        let answer = app.types("U0ALICE", line).await;
        assert!(answer.contains(says), "{line}: {answer}");
    }
    assert!(app.cards(DESK).await.is_empty() && app.cards(LEDGER).await.is_empty());
    assert!(app.types("U0ALICE", "vault-cli vault:look for 1h because PAY-1").await.contains("Sent"));
}

#[tokio::test]
async fn what_was_asked_ahead_is_collected_at_the_hooks_of_its_resource_and_nowhere_else() {
    let app = offering().await;
    assert!(app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-1").await.contains("Sent"));
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    let elsewhere = Answer::of(app.hook("brief", &alice("ledger:write"))).await;
    elsewhere.pending();
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn a_rule_lets_somebody_ask_for_somebody_else_and_both_are_parties() {
    let app = offering().await;
    let refused = app.types("U0CAROL", "ledger-cli ledger:write for 1h as bob@example.com because PAY-1").await;
    assert!(refused.contains("somebody else"), "{refused}");
    let sent = app.types("U0CAROL", "vault-cli vault:look for 1h as bob@example.com because PAY-1").await;
    assert!(sent.contains("Sent"), "{sent}");
    let card = app.card(DESK).await;
    for person in ["U0CAROL", "U0BOB"] {
        let seq = app.audited().await;
        app.click(person, &card, "approve").await;
        assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], "own_request", "{person}");
    }
    app.approve("U0ALICE", &card).await;
    app.approve("U0DORA", &app.card(DESK).await).await;
    let bobs = json!({ "subject": "bob@example.com", "client_id": "vault-cli", "audience": ["https://vault.test"] });
    app.ask(&but(alice("vault:look"), bobs)).await.granted();
}

#[tokio::test]
async fn a_card_says_what_the_catalogue_says_at_that_audience_and_nothing_elsewhere() {
    let app = offering().await;
    let look = but(alice("vault:look"), json!({ "audience": ["https://vault.test"] }));
    app.ask(&look).await.pending();
    app.ask(&but(look.clone(), json!({ "audience": ["https://elsewhere.test"] }))).await.pending();
    app.ask(&but(look, json!({ "scope": "plain:x" }))).await.pending();
    let (vault, elsewhere, other) =
        (app.card_of(DESK, 0).await, app.card_of(DESK, 1).await, app.card_of(DESK, 2).await);
    assert!(other.says.contains("Vault") && other.says.contains("the policy does not describe it"), "{}", other.says);
    for said in ["Vault", "Look into the vault", "(risk: critical)"] {
        assert!(
            vault.says.contains(said) && !elsewhere.says.contains(said),
            "{said}: {} {}",
            vault.says,
            elsewhere.says
        );
    }
    assert!(elsewhere.says.contains("the policy does not describe it"), "{}", elsewhere.says);
}

const GLASS: &str = r#"
[approvers.on-call]
slack_groups = ["S0ONCALL"]

[[rule]]
name = "glass"
when = 'scope == "prod:admin" && has(context.break_glass)'
[rule.break_glass]
max_duration = "20m"
max_token_lifetime = "4m"
requesters = ["on-call"]
tell = ["owners"]
review_within = "2h"
"#;

#[tokio::test]
async fn a_broken_glass_lasts_as_long_as_its_rule_says_and_is_reviewed_in_its_time() {
    let app = TestApp::stage().policy(with(GLASS)).start().await;
    let emergency = but(
        alice("prod:admin"),
        json!({ "subject": "dora@example.com", "reason": "the tills are down", "context": { "break_glass": true } }),
    );
    let first = app.ask(&emergency).await.granted().clone();
    assert_eq!(first["expires_in"], 240, "max_token_lifetime");
    app.advance(minutes(20) - seconds(10)).await;
    let last = app.ask(&emergency).await.granted().clone();
    assert_eq!((&last["grant_id"], &last["expires_in"]), (&first["grant_id"], &json!(10)), "max_duration");
    app.advance(seconds(10)).await;
    assert_ne!(app.ask(&emergency).await.granted()["grant_id"], first["grant_id"]);
    let overdue = async |app: &TestApp| {
        let all = app.operator_sees("/v1/reviews").await["reviews"].clone();
        all.as_array().expect("a list").iter().filter(|one| one["status"] == "overdue").count()
    };
    app.advance(minutes(99)).await;
    assert_eq!(overdue(&app).await, 0);
    app.advance(minutes(1)).await;
    assert_eq!(overdue(&app).await, 1, "review_within");
}

/// A condition that goes wrong with what a server sent: refused, and the answer names the rule.
#[tokio::test]
async fn a_condition_that_a_request_breaks_refuses_it_by_the_rules_name() {
    let rules = r#"
[[rule]]
name = "share"
when = 'scope == "share" && 100 / context.people > 10'
allow = { max_duration = "1h" }
[[rule]]
name = "every pair"
when = 'scope == "pairs" && context.list.all(a, context.list.all(b, a == b))'
allow = { max_duration = "1h" }
[[rule]]
name = "level"
when = 'scope == "level" && context.level'
allow = { max_duration = "1h" }
[[rule]]
name = "last"
when = 'scope in ["share", "pairs", "level"]'
allow = { max_duration = "1h" }
"#;
    let app = TestApp::stage().policy(with(rules)).start().await;
    let list = vec![1; 200];
    for (scope, context, says) in [
        (
            "share",
            json!({ "people": 0 }),
            "The rule `share` cannot be applied to this request, so it refuses: it divides by zero",
        ),
        ("share", json!({}), "The rule `share` cannot be applied to this request, so it refuses: there is no `people`"),
        ("pairs", json!({ "list": list }), "The rule `every pair` cannot be applied"),
        ("level", json!({ "level": "high" }), "The rule `level` cannot be applied"),
    ] {
        let refused = app.ask(&but(alice(scope), json!({ "context": context }))).await;
        assert!(refused.denied().contains(says), "{scope}: {}", refused.text);
    }
    app.ask(&but(alice("share"), json!({ "context": { "people": 3 } }))).await.granted();
}
