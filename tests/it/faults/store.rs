//! The file is locked, full, read-only or damaged.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::TestApp;
use crate::support::asking::{Answer, alice};
use crate::support::world::{DESK, HYDRA_KEY};

/// A file system of its own, taken away at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this process may not mount anything.
    fn of(kib: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let size = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        std::fs::remove_dir(&folder).expect("an empty folder");
        None
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0).status();
        assert!(done.expect("mount runs").success(), "remount,{how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_locked_database_refuses_and_goes_on_when_it_is_free_again() {
    let app = TestApp::start().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    let before = app.decided().await;
    let mut other = app.database().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    // A token, a new request, a click, a revocation: all refused with a reason, none half done.
    let hook = |scope: &str| Answer::of(app.hook("shop", &alice(scope)));
    let approved = app.card(DESK).await;
    let (block, value) = approved.button("revoke");
    let press = json!({ "as": "U0BOB", "channel": DESK, "ts": approved.ts, "block_id": block, "action_id": "revoke", "value": value });
    let hydra = json!({ "session": {}, "request": { "client_id": "build-job", "granted_scopes": ["ledger:read"],
        "granted_audience": [], "grant_types": ["client_credentials"] } });
    let hydra = app.http.post(app.url("/hooks/hydra")).header("x-countersign-key", HYDRA_KEY).body(hydra.to_string());
    let (token, request, click, live, hydra) = tokio::join!(
        hook("plain:x"),
        hook("plain:y"),
        app.page("/page/click", press),
        Answer::of(app.http.get(app.url("/readyz"))),
        Answer::of(hydra)
    );
    // Hydra would call three times on a 5xx.
    assert_eq!((hydra.status, hydra.text.as_str()), (403, ""));
    for answer in [&token, &request] {
        let says = answer.problem(503)["detail"].as_str().expect("a text");
        assert!(says.contains("store does not answer") && !answer.header("retry-after").is_empty(), "{says}");
        assert!(!answer.text.contains("sqlite") && !answer.text.contains('/'), "{}", answer.text);
    }
    assert_eq!(click["status"], 503, "Slack shows the person a warning: {click}");
    assert_eq!(live.status, 503);
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("the lock is given back");
    sqlx::Connection::close(other).await.expect("it closes");
    assert_eq!(app.decided().await, before);
    // And then it is as if nothing had been.
    hook("plain:x").await.granted();
    app.ask(&alice("plain:y")).await.pending();
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!(ready.status, 200, "{}", ready.text);
}

/// Writes a file until nothing more fits.
fn fill(path: &Path) {
    let file = std::fs::File::create(path).expect("a file");
    let mut at = 0;
    for piece in [64 * 1024, 4 * 1024, 1] {
        while file.write_all_at(&vec![1; piece], at).is_ok() {
            at += piece as u64;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_must_be_written_and_loses_nothing_that_was() {
    let Some(disk) = SmallDisk::of(4_096) else {
        eprintln!("not tested here: this process may not mount a file system");
        return;
    };
    let mut app = TestApp::stage().folder(disk.0.clone()).start().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    let granted = app.ask(&alice("ledger:read")).await.granted().clone();
    // Fill what is left, to the last byte, and then ask until the write-ahead log cannot grow.
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    let mut refused = None;
    let mut acknowledged = Vec::new();
    for n in 0..200 {
        let answer = app.ask_unsettled(&alice(&format!("plain:{n}"))).await;
        match answer.status {
            202 => acknowledged.push(answer.pending()),
            _ => {
                refused = Some(answer);
                break;
            }
        }
    }
    let refused = refused.expect("at last there is no room");
    let says = refused.problem(503)["detail"].as_str().expect("a text").to_owned();
    assert!(says.contains("cannot be written"), "{says}");
    let click = app
        .page(
            "/page/click",
            json!({ "as": "U0CAROL", "channel": DESK, "ts": card.ts,
        "block_id": card.button("approve").0, "action_id": "approve", "value": card.button("approve").1 }),
        )
        .await;
    assert_eq!(click["status"], 503, "{click}");
    assert_eq!(Answer::of(app.hook("shop", &alice("ledger:read"))).await.status, 503, "no token without its record");
    assert_eq!(Answer::of(app.http.get(app.url("/readyz"))).await.status, 503);
    assert_eq!(Answer::of(app.http.get(app.url("/livez"))).await.status, 200, "a restart would not help");

    // Room again: it goes on by itself, and everything acknowledged is there, after a restart too.
    std::fs::remove_file(&ballast).expect("room");
    app.clock.advance(Duration::from_secs(2));
    for restarted in [false, true] {
        if restarted {
            app.restart().await;
        }
        let known = app.operator_sees("/v1/requests?limit=200").await.to_string();
        assert!(acknowledged.iter().all(|id| known.contains(id.as_str())), "restarted: {restarted}");
        assert_eq!(app.ask(&alice("ledger:read")).await.granted()["grant_id"], granted["grant_id"]);
    }
    app.approve("U0CAROL", &app.card_with("ledger:close").await).await;
    app.ask(&alice("ledger:close")).await.granted();
    app.audit().await;
    app.stop().await;
}

#[tokio::test]
async fn a_file_that_may_not_be_written_keeps_it_from_starting() {
    let Some(disk) = SmallDisk::of(4_096) else {
        eprintln!("not tested here: this process may not mount a file system");
        return;
    };
    let mut app = TestApp::stage().folder(disk.0.clone()).start().await;
    app.ask(&alice("ledger:read")).await.granted();
    app.stop().await;
    disk.remount("ro");
    let error = format!("{:#}", app.run().await.expect_err("a refusal"));
    assert!(error.contains("countersign.db") && error.contains("Read-only"), "{error}");
    disk.remount("rw");
    app.run().await.expect("it starts");
    app.ask(&alice("ledger:read")).await.granted();
    app.stop().await;
}

/// Overwrites some bytes of a file.
fn scribble(path: &Path, at: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(path).expect("the file");
    file.write_all_at(bytes, at).expect("written");
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_recovered_and_never_silently_wrong() {
    let mut app = TestApp::start().await;
    for n in 0..20 {
        app.ask(&alice(&format!("plain:{n}"))).await.pending();
    }
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    app.stop().await;
    let path = app.file("countersign.db");
    let whole = std::fs::read(&path).expect("the file");
    let page = 4_096;
    let pages = whole.len() / page;
    assert!(pages > 20, "{pages}");
    let mut refused = 0;
    let mut damages: Vec<(String, u64, Vec<u8>)> = vec![
        ("the magic".to_owned(), 0, b"No SQLite".to_vec()),
        ("the page size".to_owned(), 16, vec![0, 3]),
        ("the schema".to_owned(), 100, vec![0xff; 400]),
    ];
    // And a stretch of every other page.
    damages.extend((1..pages).step_by(2).map(|n| (format!("page {n}"), (n * page) as u64, vec![0xa5; 700])));
    for (what, at, bytes) in &damages {
        std::fs::write(&path, &whole).expect("the file as it was");
        scribble(&path, *at, bytes);
        // Damage is found at the start, or by the check in the background, which ends the service.
        let error = match app.run().await {
            Err(error) => Some(format!("{error:#}")),
            Ok(()) => {
                let found = app.running().check().await.err().map(|error| error.to_string());
                app.stop().await;
                found
            }
        };
        match error {
            Some(error) => {
                refused += 1;
                assert!(!error.is_empty(), "{what}");
            }
            // A free page may hold anything.
            None => assert!(what.starts_with("page"), "{what} was not noticed"),
        }
        for more in ["countersign.db-wal", "countersign.db-shm"] {
            let _ = std::fs::remove_file(app.file(more));
        }
    }
    assert!(refused * 10 >= damages.len() * 8, "{refused} of {} damages were noticed", damages.len());
    for kept in [whole.len() / 2, page * 3 + 100, 512, 10] {
        std::fs::write(&path, &whole[..kept]).expect("a part of the file");
        let found = match app.run().await {
            Err(_) => true,
            Ok(()) => {
                let found = app.running().check().await.is_err();
                app.stop().await;
                found
            }
        };
        assert!(found, "a file cut to {kept} bytes was taken for whole");
        for more in ["countersign.db-wal", "countersign.db-shm"] {
            let _ = std::fs::remove_file(app.file(more));
        }
    }
    std::fs::write(&path, &whole).expect("the file as it was");
    app.run().await.expect("the whole file is as good as ever");
    app.ask(&alice("plain:3")).await.granted();
}

#[tokio::test]
async fn rows_that_somebody_changed_by_hand_refuse_instead_of_granting() {
    let mut app = TestApp::start().await;
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    app.stop().await;
    let whole = std::fs::read(app.file("countersign.db")).expect("the file");
    for sql in [
        // A column says more than the body, the body more than the column, and nonsense.
        "UPDATE grants SET body = replace(body, '\"plain:x\"', '\"plain:x\",\"plain:y\"')",
        "UPDATE grants SET body = '{}'",
        "UPDATE grants SET body = json_set(body, '$.expires_at', '2099-01-01T00:00:00Z')",
    ] {
        std::fs::write(app.file("countersign.db"), &whole).expect("the file as it was");
        let mut database = app.database().await;
        sqlx::query("DROP TRIGGER grants_final").execute(&mut database).await.expect("it is gone");
        sqlx::query(sql).execute(&mut database).await.expect("it is done");
        sqlx::Connection::close(database).await.expect("it closes");
        app.run().await.expect("it starts");
        for scope in ["plain:x", "plain:x plain:y"] {
            let answer = Answer::of(app.hook("shop", &alice(scope))).await;
            let refused = [202, 503].contains(&answer.status);
            // What both agree on may go on; what only one of them says never does.
            assert!(
                refused || scope == "plain:x" && sql.contains("expires_at") && answer.text("grant_expires_at") < "2099",
                "{sql}: {}",
                answer.text
            );
        }
        app.stop().await;
    }
}
