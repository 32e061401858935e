//! `countersign policy explain`: what one token request gets, and why.

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::Context;

use super::{Said, request, words};
use crate::config::read_policy;
use crate::domain::Timestamp;
use crate::domain::identity::parties;
use crate::domain::policy::{Explained, Mode, Outcome, Passed, Policy, Question, Ruling, SelfApproval, Terms};
use crate::domain::token_request::{SubjectKind, TokenRequest};

/// Judges a token request and explains the verdict.
pub(super) fn explain(
    policy: &Path,
    request: &Path,
    at: Timestamp,
    first_time: &[String],
    narrow_scope: bool,
) -> anyhow::Result<Said> {
    let policy = read_policy(policy)?;
    let body = std::fs::read(request).with_context(|| format!("{} cannot be read", request.display()))?;
    let asked = request::read(&body)?;
    let explained = policy.explain(&asked, &|scope| first_time.iter().any(|first| first == scope.as_str()), at);
    let judged = explained.iter().map(|one| one.judged.clone()).collect();
    let ruling = policy.rule(&asked, judged, narrow_scope);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = asks(&mut text, &asked, at)
        .and_then(|()| explained.iter().try_for_each(|one| one_scope(&mut text, &policy, one)))
        .and_then(|()| sum(&mut text, &Case { policy: &policy, asked: &asked, at }, &ruling, &explained));
    Ok(Said { text, ok: true })
}

/// What is judged, under which policy, and when.
struct Case<'a> {
    policy: &'a Policy,
    asked: &'a TokenRequest,
    at: Timestamp,
}

fn asks(out: &mut String, asked: &TokenRequest, at: Timestamp) -> fmt::Result {
    let whom = match asked.subject.kind {
        SubjectKind::User => format!("for {}", asked.subject.id),
        SubjectKind::Client => "for itself".to_owned(),
    };
    let scopes = if asked.scopes.is_empty() { "no scope".to_owned() } else { asked.scopes.to_string() };
    let audience: Vec<&str> = asked.audience.iter().map(String::as_str).collect();
    let audience = if audience.is_empty() { String::new() } else { format!(" at {}", audience.join(", ")) };
    writeln!(out, "{} asks {whom}{audience}: {scopes}", asked.client.id)?;
    writeln!(out, "through the hook {}, {}", asked.hook, at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

fn one_scope(out: &mut String, policy: &Policy, one: &Explained) -> fmt::Result {
    let decided = one.number.and_then(|number| policy.rules.get(number - 1));
    let scope = words::scope(&one.judged.scope);
    match (&one.judged.outcome, one.number) {
        (Outcome::Deny(_), None) => writeln!(out, "\n{scope}: refused, because no rule is true for it")?,
        (Outcome::Deny(_), Some(number)) => writeln!(out, "\n{scope}: refused by rule {number}")?,
        (Outcome::Allow(_), number) => writeln!(out, "\n{scope}: allowed by rule {}", number.unwrap_or_default())?,
        (Outcome::BreakGlass(_), number) => {
            writeln!(out, "\n{scope}: issued by breaking the glass, says rule {}", number.unwrap_or_default())?;
        }
        (Outcome::Ask(_), number) => {
            writeln!(out, "\n{scope}: people are asked, says rule {}", number.unwrap_or_default())?
        }
    }
    for passed in &one.earlier {
        writeln!(out, "  {:>3}  {}", passed.number, passed.rule)?;
        writeln!(out, "       not this one: {}", why_not(passed))?;
    }
    if let (Some(rule), Some(number)) = (decided, one.number) {
        writeln!(out, "  {number:>3}  {}", rule.name)?;
        // A rule that cannot be applied has another outcome than the one that stands in the file.
        if rule.outcome == one.judged.outcome {
            writeln!(out, "       this one: {}", words::one_line(rule.when.source()))?;
        }
        writeln!(out, "       it {}", words::outcome(&one.judged.outcome))?;
        if one.judged.mode == Mode::Observe {
            writeln!(out, "       but it only looks on: the scope passes, and this is recorded")?;
        }
    }
    Ok(())
}

fn why_not(passed: &Passed) -> String {
    let seen: Vec<String> = passed
        .seen
        .iter()
        .map(|seen| match &seen.value {
            Some(value) => format!("{} is {value}", seen.what),
            None => format!("{} is not there", seen.what),
        })
        .collect();
    let part = words::one_line(&passed.part);
    if seen.is_empty() { format!("it wants {part}") } else { format!("it wants {part}, and here {}", seen.join(", ")) }
}

fn sum(out: &mut String, case: &Case<'_>, ruling: &Ruling, explained: &[Explained]) -> fmt::Result {
    if let Some(refused) = case.policy.refused_all_the_same(case.asked, ruling, case.at) {
        writeln!(out, "\nAll together: refused, and nobody is asked")?;
        if let Some(rule) = &refused.rule {
            writeln!(out, "  because of the rule   {rule}")?;
        }
        return writeln!(out, "  the server is told    {}", refused.says);
    }
    match ruling {
        Ruling::Refused(refused) => {
            writeln!(out, "\nAll together: refused")?;
            writeln!(out, "  the server is told    {}", refused.says)
        }
        Ruling::Allowed(terms) => {
            writeln!(out, "\nAll together: issued without asking")?;
            issued(out, terms)
        }
        Ruling::Observed(terms) => {
            writeln!(out, "\nAll together: passes, because the rules only look on; it is recorded")?;
            issued(out, terms)
        }
        Ruling::BreakGlass(glass) => {
            writeln!(out, "\nAll together: issued at once to whoever may break the glass, and reviewed afterwards")?;
            issued(out, &glass.terms)?;
            for sets in &glass.requesters {
                writeln!(out, "  who asks              is a person of {}", words::sets(sets))?;
            }
            writeln!(out, "  told at once          {}", words::all(&glass.tell))?;
            writeln!(out, "  reviewed within       {}", words::time(glass.review_within))
        }
        Ruling::Asked(question) => {
            asked(out, question)?;
            never(out, case, question)?;
            card(out, question, explained)
        }
    }
}

fn asked(out: &mut String, question: &Question) -> fmt::Result {
    writeln!(out, "\nAll together: people are asked")?;
    issued(out, &question.terms)?;
    for wanted in &question.requirements {
        writeln!(out, "  must agree            {}, for {}", words::requirement(wanted), wanted.scopes)?;
    }
    if question.requirements.len() > 1 {
        let how = if question.shared { "one person may count for several" } else { "each by another person" };
        writeln!(out, "                        {how}")?;
    }
    writeln!(out, "  each approves         {}", words::ceremony(question.ceremony))?;
    writeln!(out, "  decided within        {}", words::time(question.decide_within))?;
    writeln!(out, "  collected within      {}", words::time(question.terms.bounds.collect_within))
}

/// Who asks, is asked for, acts, or owns the client.
fn never(out: &mut String, case: &Case<'_>, question: &Question) -> fmt::Result {
    let how = match question.self_approval {
        SelfApproval::Never => "never decides        ",
        SelfApproval::WithReason => "needs a reason to    ",
        SelfApproval::Allowed => "may decide, too      ",
    };
    let parties = parties(case.asked);
    let owners = case.policy.owners(case.asked, case.at).unwrap_or_default();
    let owners = owners.difference(&parties).map(|owner| format!("{owner} (owns the client)"));
    let all: Vec<String> = parties.iter().map(ToString::to_string).chain(owners).collect();
    writeln!(out, "  {how} {}", all.join(", "))
}

/// Where the card goes. The usual channel stands in the other file.
fn card(out: &mut String, question: &Question, explained: &[Explained]) -> fmt::Result {
    let names_none = |one: &Explained| matches!(&one.judged.outcome, Outcome::Ask(ask) if ask.channel.is_none());
    let mut channels: Vec<String> = question.channels.iter().map(ToString::to_string).collect();
    if channels.is_empty() || explained.iter().any(names_none) {
        channels.push("the usual channel".to_owned());
    }
    writeln!(out, "  card in               {}", channels.join(", "))
}

fn issued(out: &mut String, terms: &Terms) -> fmt::Result {
    let scopes = if terms.scopes.is_empty() { "no scope".to_owned() } else { terms.scopes.to_string() };
    writeln!(out, "  scopes                {scopes}")?;
    for (scope, refused) in &terms.dropped {
        writeln!(out, "  drops out             {}: {}", words::scope(scope), refused.says)?;
    }
    writeln!(out, "  lasts                 {}", words::lasts(&terms.bounds).trim_start_matches("for "))?;
    writeln!(out, "  may be used           {}", words::uses(terms.bounds.uses))
}
