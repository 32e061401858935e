//! App Home: what waits for whom, and that pressing there is pressing on the card.

use serde_json::json;

use crate::support::TestApp;
use crate::support::asker::says;
use crate::support::asking::{alice, but};
use crate::support::looking::why;
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, LEDGER, POLICY};
use crate::support::{minutes, seconds};

#[tokio::test]
async fn home_shows_each_what_is_theirs_and_stays_fresh() {
    let app = TestApp::start().await;
    assert!(says(&app.opens_home("U0BOB").await).contains("Nothing waits for you"));
    assert!(says(&app.opens_home("U0ALICE").await).contains("You wait for nobody"));
    app.ask(&alice("ledger:write")).await.pending();
    app.advance(seconds(5)).await;
    let bob = says(&app.home("U0BOB").await);
    assert!(bob.contains("Waiting for you* (1)") && bob.contains("<@U0ALICE>"), "{bob}");
    let hers = says(&app.home("U0ALICE").await);
    assert!(hers.contains("Waiting for others* (1)") && !hers.contains("Waiting for you* ("), "{hers}");
    // Nora is in no approver set; Uma is nobody here.
    assert!(!says(&app.opens_home("U0NORA").await).contains("Waiting for you* ("));
    assert!(says(&app.opens_home("U0UMA").await).contains("not mapped"));

    // Bob approves at home: the card says so, Alice has it.
    let report = app.presses_at_home("U0BOB", "approve").await;
    assert_eq!(report["status"], 200, "{report}");
    assert!(app.card(LEDGER).await.says.contains("Approved by <@U0BOB>"), "{}", app.card(LEDGER).await.says);
    app.ask(&alice("ledger:write")).await.granted();
    app.advance(seconds(5)).await;
    let hers = says(&app.home("U0ALICE").await);
    assert!(hers.contains("Active grants* (1)") && hers.contains("I'm done"), "{hers}");
    assert!(says(&app.home("U0BOB").await).contains("Revoke…"));
    app.presses_at_home("U0ALICE", "my_done").await;
    assert!(app.card(LEDGER).await.head().starts_with("Ended"));
}

#[tokio::test]
async fn what_one_took_back_waits_for_one_again() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    app.opens_home("U0BOB").await;
    app.presses_at_home("U0BOB", "approve").await;
    app.advance(seconds(5)).await;
    assert!(says(&app.home("U0BOB").await).contains("Nothing waits for you"));
    app.choose("U0BOB", &app.card(DESK).await, "take_back").await;
    app.advance(seconds(5)).await;
    assert!(says(&app.home("U0BOB").await).contains("Waiting for you* (1)"));
    // And so it can be approved there again.
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.presses_at_home("U0BOB", "approve").await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn a_button_of_home_counts_for_its_viewer_on_that_view_only() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.opens_home("U0BOB").await;
    let home = app.home("U0BOB").await;
    let block = home["blocks"]
        .as_array()
        .expect("blocks")
        .iter()
        .find(|block| block["type"] == "actions" && block["elements"][0]["action_id"] == "approve")
        .expect("a row");
    let press = json!({
        "as": "U0BOB", "view_id": home["id"], "block_id": block["block_id"], "action_id": "approve",
        "value": block["elements"][0]["value"],
    });
    for (forgery, word) in [
        (json!({ "user": { "id": "U0CAROL" } }), "unknown_button"),
        (json!({ "view": { "id": "V0OTHER" } }), "other_message"),
    ] {
        let (mut forged, seq) = (press.clone(), app.audited().await);
        forged["override"] = forgery;
        app.page("/page/click", forged).await;
        app.settle().await;
        assert_eq!(app.audit_after(seq).await.iter().map(why).collect::<Vec<_>>(), [word]);
        assert!(app.card(LEDGER).await.head().starts_with("Approval needed"));
    }
    app.page("/page/click", press).await;
    app.settle().await;
    assert!(app.card(LEDGER).await.head().starts_with("Approved"));
}

#[tokio::test]
async fn a_long_home_comes_in_pages() {
    let app = TestApp::start().await;
    for n in 0..45 {
        let subject = format!("person{n}@example.com");
        app.ask_unsettled(&but(alice("plain:x"), json!({ "subject": subject }))).await.pending();
    }
    app.settle().await;
    app.opens_home("U0BOB").await;
    let first = app.home("U0BOB").await;
    assert!(says(&first).contains("Page 1 of 2") && first["blocks"].as_array().is_some_and(|all| all.len() <= 100));
    app.presses_at_home("U0BOB", "home_next").await;
    assert!(says(&app.home("U0BOB").await).contains("Page 2 of 2"));
    app.presses_at_home("U0BOB", "home_previous").await;
    assert!(says(&app.home("U0BOB").await).contains("Page 1 of 2"));
}

#[tokio::test]
async fn less_is_approved_from_home_where_the_card_offers_it() {
    let app = TestApp::start().await;
    let both = alice("ledger:write plain:a");
    app.ask(&both).await.pending();
    app.opens_home("U0BOB").await;
    app.presses_at_home("U0BOB", "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["1"], "note": "Without writing." })).await;
    assert_eq!(app.ask(&both).await.granted()["scope"], "plain:a");
    assert!(app.card(LEDGER).await.says.contains("Without writing."));
    // One scope at a server that decides by itself how long a token lives: there is nothing less to offer.
    let hydra = json!({
        "session": { "client_id": "ledger-ui", "id_token": { "id_token_claims": { "sub": "dora@example.com" }, "subject": "dora@example.com" } },
        "request": { "client_id": "ledger-ui", "granted_scopes": ["plain:b"], "granted_audience": [AUDIENCE], "grant_types": ["authorization_code"], "payload": {} },
    });
    let call = app.http.post(app.url("/hooks/hydra")).header("X-Countersign-Key", HYDRA_KEY).json(&hydra);
    let held = TestApp::held(call);
    app.until("the request", async || {
        let home = says(&app.opens_home("U0BOB").await);
        (home.contains("plain:b") && !home.contains("Approve with changes") && !home.contains("Offer less"))
            .then_some(())
    })
    .await;
    app.presses_at_home("U0BOB", "approve").await;
    assert_eq!(held.answer().await.status, 200);
}

#[tokio::test]
async fn everything_that_home_offers_is_one_press_away() {
    let policy = POLICY.replace("hooks = [\"shop\"]", "hooks = [\"shop\"]\nclients = [\"ledger-cli\"]");
    let app = TestApp::stage().policy(policy).start().await;
    // Alice asks from Home; the form is that of the command.
    app.opens_home("U0ALICE").await;
    app.presses_at_home("U0ALICE", "home_request").await;
    app.until("the form", async || app.open_view("U0ALICE").await.to_string().contains("Ledger").then_some(())).await;
    // She withdraws one request at Home, and Bob's Home loses the row.
    app.ask(&alice("plain:x")).await.pending();
    app.opens_home("U0BOB").await;
    app.advance(seconds(5)).await;
    app.presses_at_home("U0ALICE", "my_withdraw").await;
    app.advance(seconds(5)).await;
    assert!(says(&app.home("U0BOB").await).contains("Nothing waits for you"));
    let hers = says(&app.home("U0ALICE").await);
    assert!(hers.contains("*cancelled* · `plain:x`") && hers.contains("You wait for nobody"), "{hers}");
    // She extends an active grant; Bob, who approved it, revokes it from his.
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.advance(seconds(5)).await;
    app.presses_at_home("U0ALICE", "my_extend").await;
    app.sends("U0ALICE", json!({ "time": { "time": "3600" }, "reason": { "reason": "not done, PAY-7" } })).await;
    assert_eq!(app.cards(LEDGER).await.len(), 2, "an extension is a request of its own");
    app.advance(seconds(5)).await;
    let his = says(&app.home("U0BOB").await);
    assert!(his.contains("Waiting for you* (1)") && his.contains("*approved*"), "{his}");
    app.presses_at_home("U0BOB", "revoke").await;
    assert!(app.cards(LEDGER).await[0].head().starts_with("Revoked"));
    app.advance(seconds(5)).await;
    assert!(says(&app.home("U0ALICE").await).contains("No access is active"));
    // Time alone changes Home as well: what nobody decided is no row any more.
    app.advance(minutes(31)).await;
    assert!(says(&app.home("U0BOB").await).contains("Nothing waits for you"));
}
