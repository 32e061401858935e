//! `countersign policy replay`: what was asked, judged again under a changed policy.
//!
//! What the store keeps whole is judged again: every access request, and every grant of a rule that allows. Of a
//! refusal it keeps who asked for what, not all that conditions may read, so refusals are only counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Said, words};
use crate::config::read_policy;
use crate::domain::Timestamp;
use crate::domain::policy::{Policy, Question, Refused, Ruling, Terms};
use crate::domain::scope::Scope;
use crate::store::{History, Recorded, Verdict};

/// Judges the recorded requests of the last while again.
pub(super) async fn replay(database: &Path, since: Duration, policy: &Path, now: Timestamp) -> anyhow::Result<Said> {
    let policy = read_policy(policy)?;
    let history = History::read(database, now - since).await?;
    let mut changed: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
    for recorded in &history.recorded {
        let (was, is) = (before(recorded), after(&policy, &history, recorded));
        let differences = differences(&was, &is);
        if !differences.is_empty() {
            *changed.entry((title(recorded), differences)).or_default() += 1;
        }
    }
    Ok(Said { text: told(&history, &changed, since), ok: true })
}

fn told(history: &History, changed: &BTreeMap<(String, Vec<String>), usize>, since: Duration) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for ((title, differences), times) in changed {
        let times = if *times == 1 { String::new() } else { format!(" ({times} times)") };
        let _ = writeln!(text, "{title}{times}");
        for difference in differences {
            let _ = writeln!(text, "    {difference}");
        }
    }
    let different: usize = changed.values().sum();
    let separator = if changed.is_empty() { "" } else { "\n" };
    let _ = writeln!(
        text,
        "{separator}{} token requests of the last {}: {different} would come out differently, {} as they did.",
        history.recorded.len(),
        humantime::format_duration(since),
        history.recorded.len() - different
    );
    if history.refusals > 0 {
        let _ = writeln!(
            text,
            "Refusals ({} since then) are on record without all that conditions may read; they were not judged again.",
            history.refusals
        );
    }
    text
}

fn title(recorded: &Recorded) -> String {
    let asked = &recorded.asked;
    let scopes = if asked.scopes.is_empty() { "no scope".to_owned() } else { asked.scopes.to_string() };
    format!("{} for {} through {}: {scopes}", asked.client.id, asked.subject.id, asked.hook)
}

/// What can be compared of a verdict.
#[derive(Debug, Default)]
struct Shape {
    verdict: &'static str,
    scopes: String,
    says: Option<String>,
    people: Option<String>,
    ceremony: Option<&'static str>,
    lasts: Option<String>,
}

fn before(recorded: &Recorded) -> Shape {
    match &recorded.verdict {
        Verdict::Asked(question) => asked(question),
        Verdict::Allowed { scopes } => {
            Shape { verdict: "issued without asking", scopes: scopes.to_string(), ..Shape::default() }
        }
    }
}

fn after(policy: &Policy, history: &History, recorded: &Recorded) -> Shape {
    let asked = &recorded.asked;
    let first_time = |scope: &Scope| history.is_first(asked, scope, recorded.at);
    let judged = policy.judge(asked, &first_time, recorded.at);
    let ruling = policy.rule(asked, judged, recorded.narrow_scope);
    if let Some(refused) = policy.refused_all_the_same(asked, &ruling, recorded.at) {
        return refusal(&refused);
    }
    match ruling {
        Ruling::Refused(refused) => refusal(&refused),
        Ruling::Allowed(terms) => allowed(&terms),
        Ruling::Observed(terms) => Shape { verdict: "only observed", ..allowed(&terms) },
        Ruling::BreakGlass(glass) => Shape { verdict: "issued by breaking the glass", ..allowed(&glass.terms) },
        Ruling::Asked(question) => self::asked(&question),
    }
}

fn refusal(refused: &Refused) -> Shape {
    Shape { verdict: "refused", says: Some(refused.says.clone()), ..Shape::default() }
}

fn allowed(terms: &Terms) -> Shape {
    let lasts = Some(words::lasts(&terms.bounds));
    Shape { verdict: "issued without asking", scopes: terms.scopes.to_string(), lasts, ..Shape::default() }
}

fn asked(question: &Question) -> Shape {
    let people: BTreeSet<String> = question.requirements.iter().map(words::requirement).collect();
    Shape {
        verdict: "people are asked",
        scopes: question.terms.scopes.to_string(),
        says: None,
        people: Some(people.into_iter().collect::<Vec<_>>().join(" and ")),
        ceremony: Some(words::ceremony(question.ceremony)),
        lasts: Some(words::lasts(&question.terms.bounds)),
    }
}

fn differences(was: &Shape, is: &Shape) -> Vec<String> {
    let mut found = Vec::new();
    if was.verdict != is.verdict {
        let says = is.says.as_ref().map(|says| format!(": {says}")).unwrap_or_default();
        found.push(format!("was: {}; would be: {}{says}", was.verdict, is.verdict));
        return found;
    }
    let mut compare = |what: &str, was: Option<&str>, is: Option<&str>| {
        if let (Some(was), Some(is)) = (was, is)
            && was != is
        {
            found.push(format!("{what} was: {was}; would be: {is}"));
        }
    };
    compare("scopes", Some(&was.scopes), Some(&is.scopes));
    compare("must agree", was.people.as_deref(), is.people.as_deref());
    compare("each approves", was.ceremony, is.ceremony);
    compare("lasts", was.lasts.as_deref(), is.lasts.as_deref());
    found
}
