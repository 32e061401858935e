//! Who may come in.

use countersign::clock::{Clock, SystemClock};
use countersign::slack::signature::sign;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;

use super::doors;
use crate::support::TestApp;
use crate::support::asking::{Answer, alice};
use crate::support::world::{
    BOT_TOKEN, DESK, HYDRA_KEY, NEW_SECRET, OLD_SECRET, OLD_SIGNING_SECRET, OPERATOR_KEY, PEP_TOKEN, SHOP_TOKEN,
    SIGNING_SECRET, VIEWER_KEY,
};

/// Nothing came of it: no decision, not even an audit entry.
async fn nothing_came_of_it(app: &TestApp, what: &str) {
    let decided = app.decided().await;
    assert!(decided.iter().all(|(_, rows)| rows.is_none()), "{what}: {decided:?}");
    assert!(app.audit().await.is_empty(), "{what}");
}

#[tokio::test]
async fn every_door_that_wants_to_know_who_calls_refuses_whoever_does_not_say() {
    let app = TestApp::start().await;
    let id = "0123456789abcdef0123456789abcdef";
    let mut closed = 0;
    for (method, path, security) in doors() {
        let open = security.as_array().is_some_and(Vec::is_empty);
        let full = path.replace("{name}", "shop").replace("{id}", &format!("grn_{id}"));
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let call = || app.http.request(method.clone(), app.url(&full));
        if path.starts_with("/step-up/") {
            // Pages for a browser: they believe the link, the cookie and the form's token, see `story::step_up`.
            continue;
        }
        if open {
            let answer = Answer::of(call()).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
            continue;
        }
        closed += 1;
        let body = serde_json::to_string(&alice("ledger:read")).expect("JSON");
        let with = |credential: &str| call().header("authorization", credential.to_owned()).body(body.clone());
        let calls = [
            ("none", call()),
            ("none, with a body", call().body(body.clone())),
            ("an empty token", with("Bearer ")),
            ("no scheme", with(SHOP_TOKEN)),
            ("another scheme", with(&format!("Basic {SHOP_TOKEN}"))),
            ("a wrong token", with("Bearer CANARY-shop-token-012345678X")),
            ("a token and more", with(&format!("Bearer {SHOP_TOKEN} x"))),
            ("the bot's token", with(&format!("Bearer {BOT_TOKEN}"))),
            ("two tokens", with(&format!("Bearer {SHOP_TOKEN}")).header("authorization", "Bearer x")),
            ("Hydra's key", call().header("x-countersign-key", HYDRA_KEY).body(body.clone())),
            ("unsigned", call().header("x-slack-request-timestamp", "1").header("x-slack-signature", "v0=00")),
        ];
        for (what, call) in calls {
            let answer = Answer::of(call).await;
            assert_eq!(answer.status, 401, "{method} {path}, {what}: {}", answer.text);
        }
        // A credential of another door is none.
        let others = [("/hooks", SHOP_TOKEN), ("/access", PEP_TOKEN), ("/v1", OPERATOR_KEY)];
        for (_, token) in others.iter().filter(|(prefix, _)| !path.starts_with(prefix)) {
            let answer = Answer::of(with(&format!("Bearer {token}"))).await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
        }
    }
    assert!(closed >= 15, "{closed}");
    nothing_came_of_it(&app, "unauthenticated calls").await;
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    for door in ["hook", "slack", "operators", "authzen"] {
        let line = format!("countersign_unauthenticated_total{{door=\"{door}\"}}");
        assert!(metrics.contains(&line), "{line} is missing");
    }
}

#[tokio::test]
async fn an_unknown_hook_looks_like_a_wrong_signature_in_every_detail() {
    let app = TestApp::start().await;
    let body = alice("ledger:read");
    let plain = |answer: Answer| {
        let mut headers: Vec<_> = answer.headers.iter().map(|(n, v)| format!("{n}: {v:?}")).collect();
        headers.retain(|header| !header.starts_with("date"));
        (answer.status, headers, answer.text)
    };
    let wrong = plain(Answer::of(app.hook("shop", &body).header("authorization", "Bearer x")).await);
    assert_eq!(wrong.0, 401);
    let long = "x".repeat(5_000);
    for name in ["nobody", "Shop", "pep", "signed", "hydra", "sh%6Fp2", "%00", "%ff", "..%2fshop", &long] {
        let answer = plain(Answer::of(app.hook(name, &body)).await);
        assert_eq!(answer, wrong, "/hooks/{name}");
    }
    for path in ["/hooks/nobody/requests/req_1", "/hooks/shop/requests/req_1"] {
        assert_eq!(plain(Answer::of(app.http.get(app.url(path))).await), wrong, "{path}");
    }
    nothing_came_of_it(&app, "unknown hooks").await;
}

#[tokio::test]
async fn a_standard_webhooks_signature_counts_for_five_minutes_one_body_and_one_identifier() {
    let app = TestApp::start().await;
    let now = SystemClock.now().timestamp();
    let body = alice("plain:x").to_string();
    let good = |at| app.signed_hook_with(NEW_SECRET, "call", at, &body);
    let stranger = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let other = app.http.post(app.url("/hooks/signed")).body(body.clone());
    let refused = [
        ("no header", other.try_clone().expect("a copy")),
        ("the shop's token", other.try_clone().expect("a copy").bearer_auth(SHOP_TOKEN)),
        ("a stranger's secret", app.signed_hook_with(stranger, "call", now, &body)),
        ("six minutes old", good(now - 360)),
        ("from the future", good(now + 360)),
        ("another body", good(now).body(alice("plain:y").to_string())),
        ("a body with a newline", good(now).body(format!("{body}\n"))),
        ("a second identifier", good(now).header("webhook-id", "other")),
        ("a second time", good(now).header("webhook-timestamp", now.to_string())),
    ];
    for (what, call) in refused {
        let answer = Answer::of(call).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    }
    let swapped = |name: &str, value: String| {
        let mut call = good(now).build().expect("a request");
        call.headers_mut().insert(
            reqwest::header::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
            value.parse().expect("a value"),
        );
        app.http.execute(call)
    };
    for (name, value) in [
        ("webhook-id", "other".to_owned()),
        ("webhook-id", "x".repeat(200)),
        ("webhook-id", "a b".to_owned()),
        ("webhook-timestamp", (now - 1).to_string()),
        ("webhook-timestamp", "+1".to_owned()),
        ("webhook-timestamp", "9223372036854775807".to_owned()),
        ("webhook-timestamp", "-9223372036854775808".to_owned()),
        ("webhook-signature", "v1,AAAA".to_owned()),
        ("webhook-signature", String::new()),
        ("webhook-signature", "v1,".repeat(500)),
    ] {
        let answer = swapped(name, value.clone()).await.expect("an answer");
        assert_eq!(answer.status(), 401, "{name}: {value}");
    }
    nothing_came_of_it(&app, "bad signatures").await;
    // Both secrets of a rotation count, replay inside the window is harmless, four minutes are not too old.
    let request = Answer::of(good(now)).await.pending();
    for call in [good(now), app.signed_hook_with(OLD_SECRET, "call", now - 240, &body)] {
        assert_eq!(Answer::of(call).await.pending(), request);
    }
    app.settle().await;
    app.card(DESK).await;
    let conflict = app.signed_hook("call", &alice("plain:y").to_string());
    Answer::of(conflict).await.problem(409);
}

#[tokio::test]
async fn slack_is_believed_only_with_its_signature_of_the_last_five_minutes() {
    let app = TestApp::start().await;
    let now = app.clock.now().timestamp();
    let body = "payload=%7B%22type%22%3A%22view_closed%22%7D";
    let secret = |text: &str| SecretString::from(text.to_owned());
    let by = |text: &str, at: i64| sign(&secret(text), at, body.as_bytes());
    let right = by(SIGNING_SECRET, now);
    let routes: Vec<String> =
        doors().into_iter().map(|door| door.1).filter(|path| path.starts_with("/slack/")).collect();
    assert_eq!(routes.len(), 3, "{routes:?}");
    for route in &routes {
        let call = |at: &str, signature: &str| {
            let call = app.http.post(app.url(route)).header("content-type", "application/x-www-form-urlencoded");
            let call = call.header("x-slack-request-timestamp", at.to_owned());
            call.header("x-slack-signature", signature.to_owned()).body(body)
        };
        let at = now.to_string();
        let rows = [
            ("empty", call(&at, "")),
            ("wrong", call(&at, &format!("v0={}", "0".repeat(64)))),
            ("truncated", call(&at, &right[..40])),
            ("upper case", call(&at, &right.to_uppercase())),
            ("another version", call(&at, &right.replacen("v0", "v1", 1))),
            ("no prefix", call(&at, &right[3..])),
            ("two of them", call(&at, &right).header("x-slack-signature", right.clone())),
            ("two in one", call(&at, &format!("{right},{right}"))),
            ("another app's secret", call(&at, &by("another app's secret", now))),
            ("an empty secret", call(&at, &by("", now))),
            ("no time", call("", &right)),
            ("another time", call(&(now - 1).to_string(), &right)),
            ("a text for a time", call("soon", &right)),
            ("a negative time", call("-1", &by(SIGNING_SECRET, -1))),
            ("a fraction", call(&format!("{at}.0"), &right)),
            ("a leading zero", call(&format!("0{at}"), &right)),
            ("the end of time", call(&i64::MAX.to_string(), &by(SIGNING_SECRET, i64::MAX))),
            ("301 s old", call(&(now - 301).to_string(), &by(SIGNING_SECRET, now - 301))),
            ("301 s ahead", call(&(now + 301).to_string(), &by(SIGNING_SECRET, now + 301))),
            ("another body", call(&at, &right).body(format!("{body}&x=1"))),
            ("one bit of the body", call(&at, &right).body(body.replacen('p', "q", 1))),
            ("the same form in other words", call(&at, &right).body(body.replace("%22", "\""))),
        ];
        for (what, call) in rows {
            let answer = Answer::of(call).await;
            assert_eq!(answer.status, 401, "{route}, {what}: {}", answer.text);
        }
        for (what, at, secret) in [
            ("now", now, SIGNING_SECRET),
            ("300 s old", now - 300, SIGNING_SECRET),
            ("300 s ahead", now + 300, SIGNING_SECRET),
            ("rotated", now, OLD_SIGNING_SECRET),
        ] {
            let answer = Answer::of(call(&at.to_string(), &by(secret, at))).await;
            assert_ne!(answer.status, 401, "{route}, {what}");
            assert!(answer.status < 500, "{route}, {what}: {}", answer.text);
        }
    }
    let decided = app.decided().await;
    assert!(decided.iter().all(|(_, rows)| rows.is_none()), "{decided:?}");
    // What was signed and made no sense as a command is a refusal, and refusals are written down; nothing else is.
    let happened = app.happened().await;
    assert!(happened.iter().all(|kind| kind == "click.refused") && happened.len() <= 4, "{happened:?}");
}

#[tokio::test]
async fn what_slack_signs_and_nobody_understands_is_a_400_and_changes_nothing() {
    let app = TestApp::start().await;
    let deep = format!("payload={}", "%5B".repeat(30_000));
    for body in [
        "",
        "payload=",
        "payload=%7B",
        "payload=%5B%5D",
        "payload=%7B%7D",
        "payload=null",
        "x=1",
        &deep,
        "payload=%7B%22type%22%3A1%7D",
        "payload=%FF%FE",
        "payload=%00",
        "payload=%7B%22type%22%3A%22block_actions%22%7D&payload=%7B%22type%22%3A%22block_actions%22%7D",
    ] {
        let sent = app.page("/page/raw", json!({ "path": "/slack/interactions", "body": body })).await;
        assert_eq!(sent["status"], 400, "{}: {sent}", &body[..body.len().min(60)]);
    }
    for body in ["", "{", "[]", "null", &"[".repeat(100_000)] {
        let sent = app.page("/page/raw", json!({ "path": "/slack/events", "body": body })).await;
        assert_eq!(sent["status"], 400, "{}: {sent}", &body[..body.len().min(60)]);
    }
    let challenge = json!({ "type": "url_verification", "challenge": "c4" }).to_string();
    let sent = app.page("/page/raw", json!({ "path": "/slack/events", "body": challenge })).await;
    assert!(sent["status"] == 200 && sent["body"].as_str().expect("a body").contains("c4"), "{sent}");
    // What will only be understood next year is taken and does nothing.
    for body in ["payload=%7B%22type%22%3A%22block_suggestion%22%7D", "payload=%7B%22type%22%3A%22view_closed%22%7D"] {
        let sent = app.page("/page/raw", json!({ "path": "/slack/interactions", "body": body })).await;
        assert_eq!(sent["status"], 200, "{body}: {sent}");
    }
    let decided = app.decided().await;
    assert!(decided.iter().all(|(_, rows)| rows.is_none()), "{decided:?}");
}

#[tokio::test]
async fn a_viewer_looks_and_does_not_touch() {
    let app = TestApp::start().await;
    let granted = app.ask(&alice("ledger:read")).await.granted().clone();
    let grant = granted["grant_id"].as_str().expect("a grant");
    let url = app.url(&format!("/v1/grants/{grant}/revoke"));
    let call = app.http.post(url).bearer_auth(VIEWER_KEY).json(&json!({ "reason": "curious" }));
    Answer::of(call).await.problem(403);
    app.ask(&alice("ledger:read")).await.granted();
    for path in ["/v1/requests", "/v1/grants", "/v1/audit", "/v1/outbox"] {
        assert_eq!(Answer::of(app.http.get(app.url(path)).bearer_auth(VIEWER_KEY)).await.status, 200, "{path}");
    }
}
