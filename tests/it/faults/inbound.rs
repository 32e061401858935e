//! What comes from Slack late, twice, in another order, from before an upgrade, or with what somebody made up: it
//! changes nothing that was not meant, and whoever did it is told.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::alice;
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{minutes, seconds};

/// What buttons and forms of earlier versions, or of somebody's imagination, carried.
const OLD_VALUES: [&str; 8] = [
    "req_0123456789abcdef0123456789abcdef:1",
    "v0.approve.req_0123456789abcdef0123456789abcdef.1",
    r#"{"request":"req_0123456789abcdef0123456789abcdef","version":1}"#,
    "approve",
    "claim.",
    ".",
    "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
    "\u{202e}1:req",
];

impl TestApp {
    /// What is sent from now on is kept until it is released.
    async fn slack_keeps(&self, kind: &str) {
        self.fault(json!({ "method": kind, "kind": "hold_back" })).await;
    }

    /// It goes out now.
    async fn slack_releases(&self, reversed: bool) -> Vec<Value> {
        self.faults_end().await;
        let report = self.page("/page/release", json!({ "reversed": reversed })).await;
        self.settle().await;
        report["released"].as_array().cloned().unwrap_or_default()
    }

    /// A filled form that the stand-in does not show any more, as Slack would send it.
    async fn sends_behind_the_screen(&self, person: &str, view: &Value, values: Value) -> Value {
        let payload = json!({
            "type": "view_submission", "api_app_id": "A0COUNTERSIGN", "team": { "id": "T0ACME" },
            "user": { "id": person, "team_id": "T0ACME" }, "trigger_id": format!("1.{}", view["private_metadata"]),
            "view": {
                "id": "V0BEHIND", "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
                "app_id": "A0COUNTERSIGN", "app_installed_team_id": "T0ACME", "state": { "values": values },
            },
        });
        let body = serde_urlencoded_payload(&payload);
        let report = self.page("/page/raw", json!({ "path": "/slack/interactions", "body": body })).await;
        self.settle().await;
        report
    }

    async fn times(&self, kind: &str) -> usize {
        self.happened().await.iter().filter(|word| *word == kind).count()
    }
}

fn serde_urlencoded_payload(payload: &Value) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish()
}

#[tokio::test]
async fn buttons_forms_and_messages_from_before_an_upgrade_say_that_they_are_out_of_date() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let before = app.decided().await;
    for value in OLD_VALUES {
        app.clock.advance(seconds(31));
        for action in ["approve", "changes", "deny", "more", "details", "revoke", "my_done", "review_justified"] {
            let (block, _) = card.button("approve");
            let old =
                json!({ "actions": [{ "type": "button", "action_id": action, "block_id": block, "value": value }] });
            let report = app.click_forged("U0BOB", &card, "approve", json!({ "override": old })).await;
            assert_eq!(report["status"], 200, "{action} {value}: {report}");
        }
        let menu =
            json!({ "actions": [{ "type": "overflow", "action_id": "more", "selected_option": { "value": value } }] });
        app.click_forged("U0BOB", &card, "approve", json!({ "override": menu })).await;
    }
    assert_eq!(app.decided().await, before, "nothing was decided");
    let refused = app.audit().await;
    let whys: std::collections::BTreeSet<&str> =
        refused.iter().filter(|e| e["kind"] == "click.refused").filter_map(|e| e["detail"]["why"].as_str()).collect();
    assert_eq!(whys.into_iter().collect::<Vec<_>>(), ["unknown_button"]);
    assert!(app.whispers("U0BOB", LEDGER).await.iter().any(|said| said.contains("out of date")));

    // The same for what a form carries, and for forms that this version does not know.
    let carried = app.click("U0BOB", &card, "deny").await;
    assert_eq!(carried["status"], 200);
    let good = app.form("U0BOB").await["private_metadata"].as_str().expect("a text").to_owned();
    let value = serde_json::from_str::<Value>(&good).expect("JSON")["v"].clone();
    let mut olds: Vec<String> = OLD_VALUES.iter().map(|old| (*old).to_owned()).collect();
    olds.extend([
        json!({ "v": value }).to_string(),
        json!({ "v": value, "c": 7, "t": true }).to_string(),
        json!({ "value": value, "channel": LEDGER, "ts": card.ts }).to_string(),
        value.as_str().expect("a text").to_owned(),
        String::new(),
    ]);
    let before = app.decided().await;
    for old in olds {
        app.clock.advance(seconds(10));
        app.click("U0BOB", &card, "deny").await;
        let over = json!({ "view": { "private_metadata": old } });
        let report = app.fill_forged("U0BOB", json!({ "reason": "an old form" }), over).await;
        assert_eq!(report["status"], 200, "{old}: {report}");
        assert!(app.form("U0BOB").await.to_string().contains("out of date"), "{old}");
    }
    app.clock.advance(minutes(1));
    app.click("U0BOB", &card, "deny").await;
    let unknown = json!({ "view": { "callback_id": "deny_v0" } });
    app.fill_forged("U0BOB", json!({ "reason": "an old form" }), unknown).await;
    assert!(app.form("U0BOB").await.to_string().contains("could not be understood"));
    assert_eq!(app.decided().await, before, "nothing was decided");
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn a_form_that_slack_does_not_open_any_more_is_told_and_costs_nothing() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write plain:a")).await.pending();
    let card = app.card(LEDGER).await;
    let before = app.decided().await;
    // The click comes four seconds late: what would open the form is good for three.
    for action in ["deny", "changes"] {
        let whispers = app.whispers("U0BOB", LEDGER).await.len();
        app.slack_keeps("block_actions").await;
        app.click("U0BOB", &card, action).await;
        app.clock.advance(seconds(4));
        assert_eq!(app.slack_releases(false).await[0]["status"], 200);
        let said = app.until("a whisper", async || app.whispers("U0BOB", LEDGER).await.into_iter().nth(whispers)).await;
        assert!(said.contains("three seconds") && said.contains("Nothing was changed"), "{action}: {said}");
        assert!(app.form("U0BOB").await.is_null());
    }
    let word = app.choose("U0BOB", &card, "comment").await;
    assert_eq!(word["status"], 200);
    assert_eq!(app.decided().await, before);
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:write plain:a")).await.granted();
}

#[tokio::test]
async fn two_forms_that_one_person_has_open_are_one_decision() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write plain:a")).await.pending();
    let card = app.card(LEDGER).await;
    // On the telephone and at the desk: one to deny, one to approve less.
    app.click("U0BOB", &card, "deny").await;
    let deny = app.form("U0BOB").await;
    app.click("U0BOB", &card, "changes").await;
    let less = app.form("U0BOB").await;
    app.fill("U0BOB", json!({ "scopes": ["1"] })).await;
    assert_eq!(app.ask(&alice("ledger:write plain:a")).await.granted()["scope"], "plain:a");
    let before = app.decided().await;
    for (form, values) in [
        (&deny, json!({ "reason": { "reason": { "type": "plain_text_input", "value": "No." } } })),
        (
            &less,
            json!({ "scopes": { "scopes": { "type": "checkboxes", "selected_options": [{ "value": "0" }, { "value": "1" }] } } }),
        ),
    ] {
        let answer = app.sends_behind_the_screen("U0BOB", form, values).await;
        assert!(answer["body"].as_str().is_some_and(|body| body.contains("already approved by <@U0BOB>")), "{answer}");
    }
    assert_eq!(app.decided().await, before);
    // Two forms of two people at once are played in `less`; two of one requester here: each asks for itself.
    assert_eq!((app.times("request.approved").await, app.times("request.denied").await), (1, 0));
}

#[tokio::test]
async fn clicks_that_come_late_or_in_another_order_are_judged_when_they_come() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.slack_keeps("block_actions").await;
    app.approve_unheard("U0BOB", &card).await;
    app.faults_end().await;
    app.deny_with("U0CAROL", &card, "Not today.").await;
    app.slack_releases(false).await;
    assert!(app.card(LEDGER).await.head().starts_with("Denied"));
    let said = app.whisper_comes("U0BOB", LEDGER).await;
    assert!(said.contains("already denied by <@U0CAROL>"), "{said}");

    // An approval, its taking back, and another approval, delivered the last first: what is left counts.
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    let card = app.card(DESK).await;
    app.slack_keeps("block_actions").await;
    app.choose("U0BOB", &card, "take_back").await;
    app.approve_unheard("U0CAROL", &card).await;
    app.slack_releases(true).await;
    app.ask(&alice("ledger:close")).await.granted();
    assert_eq!(app.times("vote.withdrawn").await, 0, "Carol's was the second before Bob's was gone");

    // An hour late, after everything: the card says how it ended, and no request comes back to life.
    app.ask(&alice("plain:late")).await.pending();
    let card = app.card_of(DESK, 1).await;
    app.slack_keeps("block_actions").await;
    app.approve_unheard("U0BOB", &card).await;
    app.advance(minutes(61)).await;
    app.slack_releases(false).await;
    assert!(app.card_of(DESK, 1).await.head().starts_with("Expired"));
    assert_ne!(app.ask(&alice("plain:late")).await.status, 200);
}

#[tokio::test]
async fn every_kind_of_payload_that_comes_twice_counts_once() {
    let policy = POLICY.replace("hooks = [\"shop\"]", "hooks = [\"shop\", \"signed\"]\nclients = [\"ledger-cli\"]");
    let app = TestApp::stage().policy(policy).start().await;
    app.fault(json!({ "method": "*", "kind": "duplicate_interactions" })).await;
    // A command, its form, and what its messages offer.
    app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-1").await;
    assert_eq!((app.cards(LEDGER).await.len(), app.times("request.opened").await), (1, 1));
    let card = app.card(LEDGER).await;
    app.choose("U0BOB", &card, "claim").await;
    app.choose("U0BOB", &card, "comment").await;
    let told = app.direct("U0ALICE").await.len();
    app.fill("U0BOB", json!({ "words": "Which month?" })).await;
    assert_eq!(app.direct("U0ALICE").await.len(), told + 1, "told once");
    app.choose("U0BOB", &card, "hand_over").await;
    app.fill("U0BOB", json!({ "to": "U0CAROL" })).await;
    assert_eq!(app.direct("U0CAROL").await.len(), 1, "told once");
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.types("U0ALICE", "extend 1h because PAY-1").await;
    app.types("U0ALICE", "withdraw").await;
    app.opens_home("U0ALICE").await;
    app.presses_at_home("U0ALICE", "my_done").await;
    let happened = app.happened().await;
    for (kind, times) in [
        ("request.opened", 2),
        ("request.claimed", 1),
        ("request.commented", 1),
        ("request.handed_over", 1),
        ("request.approved", 1),
        ("request.cancelled", 1),
        ("grant.ended", 1),
    ] {
        assert_eq!(happened.iter().filter(|word| *word == kind).count(), times, "{kind}: {happened:?}");
    }
}

#[tokio::test]
async fn a_payload_that_is_sent_again_later_counts_for_nothing() {
    let mut app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    let (block, value) = card.button("approve");
    let payload = |trigger: &str, action: Value| {
        let payload = json!({
            "type": "block_actions", "api_app_id": "A0COUNTERSIGN", "trigger_id": trigger,
            "team": { "id": "T0ACME" }, "user": { "id": "U0BOB", "team_id": "T0ACME" },
            "container": { "type": "message", "message_ts": card.ts, "channel_id": card.channel },
            "channel": { "id": card.channel }, "message": { "ts": card.ts }, "actions": [action],
        });
        json!({ "path": "/slack/interactions", "body": serde_urlencoded_payload(&payload) })
    };
    let approve = json!({ "type": "button", "action_id": "approve", "block_id": block, "value": value });
    let take_back = json!({
        "type": "overflow", "action_id": "more", "block_id": block,
        "selected_option": { "value": format!("take_back.{value}") },
    });
    let (first, back) = (payload("1.1.a", approve), payload("1.2.b", take_back));
    app.page("/page/raw", first.clone()).await;
    app.settle().await;
    app.page("/page/raw", back.clone()).await;
    app.settle().await;
    assert_eq!((app.times("vote.recorded").await, app.times("vote.withdrawn").await), (1, 1));
    // Whoever captured the approval sends it again, signed by Slack as it is; also after a restart.
    app.page("/page/raw", first.clone()).await;
    app.restart().await;
    app.page("/page/raw", first).await;
    app.settle().await;
    assert_eq!(app.times("vote.recorded").await, 1, "the approval that was taken back stays so");
    assert!(app.card(DESK).await.says.contains("0 of 2 approvals") || !app.card(DESK).await.says.contains("1 of 2"));
    // Bob means it again, by another click; the taking back of before does not undo that.
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.page("/page/raw", back).await;
    app.settle().await;
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn nothing_is_ever_written_to_a_response_url() {
    let app = TestApp::start().await;
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/T0ACME/1/secret", trap.local_addr().expect("an address"));
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let with_url = json!({ "override": { "response_url": url, "response_urls": [{ "response_url": url }] } });
    for person in ["U0NORA", "U0ALICE", "U0BOB"] {
        app.click_forged(person, &card, "approve", with_url.clone()).await;
    }
    app.click_forged("U0BOB", &app.card(LEDGER).await, "revoke", with_url.clone()).await;
    for text in ["help", "status", ""] {
        let mut typed = json!({ "as": "U0ALICE", "channel": DESK, "command": "/access", "text": text });
        typed["override"] = with_url["override"].clone();
        app.page("/page/command", typed).await;
    }
    app.advance(minutes(61)).await;
    let heard = tokio::time::timeout(std::time::Duration::from_millis(50), trap.accept()).await;
    assert!(heard.is_err(), "somebody called the address");
    assert!(app.page_get("/page/responses").await.to_string().matches("\"used\":1").next().is_none());
}

#[tokio::test]
async fn commands_of_strangers_and_from_threads_ask_nobody_and_are_told_to_nobody_else() {
    let app = TestApp::start().await;
    let command = |changes: &[(&str, &str)]| {
        let mut fields: Vec<(String, String)> = [
            ("team_id", "T0ACME"),
            ("api_app_id", "A0COUNTERSIGN"),
            ("user_id", "U0ALICE"),
            ("channel_id", DESK),
            ("command", "/access"),
            ("text", "ledger:write for 1h because x"),
            ("trigger_id", "1.2.x"),
        ]
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        for (name, value) in changes {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        json!({ "path": "/slack/commands", "body": body })
    };
    for (changes, words) in [
        (&[("team_id", "T0PARTNER"), ("user_id", "U0EVE")][..], "Only members of this workspace"),
        (&[("user_id", "U0EVE")], "Only members of this workspace"),
        (&[("api_app_id", "A0OTHER")], "Only members of this workspace"),
        (&[("user_id", "U0GREG")], "Guests"),
        (&[("user_id", "bob")], "Only members of this workspace"),
        (&[("user_id", "U0NOBODY")], "could not be asked"),
        (&[("thread_ts", "1795460000.000100"), ("text", "status")], "not asked for anything"),
    ] {
        let answer = app.page("/page/raw", command(changes)).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or(Value::Null);
        assert_eq!((&answer["status"], &body["response_type"]), (&json!(200), &json!("ephemeral")), "{answer}");
        assert!(body.to_string().contains(words), "{changes:?}: {body}");
    }
    assert!(app.cards(DESK).await.is_empty() && app.cards(LEDGER).await.is_empty());
    assert!(app.happened().await.iter().all(|kind| kind == "click.refused"), "{:?}", app.happened().await);
}

#[tokio::test]
async fn messages_to_one_person_whose_answer_was_lost_are_found_again() {
    let app = TestApp::start().await;
    app.fault(json!({ "method": "chat.postMessage", "kind": "lost_answer", "times": 3 })).await;
    app.ask(&alice("ledger:write")).await.pending();
    app.advance(minutes(2)).await;
    assert_eq!(app.direct("U0ALICE").await.len(), 1, "{:?}", app.direct("U0ALICE").await);
    let card = app.card(LEDGER).await;
    assert_eq!(app.thread(&card).await.len(), 1);
    // What an approver says, and to whom it is handed over.
    app.choose("U0BOB", &card, "comment").await;
    app.fault(json!({ "method": "chat.postMessage", "kind": "lost_answer", "times": 2 })).await;
    app.fill("U0BOB", json!({ "words": "Which month?" })).await;
    app.advance(minutes(2)).await;
    app.choose("U0BOB", &card, "hand_over").await;
    app.fault(json!({ "method": "chat.postMessage", "kind": "lost_answer", "times": 2 })).await;
    app.fill("U0BOB", json!({ "to": "U0CAROL" })).await;
    app.advance(minutes(2)).await;
    let comments = app.direct("U0ALICE").await.iter().filter(|said| said.contains("Which month?")).count();
    assert_eq!((comments, app.direct("U0CAROL").await.len()), (1, 1));
    // The requester's message is the one that goes on being edited, and its button works.
    let first = app.messages("U0ALICE", "D0ALICE").await.remove(0);
    assert_eq!(first.buttons(), ["my_withdraw"], "{}", first.says);
    app.click("U0ALICE", &first, "my_withdraw").await;
    assert!(app.card(LEDGER).await.head().starts_with("Withdrawn"), "{}", app.card(LEDGER).await.head());
    // Where we may not look, it is said twice rather than never.
    app.page("/page/app", json!({ "scopes": ["chat:write", "users:read", "usergroups:read", "channels:read"] })).await;
    let told = app.direct("U0ALICE").await.len();
    app.fault(json!({ "method": "chat.postMessage", "kind": "lost_answer", "times": 3 })).await;
    app.ask(&alice("plain:x")).await.pending();
    app.advance(minutes(2)).await;
    assert_eq!(app.direct("U0ALICE").await.len(), told + 2);
}

impl TestApp {
    /// Somebody presses Approve, and Slack keeps it to itself.
    async fn approve_unheard(&self, person: &str, card: &Card) {
        let report = self.click(person, card, "approve").await;
        assert_eq!(report["delivered"], false, "{report}");
    }
}
