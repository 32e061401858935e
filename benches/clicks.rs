//! Clicks that are decided durably: each on an access request of its own, by one of twenty approvers who have much
//! to do. Slack is asked about each of them, and about their group, once a minute, as the service always does; each
//! decision writes the access request, the vote, the grant, the audit entry and what is to be told, in one commit.
//! The baseline writes one row per click and asks nobody. While one is measured the other is stopped, because what
//! is told to Slack after our clicks takes its time (one message per second and channel).

use anyhow::Context;
use bytes::Bytes;

use crate::client::{Connection, get, throughput};
use crate::deployment::{Deployment, click, people};
use crate::report::{Bar, Report, Row, median, say};
use crate::servers::Server;
use crate::slack::{Card, Slack};
use crate::stock;

/// How many clicks are under way at the same time.
const AT_ONCE: usize = 32;
/// How many people click.
const PEOPLE: usize = 20;
/// How many rounds there are; in each, both have a turn.
const ROUNDS: usize = 5;
/// How many clicks a turn has.
const CLICKS: Clicks = Clicks { ours: 1_500, bolt: 500 };

struct Clicks {
    ours: usize,
    bolt: usize,
}

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(PEOPLE);
    let slack = Slack::start(&leads).await?;
    let deployment = Deployment::new(slack.address, &leads)?;
    let cards = stock::pending(&deployment.database(), CLICKS.ours * (ROUNDS + 1)).await?;
    let ours = Server::countersign(deployment.folder()).await?;
    let bolt = match Server::node("bolt.mjs", deployment.folder(), slack.address) {
        Ok(bolt) => bolt,
        Err(error) => {
            report.note(format!("not measured against bolt: {error:#}"));
            return Ok(());
        }
    };
    let (mut our_rates, mut bolt_rates, mut processor, mut bolt_processor) = (vec![], vec![], vec![], vec![]);
    // The first round warms both up and does not count.
    for round in 0..=ROUNDS {
        let turn = round * CLICKS.ours..(round + 1) * CLICKS.ours;
        let (rate, micros) = turn_of(&ours, &bolt, &signed("/slack/interactions", &leads, &cards[turn])).await?;
        let others: Vec<Card> = (0..CLICKS.bolt).map(|n| other_card(round, n)).collect();
        let (bolt_rate, bolt_micros) = turn_of(&bolt, &ours, &signed("/slack/events", &leads, &others)).await?;
        say(&format!(
            "  round {round}: {rate:.0}, {bolt_rate:.0} clicks/s; {micros:.0}, {bolt_micros:.0} µs of processor time each"
        ));
        if round > 0 {
            our_rates.push(rate);
            bolt_rates.push(bolt_rate);
            processor.push(micros);
            bolt_processor.push(bolt_micros);
        }
    }
    ours.resume()?;
    let waiting = waiting(&ours).await?;
    let (rate, bolt_rate) = (median(&our_rates), median(&bolt_rates));
    report.row(Row {
        what: "clicks / bolt",
        ours: format!("{rate:.0} clicks/s"),
        baseline: format!("{bolt_rate:.0} clicks/s"),
        ratio: rate / bolt_rate,
        bar: Bar::AtLeast(5.0),
    });
    let (ours_takes, bolt_takes) = (median(&processor), median(&bolt_processor));
    report.note(format!(
        "clicks: {AT_ONCE} at once, {} a round, by {PEOPLE} people; medians of {ROUNDS} rounds. A click takes {ours_takes:.0} µs of our \
         processor time and {bolt_takes:.0} µs of bolt's. Afterwards {waiting} messages wait for their turn at Slack.",
        CLICKS.ours,
    ));
    // A click of bolt's takes its processor time and a commit of its own, one after the other.
    let enough = 5.0 * 1e3 / rate - bolt_takes / 1e3;
    report.note(format!(
        "clicks, what limits them: processor time. A click of ours reads the request and what the policy says now, and writes the \
         request, the vote, the grant, the button, an audit entry in its chain and what is to be told; bolt's checks a signature \
         and inserts one row. All clicks that wait share one durable commit with us, and each makes its own with bolt, so the \
         ratio grows with what a commit costs: at this rate it is 5 where one takes {enough:.1} ms."
    ));
    Ok(())
}

/// Clicks per second, and how much processor time each took, in microseconds. The other one is stopped meanwhile.
async fn turn_of(server: &Server, other: &Server, clicks: &[Bytes]) -> anyhow::Result<(f64, f64)> {
    other.pause()?;
    server.resume()?;
    let before = server.processor_seconds()?;
    let rate = throughput(server.address, AT_ONCE, clicks, 200).await?;
    Ok((rate, (server.processor_seconds()? - before) * 1e6 / clicks.len() as f64))
}

fn other_card(round: usize, n: usize) -> Card {
    Card { request: String::new(), value: format!("other{round}-{n}"), ts: format!("1795440000.{n:06}") }
}

fn signed(path: &str, people: &[String], cards: &[Card]) -> Vec<Bytes> {
    people.iter().cycle().zip(cards).map(|(person, card)| click(path, person, &card.value, &card.ts)).collect()
}

/// How many messages wait for their turn at Slack.
async fn waiting(ours: &Server) -> anyhow::Result<u64> {
    let answer = Connection::open(ours.address).await?.call(&get("/metrics")).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("countersign_outbox_waiting "));
    Ok(line.context("no countersign_outbox_waiting")?.trim().parse()?)
}
