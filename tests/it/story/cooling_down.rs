//! Denied again and again: it takes longer each time, until an operator lifts it.

use serde_json::{Value, json};

use crate::support::asking::{Answer, alice, but};
use crate::support::world::{DESK, OPERATOR_KEY};
use crate::support::{TestApp, minutes};

impl TestApp {
    /// Alice asks and Bob denies. Answers for how many minutes she is refused from then on.
    async fn denied_for(&self, scope: &str) -> u64 {
        self.ask(&alice(scope)).await.pending();
        let card = self.cards(DESK).await.pop().expect("a card");
        self.deny_with("U0BOB", &card, "Not now, please.").await;
        let all = self.operator_sees("/v1/cooldowns").await["cooldowns"].clone();
        let one =
            all.as_array().expect("a list").iter().find(|one| one["scope"] == scope).expect("it cools down").clone();
        let until: chrono::DateTime<chrono::Utc> = one["until"].as_str().expect("a time").parse().expect("a time");
        let now = countersign::clock::Clock::now(&self.clock);
        u64::try_from((until - now).num_seconds() + 1).expect("it lies ahead") / 60
    }

    async fn lift(&self, body: Value) -> Answer {
        Answer::of(self.http.post(self.url("/v1/cooldowns/lift")).bearer_auth(OPERATOR_KEY).json(&body)).await
    }
}

#[tokio::test]
async fn each_denial_refuses_twice_as_long_as_the_one_before_also_over_a_restart() {
    let mut app = TestApp::start().await;
    for (n, lasts) in [10, 20, 40].into_iter().enumerate() {
        assert_eq!(app.denied_for("plain:x").await, lasts, "denial {n}");
        app.restart().await;
        app.advance(minutes(lasts - 1)).await;
        assert!(app.ask(&alice("plain:x")).await.denied().contains("denied"));
        app.advance(minutes(1)).await;
    }
    // Another scope, another subject: untouched.
    assert_eq!(app.denied_for("plain:y").await, 10);
    app.ask(&but(alice("plain:x"), json!({ "subject": "carol@example.com" }))).await.pending();
    // After a quiet day it begins anew.
    app.advance(minutes(24 * 60)).await;
    assert_eq!(app.denied_for("plain:x").await, 10);
}

#[tokio::test]
async fn an_operator_lifts_what_was_denied_and_how_often_is_forgotten() {
    let app = TestApp::start().await;
    app.denied_for("plain:x").await;
    app.advance(minutes(10)).await;
    assert_eq!(app.denied_for("plain:x").await, 20);
    assert_eq!(
        app.lift(json!({ "client": "somebody-else", "reason": "a mistake" })).await.body,
        json!({ "lifted": [] })
    );
    app.ask(&alice("plain:x")).await.denied();
    let lifted = app.lift(json!({ "client": "ledger-cli", "scope": "plain:x", "reason": "denied by mistake" })).await;
    assert_eq!(lifted.body["lifted"][0]["subject"], "alice@example.com");
    let entry = app.audit().await.into_iter().rfind(|entry| entry["kind"] == "cooldown.lifted").expect("an entry");
    assert_eq!((&entry["actor"], &entry["detail"]["reason"]), (&json!("operator ops"), &json!("denied by mistake")));
    assert_eq!(app.denied_for("plain:x").await, 10);
}

#[tokio::test]
async fn revoking_refuses_for_a_while_and_does_not_double() {
    let app = TestApp::start().await;
    for n in 0..2 {
        app.ask(&alice("plain:x")).await.pending();
        app.approve("U0BOB", &app.card_of(DESK, n).await).await;
        let grant = app.ask(&alice("plain:x")).await.granted()["grant_id"].as_str().expect("a grant").to_owned();
        app.operator_revokes(&grant, "it was lost").await;
        app.ask(&alice("plain:x")).await.denied();
        app.advance(minutes(10)).await;
    }
    app.ask(&alice("plain:x")).await.pending();
}
