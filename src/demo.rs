//! `countersign demo`: the real service on a temporary file, with a stand-in in Slack's place, in one process. Another
//! stand-in ([`provider`]) is the OpenID provider where its approvers sign in again.
//!
//! Nothing outside takes part: no environment variable is read, no address but loopback is bound or called, and
//! every secret is made for this run.

mod provider;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::{self, Running, Worker};
use crate::cli::say;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::domain::hashing::sha256_hex;
use crate::http::serve::serve;
use crate::playground::{HookAccess, HookCredential, Playground, Settings, Workspace};

const CONFIG: &str = include_str!("../examples/demo/countersign.toml");
const POLICY: &str = include_str!("../examples/demo/policy.toml");

/// The secrets of one run.
struct Secrets {
    signing: SecretString,
    bot_token: SecretString,
    hook: SecretString,
    operator: SecretString,
    pep: SecretString,
    openid: SecretString,
}

/// Where the parts of one run listen.
#[derive(Clone, Copy)]
struct Places {
    page: SocketAddr,
    service: SocketAddr,
    openid: SocketAddr,
}

/// Runs until Ctrl-C.
///
/// # Errors
/// When no port is free, or the temporary folder cannot be written.
pub async fn run(port: u16) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let page = listen(port).await?;
    let (service, openid) = (listen(0).await?, listen(0).await?);
    let at = Places { page: page.local_addr()?, service: service.local_addr()?, openid: openid.local_addr()? };
    let (page_at, service_at) = (at.page, at.service);
    let clock: SharedClock = Arc::new(SystemClock);
    let secrets = Secrets::make()?;
    let playground = Playground::new(secrets.settings(), Arc::clone(&clock))?;
    let mut restarts = playground.restarts();
    let (stop, stopped) = watch::channel(false);
    let people = provider::Provider::new(
        format!("http://{}", at.openid),
        format!("http://{service_at}/step-up/callback"),
        secrets.openid.clone(),
        Arc::clone(&clock),
    )?;
    let openid = tokio::spawn(serve(openid, people.router(), stopped.clone(), Duration::from_millis(200)));
    let page = tokio::spawn(serve(page, playground.router(), stopped, Duration::from_millis(200)));
    write_files(folder.path(), at, &secrets)?;
    let mut running = Box::pin(start(folder.path(), service, &clock, &secrets)).await?;
    playground.connect(format!("http://{service_at}"));
    playground.service_is(true);
    say(&format!(
        "\n  Countersign is running. Open  http://{page_at}/\n\n  Slack is a stand-in; everything else is real. The service listens on http://{service_at},\n  its files are in {} and vanish when you stop it with Ctrl-C.\n",
        folder.path().display()
    ))?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = restarts.recv() => {
                playground.service_is(false);
                running.stop(Duration::ZERO).await;
                running = Box::pin(start(folder.path(), listen(service_at.port()).await?, &clock, &secrets)).await?;
                playground.service_is(true);
            }
        }
    }
    running.stop(Duration::ZERO).await;
    stop.send_replace(true);
    let _ = tokio::join!(page, openid);
    Ok(())
}

/// Loopback only. Where the port is in use, another free one is taken.
async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(at(port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(at(0)).await.context("no port is free on 127.0.0.1"),
    }
}

fn write_files(folder: &Path, at: Places, secrets: &Secrets) -> anyhow::Result<()> {
    let Places { page, service, openid } = at;
    let config = CONFIG
        .replace("{{openid}}", &format!("http://{openid}"))
        .replace("{{openid_client}}", provider::CLIENT_ID)
        .replace("{{openid_context}}", provider::STRONG)
        .replace("{{listen}}", &service.to_string())
        .replace("{{public_url}}", &format!("http://{service}"))
        .replace("{{slack}}", &format!("http://{page}/api"))
        .replace("{{database}}", &format!("sqlite://{}", folder.join("countersign.db").display()))
        .replace("{{operator_sha256}}", &sha256_hex(secrets.operator.expose_secret().as_bytes()));
    std::fs::write(folder.join("countersign.toml"), config)?;
    std::fs::write(folder.join("policy.toml"), POLICY)?;
    Ok(())
}

async fn start(
    folder: &Path,
    listener: TcpListener,
    clock: &SharedClock,
    secrets: &Secrets,
) -> anyhow::Result<Running> {
    let names = secrets.environment();
    let loaded = Config::load(&folder.join("countersign.toml"), &|name| names.get(name).cloned())
        .map_err(|errors| anyhow::anyhow!("{errors}"))?;
    Box::pin(app::start(loaded, Arc::clone(clock), listener, Worker::Runs)).await
}

/// What nobody can guess.
fn random_text() -> anyhow::Result<String> {
    let mut bytes = [0u8; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Secrets {
    fn make() -> anyhow::Result<Self> {
        Ok(Self {
            signing: random_text()?.into(),
            bot_token: format!("standin-{}", random_text()?).into(),
            hook: random_text()?.into(),
            operator: format!("csk_{}", random_text()?).into(),
            pep: random_text()?.into(),
            openid: random_text()?.into(),
        })
    }

    fn environment(&self) -> HashMap<&'static str, String> {
        [
            ("STANDIN_SIGNING_SECRET", &self.signing),
            ("STANDIN_BOT_TOKEN", &self.bot_token),
            ("BILLING_HOOK_TOKEN", &self.hook),
            ("PEP_TOKEN", &self.pep),
            ("STANDIN_OPENID_SECRET", &self.openid),
        ]
        .into_iter()
        .map(|(name, secret)| (name, secret.expose_secret().to_owned()))
        .collect()
    }

    fn settings(&self) -> Settings {
        Settings {
            signing_secret: self.signing.clone(),
            bot_token: self.bot_token.clone(),
            workspace: Workspace::demo(),
            hook: HookAccess { name: "billing".to_owned(), credential: HookCredential::Bearer(self.hook.clone()) },
            operator_key: Some(self.operator.clone()),
            policy_text: POLICY.to_owned(),
            policy_file: "policy.toml".to_owned(),
            page: true,
        }
    }
}
