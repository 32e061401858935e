use std::time::Duration;

use serde_json::{Value, json};

use super::{Stage, button, stage};

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text })
}

fn options() -> Value {
    json!([{ "text": plain("Low"), "value": "0" }, { "text": plain("High"), "value": "1" }])
}

fn form() -> Value {
    json!({
        "type": "modal", "callback_id": "deny", "title": plain("Deny"), "submit": plain("Deny"), "notify_on_close": true,
        "private_metadata": "m", "blocks": [
            { "type": "input", "block_id": "why", "label": plain("Why?"),
              "element": { "type": "plain_text_input", "action_id": "v", "min_length": 3 } },
            { "type": "input", "block_id": "risk", "label": plain("Risk"), "optional": true,
              "element": { "type": "static_select", "action_id": "v", "options": options(), "initial_option": options()[0] } },
            { "type": "input", "block_id": "scopes", "label": plain("Scopes"), "optional": true,
              "element": { "type": "checkboxes", "action_id": "v", "options": options(), "initial_options": options() } },
        ],
    })
}

/// Bob presses the card's button; answers the trigger that the service got.
async fn trigger(stage: &mut Stage) -> String {
    let ts = stage.card().await;
    let click = json!({ "as": "U0BOB", "channel": "C0APPROVALS", "ts": ts, "block_id": "decide", "action_id": "deny" });
    stage.page("/page/click", click).await;
    stage.next().await.payload()["trigger_id"].as_str().expect("a trigger").to_owned()
}

/// Opens the form on Bob's screen; answers its id.
async fn opened(stage: &mut Stage) -> String {
    let trigger = trigger(stage).await;
    let opened = stage.slack("views.open", json!({ "trigger_id": trigger, "view": form() })).await;
    assert_eq!(opened["ok"], true, "{opened}");
    opened["view"]["id"].as_str().expect("an id").to_owned()
}

async fn on_screen(stage: &Stage) -> Value {
    stage.get("/page/state?as=U0BOB").await["view"].clone()
}

#[tokio::test]
async fn a_form_opens_is_filled_and_arrives_with_its_values() {
    let mut stage = stage().await;
    let id = opened(&mut stage).await;
    assert_eq!(on_screen(&stage).await["view"]["callback_id"], "deny");
    assert_eq!(stage.get("/page/state?as=U0ALICE").await["view"], Value::Null, "only Bob has it open");
    let filled =
        json!({ "as": "U0BOB", "view_id": id, "values": { "why": { "v": "no ticket" }, "scopes": { "v": ["1"] } } });
    assert_eq!(stage.page("/page/submit", filled).await.1, json!({ "delivered": true, "status": 200 }));
    let payload = stage.next().await.payload();
    assert_eq!((&payload["type"], &payload["view"]["private_metadata"]), (&json!("view_submission"), &json!("m")));
    assert_eq!((&payload["view"]["id"], &payload["view"]["app_installed_team_id"]), (&json!(id), &json!("T0ACME")));
    assert_eq!(payload["response_urls"], json!([]));
    let values = &payload["view"]["state"]["values"];
    assert_eq!(values["why"]["v"], json!({ "type": "plain_text_input", "value": "no ticket" }));
    assert_eq!(values["risk"]["v"]["selected_option"]["value"], "0", "untouched fields have their initial value");
    assert_eq!(values["scopes"]["v"]["selected_options"], json!([options()[1]]));
    assert_eq!(on_screen(&stage).await, Value::Null, "an empty answer closes the form");
}

#[tokio::test]
async fn the_form_complains_itself_before_anything_is_sent() {
    let mut stage = stage().await;
    let id = opened(&mut stage).await;
    for (why, complaint) in [(json!(null), "required"), (json!("no"), "at least 3")] {
        let filled = json!({ "as": "U0BOB", "view_id": id, "values": { "why": { "v": why } } });
        let (_, report) = stage.page("/page/submit", filled).await;
        assert!(report["errors"]["why"].as_str().expect("a complaint").contains(complaint), "{report}");
    }
    stage.nothing_more();
    assert!(on_screen(&stage).await["errors"]["why"].is_string());
    let forged = json!({ "as": "U0BOB", "view_id": id, "override": { "view": { "state": { "values": {} } } } });
    stage.page("/page/submit", forged).await;
    assert_eq!(stage.next().await.payload()["type"], "view_submission", "a forged form is sent all the same");
}

#[tokio::test]
async fn the_answer_decides_what_is_on_the_screen() {
    let mut stage = stage().await;
    let id = opened(&mut stage).await;
    let send = |id: &str| json!({ "as": "U0BOB", "view_id": id, "values": { "why": { "v": "no ticket" } } });
    stage.answer_next(200, json!({ "response_action": "errors", "errors": { "why": "Name the ticket" } }));
    assert_eq!(stage.page("/page/submit", send(&id)).await.1["errors"], json!({ "why": "Name the ticket" }));
    assert_eq!(on_screen(&stage).await["errors"]["why"], "Name the ticket");

    let mut said =
        json!({ "type": "modal", "title": plain("Sure?"), "submit": plain("Yes"), "blocks": [{ "type": "divider" }] });
    stage.answer_next(200, json!({ "response_action": "push", "view": said }));
    stage.page("/page/submit", send(&id)).await;
    let top = on_screen(&stage).await;
    assert_eq!((&top["view"]["title"]["text"], &top["view"]["previous_view_id"]), (&json!("Sure?"), &json!(id)));

    said["title"] = plain("Already decided");
    stage.answer_next(200, json!({ "response_action": "update", "view": said }));
    stage.page("/page/submit", send(top["id"].as_str().expect("an id"))).await;
    assert_eq!(on_screen(&stage).await["view"]["title"]["text"], "Already decided");

    said["title"] = plain("A title that is far too long");
    for trouble in
        [json!({ "response_action": "update", "view": said }), json!({ "response_action": "dance" }), json!("…")]
    {
        stage.answer_next(200, trouble);
        let (_, report) = stage.page("/page/submit", send(top["id"].as_str().expect("an id"))).await;
        assert!(report["why"].as_str().expect("a reason").contains("trouble"), "{report}");
        assert_eq!(on_screen(&stage).await["view"]["title"]["text"], "Already decided", "it stays open");
    }

    stage.answer_next(500, "");
    let (_, report) = stage.page("/page/submit", send(top["id"].as_str().expect("an id"))).await;
    assert!(report["why"].is_string() && on_screen(&stage).await != Value::Null);

    stage.answer_next(200, json!({ "response_action": "clear" }));
    stage.page("/page/submit", send(top["id"].as_str().expect("an id"))).await;
    assert_eq!(on_screen(&stage).await, Value::Null);
}

#[tokio::test]
async fn a_trigger_works_once_and_for_three_seconds() {
    let mut stage = stage().await;
    let used = trigger(&mut stage).await;
    let open = |trigger: &str| json!({ "trigger_id": trigger, "view": form() });
    assert_eq!(stage.slack("views.open", open(&used)).await["ok"], true);
    assert_eq!(stage.slack("views.open", open(&used)).await["error"], "exchanged_trigger_id");
    let late = trigger(&mut stage).await;
    stage.clock.advance(Duration::from_millis(3001));
    assert_eq!(stage.slack("views.open", open(&late)).await["error"], "expired_trigger_id");
    assert_eq!(stage.slack("views.open", open("made.up")).await["error"], "invalid_trigger_id");
}

#[tokio::test]
async fn a_view_that_slack_would_refuse_does_not_open() {
    let mut stage = stage().await;
    let trigger = trigger(&mut stage).await;
    let changed = |pointer: &str, value: Value| {
        let mut view = form();
        *view.pointer_mut(pointer).expect("a member") = value;
        view
    };
    let mut no_submit = form();
    no_submit.as_object_mut().expect("an object").remove("submit");
    let many: Value = (0..11).map(|n| json!({ "text": plain("o"), "value": n.to_string() })).collect();
    let mut two_focused = form();
    for at in [0, 1] {
        two_focused["blocks"][at]["element"]["focus_on_load"] = json!(true);
    }
    for (what, view) in [
        ("no submit", no_submit),
        ("title too long", changed("/title", plain(&"x".repeat(25)))),
        ("metadata too long", changed("/private_metadata", json!("x".repeat(3001)))),
        ("option value too long", changed("/blocks/1/element/options/1/value", json!("x".repeat(151)))),
        ("initial option unknown", changed("/blocks/1/element/initial_option/value", json!("7"))),
        ("eleven checkboxes", changed("/blocks/2/element/options", many)),
        (
            "min over max",
            changed("/blocks/0/element", json!({ "type": "plain_text_input", "min_length": 9, "max_length": 3 })),
        ),
        ("button in an input", changed("/blocks/0/element", button("a", "b", "c"))),
        ("two focused", two_focused),
    ] {
        let answer = stage.slack("views.open", json!({ "trigger_id": trigger, "view": view })).await;
        assert_eq!(answer["error"], "invalid_arguments", "{what}");
    }
    assert_eq!(stage.slack("views.open", json!({ "trigger_id": trigger, "view": form() })).await["ok"], true);
}

#[tokio::test]
async fn updates_need_the_right_hash_and_closing_is_told_to_who_asked() {
    let mut stage = stage().await;
    let id = opened(&mut stage).await;
    let stale = json!({ "view_id": id, "hash": "old", "view": form() });
    assert_eq!(stage.slack("views.update", stale).await["error"], "hash_conflict");
    assert_eq!(stage.slack("views.update", json!({ "view_id": id, "view": form() })).await["ok"], true);
    assert_eq!(stage.slack("views.update", json!({ "view_id": "V0", "view": form() })).await["error"], "not_found");
    assert_eq!(stage.page("/page/close", json!({ "as": "U0BOB", "view_id": id })).await.0, 204);
    let closed = stage.next().await.payload();
    assert_eq!(
        (&closed["type"], &closed["view"]["id"], &closed["is_cleared"]),
        (&json!("view_closed"), &json!(id), &json!(false))
    );
    assert_eq!(on_screen(&stage).await, Value::Null);
}

#[tokio::test]
async fn a_home_tab_is_published_and_its_buttons_work() {
    let mut stage = stage().await;
    let blocks = json!([{ "type": "actions", "block_id": "top", "elements": [button("home.revoke", "Revoke", "g1")] }]);
    let home = json!({ "user_id": "U0BOB", "view": { "type": "home", "blocks": blocks } });
    assert_eq!(stage.slack("views.publish", home).await["ok"], true);
    let seen = stage.get("/page/state?as=U0BOB").await["home"].clone();
    assert_eq!(stage.get("/page/state?as=U0ALICE").await["home"], Value::Null);
    let click = json!({ "as": "U0BOB", "view_id": seen["id"], "block_id": "top", "action_id": "home.revoke" });
    assert_eq!(stage.page("/page/click", click).await.1["delivered"], true);
    let payload = stage.next().await.payload();
    assert_eq!(payload["container"], json!({ "type": "view", "view_id": seen["id"] }));
    assert_eq!((&payload["view"]["type"], &payload["actions"][0]["value"]), (&json!("home"), &json!("g1")));
    let with_submit = json!({ "user_id": "U0BOB", "view": { "type": "home", "blocks": [], "submit": plain("x") } });
    assert_eq!(stage.slack("views.publish", with_submit).await["error"], "invalid_arguments");
}
