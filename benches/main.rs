//! The benchmarks: one table of ratios, each against a baseline that is measured in the same run.
//!
//! `cargo bench --bench countersign` runs all of it, `-- standing`, `-- policy`, `-- grants`, `-- clicks`, `-- slack`,
//! `-- card`, `-- wake`, `-- memory` and `-- start` one part. Absolute numbers say more about the machine than about the program, so the
//! bars are ratios. What is compared takes turns in short rounds, and medians are shown: a neighbour that keeps the
//! machine busy for a while then slows both sides. Every server is a process of its own, on loopback.

mod backlog;
mod bare;
mod clicks;
mod client;
mod deployment;
mod drawing;
mod grants;
mod history;
mod memory;
mod parts;
mod policy;
mod report;
mod servers;
mod slack;
mod standing;
mod start;
mod stock;
mod wake;

use std::process::ExitCode;

use anyhow::{Context, bail};

/// The parts, in the order in which they run.
const PARTS: [&str; 9] = ["standing", "policy", "grants", "clicks", "slack", "card", "wake", "memory", "start"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome =
        if arguments.first().is_some_and(|first| first == bare::MODE) { bare::serve() } else { run(&arguments) };
    outcome.unwrap_or_else(|error| {
        report::say(&format!("the benchmark failed: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = arguments.iter().find(|argument| !PARTS.contains(&argument.as_str())) {
        bail!("there is no part `{unknown}`; there are {}", PARTS.join(", "));
    }
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    // One thread: what generates the load must leave the cores to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = report::Report::default();
    runtime.block_on(async {
        if wanted("standing") {
            standing::measure(&mut report).await.context("standing")?;
        }
        if wanted("policy") {
            policy::measure(&mut report).await.context("policy")?;
        }
        if wanted("grants") {
            grants::measure(&mut report).await.context("grants")?;
        }
        if wanted("clicks") {
            clicks::measure(&mut report).await.context("clicks")?;
        }
        if wanted("slack") {
            backlog::measure(&mut report).await.context("slack")?;
        }
        if wanted("card") {
            drawing::measure(&mut report).await.context("card")?;
        }
        if wanted("wake") {
            wake::measure(&mut report).await.context("wake")?;
        }
        if wanted("memory") {
            memory::measure(&mut report).await.context("memory")?;
        }
        if wanted("start") {
            Box::pin(start::measure(&mut report)).await.context("start")?;
        }
        anyhow::Ok(())
    })?;
    report.print();
    // A number below its bar is told, not failed: on a busy machine it says little. Only what cannot run fails.
    Ok(ExitCode::SUCCESS)
}
