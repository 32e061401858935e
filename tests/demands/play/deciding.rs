//! How somebody decides, and what of.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{app, policy, usual};
use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but};
use crate::support::now;
use crate::support::provider::{Asked, Provider, Signed};
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER};

fn moment(text: &Value) -> i64 {
    let text = text.as_str().expect("a time");
    text.parse::<chrono::DateTime<chrono::Utc>>().expect("a time").timestamp()
}

/// Approve is one click in Slack, and the client has its token.
pub async fn decided_in_slack() {
    let app = app().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.approve("U0BOB", &card).await;
    let granted = app.ask(&alice("ledger:write")).await.granted().clone();
    assert_eq!((&granted["scope"], &granted["request_id"]), (&json!("ledger:write"), &json!(request)));
}

/// For what is dangerous the approver signs in again; a click alone decides nothing.
pub async fn step_up() {
    let provider = Provider::start().await;
    let policy = policy().replacen("ceremony = \"confirm\"", "ceremony = \"step_up\"", 1);
    let app = crate::support::stage(&policy)
        .config("[identity]\n", &format!("{}[identity]\n", provider.config()))
        .start()
        .await;
    app.ask(&alice("ledger:write")).await.pending();
    app.click("U0BOB", &app.card(LEDGER).await, "approve").await;
    app.ask(&alice("ledger:write")).await.pending();
    let form = app.form("U0BOB").await;
    let link = form["blocks"].as_array().expect("blocks").iter().find_map(|b| b["elements"][0]["url"].as_str());
    let browser =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("one");
    let sent = browser.get(link.expect("a link")).send().await.expect("an answer");
    let header = |name: &str| sent.headers()[name].to_str().expect("ASCII").to_owned();
    let (page, cookie) = (header("location"), header("set-cookie"));
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let claims = provider.signs_in(&page, "bob@example.com", now().timestamp());
    provider.answers(claims, Signed::Provider);
    let back = app.url(&format!("/step-up/callback?state={}&code=code", Asked::of(&page).get("state")));
    let page =
        browser.get(back).header("cookie", &cookie).send().await.expect("an answer").text().await.expect("a page");
    let (_, rest) = page.split_once("name=csrf value=\"").expect("a form");
    let csrf = rest.split('"').next().unwrap_or_default();
    app.ask(&alice("ledger:write")).await.pending();
    let confirm = browser.post(app.url("/step-up/confirm")).header("cookie", &cookie).form(&[("csrf", csrf)]);
    assert_eq!(confirm.send().await.expect("an answer").status(), 200);
    app.ask(&alice("ledger:write")).await.granted();
}

/// The number that the client shows must be typed; a wrong one bars whoever typed it.
pub async fn a_number_to_match() {
    let app = app().await;
    let body = but(alice("number:x"), json!({ "binding_message": "90210731" }));
    app.ask(&body).await.pending();
    let card = app.card(DESK).await;
    assert!(!card.message.to_string().contains("90210731"), "the number is never in Slack");
    app.click("U0BOB", &card, "approve").await;
    app.fill("U0BOB", json!({ "number": "90210732" })).await;
    app.ask(&body).await.pending();
    app.click("U0CAROL", &card, "approve").await;
    app.fill("U0CAROL", json!({ "number": "90210731" })).await;
    app.ask(&body).await.granted();
}

/// The policy says by scope how sure we must be: one policy, three ways to approve.
pub async fn each_scope_its_own_ceremony() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    app.ask(&alice("ledger:write")).await.pending();
    app.ask(&but(alice("number:x"), json!({ "binding_message": "90210731" }))).await.pending();
    let has_dialog = |card: &Card| card.message.to_string().contains("Approve this token?");
    let (plain, write) = (app.card_of(DESK, 0).await, app.card(LEDGER).await);
    assert!(!has_dialog(&plain) && has_dialog(&write));
    app.click("U0BOB", &app.card_of(DESK, 1).await, "approve").await;
    assert!(app.form("U0BOB").await.to_string().contains("Number that the client shows"));
}

/// Approve with changes: less time.
pub async fn a_shorter_time() {
    let app = app().await;
    app.ask(&but(alice("plain:x"), json!({ "expires_in": 3_600 }))).await.pending();
    app.click("U0BOB", &app.card(DESK).await, "changes").await;
    app.fill("U0BOB", json!({ "time": "2" })).await;
    let granted = app.ask(&alice("plain:x")).await.granted().clone();
    let left = moment(&granted["grant_expires_at"]) - now().timestamp();
    assert!((840..=900).contains(&left), "a quarter of an hour instead of one: {left}");
}

/// Approve with changes: some of the scopes; nothing can be added.
pub async fn some_of_the_scopes() {
    let app = app().await;
    app.ask(&alice("plain:a plain:b ledger:write")).await.pending();
    let card = app.card(DESK).await;
    app.click("U0BOB", &card, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["1"], "note": "One is enough." })).await;
    assert_eq!(app.ask(&alice("plain:a plain:b ledger:write")).await.granted()["scope"], "plain:a");
    let form = json!({ "view": { "state": { "values": { "scopes": { "scopes": { "selected_options": [{ "value": "7" }] } } } } } });
    app.ask(&alice("plain:c plain:d")).await.pending();
    let card = app.card_of(DESK, 1).await;
    app.click("U0BOB", &card, "changes").await;
    app.fill_forged("U0BOB", json!({}), form).await;
    app.ask(&alice("plain:c plain:d")).await.pending();
}

/// The clock of a grant starts at the decision, not at the request.
pub async fn clock_from_the_decision() {
    let app = app().await;
    let body = but(alice("plain:x"), json!({ "expires_in": 60 }));
    app.ask(&body).await.pending();
    app.wait(3).await;
    let decided = now().timestamp();
    app.approve("U0BOB", &app.card(DESK).await).await;
    let granted = app.ask(&body).await.granted().clone();
    let lasts = moment(&granted["grant_expires_at"]) - decided;
    assert!((59..=61).contains(&lasts), "a minute from the decision: {lasts}");
}

/// Two people at the same instant: one decision, and the other is told who was first.
pub async fn two_clicks_at_once() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    tokio::join!(app.click("U0BOB", &card, "approve"), app.click("U0CAROL", &card, "approve"));
    assert_eq!(app.times("request.approved").await, 1);
    let grants = app.operator_sees("/v1/grants").await["grants"].as_array().map(Vec::len);
    assert_eq!(grants, Some(1));
    let loser = app.until("a word", async || {
        let (bob, carol) = (app.whispers("U0BOB", DESK).await, app.whispers("U0CAROL", DESK).await);
        bob.into_iter().chain(carol).next()
    });
    assert!(loser.await.contains("already approved by <@"));
}

/// Two people must agree: two different ones, in any of their accounts.
pub async fn two_people() {
    let app = app().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    app.approve("U0BOB", &card).await;
    app.ask(&alice("ledger:close")).await.pending();
    assert!(app.card(DESK).await.says.contains("1 of 2 approvals"));
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
}

/// One of each group: one person in both counts for one of them, and it is enough once everybody is found a place.
pub async fn one_of_each_group() {
    let app = app().await;
    // Carol is in both sets.
    app.ask(&alice("books:close")).await.pending();
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("books:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("books:close")).await.granted();
    // The other way round as well: more than needed of one set leaves the other open, and then it is enough.
    let other = but(alice("books:close"), json!({ "client_id": "other-cli" }));
    app.ask(&other).await.pending();
    app.approve("U0BOB", &app.card_of(DESK, 1).await).await;
    app.approve("U0DORA", &app.card_of(DESK, 1).await).await;
    app.ask(&other).await.pending();
    app.approve("U0CAROL", &app.card_of(DESK, 1).await).await;
    app.ask(&other).await.granted();
}

/// A comment with the approval: kept, shown, told to the requester.
pub async fn an_approval_with_words() {
    let app = app().await;
    app.ask(&alice("plain:x plain:y")).await.pending();
    app.click("U0BOB", &app.card(DESK).await, "changes").await;
    app.fill("U0BOB", json!({ "note": "For the month end only." })).await;
    assert!(app.card(DESK).await.says.contains("For the month end only."));
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("For the month end only."));
    let audit = app.audit().await;
    assert!(audit.iter().any(|entry| entry["detail"]["note"] == "For the month end only."), "{audit:?}");
}

/// A denial says why, to the requester, on the card and in the audit.
pub async fn a_denial_with_a_reason() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let report = app.deny_with("U0BOB", &app.card(DESK).await, "").await;
    assert!(report["errors"].is_object() || app.times("request.denied").await == 0, "a reason is needed");
    app.submit_reason("U0BOB", "The books are closed.").await;
    assert!(app.card(DESK).await.says.contains("The books are closed."));
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("The books are closed."));
    assert!(
        app.audit().await.iter().any(|e| e["kind"] == "request.denied" && e.to_string().contains("books are closed"))
    );
    assert_eq!(app.ask(&alice("plain:x")).await.status, 403, "and it cools down");
}

/// Whether whoever asks may decide is the policy's to say: never, or with a reason of their own.
pub async fn self_approval_is_policy() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    app.click("U0ALICE", &app.card(DESK).await, "approve").await;
    app.ask(&alice("plain:x")).await.pending();
    assert!(app.refusals().await.contains(&"own_request".to_owned()));
    app.ask(&alice("own:x")).await.pending();
    let card = app.card_of(DESK, 1).await;
    app.click("U0ALICE", &card, "approve").await;
    app.ask(&alice("own:x")).await.pending();
    app.fill("U0ALICE", json!({ "note": "Nobody else is awake, PAY-9." })).await;
    app.ask(&alice("own:x")).await.granted();
    assert!(app.audit().await.iter().any(|entry| entry.to_string().contains("Nobody else is awake")));
}

/// Claim, comment, hand over: none of it decides, all of it is seen.
pub async fn claimed_and_handed_over() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    app.choose("U0BOB", &app.card(DESK).await, "claim").await;
    assert!(app.card(DESK).await.says.contains("<@U0BOB> is looking at it"));
    app.choose("U0BOB", &app.card(DESK).await, "hand_over").await;
    app.fill("U0BOB", json!({ "to": "U0CAROL" })).await;
    assert!(app.direct("U0CAROL").await.last().expect("a message").contains("<@U0BOB> asks you to decide"));
    app.ask(&alice("plain:x")).await.pending();
}

/// Whoever is told of a request elsewhere than on its card gets a link to that card, not to a channel or a page.
pub async fn a_link_to_the_card() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.choose("U0BOB", &card, "hand_over").await;
    app.fill("U0BOB", json!({ "to": "U0CAROL" })).await;
    let link = format!("/archives/{}/p{}\"", card.channel, card.ts.replace('.', ""));
    let told = app.messages("U0CAROL", "D0CAROL").await.pop().expect("a message").message.to_string();
    assert!(told.contains(&link), "{told} has no {link}");
}

/// Operators see how long people took, and what nobody decided about.
pub async fn how_long_people_take() {
    let app = app().await;
    let taken = async |app: &TestApp, outcome: &str, within: &str| {
        let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
        let line = format!("countersign_decision_seconds_bucket{{outcome=\"{outcome}\",le=\"{within}\"}} ");
        metrics.lines().find_map(|said| said.strip_prefix(&line)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = [taken(&app, "approved", "1").await, taken(&app, "approved", "60").await];
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.wait(2).await;
    app.approve("U0BOB", &card).await;
    app.ask(&alice("plain:x")).await.granted();
    let after = [taken(&app, "approved", "1").await, taken(&app, "approved", "60").await];
    assert!(after[1] > before[1], "{before:?} {after:?}");
    assert!(after[1] - before[1] > after[0] - before[0], "it took two seconds: {before:?} {after:?}");
}

/// What an approver says to the requester reaches both the requester and the thread.
pub async fn a_comment_reaches_the_requester() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.choose("U0BOB", &card, "comment").await;
    app.fill("U0BOB", json!({ "words": "Which month?" })).await;
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("Which month?"));
    assert!(app.thread(&card).await.iter().any(|said| said.contains("Which month?")));
}

/// An emergency: at once, with a reason, everybody told, and somebody else must review it.
pub async fn an_emergency() {
    let app = usual().start().await;
    let emergency = but(
        alice("prod:admin"),
        json!({ "subject": "dora@example.com", "context": { "break_glass": true }, "reason": "the tills are down" }),
    );
    app.group_is("S0LEADS", &["U0BOB", "U0CAROL"]).await;
    assert_eq!(app.ask(&but(emergency.clone(), json!({ "reason": null }))).await.status, 403, "a reason is needed");
    app.ask(&emergency).await.granted();
    let card = app.card(DESK).await;
    assert!(card.says.contains("<@U0DORA>") && card.says.contains("the tills are down"), "{}", card.says);
    app.until("everybody told", async || {
        (!app.direct("U0BOB").await.is_empty() && !app.direct("U0CAROL").await.is_empty()).then_some(())
    })
    .await;
    app.opens_home("U0BOB").await;
    app.presses_at_home("U0BOB", "review_justified").await;
    app.fill("U0BOB", json!({ "note": "They were down indeed." })).await;
    assert!(app.card(DESK).await.head().starts_with("Reviewed: justified"));
}

/// Nobody has decided: those who were asked are told again, then others who may not decide.
pub async fn reminded_and_escalated() {
    let app = app().await;
    app.group_is("S0LEADS", &["U0BOB"]).await;
    app.ask(&alice("slow:x")).await.pending();
    let card = app.card(DESK).await;
    let thread =
        app.until("two reminders", async || Some(app.thread(&card).await).filter(|said| said.len() >= 3)).await;
    assert!(thread[1].contains("<!subteam^S0LEADS>") && thread[1].contains("because you are asked"), "{thread:?}");
    assert!(thread[2].contains("<@U0CAROL>") && thread[2].contains("Being told is not being asked"), "{thread:?}");
    app.click("U0CAROL", &card, "approve").await;
    app.ask(&alice("slow:x")).await.pending();
    app.approve("U0BOB", &card).await;
    app.ask(&alice("slow:x")).await.granted();
}

/// Who is on call is a Slack user group; who joins or leaves it counts at once.
pub async fn on_call() {
    let app = app().await;
    app.ask(&alice("pager:x")).await.pending();
    let card = app.card(DESK).await;
    app.click("U0BOB", &card, "approve").await;
    app.ask(&alice("pager:x")).await.pending();
    app.page("/page/admin", json!({ "do": "change_group", "group": "S0ONCALL", "users": ["U0BOB"] })).await;
    app.click("U0DORA", &card, "approve").await;
    app.ask(&alice("pager:x")).await.pending();
    app.until("Bob's click", async || {
        app.click("U0BOB", &card, "approve").await;
        (app.ask(&alice("pager:x")).await.status == 200).then_some(())
    })
    .await;
}

/// Slack waits three seconds for a click; it is answered long before, also while cards wait by the dozen.
pub async fn answered_in_time() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.fault(json!({ "method": "chat.postMessage", "kind": "slow", "delay_ms": 1_000 })).await;
    for n in 0..10 {
        let body = but(alice("ledger:write"), json!({ "subject": format!("person{n}@example.com") }));
        app.ask_unsettled(&body).await.pending();
    }
    let began = Instant::now();
    let report = app.press("U0BOB", &card, "deny").await;
    let took = began.elapsed();
    assert_eq!(report["status"], 200);
    assert!(!app.form("U0BOB").await.is_null(), "the form opens whatever waits");
    app.faults_end().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// A click is on record before it is acknowledged: killed at once afterwards, it still counts.
pub async fn a_click_survives_a_crash() {
    let mut app = app().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    assert_eq!(app.press("U0BOB", &card, "approve").await["status"], 200);
    app.crash().await;
    app.settle().await;
    assert!(app.card(DESK).await.says.contains("1 of 2 approvals"), "{}", app.card(DESK).await.says);
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
}

/// The same payload twice is one vote, one denial, one revocation.
pub async fn everything_twice() {
    let app: TestApp = app().await;
    app.fault(json!({ "method": "*", "kind": "duplicate_interactions" })).await;
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
    app.click("U0BOB", &app.card(DESK).await, "revoke").await;
    let happened = app.happened().await;
    for kind in ["vote.recorded", "request.approved", "grant.revoked"] {
        assert_eq!(happened.iter().filter(|word| *word == kind).count(), 1, "{kind}: {happened:?}");
    }
}
