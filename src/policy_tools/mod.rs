//! `countersign policy …`: tools for the people who write `policy.toml`.
//!
//! They read files and print text; nothing here changes anything. What is true of a policy is told by
//! `domain::policy` ([`explain`](crate::domain::policy::Policy::explain), [`lint`](crate::domain::policy::Policy::lint));
//! here it is put into words.

mod cases;
mod check;
mod explain;
mod replay;
mod request;
mod words;

use std::path::PathBuf;

use clap::Subcommand;

use crate::clock::{Clock, SystemClock, Timestamp};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a policy means and what is odd about it. Status 1 when something must be mended.
    Check {
        /// The policy file.
        #[arg(default_value = "policy.toml")]
        file: PathBuf,
    },
    /// Judge the cases that stand beside a policy. Status 1 when one comes out differently.
    Test {
        /// The policy file.
        #[arg(default_value = "policy.toml")]
        file: PathBuf,
        /// The cases; `NAME_test.toml` beside `NAME.toml` unless named.
        #[arg(long)]
        cases: Option<PathBuf>,
    },
    /// Say for one token request which rule decides each scope, and why the earlier ones do not.
    Explain {
        /// The policy file.
        #[arg(long, default_value = "policy.toml")]
        policy: PathBuf,
        /// The token request: the JSON of the generic dialect, and the hook's name under `hook`.
        #[arg(long)]
        request: PathBuf,
        /// When it comes, like 2026-11-23T12:00:00Z; now unless named.
        #[arg(long)]
        at: Option<Timestamp>,
        /// A scope that this client never had for this subject; may be repeated.
        #[arg(long)]
        first_time: Vec<String>,
        /// The server cannot issue a part of what is asked (as Ory Hydra): one refused scope refuses all.
        #[arg(long)]
        all_or_nothing: bool,
    },
    /// Judge what was asked of a service again, under a changed policy, and print what would be different.
    Replay {
        /// The database file; the service may be running.
        #[arg(long, default_value = "countersign.db")]
        database: PathBuf,
        /// How far to look back, like 24h.
        #[arg(long, default_value = "24h", value_parser = humantime::parse_duration)]
        since: std::time::Duration,
        /// The changed policy.
        #[arg(long)]
        policy: PathBuf,
    },
}

/// What a tool has to say.
#[derive(Debug)]
pub struct Said {
    /// For standard output.
    pub text: String,
    /// Whether all is as it should be: the exit status.
    pub ok: bool,
}

/// Runs a tool.
///
/// # Errors
/// When a file or the database cannot be read, in words that name what is wrong.
pub async fn run(command: Command) -> anyhow::Result<Said> {
    match command {
        Command::Check { file } => check::check(&file),
        Command::Test { file, cases } => cases::test(&file, cases.as_deref(), SystemClock.now()),
        Command::Explain { policy, request, at, first_time, all_or_nothing } => {
            let at = at.unwrap_or_else(|| SystemClock.now());
            explain::explain(&policy, &request, at, &first_time, !all_or_nothing)
        }
        Command::Replay { database, since, policy } => {
            replay::replay(&database, since, &policy, SystemClock.now()).await
        }
    }
}
