//! Starts that must not happen, and stops that must be clean.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};

use crate::cards::{self, Card};
use crate::child::{Api, Child, client, command};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::load::{Book, Kind, Load};
use crate::world::{World, channel_id};

/// A start that is refused is refused within this time.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
/// The exit status of a service that found its database damaged after it had started.
const DAMAGED: i32 = 70;

/// A world with a service that has worked: `things` were asked for, the first was approved and handed out.
async fn worked(things: u64) -> anyhow::Result<(World, Child, Load)> {
    let world = World::new().await?;
    let (child, _) = Child::start(&world).await?;
    let journal = Arc::new(Journal::new(&world.folder.path().join("journal.jsonl"))?);
    let book: Arc<Mutex<Book>> = Arc::default();
    let load = Load::new(&world, &child.base, &journal, &book, [channel_id(0), channel_id(0)])?;
    for n in 0..things {
        let call = new_call(&load, Kind::Window)?;
        let (status, body) = load.ask(&call, false, None).await.context("no answer")?;
        ensure!(status == 202, "{status} {body}");
        let card = card_of(&load, body["request_id"].as_str().unwrap_or_default()).await?;
        if n == 0 {
            ensure!(load.approve(&card, "U0BOB").await == Some(200), "the click was not taken");
            let (status, body) = load.ask(&call, false, None).await.context("no answer")?;
            ensure!(status == 200, "{status} {body}");
        }
    }
    Ok((world, child, load))
}

fn new_call(load: &Load, kind: Kind) -> anyhow::Result<crate::load::Call> {
    let mut book = crate::journal::lock(&load.book);
    let op = book.op(kind);
    book.call(op, false).context("an op that was just made")
}

/// The card of an access request, once it is there.
async fn card_of(load: &Load, request: &str) -> anyhow::Result<Card> {
    let mut changes = load.playground.changes();
    let card = async {
        loop {
            if let Some(card) = cards::by_request(&load.playground).remove(request).and_then(|mut all| all.pop()) {
                return card;
            }
            // The stand-in lives as long as this test.
            let _ = changes.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), card).await.context("no card came")
}

async fn stopped(child: &mut Child) -> anyhow::Result<()> {
    child.terminate()?;
    let status = child.ended(Duration::from_secs(20)).await?;
    ensure!(status.success(), "a clean stop ended with {status}");
    Ok(())
}

/// Starts a service that must refuse to; answers with what it said.
async fn refused(world: &World) -> anyhow::Result<String> {
    refused_as(world, |_| {}).await
}

async fn refused_as(world: &World, change: impl FnOnce(&mut std::process::Command)) -> anyhow::Result<String> {
    let mut child = Child::spawn_as(world, change)?;
    let status = child.ended(REFUSED_WITHIN).await?;
    let said = child.said();
    ensure!(!status.success(), "it ended as if all were well: {said}");
    Ok(said)
}

#[tokio::test]
async fn asked_to_stop_it_answers_held_calls_and_ends_in_time() -> anyhow::Result<()> {
    let (world, mut child, load) = worked(1).await?;
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (load, call) = (load.clone(), new_call(&load, Kind::Window)?);
        held.spawn(async move { load.ask(&call, true, None).await });
    }
    let api = Api::new(&child.base)?;
    let began = Instant::now();
    while api.get("/v1/requests?limit=200").await?["requests"].as_array().map_or(0, Vec::len) < 21 {
        ensure!(began.elapsed() < Duration::from_secs(10), "the calls do not arrive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.terminate()?;
    let told = Instant::now();
    let mut requests = Vec::new();
    while let Some(answer) = held.join_next().await {
        let (status, body) = answer?.context("a held call was cut")?;
        ensure!(status == 202 && body["error"] == "authorization_pending", "{status} {body}");
        requests.push(body["request_id"].as_str().unwrap_or_default().to_owned());
    }
    ensure!(told.elapsed() < Duration::from_secs(2), "the held calls were answered only after {:?}", told.elapsed());
    let (status, _) = api.ask("/readyz").await?;
    ensure!(status == 503, "a balancer would still send calls: {status}");
    let late = load.ask(&new_call(&load, Kind::Window)?, true, None).await.context("a late call was cut")?;
    ensure!(late.0 == 202, "{late:?}");
    let status = child.ended(Duration::from_secs(20)).await?;
    ensure!(status.success() && told.elapsed() < Duration::from_secs(20), "{status} after {:?}", told.elapsed());
    let (mut child, _) = Child::start(&world).await?;
    ensure!(!child.said().contains("not a clean one"), "the stop was not clean");
    let api = Api::new(&child.base)?;
    for id in requests {
        ensure!(api.get(&format!("/v1/requests/{id}")).await?["status"] == "pending", "{id} is gone");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_service_on_the_same_database_refuses_to_start() -> anyhow::Result<()> {
    let (world, child, _) = worked(1).await?;
    let said = refused(&world).await?;
    ensure!(said.contains("another process has it open"), "{said}");
    let (status, _) = Api::new(&child.base)?.ask("/readyz").await?;
    ensure!(status == 200, "the first one suffers: {status}");
    let verify = command(&["audit", "verify", "--database", &world.database().display().to_string()]).output()?;
    ensure!(!verify.status.success(), "the audit of a running service is not read from outside");
    Ok(())
}

/// Changes the file.
type Damage = fn(&mut Vec<u8>);

const DAMAGES: [(&str, Damage); 6] = [
    ("a page in the middle is garbage", |bytes| page(bytes, 2, 4).fill(0xa5)),
    ("a page in the middle is empty", |bytes| page(bytes, 1, 3).fill(0)),
    ("bytes in the head of every later page are flipped", |bytes| {
        for start in (8_192..bytes.len()).step_by(4_096) {
            bytes[start..start + 8].iter_mut().for_each(|byte| *byte ^= 0xff);
        }
    }),
    ("the second half is missing", |bytes| bytes.truncate(bytes.len() / 2 / 4_096 * 4_096)),
    ("the end is cut in the middle of a page", |bytes| bytes.truncate(bytes.len() - 6_000)),
    ("the head of the file is something else", |bytes| bytes[..16].copy_from_slice(b"not a database!!")),
];

/// The first page of a table or an index from this share of the file on. What is in a page of mere overflowing
/// text has no structure to check: whoever reads that row finds that it is no JSON.
fn page(bytes: &mut [u8], share: usize, of: usize) -> &mut [u8] {
    let pages = bytes.len() / 4_096;
    let is_tree = |page: &usize| matches!(bytes[page * 4_096], 2 | 5 | 10 | 13);
    let start = (pages * share / of..pages).find(is_tree).unwrap_or(1) * 4_096;
    &mut bytes[start..start + 4_096]
}

fn damage(path: &Path, sound: &[u8], how: Damage) -> anyhow::Result<()> {
    let mut bytes = sound.to_vec();
    how(&mut bytes);
    ensure!(bytes != sound, "nothing was damaged");
    for end in ["-wal", "-shm"] {
        // Left by the service before; they would belong to another file.
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    Ok(std::fs::write(path, bytes)?)
}

/// Marks the file as one that a killed process left: the next start checks all of it.
async fn mark_unclean(path: &Path) -> anyhow::Result<()> {
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await?;
    sqlx::query("INSERT INTO facts (name, value) VALUES ('in_use', '1')").execute(&mut conn).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await?;
    Ok(conn.close().await?)
}

#[tokio::test]
async fn a_damaged_database_is_refused_at_the_start_or_stops_the_service_soon_after() -> anyhow::Result<()> {
    let (world, mut child, _) = worked(60).await?;
    stopped(&mut child).await?;
    for unclean in [false, true] {
        if unclean {
            mark_unclean(&world.database()).await?;
        }
        let sound = std::fs::read(world.database())?;
        for (what, how) in DAMAGES {
            damage(&world.database(), &sound, how)?;
            let mut child = Child::spawn(&world)?;
            let answered = child.ready().await;
            let status = child.ended(REFUSED_WITHIN).await.with_context(|| what.to_owned())?;
            let said = child.said();
            ensure!(!status.success(), "{what}: it ended as if all were well: {said}");
            // After an unclean stop nothing at all may be answered before the whole file was read.
            ensure!(
                answered.is_err() || (!unclean && status.code() == Some(DAMAGED)),
                "{what}: {status} after it had served"
            );
            let clear = ["damaged", "malformed", "not a database", "disk image", "cannot be used"];
            ensure!(
                clear.iter().any(|word| said.contains(word))
                    || answered.is_err_and(|e| clear.iter().any(|word| e.to_string().contains(word))),
                "{what}: {said}"
            );
        }
        damage(&world.database(), &sound, |bytes| bytes.extend([0; 4_096])).context("the sound file")?;
        std::fs::write(world.database(), &sound)?;
    }
    let (child, _) = Child::start(&world).await.context("the sound file must still serve")?;
    drop(child);
    Ok(())
}

#[tokio::test]
async fn an_entry_of_the_audit_that_somebody_edited_is_named() -> anyhow::Result<()> {
    let (world, mut child, _) = worked(5).await?;
    stopped(&mut child).await?;
    let verify = || command(&["audit", "verify", "--database", &world.database().display().to_string()]).output();
    ensure!(verify()?.status.success(), "the audit does not verify before the edit");
    let mut bytes = std::fs::read(world.database())?;
    // The summary of the approval stands in the audit only.
    let (was, becomes) = (&b"(bob@example.com) approved deploy"[..], &b"(eve@example.com) approved deploy"[..]);
    // Copies may stand in unused room as well.
    let found: Vec<usize> = (0..bytes.len() - was.len()).filter(|at| bytes[*at..].starts_with(was)).collect();
    ensure!(!found.is_empty(), "the entry is not found");
    for at in found {
        bytes[at..at + was.len()].copy_from_slice(becomes);
    }
    std::fs::write(world.database(), bytes)?;
    let verified = verify()?;
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    ensure!(!verified.status.success() && said.contains("audit entry"), "{said}");
    Ok(())
}

#[tokio::test]
async fn verifying_the_audit_of_no_database_makes_none() -> anyhow::Result<()> {
    let world = World::new().await?;
    let verified = command(&["audit", "verify", "--database", &world.database().display().to_string()]).output()?;
    ensure!(!verified.status.success(), "an audit that is not there verifies");
    ensure!(!world.database().exists(), "a database was made");
    Ok(())
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() -> anyhow::Result<()> {
    let (world, mut child, _) = worked(1).await?;
    stopped(&mut child).await?;
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(world.database()).connect().await?;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT version + 1000, 'of tomorrow', TRUE, checksum, 1 FROM _sqlx_migrations ORDER BY version DESC LIMIT 1",
    )
    .execute(&mut conn)
    .await?;
    conn.close().await?;
    let said = refused(&world).await?;
    ensure!(said.contains("migrations do not fit"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_refused_and_stays_as_it_is() -> anyhow::Result<()> {
    const NOBODY: u32 = 65_534;
    let (world, mut child, _) = worked(1).await?;
    stopped(&mut child).await?;
    let before = std::fs::read(world.database())?;
    let as_root = world.folder.path().metadata()?.uid() == 0;
    if as_root {
        // Root may write whatever it likes, so the service runs as somebody who may not.
        for entry in std::fs::read_dir(world.folder.path())? {
            chown(entry?.path(), Some(NOBODY), Some(NOBODY))?;
        }
        chown(world.folder.path(), Some(NOBODY), Some(NOBODY))?;
    }
    std::fs::set_permissions(world.database(), std::fs::Permissions::from_mode(0o444))?;
    let said = refused_as(&world, |command| {
        if as_root {
            command.uid(NOBODY).gid(NOBODY);
        }
    })
    .await?;
    ensure!(said.contains("readonly database") || said.contains("cannot be written"), "{said}");
    ensure!(std::fs::read(world.database())? == before, "the file was changed");
    Ok(())
}

#[tokio::test]
async fn a_kill_at_any_moment_of_the_very_first_start_leaves_what_can_be_started() -> anyhow::Result<()> {
    let mut dice = Dice::new(7, 7);
    for _ in 0..15 {
        let world = World::new().await?;
        let mut child = Child::spawn(&world)?;
        tokio::time::sleep(dice.log_uniform(Duration::from_millis(1), Duration::from_millis(120))).await;
        child.kill()?;
        Child::start(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_file_that_a_kill_left_half_written_does_not_keep_it_from_starting() -> anyhow::Result<()> {
    let world = World::new().await?;
    // What a kill leaves between making the file and filling it.
    std::fs::write(format!("{}.receipts.key.new", world.database().display()), "half")?;
    let (child, _) = Child::start(&world).await?;
    let keys: Value = client(Duration::from_secs(5))?
        .get(format!("{}/.well-known/jwks.json", child.base))
        .send()
        .await?
        .json()
        .await?;
    ensure!(keys["keys"][0]["kty"] == json!("OKP"), "{keys}");
    let mode = std::fs::metadata(format!("{}.receipts.key", world.database().display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others can read the key: {mode:o}");
    }
    Ok(())
}
