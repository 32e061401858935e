//! Callers that are slow, silent, or wrong about HTTP. Their deadline is ten seconds; one test waits for all of it.

use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::support::TestApp;
use crate::support::asking::alice;
use crate::support::world::SHOP_TOKEN;

/// How many connections sit idle: the number, or what this machine allows.
fn idle() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Both ends are in this process.
    usize::try_from(most / 4).unwrap_or(usize::MAX).min(5_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_silent_callers_are_closed_at_the_deadline_and_bother_nobody() {
    let app = TestApp::start().await;
    let started = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..idle() {
        silent.push(app.connect().await);
    }
    let head = format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SHOP_TOKEN}\r\n");
    let mut slow = Vec::new();
    for start in [
        "P".to_owned(),
        "POST /hooks/shop HTTP/1.1\r\nhost: x\r\nx-a".to_owned(),
        format!("{head}content-length: 100\r\n\r\n{{"),
        format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"),
        "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
    ] {
        let mut raw = app.connect().await;
        raw.send(&start).await;
        slow.push((start, raw));
    }
    // Others are answered as if nobody else were there.
    for _ in 0..20 {
        let one = Instant::now();
        app.ask(&alice("ledger:read")).await.granted();
        assert!(one.elapsed() < Duration::from_secs(5), "{:?}", one.elapsed());
    }
    // One byte a second does not buy time either.
    let (_, mut dripping) = slow.remove(2);
    let drip = async {
        while started.elapsed() < Duration::from_secs(14) && dripping.try_send(" ").await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        dripping.rest().await
    };
    let rest = join_all(slow.iter_mut().map(|(_, raw)| raw.rest()));
    let silence = join_all(silent.iter_mut().map(|raw| raw.rest()));
    let (drip, rest, silence) = tokio::join!(drip, rest, silence);
    assert!(started.elapsed() < Duration::from_secs(16), "all are closed after {:?}", started.elapsed());
    assert!(drip.is_empty() || drip.contains(" 408 "), "{drip}");
    assert!(rest[2].contains(" 408 "), "a slow body in chunks: {}", rest[2]);
    assert!(rest[3].contains(" 200 "), "an idle connection after its answer: {}", rest[3]);
    assert!(silence.iter().all(String::is_empty));
    app.ask(&alice("ledger:read")).await.granted();
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_closed() {
    let app = TestApp::start().await;
    let token = format!("authorization: Bearer {SHOP_TOKEN}\r\n");
    let many = "x-a: b\r\n".repeat(200);
    let huge = format!("x-a: {}\r\n", "y".repeat(100_000));
    for (what, sent) in [
        ("no method", "\r\n\r\n\r\n\r\nhello\r\n\r\n".to_owned()),
        ("no version", "POST /hooks/shop\r\n\r\n".to_owned()),
        (
            "two lengths",
            format!(
                "POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{token}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"
            ),
        ),
        (
            "a length that is none",
            format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{token}content-length: +2\r\n\r\n{{}}"),
        ),
        (
            "an unknown coding",
            format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{token}transfer-encoding: gzip\r\n\r\n{{}}"),
        ),
        (
            "a broken chunk",
            format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{token}transfer-encoding: chunked\r\n\r\nzz\r\n"),
        ),
        ("too many headers", format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{many}\r\n")),
        ("a huge header", format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{huge}\r\n")),
        ("a NUL in a header", "POST /hooks/shop HTTP/1.1\r\nhost: x\r\nx-a: \0\r\n\r\n".to_owned()),
    ] {
        let mut raw = app.connect().await;
        let _ = raw.try_send(&sent).await;
        let answer = raw.head().await;
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        assert!(status.starts_with('4') || status == "closed", "{what}: {answer}");
    }
    // A request that two readers could cut apart differently is never two requests.
    let mut raw = app.connect().await;
    raw.send(&format!("POST /hooks/shop HTTP/1.1\r\nhost: x\r\n{token}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    let answer = raw.head().await;
    assert!(!answer.contains("alive"), "{answer}");
    app.ask(&alice("ledger:read")).await.granted();
    assert_eq!(app.happened().await.iter().filter(|kind| *kind == "token.issued").count(), 1);
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let body = alice("plain:x").to_string();
    let mut callers = Vec::new();
    for _ in 0..20 {
        let mut raw = app.connect().await;
        raw.send(&format!(
            "POST /hooks/shop HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SHOP_TOKEN}\r\nprefer: wait=25\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        callers.push(raw);
    }
    app.held_is(20).await;
    drop(callers);
    app.held_is(0).await;
    app.ask(&alice("plain:x")).await.pending();
    assert_eq!(app.cards(crate::support::world::DESK).await.len(), 1);
}
