//! Builds everything from the configuration and serves until it is told to stop. Shared by `main`, the demo and
//! the tests: the caller owns the socket, the clock and the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::SharedClock;
use crate::config::{self, Config, Loaded, PersonClaim};
use crate::domain::ids::{SlackChannelId, WorkspaceName};
use crate::http::{self, Doors};
use crate::openid;
use crate::service::{Hook, Service, Settings, Workspace, Workspaces};
use crate::slack::doctor::{self, Expected};
use crate::slack::{Organization, Slack};
use crate::store::{Store, StoreError};
use crate::{telemetry, worker};

/// After a stop was asked for, connections in flight have this long to end.
const GRACE: Duration = Duration::from_secs(10);
/// And what is being delivered has this long.
const WORKER_GRACE: Duration = Duration::from_secs(3);

/// Whether the worker's loops run. The tests take its steps themselves, so that time is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// They run.
    Runs,
    /// Somebody else calls [`Service::deliver`] and [`Service::time_passed`].
    Stepped,
}

/// A service that answers.
pub struct Running {
    /// The service behind the doors.
    pub service: Service,
    config: Config,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    worker: Option<JoinHandle<()>>,
}

/// Opens the store, puts the service together and serves on `listener`.
///
/// # Errors
/// Whatever keeps it from being safe: then nothing is served.
pub async fn start(
    loaded: Loaded,
    clock: SharedClock,
    listener: TcpListener,
    worker: Worker,
) -> anyhow::Result<Running> {
    telemetry::metrics();
    let Loaded { config, policy, warnings } = loaded;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let store = Store::open(&config.database.file).await?;
    let secrets = |of: &config::Slack| (of.team_id.clone(), of.signing_secrets.clone());
    let signing_secrets = Arc::new(config.slack.all().map(secrets).collect());
    let api_keys = Arc::new(config.api_keys.clone());
    let key = receipts_key(&config);
    let openid = step_up(&config)?;
    let workspaces = workspaces(&config, &store).await?;
    let service = Service::new(settings(config.clone()), policy, store.clone(), workspaces, openid, clock, &key)
        .with_context(|| "the receipts' key cannot be used")?;
    service.directory_loaded().await?;
    let (stop, stopped) = watch::channel(false);
    let doors = Doors { service: service.clone(), signing_secrets, api_keys };
    let server = tokio::spawn(http::serve::serve(listener, http::router(doors), stopped.clone(), GRACE));
    let worker = match worker {
        Worker::Runs => Some(tokio::spawn(worker::run(service.clone(), stopped))),
        Worker::Stepped => Some(tokio::spawn(worker::listen(service.clone(), stopped))),
    };
    Ok(Running { service, config, stop, server, worker })
}

impl Running {
    /// Looks the database file over while calls are answered.
    ///
    /// # Errors
    /// When something is wrong with it: then stop.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.service.store().check_in_background().await
    }

    /// Reads the policy and who is who anew and puts both in force, all of it or nothing. Secrets and hooks are not
    /// read anew: that takes a restart. Answers whether what the files say is in force now.
    ///
    /// # Errors
    /// When the store does not take the record of it.
    pub async fn reload(&self) -> Result<bool, crate::service::Error> {
        match self.config.reread() {
            Ok((policy, directories)) => {
                self.service.directories_become(directories);
                self.service.policy_reloaded(policy).await?;
                self.service.directory_loaded().await.map(|()| true)
            }
            Err(mistakes) => {
                let file = self.config.policy_version();
                self.service.policy_refused(&mistakes.to_string(), file).await.map(|()| false)
            }
        }
    }

    /// Answers held calls, accepts calls for `lag` more (a balancer needs to notice), ends what is in flight,
    /// closes the store.
    pub async fn stop(mut self, lag: Duration) {
        self.service.drain();
        tokio::time::sleep(lag).await;
        self.stop.send_replace(true);
        let _ = (&mut self.server).await;
        if let Some(mut worker) = self.worker.take()
            && tokio::time::timeout(WORKER_GRACE, &mut worker).await.is_err()
        {
            // What was claimed is claimed again by whoever comes next.
            worker.abort();
        }
        self.service.store().close().await;
    }
}

/// Compares what both files expect of Slack with what Slack says. Answers with the findings, as lines, and whether
/// nothing is wrong.
///
/// # Errors
/// When Slack cannot be called at all with this configuration.
pub async fn examine_slack(loaded: &Loaded) -> anyhow::Result<(Vec<String>, bool)> {
    let all = &loaded.config.slack;
    let sets = || loaded.policy.approvers.values();
    let named = doctor::Named {
        channels: loaded.channels_of_rules(),
        groups: sets().flat_map(|set| set.groups.iter().cloned()).collect(),
        users: sets().flat_map(|set| set.users.iter().cloned()).collect(),
    };
    let (mut lines, mut well, mut places) = (Vec::new(), true, Vec::new());
    for of in all.all() {
        let slack = web_api(of)?;
        let expected = Expected {
            team_id: of.team_id.as_str(),
            app_id: &of.app_id,
            channels: [of.channel.clone(), of.fallback_channel.clone()].into(),
            by_address: of.directory.maps_addresses(),
            allow_shared_channels: of.allow_shared_channels,
            app_token: of.app_token.as_ref(),
            command: &of.command,
        };
        let findings = doctor::examine(&slack, &expected).await;
        well = well && !findings.iter().any(doctor::Finding::is_wrong);
        lines.extend((!all.others.is_empty()).then(|| format!("-- workspace {} ({})", of.name, of.team_id)));
        lines.extend(findings.iter().map(ToString::to_string));
        places.push((of.name.to_string(), slack, of.allow_shared_channels));
    }
    let findings = doctor::examine_policy(&places, &named).await;
    well = well && !findings.iter().any(doctor::Finding::is_wrong);
    lines.extend((!all.others.is_empty()).then(|| "-- what the policy names".to_owned()));
    lines.extend(findings.iter().map(ToString::to_string));
    Ok((lines, well))
}

/// Draws everything that is open in a workspace (the first, unless one is named) into a channel of it: at the next start,
/// because the service must not run meanwhile.
///
/// # Errors
/// When the store cannot be used, or there is no such workspace.
pub async fn rebuild_slack(
    loaded: Loaded,
    clock: SharedClock,
    workspace: Option<&WorkspaceName>,
    channel: &SlackChannelId,
) -> anyhow::Result<usize> {
    let Loaded { config, policy, .. } = loaded;
    let store = Store::open(&config.database.file).await.context(
        "while the service runs, ask it: POST /v1/slack/rebuild with {\"channel\": \"C…\"} and an operator's key",
    )?;
    let (key, openid, workspaces) = (receipts_key(&config), step_up(&config)?, workspaces(&config, &store).await?);
    let service = Service::new(settings(config), policy, store.clone(), workspaces, openid, clock, &key)?;
    let cards = service.rebuild(workspace, channel).await;
    store.close().await;
    cards?.context("there is no workspace of that name")
}

fn web_api(of: &config::Slack) -> anyhow::Result<Slack> {
    let organization = of.enterprise_id.clone().map(|id| Organization { id, team_id: of.team_id.to_string() });
    Ok(Slack::in_organization(of.api_base(), &of.bot_token, organization)?)
}

/// The receipts' key stands beside the store.
fn receipts_key(config: &Config) -> PathBuf {
    let mut name = config.database.file.clone().into_os_string();
    name.push(".receipts.key");
    PathBuf::from(name)
}

/// The OpenID provider, where one is configured.
fn step_up(config: &Config) -> anyhow::Result<Option<openid::Provider>> {
    let Some(step_up) = &config.step_up else { return Ok(None) };
    let redirect_uri = format!("{}/step-up/callback", config.server.public_base()).parse()?;
    let settings = openid::Settings {
        issuer: step_up.issuer.clone(),
        client_id: step_up.client_id.clone(),
        client_secret: step_up.client_secret.clone(),
        acr_values: step_up.acr_values.clone(),
        claim: match step_up.claim {
            PersonClaim::Email => openid::Claim::Email,
            PersonClaim::Subject => openid::Claim::Subject,
            PersonClaim::PreferredUsername => openid::Claim::PreferredUsername,
        },
        redirect_uri,
    };
    Ok(Some(openid::Provider::new(settings).with_context(|| "the OpenID provider cannot be called")?))
}

async fn workspaces(config: &Config, store: &Store) -> anyhow::Result<Workspaces> {
    let all = &config.slack;
    let others = all.others.iter().map(workspace).collect::<anyhow::Result<_>>()?;
    let earlier = store.workspace_of_earlier_rows(&all.first.team_id).await?;
    Ok(Workspaces { first: workspace(&all.first)?, others, earlier })
}

fn workspace(of: &config::Slack) -> anyhow::Result<Workspace> {
    Ok(Workspace {
        name: of.name.clone(),
        app_id: of.app_id.clone(),
        team_id: of.team_id.clone(),
        enterprise_id: of.enterprise_id.clone(),
        channel: of.channel.clone(),
        fallback_channel: of.fallback_channel.clone(),
        allow_shared_channels: of.allow_shared_channels,
        burst: of.burst,
        app_token: of.app_token.clone(),
        connections: of.connections,
        warn_before_end: of.warn_before_end,
        directory: of.directory.clone(),
        slack: web_api(of)?,
    })
}

fn settings(config: Config) -> Settings {
    let public_url = config.server.public_base().to_owned();
    let hook = |hook: crate::config::HookConfig| {
        let (name, dialect, auth, hold, mode) = (hook.name, hook.dialect, hook.auth, hook.hold, hook.mode);
        (name.clone(), Arc::new(Hook { name, dialect, auth, hold, mode, workspace: hook.workspace }))
    };
    Settings { hooks: config.hooks.into_iter().map(hook).collect(), public_url }
}
