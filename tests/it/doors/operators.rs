//! The operators' API: look, and revoke.

use serde_json::json;

use crate::support::asking::{Answer, alice, but};
use crate::support::world::{DESK, OPERATOR_KEY};
use crate::support::{TestApp, minutes};

#[tokio::test]
async fn lists_are_newest_first_and_turn_pages() {
    let app = TestApp::start().await;
    for n in 0..5 {
        app.ask(&alice(&format!("plain:{n}"))).await.pending();
        let reader = but(alice("ledger:read"), json!({ "subject": format!("reader-{n}@example.com") }));
        app.ask(&reader).await.granted();
        app.advance(minutes(1)).await;
    }
    for (path, list) in [("/v1/requests", "requests"), ("/v1/grants", "grants")] {
        let all = app.operator_sees(path).await[list].clone();
        let ids: Vec<String> = all.as_array().expect("a list").iter().map(|row| row["id"].to_string()).collect();
        assert_eq!(ids.len(), 5, "{path}");
        assert!(ids.is_sorted_by(|a, b| a > b), "{path}: {ids:?}");
        let page = app.operator_sees(&format!("{path}?limit=2&before={}", ids[1].trim_matches('"'))).await;
        assert_eq!(page[list], json!([all[2], all[3]]), "{path}");
        assert_eq!(app.operator_sees(&format!("{path}/{}", ids[0].trim_matches('"'))).await, all[0]);
    }
    let newest = &app.operator_sees("/v1/requests").await["requests"][0];
    assert_eq!(
        (&newest["scope"], &newest["status"], &newest["reason"]),
        (&json!("plain:4"), &json!("pending"), &json!("month end, PAY-7"))
    );
    let audit = app.operator_sees("/v1/audit?limit=3&after=2").await;
    let numbers: Vec<_> =
        audit["entries"].as_array().expect("a list").iter().map(|entry| entry["seq"].clone()).collect();
    assert_eq!(numbers, [3, 4, 5]);
}

#[tokio::test]
async fn what_an_operator_gets_wrong_is_said_and_changes_nothing() {
    let app = TestApp::start().await;
    let granted = app.ask(&alice("ledger:read")).await.granted().clone();
    let grant = granted["grant_id"].as_str().expect("a grant");
    let before = app.decided().await;
    let post = |id: &str, body: String| {
        Answer::of(app.http.post(app.url(&format!("/v1/grants/{id}/revoke"))).bearer_auth(OPERATOR_KEY).body(body))
    };
    let reason = |text: &str| json!({ "reason": text }).to_string();
    for body in [
        "",
        "{",
        "{}",
        "null",
        "{\"reason\":7}",
        &reason(""),
        &reason("  "),
        &reason(&"x".repeat(501)),
        &"[".repeat(100_000),
    ] {
        post(grant, body.to_owned()).await.problem(400);
    }
    for id in ["grn_0123456789abcdef0123456789abcdef", "x", "req_1", "..", "%00", "%ff", &"x".repeat(3_000)] {
        let answer = post(id, reason("why not")).await;
        assert!([400, 404].contains(&answer.status), "{id}: {}", answer.text);
    }
    for path in
        ["/v1/requests/req_0123456789abcdef0123456789abcdef", "/v1/requests/x", "/v1/grants/x", "/v1/nothing", "/"]
    {
        let answer = Answer::of(app.http.get(app.url(path)).bearer_auth(OPERATOR_KEY)).await;
        answer.problem(404);
    }
    for path in ["/v1/audit?limit=abc", "/v1/audit?after=x", "/v1/requests?limit=-1", "/v1/grants?limit=99999999999"] {
        let answer = Answer::of(app.http.get(app.url(path)).bearer_auth(OPERATOR_KEY)).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        let unknown = Answer::of(app.http.get(app.url(path))).await;
        assert_eq!(unknown.status, 401, "{path} without a key");
    }
    for path in ["/v1/grants", "/hooks/shop", "/slack/interactions", "/livez"] {
        let answer = Answer::of(app.http.delete(app.url(path)).bearer_auth(OPERATOR_KEY)).await;
        assert_eq!(answer.status, 405, "{path}");
    }
    assert_eq!(app.decided().await, before);
    app.ask(&alice("ledger:read")).await.granted();
}

#[tokio::test]
async fn there_is_no_way_to_approve_but_a_click() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("plain:x")).await.pending();
    for path in ["approve", "vote", "decide", ""] {
        for method in ["POST", "PUT", "PATCH"] {
            let url = app.url(&format!("/v1/requests/{request}/{path}"));
            let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
            let call = app.http.request(method, url).bearer_auth(OPERATOR_KEY).json(&json!({ "status": "approved" }));
            assert!([404, 405].contains(&Answer::of(call).await.status), "{path}");
        }
    }
    app.ask(&alice("plain:x")).await.pending();
    app.card(DESK).await.button("approve");
}

#[tokio::test]
async fn an_audit_that_somebody_edited_is_found_out() {
    let mut app = TestApp::start().await;
    for n in 0..5 {
        app.ask(&alice(&format!("plain:{n}"))).await.pending();
    }
    assert_eq!(app.service().store().verify_audit().await, Ok(5));
    app.stop().await;
    let mut database = app.database().await;
    for sql in ["DROP TRIGGER audit_stays", "UPDATE audit SET body = replace(body, 'plain:1', 'plain:9') WHERE seq = 2"]
    {
        sqlx::query(sql).execute(&mut database).await.expect("it is done");
    }
    sqlx::Connection::close(database).await.expect("it closes");
    app.run().await.expect("the end of the chain is in order");
    let found = app.service().store().verify_audit().await.expect_err("an edited entry");
    assert!(found.to_string().contains("audit entry 2"), "{found}");
}
