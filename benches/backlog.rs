//! Clicks while a thousand cards wait to be posted, and how fast those are posted: Slack takes one message a second
//! and channel, so a hundred channels take a hundred a second, and people must not feel that there is a queue.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::client::{Connection, get, until};
use crate::deployment::{Deployment, click, people};
use crate::report::{Bar, Report, Row, quantile};
use crate::servers::Server;
use crate::slack::Slack;
use crate::stock;

/// How many clicks are under way at the same time.
const AT_ONCE: usize = 64;
/// How many clicks are measured in each condition, and how many before that do not count.
const CLICKS: usize = 640;
const WARM_UP: usize = 128;
/// How many cards wait, in how many channels.
const CARDS: usize = 1_000;
const CHANNELS: usize = 100;
/// A tenth of the three seconds that Slack gives a click, in milliseconds.
const TENTH_OF_SLACKS_PATIENCE: f64 = 300.0;

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (empty, _) = condition(0).await.context("with an empty outbox")?;
    let (full, drained) = condition(CARDS).await.context("with a full outbox")?;
    report.row(Row {
        what: "click p99, 1,000 cards waiting / none",
        ours: format!("{full:.1} ms"),
        baseline: format!("{empty:.1} ms"),
        ratio: full / empty,
        bar: Bar::AtMost(3.0),
    });
    report.row(Row {
        what: "click p99, 1,000 cards waiting / 0.3 s",
        ours: format!("{full:.1} ms"),
        baseline: format!("{TENTH_OF_SLACKS_PATIENCE} ms"),
        ratio: full / TENTH_OF_SLACKS_PATIENCE,
        bar: Bar::AtMost(1.0),
    });
    report.row(Row {
        what: "cards drained / Slack's pace",
        ours: format!("{:.1} cards/s", drained * CHANNELS as f64),
        baseline: format!("{CHANNELS} cards/s"),
        ratio: drained,
        bar: Bar::AtLeast(0.95),
    });
    report.note(format!(
        "backlog: {CLICKS} clicks, {AT_ONCE} at once, to their acknowledgement; {CARDS} cards to {CHANNELS} channels, while the stand-in \
         refuses whatever is faster than one a second and channel."
    ));
    Ok(())
}

/// The 99th percentile of clicks in milliseconds with so many cards waiting, and how fast those were posted, as a
/// share of one a second and channel.
async fn condition(waiting: usize) -> anyhow::Result<(f64, f64)> {
    let leads = people(CLICKS + WARM_UP);
    let slack = Slack::start(&leads).await?;
    let deployment = Deployment::new(slack.address, &leads)?;
    let cards = stock::pending(&deployment.database(), leads.len() + waiting).await?;
    if waiting > 0 {
        deployment.change("burst = 1000000", "burst = 1")?;
        slack.one_a_second();
        let requests: Vec<String> = cards[leads.len()..].iter().map(|card| card.request.clone()).collect();
        stock::waiting(&deployment.database(), &requests, CHANNELS).await?;
    }
    let ours = Server::countersign(deployment.folder()).await?;
    let calls: Vec<Bytes> = leads
        .iter()
        .zip(&cards)
        .map(|(lead, card)| click("/slack/interactions", lead, &card.value, &card.ts))
        .collect();
    let (first, measured) = calls.split_at(WARM_UP);
    latencies(ours.address, first).await?;
    if waiting == 0 {
        nothing_waits(&ours).await?;
    }
    let times = latencies(ours.address, measured).await?;
    if waiting == 0 {
        return Ok((quantile(&times, 0.99), 0.0));
    }
    ensure!(
        slack.posted_per_channel().iter().sum::<usize>() < waiting,
        "the cards were posted before the clicks ended"
    );
    let begin = Instant::now();
    while slack.posted_per_channel().iter().sum::<usize>() < waiting {
        ensure!(begin.elapsed() < Duration::from_secs(60), "the cards were not posted in a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((quantile(&times, 0.99), slack.pace()))
}

/// Waits until everything that Slack is to be told has been told.
async fn nothing_waits(ours: &Server) -> anyhow::Result<()> {
    let empty = |answer: &crate::client::Answer| {
        String::from_utf8_lossy(&answer.body).lines().any(|line| line == "countersign_outbox_waiting 0")
    };
    until(ours.address, &get("/metrics"), Duration::from_secs(60), empty).await.map(|_| ())
}

/// How long each call took, in milliseconds.
async fn latencies(to: SocketAddr, calls: &[Bytes]) -> anyhow::Result<Vec<f64>> {
    let mut connections = Vec::with_capacity(AT_ONCE);
    for _ in 0..AT_ONCE {
        connections.push(Connection::open(to).await?);
    }
    let (next, times) = (Cell::new(0), RefCell::new(Vec::with_capacity(calls.len())));
    let work = |mut connection: Connection| {
        let (next, times) = (&next, &times);
        async move {
            while let Some(call) = calls.get(next.replace(next.get() + 1)) {
                let begin = Instant::now();
                let answer = connection.call(call).await?;
                ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                times.borrow_mut().push(begin.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(())
        }
    };
    try_join_all(connections.into_iter().map(work)).await?;
    Ok(times.into_inner())
}
