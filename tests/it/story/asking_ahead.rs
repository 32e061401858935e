//! Asking in Slack, where it is more than one person's own few scopes: for somebody else, out of hundreds, and to be
//! collected at a server that has a dialect of its own.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::asker::{blocks, option, says};
use crate::support::asking::{Answer, alice, but};
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, LEDGER, POLICY};
use crate::support::{TestApp, minutes};

fn offered(hooks: &str, clients: &str) -> String {
    POLICY.replace("hooks = [\"shop\"]", &format!("hooks = [{hooks}]\nclients = [{clients}]"))
}

#[tokio::test]
async fn where_a_rule_says_so_somebody_is_asked_for_and_neither_of_both_decides() {
    let policy = offered("\"shop\"", "\"ledger-cli\"").replace("ceremony = \"confirm\"", "on_behalf = true");
    let app = TestApp::stage().policy(policy).start().await;
    for whom in ["bob@example.com", "@bob"] {
        let answer = app.types("U0ALICE", &format!("ledger-cli ledger:write for 1h as {whom} because PAY-1")).await;
        assert!(answer.contains("Sent") || answer.contains("asked already"), "{whom}: {answer}");
    }
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("bob@example.com") && card.says.contains("<@U0ALICE>"), "{}", card.says);
    for party in ["U0ALICE", "U0ALICE2", "U0BOB"] {
        app.click(party, &card, "approve").await;
        assert!(app.card(LEDGER).await.head().starts_with("Approval needed"), "{party}");
    }
    app.approve("U0CAROL", &card).await;
    // It is Bob's, not Alice's; both can hand it back.
    assert_eq!(app.ask(&alice("ledger:write")).await.status, 202);
    let bobs = but(alice("ledger:write"), json!({ "subject": "bob@example.com" }));
    app.ask(&bobs).await.granted();
    let audit = app.audit().await;
    let opened = audit.iter().find(|entry| entry["kind"] == "request.opened").expect("an entry").to_string();
    assert!(opened.contains("alice@example.com") && opened.contains("bob@example.com"), "both are on record: {opened}");
    assert!(app.types("U0ALICE", "grants").await.contains("ledger:write"));
    assert!(app.types("U0BOB", "done").await.contains("Handed back"));
    // Where no rule says so, nobody asks for somebody else.
    assert!(app.types("U0ALICE", "ledger:read as bob@example.com").await.contains("somebody else"));
}

#[tokio::test]
async fn what_was_asked_ahead_is_collected_at_hydra() {
    let app = TestApp::stage().policy(offered("\"hydra\"", "\"ledger-ui\"")).start().await;
    assert!(app.types("U0ALICE", "ledger-ui ledger:write for 1h because PAY-1").await.contains("Sent"));
    let login = json!({
        "session": {
            "client_id": "ledger-ui",
            "id_token": { "id_token_claims": { "sub": "alice@example.com" }, "subject": "alice@example.com" },
        },
        "request": {
            "client_id": "ledger-ui", "requested_scopes": ["ledger:write"], "granted_scopes": ["ledger:write"],
            "granted_audience": [AUDIENCE], "grant_types": ["authorization_code"], "payload": {},
        },
    });
    let call = || app.http.post(app.url("/hooks/hydra")).header("X-Countersign-Key", HYDRA_KEY).json(&login);
    // Her front end signs in meanwhile: it waits for the same people.
    let held = TestApp::held(call());
    app.until("the call", async || (app.card(LEDGER).await.says.contains("PAY-1")).then_some(())).await;
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    let granted = held.answer().await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    assert_eq!(granted.body["session"]["access_token"]["approval"]["scope"], "ledger:write");
    // And so does a sign-in after the approval; the time is up an hour after the decision.
    assert_eq!(Answer::of(call()).await.status, 200);
    assert_eq!(app.cards(LEDGER).await.len(), 1);
    let grants = app.operator_sees("/v1/grants").await["grants"].clone();
    assert_eq!((grants.as_array().map(Vec::len), &grants[0]["hook"]), (Some(1), &json!("hydra")));
    app.advance(minutes(61)).await;
    assert_eq!(app.operator_sees("/v1/grants").await["grants"][0]["status"], "expired");
}

#[tokio::test]
async fn more_scopes_than_a_menu_lists_are_searched() {
    let mut many = String::new();
    for n in 0..130 {
        let _ = write!(many, "[[resource.scope]]\nname = \"plain:{n:03}\"\nsays = \"Job number {n}\"\n");
    }
    let policy = offered("\"shop\"", "\"ledger-cli\"").replacen("\n[[rule]]", &format!("\n{many}\n[[rule]]"), 1);
    let app = TestApp::stage().policy(policy).start().await;
    let form = app.opens_the_form("U0ALICE").await;
    let view = &form["view"];
    let block = blocks(view).find(|id| id.starts_with("scopes")).expect("scopes").to_owned();
    assert!(view.to_string().contains("multi_external_select"), "{view:#}");
    let searched = async |person: &str, typed: &str| {
        let search =
            json!({ "as": person, "view_id": form["id"], "block_id": block, "action_id": "scopes", "value": typed });
        app.page("/page/suggest", search).await
    };
    let all = searched("U0ALICE", "").await;
    assert_eq!(all["options"].as_array().map(Vec::len), Some(100), "{all}");
    let found = searched("U0ALICE", "number 12").await;
    let names: Vec<&str> =
        found["options"].as_array().expect("options").iter().filter_map(|o| o["text"]["text"].as_str()).collect();
    assert_eq!(names.len(), 11, "12 and 120 to 129: {names:?}");
    assert!(searched("U0ALICE", "nothing like it").await["options"].as_array().is_some_and(Vec::is_empty));
    // What was found is chosen, and the form says who will be asked.
    let chosen = json!([option(&found, "plain:129")]);
    let mut values = json!({ "time": { "time": "3600" }, "reason": { "reason": "PAY-1" } });
    values[&block] = json!({ "scopes": chosen });
    values["client"] = json!({ "client": option(view, "ledger-cli") });
    values["resource"] = json!({ "resource": option(view, AUDIENCE) });
    let drawn = app.chooses("U0ALICE", "scopes", "scopes", values.clone()).await;
    assert!(says(&drawn["view"]).contains("<!subteam^S0LEADS>"), "{drawn:#}");
    app.sends("U0ALICE", values).await;
    let card = app.card(DESK).await;
    assert!(card.says.contains("plain:129") && !card.says.contains("plain:012"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    assert_eq!(app.ask(&alice("plain:129")).await.granted()["scope"], "plain:129");
    // A search of somebody who may ask for nothing, or of a form that is none of ours, finds nothing.
    let stranger = json!({
        "type": "block_suggestion", "api_app_id": "A0COUNTERSIGN", "team": { "id": "T0ACME" },
        "user": { "id": "U0GREG", "team_id": "T0ACME" }, "action_id": "scopes", "block_id": block, "value": "",
        "view": { "callback_id": "access", "state": { "values": {} } },
    });
    let body =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &stranger.to_string()).finish();
    let answer = app.page("/page/raw", json!({ "path": "/slack/interactions", "body": body })).await;
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or(Value::Null);
    assert_eq!(body, json!({ "options": [] }), "{answer}");
}
