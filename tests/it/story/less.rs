//! Less than was asked: scopes are taken out, the time gets shorter, and nothing is ever added.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but};
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, LEDGER, POLICY};

/// Writing takes two, and can be done with less.
fn policy() -> String {
    POLICY.replace("risk = \"high\"", "risk = \"high\"\nless = \"ledger:peek\"").replace(
        "[[rule]]\nname = \"closing takes two\"",
        "[[resource.scope]]\nname = \"ledger:peek\"\nsays = \"Look at one entry\"\n\n[[rule]]\nname = \"closing takes two\"",
    )
}

fn three() -> Value {
    but(alice("plain:a plain:b ledger:write"), json!({ "expires_in": 3_600 }))
}

#[tokio::test]
async fn an_approver_takes_a_scope_out_and_shortens_the_time_and_that_is_what_is_granted() {
    let app = TestApp::start().await;
    let request = app.ask(&three()).await.pending();
    let card = app.card_with("Approval needed").await;
    app.click("U0BOB", &card, "changes").await;
    // The scopes are listed in order: ledger:write, plain:a, plain:b. Values are places, never scopes.
    let form = app.form("U0BOB").await;
    let listed = form["blocks"].as_array().expect("blocks").iter().find(|b| b["block_id"] == "scopes").expect("scopes");
    assert_eq!(listed["element"]["type"], "checkboxes");
    assert_eq!(listed["element"]["options"][0]["value"], "0");
    assert!(!listed["element"]["options"].to_string().contains("\"value\":\"ledger"), "{listed}");
    let sent = app.fill("U0BOB", json!({ "scopes": ["1", "2"], "time": "2", "note": "Reading is enough." })).await;
    assert_eq!(sent["status"], 200, "{sent}");
    assert!(app.screen("U0BOB").await["view"].is_null(), "{:?}", app.form("U0BOB").await);

    // The same call gets what is left, for at most as long as was left.
    let granted = app.ask(&three()).await.granted().clone();
    assert_eq!(granted["scope"], "plain:a plain:b");
    let audit = app.audit().await;
    let approved = audit.iter().find(|entry| entry["kind"] == "request.approved").expect("an entry");
    assert_eq!(approved["detail"]["removed"], json!(["ledger:write"]));
    assert_eq!(approved["detail"]["scopes"], json!(["plain:a", "plain:b"]));
    assert_eq!(approved["detail"]["duration"], 900);
    assert_eq!(approved["detail"]["note"], "Reading is enough.");
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.approved", "token.issued"]);
    let grants = app.operator_sees("/v1/grants").await;
    assert_eq!(grants["grants"][0]["scope"], "plain:a plain:b");

    // Card and requester see who granted what, and why.
    for channel in [DESK, LEDGER] {
        let card = app.card(channel).await;
        assert!(card.head().starts_with("Approved"), "{}", card.says);
        for said in
            ["bob@example.com", "took out", "ledger:write", "15 minutes instead of 1 hour", "Reading is enough."]
        {
            assert!(card.says.contains(said), "{said}: {}", card.says);
        }
    }
    let told = app.direct("U0ALICE").await.pop().expect("a message");
    assert!(told.contains("Reading is enough.") && told.contains("ledger:write"), "{told}");

    // What was taken out was refused; whoever asks for that alone is told so. A call for more opens nothing new.
    assert!(app.ask(&alice("ledger:write")).await.denied().contains("denied a short while ago"));
    app.ask(&alice("plain:a")).await.granted();
    assert_eq!(app.ask(&alice("plain:a ledger:write")).await.granted()["scope"], "plain:a");
}

#[tokio::test]
async fn later_approvers_vote_on_the_narrower_version_and_earlier_votes_still_count() {
    let app = TestApp::start().await;
    let both = but(alice("ledger:close plain:a"), json!({ "expires_in": 1_800 }));
    let request = app.ask(&both).await.pending();
    let first = app.card(DESK).await;
    app.approve("U0BOB", &first).await;
    let second = app.card(DESK).await;
    app.click("U0CAROL", &second, "changes").await;
    // Dora opens her form before Carol sends hers.
    app.click("U0DORA", &second, "changes").await;
    app.fill("U0CAROL", json!({ "time": "1", "note": "Half the time." })).await;
    // Bob said yes to more than that, so with Carol there are two.
    assert_eq!(app.operator_sees(&format!("/v1/requests/{request}")).await["status"], "approved");
    app.fill("U0DORA", json!({ "time": "2" })).await;
    assert!(app.form("U0DORA").await.to_string().contains("already approved by <@U0CAROL>"));
    assert_eq!(app.ask(&both).await.granted()["scope"], "ledger:close plain:a");
}

#[tokio::test]
async fn a_card_and_a_form_from_before_a_narrowing_are_refused_with_words() {
    let app = TestApp::start().await;
    let both = alice("ledger:close plain:a");
    app.ask(&both).await.pending();
    let old = app.card(DESK).await;
    app.click("U0DORA", &old, "changes").await;
    app.click("U0BOB", &old, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["0"] })).await;
    let card = app.card(DESK).await;
    assert!(card.says.contains("1 of 2 approvals") && card.says.contains("took out"), "{}", card.says);
    assert!(app.thread(&card).await.iter().any(|said| said.contains("approved less")), "{:?}", app.thread(&card).await);

    // The old card's button and Dora's old form speak of something else.
    let (_, value) = old.button("approve");
    app.click_forged("U0CAROL", &card, "approve", json!({ "value": value })).await;
    assert!(app.whisper_comes("U0CAROL", DESK).await.contains("out of date"));
    let seq = app.audited().await;
    app.fill("U0DORA", json!({ "scopes": ["1"] })).await;
    assert!(app.form("U0DORA").await.to_string().contains("out of date"));
    assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], "out_of_date");
    app.approve("U0CAROL", &card).await;
    assert_eq!(app.ask(&both).await.granted()["scope"], "ledger:close");
}

#[tokio::test]
async fn what_a_form_says_is_read_against_the_request_and_adds_nothing() {
    let app = TestApp::start().await;
    app.ask(&alice("plain:a plain:b")).await.pending();
    let card = app.card(DESK).await;
    let state = |values: Value| json!({ "view": { "state": { "values": values } } });
    let chosen = |places: &[&str]| {
        let options: Vec<Value> = places.iter().map(|place| json!({ "value": place })).collect();
        json!({ "scopes": { "scopes": { "type": "checkboxes", "selected_options": options } } })
    };
    let time =
        |place: &str| json!({ "time": { "time": { "type": "static_select", "selected_option": { "value": place } } } });
    for (what, forged) in [
        ("a place that is not there", chosen(&["0", "7"])),
        ("a scope instead of a place", chosen(&["ledger:write"])),
        ("a negative place", chosen(&["-1"])),
        ("a time that is not there", time("99")),
        ("a time that is no place", time("3600s")),
        ("no time", json!({ "time": null })),
        ("no scopes", json!({ "scopes": null })),
        ("a long note", json!({ "note": { "note": { "type": "plain_text_input", "value": "x".repeat(501) } } })),
        ("another form", json!({})),
    ] {
        app.click("U0BOB", &card, "changes").await;
        let (before, seq) = (app.decided().await, app.audited().await);
        let mut over = state(forged);
        if what == "another form" {
            over["view"]["callback_id"] = json!("approve_all");
        }
        app.fill_forged("U0BOB", json!({}), over).await;
        assert_eq!(app.decided().await, before, "{what}");
        assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], "malformed", "{what}");
        assert!(app.form("U0BOB").await.to_string().contains("not be understood"), "{what}");
    }
    // Taking everything out leaves nothing to approve.
    app.click("U0BOB", &card, "changes").await;
    app.fill("U0BOB", json!({ "scopes": [] })).await;
    assert!(app.form("U0BOB").await.to_string().contains("Deny the request instead"));
    app.ask(&alice("plain:a plain:b")).await.pending();
}

#[tokio::test]
async fn a_requirement_falls_away_with_its_scopes_and_what_is_left_must_be_for_whoever_leaves_it() {
    let app = TestApp::start().await;
    let both = alice("ledger:export plain:a");
    app.ask(&both).await.pending();
    let card = app.card(DESK).await;
    assert!(card.says.contains("0 of 2 approvals"), "{}", card.says);
    // Bob is no data owner: the export alone is not his to leave.
    app.click("U0BOB", &card, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["0"] })).await;
    assert!(app.form("U0BOB").await.to_string().contains("for other approvers to decide"));
    // Without the export its owner need not be asked.
    app.click("U0BOB", &card, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["1"] })).await;
    assert_eq!(app.ask(&both).await.granted()["scope"], "plain:a");
}

#[tokio::test]
async fn taking_out_what_people_are_asked_about_leaves_nothing_to_approve() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:read plain:a")).await.pending();
    let card = app.card(DESK).await;
    app.click("U0BOB", &card, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["0"] })).await;
    assert!(app.form("U0BOB").await.to_string().contains("needs nobody's approval"), "{}", app.form("U0BOB").await);
    app.ask(&alice("ledger:read plain:a")).await.pending();
}

#[tokio::test]
async fn a_lower_scope_of_the_catalogue_is_suggested_and_never_granted_unasked() {
    let app = TestApp::stage().policy(policy()).start().await;
    let held = app.ask_held(&alice("ledger:write"), 20);
    let card = app.card_comes(LEDGER).await;
    app.click("U0BOB", &card, "changes").await;
    assert!(app.form("U0BOB").await.to_string().contains("ledger:peek"));
    app.fill("U0BOB", json!({ "scopes": [], "instead": ["0"], "note": "Peek first." })).await;
    let refused = held.answer().await;
    assert!(refused.denied().contains("Ask for these alone: ledger:peek"), "{}", refused.text);
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Denied") && card.says.contains("ledger:peek"), "{}", card.says);
    assert!(app.direct("U0ALICE").await.pop().expect("a message").contains("Peek first."));
    assert!(app.operator_sees("/v1/grants").await["grants"].as_array().expect("a list").is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_narrow_is_refused_naming_what_to_ask_for() {
    let app = TestApp::start().await;
    let body = json!({
        "session": { "id_token": { "id_token_claims": { "sub": "alice@example.com", "ext": {} },
            "headers": { "extra": {} }, "subject": "alice@example.com" }, "extra": {}, "client_id": "ledger-ui" },
        "request": { "client_id": "ledger-ui", "requested_scopes": ["plain:a", "plain:b"],
            "granted_scopes": ["plain:a", "plain:b"], "granted_audience": [AUDIENCE],
            "grant_types": ["authorization_code"], "payload": { "grant_type": ["authorization_code"] } }
    })
    .to_string();
    let call = app.http.post(app.url("/hooks/hydra")).header("x-countersign-key", HYDRA_KEY);
    let held = TestApp::held(call.header("content-type", "application/json").body(body));
    let card = app.card_comes(DESK).await;
    assert!(card.buttons().contains(&"changes") && card.says.contains("Offer less…"), "{}", card.says);
    app.click("U0BOB", &card, "changes").await;
    let form = app.form("U0BOB").await;
    assert!(form["blocks"].as_array().expect("blocks").iter().all(|block| block["block_id"] != "time"), "{form}");
    app.fill("U0BOB", json!({ "scopes": ["0"] })).await;
    assert_eq!(Answer { text: String::new(), ..held.answer().await }.status, 403);
    let card = app.card(DESK).await;
    assert!(card.head().starts_with("Denied") && card.says.contains("Could be asked for instead"), "{}", card.says);
    // What was suggested does not cool down; what was refused does.
    let audit = app.audit().await;
    let denied = audit.iter().find(|entry| entry["kind"] == "request.denied").expect("an entry");
    assert_eq!(denied["detail"]["suggested"], json!(["plain:a"]));
}

#[tokio::test]
async fn more_than_ten_scopes_are_a_menu_and_one_scope_alone_can_still_be_shorter() {
    let app = TestApp::start().await;
    let many: Vec<String> = (0..12).map(|n| format!("plain:{n:02}")).collect();
    app.ask(&alice(&many.join(" "))).await.pending();
    app.click("U0BOB", &app.card(DESK).await, "changes").await;
    let form = app.form("U0BOB").await;
    let listed = form["blocks"].as_array().expect("blocks").iter().find(|b| b["block_id"] == "scopes").expect("scopes");
    assert_eq!(listed["element"]["type"], "multi_static_select");
    app.fill("U0BOB", json!({ "scopes": ["11"] })).await;
    assert_eq!(app.ask(&alice(&many.join(" "))).await.granted()["scope"], "plain:11");
}
