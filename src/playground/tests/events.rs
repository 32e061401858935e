//! What Slack tells the app unasked.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Received, Stage, stage};

async fn admin(stage: &Stage, act: Value) -> Value {
    let (status, report) = stage.page("/page/admin", act.clone()).await;
    assert_eq!(status, 200, "{act}: {report}");
    report
}

fn event(got: &Received) -> Value {
    assert_eq!(got.path, "/slack/events");
    assert!(got.header("x-slack-signature").starts_with("v0="));
    serde_json::from_str(&got.body).expect("JSON")
}

#[tokio::test]
async fn each_gesture_of_an_administrator_is_told_by_slacks_event() {
    let mut stage = stage().await;
    let told = [
        (
            json!({ "do": "deactivate_user", "user": "U0BOB" }),
            json!({ "type": "user_change", "user": { "id": "U0BOB", "deleted": true } }),
        ),
        (
            json!({ "do": "change_user", "user": "U0CAROL", "set": { "is_restricted": true } }),
            json!({ "type": "user_change", "user": { "id": "U0CAROL", "is_restricted": true } }),
        ),
        (
            json!({ "do": "change_group", "group": "S0PAYLEADS", "users": ["U0CAROL", "U0ALICE"] }),
            json!({ "type": "subteam_members_changed", "subteam_id": "S0PAYLEADS", "added_users": ["U0ALICE"],
                "removed_users": ["U0BOB"], "removed_users_count": 1 }),
        ),
        (
            json!({ "do": "share_channel", "channel": "C0PAYMENTS", "with": "T0PARTNER" }),
            json!({ "type": "channel_shared", "connected_team_id": "T0PARTNER", "channel": "C0PAYMENTS" }),
        ),
        (
            json!({ "do": "unshare_channel", "channel": "C0PAYMENTS", "with": "T0PARTNER" }),
            json!({ "type": "channel_unshared", "previously_connected_team_id": "T0PARTNER", "is_ext_shared": false }),
        ),
        (
            json!({ "do": "join", "channel": "C0APPROVALS", "user": "U0GREG" }),
            json!({ "type": "member_joined_channel", "user": "U0GREG", "channel_type": "C" }),
        ),
        (json!({ "do": "archive_channel", "channel": "C0PAYMENTS" }), json!({ "type": "channel_archive" })),
        (json!({ "do": "remove_bot", "channel": "C0APPROVALS" }), json!({ "type": "channel_left" })),
        (
            json!({ "do": "change_channel_id", "channel": "C0APPROVALS", "to": "C0NEW" }),
            json!({ "type": "channel_id_changed", "old_channel_id": "C0APPROVALS", "new_channel_id": "C0NEW" }),
        ),
    ];
    let mut ids = std::collections::HashSet::new();
    for (act, expected) in told {
        let report = admin(&stage, act.clone()).await;
        assert_eq!(report["events"][0]["status"], 200, "{report}");
        let got = event(&stage.next().await);
        let mut merged = got["event"].clone();
        super::super::merge(&mut merged, &expected);
        assert_eq!(merged, got["event"], "{act} is told as {expected}");
        assert_eq!((&got["type"], &got["team_id"]), (&json!("event_callback"), &json!("T0ACME")));
        assert_eq!(got["authorizations"][0]["user_id"], "U0COUNTERSIGN");
        assert!(ids.insert(got["event_id"].as_str().expect("an id").to_owned()), "each has an id of its own");
    }
    let groups = stage.slack("usergroups.users.list", json!({ "usergroup": "S0PAYLEADS" })).await;
    assert_eq!(groups["users"], json!(["U0CAROL", "U0ALICE"]), "and it happened");
}

#[tokio::test]
async fn an_uninstalled_app_is_told_of_both_and_of_nothing_it_did_not_subscribe_to() {
    let mut stage = stage().await;
    admin(&stage, json!({ "do": "uninstall" })).await;
    let kinds = [event(&stage.next().await), event(&stage.next().await)].map(|one| one["event"]["type"].clone());
    assert_eq!(kinds, [json!("tokens_revoked"), json!("app_uninstalled")]);
    stage.page("/page/app", json!({ "events": ["user_change"] })).await;
    let report = admin(&stage, json!({ "do": "archive_channel", "channel": "C0PAYMENTS" })).await;
    assert_eq!(report["events"][0]["delivered"], false);
    stage.nothing_more();
    let (status, why) = stage.page("/page/admin", json!({ "do": "archive_channel", "channel": "C0NONE" })).await;
    assert_eq!((status, &why["error"]), (400, &json!("there is no such channel")));
}

#[tokio::test]
async fn an_event_that_is_not_taken_comes_again_at_once_after_a_minute_and_after_five() {
    let mut stage = stage().await;
    for _ in 0..4 {
        stage.answer_next(503, "");
    }
    admin(&stage, json!({ "do": "deactivate_user", "user": "U0BOB" })).await;
    let (first, at_once) = (stage.next().await, stage.next().await);
    assert_eq!(first.header("x-slack-retry-num"), "");
    assert_eq!((at_once.header("x-slack-retry-num"), at_once.header("x-slack-retry-reason")), ("1", "http_error"));
    assert_eq!(first.body, at_once.body, "the same event, with the same id");
    assert_eq!(stage.page("/page/retries", json!({})).await.1, json!({ "sent": 0, "waiting": 1 }));
    for (wait, number) in [(60, "2"), (240, "3")] {
        stage.clock.advance(Duration::from_secs(wait));
        stage.page("/page/retries", json!({})).await;
        assert_eq!(stage.next().await.header("x-slack-retry-num"), number);
    }
    stage.clock.advance(Duration::from_secs(3600));
    assert_eq!(
        stage.page("/page/retries", json!({})).await.1,
        json!({ "sent": 0, "waiting": 0 }),
        "then it is given up"
    );
    stage.nothing_more();
}

#[tokio::test]
async fn any_event_can_come_twice_and_late_and_in_another_order() {
    let mut stage = stage().await;
    stage.fault(json!({ "kind": "duplicate_interactions", "method": "user_change", "times": 1 })).await;
    admin(&stage, json!({ "do": "deactivate_user", "user": "U0BOB" })).await;
    assert_eq!(stage.next().await.body, stage.next().await.body);
    stage.fault(json!({ "kind": "hold_back", "times": 2 })).await;
    let report = admin(&stage, json!({ "do": "change_group", "group": "S0ONCALL", "users": [] })).await;
    assert_eq!(report["events"][0]["delivered"], false);
    admin(&stage, json!({ "do": "change_group", "group": "S0ONCALL", "users": ["U0BOB"] })).await;
    stage.nothing_more();
    let released = stage.page("/page/release", json!({ "reversed": true })).await.1;
    assert_eq!(released["released"].as_array().map(Vec::len), Some(2));
    let order = [event(&stage.next().await), event(&stage.next().await)];
    assert_eq!(order[0]["event"]["added_users"], json!(["U0BOB"]), "the last comes first");
    assert_eq!(order[1]["event"]["removed_users"], json!(["U0CAROL"]));
}

#[tokio::test]
async fn opening_home_is_told_with_the_home_that_is_there() {
    let mut stage = stage().await;
    stage.page("/page/home", json!({ "as": "U0BOB" })).await;
    assert!(event(&stage.next().await)["event"].get("view").is_none(), "nothing was published yet");
    let view = json!({ "type": "home", "blocks": [{ "type": "divider" }], "external_id": "home-bob" });
    let published = stage.slack("views.publish", json!({ "user_id": "U0BOB", "view": view })).await["view"].clone();
    stage.page("/page/home", json!({ "as": "U0BOB" })).await;
    let opened = event(&stage.next().await)["event"].clone();
    assert_eq!((&opened["tab"], &opened["channel"]), (&json!("home"), &json!("D0BOB")));
    assert_eq!((&opened["view"]["id"], &opened["view"]["hash"]), (&published["id"], &published["hash"]));
    let stale = json!({ "user_id": "U0BOB", "hash": "old", "view": view });
    assert_eq!(stage.slack("views.publish", stale).await["error"], "hash_conflict");
    let fresh = json!({ "user_id": "U0BOB", "hash": published["hash"], "view": view });
    let again = stage.slack("views.publish", fresh).await["view"].clone();
    assert_eq!((&again["id"], again["hash"] == published["hash"]), (&published["id"], false), "another hash");
    let hers = json!({ "user_id": "U0CAROL", "view": view });
    assert_eq!(stage.slack("views.publish", hers).await["error"], "duplicate_external_id");
    let modal =
        json!({ "type": "modal", "title": { "type": "plain_text", "text": "t" }, "blocks": [{ "type": "divider" }] });
    assert_eq!(
        stage.slack("views.publish", json!({ "user_id": "U0BOB", "view": modal })).await["error"],
        "invalid_arguments"
    );
    stage.page("/page/home", json!({ "as": "U0BOB", "tab": "messages" })).await;
    let messages = event(&stage.next().await)["event"].clone();
    assert_eq!((&messages["tab"], messages.get("view")), (&json!("messages"), None));
}
