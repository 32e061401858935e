//! Alice asks in Slack before her client calls: in one line and by the form.

use serde_json::{Value, json};

use crate::support::asker::{blocks, option, says};
use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{TestApp, minutes, seconds};

const PAY: &str = r#"
[[resource.scope]]
name = "ledger:pay"
says = "Pay"
risk = "high"
[[resource.scope]]
name = "ledger:export"
says = "Export everything"
"#;

async fn app() -> TestApp {
    let policy = POLICY.replace("hooks = [\"shop\"]", "hooks = [\"shop\", \"signed\"]\nclients = [\"ledger-cli\"]");
    let policy = policy.replacen("\n[[rule]]", &format!("{PAY}\n[[rule]]"), 1);
    TestApp::stage().policy(policy).start().await
}

#[tokio::test]
async fn one_line_asks_ahead_and_the_next_call_collects_it() {
    let app = app().await;
    let answer = app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-4821").await;
    for said in ["Sent", "ledger:write", "1 hour", "<!subteam^S0LEADS>"] {
        assert!(answer.contains(said), "`{said}` is missing: {answer}");
    }
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("PAY-4821") && card.says.contains("<@U0ALICE>"), "{}", card.says);
    // Her client calls meanwhile: it waits for the same request.
    let request = app.ask(&alice("ledger:write")).await.pending();
    assert_eq!(app.cards(LEDGER).await.len(), 1);
    app.click("U0ALICE", &card, "approve").await;
    assert!(app.card(LEDGER).await.head().starts_with("Approval needed"), "nobody decides on their own request");
    app.approve("U0BOB", &card).await;
    let granted = app.ask(&alice("ledger:write")).await.granted().clone();
    assert_eq!(granted["request_id"], json!(request));
    // It belongs to that call now: not to another key, hook or client.
    let bound = json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } });
    assert_eq!(app.ask(&but(alice("ledger:write"), bound)).await.status, 202);
    assert_eq!(app.ask(&but(alice("ledger:write"), json!({ "client_id": "other" }))).await.status, 202);
    app.ask(&alice("ledger:write")).await.granted();
    app.advance(minutes(60)).await;
    assert_ne!(app.ask(&alice("ledger:write")).await.status, 200, "one hour from the decision");
}

#[tokio::test]
async fn what_starts_later_is_not_usable_before_and_those_who_approved_are_looked_at_again() {
    for bob_leaves in [false, true] {
        let app = app().await;
        let start = (countersign::clock::Clock::now(&app.clock) + chrono::Duration::hours(3)).format("%Y-%m-%dT%H:%MZ");
        let answer = app.types("U0ALICE", &format!("ledger-cli ledger:write for 1h from {start} because PAY-1")).await;
        assert!(answer.contains("Sent"), "{answer}");
        app.approve("U0BOB", &app.card(LEDGER).await).await;
        assert!(
            app.last_direct("U0ALICE").await.says.contains("It starts"),
            "{}",
            app.last_direct("U0ALICE").await.says
        );
        assert_eq!(app.ask(&alice("ledger:write")).await.status, 202, "not yet: her call asks people by itself");
        if bob_leaves {
            app.group_is("S0LEADS", &["U0CAROL"]).await;
        }
        app.advance(minutes(181)).await;
        let answer = app.ask(&alice("ledger:write")).await;
        if bob_leaves {
            assert_eq!(answer.status, 202);
            assert!(app.happened().await.contains(&"grant.revoked".to_owned()));
        } else {
            assert!(app.happened().await.contains(&"grant.started".to_owned()));
            answer.granted();
            // Nobody collects within a quarter of an hour after the start: void. This one was collected in time.
            app.advance(minutes(55)).await;
            app.ask(&alice("ledger:write")).await.granted();
        }
    }
}

#[tokio::test]
async fn what_was_asked_ahead_and_is_not_collected_is_void() {
    let app = app().await;
    app.types("U0ALICE", "ledger:write for 1h because x").await;
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.advance(minutes(15) - seconds(1)).await;
    app.clock.advance(seconds(1));
    assert_eq!(app.ask(&alice("ledger:write")).await.status, 202);
}

#[tokio::test]
async fn the_form_says_who_will_be_asked_and_sends_it() {
    let app = app().await;
    let form = app.opens_the_form("U0ALICE").await;
    // One client and one resource: both are chosen already.
    let view = &form["view"];
    assert!(says(view).contains("ledger-cli") && says(view).contains("Book entries"), "{view:#}");
    let scopes = blocks(view).find(|id| id.starts_with("scopes")).expect("scopes").to_owned();
    let values = |scope: &str, reason: &str| {
        let chosen = json!([option(view, scope)]);
        let mut values = json!({ "time": { "time": "14400" }, "reason": { "reason": reason } });
        values[&scopes] = json!({ "scopes": chosen });
        values["client"] = json!({ "client": option(view, "ledger-cli") });
        values["resource"] = json!({ "resource": option(view, "https://ledger.test") });
        values
    };
    let drawn = app.chooses("U0ALICE", "scopes", "scopes", values("ledger:write", "")).await;
    let who = says(&drawn["view"]);
    for said in ["<!subteam^S0LEADS>", "2 hours", "the most that is given", "30 minutes"] {
        assert!(who.contains(said), "`{said}` is missing: {who}");
    }
    // A reason that the rule wants: said at the field, nothing is sent.
    let wrong = app.sends("U0ALICE", values("ledger:pay", "because")).await;
    assert!(wrong["errors"]["reason"].as_str().is_some_and(|says| says.contains("Name the ticket")), "{wrong}");
    assert!(app.cards(DESK).await.is_empty());
    let sent = app.sends("U0ALICE", values("ledger:pay", "PAY-7")).await;
    assert_eq!(sent["status"], 200, "{sent}");
    assert!(says(&app.open_view("U0ALICE").await).contains("Request sent"));
    assert_eq!(app.cards(DESK).await.len(), 1);
    // A second form with the same content: asked already, no second card.
    app.opens_the_form("U0ALICE").await;
    app.sends("U0ALICE", values("ledger:pay", "PAY-7")).await;
    assert!(says(&app.open_view("U0ALICE").await).contains("Asked already"));
    assert_eq!(app.cards(DESK).await.len(), 1);
}

#[tokio::test]
async fn a_form_whose_fields_were_tampered_with_asks_nobody() {
    let app = app().await;
    let form = app.opens_the_form("U0ALICE").await;
    let view = &form["view"];
    let scopes = blocks(view).find(|id| id.starts_with("scopes")).expect("scopes").to_owned();
    let send = async |client: Value, scope: Value| {
        let values = json!({
            "client": { "client": { "type": "static_select", "selected_option": { "value": client } } },
            "resource": { "resource": { "type": "static_select", "selected_option": { "value": option(view, "https://ledger.test") } } },
            scopes.as_str(): { "scopes": { "type": "multi_static_select", "selected_options": [{ "value": scope }] } },
            "time": { "time": { "type": "static_select", "selected_option": { "value": "3600" } } },
        });
        let forged = json!({ "as": "U0ALICE", "view_id": form["id"], "override": { "view": { "state": { "values": values } } } });
        app.page("/page/submit", forged).await
    };
    let nobody = send(json!("f00f"), option(view, "ledger:write")).await;
    assert!(nobody["errors"]["client"].is_string(), "{nobody}");
    let nothing = send(option(view, "ledger-cli"), json!("ledger:close")).await;
    assert!(nothing["errors"][scopes.as_str()].is_string(), "{nothing}");
    assert!(app.happened().await.is_empty(), "{:?}", app.happened().await);
}

#[tokio::test]
async fn whoever_cannot_ask_is_told_why_and_nothing_is_asked() {
    let app = app().await;
    for (person, why) in [("U0UMA", "not mapped"), ("U0GREG", "Guests"), ("U0ROBO", "bots")] {
        let answer = app.types(person, "ledger-cli ledger:write for 1h because x").await;
        assert!(answer.contains(why), "{person}: {answer}");
        let form = app.opens_the_form(person).await;
        assert!(says(&form).contains(why), "{form:#}");
    }
    assert!(app.cards(LEDGER).await.is_empty());
    assert!(app.happened().await.iter().all(|kind| kind == "click.refused"));
}

#[tokio::test]
async fn what_is_not_meant_is_said_clearly() {
    let app = app().await;
    for (text, says) in [
        ("ledger:write for tomorrow", "no length of time"),
        ("ledger:write for -1h", "less than nothing"),
        ("ledger-cli ledger:fly for 1h", "there is no"),
        ("ledger-cli for 1h", "at least one scope"),
        ("nobody-cli ledger:write", "there is no"),
        ("ledger:write for 2s", "no length of time that access"),
        ("ledger:pay for 1h because no ticket", "Name the ticket"),
        ("ledger:write as bob@example.com", "somebody else"),
        ("ledger:read for 1h", "Nobody needs to be asked"),
        ("help", "You may ask for"),
        ("grants", "no access"),
        ("status", "not asked for anything"),
        ("extend", "no grant"),
    ] {
        let answer = app.types("U0ALICE", text).await;
        assert!(answer.contains(says), "{text}: {answer}");
    }
    let long = app.types("U0ALICE", &"x".repeat(3_000)).await;
    assert!(long.contains("too long"), "{long}");
    let smart = app.types("U0ALICE", "\u{201c}ledger:write\u{201d}").await;
    assert!(smart.contains("quotation marks"), "{smart}");
    assert!(app.cards(LEDGER).await.is_empty() && app.happened().await.is_empty());
    // A trigger that is too old: told, and nothing is lost.
    app.fault(json!({ "method": "views.open", "kind": "not_ok", "error": "expired_trigger_id", "times": 1 })).await;
    assert!(app.types("U0ALICE", "").await.contains("three seconds"));
}

#[tokio::test]
async fn a_denial_cools_down_what_is_asked_in_slack_and_at_each_hook() {
    let app = app().await;
    app.types("U0ALICE", "ledger:write for 1h because x").await;
    app.deny_with("U0BOB", &app.card(LEDGER).await, "not now").await;
    assert!(app.last_direct("U0ALICE").await.says.contains("not now"));
    assert!(app.types("U0ALICE", "ledger:write for 1h because y").await.contains("a short while ago"));
    assert!(app.ask(&alice("ledger:write")).await.denied().contains("denied"));
}
