//! What is refused leaves nothing behind, and what is left goes to whoever gets a token of it.

use countersign::clock::Clock;
use serde_json::{Value, json};

use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{TestApp, minutes, seconds};

fn policy(more: &str) -> String {
    let policy = POLICY.replace("hooks = [\"shop\"]", "hooks = [\"shop\", \"brief\"]\nclients = [\"ledger-cli\"]");
    format!("{more}\n{policy}")
}

async fn start() -> TestApp {
    TestApp::stage().policy(policy("")).start().await
}

/// Another policy is in force from now on.
async fn now_says(app: &TestApp, policy: &str) {
    std::fs::write(app.file("policy.toml"), policy).expect("a policy");
    assert!(app.running().reload().await.expect("it is written down"));
}

async fn grants(app: &TestApp) -> usize {
    app.operator_sees("/v1/grants").await["grants"].as_array().expect("a list").len()
}

/// Alice's client with a key of its own.
fn with_key(key: &str) -> Value {
    but(alice("ledger:write"), json!({ "cnf": { "jkt": key } }))
}

#[tokio::test]
async fn an_identifier_that_came_with_another_body_gets_no_grant_and_breaks_no_glass() {
    let glass = r#"
[approvers.on-call]
slack_users = ["U0DORA"]
[[rule]]
name = "glass"
when = 'scope == "prod:admin"'
break_glass = { max_duration = "30m", requesters = ["on-call"], tell = ["leads"], review_within = "24h" }
"#;
    let rules = POLICY.find("\n[limits]").expect("limits");
    let policy = format!("{}{glass}{}", &POLICY[..rules], &POLICY[rules..]);
    let app = TestApp::stage().policy(policy).start().await;
    app.ask_as("call-1", &alice("ledger:read")).await.granted();
    app.ask_as("call-1", &but(alice("ledger:read"), json!({ "client_id": "other" }))).await.problem(409);
    let emergency = but(alice("prod:admin"), json!({ "subject": "dora@example.com", "reason": "the tills are down" }));
    app.ask_as("call-1", &emergency).await.problem(409);
    assert_eq!(grants(&app).await, 1);
    assert!(!app.happened().await.contains(&"glass.broken".to_owned()));
    app.ask_as("call-2", &emergency).await.granted();
}

#[tokio::test]
async fn what_was_granted_ahead_is_not_taken_by_a_call_that_gets_no_token() {
    let app = start().await;
    assert!(app.types("U0ALICE", "ledger-cli ledger:write for 2h because PAY-1").await.contains("Sent"));
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    // An identifier that came with another body before.
    app.ask_as("call-1", &alice("ledger:read")).await.granted();
    app.ask_as("call-1", &with_key("k1")).await.problem(409);
    // A policy under which it would be over by now.
    app.advance(minutes(10)).await;
    now_says(&app, &policy("").replace("max_duration = \"2h\"", "max_duration = \"9m\"")).await;
    app.ask(&with_key("k2")).await.pending();
    now_says(&app, &policy("")).await;
    assert_eq!(app.ask(&with_key("k3")).await.granted()["scope"], "ledger:write");
}

#[tokio::test]
async fn a_revoked_part_stays_refused_while_people_are_asked_about_the_rest() {
    let app = TestApp::stage().policy(policy("partial = \"issue\"")).start().await;
    let both = alice("ledger:read ledger:write");
    let first = app.ask(&both).await.granted().clone();
    assert_eq!(first["scope"], "ledger:read");
    app.operator_revokes(first["grant_id"].as_str().expect("a grant"), "lost laptop").await;
    app.ask(&alice("ledger:read")).await.denied();
    app.ask(&both).await.pending();
    // Beside what nobody has been asked about yet, it refuses all, as alone.
    app.ask(&alice("ledger:read plain:x")).await.denied();
    assert_eq!(grants(&app).await, 1);
}

#[tokio::test]
async fn what_approvers_took_out_needs_nobody_when_the_rest_is_allowed_by_now() {
    let app = start().await;
    let both = alice("plain:a ledger:write");
    app.ask(&both).await.pending();
    app.click("U0BOB", &app.card(DESK).await, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["1"] })).await;
    let open = "[[rule]]\nname = \"open\"\nwhen = 'scope == \"plain:a\"'\nallow = { max_duration = \"1h\" }\n";
    now_says(&app, &policy("").replacen("[[rule]]", &format!("{open}\n[[rule]]"), 1)).await;
    assert_eq!(app.ask(&both).await.granted()["scope"], "plain:a");
}

/// A call looks for a grant first and for a pending request after that. What is decided between the two is found by a
/// second look at the grants. At the start of what was granted ahead Slack is asked, and here that takes a while.
#[tokio::test]
async fn a_call_that_comes_while_somebody_decides_asks_nobody_again() {
    let app = start().await;
    let starts = (Clock::now(&app.clock) + minutes(40)).format("%Y-%m-%dT%H:%MZ");
    let line = format!("ledger-cli ledger:write for 1h from {starts} because PAY-1");
    assert!(app.types("U0ALICE", &line).await.contains("Sent"));
    app.approve("U0CAROL", &app.card(LEDGER).await).await;
    // Carol may not decide any more by then, so that nothing will start. Meanwhile Alice's client asks for itself.
    app.group_is("S0LEADS", &["U0BOB"]).await;
    app.advance(minutes(38)).await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card_of(LEDGER, 1).await;
    app.clock.advance(minutes(2));
    app.fault(json!({ "method": "users.info", "kind": "slow", "delay_ms": 1_000, "times": 1 })).await;
    let held = app.ask_held(&alice("ledger:write"), 5);
    app.until_real(seconds(5), async || app.page_get("/faults").await == json!([])).await;
    // The call has looked at the grants and waits for Slack; now Bob decides.
    app.approve("U0BOB", &card).await;
    assert_eq!(held.answer().await.granted()["request_id"], request.as_str());
    assert_eq!(app.cards(LEDGER).await.len(), 2);
    let opened = app.happened().await.iter().filter(|kind| *kind == "request.opened").count();
    assert_eq!(opened, 2, "what was asked ahead, and what the client asked");
}

#[tokio::test]
async fn what_nobody_decided_in_time_is_asked_for_anew_although_nobody_wrote_its_end_down() {
    let app = start().await;
    let line = "ledger-cli ledger:write for 1h because PAY-1";
    assert!(app.types("U0ALICE", line).await.contains("Sent"));
    assert!(app.types("U0ALICE", line).await.contains("asked already"));
    app.clock.advance(minutes(30));
    assert!(app.types("U0ALICE", line).await.contains("Sent"));
}

#[tokio::test]
async fn each_hook_counts_its_own_denials_of_what_is_asked_ahead() {
    let app = start().await;
    let until = async |hook: &str| {
        let all = app.operator_sees("/v1/cooldowns").await["cooldowns"].clone();
        let one =
            all.as_array().expect("a list").iter().find(|one| one["hook"] == hook).expect("it cools down").clone();
        let until: chrono::DateTime<chrono::Utc> = one["until"].as_str().expect("a time").parse().expect("a time");
        (until - countersign::clock::Clock::now(&app.clock)).num_minutes()
    };
    app.ask(&alice("ledger:write")).await.pending();
    app.deny_with("U0BOB", &app.card(LEDGER).await, "Not now.").await;
    app.advance(minutes(10)).await;
    assert!(app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-1").await.contains("Sent"));
    let card = app.cards(LEDGER).await.pop().expect("a card");
    app.deny_with("U0BOB", &card, "Still not.").await;
    assert_eq!((until("shop").await, until("brief").await), (20, 10));
}
