//! An approver set in which nobody can decide is an error at once, and never a silent wait.

use serde_json::json;

use crate::support::TestApp;
use crate::support::asking::{Answer, alice};
use crate::support::world::{DESK, POLICY};

async fn says_why(app: &TestApp, why: &str) {
    let refused = app.ask(&alice("plain:x")).await;
    assert!(refused.denied().contains("No one can decide") && refused.text.contains(why), "{}", refused.text);
    assert!(refused.text.contains("The rule `anything plain` asks for them."), "{}", refused.text);
    assert!(app.cards(DESK).await.is_empty());
    assert_eq!(app.happened().await.last().map(String::as_str), Some("token.refused"));
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    assert!(metrics.contains("what=\"nobody_can_decide\""), "{metrics}");
}

#[tokio::test]
async fn an_empty_user_group_is_said_at_once() {
    let app = TestApp::start().await;
    app.group_is("S0LEADS", &[]).await;
    says_why(&app, "Nobody is in `leads` at all").await;
    // As soon as somebody is in it, people are asked.
    app.group_is("S0LEADS", &["U0BOB"]).await;
    app.advance(crate::support::seconds(61)).await;
    app.ask(&alice("plain:x")).await.pending();
}

#[tokio::test]
async fn a_user_group_that_slack_does_not_know_is_said_at_once() {
    let app = TestApp::stage().policy(POLICY.replace("S0LEADS", "S0GONE")).start().await;
    says_why(&app, "`leads`").await;
}

#[tokio::test]
async fn a_group_of_nothing_but_deactivated_accounts_guests_apps_and_strangers_is_nobody() {
    let app = TestApp::start().await;
    app.group_is("S0LEADS", &["U0GONE", "U0GREG", "U0ROBO", "U0EVE", "U0UMA"]).await;
    says_why(&app, "nobody of the approver set `leads` can").await;
}

#[tokio::test]
async fn a_group_of_nobody_but_the_requester_is_nobody() {
    let app = TestApp::start().await;
    app.group_is("S0LEADS", &["U0ALICE", "U0ALICE2"]).await;
    says_why(&app, "nobody of the approver set `leads` can").await;
}

#[tokio::test]
async fn fewer_people_than_must_agree_are_too_few() {
    let app = TestApp::start().await;
    app.group_is("S0LEADS", &["U0BOB", "U0ALICE"]).await;
    let refused = app.ask(&alice("ledger:close")).await;
    assert!(refused.denied().contains("2 of the approver set `leads` must, and fewer can"), "{}", refused.text);
}

#[tokio::test]
async fn where_slack_is_down_it_is_asked_all_the_same_and_withdrawn_when_slack_answers() {
    let app = TestApp::start().await;
    app.group_is("S0LEADS", &[]).await;
    app.fault(json!({ "method": "*", "kind": "http_503" })).await;
    let held = app.ask_held(&alice("plain:x"), 20);
    let request = app
        .until("a request", async || {
            let all = app.operator_sees("/v1/requests").await;
            all["requests"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
    assert!(!held.is_answered());
    app.faults_end().await;
    app.advance(crate::support::seconds(90)).await;
    let answer = held.answer().await;
    assert!(answer.denied().contains("No one can decide"), "{}", answer.text);
    assert!(app.cards(DESK).await.is_empty());
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.cancelled"]);
    assert!(app.direct("U0ALICE").await.pop().expect("a message").contains("No one can decide"));
}
