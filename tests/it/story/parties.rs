//! Whoever asks, is the subject, acts for it or owns the client decides nothing, unless the rule says so.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};

fn owned(owners: &str) -> String {
    POLICY.replace("name = \"Ledger\"\n", &format!("name = \"Ledger\"\nowners = {owners}\n"))
}

fn self_approval(how: &str) -> String {
    POLICY.replace("channel = \"C0LEDGER\"", &format!("channel = \"C0LEDGER\"\nself_approval = \"{how}\""))
}

async fn refused_as_own(app: &TestApp, person: &str, body: &Value) {
    app.ask(body).await.pending();
    let card = app.card(LEDGER).await;
    let seq = app.audited().await;
    app.click(person, &card, "approve").await;
    let last = app.audit_after(seq).await;
    assert_eq!(last[0]["detail"]["why"], "own_request", "{person}: {last:?}");
    app.click(person, &card, "deny").await;
    assert!(app.form(person).await.is_null(), "{person} gets no form");
    app.ask(body).await.pending();
}

#[tokio::test]
async fn the_clients_owner_decides_nothing_whether_named_or_computed() {
    for owners in [
        r#"["Carol@Example.com "]"#,
        r#"'client.id == "ledger-cli" ? ["carol@example.com"] : []'"#,
        r#"'has(context.owner) ? [context.owner] : []'"#,
    ] {
        let app = TestApp::stage().policy(owned(owners)).start().await;
        let body = but(alice("ledger:write"), json!({ "context": { "owner": "carol@example.com" } }));
        refused_as_own(&app, "U0CAROL", &body).await;
        app.approve("U0BOB", &app.card(LEDGER).await).await;
        app.ask(&body).await.granted();
    }
}

#[tokio::test]
async fn an_owner_that_cannot_be_told_refuses_at_the_opening_and_at_the_click() {
    let mut app = TestApp::stage().policy(owned("'[context.owner]'")).start().await;
    let refused = app.ask(&alice("ledger:write")).await;
    assert!(refused.denied().contains("owners"), "{}", refused.text);
    assert!(app.cards(LEDGER).await.is_empty());
    // With an owner it is asked; then the policy changes to what cannot be told any more.
    let body = but(alice("ledger:write"), json!({ "context": { "owner": "carol@example.com" } }));
    app.ask(&body).await.pending();
    app.stop().await;
    std::fs::write(app.file("policy.toml"), owned("'[context.team]'")).expect("a policy");
    app.run().await.expect("it starts");
    app.click("U0BOB", &app.card(LEDGER).await, "approve").await;
    assert!(app.whisper_comes("U0BOB", LEDGER).await.contains("cannot be told"));
    assert_eq!(app.happened().await.last().map(String::as_str), Some("click.refused"));
}

#[tokio::test]
async fn an_owner_of_the_opening_stays_one_whatever_the_policy_says_later() {
    let mut app = TestApp::stage().policy(owned(r#"["carol@example.com"]"#)).start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.stop().await;
    std::fs::write(app.file("policy.toml"), POLICY).expect("a policy");
    app.run().await.expect("it starts");
    refused_as_own(&app, "U0CAROL", &alice("ledger:write")).await;
}

#[tokio::test]
async fn an_owner_who_became_one_before_the_hand_over_does_not_count_any_more() {
    let mut app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0CAROL", &app.card(LEDGER).await).await;
    app.stop().await;
    std::fs::write(app.file("policy.toml"), owned(r#"["carol@example.com"]"#)).expect("a policy");
    app.run().await.expect("it starts");
    app.ask(&alice("ledger:write")).await.pending();
    assert!(app.happened().await.iter().all(|kind| kind != "token.issued"));
}

#[tokio::test]
async fn actors_and_every_account_and_spelling_of_a_party_are_refused() {
    let app = TestApp::start().await;
    let through_bob = but(alice("ledger:write"), json!({ "actor": ["helper", " BOB@Example.com"] }));
    refused_as_own(&app, "U0BOB", &through_bob).await;
    let app = TestApp::start().await;
    let spelled = but(alice("ledger:write"), json!({ "subject": "Alice@EXAMPLE.com" }));
    refused_as_own(&app, "U0ALICE2", &spelled).await;
}

#[tokio::test]
async fn with_reason_a_party_approves_only_by_saying_why_and_that_is_on_record() {
    let app = TestApp::stage().policy(self_approval("with_reason")).start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.click("U0ALICE", &card, "approve").await;
    let form = app.form("U0ALICE").await.to_string();
    assert!(form.contains("Why you approve your own request"), "{form}");
    // Slack's form demands it; a forged one without it is refused.
    assert!(app.fill("U0ALICE", json!({ "note": "" })).await["errors"]["note"].is_string());
    let over = json!({ "view": { "state": { "values": { "note": { "note": { "value": "   " } } } } } });
    app.fill_forged("U0ALICE", json!({ "note": "will not be sent" }), over).await;
    assert!(app.form("U0ALICE").await.to_string().contains("needs a reason of yours"));
    app.ask(&alice("ledger:write")).await.pending();

    app.click("U0ALICE", &card, "approve").await;
    app.fill("U0ALICE", json!({ "note": "Nobody else is awake." })).await;
    app.ask(&alice("ledger:write")).await.granted();
    let entry = app.audit().await.into_iter().find(|entry| entry["kind"] == "request.approved").expect("an entry");
    assert_eq!(
        (&entry["detail"]["note"], &entry["detail"]["self_approval"]),
        (&json!("Nobody else is awake."), &json!(true))
    );
    assert!(app.card(LEDGER).await.says.contains("Nobody else is awake."));
}

#[tokio::test]
async fn whom_no_rule_trusts_less_needs_no_reason() {
    let app = TestApp::stage().policy(self_approval("allowed")).start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0ALICE", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
    // Beside a rule that does not trust, the stricter wins.
    app.advance(crate::support::minutes(130)).await;
    app.ask(&alice("ledger:write plain:x")).await.pending();
    let card = app.card_of(DESK, 0).await;
    app.click("U0ALICE", &card, "approve").await;
    assert!(app.whisper_comes("U0ALICE", DESK).await.contains("your own request"));
}

#[tokio::test]
async fn a_policy_that_stopped_trusting_parties_voids_what_they_approved_and_nobody_collected() {
    let mut app = TestApp::stage().policy(self_approval("allowed")).start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0ALICE", &app.card(LEDGER).await).await;
    app.stop().await;
    std::fs::write(app.file("policy.toml"), POLICY).expect("a policy");
    app.run().await.expect("it starts");
    app.ask(&alice("ledger:write")).await.pending();
}
