//! The servers that are measured, each a process of its own that ends with this one.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::bare;
use crate::client::{get, until};

/// The key that hooks sign with.
pub const HOOK_SECRET: &str = "whsec_Y291bnRlcnNpZ24tYmVuY2htYXJrLWtleS0zMi1ieXRlcw==";
/// The key that Slack signs with.
pub const SLACK_SECRET: &str = "countersign-benchmark-signing-secret";

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// How long it took from the start of the process until it was ready.
    pub ready_in: Duration,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The service, with the configuration in `folder`.
    pub async fn countersign(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve", "--config", "countersign.toml"]).current_dir(folder);
        command.env("BILLING_HOOK_SECRET", HOOK_SECRET).env("SLACK_BOT_TOKEN", "xoxb-benchmark-benchmark");
        command.env("SLACK_SIGNING_SECRET", SLACK_SECRET).env("RUST_LOG", "warn,countersign::cli=info");
        let begin = Instant::now();
        let mut server = Self::start(command, Says::OnStandardError)?;
        until(server.address, &get("/readyz"), Duration::from_secs(10), |answer| answer.status == 200).await?;
        server.ready_in = begin.elapsed();
        Ok(server)
    }

    /// The bare handler.
    pub fn bare() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(bare::MODE).env("BILLING_HOOK_SECRET", HOOK_SECRET);
        Self::start(command, Says::OnStandardOutput)
    }

    /// One of the Node applications under `benches/baselines`, with its database in `folder`.
    pub fn node(script: &str, folder: &Path, slack: SocketAddr) -> anyhow::Result<Self> {
        let baselines = baselines();
        install(&baselines)?;
        let mut command = Command::new("node");
        command.arg(baselines.join(script)).env("NODE_ENV", "production").env("DATABASE", folder.join("node.db"));
        command.env("BILLING_HOOK_SECRET", HOOK_SECRET).env("SLACK_SIGNING_SECRET", SLACK_SECRET);
        command.env("SLACK_API_URL", format!("http://{slack}/api/"));
        Self::start(command, Says::OnStandardOutput)
    }

    fn start(mut command: Command, says: Says) -> anyhow::Result<Self> {
        let begin = Instant::now();
        match says {
            Says::OnStandardOutput => command.stdout(Stdio::piped()).stderr(Stdio::inherit()),
            Says::OnStandardError => command.stdout(Stdio::null()).stderr(Stdio::piped()),
        };
        let mut child = command.spawn().with_context(|| format!("{:?} does not start", command.get_program()))?;
        let output: Box<dyn Read + Send> = match (child.stdout.take(), child.stderr.take()) {
            (Some(output), _) => Box::new(output),
            (None, Some(output)) => Box::new(output),
            (None, None) => bail!("it has no output"),
        };
        let mut lines = BufReader::new(output).lines();
        let mut said = Vec::new();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = address_in(&line);
            said.push(line);
            address
        });
        let Some(address) = found else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{:?} ended before it was ready: {}", command.get_program(), said.join("\n"));
        };
        let ready_in = begin.elapsed();
        // What it says later is shown, and a full pipe never stops it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| crate::report::say(&line)));
        Ok(Self { child, address, ready_in })
    }

    /// Stops it in its tracks, so that it takes nothing from what is measured.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// How much memory it has, in KiB (`VmRSS`).
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// How much processor time it has used, in seconds.
    pub fn processor_seconds(&self) -> anyhow::Result<f64> {
        /// `USER_HZ`, which Linux fixes for everybody outside of the kernel.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("no name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).context("no time");
        Ok((ticks(11)? + ticks(12)?) / TICKS)
    }
}

/// Where a server says that it is ready.
enum Says {
    OnStandardOutput,
    OnStandardError,
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let rest = &line[start..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn baselines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baselines")
}

/// Installs the Node packages once. The native one is compiled against the headers of the Node that is there.
fn install(folder: &Path) -> anyhow::Result<()> {
    let installed = Command::new("./install.sh").current_dir(folder).status();
    match installed {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("the Node baselines could not be installed ({status})"),
        Err(error) => bail!("the Node baselines could not be installed: {error}"),
    }
}
