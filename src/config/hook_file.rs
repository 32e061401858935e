//! The hooks of `countersign.toml`.

use std::time::Duration;

use secrecy::SecretString;
use toml::de::DeValue;

use super::reader::Section;
use super::secrets::{self, Sources};
use axum::http::HeaderName;

use super::{Dialect, HookAuth, HookConfig, Workspaces, rule_file, slack_file, values};
use crate::domain::ids::{HookName, SlackTeamId, WorkspaceName};
use crate::domain::policy::Mode;

const DIALECTS: [(&str, Dialect); 3] =
    [("generic", Dialect::Generic), ("hydra", Dialect::Hydra), ("authzen", Dialect::Authzen)];
const AUTHENTICATIONS: [&str; 3] = ["secret", "bearer", "api_key"];

/// Reads every `[[hook]]`.
pub(super) fn read(
    root: &Section<'_>,
    sources: &Sources<'_>,
    workspaces: Option<&Workspaces>,
    warnings: &mut Vec<String>,
) -> Vec<HookConfig> {
    let mut hooks: Vec<HookConfig> = Vec::new();
    for section in root.sections("hook", "name") {
        let Some(hook) = hook(&section, sources, workspaces, warnings) else {
            section.done();
            continue;
        };
        if hooks.iter().any(|other| other.name == hook.name) {
            section.wrong("name", &format!("\"{}\" for the second time", hook.name), "each name once");
        }
        if hook.dialect == Dialect::Authzen && hooks.iter().any(|other| other.dialect == Dialect::Authzen) {
            section.wrong("dialect", "a second authzen hook", "at most one, because its paths are fixed");
        }
        section.done();
        hooks.push(hook);
    }
    if hooks.is_empty() && !root.has("hook") {
        warnings.push("There is no hook: no authorization server can ask.".to_owned());
    }
    hooks
}

fn hook(
    section: &Section<'_>,
    sources: &Sources<'_>,
    workspaces: Option<&Workspaces>,
    warnings: &mut Vec<String>,
) -> Option<HookConfig> {
    let name = section
        .need("name", "a name, which is part of the hook's address", |v| values::name(v, |t| HookName::parse(t)));
    let dialect = section.need("dialect", "\"generic\", \"hydra\" or \"authzen\"", |v| values::one_of(v, &DIALECTS));
    let auth = auth(section, dialect, sources);
    let hold = hold(section, dialect);
    let admin_url = section.read("admin_url", values::address);
    if section.has("admin_url") && dialect.is_some_and(|dialect| dialect != Dialect::Hydra) {
        section.wrong("admin_url", "an admin address", "only where the dialect is \"hydra\"");
    }
    let workspace = workspace(section, workspaces);
    let (name, dialect, auth, hold) = (name?, dialect?, auth?, hold?);
    if let Some(url) = admin_url.as_ref().filter(|url| url.scheme() == "http" && !values::is_loopback(url)) {
        warnings.push(format!("hook.{name}.admin_url is {url}: plain http can be read and changed on its way."));
    }
    let mode = section.read("mode", |v| values::one_of(v, &rule_file::MODES)).unwrap_or_default();
    if mode == Mode::Observe {
        warnings.push(format!("The hook `{name}` is observed: nothing is refused and nobody is asked."));
    }
    Some(HookConfig { name, dialect, auth, hold, admin_url, mode, workspace: workspace? })
}

/// The workspace whose people decide: the one that it names, else the first.
fn workspace(section: &Section<'_>, workspaces: Option<&Workspaces>) -> Option<SlackTeamId> {
    let named = section.read("slack", |v| values::name(v, |t| WorkspaceName::parse(t)));
    // What is wrong with the workspaces themselves is told already.
    let workspaces = workspaces?;
    if !section.has("slack") {
        return Some(workspaces.first.team_id.clone());
    }
    let named = named?;
    let found = workspaces.named(&named).map(|one| one.team_id.clone());
    if found.is_none() {
        let allowed = format!("the name of a workspace: {}", slack_file::names(workspaces));
        section.wrong("slack", &format!("\"{named}\""), &allowed);
    }
    found
}

/// Hydra cuts its own client's connection after 10 s, whatever the hook does.
fn hold(section: &Section<'_>, dialect: Option<Dialect>) -> Option<Duration> {
    let (usual, longest, allowed) = match dialect? {
        Dialect::Hydra => {
            (8, 8, "a time of at most \"8s\": Hydra closes its client's connection after 10 s, answered or not")
        }
        Dialect::Generic | Dialect::Authzen => (25, 60, "a time like \"25s\", at most \"60s\""),
    };
    if !section.has("hold") {
        return Some(Duration::from_secs(usual));
    }
    section.read("hold", |value| values::duration_up_to(value, longest, allowed))
}

/// Exactly one way to authenticate, and one that the dialect's server can do.
fn auth(section: &Section<'_>, dialect: Option<Dialect>, sources: &Sources<'_>) -> Option<HookAuth> {
    let given: Vec<&str> = AUTHENTICATIONS.into_iter().filter(|key| section.has(key)).collect();
    let fitting: &[&str] = match dialect? {
        Dialect::Generic => &["secret", "bearer"],
        Dialect::Hydra => &["api_key"],
        Dialect::Authzen => &["bearer"],
    };
    let (found, fits) = match given.as_slice() {
        [] => ("no authentication".to_owned(), false),
        [one] => (format!("{one} with the dialect {}", dialect?.as_str()), fitting.contains(one)),
        several => (several.join(" and "), false),
    };
    if !fits {
        section.wrong_here(&found, &format!("exactly one of: {}", fitting.join(", ")));
        return None;
    }
    if section.has("secret") {
        return webhook(section, sources);
    }
    if section.has("bearer") {
        return sources.several(section, "bearer").map(HookAuth::Bearer);
    }
    let key = section.section("api_key")?;
    let header = key.need("header", A_HEADER, header);
    key.missing("value", secrets::A_SECRET);
    let values = sources.several(&key, "value");
    key.done();
    Some(HookAuth::ApiKey { header: header?, values: values? })
}

fn webhook(section: &Section<'_>, sources: &Sources<'_>) -> Option<HookAuth> {
    let secrets: Vec<SecretString> = sources.several(section, "secret")?;
    if secrets.iter().all(secrets::is_webhook_secret) {
        return Some(HookAuth::Webhook(secrets));
    }
    let allowed = "Standard Webhooks secrets: whsec_ and base64 of random bytes, 24 or more";
    section.wrong("secret", "a secret of another form", allowed);
    None
}

const A_HEADER: &str = "the name of an HTTP header, like \"X-Countersign-Key\"";

fn header(value: &DeValue<'_>) -> Result<HeaderName, String> {
    let name = value.as_str().filter(|text| text.len() <= 64).and_then(|text| text.parse().ok());
    name.ok_or_else(|| A_HEADER.to_owned())
}
