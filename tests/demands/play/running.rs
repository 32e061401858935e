//! What an operator lives with: crashes, lost messages, changed policies, dry runs.

use serde_json::json;

use super::{app, policy, usual};
use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but, job};
use crate::support::world::{DESK, LEDGER, OPERATOR_KEY};

/// The store is the record and Slack a view: cards of before a crash are edited after it.
pub async fn cards_survive_a_crash() {
    let mut app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.crash().await;
    app.approve("U0BOB", &card).await;
    assert!(app.card(LEDGER).await.head().starts_with("Approved"));
    app.ask(&alice("ledger:write")).await.granted();
}

/// A channel is lost: everything open is drawn again elsewhere, and decides there.
pub async fn rebuilt_elsewhere() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let call = app.http.post(app.url("/v1/slack/rebuild")).bearer_auth(OPERATOR_KEY);
    assert_eq!(Answer::of(call.json(&json!({ "channel": LEDGER }))).await.body, json!({ "cards": 1 }));
    app.settle().await;
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("plain:x")).await.granted();
    for channel in [DESK, LEDGER] {
        assert!(app.card(channel).await.head().starts_with("Approved"), "{channel}");
    }
}

/// Slack is away: nothing is lost and nothing is decided; standing grants go on.
pub async fn slack_is_away() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    app.page("/page/plug", json!({ "plugged": false })).await;
    app.ask_unsettled(&alice("ledger:write")).await.pending();
    app.ask_unsettled(&alice("plain:x")).await.granted();
    app.page("/page/plug", json!({ "plugged": true })).await;
    let card = app.card_comes(LEDGER).await;
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

/// A message that cannot be delivered goes elsewhere, and somebody is alarmed.
pub async fn a_failed_notification_is_an_alarm() {
    let app = app().await;
    let request = app.ask(&alice("gone:channel")).await.pending();
    app.until("the card elsewhere", async || app.cards(DESK).await.pop()).await;
    let audit = app.audit().await;
    assert!(audit.iter().any(|entry| entry["kind"] == "delivery.failed" && entry["request_id"] == json!(request)));
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!(ready.body["degraded"], json!(["dead_letters"]));
    assert!(Answer::of(app.http.get(app.url("/metrics"))).await.text.contains("countersign_alarms_total"));
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("gone:channel")).await.granted();
}

/// One busy channel does not hold up another: each has a lane of its own, at Slack's pace.
pub async fn a_lane_for_each_channel() {
    let app = usual().config("burst = 1000", "burst = 1").start().await;
    for n in 0..8 {
        let body = but(alice("plain:x"), json!({ "subject": format!("person{n}@example.com") }));
        app.ask_unsettled(&body).await.pending();
    }
    let began = std::time::Instant::now();
    app.ask_unsettled(&job("ledger:write")).await.pending();
    app.until("the other channel", async || app.cards(LEDGER).await.pop()).await;
    assert!(began.elapsed().as_secs() < 3, "{:?}", began.elapsed());
    assert!(app.cards(DESK).await.len() < 8, "the busy one goes at its pace");
}

/// A policy that changed counts at the next click and the next call, and the change is on record.
pub async fn a_changed_policy_counts() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let denied = policy().replacen(
        "[[rule]]",
        "[[rule]]\nname = \"no writing\"\nwhen = 'scope == \"ledger:write\"'\ndeny = \"The books are closed.\"\n\n[[rule]]",
        1,
    );
    app.reload(&denied).await;
    app.click("U0BOB", &card, "approve").await;
    assert!(app.whisper_comes("U0BOB", LEDGER).await.contains("The books are closed."));
    assert_eq!(app.times("request.approved").await, 0);
    let versions: std::collections::BTreeSet<String> =
        app.audit().await.iter().filter_map(|entry| entry["detail"]["policy"].as_str().map(str::to_owned)).collect();
    assert!(!versions.is_empty() && app.times("policy.reloaded").await == 1, "{versions:?}");
    // One that cannot be used is refused, and the old one goes on.
    app.reload("[[rule]]\nname = \"broken\"\n").await;
    assert_eq!(app.times("policy.refused").await, 1);
    app.ask(&alice("plain:y")).await.pending();
}

/// A dry run says which rule decides, who is asked, and what a changed policy would have done.
pub async fn a_dry_run() {
    let app = app().await;
    let request = json!({
        "hook": "shop", "client_id": "ledger-cli", "subject": "alice@example.com", "scope": "ledger:write",
        "audience": ["https://ledger.test"], "grant_type": "client_credentials",
    });
    std::fs::write(app.file("request.json"), request.to_string()).expect("a file");
    let explained = app.tool(&["policy", "explain", "--policy", "policy.toml", "--request", "request.json"]);
    let said = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(said.contains("writing") && said.contains("leads"), "{explained:?}");
    let checked = app.tool(&["policy", "check", "policy.toml"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("leads"), "{checked:?}");
}

/// What was really asked is judged again under a policy that is not in force yet, and the difference is told.
pub async fn a_replay() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    let stricter = policy().replacen("approvals = 1\nmax_duration = \"2h\"", "approvals = 2\nmax_duration = \"2h\"", 1);
    assert_ne!(stricter, policy());
    std::fs::write(app.file("tomorrow.toml"), stricter).expect("a policy");
    let database = app.file("countersign.db").display().to_string();
    let replayed = app.tool(&["policy", "replay", "--database", &database, "--policy", "tomorrow.toml"]);
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(said.contains("ledger:write") && said.contains('2'), "{replayed:?}");
}

/// Shadow mode: everything passes, nobody is asked, and what would have been asked is on record.
pub async fn shadow_mode() {
    let app = app().await;
    let answer = Answer::of(app.hook("watch", &alice("ledger:write"))).await;
    assert_eq!(answer.granted()["observed"], true);
    app.settle().await;
    assert!(app.cards(LEDGER).await.is_empty());
    let observed = app.audit().await.into_iter().find(|entry| entry["kind"] == "observed").expect("an entry");
    assert_eq!(observed["detail"]["observed"]["verdict"], "asked");
    let database = app.file("countersign.db").display().to_string();
    let report = app.tool(&["report", "observe", "--database", &database]);
    assert!(String::from_utf8_lossy(&report.stdout).contains("leads"), "{report:?}");
}

/// The doctor compares both files with what Slack says, and says what to fix.
pub async fn the_doctor() {
    let app: TestApp = app().await;
    let config = app.file("countersign.toml").display().to_string();
    let examined = app.tool(&["slack", "doctor", "--config", &config]);
    let said = String::from_utf8_lossy(&examined.stdout).into_owned();
    assert!(said.contains("ok     user group S0LEADS") && said.contains("WRONG"), "{said}");
    assert!(said.contains("C0ARCHIVED is archived") && said.contains("S0GHOSTS"), "{said}");
}

/// Metrics, a readable audit, and roles for those who look.
pub async fn seen_from_outside() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    assert!(metrics.contains("countersign_"), "{metrics}");
    let viewer = app.http.get(app.url("/v1/audit?limit=1")).bearer_auth(crate::support::world::VIEWER_KEY);
    assert_eq!(Answer::of(viewer).await.body["entries"].as_array().map(Vec::len), Some(1));
    let nobody = app.http.get(app.url("/v1/audit"));
    assert_eq!(Answer::of(nobody).await.status, 401);
}
