//! What is said wrongly, or too much of it.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but};
use crate::support::world::{DESK, SHOP_TOKEN};

/// A call to the shop's hook with these bytes.
async fn say(app: &TestApp, body: impl Into<reqwest::Body>) -> Answer {
    Answer::of(app.http.post(app.url("/hooks/shop")).bearer_auth(SHOP_TOKEN).body(body)).await
}

/// The members that a 400 names.
fn named(answer: &Answer) -> Vec<String> {
    let named = answer.problem(400)["invalid_members"].as_array().expect("a list").clone();
    named.iter().map(|problem| problem["member"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn what_is_no_token_request_is_a_400_that_names_the_member() {
    let app = TestApp::start().await;
    let deep = |open: &str, n: usize| open.repeat(n);
    for body in [
        "",
        " ",
        "{",
        "}",
        "null",
        "7",
        "\"scope\"",
        "[]",
        "[{}]",
        "{\"scope\":}",
        "{'scope':'x'}",
        "\u{feff}{}",
        &deep("[", 100_000),
        &deep("{\"a\":", 40_000),
    ] {
        let answer = say(&app, body.to_owned()).await;
        assert_eq!(named(&answer), ["body"], "{}", &body[..body.len().min(40)]);
    }
    for bytes in [&b"\xff\xfe\x00"[..], b"{\"scope\":\"\xff\"}", b"\x00"] {
        assert_eq!(say(&app, bytes.to_vec()).await.status, 400, "{bytes:?}");
    }
    assert_eq!(named(&say(&app, "{}").await), ["grant_type", "client_id", "scope"]);
    let twice = alice("plain:x").to_string().replacen('{', "{\"scope\":\"plain:y\",", 1);
    assert_eq!(named(&say(&app, twice).await), ["scope"]);

    let rows: Vec<(&str, Value)> = vec![
        ("grant_type", json!(7)),
        ("grant_type", json!("")),
        ("client_id", json!(["a"])),
        ("client_id", json!("a\u{0}b")),
        ("client_id", json!("x".repeat(1_001))),
        ("scope", json!(7)),
        ("scope", json!(["plain:x"])),
        ("scope", json!("plain:\u{7}x")),
        ("scope", json!("plain:\"x\"")),
        ("scope", json!("plain:\\x")),
        ("scope", json!("plain:ü")),
        ("scope", json!("plain:x\tplain:y")),
        ("scope", json!("plain:x\nplain:y")),
        ("subject", json!("")),
        ("subject", json!({ "id": "alice@example.com" })),
        ("subject", json!(true)),
        ("audience", json!(7)),
        ("audience", json!({})),
        ("audience[1]", json!(["https://ledger.test", 7])),
        ("audience", json!(vec!["https://a.test"; 51])),
        ("actor", json!("agent")),
        ("actor[0].sub", json!([{}])),
        ("expires_in", json!(-1)),
        ("expires_in", json!(0)),
        ("expires_in", json!(1.5)),
        ("expires_in", json!("60")),
        ("expires_in", json!(u64::MAX)),
        ("expires_in", json!(1e300)),
        ("reason", json!(7)),
        ("reason", json!("x".repeat(10_001))),
        ("binding_message", json!(42)),
        ("binding_message", json!("1\u{8}2")),
        ("binding_message", json!("x".repeat(65))),
        ("context", json!([])),
        ("context", json!("ip")),
        ("cnf", json!({})),
        ("cnf", json!("jkt")),
        ("authorization_details", json!({ "type": "payment" })),
        ("authorization_details[0].type", json!([{}])),
        ("authorization_details[0]", json!(["payment"])),
    ];
    for (member, value) in rows {
        let (top, _) = member.split_once(['[', '.']).unwrap_or((member, ""));
        let answer = say(&app, but(alice("plain:x"), json!({ top: value })).to_string()).await;
        assert_eq!(named(&answer), [member], "{value}");
    }
    // Deep nesting inside of a member is that member's fault; inside of one that nobody reads it is nobody's.
    for (member, expected) in [("context", 400), ("authorization_details", 400), ("whatever", 202)] {
        let nested = format!("\"{member}\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let answer = say(&app, alice("plain:x").to_string().replacen('{', &format!("{{{nested},"), 1)).await;
        assert_eq!(answer.status, expected, "{member}: {}", answer.text);
        assert!(expected == 202 || named(&answer) == [member]);
    }
    app.settle().await;
    app.card(DESK).await;
    let kinds = app.happened().await;
    assert!(kinds.iter().all(|kind| kind == "token.refused" || kind == "request.opened"), "{kinds:?}");
    assert!(kinds.len() <= 21, "refusals are written down at a bounded rate: {}", kinds.len());
}

#[tokio::test]
async fn a_number_that_json_can_write_and_nobody_can_hold_is_no_lifetime() {
    let app = TestApp::start().await;
    for number in ["1e400", "-0", "1E2", "60.0", "9".repeat(500).as_str()] {
        let body = but(alice("plain:x"), json!({ "expires_in": 1 })).to_string();
        let answer = say(&app, body.replace("\"expires_in\":1", &format!("\"expires_in\":{number}"))).await;
        assert_eq!(named(&answer), ["expires_in"], "{number}");
    }
}

#[tokio::test]
async fn a_body_over_256_kib_is_refused_at_every_door_and_one_of_256_kib_is_read() {
    let app = TestApp::start().await;
    let limit = 256 * 1024;
    let padded = |bytes: usize| {
        let body = alice("plain:x").to_string();
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    assert_eq!(say(&app, padded(limit)).await.status, 202);
    for (_, path, _) in super::doors().into_iter().filter(|(method, ..)| method == "POST") {
        let path = path.replace("{name}", "shop").replace("{id}", "grn_0123456789abcdef0123456789abcdef");
        let call = || {
            let token = if path.starts_with("/v1") { crate::support::world::OPERATOR_KEY } else { SHOP_TOKEN };
            app.http.post(app.url(&path)).bearer_auth(token)
        };
        assert_eq!(Answer::of(call().body(padded(limit + 1))).await.status, 413, "{path}");
        // Without a length beforehand: chunk by chunk, more than the limit.
        let mut raw = app.connect().await;
        raw.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
            if path.starts_with("/v1") { crate::support::world::OPERATOR_KEY } else { SHOP_TOKEN }
        ))
        .await;
        let chunk = format!("{:x}\r\n{}\r\n", 16 * 1024, "x".repeat(16 * 1024));
        for _ in 0..17 {
            raw.send(&chunk).await;
        }
        assert!(raw.head().await.contains(" 413 "), "{path}, in chunks");
    }
}

#[tokio::test]
async fn too_much_scope_is_a_refusal_that_says_so_and_nothing_is_cut() {
    let app = TestApp::start().await;
    let scopes = |count: usize| (0..count).map(|n| format!("plain:{n}")).collect::<Vec<_>>().join(" ");
    let refused = app.ask(&alice(&scopes(51))).await;
    assert!(refused.denied().contains("51 scopes") && refused.text("error") == "invalid_scope", "{}", refused.text);
    assert!(app.ask(&alice(&scopes(200))).await.denied().contains("200 scopes"));
    let long = format!("plain:{}", "x".repeat(2_495));
    assert!(app.ask(&alice(&long)).await.denied().contains("2501 characters"), "2,501");
    app.ask(&alice(&long[..2_500])).await.pending();
    app.ask(&alice(&scopes(50))).await.pending();
    let cards = app.cards(DESK).await;
    assert!(cards[0].says.contains(&long[..2_500]), "a long scope stands there in full");
    for n in 0..50 {
        assert!(cards[1].says.split(['\n', ' ', ',']).any(|word| word == format!("plain:{n}")), "plain:{n} is missing");
    }
    assert_eq!(app.happened().await.iter().filter(|kind| *kind == "token.refused").count(), 3);
    for card in cards {
        app.approve("U0BOB", &card).await;
    }
    assert_eq!(app.ask(&alice(&scopes(50))).await.granted()["scope"].as_str().expect("a text").split(' ').count(), 50);
}

#[tokio::test]
async fn no_scope_is_judged_as_itself_and_never_becomes_a_default() {
    let policy = format!(
        "{}\n[[rule]]\nname = \"no scope\"\nwhen = 'scope == \"\"'\nask = {{ approvers = [\"leads\"], approvals = 1, max_duration = \"1h\" }}\n",
        crate::support::world::POLICY
    );
    let app = TestApp::stage().policy(policy).start().await;
    for scope in ["", " "] {
        app.ask(&alice(scope)).await.pending();
    }
    let card = app.card(DESK).await;
    assert!(card.says.contains("no named scope") || card.says.contains("No scope"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    let granted = app.ask(&alice("")).await;
    assert_eq!(granted.granted()["scope"], "");
    // That grant covers no named scope, and a named one does not cover "none".
    app.ask(&alice("plain:x")).await.pending();
    app.ask(&alice("unheard:of")).await.denied();
}
