use secrecy::SecretString;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::{HOOK_SECRET, Stage, settings, stage, stage_with};
use crate::playground::{HookCredential, Playground};

/// Waits until the newest call is no longer waiting; answers it.
async fn newest_settled(stage: &Stage) -> Value {
    let mut changes = stage.playground.changes();
    loop {
        let call = stage.get("/page/state?as=U0ALICE").await["calls"][0].clone();
        if call["state"] != "waiting" {
            return call;
        }
        changes.changed().await.expect("the stand-in lives");
    }
}

fn asked() -> Value {
    json!({ "body": { "grant_type": "client_credentials", "client_id": "it's", "scope": "a" }, "wait": 25 })
}

#[tokio::test]
async fn the_client_calls_the_hook_signed_and_shows_the_answer() {
    let mut stage = stage().await;
    stage.answer_next(200, json!({ "decision": "granted", "expires_in": 900 }));
    assert_eq!(stage.page("/page/ask", asked()).await, (202, json!({ "call": 1 })));
    let got = stage.next().await;
    assert_eq!((got.path.as_str(), got.header("prefer")), ("/hooks/demo", "wait=25"));
    assert_eq!(serde_json::from_str::<Value>(&got.body).expect("JSON"), asked()["body"]);
    let signed = Webhook::new(HOOK_SECRET).expect("a secret");
    let expected = signed.sign(got.header("webhook-id"), 1_795_460_000, got.body.as_bytes()).expect("signed");
    assert_eq!((got.header("webhook-timestamp"), got.header("webhook-signature")), ("1795460000", expected.as_str()));
    let call = newest_settled(&stage).await;
    assert_eq!(
        (&call["state"], &call["status"], &call["answer"]["decision"]),
        (&json!("answered"), &json!(200), &json!("granted"))
    );
    assert!(call["took_ms"].is_u64());
    let curl = call["curl"].as_str().expect("a command");
    assert!(curl.contains(&expected) && curl.contains(r"it'\''s"), "{curl}");

    stage.answer_next(202, json!({ "decision": "pending" }));
    assert_eq!(stage.page("/page/call/1/retry", json!({})).await, (202, json!({ "call": 2 })));
    let again = stage.next().await;
    assert_eq!(again.body, got.body);
    assert_ne!(again.header("webhook-id"), got.header("webhook-id"), "a new call, not a replay");
    assert_eq!(newest_settled(&stage).await["status"], 202);
    assert_eq!(stage.page("/page/call/77/retry", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_bearer_credential_is_shown_and_a_service_that_is_down_is_reported() {
    let mut stage = stage_with(HookCredential::Bearer(SecretString::from("hook-key"))).await;
    stage.page("/page/ask", json!({ "body": {} })).await;
    let got = stage.next().await;
    assert_eq!((got.header("authorization"), got.header("prefer")), ("Bearer hook-key", ""));
    newest_settled(&stage).await;
    stage.playground.connect("http://127.0.0.1:9".to_owned());
    stage.page("/page/ask", json!({ "body": {} })).await;
    let call = newest_settled(&stage).await;
    assert_eq!((&call["state"], &call["id"]), (&json!("failed"), &json!(2)));
    assert_eq!(call["why"], "The service cannot be reached.");
}

#[tokio::test]
async fn audit_and_revocation_go_to_the_operators_door_with_its_key() {
    let mut stage = stage().await;
    stage.answer_next(200, json!({ "entries": [] }));
    assert_eq!(stage.get("/page/audit?after=12").await, json!({ "entries": [] }));
    let got = stage.next().await;
    assert_eq!(
        (got.path.as_str(), got.header("authorization")),
        ("/v1/audit?after=12&limit=200", "Bearer operators-key")
    );
    stage.answer_next(409, json!({ "title": "already ended" }));
    let revoked = stage.page("/page/revoke", json!({ "grant_id": "grn_1", "reason": "done" })).await;
    assert_eq!(revoked, (409, json!({ "title": "already ended" })));
    let got = stage.next().await;
    assert_eq!((got.path.as_str(), got.body.as_str()), ("/v1/grants/grn_1/revoke", r#"{"reason":"done"}"#));
    for id in ["", "../x", "a/b", "a?b"] {
        assert_eq!(stage.page("/page/revoke", json!({ "grant_id": id })).await.0, 400, "{id}");
    }
    stage.nothing_more();
}

#[tokio::test]
async fn presets_and_policy_are_there_to_choose_and_to_read() {
    let stage = stage().await;
    let presets = stage.get("/page/presets").await;
    let presets = presets.as_array().expect("a list");
    for who in ["person", "build job", "AI agent"] {
        assert!(presets.iter().any(|preset| preset["who"] == who), "{who}");
    }
    assert!(presets.iter().all(|p| p["body"]["scope"].is_string() && p["wait"].is_u64() && p["id"].is_string()));
    assert_eq!(stage.get("/page/policy").await, json!({ "text": "[approvers]", "file": "policy.toml" }));
}

#[test]
fn a_webhook_secret_that_cannot_be_used_is_found_at_the_start() {
    for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!", "plain"] {
        let credential = HookCredential::Webhook(SecretString::from(wrong));
        let clock = std::sync::Arc::new(crate::clock::SystemClock);
        assert!(Playground::new(settings(credential), clock).is_err(), "{wrong}");
    }
}
