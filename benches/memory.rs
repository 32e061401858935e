//! How much memory a held call costs, and an idle service.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;

use crate::client::{Answer, Connection, get, until};
use crate::deployment::{Deployment, Signer, people, token_request};
use crate::report::{Bar, Report, Row};
use crate::servers::Server;
use crate::slack::Slack;

/// How many calls are held.
const HELD: usize = 10_000;
/// How many are sent before it is waited for them to be held.
const AT_ONCE: usize = 500;
/// How long a new service has to become idle.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(1);
    let slack = Slack::start(&leads).await?;
    // Cards take their time: what is measured is the calls.
    slack.post_takes(Duration::from_secs(5));
    let deployment = Deployment::new(slack.address, &leads)?;
    more_descriptors()?;
    let ours = Server::countersign(deployment.folder()).await?;
    tokio::time::sleep(SETTLE).await;
    let idle = ours.memory_kib()?;
    let mut signer = Signer::new()?;
    let mut held = Vec::with_capacity(HELD);
    while held.len() < HELD {
        let first = held.len();
        held.extend(try_join_all((first..first + AT_ONCE).map(|n| hold(&ours, &mut signer, n))).await?);
        let all = format!("countersign_held_calls {}", held.len());
        let are_held = |answer: &Answer| String::from_utf8_lossy(&answer.body).lines().any(|line| line == all);
        until(ours.address, &get("/metrics"), Duration::from_secs(30), are_held).await?;
    }
    let full = ours.memory_kib()?;
    let each = full.saturating_sub(idle) as f64 / HELD as f64;
    report.row(Row {
        what: "memory of a held call (KiB)",
        ours: format!("{each:.1} KiB"),
        baseline: "-".to_owned(),
        ratio: each,
        bar: Bar::AtMost(24.0),
    });
    report.row(Row {
        what: "idle service (MiB)",
        ours: format!("{:.1} MiB", idle as f64 / 1024.0),
        baseline: "-".to_owned(),
        ratio: idle as f64 / 1024.0,
        bar: Bar::AtMost(30.0),
    });
    report.note(format!(
        "memory: {HELD} calls of different people held at once over as many connections; resident {:.0} MiB then, {:.1} MiB before. \
         16 KiB of each are the two buffers that hyper gives every HTTP/1 connection (8 KiB each, the least it allows); the rest is the \
         connection's task, what was asked, and its share of SQLite's page caches.",
        full as f64 / 1024.0,
        idle as f64 / 1024.0
    ));
    Ok(())
}

fn hold<'a>(
    ours: &'a Server,
    signer: &mut Signer,
    n: usize,
) -> impl Future<Output = anyhow::Result<Connection>> + use<'a> {
    let call = signer.call(&token_request(n), "prefer: wait=60\r\n");
    let to = ours.address;
    async move {
        let mut connection = Connection::open(to).await?;
        connection.send(&call).await?;
        Ok(connection)
    }
}

/// Lets this process, and with it those that it starts, have an open file for each held call.
fn more_descriptors() -> anyhow::Result<()> {
    let (pid, limit) = (std::process::id().to_string(), format!("--nofile={}:", HELD + 1_000));
    let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status()?;
    ensure!(done.success(), "{} open files are needed (`ulimit -Hn`)", HELD + 1_000);
    Ok(())
}
