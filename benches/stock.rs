//! Stores that are filled before a service is started on them.

use std::path::Path;

use anyhow::{Context, bail};
use countersign::clock::{Clock, SystemClock, Timestamp};
use countersign::config::policy_file;
use countersign::domain::access_request::{AccessRequest, MessageRef, ServerAbilities, Step};
use countersign::domain::ids::{HookName, RequestId, SlackChannelId};
use countersign::domain::policy::{Policy, Ruling};
use countersign::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use countersign::store::{Change, Commit, Delivery, Store};
use futures_util::future::try_join_all;

use crate::deployment::{CHANNEL, POLICY};
use crate::slack::Card;

/// How many are written at the same time.
const AT_ONCE: usize = 256;

/// The policy of all deployments here.
pub fn policy() -> anyhow::Result<Policy> {
    policy_file::parse("policy.toml", POLICY).map_err(|errors| anyhow::anyhow!("{errors}"))
}

/// A store with so many pending access requests, of different people, each with its card.
pub async fn pending(database: &Path, count: usize) -> anyhow::Result<Vec<Card>> {
    let (policy, store) = (policy()?, Store::open(database).await?);
    let mut cards = Vec::with_capacity(count);
    while cards.len() < count {
        let numbers = cards.len()..count.min(cards.len() + AT_ONCE);
        cards.extend(try_join_all(numbers.map(|n| asked_and_shown(&store, &policy, n))).await?);
    }
    store.close().await;
    Ok(cards)
}

/// Lets a card of each of these access requests wait to be posted, in turn to one of so many channels.
pub async fn waiting(database: &Path, requests: &[String], channels: usize) -> anyhow::Result<()> {
    let store = Store::open(database).await?;
    for (n, request) in requests.iter().enumerate() {
        let post = Delivery::PostCard { channel: format!("C0DRAIN{:03}", n % channels) };
        let deliveries = vec![(RequestId::parse(request.clone())?, post)];
        store.commit(Commit { deliveries, ..Commit::default() }, SystemClock.now()).await?;
    }
    store.close().await;
    Ok(())
}

async fn asked_and_shown(store: &Store, policy: &Policy, n: usize) -> anyhow::Result<Card> {
    let now = SystemClock.now();
    let step = opened(policy, n, now)?;
    let card = Card { request: step.next.id.to_string(), value: format!("value{n}"), ts: format!("1795450000.{n:06}") };
    let message = MessageRef { channel: SlackChannelId::parse(CHANNEL)?, ts: card.ts.clone() };
    let commit = Commit {
        request: Some(Change::New(step.next.clone())),
        audit: vec![step.audit],
        card: Some((step.next.id.clone(), message)),
        ..Commit::default()
    };
    store.commit(commit, now).await?;
    store.mint(&card.value, &step.next, CHANNEL, Some(&card.ts), now).await?;
    Ok(card)
}

/// An access request of the n-th person, just opened.
pub fn opened(policy: &Policy, n: usize, now: Timestamp) -> anyhow::Result<Step> {
    let asked = TokenRequest {
        hook: HookName::parse("billing")?,
        issuer: None,
        grant_type: "client_credentials".to_owned(),
        client: Client { id: "billing-cli".to_owned(), name: None },
        subject: Subject { kind: SubjectKind::User, id: format!("person{n}@example.com"), email: None },
        actor: Vec::new(),
        scopes: countersign::domain::scope::ScopeSet::parse("invoices:read payments:refund")?,
        audience: ["https://payments.example.com".to_owned()].into(),
        authorization_details: Vec::new(),
        cnf: None,
        binding_message: Some("42".to_owned()),
        requested_lifetime: Some(3_600),
        reason: Some("refund PAY-4821".to_owned()),
        context: [("ip".to_owned(), serde_json::json!("203.0.113.7"))].into(),
    };
    let judged = policy.judge(&asked, &|_| false, now);
    let question = match policy.rule(&asked, judged, true) {
        Ruling::Asked(question) => question,
        Ruling::Refused(refused) => bail!("the policy refuses: {}", refused.says),
        Ruling::Allowed(_) | Ruling::BreakGlass(_) | Ruling::Observed(_) => bail!("the policy asks nobody"),
    };
    let id = RequestId::parse(format!("req_{}", uuid::Uuid::now_v7().simple())).context("a fresh identifier")?;
    let server = ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: false };
    Ok(AccessRequest::open(id, asked, question, server, policy.version.clone(), now))
}
