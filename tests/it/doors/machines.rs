//! Health, metrics, keys, and the end.

use std::time::Duration;

use serde_json::json;

use crate::support::TestApp;
use crate::support::asking::{Answer, alice};
use crate::support::world::{DESK, LEDGER};

#[tokio::test]
async fn machines_are_told_how_it_is() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:read")).await.granted();
    app.ask(&alice("plain:x")).await.pending();
    let see = async |path: &str| Answer::of(app.http.get(app.url(path))).await;
    for (path, status) in [("/livez", "alive"), ("/readyz", "ready"), ("/startupz", "started")] {
        let answer = see(path).await;
        assert_eq!((answer.status, answer.text("status")), (200, status), "{path}");
    }
    assert_eq!(see("/readyz").await.body["degraded"], json!([]));
    let metrics = see("/metrics").await.text;
    for line in [
        "countersign_hook_answers_total{hook=\"shop\",answer=\"granted\"}",
        "countersign_hook_answers_total{hook=\"shop\",answer=\"pending\"}",
        "countersign_http_requests_total{door=\"/hooks/{name}\",status=\"202\"}",
        "countersign_held_calls",
        "countersign_deliveries_total{outcome=\"done\"}",
        "countersign_outbox_waiting",
        "countersign_outbox_dead",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    // Whatever strangers write never becomes a label.
    see("/hooks/made-up-name-1/made-up-name-2").await;
    assert!(!see("/metrics").await.text.contains("made-up-name"));
    assert_eq!(see("/.well-known/jwks.json").await.body["keys"].as_array().expect("a list").len(), 1);
    assert!(see("/.well-known/jwks.json").await.body["keys"][0].get("d").is_none());
    assert_eq!(see("/openapi.json").await.body["openapi"], "3.1.0");
}

#[tokio::test]
async fn slack_being_down_is_told_and_keeps_nobody_from_being_ready() {
    let app = TestApp::start().await;
    app.fault(json!({ "method": "*", "kind": "http_503" })).await;
    app.ask(&alice("plain:x")).await.pending();
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!((ready.status, &ready.body["degraded"]), (200, &json!(["slack"])));
    app.faults_end().await;
    app.advance(Duration::from_secs(60)).await;
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!(ready.body["degraded"], json!([]));
    app.card(DESK).await;
}

#[tokio::test]
async fn a_drain_answers_who_waits_and_holds_nobody_any_more() {
    let mut app = TestApp::start().await;
    let held: Vec<_> = (0..5).map(|_| app.ask_held(&alice("ledger:write"), 25)).collect();
    let card = app.card_comes(LEDGER).await;
    let started = tokio::time::Instant::now();
    app.service().drain();
    for call in held {
        call.answer().await.pending();
    }
    app.ask_held(&alice("ledger:write"), 25).answer().await.pending();
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!(ready.status, 503);
    assert_eq!(Answer::of(app.http.get(app.url("/livez"))).await.status, 200);
    // Clicks still count while it drains.
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.stop().await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(app.http.get(app.url("/livez")).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_second_process_may_not_open_the_same_file() {
    let app = TestApp::start().await;
    let second = countersign::store::Store::open(&app.file("countersign.db")).await;
    let error = second.err().expect("a refusal").to_string();
    assert!(error.contains("another process has it open"), "{error}");
    app.ask(&alice("ledger:read")).await.granted();
}
