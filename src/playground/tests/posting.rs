use serde_json::json;

use super::super::workspace::MESSAGES_MAX;
use super::{BOT_TOKEN, button, card, stage};

#[tokio::test]
async fn a_posted_card_is_seen_by_everybody_in_the_channel_and_by_nobody_else() {
    let stage = stage().await;
    let posted = stage.slack("chat.postMessage", card("C0APPROVALS")).await;
    assert_eq!((&posted["ok"], &posted["channel"]), (&json!(true), &json!("C0APPROVALS")));
    assert_eq!(posted["message"]["metadata"]["event_payload"]["request_id"], "req_1");
    assert_eq!(stage.sees("U0BOB", "C0APPROVALS").await[0]["ts"], posted["ts"]);
    assert_eq!(stage.sees("U0EVE", "C0APPROVALS").await.len(), 1);
    assert!(stage.sees("U0GREG", "C0APPROVALS").await.is_empty(), "Greg is in #payments only");
}

#[tokio::test]
async fn a_message_to_a_user_id_lands_in_that_persons_direct_messages() {
    let stage = stage().await;
    let posted = stage.slack("chat.postMessage", json!({ "channel": "U0ALICE", "text": "received" })).await;
    assert_eq!(posted["channel"], "D0ALICE");
    assert_eq!(stage.sees("U0ALICE", "D0ALICE").await[0]["text"], "received");
    assert!(stage.sees("U0BOB", "D0ALICE").await.is_empty());
    let opened = stage.slack("conversations.open", json!({ "users": "U0ALICE" })).await;
    assert_eq!(opened["channel"]["id"], "D0ALICE");
}

#[tokio::test]
async fn an_update_changes_the_message_in_place_and_keeps_what_it_leaves_out() {
    let stage = stage().await;
    let ts = stage.card().await;
    let text_only = json!({ "channel": "C0APPROVALS", "ts": ts, "text": "Approved" });
    assert_eq!(stage.slack("chat.update", text_only).await["ok"], true);
    let seen = stage.sees("U0BOB", "C0APPROVALS").await;
    assert_eq!((seen.len(), &seen[0]["text"], &seen[0]["edited"]), (1, &json!("Approved"), &json!(true)));
    assert_eq!(seen[0]["blocks"].as_array().map(Vec::len), Some(2), "blocks stay when they are left out");
    let emptied = json!({ "channel": "C0APPROVALS", "ts": ts, "text": "Approved", "blocks": [] });
    assert_eq!(stage.slack("chat.update", emptied).await["ok"], true);
    assert_eq!(stage.sees("U0BOB", "C0APPROVALS").await[0]["blocks"], json!([]));
    let unknown = json!({ "channel": "C0APPROVALS", "ts": "1.000001", "text": "x" });
    assert_eq!(stage.slack("chat.update", unknown).await["error"], "message_not_found");
}

#[tokio::test]
async fn an_ephemeral_message_is_seen_by_its_person_only_and_cannot_be_updated() {
    let stage = stage().await;
    let said = json!({ "channel": "C0APPROVALS", "user": "U0EVE", "text": "You cannot decide this." });
    let posted = stage.slack("chat.postEphemeral", said).await;
    assert_eq!(stage.sees("U0EVE", "C0APPROVALS").await[0]["ephemeral"], true);
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty());
    let update = json!({ "channel": "C0APPROVALS", "ts": posted["message_ts"], "text": "x" });
    assert_eq!(stage.slack("chat.update", update).await["error"], "message_not_found");
    let greg = json!({ "channel": "C0APPROVALS", "user": "U0GREG", "text": "x" });
    assert_eq!(stage.slack("chat.postEphemeral", greg).await["error"], "user_not_in_channel");
}

#[tokio::test]
async fn thread_replies_name_their_message_and_unknown_threads_are_refused() {
    let stage = stage().await;
    let ts = stage.card().await;
    let reply = json!({ "channel": "C0APPROVALS", "thread_ts": ts, "text": "Reminder" });
    assert_eq!(stage.slack("chat.postMessage", reply).await["ok"], true);
    assert_eq!(stage.sees("U0BOB", "C0APPROVALS").await[1]["thread_ts"], json!(ts));
    let lost = json!({ "channel": "C0APPROVALS", "thread_ts": "1.000001", "text": "Reminder" });
    assert_eq!(stage.slack("chat.postMessage", lost).await["error"], "thread_not_found");
}

#[tokio::test]
async fn what_slack_refuses_is_refused_with_slacks_error() {
    let stage = stage().await;
    for (method, arguments, error) in [
        ("chat.postMessage", json!({ "channel": "C0NOWHERE", "text": "x" }), "channel_not_found"),
        ("chat.postMessage", json!({ "channel": "U0NOBODY", "text": "x" }), "channel_not_found"),
        ("chat.postMessage", json!({ "channel": "C0APPROVALS" }), "no_text"),
        ("chat.postMessage", json!({ "channel": "C0APPROVALS", "text": "x".repeat(40_001) }), "msg_too_long"),
        ("chat.update", json!({ "channel": "U0BOB", "ts": "1.0", "text": "x" }), "channel_not_found"),
        ("users.info", json!({ "user": "U0NOBODY" }), "user_not_found"),
        ("usergroups.users.list", json!({ "usergroup": "S0NONE" }), "no_such_subteam"),
        ("conversations.info", json!({ "channel": "C0NOWHERE" }), "channel_not_found"),
        ("views.open", json!({ "trigger_id": "1.2.3", "view": { "type": "home", "blocks": [] } }), "invalid_arguments"),
        ("chat.meMessage", json!({}), "unknown_method"),
    ] {
        assert_eq!(stage.slack(method, arguments).await["error"], error, "{method}");
    }
    let archived = json!({ "id": "C0PAYMENTS", "set": { "is_archived": true } });
    assert_eq!(stage.page("/page/channel", archived).await.0, 204);
    assert_eq!(stage.slack("chat.postMessage", card("C0PAYMENTS")).await["error"], "is_archived");
    let alone = json!({ "id": "C0APPROVALS", "set": { "members": ["U0BOB"] } });
    assert_eq!(stage.page("/page/channel", alone).await.0, 204);
    assert_eq!(stage.slack("chat.postMessage", card("C0APPROVALS")).await["error"], "not_in_channel");
}

#[tokio::test]
async fn blocks_that_slack_would_refuse_are_refused_one_by_one() {
    let stage = stage().await;
    let text = |text: &str| json!({ "type": "mrkdwn", "text": text });
    let section = |words: &str| json!({ "type": "section", "text": text(words) });
    let actions = |elements: serde_json::Value| json!({ "type": "actions", "elements": elements });
    let with = |name: &str, value: serde_json::Value| {
        let mut changed = button("a", "Go", "v");
        changed[name] = value;
        actions(json!([changed]))
    };
    let refused = [
        ("section too long", section(&"x".repeat(3001))),
        ("section empty", section("")),
        ("section without anything", json!({ "type": "section" })),
        ("eleven fields", json!({ "type": "section", "fields": vec![text("f"); 11] })),
        ("field too long", json!({ "type": "section", "fields": [text(&"x".repeat(2001))] })),
        ("header in mrkdwn", json!({ "type": "header", "text": text("h") })),
        ("header too long", json!({ "type": "header", "text": { "type": "plain_text", "text": "x".repeat(151) } })),
        ("button text too long", actions(json!([button("a", &"x".repeat(76), "v")]))),
        ("value too long", actions(json!([button("a", "Go", &"v".repeat(2001))]))),
        ("26 buttons", actions((0..26).map(|n| button(&n.to_string(), "Go", "v")).collect())),
        ("same action twice", actions(json!([button("a", "Go", "1"), button("a", "Go", "2")]))),
        ("unknown style", with("style", json!("warning"))),
        ("unknown member", with("colour", json!("red"))),
        (
            "confirm without deny",
            with(
                "confirm",
                json!({ "title": { "type": "plain_text", "text": "t" },
            "text": text("t"), "confirm": { "type": "plain_text", "text": "t" } }),
            ),
        ),
        ("unknown block", json!({ "type": "sektion" })),
        ("alert in a message", json!({ "type": "alert", "text": text("careful") })),
        ("eleven in a context", json!({ "type": "context", "elements": vec![text("c"); 11] })),
        (
            "unknown rich text",
            json!({ "type": "rich_text", "elements": [{ "type": "rich_text_section",
            "elements": [{ "type": "shout", "text": "x" }] }] }),
        ),
    ];
    for (what, block) in refused {
        let answer =
            stage.slack("chat.postMessage", json!({ "channel": "C0APPROVALS", "text": "t", "blocks": [block] })).await;
        assert_eq!(answer["error"], "invalid_blocks", "{what}");
        assert!(answer["response_metadata"]["messages"][0].is_string(), "{what}");
    }
    for (what, blocks) in [
        ("51 blocks", json!(vec![json!({ "type": "divider" }); 51])),
        ("a block_id twice", json!([{ "type": "divider", "block_id": "b" }, { "type": "divider", "block_id": "b" }])),
        ("no list", json!({ "type": "divider" })),
    ] {
        let answer =
            stage.slack("chat.postMessage", json!({ "channel": "C0APPROVALS", "text": "t", "blocks": blocks })).await;
        assert_eq!(answer["error"], "invalid_blocks", "{what}");
    }
    assert!(stage.sees("U0BOB", "C0APPROVALS").await.is_empty(), "nothing of that was posted");
}

#[tokio::test]
async fn forms_and_queries_carry_arguments_as_json_does() {
    let stage = stage().await;
    let blocks = card("C0APPROVALS")["blocks"].to_string();
    let form = [("channel", "C0APPROVALS"), ("text", "t"), ("blocks", blocks.as_str())];
    let post = stage.http.post(format!("{}/api/chat.postMessage", stage.url)).bearer_auth(BOT_TOKEN).form(&form);
    let posted: serde_json::Value = post.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(posted["message"]["blocks"][1]["elements"][0]["action_id"], "approve");
    let query = stage.http.get(format!("{}/api/users.info?user=U0EVE", stage.url)).bearer_auth(BOT_TOKEN);
    let eve: serde_json::Value = query.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&eve["user"]["team_id"], &eve["user"]["is_stranger"]), (&json!("T0PARTNER"), &json!(false)));
}

#[tokio::test]
async fn people_and_groups_change_while_it_runs() {
    let stage = stage().await;
    let left = json!({ "id": "U0BOB", "set": { "deleted": true, "email": null } });
    assert_eq!(stage.page("/page/person", left).await.0, 204);
    let bob = stage.slack("users.info", json!({ "user": "U0BOB" })).await;
    assert_eq!((&bob["user"]["deleted"], bob["user"]["profile"].get("email")), (&json!(true), None));
    let group = json!({ "id": "S0PAYLEADS", "users": ["U0CAROL"] });
    assert_eq!(stage.page("/page/group", group).await.0, 204);
    let users = stage.slack("usergroups.users.list", json!({ "usergroup": "S0PAYLEADS" })).await;
    assert_eq!(users["users"], json!(["U0CAROL"]));
    for wrong in [json!({ "id": "U0BOB", "set": { "delted": true } }), json!({ "id": "U0BOB", "set": { "id": "U1" } })]
    {
        assert_eq!(stage.page("/page/person", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn other_tokens_are_refused_and_no_token_is_logged() {
    let stage = stage().await;
    let real = "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx";
    for (token, error) in [(Some(real), "invalid_auth"), (Some(""), "not_authed"), (None, "not_authed")] {
        let mut call = stage.http.post(format!("{}/api/auth.test", stage.url));
        if let Some(token) = token {
            call = call.bearer_auth(token);
        }
        let answer: serde_json::Value = call.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["error"], error);
    }
    let form = [("token", real), ("text", real)];
    let call = stage.http.post(format!("{}/api/auth.test?token={real}", stage.url)).form(&form);
    let answer: serde_json::Value = call.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["error"], "invalid_auth");
    let as_argument = stage.http.post(format!("{}/api/auth.test", stage.url)).form(&[("token", BOT_TOKEN)]);
    let answer: serde_json::Value = as_argument.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["ok"], true, "Slack takes the token as an argument too");
    let own = stage.slack("auth.test", json!({})).await;
    assert_eq!((&own["team_id"], &own["stand_in"]), (&json!("T0ACME"), &json!(true)));
    assert!(own["team"].as_str().expect("a name").contains("stand-in"));
    let log = stage.get("/log").await;
    assert_eq!(log.as_array().map(Vec::len), Some(6));
    assert!(!log.to_string().contains("AbCdEfGh") && !log.to_string().contains(BOT_TOKEN), "{log}");
}

#[tokio::test]
async fn a_channel_keeps_its_last_messages_only() {
    let stage = stage().await;
    let now = stage.playground.now();
    stage.playground.change(|state| {
        for n in 0..=MESSAGES_MAX {
            let text = Some(n.to_string());
            let draft = super::super::workspace::Draft { text, ..Default::default() };
            state.installs.at_mut(0).workspace.post("C0APPROVALS", draft, now).expect("posted");
        }
    });
    let seen = stage.sees("U0BOB", "C0APPROVALS").await;
    assert_eq!((seen.len(), &seen[0]["text"]), (MESSAGES_MAX, &json!("1")));
}
