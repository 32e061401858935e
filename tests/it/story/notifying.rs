//! Cards for one person: where a rule wants each to be told directly.

use serde_json::json;

use crate::support::TestApp;
use crate::support::asking::alice;
use crate::support::slack::Card;
use crate::support::world::{DESK, POLICY};

fn by(how: &str) -> String {
    let plain = "when = 'scope.startsWith(\"plain:\")'\nask = { ";
    assert!(POLICY.contains(plain));
    POLICY.replace(plain, &format!("{plain}notify = {{ by = \"{how}\" }}, "))
}

async fn direct(app: &TestApp, person: &str) -> Vec<Card> {
    let all = app.messages(person, &format!("D{}", &person[1..])).await;
    all.into_iter().filter(|card| card.buttons().contains(&"approve") || card.head().starts_with("Approved")).collect()
}

#[tokio::test]
async fn each_approver_gets_a_card_that_works_and_is_edited_to_the_outcome() {
    let app = TestApp::stage().policy(by("direct")).start().await;
    app.group_is("S0LEADS", &["U0ALICE", "U0BOB", "U0CAROL"]).await;
    app.ask(&alice("plain:x")).await.pending();
    assert!(app.cards(DESK).await.is_empty(), "the channel gets none");
    assert!(direct(&app, "U0ALICE").await.is_empty(), "whoever asks may not decide");
    let (bobs, carols) = (direct(&app, "U0BOB").await, direct(&app, "U0CAROL").await);
    assert_eq!((bobs.len(), carols.len()), (1, 1));
    // Carol cannot use Bob's button on her card.
    let (_, value) = bobs[0].button("approve");
    let before = app.decided().await;
    app.click_forged("U0CAROL", &carols[0], "approve", json!({ "value": value })).await;
    assert_eq!(app.decided().await, before);
    app.approve("U0BOB", &bobs[0]).await;
    for person in ["U0BOB", "U0CAROL"] {
        assert!(direct(&app, person).await[0].head().starts_with("Approved"), "{person}");
    }
    app.ask(&alice("plain:x")).await.granted();
}

#[tokio::test]
async fn both_is_the_channel_and_each_person_and_one_decision_settles_all_of_them() {
    let app = TestApp::stage().policy(by("both")).start().await;
    app.group_is("S0LEADS", &["U0BOB", "U0CAROL"]).await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    assert_eq!((direct(&app, "U0BOB").await.len(), direct(&app, "U0CAROL").await.len()), (1, 1));
    app.approve("U0CAROL", &card).await;
    assert!(direct(&app, "U0BOB").await[0].head().starts_with("Approved"));
}

#[tokio::test]
async fn where_nobody_can_be_written_to_the_channel_is_better_than_silence() {
    let app = TestApp::stage().policy(by("direct")).start().await;
    app.group_is("S0LEADS", &["U0BOB", "U0CAROL"]).await;
    app.fault(json!({ "kind": "not_ok", "method": "conversations.open", "error": "missing_scope" })).await;
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
}
