//! Who may not decide, and what may not be shown.

use serde_json::{Value, json};

use super::app;
use crate::support::TestApp;
use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER};

/// Presses Approve as somebody who may not: nothing is decided, and the audit says why.
async fn refused(app: &TestApp, person: &str, forgery: Value, why: &str) {
    let card = app.cards(LEDGER).await.remove(0);
    let before = app.refusals().await.len();
    app.click_forged(person, &card, "approve", forgery).await;
    let refusals = app.refusals().await;
    assert_eq!(refusals.get(before).map(String::as_str), Some(why), "{person}: {refusals:?}");
    assert!(app.cards(LEDGER).await[0].head().starts_with("Approval needed"), "{person}");
}

/// Only those whom the policy names, checked at the click; everybody else is told so, and nothing changes.
pub async fn only_approvers() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    for (person, why) in [
        ("U0NORA", "not_an_approver"),
        ("U0UMA", "not_mapped"),
        ("U0GREG", "guest"),
        ("U0ROBO", "bot"),
        ("U0GONE", "deactivated"),
        ("U0EVE", "other_workspace"),
        ("U0ALICE", "own_request"),
    ] {
        refused(&app, person, json!({}), why).await;
    }
    let said = app.whisper_comes("U0NORA", LEDGER).await;
    assert!(said.contains("<!subteam^S0LEADS> can decide") && said.contains("Nothing was changed"), "{said}");
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
}

/// Being an administrator or owner of the workspace is no authority.
pub async fn administrators_are_not_approvers() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    for role in ["is_admin", "is_owner", "is_primary_owner"] {
        // A stand-in that does not know the role shows the person as they were.
        let set = json!({ "id": "U0NORA", "set": { role: true } });
        drop(app.http.post(app.slack_address("/page/person")).json(&set).send().await);
        refused(&app, "U0NORA", json!({}), "not_an_approver").await;
    }
}

/// Being in the channel is no authority: everybody there sees the card, and the card says who can.
pub async fn channel_members_are_not_approvers() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    assert!(!app.messages("U0NORA", LEDGER).await.is_empty(), "Nora is in the channel and sees the card");
    refused(&app, "U0NORA", json!({}), "not_an_approver").await;
    refused(&app, "U0EVE", json!({}), "other_workspace").await;
}

/// Whoever asks is refused in every account, also inside the approvers' group.
pub async fn oneself_in_the_group() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    refused(&app, "U0ALICE", json!({}), "own_request").await;
    refused(&app, "U0ALICE2", json!({}), "own_request").await;
}

/// The one who acts for the subject, and the owner of the client, decide nothing either.
pub async fn interested_parties() {
    let policy =
        super::policy().replace("name = \"Ledger\"\n", "name = \"Ledger\"\nowners = [\"carol@example.com\"]\n");
    let app = crate::support::stage(&policy).start().await;
    let body = but(alice("ledger:write"), json!({ "actor": ["bob@example.com"] }));
    app.ask(&body).await.pending();
    for party in ["U0ALICE", "U0BOB", "U0CAROL"] {
        refused(&app, party, json!({}), "own_request").await;
    }
    app.approve("U0DORA", &app.card(LEDGER).await).await;
    app.ask(&body).await.granted();
}

/// A click is matched exactly: another message, value, app, workspace or number of actions counts for nothing.
pub async fn exact_correlation() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.ask(&alice("ledger:write plain:x")).await.pending();
    let (mine, other) = (app.card_of(LEDGER, 0).await, app.card_of(LEDGER, 1).await);
    refused(&app, "U0BOB", json!({ "ts": other.ts }), "other_message").await;
    refused(&app, "U0BOB", json!({ "value": "req_0123456789abcdef0123456789abcdef" }), "unknown_button").await;
    refused(&app, "U0BOB", json!({ "override": { "api_app_id": "A0OTHER" } }), "other_app").await;
    refused(&app, "U0BOB", json!({ "override": { "team": { "id": "T0OTHER" } } }), "other_workspace").await;
    refused(&app, "U0BOB", json!({ "override": { "actions": [] } }), "malformed").await;
    app.approve("U0BOB", &mine).await;
    // A stale click says how it ended.
    app.click("U0CAROL", &mine, "approve").await;
    assert!(app.whisper_comes("U0CAROL", LEDGER).await.contains("already approved by <@U0BOB>"));
    // A request without a valid signature is nobody's.
    let raw = json!({ "path": "/slack/interactions", "body": "payload=%7B%7D", "signature": "v0=00" });
    assert_eq!(app.page("/page/raw", raw).await["status"], 401);
}

/// Whoever Slack cannot vouch for right now may not decide.
pub async fn unknown_means_refused() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.fault(json!({ "method": "users.info", "kind": "http_500" })).await;
    refused(&app, "U0DORA", json!({}), "slack_unavailable").await;
    app.faults_end().await;
    // So may nobody whom it has just called a guest, whatever it said before.
    app.page("/page/admin", json!({ "do": "deactivate_user", "user": "U0CAROL" })).await;
    refused(&app, "U0CAROL", json!({}), "deactivated").await;
}

/// Whatever a client writes is text: no mention, no link, no formatting, no reordering.
pub async fn hostile_text_is_inert() {
    let app = app().await;
    let reason = "PAY-7 <!channel> @everyone *bold* <https://evil.example|here> & `code` \u{202e}evil";
    app.ask(&but(alice("ledger:write"), json!({ "reason": reason, "client_id": "<!here> `x`" }))).await.pending();
    let card = app.card(LEDGER).await.message.to_string();
    for live in ["<!channel>", "<!here>", "<https://evil.example|here>", "\u{202e}"] {
        // In rich text a mention is an element of its own; text is never one.
        let as_markup =
            |block: &Value| block["type"] == "mrkdwn" && block["text"].as_str().is_some_and(|t| t.contains(live));
        let mut found = false;
        walk(&serde_json::from_str(&card).expect("JSON"), &mut |value| found |= as_markup(value));
        assert!(!found, "{live}");
    }
    assert!(!card.contains('\u{202e}'));
}

fn walk(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Array(all) => all.iter().for_each(|one| walk(one, look)),
        Value::Object(all) => all.values().for_each(|one| walk(one, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is shown and decided comes from the store, never from the text of a message: nothing in a reason confuses it.
pub async fn nothing_is_read_back_from_slack() {
    let app = app().await;
    let reason = "Requester: mallory: Scope: admin: Approved: yes: PAY-7";
    let body = but(alice("ledger:write"), json!({ "reason": reason }));
    app.ask(&body).await.pending();
    let card = app.card(LEDGER).await;
    assert!(card.says.contains(reason), "it stands there whole: {}", card.says);
    // Even a payload whose message says something else decides about what is stored.
    let message = json!({ "override": { "message": { "text": "admin", "blocks": [] } } });
    app.click_forged("U0BOB", &card, "approve", message).await;
    assert_eq!(app.ask(&body).await.granted()["scope"], "ledger:write");
}

/// Every outcome is on record, also the refused click and the denial, under stable identities.
pub async fn every_outcome_is_audited() {
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    refused(&app, "U0NORA", json!({}), "not_an_approver").await;
    // Another display name and address are the same person.
    app.person_becomes("U0BOB", json!({ "name": "mallory", "real_name": "Mallory", "email": "mallory@example.com" }))
        .await;
    app.deny_with("U0BOB", &app.card(LEDGER).await, "Not now.").await;
    let audit = app.audit().await;
    let denied = audit.iter().find(|entry| entry["kind"] == "request.denied").expect("an entry").to_string();
    assert!(denied.contains("U0BOB") && denied.contains("bob@example.com") && !denied.contains("allory"), "{denied}");
    assert!(audit.windows(2).all(|pair| pair[1]["previous"] == pair[0]["hash"]), "the chain holds");
}

/// A safety setting that could not be enforced keeps the service from starting, and says which.
pub async fn unenforceable_is_a_start_up_error() {
    let app = super::usual().set().await;
    for (wrong, says) in [
        ("ceremony = \"step_up\"", "step_up"),
        ("ceremony = \"fingerprint\"", "ceremony"),
        ("approvals_needed = 2", "approvals_needed"),
    ] {
        let policy = super::policy().replacen("ceremony = \"confirm\"", wrong, 1);
        std::fs::write(app.file("policy.toml"), policy).expect("a policy");
        let config = app.file("countersign.toml").display().to_string();
        let ended = app.tool(&["serve", "--config", &config]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(says), "{wrong}: {said}");
    }
    let none = super::policy().replacen("approvals = 1", "approvals = 0", 1);
    std::fs::write(app.file("policy.toml"), none).expect("a policy");
    let ended = app.tool(&["check", "--config", &app.file("countersign.toml").display().to_string()]);
    assert!(!ended.status.success(), "a quorum of nobody");
}

/// External people in a shared channel see the card only where that is allowed; a card posted there by mistake is not.
pub async fn shared_channels() {
    let app = super::usual().config("allow_shared_channels = true", "").start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.settle().await;
    assert!(app.cards(LEDGER).await.is_empty() && app.cards(DESK).await.is_empty());
    let errors = app.operator_sees("/v1/outbox").await["dead"].to_string();
    assert!(errors.contains("externally_shared"), "{errors}");
}
