//! Yes, no, twice, together.

use serde_json::json;

use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER};
use crate::support::{TestApp, minutes, seconds};

#[tokio::test]
async fn a_denial_is_told_and_cools_down_for_this_client_and_subject_only() {
    let app = TestApp::start().await;
    let held = app.ask_held(&alice("ledger:write"), 20);
    let card = app.card_comes(LEDGER).await;
    let form = app.deny_with("U0BOB", &card, "Not on a Friday.").await;
    assert_eq!(form["status"], 200, "{form}");

    // The waiting client is refused, the card and Alice are told why, the form is gone.
    let denied = held.answer().await;
    assert!(denied.denied().contains("denied"), "{}", denied.text);
    assert_eq!(denied.text("error"), "access_denied");
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Denied") && card.buttons().is_empty(), "{}", card.says);
    assert!(card.says.contains("<@U0BOB>") && card.says.contains("Not on a Friday."), "{}", card.says);
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("Not on a Friday."));
    assert!(app.screen("U0BOB").await["view"].is_null());

    // The same again is refused without a card; so is anything that asks for that scope among others.
    let again = app.ask(&alice("ledger:write")).await;
    assert!(again.denied().contains("denied a short while ago"), "{}", again.text);
    assert_eq!(app.ask(&alice("ledger:write plain:x")).await.status, 403);
    // Other people, other clients and other audiences are not touched.
    for change in [
        json!({ "subject": "carol@example.com" }),
        json!({ "client_id": "other-cli" }),
        json!({ "subject": null }),
        json!({ "audience": ["https://other.test"] }),
    ] {
        app.ask(&but(alice("ledger:write"), change)).await.pending();
    }
    app.ask(&alice("plain:x")).await.pending();
    // Ten minutes later she may ask again.
    app.advance(minutes(10)).await;
    app.ask(&alice("ledger:write")).await.pending();
}

#[tokio::test]
async fn what_needs_two_people_waits_for_the_second() {
    let mut app = TestApp::start().await;
    let request = app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    assert!(card.says.contains("0 of 2 approvals"), "{}", card.says);

    app.approve("U0BOB", &card).await;
    let half = app.card(DESK).await;
    assert!(half.head().starts_with("Approval needed") && half.says.contains("1 of 2 approvals"), "{}", half.says);
    assert!(half.says.contains("Approved so far by") && half.says.contains("<@U0BOB>"));
    app.ask(&alice("ledger:close")).await.pending();

    // Bob's second click says that it is recorded; it counts once, also after a restart.
    app.restart().await;
    app.click("U0BOB", &half, "approve").await;
    assert!(app.whisper_comes("U0BOB", DESK).await.contains("already recorded"));
    app.ask(&alice("ledger:close")).await.pending();

    app.approve("U0CAROL", &half).await;
    app.ask(&alice("ledger:close")).await.granted();
    let happened = ["request.opened", "vote.recorded", "click.refused", "request.approved", "token.issued"];
    assert_eq!(app.happened_to(&request).await, happened);
    let grants = app.operator_sees("/v1/grants").await;
    assert_eq!(grants["grants"][0]["approved_by"], json!(["bob@example.com", "carol@example.com"]));
}

#[tokio::test]
async fn one_no_outweighs_an_earlier_yes() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    app.deny_with("U0CAROL", &app.card(DESK).await, "Not yet closed.").await;
    assert!(app.card(DESK).await.head().starts_with("Denied"));
    assert_eq!(app.ask(&alice("ledger:close")).await.status, 403);
}

#[tokio::test]
async fn two_who_click_at_the_same_instant_decide_once() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    // One of the clicks comes twice: its second copy is no click, and is told to nobody.
    app.fault(json!({ "method": "block_actions", "kind": "duplicate_interactions", "times": 1 })).await;
    let (one, two) = tokio::join!(app.click("U0BOB", &card, "approve"), app.click("U0CAROL", &card, "approve"));
    assert_eq!((&one["status"], &two["status"]), (&json!(200), &json!(200)));
    let happened = app.happened_to(&request).await;
    assert_eq!(happened.iter().filter(|kind| *kind == "request.approved").count(), 1, "{happened:?}");
    let refused = happened.iter().filter(|kind| *kind == "click.refused").count();
    assert!((1..=2).contains(&refused), "the other person, and both copies if that was theirs: {happened:?}");
    assert_eq!(app.operator_sees("/v1/grants").await["grants"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn a_yes_and_a_no_at_the_same_instant_are_one_decision() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.click("U0BOB", &card, "deny").await;
    let (form, click) = tokio::join!(app.submit_reason("U0BOB", "No."), app.click("U0CAROL", &card, "approve"));
    let _ = (form, click);
    let form = app.screen("U0BOB").await["view"].clone();
    let answer = app.ask(&alice("ledger:write")).await;
    let happened = app.happened_to(&request).await;
    let decided = |kind: &str| happened.iter().any(|word| word == kind);
    assert!(decided("request.approved") != decided("request.denied"), "{happened:?}");
    assert_eq!(answer.status, if decided("request.approved") { 200 } else { 403 });
    assert_eq!(form.is_null(), decided("request.denied"), "the loser's form says so: {form}");
}

#[tokio::test]
async fn a_form_that_was_filled_in_too_late_changes_nothing_and_says_so() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.click("U0BOB", &card, "deny").await;
    app.approve("U0CAROL", &card).await;
    app.submit_reason("U0BOB", "Too late for that.").await;
    let view = app.screen("U0BOB").await["view"]["view"].to_string();
    assert!(view.contains("already approved by <@U0CAROL>") && view.contains("Nothing was changed"), "{view}");
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn a_reason_is_needed_for_a_denial() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.click("U0BOB", &card, "deny").await;
    let before = app.decided().await;
    let screen = app.screen("U0BOB").await;
    // Slack's own form asks for it; whoever forges the form without one is refused.
    let refused = app.submit_reason("U0BOB", "").await;
    assert!(refused["errors"]["reason"].is_string(), "{refused}");
    let view = screen["view"]["id"].as_str().expect("a form");
    let forged = json!({ "as": "U0BOB", "view_id": view, "values": { "reason": { "reason": "  " } },
        "override": { "view": { "state": { "values": {} } } } });
    app.page("/page/submit", forged).await;
    assert_eq!(app.decided().await, before);
    assert_eq!(app.happened().await.last().map(String::as_str), Some("click.refused"));
}

#[tokio::test]
async fn an_approver_who_has_left_by_the_hand_over_does_not_count() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.approve("U0BOB", &card).await;
    // Bob leaves the group; the service learns of it because somebody else's click makes it ask.
    app.group_is("S0LEADS", &["U0CAROL"]).await;
    app.clock.advance(seconds(6));
    app.ask(&alice("plain:x")).await.pending();
    app.click("U0NORA", &app.card(DESK).await, "approve").await;
    // The approval is void, the card says why, and those who may decide now are asked.
    app.ask(&alice("ledger:write")).await.pending();
    assert!(app.happened().await.iter().all(|kind| kind != "token.issued"));
    let cards = app.cards(LEDGER).await;
    assert!(
        cards[0].head().starts_with("Revoked") && cards[0].says.contains("not be enough any more (rule `writing`)"),
        "{}",
        cards[0].says
    );
    app.approve("U0CAROL", &cards[1]).await;
    app.ask(&alice("ledger:write")).await.granted();
    assert_eq!(app.cards(LEDGER).await.len(), 2);
}

#[tokio::test]
async fn an_approval_that_a_call_waited_for_vouches_for_no_other_grant() {
    let app = TestApp::start().await;
    let wide = app.ask(&alice("plain:x plain:y")).await.pending();
    let held = app.ask_held(&but(alice("plain:x"), json!({ "expires_in": 1_800 })), 20);
    let both = async || Some(app.cards(DESK).await).filter(|cards| cards.len() == 2);
    let cards = app.until("the second card", both).await;
    // Bob approves the wider one, which lasts longer, and leaves the group before anything is issued under it.
    app.approve("U0BOB", &cards[0]).await;
    app.group_is("S0LEADS", &["U0CAROL"]).await;
    app.clock.advance(seconds(6));
    app.click("U0NORA", &cards[1], "approve").await;
    // The call waits for the other one. That Carol approves it says nothing for what Bob approved.
    app.approve("U0CAROL", &cards[1]).await;
    let answer = held.answer().await;
    assert_ne!(answer.granted()["request_id"], json!(wide));
    let happened = app.happened_to(&wide).await;
    assert!(happened.contains(&"grant.revoked".to_owned()), "{happened:?}");
}

#[tokio::test]
async fn an_approver_whom_the_policy_no_longer_names_does_not_count() {
    let named = crate::support::world::POLICY
        .replace("slack_groups = [\"S0LEADS\"]", "slack_users = [\"U0BOB\"]\nslack_groups = [\"S0LEADS\"]");
    let mut app = TestApp::stage().policy(named.clone()).start().await;
    app.group_is("S0LEADS", &["U0CAROL"]).await;
    for scope in ["plain:x", "plain:y"] {
        app.ask(&alice(scope)).await.pending();
    }
    let cards = app.cards(DESK).await;
    app.approve("U0BOB", &cards[0]).await;
    app.approve("U0CAROL", &cards[1]).await;
    // Bob counted by name, Carol through the group; now only the group is left, and nobody has asked Slack since.
    app.stop().await;
    std::fs::write(app.file("policy.toml"), named.replace("slack_users = [\"U0BOB\"]\n", "")).expect("a policy");
    app.run().await.expect("it starts");
    app.ask(&alice("plain:x")).await.pending();
    app.ask(&alice("plain:y")).await.granted();
}

#[tokio::test]
async fn a_policy_that_became_stricter_counts_at_the_hand_over() {
    let mut app = TestApp::start().await;
    for scope in ["ledger:write", "plain:x", "plain:y"] {
        app.ask(&alice(scope)).await.pending();
    }
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    app.ask(&alice("plain:y")).await.granted();
    app.stop().await;
    let policy = std::fs::read_to_string(app.file("policy.toml")).expect("a policy");
    let writing_takes_two =
        policy.replace("approvals = 1\nmax_duration = \"2h\"", "approvals = 2\nmax_duration = \"2h\"");
    assert_ne!(policy, writing_takes_two);
    let plain_lives_shorter =
        "approvals = 1, max_duration = \"1h\", max_token_lifetime = \"1m\" }\n\n[[rule]]\nname = \"elsewhere\"";
    let stricter = writing_takes_two
        .replace("approvals = 1, max_duration = \"1h\" }\n\n[[rule]]\nname = \"elsewhere\"", plain_lives_shorter);
    assert_ne!(stricter, writing_takes_two);
    std::fs::write(app.file("policy.toml"), stricter).expect("a policy");
    app.run().await.expect("it starts");
    // One approval is not enough any more, and a token lives as the policy says now.
    app.ask(&alice("ledger:write")).await.pending();
    assert!(app.card_of(LEDGER, 1).await.says.contains("0 of 2 approvals"));
    assert_eq!(app.ask(&alice("plain:x")).await.granted()["expires_in"], 60);
    assert_eq!(app.ask(&alice("plain:y")).await.granted()["expires_in"], 60);
}
