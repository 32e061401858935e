//! What people who use such products ask for, played row by row against the running service: the real binary, real
//! HTTP in both directions, real time; only Slack's place is taken by the stand-in.
//!
//! `DEMANDS=D3,L7` plays only these rows. Who breaks one sees which, and what it was about.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod list;
mod play;
#[expect(dead_code, reason = "the verbs of the stories; not every one is needed here")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use list::{Proof, SECTIONS};

/// So many services run at once: most rows wait for time to pass.
const AT_ONCE: usize = 6;
/// No row takes longer.
const DEADLINE: Duration = Duration::from_secs(120);

/// How a check went.
#[derive(Debug, Clone)]
struct Played {
    took: Duration,
    /// What went wrong.
    failed: Option<String>,
}

/// Says something even where the test passes: the standard macros are captured then.
fn say(what: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stdout(), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_demand_is_met_by_the_running_service() {
    let wanted: Option<BTreeSet<String>> =
        std::env::var("DEMANDS").ok().map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
    let is_wanted = |id: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
    let mut checks: BTreeMap<&'static str, list::Play> = BTreeMap::new();
    for row in SECTIONS.iter().flat_map(|section| section.rows).filter(|row| is_wanted(row.id)) {
        if let Proof::Played(name, play) = row.proof {
            checks.insert(name, play);
        }
    }
    let played = LocalSet::new().run_until(play_all(checks)).await;
    let (mut passed, mut failed, mut elsewhere) = (0, Vec::new(), 0);
    for section in SECTIONS {
        say(&format!("\n{}", section.title));
        for row in section.rows.iter().filter(|row| is_wanted(row.id)) {
            let told = match row.proof {
                Proof::Elsewhere(why) => {
                    elsewhere += 1;
                    format!("not played here: {why}")
                }
                Proof::Played(name, _) => match &played[name] {
                    Played { failed: None, took } => {
                        passed += 1;
                        format!("passed ({name}, {:.1} s)", took.as_secs_f32())
                    }
                    Played { failed: Some(why), .. } => {
                        failed.push(row.id);
                        format!("FAILED ({name}): {why}")
                    }
                },
            };
            say(&format!("{:<4} {} → {told}", row.id, row.wish));
        }
    }
    say(&format!("\n{passed} passed, {} failed, {elsewhere} not played here", failed.len()));
    assert!(failed.is_empty(), "not met: {}", failed.join(", "));
    assert!(wanted.is_some() || passed > 100, "nothing was played");
}

async fn play_all(checks: BTreeMap<&'static str, list::Play>) -> BTreeMap<&'static str, Played> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let each = checks.into_iter().map(|(name, play)| {
        let room = Arc::clone(&room);
        async move {
            let turn = room.acquire_owned().await;
            let began = Instant::now();
            // A check that panics is a row that failed, and the others go on.
            let outcome = tokio::time::timeout(DEADLINE, tokio::task::spawn_local(play())).await;
            drop(turn);
            let failed = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(why(error)),
                Err(_) => Some(format!("not over within {DEADLINE:?}")),
            };
            (name, Played { took: began.elapsed(), failed })
        }
    });
    join_all(each).await.into_iter().collect()
}

fn why(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            text.unwrap_or_else(|| "it panicked".to_owned()).chars().take(600).collect()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_row_has_its_own_name_and_each_check_proves_something() {
    let rows: Vec<_> = SECTIONS.iter().flat_map(|section| section.rows).collect();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
    assert_eq!(names.len(), rows.len(), "a row stands twice");
    for row in rows {
        assert!(!row.wish.is_empty(), "{}", row.id);
        if let Proof::Elsewhere(why) = row.proof {
            assert!(why.len() > 20, "{} must say why it is not played", row.id);
        }
    }
}
