use serde_json::json;

use super::{BOT_TOKEN, stage};

#[tokio::test]
async fn only_loopback_host_names_are_answered() {
    let stage = stage().await;
    let port = stage.url.rsplit(':').next().expect("a port").to_owned();
    let paths = ["/", "/page/state?as=U0BOB", "/page/stream", "/faults", "/log", "/api/auth.test"];
    for path in paths {
        for host in
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "0.0.0.0", "localhost:x", ""]
        {
            let request = stage.http.get(format!("{}{path}", stage.url)).header("host", host).bearer_auth(BOT_TOKEN);
            assert_eq!(request.send().await.expect("an answer").status(), 403, "{path} as {host}");
        }
    }
    for host in [format!("localhost:{port}"), "127.0.0.1".to_owned(), "[::1]:80".to_owned(), "LOCALHOST".to_owned()] {
        let request = stage.http.get(format!("{}/page/state?as=U0BOB", stage.url)).header("host", &host);
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{host}");
    }
}

#[tokio::test]
async fn posts_from_other_origins_and_other_sites_change_nothing() {
    let stage = stage().await;
    let other_port = "http://127.0.0.1:1".to_owned();
    let origins =
        ["https://evil.example".to_owned(), "null".to_owned(), other_port, stage.url.replace("127.0.0.1", "localhost")];
    let post = || stage.http.post(format!("{}/page/plug", stage.url)).json(&json!({ "plugged": false }));
    for origin in origins {
        assert_eq!(post().header("origin", &origin).send().await.expect("an answer").status(), 403, "{origin}");
    }
    for site in ["cross-site", "same-site", ""] {
        assert_eq!(post().header("sec-fetch-site", site).send().await.expect("an answer").status(), 403, "{site}");
    }
    let clear = stage.http.delete(format!("{}/faults", stage.url)).header("origin", "https://evil.example");
    assert_eq!(clear.send().await.expect("an answer").status(), 403);
    assert_eq!(stage.get("/page/state?as=U0BOB").await["slack"]["plugged"], true);
    let own = post().header("origin", &stage.url).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.expect("an answer").status(), 204);
    assert_eq!(stage.get("/page/state?as=U0BOB").await["slack"]["plugged"], false);
}

#[tokio::test]
async fn a_link_from_elsewhere_opens_the_page_but_its_data_is_not_read_from_there() {
    let stage = stage().await;
    let from_elsewhere =
        |path: &str| stage.http.get(format!("{}{path}", stage.url)).header("sec-fetch-site", "cross-site");
    assert_eq!(from_elsewhere("/").send().await.expect("an answer").status(), 200);
    assert_eq!(from_elsewhere("/page/state?as=U0BOB").send().await.expect("an answer").status(), 403);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let stage = stage().await;
    for path in ["/", "/app.css", "/app.js", "/page/state?as=U0BOB", "/nothing-here"] {
        let answer = stage.http.get(format!("{}{path}", stage.url)).send().await.expect("an answer");
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().expect("ASCII");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"),
            "{path}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'") && !policy.contains("  "));
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
    }
}

#[tokio::test]
async fn every_part_that_the_page_names_is_served() {
    let stage = stage().await;
    let mut wanted = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = wanted.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = stage.http.get(format!("{}{path}", stage.url)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.expect("text");
        let named = text.split('"').filter(|name| name.ends_with(".js") || name.ends_with(".css"));
        wanted.extend(named.map(|name| format!("/{}", name.trim_start_matches("./").trim_start_matches('/'))));
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[tokio::test]
async fn the_data_says_that_this_is_a_stand_in() {
    let stage = stage().await;
    let state = stage.get("/page/state?as=U0BOB").await;
    assert!(state["stand_in"].as_str().expect("a text").contains("stand-in"));
    let kinds: Vec<_> = state["people"].as_array().expect("people").iter().map(|p| p["kind"].clone()).collect();
    for kind in ["member", "guest", "outsider", "bot"] {
        assert!(kinds.contains(&json!(kind)), "{kind}");
    }
    assert_eq!((&state["you"]["dm"], &state["you"]["name"]), (&json!("D0BOB"), &json!("Bob Berger")));
    let nobody = stage.http.get(format!("{}/page/state?as=U0NOBODY", stage.url)).send().await.expect("an answer");
    assert_eq!(nobody.status(), 404);
}

#[tokio::test]
async fn a_restart_is_asked_for_once_and_only_where_somebody_listens() {
    let stage = stage().await;
    assert_eq!(stage.page("/page/restart", json!({})).await.0, 409, "nobody listens yet");
    let mut restarts = stage.playground.restarts();
    for _ in 0..3 {
        assert_eq!(stage.page("/page/restart", json!({})).await.0, 202);
    }
    assert_eq!(restarts.recv().await, Some(()));
    assert!(restarts.try_recv().is_err(), "three presses before it was done are one restart");
    assert_eq!(stage.playground.restarts().recv().await, None, "there is one taker");
    drop(restarts);
    assert_eq!(stage.page("/page/restart", json!({})).await.0, 409);
}
