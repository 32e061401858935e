use serde_json::{Value, json};

use super::{SIGNING_SECRET, card, hmac_sha256_hex, stage};
use crate::playground::delivery::signature;

fn click(person: &str, ts: &str) -> Value {
    json!({ "as": person, "channel": "C0APPROVALS", "ts": ts, "block_id": "decide", "action_id": "approve", "value": "value-1" })
}

#[test]
fn the_signature_is_the_one_that_slack_publishes() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
        channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
        response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
        trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    assert_eq!(signature(SIGNING_SECRET.as_bytes(), "1531420618", body.as_bytes()), expected);
    let by_hand = hmac_sha256_hex(SIGNING_SECRET.as_bytes(), format!("v0:1531420618:{body}").as_bytes());
    assert_eq!(format!("v0={by_hand}"), expected);
}

#[tokio::test]
async fn a_click_arrives_signed_and_in_slacks_shape() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    let (_, report) = stage.page("/page/click", click("U0BOB", &ts)).await;
    assert_eq!(report, json!({ "delivered": true, "status": 200 }));
    let got = stage.next().await;
    assert_eq!(got.path, "/slack/interactions");
    assert_eq!(got.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(got.header("x-slack-request-timestamp"), "1795460000", "the shared clock's time");
    let base = format!("v0:{}:{}", got.header("x-slack-request-timestamp"), got.body);
    assert_eq!(
        got.header("x-slack-signature"),
        format!("v0={}", hmac_sha256_hex(SIGNING_SECRET.as_bytes(), base.as_bytes()))
    );
    let payload = got.payload();
    assert_eq!(payload["type"], "block_actions");
    assert_eq!(payload["user"], json!({ "id": "U0BOB", "username": "bob", "name": "bob", "team_id": "T0ACME" }));
    assert_eq!(payload["team"]["id"], "T0ACME");
    assert_eq!(payload["api_app_id"], "A0COUNTERSIGN");
    let container = json!({ "type": "message", "message_ts": ts, "channel_id": "C0APPROVALS", "is_ephemeral": false });
    assert_eq!(payload["container"], container);
    assert_eq!(payload["channel"], json!({ "id": "C0APPROVALS", "name": "approvals" }));
    assert_eq!(payload["message"]["blocks"][1]["block_id"], "decide");
    let actions = payload["actions"].as_array().expect("actions");
    assert_eq!(actions.len(), 1);
    assert_eq!(
        (&actions[0]["type"], &actions[0]["value"], &actions[0]["text"]["text"]),
        (&json!("button"), &json!("value-1"), &json!("Approve"))
    );
    assert!(payload["trigger_id"].is_string());
    let response_url = payload["response_url"].as_str().expect("an address");
    assert!(response_url.starts_with(&format!("{}/response/T0ACME/", stage.url)), "{response_url}");
}

#[tokio::test]
async fn an_outsiders_click_names_the_other_workspace() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    stage.page("/page/click", click("U0EVE", &ts)).await;
    let payload = stage.next().await.payload();
    assert_eq!((&payload["team"]["id"], &payload["user"]["team_id"]), (&json!("T0PARTNER"), &json!("T0PARTNER")));
}

#[tokio::test]
async fn a_test_can_forge_every_part_of_a_click() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    let mut forged = click("U0BOB", &ts);
    forged["value"] = json!("tampered");
    forged["override"] = json!({ "team": null, "enterprise": { "id": "E1" }, "is_enterprise_install": true,
        "container": { "message_ts": "9.9" }, "actions": [{ "action_id": "a" }, { "action_id": "b" }] });
    forged["remove"] = json!(["/user", "/message/ts"]);
    stage.page("/page/click", forged).await;
    let payload = stage.next().await.payload();
    assert!(payload.get("user").is_none() && payload["message"].get("ts").is_none());
    assert_eq!((&payload["team"], &payload["enterprise"]["id"]), (&Value::Null, &json!("E1")));
    assert_eq!(
        (&payload["container"]["message_ts"], &payload["container"]["type"]),
        (&json!("9.9"), &json!("message"))
    );
    assert_eq!(payload["actions"].as_array().map(Vec::len), Some(2));
    let mut tampered = click("U0BOB", &ts);
    (tampered["value"], tampered["action_id"]) = (json!("tampered"), json!("made-up"));
    stage.page("/page/click", tampered).await;
    let action = &stage.next().await.payload()["actions"][0];
    assert_eq!((&action["value"], &action["action_id"]), (&json!("tampered"), &json!("made-up")));
}

#[tokio::test]
async fn nobody_clicks_what_they_do_not_see() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    let (_, report) = stage.page("/page/click", click("U0GREG", &ts)).await;
    assert_eq!(report["delivered"], false);
    let mut whispered = card("C0APPROVALS");
    whispered["user"] = json!("U0EVE");
    let whispered = stage.slack("chat.postEphemeral", whispered).await["message_ts"].as_str().expect("a ts").to_owned();
    assert_eq!(stage.page("/page/click", click("U0BOB", &whispered)).await.1["delivered"], false);
    stage.nothing_more();
    assert_eq!(stage.page("/page/click", click("U0EVE", &whispered)).await.1["delivered"], true);
    let payload = stage.next().await.payload();
    assert_eq!(payload["container"]["is_ephemeral"], true);
    assert!(payload.get("message").is_none(), "Slack does not send an ephemeral message back");
}

#[tokio::test]
async fn a_refused_or_lost_click_says_why() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    stage.answer_next(401, "");
    let (_, report) = stage.page("/page/click", click("U0BOB", &ts)).await;
    assert_eq!((&report["delivered"], &report["status"]), (&json!(true), &json!(401)));
    assert!(report["why"].is_string());
    stage.next().await;
    assert_eq!(stage.page("/page/plug", json!({ "plugged": false })).await.0, 204);
    let (_, report) = stage.page("/page/click", click("U0BOB", &ts)).await;
    assert_eq!(report["delivered"], false);
    stage.nothing_more();
    stage.page("/page/plug", json!({ "plugged": true })).await;
    stage.playground.connect("http://127.0.0.1:9".to_owned());
    assert_eq!(stage.page("/page/click", click("U0BOB", &ts)).await.1["delivered"], false);
}

#[tokio::test]
async fn with_duplicates_switched_on_each_interaction_is_sent_twice() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    stage.fault(json!({ "kind": "duplicate_interactions", "times": 1 })).await;
    assert_eq!(stage.page("/page/click", click("U0BOB", &ts)).await.1["again"], 200);
    let (first, second) = (stage.next().await, stage.next().await);
    assert_eq!((&first.body, first.header("x-slack-signature")), (&second.body, second.header("x-slack-signature")));
    stage.page("/page/click", click("U0BOB", &ts)).await;
    stage.next().await;
    stage.nothing_more();
}

#[tokio::test]
async fn raw_requests_are_signed_unless_they_say_otherwise() {
    let mut stage = stage().await;
    stage.answer_next(401, "no");
    let (_, answer) = stage.page("/page/raw", json!({ "path": "/slack/interactions", "body": "payload=1" })).await;
    assert_eq!(answer, json!({ "status": 401, "body": "no" }));
    let good = stage.next().await;
    let base = format!("v0:1795460000:{}", good.body);
    assert_eq!(
        good.header("x-slack-signature"),
        format!("v0={}", hmac_sha256_hex(SIGNING_SECRET.as_bytes(), base.as_bytes()))
    );
    let old = json!({ "path": "/slack/events", "body": "{}", "timestamp": 5, "content_type": "application/json" });
    stage.page("/page/raw", old).await;
    let old = stage.next().await;
    assert_eq!((old.header("x-slack-request-timestamp"), old.header("content-type")), ("5", "application/json"));
    let signed_for_its_time = hmac_sha256_hex(SIGNING_SECRET.as_bytes(), b"v0:5:{}");
    assert_eq!(old.header("x-slack-signature"), format!("v0={signed_for_its_time}"));
    let bare = json!({ "path": "/slack/commands", "body": "", "timestamp": null, "signature": null });
    stage.page("/page/raw", bare).await;
    let bare = stage.next().await;
    assert!(!bare.headers.contains_key("x-slack-signature") && !bare.headers.contains_key("x-slack-request-timestamp"));
    assert_eq!(stage.page("/page/raw", json!({ "path": "/v1/grants", "body": "" })).await.0, 400);
}

#[tokio::test]
async fn commands_and_opened_home_tabs_arrive_signed_and_their_answers_are_shown() {
    let mut stage = stage().await;
    stage.answer_next(200, json!({ "response_type": "ephemeral", "text": "Choose a resource" }));
    let typed = json!({ "as": "U0ALICE", "channel": "C0APPROVALS", "command": "/access", "text": "refund" });
    assert_eq!(stage.page("/page/command", typed).await.1["status"], 200);
    let got = stage.next().await;
    assert_eq!(got.path, "/slack/commands");
    assert!(got.body.contains("user_id=U0ALICE") && got.body.contains("command=%2Faccess"), "{}", got.body);
    assert_eq!(stage.sees("U0ALICE", "C0APPROVALS").await[0]["text"], "Choose a resource");
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty());
    let outsider = json!({ "as": "U0EVE", "channel": "C0APPROVALS", "command": "/access" });
    assert_eq!(stage.page("/page/command", outsider).await.1["delivered"], false);
    stage.nothing_more();
    assert_eq!(stage.page("/page/home", json!({ "as": "U0BOB" })).await.1["delivered"], true);
    let opened = stage.next().await;
    let event: Value = serde_json::from_str(&opened.body).expect("JSON");
    assert_eq!((opened.path.as_str(), &event["event"]["type"]), ("/slack/events", &json!("app_home_opened")));
    assert_eq!(event["event"]["user"], "U0BOB");
}
