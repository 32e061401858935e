//! Calls to Slack against a fake of it: what counts as done, and what is told of a failure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fake::{Answer, FakeSlack, client};
use super::{Message, SlackError};
use crate::domain::ids::{SlackChannelId, SlackGroupId, SlackUserId};

fn hello() -> Message {
    Message { text: "hello".to_owned(), blocks: vec![json!({ "type": "divider" })], metadata: None }
}

async fn posting(answer: Answer) -> Result<crate::domain::access_request::MessageRef, SlackError> {
    let (fake, slack) = FakeSlack::start().await;
    fake.says("chat.postMessage", answer);
    slack.post("C0PAY", &hello(), None).await
}

#[tokio::test]
async fn a_post_is_named_by_channel_and_time_stamp_and_nothing_else_of_the_answer_is_read() {
    let (fake, slack) = FakeSlack::start().await;
    let odd = json!({ "ok": true, "channel": "D0BOB", "ts": "1.2", "message": { "metadata": { "event_payload": { "n": [1] } } } });
    fake.says("chat.postMessage", Answer::Json(odd));
    let message = slack.post("U0BOB", &hello(), Some("1.1")).await.unwrap();
    assert_eq!((message.channel.as_str(), message.ts.as_str()), ("D0BOB", "1.2"));
    let call = fake.calls("chat.postMessage").remove(0);
    assert_eq!(call.authorization, "Bearer xoxb-canary");
    assert_eq!(
        call.body,
        json!({ "channel": "U0BOB", "thread_ts": "1.1", "text": "hello", "blocks": [{ "type": "divider" }],
                "parse": "none", "unfurl_links": false, "unfurl_media": false })
    );
}

#[tokio::test]
async fn nothing_but_ok_true_is_taken_for_posted() {
    for (status, text) in [
        (200, "<html>ok</html>"),
        (200, "{}"),
        (200, ""),
        (200, "null"),
        (200, r#"{"ok":"true","channel":"C0PAY","ts":"1.2"}"#),
        (200, r#"{"ok":true}"#),
        (200, r#"{"ok":true,"channel":"C0PAY","ts":"#),
        (500, "oops"),
        (502, ""),
        (504, r#"{"ok":true,"channel":"C0PAY","ts":"1.2"}"#),
    ] {
        let error = posting(Answer::Raw(status, None, text.to_owned())).await.unwrap_err();
        assert!(matches!(error, SlackError::OutcomeUnknown(_)), "{status} {text}: {error:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_slack_is_told_by_its_kind() {
    let told = |code: Value| posting(Answer::Json(json!({ "ok": false, "error": code })));
    assert_eq!(told(json!("is_archived")).await, Err(SlackError::Permanent("is_archived".to_owned())));
    assert_eq!(told(json!("new_code")).await, Err(SlackError::Temporary("new_code".to_owned())));
    assert_eq!(told(json!("fatal_error")).await, Err(SlackError::OutcomeUnknown("fatal_error".to_owned())));
    assert_eq!(told(json!("ratelimited")).await, Err(SlackError::RateLimited { after: None }));
    assert!(matches!(told(Value::Null).await, Err(SlackError::Temporary(_))));
    let secret = told(json!("https://hooks.slack.com/secret")).await.unwrap_err();
    assert!(!format!("{secret:?} {secret}").contains("secret"), "{secret:?}");
    assert!(matches!(posting(Answer::Raw(302, Some(("location", "https://x.example")), String::new())).await,
        Err(SlackError::Temporary(code)) if code == "http_302"));
}

#[tokio::test]
async fn a_wait_that_slack_asks_for_is_told_as_far_as_it_is_readable_and_capped() {
    for (header, expected) in [
        (Some("1"), Some(1)),
        (Some("30"), Some(30)),
        (Some("0"), Some(0)),
        (Some("9999"), Some(60)),
        (Some("soon"), None),
        (None, None),
    ] {
        let answer = Answer::Raw(429, header.map(|value| ("retry-after", value)), String::new());
        let after = expected.map(Duration::from_secs);
        assert_eq!(posting(answer).await, Err(SlackError::RateLimited { after }), "{header:?}");
    }
}

#[tokio::test]
async fn a_hanging_or_endless_answer_ends_at_the_deadline_or_at_a_mebibyte() {
    let hung = posting(Answer::Hang).await.unwrap_err();
    assert_eq!(hung, SlackError::OutcomeUnknown("no answer before the deadline".to_owned()));
    let long = format!("{{\"ok\":true,\"channel\":\"C0PAY\",\"ts\":\"1.2\",\"x\":\"{}\"}}", "x".repeat(1 << 20));
    assert!(
        matches!(posting(Answer::Raw(200, None, long)).await, Err(SlackError::OutcomeUnknown(why)) if why.contains("too long"))
    );
}

#[tokio::test]
async fn nobody_listening_is_certainly_not_done_and_a_broken_connection_may_be() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slack = client(&format!("http://{}/api", listener.local_addr().unwrap()));
    let broken = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ok\":true,").await.unwrap();
    });
    let error = slack.post("C0PAY", &hello(), None).await.unwrap_err();
    assert_eq!(error, SlackError::OutcomeUnknown("the connection broke".to_owned()));
    broken.await.unwrap();
    let error = slack.post("C0PAY", &hello(), None).await.unwrap_err();
    assert_eq!(error, SlackError::Temporary("no connection could be made".to_owned()));
    assert!(!format!("{slack:?}").contains("canary"));
}

#[tokio::test]
async fn the_other_calls_say_what_they_are_asked_to() {
    let (fake, slack) = FakeSlack::start().await;
    let (channel, bob) = (SlackChannelId::parse("C0PAY").unwrap(), SlackUserId::parse("U0BOB").unwrap());
    let ok = Answer::Json(json!({ "ok": true, "message_ts": "1.3" }));
    for method in ["chat.update", "chat.postEphemeral", "views.open"] {
        fake.says(method, ok.clone());
    }
    let at = crate::domain::access_request::MessageRef { channel: channel.clone(), ts: "1.2".to_owned() };
    slack.update(&at, &hello()).await.unwrap();
    slack.whisper(&channel, &bob, &hello()).await.unwrap();
    slack.open_view("1.2.abc", &json!({ "type": "modal" })).await.unwrap();
    let quiet = json!({ "channel": "C0PAY", "text": "hello", "blocks": [{ "type": "divider" }], "parse": "none" });
    let with = |name: &str, value: &str| {
        let mut body = quiet.clone();
        body[name] = json!(value);
        body
    };
    assert_eq!(fake.calls("chat.update")[0].body, with("ts", "1.2"));
    assert_eq!(fake.calls("chat.postEphemeral")[0].body, with("user", "U0BOB"));
    assert_eq!(fake.calls("views.open")[0].body, json!({ "trigger_id": "1.2.abc", "view": { "type": "modal" } }));
    fake.says("auth.test", Answer::Json(json!({ "ok": true, "team_id": "T0ACME", "user_id": "U0BOT", "url": 7 })));
    assert_eq!(slack.auth_test().await.unwrap().team_id.as_deref(), Some("T0ACME"));
    for (told, kept) in [
        ("https://acme.slack.com/archives/C0PAY/p12", true),
        ("https://evil.example/acme.slack.com", false),
        ("https://evil.example?.slack.com", false),
        ("https://slack.com.evil.example/archives/C0PAY/p12", false),
        ("no address", false),
        ("http://acme.slack.com/archives/C0PAY/p12", false),
    ] {
        fake.says("chat.getPermalink", Answer::Json(json!({ "ok": true, "permalink": told })));
        assert_eq!(slack.permalink(&at).await, Ok(kept.then(|| told.parse().unwrap())));
    }
    assert_eq!(fake.calls("chat.getPermalink")[0].query, "channel=C0PAY&message_ts=1.2");
    fake.says("users.lookupByEmail", Answer::Json(json!({ "ok": false, "error": "users_not_found" })));
    assert_eq!(slack.lookup_by_email("a+b@example.com").await, Ok(None));
    assert_eq!(fake.calls("users.lookupByEmail")[0].query, "email=a%2Bb%40example.com");
    fake.says("usergroups.users.list", Answer::Json(json!({ "ok": true, "users": ["U0BOB", "", "nonsense"] })));
    let members = slack.group_members(&SlackGroupId::parse("S0PAY").unwrap()).await.unwrap();
    assert_eq!(members.into_iter().collect::<Vec<_>>(), [bob]);
}

#[test]
fn an_address_that_is_none_cannot_be_used() {
    for bad in ["", "slack.com/api", "ftp://slack.com/api", "mailto:x@slack.com"] {
        assert!(super::Slack::new(bad, &"xoxb-x".into()).is_err(), "{bad}");
    }
}
