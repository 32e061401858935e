//! Standing grants: what they cover, and what they do not.

use serde_json::json;

use crate::support::asking::{alice, but, job};
use crate::support::world::{DESK, LEDGER};
use crate::support::{TestApp, minutes};

#[tokio::test]
async fn a_grant_covers_less_than_it_holds_and_never_more() {
    let app = TestApp::start().await;
    app.ask(&alice("plain:a plain:b")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    let both = app.ask(&alice("plain:b plain:a")).await.granted().clone();
    let one = app.ask(&alice("plain:a")).await.granted().clone();
    assert_eq!((&both["grant_id"], &one["scope"]), (&one["grant_id"], &json!("plain:a")));
    app.ask(&alice("plain:a plain:c")).await.pending();
    // No scope at all is not "less": without a rule for it, it is refused.
    for scope in ["", " ", "   "] {
        app.ask(&alice(scope)).await.denied();
    }
}

#[tokio::test]
async fn two_overlapping_grants_do_not_disturb_each_other() {
    let app = TestApp::start().await;
    for scope in ["plain:a plain:b", "plain:b plain:c"] {
        app.ask(&alice(scope)).await.pending();
    }
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    let ab = app.ask(&alice("plain:a plain:b")).await.granted()["grant_id"].clone();
    let bc = app.ask(&alice("plain:b plain:c")).await.granted()["grant_id"].clone();
    assert_ne!(ab, bc);
    app.operator_revokes(ab.as_str().expect("a grant"), "only the first").await;
    assert_eq!(app.ask(&alice("plain:b plain:c")).await.granted()["grant_id"], bc);
    assert_eq!(app.ask(&alice("plain:b")).await.granted()["grant_id"], bc, "the second covers it still");
    app.ask(&alice("plain:a")).await.denied();
}

#[tokio::test]
async fn refresh_and_exchange_use_a_standing_grant_and_never_open_a_request() {
    let app = TestApp::start().await;
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    for grant_type in ["refresh_token", exchange] {
        let asked = app.ask(&but(alice("ledger:write"), json!({ "grant_type": grant_type }))).await;
        asked.denied();
        assert_eq!(asked.text("error"), "invalid_grant");
    }
    assert!(app.cards(LEDGER).await.is_empty());
    app.ask(&alice("ledger:write")).await.pending();
    // While people think it over, a refresh is refused too, and the request stays.
    assert_ne!(app.ask(&but(alice("ledger:write"), json!({ "grant_type": "refresh_token" }))).await.status, 200);
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    for grant_type in ["refresh_token", exchange, "authorization_code"] {
        app.ask(&but(alice("ledger:write"), json!({ "grant_type": grant_type }))).await.granted();
    }
    app.advance(minutes(120)).await;
    app.ask(&but(alice("ledger:write"), json!({ "grant_type": "refresh_token" }))).await.denied();
    assert_eq!(app.cards(LEDGER).await.len(), 1);
}

#[tokio::test]
async fn a_client_of_the_same_name_is_somebody_else() {
    let app = TestApp::start().await;
    let person = but(alice("plain:x"), json!({ "client_id": "alice@example.com" }));
    app.ask(&person).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&person).await.granted();
    let client = but(person.clone(), json!({ "subject": null }));
    app.ask(&client).await.pending();
    // A person of that name has no say in it.
    let nora = but(person.clone(), json!({ "client_id": "nora@example.com", "subject": null }));
    app.ask(&nora).await.pending();
    let card = app.card_of(DESK, 2).await;
    app.approve("U0BOB", &card).await;
    app.click("U0NORA", &app.card_of(DESK, 2).await, "revoke").await;
    app.ask(&nora).await.granted();
    // Nobody is told by direct message about what a client asks for itself.
    let told = app.direct("U0ALICE").await.len();
    app.approve("U0BOB", &app.cards(DESK).await[1]).await;
    assert_eq!(app.direct("U0ALICE").await.len(), told);
}

#[tokio::test]
async fn a_client_that_asks_too_much_at_once_is_told_to_wait() {
    let app = TestApp::start().await;
    for scope in ["plain:1", "plain:2", "plain:3"] {
        app.ask(&job(scope)).await.pending();
    }
    let refused = app.ask(&job("plain:4")).await;
    refused.problem(429);
    assert!(!refused.header("retry-after").is_empty());
    // What is pending already is attached to, people's requests are counted apart, and a decision makes room.
    app.ask(&job("plain:1")).await.pending();
    app.ask(&alice("plain:4")).await.pending();
    assert_eq!(app.cards(DESK).await.len(), 4);
    app.approve("U0BOB", &app.cards(DESK).await[0]).await;
    app.ask(&job("plain:4")).await.pending();
    assert!(app.audit().await.iter().any(|entry| entry["kind"] == "token.refused"), "a refusal is on record");
}

#[tokio::test]
async fn how_long_a_call_waits_is_its_own_wish_up_to_the_hooks_hold() {
    let app = TestApp::start().await;
    // No header: answered at once, though this hook would hold 25 seconds. A wish beyond the hook's hold (one second
    // here) is capped; the answer comes a little before its end. The bounds leave room for a busy machine.
    let started = tokio::time::Instant::now();
    app.ask(&alice("plain:x")).await.pending();
    assert!(started.elapsed() < std::time::Duration::from_secs(15), "{:?}", started.elapsed());
    for (hook, wish) in [("brief", "wait=3600"), ("shop", "wait=1")] {
        let started = tokio::time::Instant::now();
        let call = app.hook(hook, &alice("plain:w")).header("prefer", wish);
        let answer = TestApp::held(call).answer().await;
        answer.pending();
        let took = started.elapsed().as_millis();
        assert!((450..15_000).contains(&took), "{hook} {wish}: {took} ms");
    }
}

#[tokio::test]
async fn status_url_tells_the_hook_and_nobody_else_where_its_request_stands() {
    let app = TestApp::start().await;
    let asked = app.ask(&alice("plain:x")).await;
    let url = asked.text("status_url").to_owned();
    let see = |url: String| async { app.http.get(url).bearer_auth(crate::support::world::SHOP_TOKEN).send().await };
    let status = see(url.clone()).await.expect("an answer").json::<serde_json::Value>().await.expect("JSON");
    assert_eq!((&status["status"], &status["request_id"]), (&json!("pending"), &json!(asked.pending())));
    assert_eq!(app.http.get(&url).send().await.expect("an answer").status(), 401);
    assert_eq!(see(url.replace("/shop/", "/brief/")).await.expect("an answer").status(), 404);
    app.approve("U0BOB", &app.card(DESK).await).await;
    let status = see(url).await.expect("an answer").json::<serde_json::Value>().await.expect("JSON");
    assert_eq!(status["status"], "approved");
}
