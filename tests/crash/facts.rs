//! What the audit says happened, folded by access request and grant; and that nothing of it ever changes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::child::Api;

/// The largest page of the operators' API.
const PAGE: usize = 200;

/// What happened to one access request, as counts of entries.
#[derive(Debug, Clone, Default)]
pub struct RequestFacts {
    pub opened: usize,
    pub votes: usize,
    pub approved: usize,
    pub denied: usize,
    pub expired: usize,
    pub cancelled: usize,
    pub grant: Option<String>,
    /// The numbers of the entries that opened it and that ended it.
    pub opened_by: Option<usize>,
    pub ended_by: Option<usize>,
}

/// What happened to one grant.
#[derive(Debug, Clone, Default)]
pub struct GrantFacts {
    pub allowed: usize,
    pub revoked: usize,
    pub ended: usize,
    pub calls: BTreeSet<String>,
    /// The numbers of the entries of its first use and of its end, other than by time.
    pub first_used_by: Option<usize>,
    pub over_by: Option<usize>,
}

/// The audit as it was read so far.
#[derive(Default)]
pub struct Facts {
    hashes: Vec<String>,
    pub requests: BTreeMap<String, RequestFacts>,
    pub grants: BTreeMap<String, GrantFacts>,
    /// The grant under which a call was answered, by the call's identifier.
    pub issued: BTreeMap<String, String>,
    pub kinds: BTreeMap<String, u64>,
}

impl Facts {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Reads what is new, after looking whether the last entry that was seen is still the same. Answers with the
    /// access requests and grants that it is about.
    pub async fn read(&mut self, api: &Api) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
        let (mut requests, mut grants) = (BTreeSet::new(), BTreeSet::new());
        if let Some(last) = self.hashes.last() {
            let again = api.get(&format!("/v1/audit?after={}&limit=1", self.hashes.len() - 1)).await?;
            ensure!(again["entries"][0]["hash"] == **last, "audit entry {} is not what it was", self.hashes.len());
        }
        loop {
            let page = api.get(&format!("/v1/audit?after={}&limit={PAGE}", self.hashes.len())).await?;
            let entries = page["entries"].as_array().context("no audit")?;
            for entry in entries {
                self.add(entry)?;
                requests.extend(entry["request_id"].as_str().map(str::to_owned));
                grants.extend(entry["grant_id"].as_str().map(str::to_owned));
            }
            if entries.len() < PAGE {
                return Ok((requests, grants));
            }
        }
    }

    /// Reads the whole audit again: every entry that was ever seen must be what it was. Time may have added some.
    pub async fn read_again(&self, api: &Api) -> anyhow::Result<()> {
        let mut again = Self::default();
        again.read(api).await?;
        ensure!(again.hashes.starts_with(&self.hashes), "the audit is not what it was read as");
        Ok(())
    }

    fn add(&mut self, entry: &Value) -> anyhow::Result<()> {
        let seq = self.hashes.len() + 1;
        ensure!(entry["seq"] == seq, "audit entry {seq} is missing: {entry}");
        let previous = self.hashes.last().cloned().unwrap_or_else(|| "0".repeat(64));
        ensure!(entry["previous"] == *previous || seq == 1, "audit entry {seq} does not follow the one before it");
        self.hashes.push(entry["hash"].as_str().context("no hash")?.to_owned());
        let kind = entry["kind"].as_str().context("no kind")?;
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        let grant = entry["grant_id"].as_str();
        if let Some(id) = entry["request_id"].as_str() {
            let facts = self.requests.entry(id.to_owned()).or_default();
            match kind {
                "request.opened" => facts.opened += 1,
                "vote.recorded" => facts.votes += 1,
                "request.approved" => (facts.approved, facts.grant) = (facts.approved + 1, grant.map(str::to_owned)),
                "request.denied" => facts.denied += 1,
                "request.expired" => facts.expired += 1,
                "request.cancelled" => facts.cancelled += 1,
                _ => {}
            }
            match kind {
                "request.opened" => facts.opened_by = Some(seq),
                "request.approved" | "request.denied" | "request.expired" | "request.cancelled" => {
                    facts.ended_by = Some(seq);
                }
                _ => {}
            }
        }
        if let Some(id) = grant {
            let facts = self.grants.entry(id.to_owned()).or_default();
            match kind {
                "grant.allowed" => facts.allowed += 1,
                "grant.revoked" => (facts.revoked, facts.over_by) = (facts.revoked + 1, Some(seq)),
                "grant.ended" => (facts.ended, facts.over_by) = (facts.ended + 1, facts.over_by.or(Some(seq))),
                "token.issued" => {
                    let call = entry["detail"]["call"].as_str().context("every call of this harness has a name")?;
                    facts.calls.insert(call.to_owned());
                    facts.first_used_by = facts.first_used_by.or(Some(seq));
                    self.issued.insert(call.to_owned(), id.to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
