//! Socket Mode over real connections.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Stage, stage};

const APP_TOKEN: &str = "xapp-stand-in";

/// One connection of an app.
struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// The next text; `None` once it is closed.
    async fn text(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(Duration::from_secs(10), self.0.next()).await.expect("something comes") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await.expect("a text")).expect("JSON")
    }

    async fn acknowledge(&mut self, envelope: &Value, payload: Option<Value>) {
        let mut answer = json!({ "envelope_id": envelope["envelope_id"] });
        if let Some(payload) = payload {
            answer["payload"] = payload;
        }
        self.0.send(Message::text(answer.to_string())).await.expect("sent");
    }
}

async fn stage_with_sockets() -> Stage {
    let stage = stage().await;
    stage.playground.socket_mode(SecretString::from(APP_TOKEN));
    stage
}

async fn address(stage: &Stage) -> String {
    let call = stage.http.post(format!("{}/api/apps.connections.open", stage.url)).bearer_auth(APP_TOKEN);
    let opened: Value = call.send().await.expect("an answer").json().await.expect("JSON");
    opened["url"].as_str().expect("an address").to_owned()
}

/// Opens a connection; it was greeted.
async fn socket(stage: &Stage) -> Socket {
    let (stream, _) = connect_async(address(stage).await).await.expect("a connection");
    let mut socket = Socket(stream);
    let hello = socket.json().await;
    assert_eq!((&hello["type"], &hello["connection_info"]["app_id"]), (&json!("hello"), &json!("A0COUNTERSIGN")));
    socket
}

/// Bob presses a button, in a task of its own: it is answered only once it is acknowledged.
async fn click(stage: &Stage) -> tokio::task::JoinHandle<Value> {
    let ts = stage.card().await;
    let click = json!({ "as": "U0BOB", "channel": "C0APPROVALS", "ts": ts, "block_id": "decide", "action_id": "deny" });
    gesture(stage, "/page/click", click)
}

fn gesture(stage: &Stage, path: &str, body: Value) -> tokio::task::JoinHandle<Value> {
    let request = stage.http.post(format!("{}{path}", stage.url)).json(&body);
    tokio::spawn(async move { request.send().await.expect("an answer").json().await.expect("JSON") })
}

async fn switches(stage: &Stage, switches: Value) {
    assert_eq!(stage.page("/page/socket", switches).await.0, 204);
}

#[tokio::test]
async fn only_an_app_token_opens_a_connection_and_its_ticket_works_once() {
    let mut stage = stage_with_sockets().await;
    assert_eq!(stage.slack("apps.connections.open", json!({})).await["error"], "not_allowed_token_type");
    let call = stage.http.post(format!("{}/api/auth.test", stage.url)).bearer_auth(APP_TOKEN);
    let answer: Value = call.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["error"], "not_allowed_token_type", "and it opens nothing else");
    let url = address(&stage).await;
    assert!(url.starts_with(&stage.url.replace("http", "ws")), "the same port: {url}");
    connect_async(&url).await.expect("a connection");
    connect_async(&url).await.expect_err("used up");
    let late = address(&stage).await;
    stage.clock.advance(Duration::from_secs(31));
    connect_async(&late).await.expect_err("too late");
    stage.nothing_more();
}

#[tokio::test]
async fn clicks_commands_and_events_come_in_envelopes_and_are_answered_by_acknowledgements() {
    let mut stage = stage_with_sockets().await;
    let mut socket = socket(&stage).await;
    let pressed = click(&stage).await;
    let envelope = socket.json().await;
    assert_eq!((&envelope["type"], &envelope["payload"]["type"]), (&json!("interactive"), &json!("block_actions")));
    assert_eq!(envelope["accepts_response_payload"], true);
    socket.acknowledge(&envelope, None).await;
    assert_eq!(pressed.await.expect("done"), json!({ "delivered": true, "status": 200 }));

    let command = json!({ "as": "U0ALICE", "channel": "C0APPROVALS", "command": "/access", "text": "help" });
    let typed = gesture(&stage, "/page/command", command);
    let envelope = socket.json().await;
    assert_eq!((&envelope["type"], &envelope["payload"]["text"]), (&json!("slash_commands"), &json!("help")));
    socket.acknowledge(&envelope, Some(json!({ "text": "Here is how" }))).await;
    assert_eq!(typed.await.expect("done")["status"], 200);
    let seen = stage.sees("U0ALICE", "C0APPROVALS").await;
    assert_eq!(seen.last().expect("a message")["text"], "Here is how");

    let opened = gesture(&stage, "/page/home", json!({ "as": "U0BOB" }));
    let envelope = socket.json().await;
    assert_eq!((&envelope["type"], &envelope["retry_attempt"]), (&json!("events_api"), &json!(0)));
    assert_eq!(envelope["payload"]["event"]["type"], "app_home_opened");
    socket.acknowledge(&envelope, None).await;
    opened.await.expect("done");
    stage.nothing_more();
}

#[tokio::test]
async fn a_form_and_a_search_are_answered_in_the_acknowledgement() {
    let stage = stage_with_sockets().await;
    let mut socket = socket(&stage).await;
    let pressed = click(&stage).await;
    let envelope = socket.json().await;
    let plain = |text: &str| json!({ "type": "plain_text", "text": text });
    let menu = json!({ "type": "external_select", "action_id": "v", "min_query_length": 0 });
    let view = json!({ "type": "modal", "title": plain("t"), "submit": plain("s"), "blocks": [
        { "type": "input", "block_id": "b", "label": plain("l"), "element": menu } ] });
    let open = json!({ "trigger_id": envelope["payload"]["trigger_id"], "view": view });
    let id = stage.slack("views.open", open).await["view"]["id"].clone();
    socket.acknowledge(&envelope, None).await;
    pressed.await.expect("done");

    let search = json!({ "as": "U0BOB", "view_id": id, "block_id": "b", "action_id": "v", "value": "" });
    let searched = gesture(&stage, "/page/suggest", search);
    let envelope = socket.json().await;
    let options = json!({ "options": [{ "text": plain("One"), "value": "1" }] });
    socket.acknowledge(&envelope, Some(options.clone())).await;
    assert_eq!(searched.await.expect("done")["options"], options["options"]);

    let form = json!({ "as": "U0BOB", "view_id": id, "values": { "b": { "v": "1" } } });
    let sent = gesture(&stage, "/page/submit", form);
    let envelope = socket.json().await;
    let errors = json!({ "response_action": "errors", "errors": { "b": "Not that one" } });
    socket.acknowledge(&envelope, Some(errors)).await;
    assert_eq!(sent.await.expect("done")["errors"], json!({ "b": "Not that one" }));
}

#[tokio::test]
async fn several_connections_share_the_load_and_know_of_each_other() {
    let stage = stage_with_sockets().await;
    let mut first = socket(&stage).await;
    let (stream, _) = connect_async(address(&stage).await).await.expect("a connection");
    let mut second = Socket(stream);
    assert_eq!(second.json().await["num_connections"], 2);
    for _ in 0..2 {
        let one = gesture(&stage, "/page/home", json!({ "as": "U0BOB" }));
        let two = gesture(&stage, "/page/home", json!({ "as": "U0CAROL" }));
        for socket in [&mut first, &mut second] {
            let envelope = socket.json().await;
            socket.acknowledge(&envelope, None).await;
        }
        one.await.expect("done");
        two.await.expect("done");
    }
    let look = stage.get("/page/socket").await;
    let sent: Vec<_> = look["connections"].as_array().expect("two").iter().map(|one| one["sent"].clone()).collect();
    assert_eq!(sent, [json!(2), json!(2)]);
}

#[tokio::test]
async fn an_event_that_is_not_acknowledged_comes_again_and_says_so() {
    let stage = stage_with_sockets().await;
    let mut socket = socket(&stage).await;
    switches(&stage, json!({ "ack_ms": 400 })).await;
    let opened = gesture(&stage, "/page/home", json!({ "as": "U0BOB" }));
    let first = socket.json().await;
    let again = socket.json().await;
    assert_eq!(again["payload"]["event_id"], first["payload"]["event_id"]);
    assert_ne!(again["envelope_id"], first["envelope_id"]);
    assert_eq!((&again["retry_attempt"], &again["retry_reason"]), (&json!(1), &json!("timeout")));
    socket.acknowledge(&again, None).await;
    opened.await.expect("done");
    assert_eq!(stage.page("/page/retries", json!({})).await.1["waiting"], 0);
    switches(&stage, json!({ "ack_ms": 400, "lose_ack": 1 })).await;
    let pressed = click(&stage).await;
    let envelope = socket.json().await;
    socket.acknowledge(&envelope, None).await;
    let report = pressed.await.expect("done");
    assert_eq!(report["delivered"], false, "a click is not sent again: {report}");
}

#[tokio::test]
async fn envelopes_come_twice_and_nonsense_comes_between() {
    let stage = stage_with_sockets().await;
    let mut socket = socket(&stage).await;
    switches(&stage, json!({ "duplicate": 1, "garbage": 1, "odd": 1 })).await;
    let pressed = click(&stage).await;
    assert!(serde_json::from_str::<Value>(&socket.text().await.expect("a text")).is_err());
    let odd = socket.json().await;
    assert!(odd["envelope_id"].as_str().expect("an id").starts_with("odd-"));
    let (one, two) = (socket.json().await, socket.json().await);
    assert_eq!(one, two);
    socket.acknowledge(&one, None).await;
    socket.acknowledge(&two, None).await;
    assert_eq!(pressed.await.expect("done")["status"], 200);
    let mut changes = stage.playground.changes();
    let acks = async || {
        let look = stage.get("/page/socket").await;
        let envelopes = look["envelopes"].as_array().expect("envelopes").clone();
        envelopes.iter().map(|one| one["acks"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    while acks().await != [0, 2] {
        changes.changed().await.expect("the stand-in lives");
    }
}

#[tokio::test]
async fn a_connection_is_told_before_it_ends_and_gets_nothing_more() {
    let stage = stage_with_sockets().await;
    let mut old = socket(&stage).await;
    switches(&stage, json!({ "disconnect_every": 1, "grace_ms": 1000, "disconnect_reason": "refresh_requested" }))
        .await;
    let opened = gesture(&stage, "/page/home", json!({ "as": "U0BOB" }));
    let envelope = old.json().await;
    let told = old.json().await;
    assert_eq!((&told["type"], &told["reason"]), (&json!("disconnect"), &json!("refresh_requested")));
    old.acknowledge(&envelope, None).await;
    assert_eq!(opened.await.expect("done")["status"], 200, "what was under way is still taken");
    let none = stage.page("/page/home", json!({ "as": "U0BOB" })).await.1;
    assert_eq!(none["delivered"], false, "it leaves, and no other is open");
    let mut fresh = socket(&stage).await;
    assert_eq!(old.text().await, None);
    // The event from before comes to the new one, as soon as it is its time.
    stage.clock.advance(Duration::from_secs(60));
    let due = gesture(&stage, "/page/retries", json!({}));
    let envelope = fresh.json().await;
    assert_eq!(envelope["retry_attempt"], 2);
    fresh.acknowledge(&envelope, None).await;
    due.await.expect("done");
}

#[tokio::test]
async fn a_frozen_or_broken_connection_loses_what_was_under_way() {
    let stage = stage_with_sockets().await;
    let mut broken = socket(&stage).await;
    let pressed = click(&stage).await;
    broken.json().await;
    stage.page("/page/socket/act", json!({ "do": "close" })).await;
    assert_eq!(broken.text().await, None);
    assert_eq!(pressed.await.expect("done")["delivered"], false);
    let mut told = socket(&stage).await;
    stage.page("/page/socket/act", json!({ "do": "send", "text": "hello?" })).await;
    assert_eq!(told.text().await.as_deref(), Some("hello?"));
    stage.page("/page/plug", json!({ "plugged": false })).await;
    assert_eq!(told.text().await, None, "pulling the plug ends it");
}

#[tokio::test]
async fn once_an_app_uses_sockets_nothing_goes_over_http_until_that_is_switched_off() {
    let mut stage = stage_with_sockets().await;
    let gone = socket(&stage).await;
    drop(gone);
    let mut changes = stage.playground.changes();
    while stage.get("/page/socket").await["connections"] != json!([]) {
        changes.changed().await.expect("the stand-in lives");
    }
    let report = click(&stage).await.await.expect("done");
    assert!(report["why"].as_str().expect("a reason").contains("Socket Mode"), "{report}");
    stage.nothing_more();
    stage.page("/page/socket/act", json!({ "do": "off" })).await;
    click(&stage).await.await.expect("done");
    assert_eq!(stage.next().await.path, "/slack/interactions");
}
