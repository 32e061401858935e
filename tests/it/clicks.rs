//! Every properly signed click and form that counts for nothing: no state changes, whoever clicked is told where
//! Slack can show it, and the audit has an entry.

mod organizations;

use serde_json::{Value, json};

use crate::support::asking::alice;
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER};
use crate::support::{TestApp, minutes, seconds};

/// One refusal: who clicks what and how it is forged, the word in the audit, the words for the person.
struct Row {
    what: &'static str,
    person: &'static str,
    action: &'static str,
    forgery: Value,
    why: &'static str,
    whisper: Option<&'static str>,
}

fn row(
    what: &'static str,
    person: &'static str,
    forgery: Value,
    why: &'static str,
    whisper: Option<&'static str>,
) -> Row {
    Row { what, person, action: "approve", forgery, why, whisper }
}

const STALE: Option<&str> = Some("out of date");
const OUTSIDER: Option<&str> = Some("only members of this workspace");
const NEVER: Option<&str> = Some("guests, bots and deactivated accounts never can");
const WHO_CAN: Option<&str> = Some("<!subteam^S0LEADS> can decide");
const TRY_AGAIN: Option<&str> = Some("could not be asked");

fn over(payload: Value) -> Value {
    json!({ "override": payload })
}

/// The rows that need nothing but a payload. `other` is a card of another request in another channel, `same` one
/// in the same channel.
fn rows(card: &Card, same: &Card, other: &Card) -> Vec<Row> {
    let (block, value) = card.button("approve");
    let action = json!({ "type": "button", "action_id": "approve", "block_id": block, "value": value });
    let mut tampered = value.clone();
    let last = if tampered.pop() == Some('A') { 'B' } else { 'A' };
    tampered.push(last);
    vec![
        row("a partner in a shared channel", "U0EVE", json!({}), "other_workspace", OUTSIDER),
        row(
            "a partner, team named as ours",
            "U0EVE",
            over(json!({ "team": { "id": "T0ACME" } })),
            "other_workspace_user",
            OUTSIDER,
        ),
        row(
            "a partner, everything named as ours",
            "U0EVE",
            over(json!({ "team": { "id": "T0ACME" }, "user": { "team_id": "T0ACME" } })),
            "other_workspace_user",
            OUTSIDER,
        ),
        row("another workspace", "U0BOB", over(json!({ "team": { "id": "T0OTHER" } })), "other_workspace", OUTSIDER),
        row(
            "no workspace of the user",
            "U0BOB",
            json!({ "remove": ["/user/team_id"] }),
            "other_workspace_user",
            OUTSIDER,
        ),
        row("another app", "U0BOB", over(json!({ "api_app_id": "A0OTHER" })), "other_app", WHO_CAN),
        row("no app", "U0BOB", json!({ "remove": ["/api_app_id"] }), "other_app", WHO_CAN),
        row("no user", "U0BOB", json!({ "remove": ["/user"] }), "no_user", None),
        row("a user who is none", "U0BOB", over(json!({ "user": { "id": "bob" } })), "no_user", None),
        row("a guest", "U0GREG", json!({}), "guest", NEVER),
        row("an app", "U0ROBO", json!({}), "bot", NEVER),
        row("somebody deactivated", "U0GONE", json!({}), "deactivated", NEVER),
        row("the requester", "U0ALICE", json!({}), "own_request", Some("your own request")),
        row("the requester's second account", "U0ALICE2", json!({}), "own_request", WHO_CAN),
        row("a colleague in no approver set", "U0NORA", json!({}), "not_an_approver", WHO_CAN),
        row("a colleague who is not in the directory", "U0UMA", json!({}), "not_mapped", Some("not mapped")),
        row(
            "an account that Slack does not know",
            "U0BOB",
            over(json!({ "user": { "id": "U0NOBODY" } })),
            "slack_unavailable",
            None,
        ),
        row("another message of the channel", "U0BOB", json!({ "ts": same.ts }), "other_message", STALE),
        row(
            "a message of another channel",
            "U0BOB",
            json!({ "channel": other.channel, "ts": other.ts }),
            "other_message",
            STALE,
        ),
        row(
            "a message that says two things",
            "U0BOB",
            over(json!({ "message": { "ts": same.ts } })),
            "other_message",
            STALE,
        ),
        row(
            "an ephemeral message",
            "U0BOB",
            over(json!({ "container": { "is_ephemeral": true } })),
            "other_message",
            STALE,
        ),
        row(
            "a form instead of a message",
            "U0BOB",
            json!({ "override": { "container": { "type": "view" } }, "remove": ["/message"] }),
            "other_message",
            STALE,
        ),
        row("a value with one character changed", "U0BOB", json!({ "value": tampered }), "unknown_button", STALE),
        row(
            "a request's identifier as the value",
            "U0BOB",
            json!({ "value": "req_0123456789abcdef0123456789abcdef" }),
            "unknown_button",
            STALE,
        ),
        row("an empty value", "U0BOB", json!({ "value": "" }), "unknown_button", STALE),
        row("no value", "U0BOB", json!({ "remove": ["/actions/0/value"] }), "unknown_button", STALE),
        row("a huge value", "U0BOB", json!({ "value": "x".repeat(100_000) }), "unknown_button", STALE),
        row(
            "two actions",
            "U0BOB",
            over(json!({ "actions": [action, action] })),
            "malformed",
            Some("not be understood"),
        ),
        row("no action", "U0BOB", over(json!({ "actions": [] })), "malformed", Some("not be understood")),
        row("no actions at all", "U0BOB", json!({ "remove": ["/actions"] }), "malformed", Some("not be understood")),
        Row { action: "deny", ..row("deny by the requester", "U0ALICE", json!({}), "own_request", WHO_CAN) },
        Row { action: "deny", ..row("deny by an outsider", "U0EVE", json!({}), "other_workspace", OUTSIDER) },
        Row { action: "deny", ..row("deny by a colleague", "U0NORA", json!({}), "not_an_approver", WHO_CAN) },
        row(
            "revoking what is not granted",
            "U0BOB",
            over(json!({ "actions": [{ "type": "button",
            "action_id": "revoke", "block_id": block, "value": value }] })),
            "grant_over",
            Some("over already"),
        ),
        row(
            "a menu's choice that decides",
            "U0BOB",
            over(json!({ "actions": [{ "type": "overflow", "action_id": "more", "block_id": block,
            "selected_option": { "value": format!("approve.{value}") } }] })),
            "unknown_button",
            STALE,
        ),
        row(
            "a menu's choice without its value",
            "U0BOB",
            over(json!({ "actions": [{ "type": "overflow", "action_id": "more", "block_id": block,
            "selected_option": { "value": "claim" } }] })),
            "unknown_button",
            STALE,
        ),
        row(
            "taking back what was not given",
            "U0BOB",
            over(json!({ "actions": [{ "type": "overflow", "action_id": "more", "block_id": block,
            "selected_option": { "value": format!("take_back.{value}") } }] })),
            "not_voted",
            Some("no approval of yours"),
        ),
        Row { action: "changes", ..row("less by the requester", "U0ALICE", json!({}), "own_request", WHO_CAN) },
        Row { action: "changes", ..row("less by a colleague", "U0NORA", json!({}), "not_an_approver", WHO_CAN) },
        row(
            "a button that does not exist",
            "U0BOB",
            over(json!({ "actions": [{ "type": "button",
            "action_id": "approve_all", "block_id": block, "value": value }] })),
            "malformed",
            Some("not be understood"),
        ),
    ]
}

/// Plays one row on a card: nothing but the audit changes.
async fn play(app: &TestApp, card: &Card, row: &Row) {
    let what = row.what;
    let channel = row.forgery["channel"].as_str().unwrap_or(&card.channel);
    let (before, whispers) = (app.decided().await, app.whispers(row.person, channel).await.len());
    let seq = app.audited().await;
    let report = app.click_forged(row.person, card, row.action, row.forgery.clone()).await;
    assert_eq!(report["status"], 200, "{what}: {report}");
    assert_eq!(app.decided().await, before, "{what}: something was decided");
    let entries = app.audit_after(seq).await;
    assert_eq!(entries.len(), 1, "{what}: {entries:?}");
    assert_eq!(
        (&entries[0]["kind"], &entries[0]["detail"]["why"]),
        (&json!("click.refused"), &json!(row.why)),
        "{what}"
    );
    assert!(app.screen(row.person).await["view"].is_null(), "{what}: a form was opened");
    if let Some(words) = row.whisper {
        let said = app.until(what, async || app.whispers(row.person, channel).await.into_iter().nth(whispers)).await;
        assert!(said.contains(words) && said.contains("Nothing was changed"), "{what}: {said}");
    }
}

#[tokio::test]
async fn every_click_that_may_not_count_changes_nothing() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.ask(&alice("ledger:write plain:x")).await.pending();
    app.ask(&alice("plain:x")).await.pending();
    let (ledger, desk) = (app.cards(LEDGER).await, app.cards(DESK).await);
    let (card, same, other) = (&ledger[0], &ledger[1], desk.last().expect("a card"));
    for row in rows(card, same, other) {
        // What one person is refused is written down at a bounded rate: a minute has to pass between many.
        app.clock.advance(seconds(10));
        play(&app, card, &row).await;
    }
    assert_eq!(app.card_of(LEDGER, 0).await.message["blocks"][0], card.message["blocks"][0]);
    // After all of that the button still works for whom it is meant.
    app.approve("U0BOB", card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn whom_slack_cannot_vouch_for_right_now_may_not_decide() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = &app.card(LEDGER).await;
    let dora = |what, why, whisper| row(what, "U0DORA", json!({}), why, whisper);
    for (fault, what) in [
        (json!({ "method": "users.info", "kind": "http_500" }), "users.info fails"),
        (json!({ "method": "users.info", "kind": "not_ok", "error": "user_not_found" }), "users.info knows nobody"),
        (json!({ "method": "users.info", "kind": "malformed" }), "users.info cannot be read"),
        (json!({ "method": "users.info", "kind": "empty" }), "users.info says nothing"),
        (json!({ "method": "users.info", "kind": "reset" }), "users.info breaks off"),
        (json!({ "method": "users.info", "kind": "rate_limited" }), "users.info is asked too often"),
        (json!({ "method": "usergroups.users.list", "kind": "http_503" }), "the group cannot be looked up"),
        (
            json!({ "method": "usergroups.users.list", "kind": "not_ok", "error": "no_such_subteam" }),
            "the group is gone",
        ),
        (json!({ "method": "usergroups.users.list", "kind": "not_ok", "error": "missing_scope" }), "we may not look"),
    ] {
        app.fault(fault).await;
        // A minute later nothing that was learnt before is believed any more.
        app.clock.advance(seconds(61));
        play(&app, card, &dora(what, "slack_unavailable", TRY_AGAIN)).await;
        app.faults_end().await;
    }
    app.clock.advance(seconds(6));
    app.approve("U0DORA", card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn who_changed_since_the_last_click_is_noticed_within_a_minute() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = &app.card(DESK).await;
    for (set, why, words) in [
        (json!({ "deleted": true }), "deactivated", NEVER),
        (json!({ "deleted": false, "is_ultra_restricted": true }), "guest", NEVER),
        (json!({ "is_ultra_restricted": false, "is_invited_user": true }), "guest", NEVER),
        // Slack shows a bot nothing.
        (json!({ "is_invited_user": false, "is_bot": true }), "bot", None),
        (json!({ "is_bot": false, "is_stranger": true }), "other_workspace_user", OUTSIDER),
    ] {
        app.person_becomes("U0DORA", set).await;
        app.clock.advance(seconds(61));
        // The stand-in takes the workspace in the payload from the record; here the record changed behind it.
        play(&app, card, &row("somebody who changed", "U0DORA", json!({}), why, words)).await;
    }
    app.person_becomes("U0DORA", json!({ "is_stranger": false })).await;
    app.group_is("S0LEADS", &["U0BOB"]).await;
    app.clock.advance(seconds(61));
    play(&app, card, &row("somebody who left the group", "U0DORA", json!({}), "not_an_approver", WHO_CAN)).await;
    // Whoever joins is noticed at the next look, at most once in five seconds.
    app.group_is("S0LEADS", &["U0BOB", "U0DORA"]).await;
    app.clock.advance(seconds(5));
    app.approve("U0DORA", card).await;
    app.approve("U0BOB", card).await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn a_click_on_what_is_settled_says_how_it_ended() {
    let app = TestApp::start().await;
    for scope in ["plain:approved", "plain:denied", "plain:expired", "plain:revoked"] {
        app.ask(&alice(scope)).await.pending();
    }
    let cards = app.cards(DESK).await;
    app.approve("U0BOB", &cards[0]).await;
    app.deny_with("U0BOB", &cards[1], "No, thank you.").await;
    app.approve("U0BOB", &cards[3]).await;
    app.click("U0BOB", &app.card_of(DESK, 3).await, "revoke").await;
    let settled = |person, action, words| Row {
        what: "a settled request",
        person,
        action,
        forgery: json!({}),
        why: "already_settled",
        whisper: Some(words),
    };
    // The old buttons, pressed by somebody whose screen was late, or sent again by whoever holds the payload.
    for action in ["approve", "deny"] {
        play(&app, &cards[0], &settled("U0CAROL", action, "already approved by <@U0BOB>")).await;
        play(&app, &cards[0], &settled("U0BOB", action, "already approved by <@U0BOB>")).await;
        play(&app, &cards[1], &settled("U0CAROL", action, "already denied by <@U0BOB>")).await;
        play(&app, &cards[3], &settled("U0CAROL", action, "already approved by <@U0BOB>")).await;
    }
    app.clock.advance(minutes(30));
    app.click("U0NORA", &cards[2], "approve").await;
    app.settle().await;
    play(&app, &cards[2], &settled("U0CAROL", "approve", "has expired")).await;
    let over = Row {
        what: "a grant that is revoked",
        person: "U0CAROL",
        action: "revoke",
        forgery: json!({}),
        why: "grant_over",
        whisper: Some("over already"),
    };
    let revoke = json!({ "type": "button", "action_id": "revoke", "value": cards[3].button("approve").1 });
    let forged = Row { action: "approve", forgery: json!({ "override": { "actions": [revoke] } }), ..over };
    play(&app, &cards[3], &forged).await;
}

#[tokio::test]
async fn a_form_for_a_denial_counts_only_for_who_opened_it_where_it_was_opened() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.ask(&alice("plain:x")).await.pending();
    let (card, other) = (app.card(LEDGER).await, app.card(DESK).await);
    let carried = |value: &str, card: &Card| json!({ "v": value, "c": card.channel, "t": card.ts }).to_string();
    let value = card.button("deny").1;
    let view = |view: Value| json!({ "override": { "view": view } });
    for (what, forgery, why) in [
        ("another person", json!({ "override": { "user": { "id": "U0NORA" } } }), "not_an_approver"),
        ("the requester", json!({ "override": { "user": { "id": "U0ALICE" } } }), "own_request"),
        (
            "a partner",
            json!({ "override": { "user": { "id": "U0EVE", "team_id": "T0PARTNER" } } }),
            "other_workspace_user",
        ),
        (
            "a partner through a shared channel: theirs in everything but the installation",
            json!({ "override": {
                "team": { "id": "T0PARTNER" }, "user": { "id": "U0EVE", "team_id": "T0PARTNER" },
                "view": { "team_id": "T0PARTNER", "app_installed_team_id": "T0ACME" },
            } }),
            "other_workspace",
        ),
        (
            "a partner with an organization of their own",
            json!({ "override": {
                "team": null, "enterprise": { "id": "E0PARTNER" }, "user": { "id": "U0EVE", "team_id": "T0PARTNER" },
            } }),
            "other_workspace_user",
        ),
        ("nobody", json!({ "remove": ["/user"] }), "no_user"),
        ("another app", view(json!({ "app_id": "A0OTHER" })), "other_app"),
        ("another installation", view(json!({ "app_installed_team_id": "T0OTHER" })), "other_workspace"),
        ("another form", view(json!({ "callback_id": "approve" })), "malformed"),
        ("nothing carried", view(json!({ "private_metadata": "" })), "unknown_button"),
        ("something else carried", view(json!({ "private_metadata": "{\"v\":1}" })), "unknown_button"),
        ("another value", view(json!({ "private_metadata": carried("guess", &card) })), "unknown_button"),
        ("another message", view(json!({ "private_metadata": carried(&value, &other) })), "other_message"),
        (
            "no reason",
            view(json!({ "state": { "values": { "reason": { "reason": { "value": null } } } } })),
            "malformed",
        ),
    ] {
        app.click("U0BOB", &card, "deny").await;
        let open = app.screen("U0BOB").await["view"]["id"].as_str().expect("a form").to_owned();
        let (before, seq) = (app.decided().await, app.audited().await);
        let mut form = json!({ "as": "U0BOB", "view_id": open, "values": { "reason": { "reason": "Because." } } });
        for (name, member) in forgery.as_object().expect("an object") {
            form[name] = member.clone();
        }
        let report = app.page("/page/submit", form).await;
        app.settle().await;
        assert_eq!(report["status"], 200, "{what}: {report}");
        assert_eq!(app.decided().await, before, "{what}: something was decided");
        let entries = app.audit_after(seq).await;
        assert_eq!(entries.len(), 1, "{what}: {entries:?}");
        assert_eq!(entries[0]["detail"]["why"], why, "{what}");
        let screen = app.screen("U0BOB").await["view"]["view"].to_string();
        assert!(screen.contains("Nothing was changed"), "{what}: {screen}");
        app.clock.advance(seconds(10));
    }
    app.deny_with("U0BOB", &card, "Because.").await;
    assert!(app.card(LEDGER).await.head().starts_with("Denied"));
}

#[tokio::test]
async fn payloads_of_organization_wide_installs_and_empty_states_are_taken() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let org = json!({ "override": { "team": null, "enterprise": { "id": "E0ACME" }, "is_enterprise_install": true, "state": {} } });
    app.click_forged("U0BOB", &card, "approve", org).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn a_person_who_keeps_clicking_does_not_fill_the_audit() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    for _ in 0..30 {
        app.click("U0NORA", &card, "approve").await;
    }
    let written = app.happened().await.iter().filter(|kind| *kind == "click.refused").count();
    assert_eq!(written, 20);
    // Others are not affected.
    app.click("U0UMA", &card, "approve").await;
    assert_eq!(app.happened().await.iter().filter(|kind| *kind == "click.refused").count(), 21);
}
