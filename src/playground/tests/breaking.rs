use std::time::Duration;

use serde_json::{Value, json};

use super::{card, stage};

fn post() -> Value {
    card("C0APPROVALS")
}

#[tokio::test]
async fn statuses_and_odd_bodies_come_as_asked_and_perform_nothing() {
    let stage = stage().await;
    let cases = [
        (json!({ "kind": "http_500" }), 500, None, "Internal Server Error"),
        (json!({ "kind": "http_503" }), 503, None, "Service Unavailable"),
        (
            json!({ "kind": "rate_limited", "retry_after": 7 }),
            429,
            Some("7"),
            "{\"error\":\"ratelimited\",\"ok\":false}",
        ),
        (json!({ "kind": "malformed" }), 200, None, "{\"ok\":true,\"channel\":\"C0"),
        (json!({ "kind": "empty" }), 200, None, ""),
        (
            json!({ "kind": "not_ok", "error": "token_revoked" }),
            200,
            None,
            "{\"error\":\"token_revoked\",\"ok\":false}",
        ),
    ];
    for (mut fault, status, retry_after, body) in cases {
        (fault["method"], fault["times"]) = (json!("chat.postMessage"), json!(1));
        stage.fault(fault.clone()).await;
        let other = stage.slack("auth.test", json!({})).await;
        assert_eq!(other["ok"], true, "only the named method is befallen");
        let answer = stage.try_slack("chat.postMessage", post()).await.expect("an answer");
        assert_eq!(answer.status(), status, "{fault}");
        assert_eq!(answer.headers().get("retry-after").map(|v| v.to_str().expect("ASCII")), retry_after);
        assert_eq!(answer.text().await.expect("a body"), body);
    }
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty());
    assert_eq!(stage.get("/faults").await, json!([]), "each was used up");
    assert_eq!(stage.slack("chat.postMessage", post()).await["ok"], true);
    let log = stage.get("/log").await;
    assert_eq!((&log[1]["method"], &log[1]["answered"]), (&json!("chat.postMessage"), &json!("fault:http_500")));
    assert_eq!(log.as_array().and_then(|all| all.last()).expect("an entry")["answered"], "ok");
}

#[tokio::test]
async fn connections_that_end_early_give_no_usable_answer() {
    let stage = stage().await;
    for kind in ["reset", "unplugged"] {
        stage.fault(json!({ "kind": kind, "times": 1 })).await;
        let usable = match stage.try_slack("chat.postMessage", post()).await {
            Ok(answer) => answer.bytes().await.is_ok(),
            Err(_) => false,
        };
        assert!(!usable, "{kind}");
    }
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty());
}

#[tokio::test]
async fn a_lost_answer_was_posted_all_the_same() {
    let stage = stage().await;
    stage.fault(json!({ "kind": "lost_answer", "times": 1 })).await;
    let answer = stage.try_slack("chat.postMessage", post()).await;
    assert!(answer.is_err(), "the connection ends before any answer");
    assert_eq!(stage.sees("U0BOB", "C0APPROVALS").await.len(), 1);
    assert_eq!(stage.get("/log").await[0]["answered"], "fault:lost_answer");
}

#[tokio::test]
async fn a_hanging_call_never_answers_and_a_slow_one_does() {
    let stage = stage().await;
    stage.fault(json!({ "kind": "hang", "times": 1 })).await;
    let url = format!("{}/api/chat.postMessage", stage.url);
    let hanging = stage.http.post(url).bearer_auth(super::BOT_TOKEN).json(&post()).timeout(Duration::from_millis(150));
    assert!(hanging.send().await.expect_err("no answer").is_timeout());
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty());
    stage.fault(json!({ "kind": "slow", "delay_ms": 80, "times": 1 })).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(stage.slack("chat.postMessage", post()).await["ok"], true);
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn pulling_the_plug_looks_like_no_network_until_it_is_back() {
    let stage = stage().await;
    stage.page("/page/plug", json!({ "plugged": false })).await;
    assert!(stage.try_slack("chat.postMessage", post()).await.is_err());
    assert_eq!(stage.get("/page/state?as=U0BOB").await["slack"]["plugged"], false);
    stage.page("/page/plug", json!({ "plugged": true })).await;
    assert_eq!(stage.slack("chat.postMessage", post()).await["ok"], true);
    assert_eq!(stage.get("/log").await[0]["answered"], "fault:unplugged");
}

#[tokio::test]
async fn faults_stay_until_they_are_cleared_and_unknown_ones_are_refused() {
    let stage = stage().await;
    stage.fault(json!({ "kind": "http_500" })).await;
    for _ in 0..2 {
        assert_eq!(stage.try_slack("auth.test", json!({})).await.expect("an answer").status(), 500);
    }
    let cleared = stage.http.delete(format!("{}/faults", stage.url)).send().await.expect("an answer");
    assert_eq!(cleared.status(), 204);
    assert_eq!(stage.slack("auth.test", json!({})).await["ok"], true);
    for wrong in [json!({ "kind": "meteor" }), json!({ "kind": "http_500", "tmies": 3 })] {
        assert_eq!(stage.page("/faults", wrong).await.0, 422);
    }
}

#[tokio::test]
async fn whoever_follows_the_stream_hears_of_each_change() {
    let stage = stage().await;
    let mut stream = stage.http.get(format!("{}/page/stream", stage.url)).send().await.expect("an answer");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let version = |piece: &[u8]| -> u64 {
        let text = std::str::from_utf8(piece).expect("text").trim().strip_prefix("data: ").expect("data").to_owned();
        serde_json::from_str::<Value>(&text).expect("JSON")["version"].as_u64().expect("a number")
    };
    let first = version(&stream.chunk().await.expect("open").expect("an event"));
    stage.card().await;
    let second = version(&stream.chunk().await.expect("open").expect("an event"));
    assert!(second > first);
    stage.playground.service_is(false);
    let third = version(&stream.chunk().await.expect("open").expect("an event"));
    assert!(third > second);
    assert_eq!(stage.get("/page/state?as=U0BOB").await["service"]["up"], false);
}
