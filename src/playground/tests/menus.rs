//! What people enter in forms: menus that ask the app, numbers, dates, inputs that tell at once; forms
//! on top of each other.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Stage, card, stage};

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text })
}

fn input(id: &str, element: Value) -> Value {
    json!({ "type": "input", "block_id": id, "label": plain(id), "element": element })
}

fn modal(title: &str, blocks: Value) -> Value {
    json!({ "type": "modal", "title": plain(title), "submit": plain("Send"), "blocks": blocks })
}

async fn trigger(stage: &mut Stage) -> Value {
    let ts = stage.card().await;
    let click = json!({ "as": "U0BOB", "channel": "C0APPROVALS", "ts": ts, "block_id": "decide", "action_id": "deny" });
    stage.page("/page/click", click).await;
    stage.next().await.payload()["trigger_id"].clone()
}

async fn opened(stage: &mut Stage, view: Value) -> Value {
    let trigger = trigger(stage).await;
    let opened = stage.slack("views.open", json!({ "trigger_id": trigger, "view": view })).await;
    assert_eq!(opened["ok"], true, "{opened}");
    opened["view"].clone()
}

fn option(value: &str) -> Value {
    json!({ "text": plain(&format!("Scope {value}")), "value": value })
}

#[tokio::test]
async fn a_menu_that_asks_the_app_shows_its_answer_and_only_that_can_be_chosen() {
    let mut stage = stage().await;
    let menu = json!({ "type": "multi_external_select", "action_id": "v", "min_query_length": 2, "placeholder": plain("Scopes") });
    let id = opened(&mut stage, modal("Ask", json!([input("scopes", menu)]))).await["id"].clone();
    let search =
        |typed: &str| json!({ "as": "U0BOB", "view_id": id, "block_id": "scopes", "action_id": "v", "value": typed });
    assert_eq!(stage.page("/page/suggest", search("p")).await.1["delivered"], false, "too short to ask");
    stage.nothing_more();
    stage.answer_next(200, json!({ "options": [option("7"), option("8")] }));
    let report = stage.page("/page/suggest", search("pay")).await.1;
    assert_eq!(report["options"], json!([option("7"), option("8")]));
    let asked = stage.next().await.payload();
    assert_eq!((&asked["type"], &asked["value"]), (&json!("block_suggestion"), &json!("pay")));
    assert_eq!((&asked["action_id"], &asked["block_id"]), (&json!("v"), &json!("scopes")));
    assert_eq!((&asked["container"]["view_id"], &asked["view"]["type"]), (&id, &json!("modal")));
    assert!(asked.get("trigger_id").is_none(), "a search opens nothing");
    stage.answer_next(200, json!({ "option_groups": [{ "label": plain("More"), "options": [option("9")] }] }));
    stage.page("/page/suggest", search("refund")).await;
    stage.answer_next(200, json!({ "options": [] }));
    assert_eq!(stage.page("/page/suggest", search("nothing")).await.1["options"], json!([]), "nothing found");
    for wrong in [json!({ "options": vec![option("1"); 101] }), json!({}), json!({ "options": [{ "value": "1" }] })] {
        stage.answer_next(200, wrong);
        assert!(stage.page("/page/suggest", search("odd")).await.1["why"].is_string());
    }
    for _ in 0..5 {
        stage.next().await;
    }
    let form = json!({ "as": "U0BOB", "view_id": id, "values": { "scopes": { "v": ["7", "9", "made up"] } } });
    stage.page("/page/submit", form).await;
    let values = stage.next().await.payload()["view"]["state"]["values"].clone();
    let chosen = json!({ "type": "multi_external_select", "selected_options": [option("7"), option("9")] });
    assert_eq!(values["scopes"]["v"], chosen);
}

#[tokio::test]
async fn numbers_dates_addresses_and_choices_are_checked_by_the_form_and_sent_in_slacks_shape() {
    let mut stage = stage().await;
    let groups = json!([{ "label": plain("Payments"), "options": [option("1"), option("2")] }]);
    let blocks = json!([
        input(
            "number",
            json!({ "type": "number_input", "action_id": "v", "is_decimal_allowed": false, "min_value": "1", "max_value": "8" })
        ),
        input("day", json!({ "type": "datepicker", "action_id": "v" })),
        input("time", json!({ "type": "timepicker", "action_id": "v" })),
        input("moment", json!({ "type": "datetimepicker", "action_id": "v" })),
        input("mail", json!({ "type": "email_text_input", "action_id": "v" })),
        input("menu", json!({ "type": "static_select", "action_id": "v", "option_groups": groups })),
        input(
            "many",
            json!({ "type": "multi_static_select", "action_id": "v", "options": [option("1"), option("2")], "max_selected_items": 1 })
        ),
        input("one", json!({ "type": "radio_buttons", "action_id": "v", "options": [option("1"), option("2")] })),
    ]);
    let id = opened(&mut stage, modal("All", blocks)).await["id"].clone();
    let wrong = json!({
        "number": { "v": "9" }, "day": { "v": "tomorrow" }, "time": { "v": "25:00" }, "moment": { "v": "soon" },
        "mail": { "v": "nobody" }, "menu": { "v": "made up" }, "many": { "v": ["1", "2"] }, "one": { "v": null },
    });
    let report = stage.page("/page/submit", json!({ "as": "U0BOB", "view_id": id, "values": wrong })).await.1;
    for block in ["number", "day", "time", "moment", "mail", "menu", "many", "one"] {
        assert!(report["errors"][block].is_string(), "{block}: {report}");
    }
    stage.nothing_more();
    let right = json!({
        "number": { "v": "8" }, "day": { "v": "2026-11-24" }, "time": { "v": "09:30" }, "moment": { "v": 1_795_460_000 },
        "mail": { "v": "bob@example.com" }, "menu": { "v": "2" }, "many": { "v": ["2"] }, "one": { "v": "1" },
    });
    stage.page("/page/submit", json!({ "as": "U0BOB", "view_id": id, "values": right })).await;
    let values = stage.next().await.payload()["view"]["state"]["values"].clone();
    assert_eq!(values["number"]["v"], json!({ "type": "number_input", "value": "8" }));
    assert_eq!(values["day"]["v"], json!({ "type": "datepicker", "selected_date": "2026-11-24" }));
    assert_eq!(values["time"]["v"], json!({ "type": "timepicker", "selected_time": "09:30" }));
    assert_eq!(values["moment"]["v"], json!({ "type": "datetimepicker", "selected_date_time": 1_795_460_000 }));
    assert_eq!(values["menu"]["v"]["selected_option"], option("2"));
    assert_eq!(values["many"]["v"]["selected_options"], json!([option("2")]));
    assert_eq!(values["one"]["v"]["selected_option"], option("1"));
}

#[tokio::test]
async fn an_input_that_dispatches_tells_the_app_at_once_with_all_that_was_entered() {
    let mut stage = stage().await;
    let mut menu =
        input("client", json!({ "type": "static_select", "action_id": "v", "options": [option("1"), option("2")] }));
    let silent = input("why", json!({ "type": "plain_text_input", "action_id": "v", "multiline": true }));
    menu["dispatch_action"] = json!(true);
    let id = opened(&mut stage, modal("Ask", json!([menu, silent]))).await["id"].clone();
    let values = json!({ "why": { "v": "PAY-1" }, "client": { "v": "2" } });
    let chose = |block: &str, value: &str| json!({ "as": "U0BOB", "view_id": id, "block_id": block, "action_id": "v", "value": value, "values": values });
    assert_eq!(stage.page("/page/click", chose("why", "PAY-1")).await.1["delivered"], false, "that one waits");
    stage.nothing_more();
    stage.page("/page/click", chose("client", "2")).await;
    let told = stage.next().await.payload();
    assert_eq!(told["container"], json!({ "type": "view", "view_id": id }));
    assert_eq!(told["actions"][0]["selected_option"], option("2"));
    assert_eq!(told["view"]["state"]["values"]["why"]["v"]["value"], "PAY-1");
    assert!(told.get("message").is_none() && told.get("response_url").is_none() && told["trigger_id"].is_string());
}

#[tokio::test]
async fn a_form_is_pushed_with_a_trigger_from_the_form_and_found_by_its_external_id() {
    let mut stage = stage().await;
    let mut first = modal(
        "First",
        json!([{ "type": "actions", "block_id": "a", "elements": [super::button("more", "More", "1")] }]),
    );
    first["external_id"] = json!("request-1");
    let id = opened(&mut stage, first.clone()).await["id"].clone();
    let press = json!({ "as": "U0BOB", "view_id": id, "block_id": "a", "action_id": "more" });
    stage.page("/page/click", press.clone()).await;
    let trigger = stage.next().await.payload()["trigger_id"].clone();
    let again = json!({ "trigger_id": trigger, "view": first });
    assert_eq!(stage.slack("views.push", again).await["error"], "duplicate_external_id");
    let second = modal("Second", json!([{ "type": "divider" }]));
    let push = json!({ "trigger_id": trigger, "view": second });
    let pushed = stage.slack("views.push", push.clone()).await["view"].clone();
    assert_eq!((&pushed["previous_view_id"], &pushed["root_view_id"]), (&id, &id));
    assert_eq!(stage.slack("views.push", push).await["error"], "exchanged_trigger_id");
    first["title"] = plain("Changed");
    let update = json!({ "external_id": "request-1", "view": first });
    assert_eq!(stage.slack("views.update", update).await["view"]["id"], id);
    let unknown = json!({ "external_id": "request-2", "view": first });
    assert_eq!(stage.slack("views.update", unknown).await["error"], "not_found");
    stage.page("/page/click", press).await;
    let late = stage.next().await.payload()["trigger_id"].clone();
    stage.clock.advance(Duration::from_millis(3_001));
    let late = json!({ "trigger_id": late, "view": second });
    assert_eq!(stage.slack("views.push", late).await["error"], "expired_trigger_id");
}

#[tokio::test]
async fn the_cross_closes_all_and_names_the_form_at_the_bottom() {
    let mut stage = stage().await;
    let mut first = modal("First", json!([{ "type": "divider" }]));
    first["notify_on_close"] = json!(true);
    let id = opened(&mut stage, first).await["id"].clone();
    stage.answer_next(
        200,
        json!({ "response_action": "push", "view": modal("Second", json!([{ "type": "divider" }])) }),
    );
    stage.page("/page/submit", json!({ "as": "U0BOB", "view_id": id })).await;
    stage.next().await;
    let top = stage.get("/page/state?as=U0BOB").await["view"]["id"].clone();
    assert_ne!(top, id);
    stage.page("/page/close", json!({ "as": "U0BOB", "view_id": top, "clear": true })).await;
    let closed = stage.next().await.payload();
    assert_eq!((&closed["is_cleared"], &closed["view"]["id"]), (&json!(true), &id));
    assert_eq!(stage.get("/page/state?as=U0BOB").await["view"], Value::Null);
}

#[tokio::test]
async fn a_menu_in_a_message_is_sent_with_the_state_of_the_message() {
    let mut stage = stage().await;
    let mut message = card("C0APPROVALS");
    message["blocks"][1]["elements"] = json!([
        { "type": "static_select", "action_id": "time", "options": [option("1"), option("2")], "initial_option": option("1") },
        super::button("approve", "Approve", "v"),
    ]);
    let ts = stage.slack("chat.postMessage", message).await["ts"].clone();
    let press =
        json!({ "as": "U0BOB", "channel": "C0APPROVALS", "ts": ts, "block_id": "decide", "action_id": "approve" });
    stage.page("/page/click", press).await;
    let payload = stage.next().await.payload();
    assert_eq!(payload["state"]["values"]["decide"]["time"]["selected_option"], option("1"));
}

#[tokio::test]
async fn elements_that_slack_would_refuse_do_not_open() {
    let mut stage = stage().await;
    let trigger = trigger(&mut stage).await;
    let mrkdwn = json!({ "text": { "type": "mrkdwn", "text": "*x*" }, "value": "1" });
    for (what, element) in [
        ("formatted option in a menu", json!({ "type": "static_select", "options": [mrkdwn] })),
        ("number without is_decimal_allowed", json!({ "type": "number_input" })),
        (
            "min over max",
            json!({ "type": "number_input", "is_decimal_allowed": true, "min_value": "9", "max_value": "3" }),
        ),
        ("odd date", json!({ "type": "datepicker", "initial_date": "24.11.2026" })),
        ("odd time", json!({ "type": "timepicker", "initial_time": "9:30" })),
        ("odd moment", json!({ "type": "datetimepicker", "initial_date_time": "now" })),
        ("options of its own", json!({ "type": "external_select", "options": [option("1")] })),
        (
            "101 options",
            json!({ "type": "static_select", "options": (0..101).map(|n| option(&n.to_string())).collect::<Vec<_>>() }),
        ),
        ("the same value twice", json!({ "type": "static_select", "options": [option("1"), option("1")] })),
        (
            "an odd dispatch",
            json!({ "type": "plain_text_input", "dispatch_action_config": { "trigger_actions_on": ["on_blur"] } }),
        ),
    ] {
        let view = modal("Odd", json!([input("x", element)]));
        let answer = stage.slack("views.open", json!({ "trigger_id": trigger, "view": view })).await;
        assert_eq!(answer["error"], "invalid_arguments", "{what}");
        let message = answer["response_metadata"]["messages"][0].as_str().expect("an explanation");
        assert!(message.contains("[json-pointer:/view/blocks/0/element"), "{what}: {message}");
    }
    let formatted = json!({ "type": "radio_buttons", "options": [mrkdwn] });
    let view = modal("Fine", json!([input("x", formatted)]));
    assert_eq!(stage.slack("views.open", json!({ "trigger_id": trigger, "view": view })).await["ok"], true);
}
