//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Worker};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Loaded, describe};
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{SlackChannelId, WorkspaceName};
use crate::report::Report;
use crate::{demo, policy_tools, remote, telemetry};

/// How long calls are still accepted after SIGTERM, so that a balancer notices first.
const LAG: Duration = Duration::from_secs(5);
/// The exit status when the disk failed or the file is damaged (`EX_SOFTWARE`): restart me, and look.
const EXIT_STORE: u8 = 70;

/// Makes any OAuth 2.0 authorization server ask a human before it issues a powerful token.
#[derive(Debug, Parser)]
#[command(name = "countersign", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve hooks and Slack.
    Serve {
        /// The configuration file.
        #[arg(long, default_value = "countersign.toml", env = "COUNTERSIGN_CONFIG")]
        config: PathBuf,
    },
    /// Check both configuration files and print what they say.
    Check {
        /// The configuration file.
        #[arg(long, default_value = "countersign.toml", env = "COUNTERSIGN_CONFIG")]
        config: PathBuf,
    },
    /// Try everything in a browser: no accounts, no network, nothing is kept.
    Demo {
        /// The port of the page on 127.0.0.1; another free one is taken where it is in use.
        #[arg(long, default_value_t = 8090)]
        port: u16,
    },
    /// Keys of the operators' API.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Tools for the people who write policy.
    Policy {
        #[command(subcommand)]
        command: policy_tools::Command,
    },
    /// What is refused without asking, after a denial or a revocation.
    Cooldowns {
        #[command(subcommand)]
        command: remote::Cooldowns,
    },
    /// What was observed.
    Report {
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// The Slack side of a deployment.
    Slack {
        #[command(subcommand)]
        command: SlackCommand,
    },
    /// The audit trail.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a random key and print it with the hash that belongs in the configuration.
    New,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Sum up what would have been asked, of whom and how often, where `mode = "observe"`.
    Observe {
        /// The database file; the service may be running.
        #[arg(long, default_value = "countersign.db")]
        database: PathBuf,
        /// How far to look back, like 7d.
        #[arg(long, default_value = "7d", value_parser = humantime::parse_duration)]
        since: Duration,
        /// Print JSON with every line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SlackCommand {
    /// Compare what both configuration files expect with what Slack says, and say what to fix. Posts nothing.
    Doctor {
        /// The configuration file.
        #[arg(long, default_value = "countersign.toml", env = "COUNTERSIGN_CONFIG")]
        config: PathBuf,
    },
    /// Draw everything that is open into a channel, from the store of a stopped service; the cards are posted at its
    /// next start. A running one is asked with `POST /v1/slack/rebuild`.
    Rebuild {
        /// The configuration file.
        #[arg(long, default_value = "countersign.toml", env = "COUNTERSIGN_CONFIG")]
        config: PathBuf,
        /// The channel's id, like C0APPROVALS.
        #[arg(long)]
        channel: String,
        /// The name of the workspace, where there are several; else the first.
        #[arg(long)]
        workspace: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check every entry of a stopped service's audit against the hash chain.
    Verify {
        /// The database file.
        #[arg(long, default_value = "countersign.db")]
        database: PathBuf,
    },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::start_logging();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    runtime.block_on(async {
        let outcome = match arguments.command {
            Command::Serve { config } => Box::pin(serve(config)).await,
            Command::Check { config } => check(config),
            Command::Demo { port } => Box::pin(demo::run(port)).await.map(|()| ExitCode::SUCCESS),
            Command::Key { command: KeyCommand::New } => new_key(),
            Command::Policy { command } => policy(command).await,
            Command::Cooldowns { command } => match remote::cooldowns(command).await {
                Ok(text) => say(text.trim_end()).map(|()| ExitCode::SUCCESS),
                Err(error) => Err(error),
            },
            Command::Report { command: ReportCommand::Observe { database, since, json } } => {
                report(&database, since, json).await
            }
            Command::Slack { command: SlackCommand::Doctor { config } } => examine_slack(config).await,
            Command::Slack { command: SlackCommand::Rebuild { config, channel, workspace } } => {
                rebuild(config, channel, workspace).await
            }
            Command::Audit { command: AuditCommand::Verify { database } } => verify_audit(database).await,
        };
        outcome.unwrap_or_else(|error| failed(&error))
    })
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // Standard error may be closed; then there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "countersign: {error:#}");
    ExitCode::FAILURE
}

/// Prints for people and scripts.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn load(path: &std::path::Path) -> anyhow::Result<Loaded> {
    Config::load(path, &|name| std::env::var(name).ok()).map_err(|errors| anyhow::anyhow!("{errors}"))
}

async fn serve(path: PathBuf) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let loaded = load(&path)?;
    let address = loaded.config.server.listen;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    // The port may have been left to the system.
    let address = listener.local_addr()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = Box::pin(app::start(loaded, Arc::new(SystemClock), listener, Worker::Runs)).await?;
    tracing::info!(%address, "ready");
    let check = async {
        match running.check().await {
            Ok(()) => std::future::pending::<()>().await,
            Err(error) => tracing::error!(%error, "the database is damaged"),
        }
    };
    let store = running.service.store().clone();
    let reloads = reload_at_hangup(&running)?;
    tokio::select! {
        () = reloads => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = check => return Ok(ExitCode::from(EXIT_STORE)),
        () = store.health().disk_failed() => return Ok(ExitCode::from(EXIT_STORE)),
    }
    tracing::info!("stopping");
    tokio::select! {
        () = running.stop(LAG) => Ok(ExitCode::SUCCESS),
        // A second signal ends it at once; that is as safe as a crash.
        _ = terminate.recv() => Ok(ExitCode::FAILURE),
        _ = interrupt.recv() => Ok(ExitCode::FAILURE),
    }
}

/// SIGHUP has the policy, and who is who, read anew, as often as it comes.
fn reload_at_hangup(running: &app::Running) -> anyhow::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            if let Err(error) = running.reload().await {
                tracing::error!(%error, "what was read anew could not be written down");
            }
        }
        std::future::pending::<()>().await
    })
}

/// Every held call is an open connection: the soft limit of descriptors is often 1,024, the hard one is for us.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open connections could not be raised");
    }
}

fn check(path: PathBuf) -> anyhow::Result<ExitCode> {
    let Loaded { config, policy, warnings } = load(&path)?;
    say(&describe(&config, &policy))?;
    for warning in warnings {
        say(&format!("warning: {warning}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn policy(command: policy_tools::Command) -> anyhow::Result<ExitCode> {
    let said = policy_tools::run(command).await?;
    say(said.text.trim_end())?;
    Ok(if said.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn report(database: &std::path::Path, since: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let report = Report::read(database, SystemClock.now() - since).await?;
    say(&if json { serde_json::to_string_pretty(&report)? } else { report.told(since).trim_end().to_owned() })?;
    Ok(ExitCode::SUCCESS)
}

fn new_key() -> anyhow::Result<ExitCode> {
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    let key = format!("csk_{}", URL_SAFE_NO_PAD.encode(bytes));
    say(&format!("key     {key}\nsha256  {}", sha256_hex(key.as_bytes())))?;
    Ok(ExitCode::SUCCESS)
}

async fn examine_slack(path: PathBuf) -> anyhow::Result<ExitCode> {
    let (lines, well) = app::examine_slack(&load(&path)?).await?;
    for line in lines {
        say(&line)?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn rebuild(path: PathBuf, channel: String, workspace: Option<String>) -> anyhow::Result<ExitCode> {
    let channel = SlackChannelId::parse(channel)?;
    let workspace = workspace.map(WorkspaceName::parse).transpose()?;
    let cards = app::rebuild_slack(load(&path)?, Arc::new(SystemClock), workspace.as_ref(), &channel).await?;
    say(&format!("{cards} cards will be posted to {channel} when the service runs"))?;
    Ok(ExitCode::SUCCESS)
}

async fn verify_audit(database: PathBuf) -> anyhow::Result<ExitCode> {
    if !database.exists() {
        anyhow::bail!("{} is not there", database.display());
    }
    let store = crate::store::Store::open(&database).await?;
    let outcome = store.verify_audit().await;
    store.close().await;
    say(&format!("{} entries, each as its hash says", outcome?))?;
    Ok(ExitCode::SUCCESS)
}
