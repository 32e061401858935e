//! How long it takes from the start of the process until it is ready, on a full store and on an empty one.

use std::path::Path;

use crate::deployment::{Deployment, people};
use crate::history;
use crate::report::{Bar, Report, Row, median};
use crate::servers::Server;
use crate::slack::Slack;

/// How many access requests the full store has.
const REQUESTS: usize = 100_000;
/// How often each store is started on.
const ROUNDS: usize = 9;

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(1);
    let slack = Slack::start(&leads).await?;
    let deployment = Deployment::new(slack.address, &leads)?;
    let (full, empty) = (deployment.folder().join("full"), deployment.folder().join("empty"));
    Box::pin(history::write(&full, REQUESTS)).await?;
    Box::pin(history::write(&empty, 0)).await?;
    let (mut on_full, mut on_empty) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        on_empty.push(start_on(&deployment, &empty).await?);
        on_full.push(start_on(&deployment, &full).await?);
    }
    let (on_full, on_empty) = (median(&on_full), median(&on_empty));
    report.row(Row {
        what: "start to ready, 100,000 requests / empty store",
        ours: format!("{:.1} ms", on_full * 1e3),
        baseline: format!("{:.1} ms", on_empty * 1e3),
        ratio: on_full / on_empty,
        bar: Bar::AtMost(1.5),
    });
    report.note(format!(
        "start: from the start of the process until `/readyz` says 200, on copies of cleanly closed stores; the full one has {:.0} MiB. \
         Medians of {ROUNDS}.",
        std::fs::metadata(&full)?.len() as f64 / f64::from(1 << 20)
    ));
    Ok(())
}

/// Starts a service on a copy of a store, so that each time it is one that was closed cleanly.
async fn start_on(deployment: &Deployment, store: &Path) -> anyhow::Result<f64> {
    let file = deployment.database();
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    std::fs::copy(store, &file)?;
    // What the copy left to be written must not be written by the service's first sync.
    std::fs::File::open(&file)?.sync_all()?;
    Ok(Server::countersign(deployment.folder()).await?.ready_in.as_secs_f64())
}
