//! The ceremony `match`: the approver types the number that the client shows, and has one attempt.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but};
use crate::support::slack::Card;
use crate::support::world::{LEDGER, POLICY};

const NUMBER: &str = "731 946";

async fn start() -> TestApp {
    let policy = POLICY.replace("ceremony = \"confirm\"", "ceremony = \"match\"");
    assert_ne!(policy, POLICY);
    TestApp::stage().policy(offered(&policy)).start().await
}

/// With a client that can be asked for in Slack.
fn offered(policy: &str) -> String {
    policy.replace("hooks = [\"shop\"]", "hooks = [\"shop\"]\nclients = [\"ledger-cli\"]")
}

fn numbered() -> Value {
    but(alice("ledger:write"), json!({ "binding_message": NUMBER }))
}

async fn typed(app: &TestApp, person: &str, card: &Card, number: &str) -> Value {
    app.click(person, card, "approve").await;
    app.fill(person, json!({ "number": number })).await
}

#[tokio::test]
async fn the_right_number_approves_and_is_shown_nowhere() {
    let app = start().await;
    let request = app.ask(&numbered()).await.pending();
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("number that the client shows"), "{}", card.says);
    // A click alone opens the form and decides nothing.
    app.click("U0BOB", &card, "approve").await;
    app.ask(&numbered()).await.pending();
    app.fill("U0BOB", json!({ "number": " 731946 " })).await;
    app.ask(&numbered()).await.granted();
    let entry = app.audit().await.into_iter().find(|entry| entry["kind"] == "request.approved").expect("an entry");
    assert_eq!(entry["detail"]["proof"], "number");
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.approved", "token.issued"]);

    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    let seen = [app.slack_log().await, json!(app.audit().await).to_string(), metrics];
    for (n, text) in seen.iter().enumerate() {
        assert!(!text.contains(NUMBER) && !text.contains("731946"), "the number is in place {n}");
    }
}

#[tokio::test]
async fn one_wrong_number_bars_that_person_and_is_on_record_before_the_answer() {
    let mut app = start().await;
    let request = app.ask(&numbered()).await.pending();
    let card = app.card(LEDGER).await;
    typed(&app, "U0BOB", &card, "111111").await;
    assert!(app.form("U0BOB").await.to_string().contains("not the number"), "{}", app.form("U0BOB").await);
    assert!(app.happened_to(&request).await.contains(&"number.wrong".to_owned()));
    assert!(!json!(app.audit().await).to_string().contains("111111"), "what was typed is kept nowhere");

    // Neither the right number nor a restart helps Bob now; Carol may.
    app.restart().await;
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("1 wrong number"), "{}", card.says);
    app.click("U0BOB", &card, "approve").await;
    assert!(app.whisper_comes("U0BOB", LEDGER).await.contains("typed a wrong number before"));
    app.ask(&numbered()).await.pending();
    typed(&app, "U0CAROL", &card, NUMBER).await;
    app.ask(&numbered()).await.granted();
}

#[tokio::test]
async fn a_form_that_was_open_before_the_wrong_number_does_not_help_either() {
    let app = start().await;
    app.ask(&numbered()).await.pending();
    let card = app.card(LEDGER).await;
    // Bob has two windows open: each form knows only its own attempt.
    app.click("U0BOB", &card, "approve").await;
    let kept = app.screen("U0BOB").await["view"]["view"]["private_metadata"].clone();
    app.fill("U0BOB", json!({ "number": "000000" })).await;
    app.click("U0BOB", &app.card(LEDGER).await, "deny").await;
    let over = json!({ "view": { "callback_id": "approve", "private_metadata": kept, "state": { "values": {
        "number": { "number": { "type": "plain_text_input", "value": NUMBER } } } } } });
    app.fill_forged("U0BOB", json!({ "reason": "not this one" }), over).await;
    assert!(app.form("U0BOB").await.to_string().contains("typed a wrong number before"));
    app.ask(&numbered()).await.pending();
}

#[tokio::test]
async fn the_third_wrong_number_by_anybody_denies() {
    let app = start().await;
    let request = app.ask(&numbered()).await.pending();
    for person in ["U0BOB", "U0CAROL", "U0DORA"] {
        let card = app.card(LEDGER).await;
        typed(&app, person, &card, "12").await;
    }
    assert!(app.form("U0DORA").await.to_string().contains("third wrong one"), "{}", app.form("U0DORA").await);
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Denied") && card.says.contains("Three wrong numbers"), "{}", card.says);
    assert!(app.ask(&numbered()).await.denied().contains("denied a short while ago"));
    assert_eq!(app.operator_sees(&format!("/v1/requests/{request}")).await["status"], "denied");
}

#[tokio::test]
async fn without_a_number_such_a_request_is_refused_at_once() {
    let app = start().await;
    for number in [json!(null), json!("  ")] {
        let answer = app.ask(&but(alice("ledger:write"), json!({ "binding_message": number }))).await;
        assert!(answer.status == 400 || answer.denied().contains("binding_message"), "{}", answer.text);
    }
    assert!(app.cards(LEDGER).await.is_empty());
    // What the rule asks of others is not asked of those: they see the number as the claim that it is.
    app.ask(&but(alice("plain:x"), json!({ "binding_message": "42-17" }))).await.pending();
    assert!(app.card_with("42-17").await.says.contains("not verified"));
}

#[tokio::test]
async fn a_number_is_needed_also_by_whoever_approves_less() {
    let app = start().await;
    let both = but(alice("ledger:write plain:a"), json!({ "binding_message": NUMBER }));
    app.ask(&both).await.pending();
    let card = app.card(LEDGER).await;
    app.click("U0BOB", &card, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["1"], "number": "9" })).await;
    assert!(app.form("U0BOB").await.to_string().contains("not the number"));
    assert!(!app.card(LEDGER).await.says.contains("took out"), "a wrong number narrows nothing");
    app.click("U0CAROL", &app.card(LEDGER).await, "changes").await;
    app.fill("U0CAROL", json!({ "scopes": ["1"], "number": NUMBER })).await;
    assert_eq!(app.ask(&both).await.granted()["scope"], "plain:a");
}

#[tokio::test]
async fn a_request_made_in_slack_shows_its_asker_a_number_and_nobody_else() {
    let app = start().await;
    let told = app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-7").await;
    let number: String =
        told.split("The number of this request is* `").nth(1).expect("a number").chars().take(6).collect();
    assert!(number.chars().all(|c| c.is_ascii_digit()), "{told}");
    let card = app.card(LEDGER).await;
    assert!(!card.says.contains(&number) && !json!(app.audit().await).to_string().contains(&number));
    // Alice is a party, under both of her accounts, whatever she types.
    for account in ["U0ALICE", "U0ALICE2"] {
        app.click(account, &card, "approve").await;
        assert!(app.form(account).await.is_null());
    }
    typed(&app, "U0BOB", &card, &number).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn what_nobody_can_decide_is_said_to_whoever_asks_in_slack_too() {
    let app = TestApp::stage().policy(offered(POLICY)).start().await;
    app.group_is("S0LEADS", &["U0ALICE", "U0ALICE2"]).await;
    let told = app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-7").await;
    assert!(told.contains("No one can decide"), "{told}");
    assert!(app.cards(LEDGER).await.is_empty());
}
