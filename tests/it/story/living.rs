//! How access lives on and ends: extended, handed back, withdrawn, in parts, and when somebody leaves.

use serde_json::json;

use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{TestApp, minutes, seconds};

fn with(more: &str) -> String {
    format!(
        "{more}\n{}",
        POLICY.replace("hooks = [\"shop\"]", "hooks = [\"shop\", \"signed\"]\nclients = [\"ledger-cli\"]")
    )
}

async fn app_with_clients() -> TestApp {
    TestApp::stage().policy(with("")).start().await
}

/// Alice has two hours of writing, and her client has a token.
async fn alice_writes(app: &TestApp) -> String {
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted()["grant_id"].as_str().expect("a grant").to_owned()
}

#[tokio::test]
async fn alice_is_warned_extends_and_her_client_never_stands_without() {
    let app = app_with_clients().await;
    let old = alice_writes(&app).await;
    app.advance(minutes(110) - seconds(1)).await;
    let before = app.direct("U0ALICE").await.len();
    app.advance(seconds(1)).await;
    let warned = app.last_direct("U0ALICE").await;
    assert_eq!(app.direct("U0ALICE").await.len(), before + 1, "told once");
    assert!(warned.says.contains("Ends soon"), "{}", warned.says);
    assert_eq!(warned.buttons(), ["my_extend", "my_done"]);
    app.advance(minutes(1)).await;
    assert_eq!(app.direct("U0ALICE").await.len(), before + 1);

    // Extend… opens a form; what it asks is another request with a card of its own.
    app.click("U0ALICE", &warned, "my_extend").await;
    let sent =
        app.sends("U0ALICE", json!({ "time": { "time": "3600" }, "reason": { "reason": "not done, PAY-7" } })).await;
    assert_eq!(sent["status"], 200, "{sent}");
    assert!(app.open_view("U0ALICE").await.to_string().contains("Request sent"), "{}", app.open_view("U0ALICE").await);
    let cards = app.cards(LEDGER).await;
    assert_eq!(cards.len(), 2);
    // A retry is still answered by the old grant; asking for the same extension again asks nobody again.
    assert_eq!(app.ask(&alice("ledger:write")).await.granted()["grant_id"], json!(old));
    assert!(app.types("U0ALICE", &format!("extend {old} 1h")).await.contains("asked already"));
    app.approve("U0BOB", &cards[1]).await;

    // Both stand; the call is answered from the one that lasts longer, before and after the old one's end.
    let longer = app.ask(&alice("ledger:write")).await.granted().clone();
    assert_ne!(longer["grant_id"], json!(old));
    app.advance(minutes(30)).await;
    assert_eq!(app.ask(&alice("ledger:write")).await.granted()["grant_id"], longer["grant_id"]);
    assert!(app.cards(LEDGER).await[0].head().starts_with("Ended"), "the old one ended by itself");
    app.advance(minutes(40)).await;
    assert_ne!(app.ask(&alice("ledger:write")).await.status, 200);
}

#[tokio::test]
async fn each_of_two_grants_of_the_same_is_extended_on_its_own() {
    let app = app_with_clients().await;
    let old = alice_writes(&app).await;
    app.advance(minutes(60)).await;
    assert!(app.types("U0ALICE", &format!("extend {old} 2h")).await.contains("Sent"));
    app.approve("U0BOB", &app.card_of(LEDGER, 1).await).await;
    let longer = app.ask(&alice("ledger:write")).await.granted()["grant_id"].as_str().expect("a grant").to_owned();
    assert_ne!(longer, old);
    // For the same while and the same reason: another thing for each of them, and the same thing when said again.
    for (grant, says) in [(&old, "Sent"), (&longer, "Sent"), (&longer, "asked already"), (&old, "asked already")] {
        let said = app.types("U0ALICE", &format!("extend {grant} 90m")).await;
        assert!(said.contains(says), "{grant}: {said}");
    }
    assert_eq!(app.cards(LEDGER).await.len(), 4);
}

#[tokio::test]
async fn a_form_for_an_extension_that_is_sent_too_late_asks_nobody() {
    let app = app_with_clients().await;
    alice_writes(&app).await;
    let message = app.last_direct("U0ALICE").await;
    app.click("U0ALICE", &message, "my_extend").await;
    app.advance(minutes(121)).await;
    let late = app.sends("U0ALICE", json!({ "time": { "time": "3600" }, "reason": { "reason": "x" } })).await;
    assert!(late["errors"]["time"].as_str().is_some_and(|says| says.contains("over")), "{late}");
    // And the button of the message is out of date as well.
    app.click("U0ALICE", &message, "my_done").await;
    assert_eq!(app.cards(LEDGER).await.len(), 1);
}

#[tokio::test]
async fn an_extension_that_is_pending_when_the_old_grant_ends_is_what_the_client_waits_for() {
    let app = app_with_clients().await;
    alice_writes(&app).await;
    app.advance(minutes(115)).await;
    assert!(app.types("U0ALICE", "extend 30m").await.contains("Sent"));
    app.advance(minutes(6)).await;
    app.ask(&alice("ledger:write")).await.pending();
    let cards = app.cards(LEDGER).await;
    assert_eq!(cards.len(), 2, "no third card");
    app.approve("U0BOB", &cards[1]).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn alice_is_done_and_may_ask_again_at_once() {
    let app = app_with_clients().await;
    let grant = alice_writes(&app).await;
    let message = app.last_direct("U0ALICE").await;
    // Nobody else's press counts, on whichever message.
    let forged = json!({ "override": { "user": { "id": "U0CAROL" } } });
    app.click_forged("U0ALICE", &message, "my_done", forged).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.click("U0ALICE", &message, "my_done").await;
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Ended") && card.says.contains("Handed back"), "{}", card.says);
    assert_eq!(app.operator_sees(&format!("/v1/grants/{grant}")).await["status"], "handed_back");
    assert!(app.last_direct("U0ALICE").await.buttons().is_empty());
    // No cool-down: it was nobody's no.
    app.ask(&alice("ledger:write")).await.pending();
    assert!(app.types("U0ALICE", "done").await.contains("no grant"));
}

#[tokio::test]
async fn alice_withdraws_and_her_held_client_hears_of_it() {
    let app = app_with_clients().await;
    let held = app.ask_held(&alice("ledger:write"), 20);
    let before = app.card_comes(LEDGER).await;
    app.settle().await;
    assert!(app.types("U0CAROL", "withdraw").await.contains("no pending request"));
    assert!(app.types("U0ALICE", "withdraw").await.contains("Withdrawn"));
    assert!(held.answer().await.denied().contains("withdrawn"));
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Withdrawn") && card.buttons().is_empty(), "{}", card.says);
    // Whoever clicks what is still on their screen decides nothing.
    app.click("U0BOB", &before, "approve").await;
    assert!(app.card(LEDGER).await.head().starts_with("Withdrawn"));
}

#[tokio::test]
async fn what_a_rule_allows_is_issued_while_people_are_asked_about_the_rest() {
    let app = TestApp::stage().policy(with("partial = \"issue\"")).start().await;
    let both = alice("ledger:read ledger:write");
    let first = app.ask(&both).await.granted().clone();
    assert_eq!(first["scope"], "ledger:read");
    assert_eq!(first["pending"]["scope"], "ledger:write");
    let request = first["pending"]["request_id"].as_str().expect("a request").to_owned();
    // Again, and with a wait: the same card, and the same answer at once.
    let again = app.ask_held(&both, 20).answer().await;
    assert_eq!(again.granted()["pending"]["request_id"], json!(request));
    app.settle().await;
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    let whole = app.ask(&both).await.granted().clone();
    assert_eq!((&whole["scope"], whole.get("pending")), (&json!("ledger:read ledger:write"), None));
    assert_eq!(whole["request_id"], json!(request));

    // A denial leaves what is allowed.
    let other = but(alice("plain:x ledger:read"), json!({ "subject": "dora@example.com" }));
    app.ask(&other).await.granted();
    app.deny_with("U0BOB", &app.card(DESK).await, "not today").await;
    let narrowed = app.ask(&other).await.granted().clone();
    assert_eq!((&narrowed["scope"], narrowed.get("pending")), (&json!("ledger:read"), None));
}

#[tokio::test]
async fn without_that_a_request_is_held_as_a_unit() {
    let app = app_with_clients().await;
    app.ask(&alice("ledger:read ledger:write")).await.pending();
}

#[tokio::test]
async fn when_an_approver_or_the_subject_leaves_nothing_of_theirs_goes_on() {
    let leaves = r#"
[[rule]]
name = "sealed"
when = 'scope == "ledger:seal"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", on_deactivation = "revoke" }
"#;
    let policy = POLICY.replacen("[[rule]]", &format!("{leaves}\n[[rule]]"), 1);
    let app = TestApp::stage().policy(policy).start().await;
    // Two must agree; Bob has, and then his account is gone.
    app.ask(&alice("ledger:close")).await.pending();
    let close = app.card(DESK).await;
    app.approve("U0BOB", &close).await;
    app.ask(&alice("ledger:seal")).await.pending();
    let seal = app.cards(DESK).await.pop().expect("a card");
    app.approve("U0BOB", &seal).await;
    app.ask(&alice("ledger:seal")).await.granted();
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.person_becomes("U0BOB", json!({ "deleted": true })).await;
    app.account_event("U0BOB").await;
    assert!(app.happened().await.contains(&"vote.struck".to_owned()));
    assert!(app.cards(DESK).await[1].head().starts_with("Revoked"), "the rule says that such a grant ends");
    app.ask(&alice("ledger:write")).await.granted();
    app.approve("U0CAROL", &app.cards(DESK).await[0]).await;
    assert!(app.cards(DESK).await[0].head().starts_with("Approval needed"), "one vote, and Bob's is none any more");
    // Alice leaves: what she waits for is withdrawn.
    app.person_becomes("U0ALICE", json!({ "deleted": true })).await;
    app.person_becomes("U0ALICE2", json!({ "deleted": true })).await;
    app.account_event("U0ALICE").await;
    assert!(app.cards(DESK).await[0].head().starts_with("Withdrawn"));
}

#[tokio::test]
async fn whoever_is_taken_out_of_the_directory_is_gone_at_the_next_start() {
    let mut app = app_with_clients().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    app.stop().await;
    let config = std::fs::read_to_string(app.file("countersign.toml")).expect("a file");
    let without: String =
        config.lines().filter(|line| !line.contains("alice@example.com")).map(|l| format!("{l}\n")).collect();
    std::fs::write(app.file("countersign.toml"), without).expect("it is written");
    app.run().await.expect("it starts");
    app.settle().await;
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.cancelled"]);
}

#[tokio::test]
async fn a_stricter_policy_counts_at_every_issuance() {
    let mut app = app_with_clients().await;
    alice_writes(&app).await;
    app.advance(minutes(31)).await;
    app.ask(&alice("ledger:write")).await.granted();
    // From now on half an hour is the most: that is over.
    app.stop().await;
    let policy = std::fs::read_to_string(app.file("policy.toml")).expect("a file");
    std::fs::write(app.file("policy.toml"), policy.replacen("max_duration = \"2h\"", "max_duration = \"30m\"", 1))
        .expect("ok");
    app.run().await.expect("it starts");
    assert_ne!(app.ask(&alice("ledger:write")).await.status, 200);
    // And with two people where one agreed.
    app.stop().await;
    std::fs::write(app.file("policy.toml"), policy.replacen("approvals = 1", "approvals = 2", 1)).expect("ok");
    app.run().await.expect("it starts");
    assert_ne!(app.ask(&alice("ledger:write")).await.status, 200);
}
