//! What Slack tells us reaches us, over HTTP or down sockets that break, leave, repeat themselves and talk nonsense;
//! and what changes at Slack is known at once.

use serde_json::{Value, json};

use crate::support::asking::{Answer, alice, job};
use crate::support::world::{BOT_TOKEN, DESK, LEDGER, OPERATOR_KEY};
use crate::support::{TestApp, minutes, seconds};

impl TestApp {
    async fn sockets_become(&self, switches: Value) {
        self.page("/page/socket", switches).await;
    }

    async fn administrator(&self, act: Value) -> Value {
        let told = self.page("/page/admin", act).await;
        self.settle().await;
        told
    }
}

#[tokio::test]
async fn a_click_down_a_socket_is_acknowledged_after_it_counted() {
    let app = TestApp::stage().sockets().start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let denied = app.click("U0NORA", &card, "approve").await;
    assert_eq!(denied["status"], 200, "a refusal is an answer: {denied}");
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.ask(&alice("plain:x")).await.pending();
    app.deny_with("U0BOB", &app.card(DESK).await, "Down the socket.").await;
    app.ask(&alice("plain:x")).await.denied();
    for envelope in app.envelopes().await {
        assert_eq!(envelope["acks"], 1, "{envelope}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_never_acknowledged_and_a_repeated_envelope_counts_once() {
    let app = TestApp::stage().sockets().start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.sockets_become(json!({ "odd": 1, "garbage": 1, "duplicate": 1 })).await;
    app.approve("U0BOB", &card).await;
    let votes = app.happened().await.iter().filter(|kind| *kind == "vote.recorded").count();
    assert_eq!(votes, 1);
    for text in ["", "{}", "[1,2", r#"{"type":"interactive","envelope_id":"odd-1","payload":{"a":1}}"#] {
        app.page("/page/socket/act", json!({ "do": "send", "text": text })).await;
    }
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
    let all = app.envelopes().await;
    assert!(all.iter().all(|envelope| envelope["acks"].as_u64() <= Some(2)), "{all:?}");
}

#[tokio::test]
async fn connections_that_leave_break_or_freeze_are_replaced_and_no_click_is_lost() {
    let app = TestApp::stage().sockets().start().await;
    app.until_real(seconds(10), async || app.sockets().await.len() == 2).await;
    app.sockets_become(json!({ "disconnect_every": 1, "grace_ms": 200 })).await;
    for n in 0..8 {
        app.ask(&alice(&format!("plain:{n}"))).await.pending();
        let card = app.card_of(DESK, n).await;
        app.until_real(seconds(10), async || app.sockets().await.iter().any(|held| held["leaving"] == false)).await;
        app.approve("U0BOB", &card).await;
        app.ask(&alice(&format!("plain:{n}"))).await.granted();
    }
    app.sockets_become(json!({})).await;
    app.page("/page/socket/act", json!({ "do": "close" })).await;
    let whole = async || app.sockets().await.iter().filter(|held| held["leaving"] == false).count() == 2;
    app.until_real(seconds(15), whole).await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn what_slack_says_of_people_counts_at_once_and_a_repeated_event_changes_nothing() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0DORA", &card).await;
    // Deactivated between the decision and the hand-over: known by the event, without asking Slack again.
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.administrator(json!({ "do": "deactivate_user", "user": "U0DORA" })).await;
    let refused = app.ask(&alice("ledger:close")).await;
    assert_ne!(refused.text("decision"), "granted", "{}", refused.text);
    // A group that changed is asked for again, although it was read a second ago.
    app.ask(&alice("plain:x")).await.pending();
    app.administrator(json!({ "do": "change_group", "group": "S0LEADS", "users": ["U0CAROL"] })).await;
    let card = app.cards(DESK).await.pop().expect("a card");
    app.click("U0BOB", &card, "approve").await;
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0CAROL", &card).await;
    app.ask(&alice("plain:x")).await.granted();
}

#[tokio::test]
async fn an_app_that_was_removed_waits_and_goes_on_when_it_is_back() {
    let app = TestApp::start().await;
    app.administrator(json!({ "do": "uninstall" })).await;
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!((ready.status, &ready.body["degraded"]), (200, &json!(["slack_token"])), "{}", ready.text);
    app.ask(&alice("plain:x")).await.pending();
    app.advance(minutes(2)).await;
    assert!(app.cards(DESK).await.is_empty());
    app.administrator(json!({ "do": "reinstall" })).await;
    app.advance(minutes(2)).await;
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    assert_eq!(app.operator_sees("/v1/outbox").await["dead"], json!([]));
}

#[tokio::test]
async fn a_channel_that_is_archived_under_a_card_gets_the_card_posted_elsewhere() {
    let app = TestApp::start().await;
    app.ask(&job("ledger:write")).await.pending();
    app.card(LEDGER).await;
    app.administrator(json!({ "do": "archive_channel", "channel": LEDGER })).await;
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    app.ask(&job("ledger:write")).await.granted();
    assert!(app.card(DESK).await.head().starts_with("Approved"));
}

#[tokio::test]
async fn a_channel_that_people_of_another_company_read_gets_no_card_unless_that_is_allowed() {
    let app = TestApp::stage().change_config("allow_shared_channels = true", "").start().await;
    // Every channel of this workspace is shared: nothing is posted, somebody is told, and the request expires.
    let request = app.ask(&job("ledger:write")).await.pending();
    assert!(app.cards(LEDGER).await.is_empty() && app.cards(DESK).await.is_empty());
    let dead = app.operator_sees("/v1/outbox").await["dead"].clone();
    let errors: Vec<_> = dead.as_array().expect("a list").iter().map(|row| row["last_error"].clone()).collect();
    assert_eq!(errors, [json!("externally_shared"), json!("externally_shared")], "its channel, and the usual one");
    assert!(app.happened_to(&request).await.contains(&"delivery.failed".to_owned()));
    app.advance(minutes(31)).await;
    app.ask(&job("ledger:write")).await;
    assert!(app.happened_to(&request).await.contains(&"request.expired".to_owned()));
}

#[tokio::test]
async fn a_card_whose_answer_was_lost_is_found_again_and_not_posted_twice() {
    let app = TestApp::start().await;
    app.fault(json!({ "method": "chat.postMessage", "kind": "lost_answer", "times": 1 })).await;
    app.ask(&job("plain:x")).await.pending();
    app.advance(minutes(1)).await;
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    app.ask(&job("plain:x")).await.granted();
    assert!(app.card(DESK).await.head().starts_with("Approved"));
}

#[tokio::test]
async fn everything_that_is_open_is_drawn_again_into_a_new_channel() {
    let app = TestApp::start().await;
    for scope in ["plain:pending", "plain:approved", "plain:denied"] {
        app.ask(&alice(scope)).await.pending();
    }
    let cards = app.cards(DESK).await;
    app.approve("U0BOB", &cards[1]).await;
    app.deny_with("U0BOB", &cards[2], "No.").await;
    let call = app.http.post(app.url("/v1/slack/rebuild")).bearer_auth(OPERATOR_KEY);
    let answer = Answer::of(call.json(&json!({ "channel": LEDGER }))).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({ "cards": 2 })));
    app.settle().await;
    let cards = app.cards(LEDGER).await;
    assert_eq!(cards.len(), 2, "what is settled stays where it is");
    let pending = cards.iter().find(|card| card.says.contains("plain:pending")).expect("its card");
    app.approve("U0BOB", pending).await;
    app.ask(&alice("plain:pending")).await.granted();
    assert!(
        app.cards(LEDGER)
            .await
            .iter()
            .chain(&app.cards(DESK).await)
            .all(|card| !card.head().starts_with("Approval needed"))
    );
    for path in [json!({}), json!({ "channel": "desk" })] {
        let call = app.http.post(app.url("/v1/slack/rebuild")).bearer_auth(OPERATOR_KEY);
        Answer::of(call.json(&path)).await.problem(400);
    }
}

#[tokio::test]
async fn the_doctor_says_what_to_fix() {
    let app = TestApp::start().await;
    let examine = async || {
        let env = |name: &str| crate::support::world::environment().get(name).map(|secret| (*secret).to_owned());
        let loaded = countersign::config::Config::load(&app.file("countersign.toml"), &env).expect("it loads");
        countersign::app::examine_slack(&loaded).await.expect("findings")
    };
    let (lines, well) = examine().await;
    let all = lines.join("\n");
    assert!(!well, "{all}");
    assert!(all.contains("the channel C0ARCHIVED is archived"), "{all}");
    assert!(all.contains("ok     user group S0LEADS") && all.contains("ok     person U0CAROL"), "{all}");
    assert!(all.contains("ok     it is the app A0COUNTERSIGN"), "{all}");
    assert!(!all.contains(BOT_TOKEN));
    app.page("/page/app", json!({ "scopes": ["chat:write", "users:read", "channels:read"] })).await;
    let all = examine().await.0.join("\n");
    assert!(all.contains("the scope usergroups:read is missing"), "{all}");
    assert!(all.contains("the user group S0LEADS cannot be read: missing_scope"), "{all}");
}
