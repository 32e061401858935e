//! Slack fails in every way that is known. The stand-in's time is the story's; only a call that hangs takes real time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::asking::{Answer, alice, but};
use crate::support::world::{DESK, LEDGER};
use crate::support::{TestApp, minutes, seconds};

fn fault(method: &str, kind: &str, more: Value) -> Value {
    but(json!({ "method": method, "kind": kind }), more)
}

#[tokio::test]
async fn a_post_that_fails_is_made_again_and_never_taken_for_posted() {
    let app = TestApp::start().await;
    for (n, (kind, more)) in [
        ("http_500", json!({})),
        ("http_503", json!({})),
        ("reset", json!({})),
        ("malformed", json!({})),
        ("empty", json!({})),
        ("unplugged", json!({})),
        ("not_ok", json!({ "error": "service_unavailable" })),
        ("not_ok", json!({ "error": "internal_error" })),
        ("not_ok", json!({ "error": "a_code_of_next_year" })),
        ("rate_limited", json!({ "retry_after": 7 })),
    ]
    .into_iter()
    .enumerate()
    {
        app.fault(fault("chat.postMessage", kind, but(more, json!({ "times": 6 })))).await;
        let scope = format!("plain:{n}");
        app.ask(&alice(&scope)).await.pending();
        assert_eq!(app.cards(DESK).await.len(), n, "{kind}: a card was posted by a call that failed");
        // Six faults are three failed rounds of card and message to Alice, or more where they take turns.
        for _ in 0..12 {
            app.advance(minutes(1)).await;
        }
        let cards = app.cards(DESK).await;
        assert_eq!(cards.len(), n + 1, "{kind}: one card, posted once");
        app.faults_end().await;
        app.approve("U0BOB", &cards[n]).await;
        app.ask(&alice(&scope)).await.granted();
    }
    assert_eq!(app.operator_sees("/v1/outbox").await["dead"], json!([]));
}

#[tokio::test]
async fn a_lost_answer_makes_at_most_one_more_card_and_both_work() {
    let app = TestApp::start().await;
    // An app that may not read the history cannot look for what it has posted.
    app.page("/page/app", json!({ "scopes": ["chat:write", "users:read", "usergroups:read"] })).await;
    for (n, clicked) in [(0, 0), (1, 1)] {
        app.fault(fault("chat.postMessage", "lost_answer", json!({ "times": 1 }))).await;
        // No requester in Slack here: the lost answer is the card's.
        let job = crate::support::asking::job(&format!("plain:{n}"));
        app.ask(&job).await.pending();
        app.advance(minutes(1)).await;
        let cards = app.cards(DESK).await;
        assert_eq!(cards.len(), 2 * n + 2, "the lost card and one more");
        let (of_this, other) = (&cards[2 * n + clicked], &cards[2 * n + 1 - clicked]);
        app.approve("U0BOB", of_this).await;
        app.ask(&job).await.granted();
        assert!(app.card_of(DESK, 2 * n + clicked).await.head().starts_with("Approved"));
        // The other card says at the click that it is settled.
        let whispers = app.whispers("U0CAROL", DESK).await.len();
        if let Some(button) = other.buttons().first().copied() {
            app.click("U0CAROL", other, button).await;
            let said =
                app.until("a whisper", async || app.whispers("U0CAROL", DESK).await.into_iter().nth(whispers)).await;
            assert!(said.contains("already approved"), "{said}");
        }
    }
    let opened = app.happened().await.iter().filter(|kind| *kind == "request.opened").count();
    assert_eq!(opened, 2);
}

#[tokio::test]
async fn what_slack_will_never_take_becomes_a_dead_letter_and_goes_to_the_usual_channel() {
    let app = TestApp::start().await;
    // The rule's channel is archived: the card appears at the desk instead, and still decides.
    let request = app.ask(&alice("gone:channel")).await.pending();
    let card = app.card(DESK).await;
    let dead = app.operator_sees("/v1/outbox").await["dead"].clone();
    assert_eq!((&dead[0]["lane"], &dead[0]["last_error"]), (&json!("C0ARCHIVED"), &json!("is_archived")));
    assert!(app.happened_to(&request).await.contains(&"delivery.failed".to_owned()));
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!((ready.status, &ready.body["degraded"]), (200, &json!(["dead_letters"])));
    app.approve("U0BOB", &card).await;
    app.ask(&alice("gone:channel")).await.granted();
    let approved = app.card(DESK).await;
    assert!(approved.head().starts_with("Approved"), "and it is kept up to date there: {}", approved.says);
    app.click("U0BOB", &approved, "revoke").await;
    assert!(app.card(DESK).await.head().starts_with("Revoked"));

    // Nowhere at all: the request stays pending and expires in its time.
    for code in ["channel_not_found", "not_in_channel"] {
        app.fault(fault("chat.postMessage", "not_ok", json!({ "error": code }))).await;
        let scope = format!("plain:{code}");
        let lost = app.ask(&alice(&scope)).await.pending();
        assert_eq!(app.cards(DESK).await.len(), 1, "{code}");
        assert!(app.happened_to(&lost).await.contains(&"delivery.failed".to_owned()), "{code}");
        app.faults_end().await;
    }
    app.advance(minutes(31)).await;
    assert_eq!(app.cards(DESK).await.len(), 1, "what expired is not posted afresh");
}

#[tokio::test]
async fn slack_asking_to_wait_is_waited_for_and_other_channels_go_on() {
    let app = TestApp::start().await;
    app.fault(fault("chat.postMessage", "rate_limited", json!({ "retry_after": 40, "times": 1 }))).await;
    let job = crate::support::asking::job;
    app.ask(&job("plain:x")).await.pending();
    app.ask(&job("ledger:write")).await.pending();
    app.card(LEDGER).await;
    app.ask(&job("plain:y")).await.pending();
    app.advance(seconds(39)).await;
    assert!(app.cards(DESK).await.is_empty(), "nothing is sent to that channel while Slack asks to wait");
    app.advance(seconds(2)).await;
    app.advance(seconds(2)).await;
    assert_eq!(app.cards(DESK).await.len(), 2);
    // However long Slack asks, it is a minute at most.
    app.fault(fault("chat.postMessage", "rate_limited", json!({ "retry_after": 9_999, "times": 1 }))).await;
    app.ask(&alice("plain:z")).await.pending();
    app.advance(seconds(61)).await;
    app.advance(seconds(61)).await;
    assert_eq!(app.cards(DESK).await.len(), 3);
}

#[tokio::test]
async fn while_slack_is_down_standing_grants_go_on_and_nothing_is_lost() {
    let mut app = TestApp::start().await;
    app.ask(&alice("plain:before")).await.pending();
    app.ask(&alice("plain:revoked")).await.pending();
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    let revoked = app.ask(&alice("plain:revoked")).await.granted()["grant_id"].clone();
    app.page("/page/plug", json!({ "plugged": false })).await;
    app.ask(&alice("plain:before")).await.granted();
    app.ask(&alice("ledger:read")).await.granted();
    let request = app.ask(&alice("plain:after")).await.pending();
    app.ask(&alice("plain:late")).await.pending();
    app.operator_revokes(revoked.as_str().expect("a grant"), "Slack or not").await;
    app.ask(&alice("plain:revoked")).await.denied();
    for _ in 0..10 {
        app.advance(minutes(1)).await;
    }
    app.restart().await;
    app.plug_in().await;
    for _ in 0..3 {
        app.advance(minutes(1)).await;
    }
    let cards = app.cards(DESK).await;
    assert_eq!(cards.len(), 4, "each posted once");
    assert!(cards[1].head().starts_with("Revoked"), "{}", cards[1].says);
    let after = cards.iter().find(|card| card.says.contains("plain:after")).expect("its card");
    app.approve("U0BOB", after).await;
    assert_eq!(app.ask(&alice("plain:after")).await.granted()["request_id"], json!(request));
    assert_eq!(app.operator_sees("/v1/outbox").await["dead"], json!([]));
}

#[tokio::test]
async fn a_decision_counts_even_if_the_card_cannot_be_edited() {
    let app = TestApp::start().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.fault(fault("chat.update", "http_500", json!({ "times": 3 }))).await;
    app.approve("U0BOB", &card).await;
    app.ask(&alice("plain:x")).await.granted();
    assert!(app.card(DESK).await.head().starts_with("Approval needed"), "not yet edited");
    for _ in 0..4 {
        app.advance(minutes(1)).await;
    }
    assert!(app.card(DESK).await.head().starts_with("Approved"));
    // Whispers and forms that cannot be shown change nothing either.
    app.ask(&alice("plain:y")).await.pending();
    let card = app.card_of(DESK, 1).await;
    app.fault(fault("views.open", "not_ok", json!({ "error": "expired_trigger_id" }))).await;
    app.fault(fault("chat.postEphemeral", "http_500", json!({}))).await;
    app.click("U0BOB", &card, "deny").await;
    app.click("U0NORA", &card, "approve").await;
    app.ask(&alice("plain:y")).await.pending();
    app.faults_end().await;
    app.deny_with("U0BOB", &card, "Now it works.").await;
    app.ask(&alice("plain:y")).await.denied();
}

#[tokio::test]
async fn every_click_that_arrives_twice_counts_once() {
    let app = TestApp::start().await;
    app.fault(fault("*", "duplicate_interactions", json!({}))).await;
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
    app.click("U0BOB", &app.card(DESK).await, "revoke").await;
    app.ask(&alice("plain:x")).await.pending();
    let denied = app.deny_with("U0BOB", &app.card_of(DESK, 1).await, "Twice no.").await;
    assert_eq!(denied["status"], 200, "{denied}");
    let happened = app.happened().await;
    for kind in ["vote.recorded", "request.approved", "grant.revoked", "request.denied"] {
        assert_eq!(happened.iter().filter(|word| *word == kind).count(), 1, "{kind}: {happened:?}");
    }
}

#[tokio::test]
async fn a_call_to_slack_that_hangs_ends_at_its_deadline_and_holds_up_nobody() {
    let app = TestApp::working().await;
    app.fault(fault("chat.postMessage", "hang", json!({ "times": 1 }))).await;
    let started = tokio::time::Instant::now();
    let job = crate::support::asking::job;
    app.ask(&job("plain:x")).await.pending();
    app.until("the call", async || (!app.slack_calls("chat.postMessage").await.is_empty()).then_some(())).await;
    // Another channel goes on at once, and so do hook calls and clicks.
    app.ask(&job("ledger:write")).await.pending();
    let card = app.card_comes(LEDGER).await;
    app.click("U0BOB", &card, "approve").await;
    app.ask(&job("ledger:write")).await.granted();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Somebody whose account cannot be looked up right now is told so within Slack's three seconds.
    app.fault(fault("users.info", "hang", json!({ "times": 1 }))).await;
    let card =
        app.until("the edit", async || app.cards(LEDGER).await.pop().filter(|c| c.buttons() == ["revoke"])).await;
    let clicked = tokio::time::Instant::now();
    let report = app.click("U0DORA", &card, "revoke").await;
    assert!(clicked.elapsed() < Duration::from_secs(3), "{:?}", clicked.elapsed());
    assert_eq!(report["status"], 200, "{report}");
    assert!(app.whisper_comes("U0DORA", LEDGER).await.contains("could not be asked"));
    // After ten seconds the post is tried again; the clock of the story stands still, so the pause is moved by hand.
    app.until_real(Duration::from_secs(14), async || {
        app.clock.advance(Duration::from_millis(200));
        !app.cards(DESK).await.is_empty()
    })
    .await;
    assert!(started.elapsed() > Duration::from_secs(9), "{:?}", started.elapsed());
    assert_eq!(app.cards(DESK).await.len(), 1);
}

#[tokio::test]
async fn while_the_token_does_not_work_everything_waits_and_nothing_is_given_up() {
    let app = TestApp::start().await;
    for (n, code) in ["invalid_auth", "account_inactive", "token_revoked"].into_iter().enumerate() {
        app.fault(fault("chat.postMessage", "not_ok", json!({ "error": code }))).await;
        app.ask(&alice(&format!("plain:{code}"))).await.pending();
        app.ask(&alice(&format!("plain:second-{code}"))).await.pending();
        let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
        assert_eq!(ready.body["degraded"], json!(["slack", "slack_token"]), "{code}");
        let alarms = app.audit().await.iter().filter(|e| e["detail"]["error"] == code).count();
        assert_eq!(alarms, 1, "{code}: somebody is told once");
        app.faults_end().await;
        app.advance(seconds(61)).await;
        assert_eq!(app.cards(DESK).await.len(), 2 * n + 2, "{code}: both cards came");
        let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
        assert_eq!(ready.body["degraded"], json!([]), "{code}");
    }
    assert_eq!(app.operator_sees("/v1/outbox").await["dead"], json!([]));
}

#[tokio::test]
async fn a_card_that_slack_does_not_take_is_posted_plainly_and_its_buttons_work() {
    let app = TestApp::start().await;
    let job = crate::support::asking::job;
    for (n, code) in ["invalid_blocks", "msg_too_long"].into_iter().enumerate() {
        app.fault(fault("chat.postMessage", "not_ok", json!({ "error": code, "times": 1 }))).await;
        let scope = format!("plain:{code} plain:and-more");
        app.ask(&job(&scope)).await.pending();
        let card = app.card_of(DESK, n).await;
        for said in ["build-job", "plain:and-more", "https://ledger.test", "1 hour", "Decide by"] {
            assert!(card.says.contains(said), "{code}: {said} is not on {}", card.says);
        }
        assert_eq!(card.buttons(), ["approve", "changes", "deny"]);
        app.fault(fault("chat.update", "not_ok", json!({ "error": code, "times": 1 }))).await;
        app.approve("U0BOB", &card).await;
        app.ask(&job(&scope)).await.granted();
        let approved = app.card_of(DESK, n).await;
        assert_eq!(approved.buttons(), ["revoke"], "{}", approved.says);
    }
    assert_eq!(app.operator_sees("/v1/outbox").await["dead"], json!([]));
}

#[tokio::test]
async fn a_card_that_somebody_deleted_comes_back_while_people_still_decide() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.fault(fault("chat.update", "not_ok", json!({ "error": "message_not_found", "times": 1 }))).await;
    app.approve("U0BOB", &card).await;
    let again = app.card_of(DESK, 1).await;
    assert!(again.says.contains("U0BOB"), "it shows who has approved: {}", again.says);
    app.approve("U0CAROL", &again).await;
    app.ask(&alice("ledger:close")).await.granted();
    assert!(app.card_of(DESK, 1).await.head().starts_with("Approved"));
}

#[tokio::test]
async fn each_thing_that_happens_is_a_reply_beneath_the_card_in_order() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.click("U0BOB", &app.card(DESK).await, "revoke").await;
    app.ask(&alice("plain:no")).await.pending();
    app.deny_with("U0BOB", &app.card_of(DESK, 1).await, "Not *today*.").await;
    app.ask(&alice("plain:late")).await.pending();
    app.advance(minutes(31)).await;
    let threads = [
        &["Asked", "<@U0BOB> approved", "<@U0CAROL> approved", "Revoked by <@U0BOB>"][..],
        &["Asked", "<@U0BOB> denied"],
        &["Asked", "Expired"],
    ];
    for (n, wanted) in threads.into_iter().enumerate() {
        let said = app.thread(&app.card_of(DESK, n).await).await;
        assert_eq!(said.len(), wanted.len(), "{said:#?}");
        for (reply, begins) in said.iter().zip(wanted) {
            assert!(reply.starts_with(begins), "{said:#?}");
        }
    }
    let denied = app.thread(&app.card_of(DESK, 1).await).await;
    assert!(denied[1].contains("Not *today*."), "{denied:?}");
}

#[tokio::test]
async fn new_cards_go_before_notes_and_a_channel_gets_one_message_a_second() {
    let app = TestApp::stage().change_config("burst = 1000", "burst = 2").start().await;
    let job = crate::support::asking::job;
    for n in 0..3 {
        app.ask_unsettled(&alice(&format!("plain:{n}"))).await.pending();
    }
    app.settle().await;
    assert_eq!(app.cards(DESK).await.len(), 2, "the burst");
    for (cards, replies) in [(3, 0), (3, 1), (3, 2), (3, 3)] {
        app.advance(seconds(1)).await;
        let all = app.messages("U0BOB", DESK).await;
        let is_reply = |card: &&crate::support::slack::Card| card.message.get("thread_ts").is_some();
        let found = all.iter().filter(is_reply).count();
        assert_eq!((all.len() - found, found), (cards, replies));
    }
    // Edits have a budget of their own, and so has another channel.
    app.ask(&job("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    assert!(app.card(LEDGER).await.head().starts_with("Approved"));
}
