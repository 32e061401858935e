//! Calls that are answered from a standing grant: approved once, handed out again and again, each issuance durable
//! before its answer.

use anyhow::ensure;
use bytes::Bytes;

use crate::client::{Connection, throughput};
use crate::deployment::{Deployment, Signer, click, people, token_request};
use crate::parts;
use crate::report::{Bar, Report, Row, median, say};
use crate::servers::Server;
use crate::slack::{Card, Slack};
use crate::stock;

/// How many calls are under way at the same time.
const AT_ONCE: usize = 64;
/// How many people hold a grant each.
const PEOPLE: usize = 64;
/// How many rounds there are; in each, everybody has a turn.
const ROUNDS: usize = 7;
/// How many calls a turn has: more than a second for each.
const CALLS: Calls = Calls { ours: 10_000, bare: 60_000, node: 400 };

struct Calls {
    ours: usize,
    bare: usize,
    node: usize,
}

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(1);
    let slack = Slack::start(&leads).await?;
    let deployment = Deployment::new(slack.address, &leads)?;
    let cards = stock::pending(&deployment.database(), PEOPLE).await?;
    let ours = Server::countersign(deployment.folder()).await?;
    let bare = Server::bare()?;
    let node = Server::node("express.mjs", deployment.folder(), slack.address);
    if let Err(error) = &node {
        report.note(format!("not measured against express: {error:#}"));
    }
    let mut signer = Signer::new()?;
    approve_everybody(&ours, &cards, &leads[0]).await?;

    let (mut our_rates, mut bare_rates, mut node_rates) = (vec![], vec![], vec![]);
    let (mut processor, mut bare_processor) = (vec![], vec![]);
    // The first round warms everybody up and does not count.
    for round in 0..=ROUNDS {
        let calls = signed(&mut signer, CALLS.bare);
        let before = bare.processor_seconds()?;
        let bare_rate = throughput(bare.address, AT_ONCE, &calls, 200).await?;
        let bare_micros = (bare.processor_seconds()? - before) * 1e6 / calls.len() as f64;
        let calls = signed(&mut signer, CALLS.ours);
        let before = ours.processor_seconds()?;
        let our_rate = throughput(ours.address, AT_ONCE, &calls, 200).await?;
        let micros = (ours.processor_seconds()? - before) * 1e6 / calls.len() as f64;
        let node_rate = match &node {
            Ok(node) => throughput(node.address, AT_ONCE, &signed(&mut signer, CALLS.node), 200).await?,
            Err(_) => 0.0,
        };
        say(&format!("  round {round}: {our_rate:.0}, {bare_rate:.0}, {node_rate:.0} calls/s; {micros:.0} µs each"));
        if round > 0 {
            our_rates.push(our_rate);
            bare_rates.push(bare_rate);
            node_rates.push(node_rate);
            processor.push(micros);
            bare_processor.push(bare_micros);
        }
    }
    let (rate, bare_rate) = (median(&our_rates), median(&bare_rates));
    report.row(Row {
        what: "standing grant / bare axum",
        ours: format!("{rate:.0} calls/s"),
        baseline: format!("{bare_rate:.0} calls/s"),
        ratio: rate / bare_rate,
        bar: Bar::AtLeast(0.15),
    });
    if node.is_ok() {
        let node_rate = median(&node_rates);
        report.row(Row {
            what: "standing grant / express",
            ours: format!("{rate:.0} calls/s"),
            baseline: format!("{node_rate:.0} calls/s"),
            ratio: rate / node_rate,
            bar: Bar::AtLeast(4.0),
        });
    }
    report.note(format!(
        "standing grant: {AT_ONCE} calls at once for {PEOPLE} people's grants, each with its own webhook-id; medians of {ROUNDS} rounds."
    ));
    report.note(format!(
        "standing grant, what limits it: processor time. A call takes {:.0} µs of ours and {:.0} µs of the bare handler, which verifies \
         and parses; ours also asks the policy for each scope, looks for the grant, signs a receipt and writes four rows, on \
         SQLite's threads. The disk is waited for by all calls of a group together.",
        median(&processor),
        median(&bare_processor),
    ));
    parts::measure(report, deployment.folder(), median(&processor)).await
}

/// The lead approves what everybody asked.
async fn approve_everybody(ours: &Server, cards: &[Card], lead: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(ours.address).await?;
    for card in cards {
        let clicked = connection.call(&click("/slack/interactions", lead, &card.value, &card.ts)).await?;
        ensure!(clicked.status == 200, "{} {}", clicked.status, String::from_utf8_lossy(&clicked.body));
    }
    Ok(())
}

fn signed(signer: &mut Signer, count: usize) -> Vec<Bytes> {
    (0..count).map(|n| signer.call(&token_request(n % PEOPLE), "")).collect()
}
