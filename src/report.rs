//! `countersign report observe`: what would have been asked, of whom, how often, while the policy only looked on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::domain::Timestamp;
use crate::domain::audit::AuditEntry;
use crate::domain::policy::{Observation, Would};
use crate::store::observations;

/// How many lines of each table are printed; `--json` has all of them.
const LINES_MAX: usize = 30;

/// What was observed since an instant.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How many token requests passed.
    pub token_requests: u64,
    /// What each would have got.
    pub verdicts: BTreeMap<Would, u64>,
    /// How often each approver set would have been asked, and for how many approvals.
    pub asked_of: BTreeMap<String, AskedOf>,
    /// How often, by rule, client and scope; the most frequent first.
    pub lines: Vec<Line>,
    #[serde(skip)]
    counts: BTreeMap<(String, String, String, Would), u64>,
    #[serde(skip)]
    calls: HashSet<String>,
}

/// What would have been asked of one approver set.
#[derive(Debug, Default, Serialize)]
pub struct AskedOf {
    /// How many requests.
    pub requests: u64,
    /// How many approvals that is.
    pub approvals: u64,
    /// Who is in the set: Slack users and user groups, as of then.
    pub people: BTreeSet<String>,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The rule; none where no rule matched.
    pub rule: String,
    /// The client.
    pub client: String,
    /// The scope.
    pub scope: String,
    /// What it would have got.
    pub verdict: Would,
    /// How often.
    pub times: u64,
}

impl Report {
    /// Reads what was observed since an instant. The service may be running.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn read(database: &Path, since: Timestamp) -> anyhow::Result<Self> {
        let mut report = Self::default();
        observations(database, since, |entry| report.add(&entry)).await?;
        let counts = std::mem::take(&mut report.counts);
        report.lines = counts
            .into_iter()
            .map(|((rule, client, scope, verdict), times)| Line { rule, client, scope, verdict, times })
            .collect();
        report.lines.sort_by_key(|line| std::cmp::Reverse(line.times));
        Ok(report)
    }

    fn add(&mut self, entry: &AuditEntry) {
        let Ok(observed) = serde_json::from_value::<Observation>(entry.detail["observed"].clone()) else { return };
        // The same call under the same identifier is one call.
        if let Some(call) = entry.detail["call"].as_str()
            && !self.calls.insert(format!("{} {call}", entry.actor))
        {
            return;
        }
        self.token_requests += 1;
        *self.verdicts.entry(observed.verdict).or_default() += 1;
        let client = entry.detail["client"]["id"].as_str().unwrap_or("unknown");
        for one in &observed.scopes {
            let rule = one.rule.clone().unwrap_or_else(|| "no rule".to_owned());
            let scope = if one.scope.as_str().is_empty() { "no scope".to_owned() } else { one.scope.to_string() };
            *self.counts.entry((rule, client.to_owned(), scope, one.verdict)).or_default() += 1;
        }
        for wanted in &observed.requirements {
            for set in &wanted.approvers {
                let asked = self.asked_of.entry(set.to_string()).or_default();
                asked.requests += 1;
                asked.approvals += u64::from(wanted.count.get());
                asked.people.extend(observed.people.get(set).into_iter().flatten().cloned());
            }
        }
    }

    /// The report for people.
    pub fn told(&self, since: Duration) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, since);
        text
    }

    fn write(&self, out: &mut String, since: Duration) -> fmt::Result {
        let since = humantime::format_duration(since);
        writeln!(out, "Observed in the last {since}: {} token requests, all of which passed.", self.token_requests)?;
        for (verdict, times) in &self.verdicts {
            writeln!(out, "  {times:>7}  {}", words(*verdict))?;
        }
        if !self.asked_of.is_empty() {
            writeln!(out, "\nOf whom it would have been asked\n  requests  approvals  approver set")?;
            for (set, asked) in &self.asked_of {
                let people: Vec<&str> = asked.people.iter().map(String::as_str).collect();
                writeln!(out, "  {:>8}  {:>9}  {set} ({})", asked.requests, asked.approvals, people.join(", "))?;
            }
        }
        if !self.lines.is_empty() {
            let wide =
                |of: fn(&Line) -> &str| self.lines.iter().take(LINES_MAX).map(|line| of(line).len()).max().unwrap_or(0);
            let (rule, client) = (wide(|line| &line.rule).max(4), wide(|line| &line.client).max(6));
            writeln!(out, "\nWhat\n    times  would be      {:rule$}  {:client$}  scope", "rule", "client")?;
            for line in self.lines.iter().take(LINES_MAX) {
                let (verdict, times) = (line.verdict.as_str(), line.times);
                writeln!(
                    out,
                    "  {times:>7}  {verdict:<12}  {:rule$}  {:client$}  {}",
                    line.rule, line.client, line.scope
                )?;
            }
            if self.lines.len() > LINES_MAX {
                writeln!(out, "  and {} more lines; --json has all", self.lines.len() - LINES_MAX)?;
            }
        }
        Ok(())
    }
}

fn words(verdict: Would) -> &'static str {
    match verdict {
        Would::Allowed => "would have been issued without asking",
        Would::Asked => "would have waited for people",
        Would::BrokenGlass => "would have broken the glass",
        Would::Refused => "would have been refused",
    }
}
