//! What Slack lets an app do, and how fast.

use std::time::Duration;

use serde_json::{Value, json};

use super::{BOT_TOKEN, Stage, card, stage};

async fn error(stage: &Stage, method: &str, arguments: Value) -> Value {
    stage.slack(method, arguments).await["error"].clone()
}

#[tokio::test]
async fn one_message_a_second_fits_into_a_channel_and_the_answer_says_how_long_to_wait() {
    let stage = stage().await;
    assert_eq!(stage.page("/page/pace", json!({ "per_second": 1.0, "burst": 2 })).await.0, 204);
    for _ in 0..2 {
        assert_eq!(stage.slack("chat.postMessage", card("C0APPROVALS")).await["ok"], true, "a short burst");
    }
    let refused = stage.try_slack("chat.postMessage", card("C0APPROVALS")).await.expect("an answer");
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().expect("a header")));
    assert_eq!(refused.json::<Value>().await.expect("JSON")["error"], "ratelimited");
    assert_eq!(
        stage.slack("chat.postMessage", card("C0PAYMENTS")).await["ok"],
        true,
        "another channel is another lane"
    );
    assert_eq!(stage.slack("users.info", json!({ "user": "U0BOB" })).await["ok"], true, "another method too");
    stage.clock.advance(Duration::from_millis(900));
    assert_eq!(error(&stage, "chat.postMessage", card("C0APPROVALS")).await, "ratelimited");
    stage.clock.advance(Duration::from_millis(100));
    assert_eq!(stage.slack("chat.postMessage", card("C0APPROVALS")).await["ok"], true);
    assert_eq!(stage.sees("U0BOB", "C0APPROVALS").await.len(), 3, "what was refused was not posted");
}

#[tokio::test]
async fn a_method_is_closed_for_the_rest_of_its_minute_once_its_tier_is_used_up() {
    let stage = stage().await;
    stage.page("/page/pace", json!({ "tiers": true })).await;
    for _ in 0..20 {
        assert_eq!(stage.slack("usergroups.list", json!({})).await["ok"], true);
    }
    stage.clock.advance(Duration::from_secs(18));
    let refused = stage.try_slack("usergroups.list", json!({})).await.expect("an answer");
    assert_eq!(refused.headers()["retry-after"], "42");
    stage.clock.advance(Duration::from_secs(42));
    assert_eq!(stage.slack("usergroups.list", json!({})).await["ok"], true);
}

#[tokio::test]
async fn a_token_without_a_scope_is_told_which_one_it_needs_and_its_scopes_are_in_every_answer() {
    let stage = stage().await;
    stage.page("/page/app", json!({ "scopes": ["chat:write", "users:read"] })).await;
    let answer =
        stage.try_slack("usergroups.users.list", json!({ "usergroup": "S0PAYLEADS" })).await.expect("an answer");
    assert_eq!(answer.headers()["x-oauth-scopes"], "chat:write,users:read");
    let refused: Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&refused["error"], &refused["needed"], &refused["provided"]),
        (&json!("missing_scope"), &json!("usergroups:read"), &json!("chat:write,users:read"))
    );
    stage.slack("users.info", json!({ "user": "U0BOB" })).await;
    let scopes = stage.page("/page/scopes", json!({})).await.1;
    assert_eq!(scopes["used"], json!(["users:read"]), "what was refused was not used");
}

#[tokio::test]
async fn what_is_read_of_a_conversation_needs_the_scope_of_its_kind() {
    let stage = stage().await;
    stage.page("/page/app", json!({ "scopes": ["channels:read", "im:history"] })).await;
    for (method, channel, refused) in [
        ("conversations.info", "C0APPROVALS", Value::Null),
        ("conversations.info", "D0BOB", json!("missing_scope")),
        ("conversations.history", "D0BOB", Value::Null),
        ("conversations.history", "C0APPROVALS", json!("missing_scope")),
    ] {
        assert_eq!(error(&stage, method, json!({ "channel": channel })).await, refused, "{method} {channel}");
    }
}

#[tokio::test]
async fn revoked_tokens_and_a_removed_app_can_do_nothing_until_it_is_installed_again() {
    let stage = stage().await;
    for (done, told) in [("revoke_tokens", "token_revoked"), ("uninstall", "account_inactive")] {
        stage.page("/page/admin", json!({ "do": done })).await;
        assert_eq!(error(&stage, "chat.postMessage", card("C0APPROVALS")).await, told);
        assert_eq!(error(&stage, "auth.test", json!({})).await, told);
        stage.page("/page/admin", json!({ "do": "reinstall" })).await;
        assert_eq!(stage.slack("auth.test", json!({})).await["ok"], true);
    }
}

#[tokio::test]
async fn the_history_shows_metadata_to_those_who_ask_and_leaves_replies_to_the_thread() {
    let stage = stage().await;
    let first = stage.card().await;
    stage.clock.advance(Duration::from_secs(10));
    let second = stage.card().await;
    let reply = json!({ "channel": "C0APPROVALS", "thread_ts": first, "text": "Reminder" });
    let reply = stage.slack("chat.postMessage", reply).await["ts"].clone();
    let whisper = json!({ "channel": "C0APPROVALS", "user": "U0BOB", "text": "Only you" });
    stage.slack("chat.postEphemeral", whisper).await;
    let history = stage.slack("conversations.history", json!({ "channel": "C0APPROVALS" })).await;
    let all = history["messages"].as_array().expect("messages");
    assert_eq!(
        all.iter().map(|message| &message["ts"]).collect::<Vec<_>>(),
        [&json!(second), &json!(first)],
        "newest first"
    );
    assert!(all[0].get("metadata").is_none());
    let asked = json!({ "channel": "C0APPROVALS", "include_all_metadata": true, "oldest": second, "inclusive": true });
    let history = stage.slack("conversations.history", asked).await;
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(history["messages"][0]["metadata"]["event_payload"]["request_id"], "req_1");
    let newer = json!({ "channel": "C0APPROVALS", "oldest": second });
    assert_eq!(stage.slack("conversations.history", newer).await["messages"], json!([]), "exclusive unless it says so");
    let thread = stage.slack("conversations.replies", json!({ "channel": "C0APPROVALS", "ts": first })).await;
    let thread: Vec<_> = thread["messages"].as_array().expect("messages").iter().map(|one| &one["ts"]).collect();
    assert_eq!(thread, [&json!(first), &reply]);
    let page = stage.slack("conversations.history", json!({ "channel": "C0APPROVALS", "limit": 1 })).await;
    assert_eq!((&page["has_more"], &page["messages"][0]["ts"]), (&json!(true), &json!(second)));
    let cursor = &page["response_metadata"]["next_cursor"];
    let rest = json!({ "channel": "C0APPROVALS", "limit": 1, "cursor": cursor });
    let rest = stage.slack("conversations.history", rest).await;
    assert_eq!((&rest["has_more"], &rest["messages"][0]["ts"]), (&json!(false), &json!(first)));
    let wrong = json!({ "channel": "C0APPROVALS", "oldest": "yesterday" });
    assert_eq!(error(&stage, "conversations.history", wrong).await, "invalid_ts_oldest");
}

#[tokio::test]
async fn a_message_that_was_stored_before_the_connection_broke_is_found_in_the_history() {
    let stage = stage().await;
    stage.fault(json!({ "kind": "performed_reset", "method": "chat.postMessage", "times": 1 })).await;
    let usable = match stage.try_slack("chat.postMessage", card("C0APPROVALS")).await {
        Ok(answer) => answer.bytes().await.is_ok(),
        Err(_) => false,
    };
    assert!(!usable, "the answer breaks off");
    let history = json!({ "channel": "C0APPROVALS", "include_all_metadata": true });
    assert_eq!(stage.slack("conversations.history", history).await["messages"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn messages_are_deleted_by_their_author_and_have_a_link_until_then() {
    let stage = stage().await;
    let ts = stage.card().await;
    let link = json!({ "channel": "C0APPROVALS", "message_ts": ts });
    let expected = format!("https://acme-stand-in.slack.com/archives/C0APPROVALS/p{}", ts.replace('.', ""));
    assert_eq!(stage.slack("chat.getPermalink", link.clone()).await["permalink"], expected);
    let said = stage.page("/page/say", json!({ "as": "U0BOB", "channel": "C0APPROVALS", "text": "hm" })).await.1;
    let his = json!({ "channel": "C0APPROVALS", "ts": said["ts"] });
    assert_eq!(error(&stage, "chat.delete", his.clone()).await, "cant_delete_message");
    let mut changed = his;
    changed["text"] = json!("x");
    assert_eq!(error(&stage, "chat.update", changed).await, "cant_update_message");
    let mine = json!({ "channel": "C0APPROVALS", "ts": ts });
    assert_eq!(stage.slack("chat.delete", mine.clone()).await["ok"], true);
    assert_eq!(error(&stage, "chat.delete", mine).await, "message_not_found");
    assert_eq!(error(&stage, "chat.getPermalink", link).await, "message_not_found");
}

#[tokio::test]
async fn people_channels_and_members_are_listed_page_by_page() {
    let stage = stage().await;
    let mut cursor = String::new();
    let mut people = Vec::new();
    loop {
        let page = stage.slack("users.list", json!({ "limit": 2, "cursor": cursor })).await;
        people.extend(page["members"].as_array().expect("people").iter().map(|one| one["id"].clone()));
        page["response_metadata"]["next_cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(people.len(), 5, "Eve is of another workspace: {people:?}");
    let members = stage.slack("conversations.members", json!({ "channel": "C0PAYMENTS" })).await;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(6));
    let channels = stage.slack("conversations.list", json!({})).await;
    assert_eq!(channels["channels"].as_array().map(Vec::len), Some(2), "no direct messages");
    let info = stage.slack("conversations.info", json!({ "channel": "C0PAYMENTS" })).await;
    assert_eq!((&info["channel"]["is_ext_shared"], &info["channel"]["is_member"]), (&json!(true), &json!(true)));
    assert_eq!(info["channel"]["connected_team_ids"], json!(["T0PARTNER"]));
    assert_eq!(stage.slack("team.info", json!({})).await["team"]["id"], "T0ACME");
    assert_eq!(error(&stage, "users.list", json!({ "cursor": "made up" })).await, "invalid_cursor");
}

#[tokio::test]
async fn the_log_says_when_each_call_came() {
    let stage = stage().await;
    stage.slack("auth.test", json!({})).await;
    stage.clock.advance(Duration::from_millis(1_500));
    let call = stage.http.post(format!("{}/api/auth.test", stage.url)).bearer_auth(BOT_TOKEN);
    call.send().await.expect("an answer");
    let log = stage.get("/log").await;
    let moment =
        |n: usize| chrono::DateTime::parse_from_rfc3339(log[n]["at"].as_str().expect("a time")).expect("a time");
    assert_eq!((moment(1) - moment(0)).num_milliseconds(), 1_500);
}
