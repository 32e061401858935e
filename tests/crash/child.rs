//! The real binary as a child process: start it, wait until it is ready, kill it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::world::{OPERATOR_KEY, World};

/// A service must be ready again within this time.
pub const READY_WITHIN: Duration = Duration::from_secs(5);
/// How often is looked whether something has happened in another process.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// A running service.
pub struct Child {
    process: std::process::Child,
    /// Where its doors are.
    pub base: String,
    log: File,
}

/// The binary under test. `CRASH_BINARY` names another build, to see the harness fail.
pub fn binary() -> OsString {
    std::env::var_os("CRASH_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_countersign").into())
}

/// A command of the binary with nothing of our own environment but the secrets.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().envs(World::environment()).env("RUST_LOG", "info").stdin(Stdio::null());
    command
}

impl Child {
    /// Starts it on a port that was free a moment ago; does not wait for anything.
    pub fn spawn(world: &World) -> anyhow::Result<Self> {
        Self::spawn_as(world, |_| {})
    }

    /// The same, with the command changed before it runs.
    pub fn spawn_as(world: &World, change: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        world.write_config(port)?;
        let path = world.log();
        let written = File::options().create(true).append(true).open(&path)?;
        let mut log = File::open(&path)?;
        log.seek(SeekFrom::End(0))?;
        let mut command = command(&["serve", "--config", &world.config().display().to_string()]);
        command.stdout(Stdio::null()).stderr(written);
        change(&mut command);
        let process = command.spawn().context("the binary cannot be started")?;
        Ok(Self { process, base: format!("http://127.0.0.1:{port}"), log })
    }

    /// Starts it and waits until it is ready. Answers with how long that took.
    pub async fn start(world: &World) -> anyhow::Result<(Self, Duration)> {
        // A port that was free may be taken meanwhile by anybody: then another one is tried.
        for _ in 0..3 {
            let mut child = Self::spawn(world)?;
            match child.ready().await {
                Ok(took) => {
                    world.playground.connect(child.base.clone());
                    return Ok((child, took));
                }
                Err(_) if child.said().contains("cannot listen") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("no port could be had")
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) -> anyhow::Result<Duration> {
        let (began, http) = (Instant::now(), client(Duration::from_secs(2))?);
        let address = format!("{}/readyz", self.base);
        while began.elapsed() < READY_WITHIN {
            if let Some(status) = self.process.try_wait()? {
                bail!("the service ended with {status} instead of serving: {}", self.said());
            }
            if http.get(&address).send().await.is_ok_and(|answer| answer.status() == 200) {
                return Ok(began.elapsed());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("not ready within {READY_WITHIN:?}: {}", self.said())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGTERM.
    pub fn terminate(&self) -> anyhow::Result<()> {
        // The standard library sends SIGKILL only; the shell's own `kill` is everywhere.
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status()?;
        if sent.success() { Ok(()) } else { bail!("the signal could not be sent") }
    }

    /// Waits for its end.
    pub async fn ended(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < within {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("still there after {within:?}: {}", self.said())
    }

    /// What it wrote to standard error since this was asked last.
    pub fn said(&mut self) -> String {
        let mut text = String::new();
        // What cannot be read is missing in a message for people, and nowhere else.
        let _ = self.log.read_to_string(&mut text);
        text
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // No test leaves a service behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP client with connections of its own: those to a killed service must not be used again.
pub fn client(deadline: Duration) -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(deadline).build()?)
}

/// The operators' API of a running service.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
}

impl Api {
    /// Of this service.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        Ok(Self { http: client(Duration::from_secs(10))?, base: base.to_owned() })
    }

    /// What a path answers with status 200.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.ask(path).await?;
        if status == 200 { Ok(body) } else { bail!("{path} answered {status}: {body}") }
    }

    /// What a path answers.
    pub async fn ask(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let answer = self.http.get(format!("{}{path}", self.base)).bearer_auth(OPERATOR_KEY).send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_str(&answer.text().await?)?))
    }

    /// Revokes a grant: the status of the answer.
    pub async fn revoke(&self, grant: &str) -> anyhow::Result<u16> {
        let address = format!("{}/v1/grants/{grant}/revoke", self.base);
        let body = serde_json::json!({ "reason": "the harness says so" });
        let answer = self.http.post(address).bearer_auth(OPERATOR_KEY).json(&body).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }

    /// Draws everything that is open into another channel: how many cards that will be.
    pub async fn rebuild(&self, channel: &str) -> anyhow::Result<u64> {
        let address = format!("{}/v1/slack/rebuild", self.base);
        let body = serde_json::json!({ "channel": channel });
        let answer = self.http.post(address).bearer_auth(OPERATOR_KEY).json(&body).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        answer["cards"].as_u64().context("it does not say how many")
    }

    /// How many deliveries wait.
    pub async fn waiting(&self) -> anyhow::Result<u64> {
        let text = self.http.get(format!("{}/metrics", self.base)).send().await?.text().await?;
        let found = text.lines().find_map(|line| line.strip_prefix("countersign_outbox_waiting "));
        let found = found.and_then(|number| number.trim().parse::<f64>().ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of rows")]
        found.map(|number| number as u64).context("the metrics do not say how many deliveries wait")
    }
}
