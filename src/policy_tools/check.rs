//! `countersign policy check`: what is understood, then what is odd.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::{Said, words};
use crate::config::read_policy;
use crate::domain::policy::{Finding, Mode, Outcome, Policy, Risk, Weight};

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
    writeln!(out, "{} is understood: {}.", file.display(), plural(policy.rules.len(), "rule"))?;
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
        writeln!(out, "      when {}", one_line(rule.when.source()))?;
        match rule.mode {
            Mode::Enforce => {}
            Mode::Observe => writeln!(out, "      only observed: recorded, and issued as if there were no rule")?,
        }
        match &rule.outcome {
            Outcome::Ask(ask) => words::ask_lines(ask).iter().try_for_each(|line| writeln!(out, "      {line}"))?,
            outcome => writeln!(out, "      {}", words::outcome(outcome))?,
        }
    }
    writeln!(out, "\nWhat scopes mean")?;
    for resource in &policy.resources {
        writeln!(out, "  {} ({})", resource.name, resource.audience)?;
        for (scope, text) in &resource.scopes {
            let risk = text.risk.map(|risk| format!(" ({} risk)", risk_word(risk))).unwrap_or_default();
            writeln!(out, "      {scope}: {}{risk}", text.says)?;
        }
    }
    Ok(())
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
        n => writeln!(out, "\n{} to mend.", plural(n, "thing")),
    }
}

fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}
