//! Clicks that are decided durably: each on an access request of its own, by an approver of their own, who is
//! looked up in Slack for it. The baseline writes one row per click and asks nobody.

use std::time::Duration;

use bytes::Bytes;

use crate::client::{get, throughput, until};
use crate::deployment::{Deployment, click, people};
use crate::report::{Bar, Report, Row, median, say};
use crate::servers::Server;
use crate::slack::{Card, Slack};
use crate::stock;

/// How many clicks are under way at the same time.
const AT_ONCE: usize = 32;
/// How many rounds there are; in each, both have a turn.
const ROUNDS: usize = 5;
/// How many clicks a turn has.
const CLICKS: Clicks = Clicks { ours: 700, bolt: 250 };

struct Clicks {
    ours: usize,
    bolt: usize,
}

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(CLICKS.ours * (ROUNDS + 1));
    let slack = Slack::start(&leads).await?;
    let deployment = Deployment::new(slack.address, &leads)?;
    let cards = stock::pending(&deployment.database(), leads.len()).await?;
    let ours = Server::countersign(deployment.folder()).await?;
    let bolt = match Server::node("bolt.mjs", deployment.folder(), slack.address) {
        Ok(bolt) => bolt,
        Err(error) => {
            report.note(format!("not measured against bolt: {error:#}"));
            return Ok(());
        }
    };
    let (mut our_rates, mut bolt_rates, mut edit_rates) = (vec![], vec![], vec![]);
    // The first round warms both up and does not count.
    for round in 0..=ROUNDS {
        let turn = round * CLICKS.ours..(round + 1) * CLICKS.ours;
        let calls = signed("/slack/interactions", &leads[turn.clone()], &cards[turn]);
        let begin = std::time::Instant::now();
        let our_rate = throughput(ours.address, AT_ONCE, &calls, 200).await?;
        // All cards must be edited before the other has its turn.
        nothing_waits(&ours).await?;
        let edit_rate = CLICKS.ours as f64 / begin.elapsed().as_secs_f64();
        let cards: Vec<Card> = (0..CLICKS.bolt).map(|n| other_card(round, n)).collect();
        let bolt_rate = throughput(bolt.address, AT_ONCE, &signed("/slack/events", &leads, &cards), 200).await?;
        say(&format!("  round {round}: {our_rate:.0}, {bolt_rate:.0} clicks/s; edited {edit_rate:.0} a second"));
        if round > 0 {
            our_rates.push(our_rate);
            bolt_rates.push(bolt_rate);
            edit_rates.push(edit_rate);
        }
    }
    let (rate, bolt_rate) = (median(&our_rates), median(&bolt_rates));
    report.row(Row {
        what: "clicks / bolt",
        ours: format!("{rate:.0} clicks/s"),
        baseline: format!("{bolt_rate:.0} clicks/s"),
        ratio: rate / bolt_rate,
        bar: Bar::AtLeast(5.0),
    });
    report.note(format!(
        "clicks: {AT_ONCE} at once, {} a round, each by somebody whom Slack is asked about for it, while cards of earlier clicks are edited; \
         with the edits {:.0} a second; medians of {ROUNDS} rounds.",
        CLICKS.ours,
        median(&edit_rates)
    ));
    Ok(())
}

fn other_card(round: usize, n: usize) -> Card {
    Card { request: String::new(), value: format!("other{round}-{n}"), ts: format!("1795440000.{n:06}") }
}

fn signed(path: &str, people: &[String], cards: &[Card]) -> Vec<Bytes> {
    people.iter().zip(cards).map(|(person, card)| click(path, person, &card.value, &card.ts)).collect()
}

/// Waits until everything that Slack is to be told has been told.
pub async fn nothing_waits(ours: &Server) -> anyhow::Result<()> {
    let empty = |answer: &crate::client::Answer| {
        String::from_utf8_lossy(&answer.body).lines().any(|line| line == "countersign_outbox_waiting 0")
    };
    until(ours.address, &get("/metrics"), Duration::from_secs(60), empty).await.map(|_| ())
}
