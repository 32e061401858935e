//! Slash commands, messages of people, and the addresses to answer at.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Received, stage};

fn fields(got: &Received) -> HashMap<String, String> {
    assert_eq!(got.path, "/slack/commands");
    serde_urlencoded::from_str(&got.body).expect("a form")
}

fn access(text: &str) -> Value {
    json!({ "as": "U0ALICE", "channel": "C0APPROVALS", "command": "/access", "text": text })
}

#[tokio::test]
async fn a_command_arrives_with_everything_that_slack_says_about_it() {
    let mut stage = stage().await;
    let typed = "billing-cli payments:refund for 2h because a < b & c, ask @bob or @payments-leads in #payments";
    assert_eq!(stage.page("/page/command", access(typed)).await.1, json!({ "delivered": true, "status": 200 }));
    let got = fields(&stage.next().await);
    let expected = "billing-cli payments:refund for 2h because a &lt; b &amp; c, ask <@U0BOB|bob> or \
        <!subteam^S0PAYLEADS|@payments-leads> in <#C0PAYMENTS|payments>";
    assert_eq!(got["text"], expected);
    for (name, value) in [
        ("command", "/access"),
        ("team_id", "T0ACME"),
        ("api_app_id", "A0COUNTERSIGN"),
        ("channel_id", "C0APPROVALS"),
        ("channel_name", "approvals"),
        ("user_id", "U0ALICE"),
        ("user_name", "alice"),
        ("is_enterprise_install", "false"),
    ] {
        assert_eq!(got[name], value, "{name}");
    }
    assert!(!got["trigger_id"].is_empty() && got["response_url"].starts_with(&stage.url));
    assert!(stage.sees("U0ALICE", "C0APPROVALS").await.is_empty(), "an empty answer shows nothing");
}

#[tokio::test]
async fn the_answer_is_shown_to_the_asker_alone_unless_it_says_otherwise() {
    let mut stage = stage().await;
    stage.answer_next(200, json!({ "text": "Only for you" }));
    stage.page("/page/command", access("status")).await;
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty());
    assert_eq!(stage.sees("U0ALICE", "C0APPROVALS").await[0]["ephemeral"], true);
    stage.answer_next(200, json!({ "response_type": "in_channel", "text": "For all" }));
    stage.page("/page/command", access("status")).await;
    assert_eq!(stage.sees("U0BOB", "C0APPROVALS").await[0]["text"], "For all");
    stage.answer_next(200, json!({ "text": "t", "blocks": [{ "type": "sektion" }] }));
    let report = stage.page("/page/command", access("status")).await.1;
    assert!(report["why"].as_str().expect("a reason").contains("unsupported type"), "{report}");
    stage.answer_next(500, "");
    assert_eq!(stage.page("/page/command", access("status")).await.1["status"], 500);
    for _ in 0..4 {
        stage.next().await;
    }
}

#[tokio::test]
async fn slack_itself_refuses_commands_in_threads_and_of_outsiders() {
    let mut stage = stage().await;
    let ts = stage.card().await;
    let mut in_thread = access("status");
    in_thread["thread_ts"] = json!(ts);
    let report = stage.page("/page/command", in_thread).await.1;
    assert_eq!(report, json!({ "delivered": false, "why": "/access is not supported in threads. Sorry!" }));
    let mut eve = access("status");
    eve["as"] = json!("U0EVE");
    assert_eq!(stage.page("/page/command", eve).await.1["delivered"], false);
    stage.nothing_more();
    let guest = json!({ "as": "U0GREG", "channel": "C0PAYMENTS", "command": "/access" });
    assert_eq!(stage.page("/page/command", guest).await.1["delivered"], true, "a guest's arrives");
    let mut forged = access("x");
    forged["override"] = json!({ "user_id": "U0BOB" });
    forged["remove"] = json!(["/team_id"]);
    stage.page("/page/command", forged).await;
    stage.next().await;
    let got = fields(&stage.next().await);
    assert_eq!((got["user_id"].as_str(), got.contains_key("team_id")), ("U0BOB", false));
}

#[tokio::test]
async fn an_address_to_answer_at_works_five_times_within_half_an_hour_and_each_use_is_counted() {
    let mut stage = stage().await;
    stage.page("/page/command", access("help")).await;
    let url = fields(&stage.next().await)["response_url"].clone();
    assert_eq!(stage.get("/page/responses").await, json!({ "given": 1, "used": 0 }));
    let answer = async |url: &str| {
        let said = json!({ "text": "Late" });
        stage.http.post(url).json(&said).send().await.expect("an answer").status().as_u16()
    };
    for _ in 0..5 {
        assert_eq!(answer(&url).await, 200);
    }
    assert_eq!(answer(&url).await, 404);
    assert_eq!(stage.sees("U0ALICE", "C0APPROVALS").await.len(), 5);
    stage.page("/page/command", access("help")).await;
    let url = {
        let got = stage.received.recv().await.expect("a request");
        fields(&got)["response_url"].clone()
    };
    stage.clock.advance(Duration::from_secs(30 * 60 + 1));
    let late = stage.http.post(&url).json(&json!({ "text": "Late" })).send().await.expect("an answer");
    assert_eq!(late.status(), 404);
    assert_eq!(stage.get("/page/responses").await, json!({ "given": 2, "used": 7 }));
}

#[tokio::test]
async fn people_write_messages_and_replies_where_they_are_members() {
    let stage = stage().await;
    let ts = stage.card().await;
    let reply = json!({ "as": "U0BOB", "channel": "C0APPROVALS", "text": "Looks fine", "thread_ts": ts });
    assert_eq!(stage.page("/page/say", reply).await.0, 200);
    let seen = stage.sees("U0CAROL", "C0APPROVALS").await;
    assert_eq!((&seen[1]["user"], &seen[1]["thread_ts"]), (&json!("U0BOB"), &json!(ts)));
    for (wrong, why) in [
        (json!({ "as": "U0GREG", "channel": "C0APPROVALS", "text": "x" }), "channel_not_found"),
        (json!({ "as": "U0BOB", "channel": "C0APPROVALS", "text": "" }), "no_text"),
        (json!({ "as": "U0BOB", "channel": "C0APPROVALS", "text": "x", "thread_ts": "1.0" }), "thread_not_found"),
    ] {
        assert_eq!(stage.page("/page/say", wrong).await, (400, json!({ "error": why })));
    }
}
