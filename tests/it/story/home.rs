//! App Home: what waits for whom, and that pressing there is pressing on the card.

use serde_json::json;

use crate::support::TestApp;
use crate::support::asker::says;
use crate::support::asking::{alice, but};
use crate::support::seconds;
use crate::support::world::LEDGER;

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
    for forgery in [json!({ "user": { "id": "U0CAROL" } }), json!({ "view": { "id": "V0OTHER" } })] {
        let mut forged = press.clone();
        forged["override"] = forgery;
        app.page("/page/click", forged).await;
        app.settle().await;
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
