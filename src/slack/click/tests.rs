use super::*;
use crate::domain::ids::SlackUserId;
use serde_json::json;

fn body(payload: &Value) -> Vec<u8> {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes()
}

fn read(payload: &Value) -> Interaction {
    Interaction::parse(&body(payload)).unwrap()
}

fn press(payload: &Value) -> Press {
    match read(payload) {
        Interaction::Pressed(press) => press,
        other => panic!("{other:?}"),
    }
}

fn submission(payload: &Value) -> Submission {
    match read(payload) {
        Interaction::Submitted(submission) => submission,
        other => panic!("{other:?}"),
    }
}

fn click() -> Value {
    json!({
        "type": "block_actions", "api_app_id": "A0COUNTERSIGN", "token": "old", "trigger_id": "1.2.abc",
        "team": {"id": "T0ACME", "domain": "acme"}, "enterprise": null, "is_enterprise_install": false,
        "user": {"id": "U0BOB", "username": "bob", "team_id": "T0ACME"},
        "container": {"type": "message", "message_ts": "1795460000.000100", "channel_id": "C0PAY", "is_ephemeral": false},
        "channel": {"id": "C0PAY", "name": "pay"},
        "message": {"ts": "1795460000.000100", "blocks": [{"type": "new in 2027"}], "metadata": {"event_payload": {"n": 1, "o": {}}}},
        "state": {"values": {}}, "response_url": "https://hooks.slack.com/actions/T/1/secret",
        "actions": [{"type": "button", "action_id": "approve", "value": "opaque", "block_id": "act", "action_ts": "1.1"}]
    })
}

fn form() -> Value {
    json!({
        "type": "view_submission", "api_app_id": "A0COUNTERSIGN", "team": {"id": "T0ACME"},
        "user": {"id": "U0BOB", "team_id": "T0ACME"}, "response_urls": [],
        "view": {
            "id": "V0X", "callback_id": "deny", "private_metadata": "opaque", "previous_view_id": null, "hash": "1.a",
            "app_id": "A0COUNTERSIGN", "app_installed_team_id": "T0ACME", "team_id": "T0ACME",
            "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": "no ticket"}},
                                 "life": {"v": {"type": "static_select", "selected_option": {"value": "900"}}},
                                 "none": {"v": {"type": "plain_text_input", "value": null}}}}
        }
    })
}

fn refusal(origin: &Origin) -> Option<Foreign> {
    origin_refusal(origin, "A0COUNTERSIGN", "T0ACME", None)
}

#[test]
fn an_ordinary_click_is_read_with_the_message_it_stands_on() {
    let press = press(&click());
    assert_eq!((press.action.as_str(), press.value.as_str(), press.actions), ("approve", "opaque", 1));
    let message = press.message.unwrap();
    assert_eq!((message.channel.as_str(), message.ts.as_str()), ("C0PAY", "1795460000.000100"));
    assert_eq!(press.trigger_id.as_deref(), Some("1.2.abc"));
    assert_eq!(refusal(&press.origin), None);
}

#[test]
fn an_ordinary_form_is_read_with_what_was_filled_in() {
    let form = submission(&form());
    assert_eq!((form.callback_id.as_str(), form.private_metadata.as_str()), ("deny", "opaque"));
    assert_eq!(form.value("reason", "reason"), "no ticket");
    assert_eq!(form.value("life", "v"), "900");
    assert_eq!((form.value("none", "v"), form.value("absent", "v")), ("", ""));
    assert_eq!(refusal(&form.origin), None);
}

#[test]
fn of_an_organization_anybody_may_click_and_nobody_of_another() {
    let mut payload = click();
    payload["team"] = Value::Null;
    payload["enterprise"] = json!({"id": "E0ACME"});
    payload["user"]["team_id"] = json!("T0ACMEEU");
    let of = |payload: &Value| origin_refusal(&press(payload).origin, "A0COUNTERSIGN", "T0ACME", Some("E0ACME"));
    assert_eq!(of(&payload), None);
    payload["enterprise"] = json!({"id": "E0PARTNER"});
    assert_eq!(of(&payload), Some(Foreign::OtherWorkspace));
    payload["enterprise"] = Value::Null;
    assert_eq!(of(&payload), Some(Foreign::OtherWorkspace));
    payload["enterprise"] = json!({"id": "E0ACME"});
    payload["user"]["team_id"] = Value::Null;
    assert_eq!(of(&payload), Some(Foreign::Stranger));
}

#[test]
fn an_organization_wide_install_sends_no_team_and_is_still_understood() {
    for mut payload in [click(), form()] {
        payload["team"] = Value::Null;
        payload["enterprise"] = json!({"id": "E0ACME", "name": "Acme"});
        payload["is_enterprise_install"] = json!(true);
        let origin = match read(&payload) {
            Interaction::Pressed(press) => press.origin,
            Interaction::Submitted(form) => form.origin,
            other => panic!("{other:?}"),
        };
        assert_eq!((origin.team.clone(), origin.enterprise.as_deref()), (None, Some("E0ACME")));
        assert_eq!(refusal(&origin), None);
        payload["user"]["team_id"] = json!("T0SISTER");
        assert!(
            matches!(read(&payload), Interaction::Pressed(p) if refusal(&p.origin) == Some(Foreign::Stranger))
                || matches!(read(&payload), Interaction::Submitted(f) if refusal(&f.origin) == Some(Foreign::Stranger))
        );
    }
}

#[test]
fn who_and_where_are_refused_in_order_and_what_is_missing_refuses() {
    type Change = fn(&mut Value);
    let table: [(Change, Foreign); 10] = [
        (|p| p["api_app_id"] = json!("A0OTHER"), Foreign::OtherApp),
        (|p| p["api_app_id"] = Value::Null, Foreign::OtherApp),
        (|p| p["team"]["id"] = json!("T0OTHER"), Foreign::OtherWorkspace),
        (|p| p["view"] = json!({"app_installed_team_id": "T0OTHER"}), Foreign::OtherWorkspace),
        (|p| p["view"] = json!({"app_id": "A0OTHER"}), Foreign::OtherApp),
        (|p| p["user"] = Value::Null, Foreign::Nobody),
        (|p| p["user"]["id"] = json!("bob"), Foreign::Nobody),
        (|p| p["user"] = json!({"id": "U0BOB"}), Foreign::Stranger),
        (|p| p["user"]["team_id"] = json!("T0OTHER"), Foreign::Stranger),
        (|p| p["user"]["team_id"] = json!(7), Foreign::Stranger),
    ];
    for (n, (change, expected)) in table.iter().enumerate() {
        let mut payload = click();
        change(&mut payload);
        assert_eq!(refusal(&press(&payload).origin), Some(*expected), "row {n}");
    }
    let mut connect = form();
    connect["team"]["id"] = json!("T0PARTNER");
    connect["user"]["team_id"] = json!("T0PARTNER");
    assert_eq!(refusal(&submission(&connect).origin), Some(Foreign::OtherWorkspace));
}

#[test]
fn a_message_that_is_ephemeral_or_contradicts_itself_is_no_message() {
    type Change = fn(&mut Value);
    let changes: [Change; 5] = [
        |p| p["container"]["is_ephemeral"] = json!(true),
        |p| p["message"]["ts"] = json!("1795460000.000200"),
        |p| p["channel"]["id"] = json!("C0OTHER"),
        |p| p["container"] = json!({"type": "view", "view_id": "V0X"}),
        |p| p["container"]["channel_id"] = json!("not a channel"),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut payload = click();
        if n == 3 {
            payload["message"] = Value::Null;
        }
        change(&mut payload);
        assert_eq!(press(&payload).message, None, "change {n}");
    }
}

#[test]
fn odd_payloads_are_read_as_far_as_they_go() {
    let mut none = click();
    none["actions"] = json!([]);
    assert_eq!(press(&none).actions, 0);
    let mut two = click();
    two["actions"] = json!([click()["actions"][0], {"action_id": "deny"}]);
    assert_eq!(press(&two).actions, 2);
    let mut empty = form();
    empty["view"]["state"] = json!({});
    assert_eq!(submission(&empty).values.len(), 0);
    let bare = press(&json!({"type": "block_actions"}));
    assert_eq!((bare.actions, bare.message, bare.origin), (0, None, Origin::default()));
    assert_eq!(read(&json!({"type": "view_closed", "team": null})), Interaction::Closed);
    assert_eq!(read(&json!({"type": "message_action"})), Interaction::Other("message_action".to_owned()));
    let Interaction::Suggested(bare) = read(&json!({"type": "block_suggestion"})) else { panic!("no search") };
    assert_eq!((bare.action.as_str(), bare.typed.as_str(), bare.view), ("", "", None));
}

#[test]
fn what_cannot_be_understood_is_an_error_and_never_a_panic() {
    let deep = format!("payload={}", "[".repeat(100_000));
    let twice = format!("payload={0}&payload={0}", "%7B%22type%22%3A%22view_closed%22%7D");
    for bad in [
        &b""[..],
        b"payload=",
        b"payload=%7B",
        b"payload=[]",
        b"payload=null",
        b"payload=%7B%7D",
        b"\xff\xfe=%zz",
        b"{\"type\":\"block_actions\"}",
        deep.as_bytes(),
        twice.as_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&bad[..bad.len().min(40)]).into_owned();
        assert!(Interaction::parse(bad).is_err(), "{shown}");
        assert!(Event::parse(bad).is_err() || bad.starts_with(b"{"), "{shown}");
        let _ = Command::parse(bad);
    }
}

#[test]
fn commands_and_events_are_read() {
    let command = Command::parse(
        b"command=%2Faccess&text=payments&user_id=U0BOB&team_id=T0ACME&api_app_id=A0COUNTERSIGN&channel_id=C0X&trigger_id=1.2",
    );
    assert_eq!((command.command.as_str(), command.text.as_str()), ("/access", "payments"));
    assert_eq!(refusal(&command.origin), None);
    assert!(Command::parse(b"ssl_check=1&token=x").ssl_check);
    let challenge = br#"{"type":"url_verification","challenge":"abc"}"#;
    assert_eq!(Event::parse(challenge), Ok(Event::Challenge("abc".to_owned())));
    let event = br#"{"type":"event_callback","event_id":"Ev1","api_app_id":"A0COUNTERSIGN","team_id":"T0ACME",
        "authorizations":[{"team_id":null}],"event":{"type":"user_change","user":{"id":"U0BOB","deleted":true}}}"#;
    match Event::parse(event) {
        Ok(Event::Happened { event_id, what, .. }) => {
            assert_eq!(event_id.as_deref(), Some("Ev1"));
            assert_eq!(what, What::AccountChanged(SlackUserId::parse("U0BOB").unwrap(), true));
        }
        other => panic!("{other:?}"),
    }
}
