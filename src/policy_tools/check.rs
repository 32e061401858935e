//! `countersign policy check`: what is understood, then what is odd.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::{Said, words};
use crate::config::read_policy;
use crate::domain::policy::{Finding, Mode, Outcome, Owners, Partial, Policy, Resource, Risk, Weight};

/// Reads a policy and says what it means.
pub(super) fn check(file: &Path) -> anyhow::Result<Said> {
    let policy = read_policy(file)?;
    let findings = policy.lint();
    let ok = findings.iter().all(|finding| finding.weight != Weight::Mend);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = meaning(&mut text, file, &policy).and_then(|()| odd(&mut text, &policy, &findings));
    Ok(Said { text, ok })
}

fn meaning(out: &mut String, file: &Path, policy: &Policy) -> fmt::Result {
    writeln!(out, "{} is understood: {}.", file.display(), words::plural(policy.rules.len(), "rule"))?;
    writeln!(out, "Each scope of a token request gets the first rule that is true for it; without one it is refused.")?;
    writeln!(out, "\nWho may decide")?;
    for (name, set) in &policy.approvers {
        let users = set.users.iter().map(ToString::to_string);
        let groups = set.groups.iter().map(|group| format!("the members of {group}"));
        writeln!(out, "  {name}: {}", users.chain(groups).collect::<Vec<_>>().join(", "))?;
    }
    writeln!(out, "\nWhat each rule does")?;
    for (at, rule) in policy.rules.iter().enumerate() {
        writeln!(out, "  {:>2}  {}", at + 1, rule.name)?;
        writeln!(out, "      when {}", words::one_line(rule.when.source()))?;
        match rule.mode {
            Mode::Enforce => {}
            Mode::Observe => writeln!(out, "      only observed: recorded, and issued as if there were no rule")?,
        }
        match &rule.outcome {
            Outcome::Ask(ask) => words::ask_lines(ask).iter().try_for_each(|line| writeln!(out, "      {line}"))?,
            outcome => writeln!(out, "      {}", words::outcome(outcome))?,
        }
    }
    for_all(out, policy)?;
    if !policy.resources.is_empty() {
        writeln!(out, "\nWhat scopes mean")?;
    }
    policy.resources.iter().try_for_each(|one| resource(out, one))
}

/// What holds whichever rule decides.
fn for_all(out: &mut String, policy: &Policy) -> fmt::Result {
    writeln!(out, "\nFor every request")?;
    writeln!(
        out,
        "  {}",
        match policy.shared {
            false => "different approver sets are met by different people",
            true => "somebody who is in several approver sets counts for each of them (shared)",
        }
    )?;
    writeln!(
        out,
        "  {}",
        match policy.partial {
            Partial::Hold => "scopes that are allowed wait for those that people are asked about beside them",
            Partial::Issue =>
                "scopes that are allowed are issued at once, while people are asked about the others, where the server can do that",
        }
    )?;
    let limits = &policy.limits;
    let pending = |most: Option<u32>, whose: &str| most.map(|most| format!("{most} of {whose}"));
    let pending: Vec<String> =
        [pending(limits.pending_per_subject, "one person"), pending(limits.pending_per_client, "a client for itself")]
            .into_iter()
            .flatten()
            .collect();
    if !pending.is_empty() {
        writeln!(out, "  at most {} can be pending; more is answered 429", pending.join(" and "))?;
    }
    let cools = words::time(limits.denial_cooldown);
    writeln!(out, "  a denial refuses the same for {cools}, each further one for twice as long, up to a day")
}

fn resource(out: &mut String, resource: &Resource) -> fmt::Result {
    writeln!(out, "  {} ({})", resource.name, resource.audience)?;
    for (scope, text) in &resource.scopes {
        let risk = text.risk.map(|risk| format!("{} risk", risk_word(risk)));
        let less = text.less.as_ref().map(|less| format!("{less} is offered instead"));
        let more: Vec<String> = risk.into_iter().chain(less).collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join("; ")) };
        writeln!(out, "      {scope}: {}{more}", text.says)?;
    }
    if !resource.clients.is_empty() {
        writeln!(out, "      /access offers it through {}", resource.clients.join(", "))?;
    }
    if !resource.hooks.is_empty() {
        let hooks: Vec<&str> = resource.hooks.iter().map(|hook| hook.as_str()).collect();
        writeln!(out, "      what is asked for ahead is collected at {}", hooks.join(" or "))?;
    }
    match &resource.owners {
        Owners::Named(people) if people.is_empty() => Ok(()),
        Owners::Named(people) => {
            let people: Vec<&str> = people.iter().map(|person| person.as_str()).collect();
            writeln!(out, "      its clients belong to {}, who do not decide", people.join(", "))
        }
        Owners::Computed(expression) => {
            let expression = words::one_line(expression.source());
            writeln!(out, "      its clients belong to whom this names, and they do not decide: {expression}")
        }
    }
}

fn odd(out: &mut String, policy: &Policy, findings: &[Finding]) -> fmt::Result {
    for (weight, heading) in [(Weight::Mend, "To mend"), (Weight::Know, "To know")] {
        let mut first = true;
        for finding in findings.iter().filter(|finding| finding.weight == weight) {
            if std::mem::take(&mut first) {
                writeln!(out, "\n{heading}")?;
            }
            writeln!(out, "  {}: {}", finding.about, finding.says)?;
        }
    }
    if policy.approvers.values().any(|set| !set.groups.is_empty()) {
        writeln!(
            out,
            "\nWho is in a user group only Slack knows. A group that is empty or gone refuses when it is asked."
        )?;
    }
    for warning in &policy.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let mend = findings.iter().filter(|finding| finding.weight == Weight::Mend).count();
    match mend {
        0 => writeln!(out, "\nNothing to mend."),
        n => writeln!(out, "\n{} to mend.", words::plural(n, "thing")),
    }
}

fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}
