//! What the length of the policy costs: the answer from a standing grant under few and under many rules, and
//! judging alone.
//!
//! The rules are as people write them: about one scope, a few, a family of them, one client, one hook; with times,
//! `context` and reasons beside that. All of them can be passed over without evaluating CEL. What it costs where
//! that cannot be told is a row of its own: the same rules, spelled so that nothing can be told of them.

use std::fmt::Write;
use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use countersign::clock::{Clock, SystemClock};
use countersign::config::policy_file;
use countersign::domain::policy::Policy;
use countersign::domain::token_request::TokenRequest;
use serde_json::json;

use crate::client::throughput;
use crate::deployment::{Deployment, Signer, people};
use crate::report::{Bar, Report, Row, median, say};
use crate::servers::Server;
use crate::slack::Slack;

const FEW: usize = 5;
const MANY: usize = 200;
/// How many calls are under way at the same time, and how many people hold a grant each.
const AT_ONCE: usize = 64;
const PEOPLE: usize = 64;
const ROUNDS: usize = 9;
const CALLS: usize = 6_000;
/// How often a request is judged for one number of the cost table.
const JUDGED: usize = 2_000;

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(1);
    let slack = Slack::start(&leads).await?;
    let (few, many) = (deployed(&slack, &leads, FEW)?, deployed(&slack, &leads, MANY)?);
    let (few, many) =
        ((Server::countersign(few.folder()).await?, few), (Server::countersign(many.folder()).await?, many));
    let mut signer = Signer::new()?;
    for (scopes, what) in
        [(1, "standing grant, 200 rules / 5, 1 scope"), (10, "standing grant, 200 rules / 5, 10 scopes")]
    {
        let (mut few_times, mut many_times, mut ratios) = (vec![], vec![], vec![]);
        // The first round makes the grants, warms up and does not count.
        for round in 0..=ROUNDS {
            let under_few = 1e6 / throughput(few.0.address, AT_ONCE, &signed(&mut signer, scopes), 200).await?;
            let under_many = 1e6 / throughput(many.0.address, AT_ONCE, &signed(&mut signer, scopes), 200).await?;
            say(&format!("  {scopes} scopes, round {round}: {under_few:.1}, {under_many:.1} µs a call"));
            if round > 0 {
                few_times.push(under_few);
                many_times.push(under_many);
                ratios.push(under_many / under_few);
            }
        }
        report.row(Row {
            what,
            ours: format!("{:.1} µs a call", median(&many_times)),
            baseline: format!("{:.1} µs a call", median(&few_times)),
            ratio: median(&ratios),
            bar: Bar::AtMost(1.3),
        });
    }
    report.note(format!("standing grant under a policy: {AT_ONCE} calls at once, each with its own webhook-id; medians of {ROUNDS} rounds of {CALLS} calls."));
    table(report)
}

fn deployed(slack: &Slack, leads: &[String], rules: usize) -> anyhow::Result<Deployment> {
    let deployment = Deployment::new(slack.address, leads)?;
    std::fs::write(deployment.folder().join("policy.toml"), policy(rules, Spelling::Plain)?)?;
    Ok(deployment)
}

fn signed(signer: &mut Signer, scopes: usize) -> Vec<Bytes> {
    (0..CALLS).map(|n| signer.call(&asked(scopes, n % PEOPLE).to_string(), "")).collect()
}

fn asked(scopes: usize, person: usize) -> serde_json::Value {
    let scopes: Vec<String> = (0..scopes).map(|n| format!("ledger:book{n}")).collect();
    json!({
        "hook": "billing", "grant_type": "client_credentials", "client_id": "billing-cli",
        "subject": format!("person{person}@example.com"), "scope": scopes.join(" "),
        "audience": ["https://payments.example.com"], "reason": "close PAY-4821", "context": {"ip": "203.0.113.7"}
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// As people write.
    Plain,
    /// So that nothing can be told of a rule without evaluating it.
    Opaque,
}

/// A policy with so many rules; the last one allows what is asked here.
fn policy(rules: usize, spelling: Spelling) -> anyhow::Result<String> {
    let mut text = "[approvers.payments-leads]\nslack_groups = [\"S0LEADS\"]\n".to_owned();
    let ask = "ask = { approvers = [\"payments-leads\"], approvals = 1, max_duration = \"1h\" }";
    let allow = "allow = { max_duration = \"8h\", max_token_lifetime = \"15m\" }";
    let deny = "deny = \"Not here.\"";
    for n in 1..rules {
        let (when, verdict) = match n % 6 {
            0 => (format!("scope == \"service{n}:write\" && subject.kind == \"user\""), ask),
            1 => (format!("scope.endsWith(\":admin{n}\") && client.id.startsWith(\"ci-\")"), deny),
            2 => (
                format!("scope in [\"service{n}:a\", \"service{n}:b\"] && now.getHours(\"Europe/Berlin\") >= 7"),
                allow,
            ),
            3 => (
                format!(
                    "client.id == \"client-{n}\" && scope.startsWith(\"service{n}:\") && reason.matches(\"[A-Z]+-[0-9]+\")"
                ),
                ask,
            ),
            4 => (format!("scope.startsWith(\"vault{n}:\") && has(context.break_glass) && context.break_glass"), deny),
            _ => (format!("hook == \"server{n}\" && audience.exists(a, a.startsWith(\"https://service{n}\"))"), ask),
        };
        rule(&mut text, n, &when, verdict, spelling)?;
    }
    rule(&mut text, rules, "scope.startsWith(\"ledger:\") && subject.kind == \"user\"", allow, Spelling::Plain)?;
    Ok(text)
}

fn rule(text: &mut String, n: usize, when: &str, verdict: &str, spelling: Spelling) -> anyhow::Result<()> {
    let when = if spelling == Spelling::Opaque { format!("(({when}) == true)") } else { when.to_owned() };
    Ok(writeln!(text, "\n[[rule]]\nname = \"rule {n}\"\nwhen = '{when}'\n{verdict}")?)
}

/// Judging alone, by number of rules and of scopes.
fn table(report: &mut Report) -> anyhow::Result<()> {
    report.note("judging alone, in µs for each request (in brackets: the same rules, each evaluated):");
    for rules in [10, 100, 1_000] {
        let parse = |spelling| -> anyhow::Result<Policy> {
            policy_file::parse("policy.toml", &policy(rules, spelling)?).map_err(|errors| anyhow::anyhow!("{errors}"))
        };
        let (plain, opaque) = (parse(Spelling::Plain)?, parse(Spelling::Opaque)?);
        let cells: Vec<String> = [1, 10]
            .into_iter()
            .map(|scopes| {
                let request = request(scopes)?;
                let evaluated = micros(&opaque, &request, JUDGED / rules.min(100))?;
                Ok(format!("{scopes} scopes {:.1} ({evaluated:.0})", micros(&plain, &request, JUDGED)?))
            })
            .collect::<anyhow::Result<_>>()?;
        report.note(format!("  {rules:>5} rules: {}", cells.join(", ")));
    }
    Ok(())
}

fn request(scopes: usize) -> anyhow::Result<TokenRequest> {
    let scopes: Vec<String> = (0..scopes).map(|n| format!("ledger:book{n}")).collect();
    Ok(serde_json::from_value(json!({
        "hook": "billing", "grant_type": "client_credentials", "client": {"id": "billing-cli"},
        "subject": {"kind": "user", "id": "person1@example.com"}, "scopes": scopes,
        "audience": ["https://payments.example.com"], "reason": "close PAY-4821", "context": {"ip": "203.0.113.7"}
    }))?)
}

fn micros(policy: &Policy, request: &TokenRequest, times: usize) -> anyhow::Result<f64> {
    let now = SystemClock.now();
    let mut each = Vec::with_capacity(times);
    for _ in 0..times {
        let begin = Instant::now();
        let judged = policy.judge(request, &|_| false, now);
        each.push(begin.elapsed().as_secs_f64() * 1e6);
        ensure!(judged.iter().all(|one| one.rule.as_deref() == policy.rules.last().map(|rule| rule.name.as_str())));
    }
    Ok(median(&each))
}
