//! `countersign policy test`: token requests with what is expected of them, kept beside the policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{Said, request, words};
use crate::config::read_policy;
use crate::domain::Timestamp;
use crate::domain::policy::{Bounds, Judged, Outcome, Policy, Question, Refused, Requirement, Ruling, Uses};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// When it comes; now unless named.
    at: Option<Timestamp>,
    /// The server cannot issue a part of what is asked.
    #[serde(default)]
    all_or_nothing: bool,
    /// The scopes that this client never had for this subject.
    #[serde(default)]
    first_time: Vec<String>,
    request: toml::Table,
    expect: Expect,
}

/// What is not named is not compared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    verdict: Option<Verdict>,
    scopes: BTreeMap<String, ScopeVerdict>,
    rules: BTreeMap<String, String>,
    approvals: Option<Vec<Approvals>>,
    ceremony: Option<String>,
    max_duration: Option<String>,
    max_token_lifetime: Option<String>,
    decide_within: Option<String>,
    collect_within: Option<String>,
    uses: Option<toml::Value>,
    channels: Option<Vec<String>>,
    says: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Refused,
    Allowed,
    Asked,
    BrokenGlass,
    Observed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeVerdict {
    Allow,
    Deny,
    Ask,
    BreakGlass,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approvals {
    approvers: Vec<String>,
    approvals: u8,
}

/// Judges every case and says how each came out.
pub(super) fn test(file: &Path, cases: Option<&Path>, now: Timestamp) -> anyhow::Result<Said> {
    let policy = read_policy(file)?;
    let cases = cases.map_or_else(|| beside(file), Path::to_path_buf);
    let text = std::fs::read_to_string(&cases).with_context(|| format!("{} cannot be read", cases.display()))?;
    let File { case: all } = toml::from_str(&text).with_context(|| format!("{}", cases.display()))?;
    if all.is_empty() {
        bail!("{} has no [[case]]", cases.display());
    }
    let mut said = String::new();
    let mut failed = 0;
    for case in &all {
        let differences =
            differences(&policy, case, now).with_context(|| format!("{}: case `{}`", cases.display(), case.name))?;
        let mark = if differences.is_empty() { "ok  " } else { "FAIL" };
        // Writing to a String cannot fail.
        let _ = writeln!(said, "{mark}  {}", case.name);
        for difference in &differences {
            let _ = writeln!(said, "      {difference}");
        }
        failed += usize::from(!differences.is_empty());
    }
    let _ = match failed {
        0 => writeln!(said, "\n{}, each as expected", words::plural(all.len(), "case")),
        n => writeln!(said, "\n{n} of {} came out differently", words::plural(all.len(), "case")),
    };
    Ok(Said { text: said, ok: failed == 0 })
}

/// `policy_test.toml` beside `policy.toml`.
fn beside(policy: &Path) -> PathBuf {
    let stem = policy.file_stem().unwrap_or_default().to_string_lossy();
    policy.with_file_name(format!("{stem}_test.toml"))
}

/// What a token request got, as far as cases can expect it.
struct Got<'a> {
    verdict: Verdict,
    says: &'a str,
    judged: &'a [Judged],
    bounds: Option<&'a Bounds>,
    question: Option<&'a Question>,
}

fn differences(policy: &Policy, case: &Case, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let body = serde_json::to_vec(&case.request).context("its request")?;
    let asked = request::read(&body)?;
    let first = |scope: &crate::domain::scope::Scope| case.first_time.iter().any(|one| one == scope.as_str());
    let at = case.at.unwrap_or(now);
    let judged = policy.judge(&asked, &first, at);
    let ruling = policy.rule(&asked, judged.clone(), !case.all_or_nothing);
    let refused = policy.refused_all_the_same(&asked, &ruling, at);
    compared(&case.expect, &got(&judged, &ruling, refused.as_ref()))
}

fn got<'a>(judged: &'a [Judged], ruling: &'a Ruling, all_the_same: Option<&'a Refused>) -> Got<'a> {
    let nothing = Got { verdict: Verdict::Refused, says: "", judged, bounds: None, question: None };
    match ruling {
        Ruling::Refused(refused) => Got { says: &refused.says, ..nothing },
        Ruling::Allowed(terms) => Got { verdict: Verdict::Allowed, bounds: Some(&terms.bounds), ..nothing },
        Ruling::BreakGlass(glass) => {
            let broken = Got { bounds: Some(&glass.terms.bounds), ..nothing };
            match all_the_same {
                Some(refused) => Got { says: &refused.says, ..broken },
                None => Got { verdict: Verdict::BrokenGlass, ..broken },
            }
        }
        Ruling::Observed(terms) => Got { verdict: Verdict::Observed, bounds: Some(&terms.bounds), ..nothing },
        Ruling::Asked(question) => {
            let asked = Got { bounds: Some(&question.terms.bounds), question: Some(question), ..nothing };
            match all_the_same {
                Some(refused) => Got { says: &refused.says, ..asked },
                None => Got { verdict: Verdict::Asked, ..asked },
            }
        }
    }
}

/// Collects sentences about what is not as expected.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq>(&mut self, what: &str, wanted: Option<T>, is: Option<T>, words: impl Fn(&T) -> String) {
        let Some(wanted) = wanted else { return };
        if is.as_ref() != Some(&wanted) {
            let is = is.as_ref().map_or_else(|| "nothing".to_owned(), &words);
            self.0.push(format!("{what}: expected {}, is {is}", words(&wanted)));
        }
    }
}

fn compared(expect: &Expect, got: &Got<'_>) -> anyhow::Result<Vec<String>> {
    let mut found = Differences::default();
    let text = |text: &String| format!("`{text}`");
    found.compare("verdict", expect.verdict, Some(got.verdict), |verdict| word(*verdict).to_owned());
    if let Some(says) = expect.says.as_ref().filter(|says| !got.says.contains(says.as_str())) {
        found.0.push(format!("says: expected `{says}`, is `{}`", got.says));
    }
    for (scope, wanted) in &expect.scopes {
        let is = judged(got, scope).map(|one| kind(&one.outcome));
        found.compare(&format!("scope {scope}"), Some(*wanted), is, |kind| scope_word(*kind).to_owned());
    }
    for (scope, wanted) in &expect.rules {
        let is = judged(got, scope).and_then(|one| one.rule.clone());
        found.compare(&format!("rule of {scope}"), Some(wanted.clone()), is, text);
    }
    let bounds = |of: fn(&Bounds) -> u64| got.bounds.map(of);
    found.compare("max_duration", seconds(&expect.max_duration)?, bounds(|b| b.max_duration), |t| words::time(*t));
    let lifetime = bounds(|b| b.max_token_lifetime);
    found.compare("max_token_lifetime", seconds(&expect.max_token_lifetime)?, lifetime, |t| words::time(*t));
    found
        .compare("collect_within", seconds(&expect.collect_within)?, bounds(|b| b.collect_within), |t| words::time(*t));
    found.compare("uses", expect.uses.as_ref().map(number_of_uses).transpose()?, got.bounds.map(|b| b.uses), |u| {
        words::uses(*u)
    });
    let question = got.question;
    let approvals = question.map(|question| question.requirements.iter().map(approvals_of).collect());
    found.compare("approvals", expect.approvals.clone().map(sorted), approvals.map(sorted), |all| all_approvals(all));
    let ceremony = question.map(|question| words::ceremony_word(question.ceremony).to_owned());
    found.compare("ceremony", expect.ceremony.clone(), ceremony, text);
    let decide_within = question.map(|question| question.decide_within);
    found.compare("decide_within", seconds(&expect.decide_within)?, decide_within, |t| words::time(*t));
    let channels = question.map(|question| question.channels.iter().map(ToString::to_string).collect::<Vec<_>>());
    found.compare("channels", expect.channels.clone(), channels, |all| format!("[{}]", all.join(", ")));
    Ok(found.0)
}

fn judged<'a>(got: &Got<'a>, scope: &str) -> Option<&'a Judged> {
    got.judged.iter().find(|one| one.scope.as_str() == scope)
}

fn sorted(mut all: Vec<Approvals>) -> Vec<Approvals> {
    all.iter_mut().for_each(|one| one.approvers.sort());
    all.sort();
    all
}

fn approvals_of(wanted: &Requirement) -> Approvals {
    let approvers = wanted.approvers.iter().map(ToString::to_string).collect();
    Approvals { approvers, approvals: wanted.count.get() }
}

fn all_approvals(all: &[Approvals]) -> String {
    let each = all.iter().map(|one| format!("{} of {}", one.approvals, one.approvers.join(" or ")));
    each.collect::<Vec<_>>().join(" and ")
}

fn seconds(text: &Option<String>) -> anyhow::Result<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    let time = humantime::parse_duration(text).with_context(|| format!("`{text}` is no time like \"30m\""))?;
    Ok(Some(time.as_secs()))
}

fn number_of_uses(value: &toml::Value) -> anyhow::Result<Uses> {
    match (value.as_str(), value.as_integer().map(u32::try_from)) {
        (Some("window"), _) => Ok(Uses::Window),
        (Some("single"), _) => Ok(Uses::Times(1)),
        (None, Some(Ok(n))) if n > 0 => Ok(Uses::Times(n)),
        (_, _) => bail!("`uses` is \"window\", \"single\" or a number"),
    }
}

fn kind(outcome: &Outcome) -> ScopeVerdict {
    match outcome {
        Outcome::Allow(_) => ScopeVerdict::Allow,
        Outcome::Deny(_) => ScopeVerdict::Deny,
        Outcome::Ask(_) => ScopeVerdict::Ask,
        Outcome::BreakGlass(_) => ScopeVerdict::BreakGlass,
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Refused => "refused",
        Verdict::Allowed => "allowed",
        Verdict::Asked => "asked",
        Verdict::BrokenGlass => "broken_glass",
        Verdict::Observed => "observed",
    }
}

fn scope_word(verdict: ScopeVerdict) -> &'static str {
    match verdict {
        ScopeVerdict::Allow => "allow",
        ScopeVerdict::Deny => "deny",
        ScopeVerdict::Ask => "ask",
        ScopeVerdict::BreakGlass => "break_glass",
    }
}
