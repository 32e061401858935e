//! What was understood, in lines that a person can check. No secret is shown.

use std::fmt::{self, Write as _};

use super::{Config, HookAuth, HookConfig, Role};
use crate::domain::identity::EmailMapping;
use crate::domain::ids::SetName;
use crate::domain::policy::{ApproverSet, Ask, Bounds, Ceremony, LONGEST, Mode, Outcome, Policy, Rule, Uses};

/// What a deployment and its policy mean, in readable lines.
pub fn describe(config: &Config, policy: &Policy) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ =
        deployment(&mut text, config).and_then(|()| people(&mut text, policy)).and_then(|()| rules(&mut text, policy));
    text
}

fn deployment(out: &mut String, config: &Config) -> fmt::Result {
    writeln!(out, "listens on   {}, reached at {}", config.server.listen, config.server.public_base())?;
    writeln!(out, "database     {} (SQLite)", config.database.file.display())?;
    writeln!(out, "policy       {}", config.policy_file.display())?;
    for slack in config.slack.all() {
        let several = !config.slack.others.is_empty();
        let name = if several { format!(" {}:", slack.name) } else { String::new() };
        let (team, app, channel) = (&slack.team_id, &slack.app_id, &slack.channel);
        writeln!(out, "Slack       {name} workspace {team}, app {app}, cards in {channel}")?;
        writeln!(out, "             {} through {}", slack.command, slack.api_base())?;
        writeln!(out, "             {} signing", count(slack.signing_secrets.len(), "secret"))?;
        if several {
            writeln!(out, "             {} in its table", count(slack.directory.users.len(), "person"))?;
        }
    }
    for hook in &config.hooks {
        writeln!(out, "hook         {}{}", hook_line(hook), whose(config, hook))?;
    }
    let directory = &config.slack.first.directory;
    let email = match directory.email {
        EmailMapping::Off => "e-mail addresses do not count",
        EmailMapping::Verified => "confirmed e-mail addresses count for whoever is not in the table",
    };
    writeln!(out, "identity     {} in the table; {email}", count(directory.users.len(), "person"))?;
    if let Some(step_up) = &config.step_up {
        let acr = if step_up.acr_values.is_empty() { "any context".to_owned() } else { step_up.acr_values.join(", ") };
        writeln!(out, "step-up      {} as {}, {acr}", step_up.issuer, step_up.client_id)?;
    }
    for key in &config.api_keys {
        let role = match key.role {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        };
        writeln!(out, "API key      {} ({role})", key.name)?;
    }
    Ok(())
}

/// Whose people decide, where that is not clear.
fn whose(config: &Config, hook: &HookConfig) -> String {
    let named = config.slack.of(&hook.workspace).filter(|_| !config.slack.others.is_empty());
    named.map(|workspace| format!(", people of {}", workspace.name)).unwrap_or_default()
}

fn hook_line(hook: &HookConfig) -> String {
    let (how, secrets) = match &hook.auth {
        HookAuth::Webhook(secrets) => ("Standard Webhooks signature".to_owned(), secrets.len()),
        HookAuth::Bearer(secrets) => ("bearer token".to_owned(), secrets.len()),
        HookAuth::ApiKey { header, values } => (format!("key in the header {header}"), values.len()),
    };
    let rotation = if secrets > 1 { format!(" ({secrets} of them)") } else { String::new() };
    let hold = humantime::format_duration(hook.hold);
    let admin = hook.admin_url.as_ref().map(|url| format!(", admin API at {url}")).unwrap_or_default();
    let observed = if hook.mode == Mode::Observe { ", OBSERVED" } else { "" };
    format!("{} speaks {}, {how}{rotation}, held up to {hold}{admin}{observed}", hook.name, hook.dialect.as_str())
}

fn people(out: &mut String, policy: &Policy) -> fmt::Result {
    writeln!(out, "\npolicy version {}", policy.version.0)?;
    for (name, ApproverSet { users, groups }) in &policy.approvers {
        let members: Vec<&str> = users.iter().map(|u| u.as_str()).chain(groups.iter().map(|g| g.as_str())).collect();
        writeln!(out, "approvers    {name}: {}", members.join(", "))?;
    }
    for resource in &policy.resources {
        writeln!(
            out,
            "resource     {} ({}): {}",
            resource.name,
            resource.audience,
            count(resource.scopes.len(), "scope")
        )?;
    }
    let limits = &policy.limits;
    writeln!(out, "limits       a denial refuses for {}", time(limits.denial_cooldown))?;
    for (most, whose) in [(limits.pending_per_subject, "person"), (limits.pending_per_client, "client for itself")] {
        if let Some(most) = most {
            writeln!(out, "             at most {most} pending for one {whose}")?;
        }
    }
    if let Some(most) = limits.cards_per_approver_per_hour {
        writeln!(out, "             at most {most} cards an hour for one approver; what comes above shares one card")?;
    }
    Ok(())
}

fn rules(out: &mut String, policy: &Policy) -> fmt::Result {
    writeln!(out, "\nrules, the first that matches decides each scope:")?;
    for (n, rule) in policy.rules.iter().enumerate() {
        writeln!(out, "{:>3}. {}", n + 1, rule.name)?;
        writeln!(out, "       when {}", rule.when.source())?;
        if rule.mode == Mode::Observe {
            writeln!(out, "       OBSERVED: only recorded, the scope passes")?;
        }
        verdict(out, rule)?;
    }
    writeln!(out, "     otherwise: refused")
}

fn verdict(out: &mut String, rule: &Rule) -> fmt::Result {
    match &rule.outcome {
        Outcome::Allow(bounds) => writeln!(out, "       allow {}", within(bounds)),
        Outcome::Deny(says) => writeln!(out, "       deny: {says}"),
        Outcome::Ask(ask) => asks(out, ask),
        Outcome::BreakGlass(glass) => {
            writeln!(
                out,
                "       break the glass, for people in {}, {}",
                names(&glass.requesters),
                within(&glass.bounds)
            )?;
            writeln!(out, "       tells {}, who review it within {}", names(&glass.tell), time(glass.review_within))
        }
    }
}

fn asks(out: &mut String, ask: &Ask) -> fmt::Result {
    for requirement in &ask.requirements {
        let sets: Vec<&str> = requirement.approvers.iter().map(|set| set.as_str()).collect();
        writeln!(out, "       ask {} of {}", count(usize::from(requirement.count.get()), "person"), sets.join(" or "))?;
    }
    let ceremony = match ask.ceremony {
        Ceremony::Click => "one click",
        Ceremony::Confirm => "a click and a dialog that repeats scope and time",
        Ceremony::Match => "typing the number that the client shows",
        Ceremony::StepUp => "authenticating anew",
    };
    writeln!(out, "       for {}, decided within {} by {ceremony}", within(&ask.bounds), time(ask.decide_within))?;
    if let Some(reason) = &ask.reason {
        let pattern = reason.matches.as_ref().map(|pattern| format!(" that matches {pattern}")).unwrap_or_default();
        writeln!(out, "       a reason{pattern} {}", if reason.required { "is required" } else { "may be given" })?;
    }
    if let Some(channel) = &ask.channel {
        writeln!(out, "       card in {channel}")?;
    }
    Ok(())
}

fn names(sets: &[SetName]) -> String {
    sets.iter().map(|set| set.as_str()).collect::<Vec<_>>().join(" or ")
}

fn within(bounds: &Bounds) -> String {
    let uses = match bounds.uses {
        Uses::Window => String::new(),
        Uses::Times(1) => ", one token".to_owned(),
        Uses::Times(n) => format!(", {n} tokens"),
    };
    let collect = if bounds.collect_within == LONGEST {
        String::new()
    } else {
        format!(", collected within {}", time(bounds.collect_within))
    };
    format!("up to {}, tokens up to {}{uses}{collect}", time(bounds.max_duration), time(bounds.max_token_lifetime))
}

fn time(seconds: u64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

fn count(n: usize, what: &str) -> String {
    match (n, what) {
        (1, _) => format!("1 {what}"),
        (_, "person") => format!("{n} people"),
        (_, _) => format!("{n} {what}s"),
    }
}
