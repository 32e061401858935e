//! What drawing the largest card costs, beside what it costs to make anything durable: as many scopes as may be asked,
//! each described at length, and the longest of everything else that a client may write.

use std::time::Instant;

use anyhow::{Context, bail};
use countersign::clock::{Clock, SystemClock};
use countersign::config::policy_file;
use countersign::domain::access_request::{AccessRequest, ServerAbilities};
use countersign::domain::ids::{HookName, RequestId};
use countersign::domain::policy::Ruling;
use countersign::domain::scope::ScopeSet;
use countersign::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use countersign::slack::cards::{self, CardFacts};

use crate::report::{Bar, Report, Row, median};
use crate::wake;

/// How many scopes, of so many characters each: both limits of a request are met.
const SCOPES: usize = 50;
const SCOPE_CHARS: usize = 48;
const ROUNDS: usize = 200;

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut disk = wake::open(&folder.path().join("commits.db")).await?;
    let policy = policy_file::parse("policy.toml", &policy()).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let now = SystemClock.now();
    let asked = asked()?;
    let question = match policy.rule(&asked, policy.judge(&asked, &|_| true, now), true) {
        Ruling::Asked(question) => question,
        other => bail!("the policy asks nobody: {other:?}"),
    };
    let id = RequestId::parse(format!("req_{}", uuid::Uuid::now_v7().simple())).context("a fresh identifier")?;
    let server = ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: true };
    let request = AccessRequest::open(id, asked, question, server, policy.version.clone(), now).next;
    let texts = |scope: &_| policy.resource_text(&request.asked, scope).cloned();
    let facts = CardFacts {
        request: &request,
        grant: None,
        texts: &texts,
        resource_name: Some("Payments"),
        requester: None,
        approver_words: "<!subteam^S0LEADS>",
        told_words: "",
        button: "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
        now,
    };
    let (mut drawings, mut commits, mut bytes) = (vec![], vec![], 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        bytes = serde_json::to_vec(&cards::card(&facts))?.len();
        drawings.push(begin.elapsed().as_secs_f64());
        commits.push(wake::commit(&mut disk).await?.as_secs_f64());
    }
    let (drawing, commit) = (median(&drawings), median(&commits));
    report.row(Row {
        what: "largest card drawn / durable commit",
        ours: format!("{:.3} ms", drawing * 1e3),
        baseline: format!("{:.3} ms", commit * 1e3),
        ratio: drawing / commit,
        bar: Bar::AtMost(1.0),
    });
    report.note(format!(
        "largest card: {SCOPES} scopes of {SCOPE_CHARS} characters, each described, a reason of 3,000; {bytes} bytes of JSON. Medians of \
         {ROUNDS}, drawn and written in turn."
    ));
    Ok(())
}

/// Every scope by its number.
fn scope(n: usize) -> String {
    format!("{:x<SCOPE_CHARS$}", format!("payments:{n}:"))
}

fn policy() -> String {
    let described: String = (0..SCOPES)
        .map(|n| {
            format!(
                "[[resource.scope]]\nname = \"{}\"\nsays = \"{}\"\nrisk = \"high\"\n",
                scope(n),
                "what it does ".repeat(20)
            )
        })
        .collect();
    format!(
        r#"
[approvers.leads]
slack_groups = ["S0LEADS"]
[[resource]]
audience = "https://payments.example.com"
name = "Payments"
{described}
[[rule]]
name = "everything"
when = 'true'
ask = {{ approvers = ["leads"], approvals = 1, max_duration = "4h", ceremony = "confirm" }}
"#
    )
}

fn asked() -> anyhow::Result<TokenRequest> {
    let long = |chars: usize| "wide ".repeat(chars / 5);
    Ok(TokenRequest {
        hook: HookName::parse("billing")?,
        issuer: Some("https://issuer.example.com".to_owned()),
        grant_type: "client_credentials".to_owned(),
        client: Client { id: "billing-cli".to_owned(), name: Some(long(200)) },
        subject: Subject { kind: SubjectKind::User, id: "alice@example.com".to_owned(), email: None },
        actor: Vec::new(),
        scopes: ScopeSet::parse(&(0..SCOPES).map(scope).collect::<Vec<_>>().join(" "))?,
        audience: ["https://payments.example.com".to_owned()].into(),
        authorization_details: vec![serde_json::json!({ "type": "payment", "what": long(2_000) })],
        cnf: None,
        binding_message: Some("42".to_owned()),
        requested_lifetime: Some(3_600),
        reason: Some(long(3_000)),
        context: [
            ("ip".to_owned(), serde_json::json!("203.0.113.7")),
            ("note".to_owned(), serde_json::json!(long(2_000))),
        ]
        .into(),
    })
}
