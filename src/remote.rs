//! Commands of an operator that speak with a running service, over its API and with a key of it.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use reqwest::redirect::Policy;
use serde_json::{Map, Value, json};
use url::Url;

/// An answer that takes longer than this does not come.
const DEADLINE: Duration = Duration::from_secs(15);

/// Where the service is, and what opens its API.
#[derive(Debug, Args)]
pub struct Where {
    /// The address of the running service.
    #[arg(long, default_value = "http://127.0.0.1:8080", env = "COUNTERSIGN_URL")]
    url: Url,
    /// A key of the operators' API. Give it in the environment: an argument can be seen by others.
    #[arg(long, env = "COUNTERSIGN_API_KEY", hide_env_values = true)]
    key: String,
}

/// What is done about cool-downs.
#[derive(Debug, Subcommand)]
pub enum Cooldowns {
    /// List what is refused without asking, the longest first.
    List {
        /// Where the service is, and who asks.
        #[command(flatten)]
        at: Where,
    },
    /// Lift all that agree with everything that is named; at least one must be.
    Lift {
        /// Where the service is, and who asks.
        #[command(flatten)]
        at: Where,
        /// The hook.
        #[arg(long)]
        hook: Option<String>,
        /// The client.
        #[arg(long)]
        client: Option<String>,
        /// The subject.
        #[arg(long)]
        subject: Option<String>,
        /// The audience.
        #[arg(long)]
        audience: Option<String>,
        /// The scope.
        #[arg(long)]
        scope: Option<String>,
        /// Why, for the audit.
        #[arg(long)]
        reason: String,
    },
}

/// Does it, and answers with what to print.
///
/// # Errors
/// When the service does not answer, or says no; in its words.
pub async fn cooldowns(command: Cooldowns) -> anyhow::Result<String> {
    match command {
        Cooldowns::List { at } => Ok(listed(&at.call("v1/cooldowns?limit=200", None).await?)),
        Cooldowns::Lift { at, hook, client, subject, audience, scope, reason } => {
            let named =
                [("hook", hook), ("client", client), ("subject", subject), ("audience", audience), ("scope", scope)];
            let mut body: Map<String, Value> =
                named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
            body.insert("reason".to_owned(), json!(reason));
            let answer = at.call("v1/cooldowns/lift", Some(Value::Object(body))).await?;
            let lifted = answer["lifted"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mut text = match lifted.len() {
                1 => "1 cool-down is lifted\n".to_owned(),
                n => format!("{n} cool-downs are lifted\n"),
            };
            lifted.iter().for_each(|one| line(&mut text, one, ""));
            Ok(text)
        }
    }
}

fn listed(answer: &Value) -> String {
    let all = answer["cooldowns"].as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return "Nothing cools down.".to_owned();
    }
    let mut text = String::new();
    for one in all {
        let (until, cause) = (one["until"].as_str().unwrap_or_default(), one["cause"].as_str().unwrap_or_default());
        let times = one["denials"].as_u64().filter(|n| *n > 1).map(|n| format!(", {n} times in a row"));
        line(&mut text, one, &format!("until {until}, {cause}{}: ", times.unwrap_or_default()));
    }
    text
}

fn line(text: &mut String, one: &Value, begin: &str) {
    let said = |name: &str| match one[name].as_str() {
        Some("") | None => "none".to_owned(),
        Some(value) => value.to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{begin}{} for {} ({}) through {}, at {}",
        said("scope"),
        said("subject"),
        said("client"),
        said("hook"),
        said("audience")
    );
}

impl Where {
    async fn call(&self, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let base = self.url.as_str().trim_end_matches('/');
        let http = reqwest::Client::builder().timeout(DEADLINE).redirect(Policy::none()).build()?;
        let address = format!("{base}/{path}");
        let call = match body {
            Some(body) => http.post(&address).json(&body),
            None => http.get(&address),
        };
        // Not the error's own words: they may hold the address with all that was put into it.
        let answer = call.bearer_auth(&self.key).send().await.map_err(|error| error.without_url());
        let answer = answer.with_context(|| format!("{base} does not answer"))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or(Value::Null);
        if !status.is_success() {
            bail!("{base} says no ({status}): {}", body["detail"].as_str().unwrap_or("without a reason"));
        }
        Ok(body)
    }
}
