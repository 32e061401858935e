//! Judges a service that was started again after a kill: against the journal, against its own audit, and
//! against what the stand-in shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use countersign::playground::Playground;
use serde_json::Value;

use crate::cards::Card;
use crate::child::Api;
use crate::facts::Facts;
use crate::journal::{Journal, Promise, Sent};
use crate::world::APPROVERS;

/// What waits must be delivered within this time.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);
/// So many of the newest are looked at after each kill, touched or not.
pub const PAGE: usize = 40;
/// The largest page of the operators' API.
const PAGE_MAX: usize = 200;
/// How often is looked.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Views of the operators' API by identifier.
pub type Views = BTreeMap<String, Value>;

/// What must hold, and what is known so far.
pub struct Oracle {
    /// The harness's book.
    pub journal: Arc<Journal>,
    /// What people see.
    pub playground: Playground,
    /// The audit.
    pub facts: Facts,
    settled: Views,
    grants: Views,
    /// How many cards there are beyond one for each access request.
    pub duplicates: usize,
    /// How many cards and replies there are beyond one for each, by channel.
    pub twice: BTreeMap<String, usize>,
    /// Cards that were clicked after a kill and must therefore be known to the service.
    pub clicked: BTreeSet<String>,
    /// What does not hold.
    pub found: Vec<String>,
}

/// What the operators' API says about everything that was touched, all at one moment.
pub struct Snapshot {
    /// The access requests.
    pub requests: Views,
    /// The grants.
    pub grants: Views,
    /// The access requests that were opened since the last snapshot.
    pub fresh: Vec<String>,
    /// The access requests that something happened to since then.
    pub touched: Vec<String>,
}

impl Oracle {
    /// Knows nothing yet.
    pub fn new(journal: &Arc<Journal>, playground: &Playground) -> Self {
        Self {
            journal: Arc::clone(journal),
            playground: playground.clone(),
            facts: Facts::default(),
            settled: Views::new(),
            grants: Views::new(),
            duplicates: 0,
            twice: BTreeMap::new(),
            clicked: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// Something does not hold.
    pub fn finding(&mut self, what: String) {
        self.journal.note(&serde_json::json!({ "finding": what }));
        self.found.push(what);
    }

    /// Fails if anything that must hold does not.
    pub fn verdict(&self, when: &str) -> anyhow::Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = self.found.iter().take(12).map(String::as_str).collect();
        bail!("{when}: {} findings:\n  {}", self.found.len(), shown.join("\n  "))
    }

    /// Waits until nothing waits to be delivered.
    pub async fn drained(&mut self, api: &Api) -> anyhow::Result<()> {
        self.drained_within(api, DRAINED_WITHIN).await
    }

    /// The same where there is more to deliver than a kill leaves.
    pub async fn drained_within(&mut self, api: &Api, most: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while api.waiting().await? > 0 {
            if began.elapsed() > most {
                bail!("{} deliveries wait after {most:?}", api.waiting().await?);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let dead = api.get("/v1/outbox").await?;
        if dead["dead"].as_array().is_none_or(|dead| !dead.is_empty()) {
            self.finding(format!("deliveries were given up: {dead}"));
        }
        Ok(())
    }

    /// Reads everything that was touched, or all there is, until nothing changes in between.
    pub async fn snapshot(&mut self, api: &Api, also: &[String], everything: bool) -> anyhow::Result<Snapshot> {
        let before: BTreeSet<String> = self.facts.requests.keys().cloned().collect();
        let (mut ids, mut grant_ids) = (also.iter().cloned().collect::<BTreeSet<_>>(), BTreeSet::new());
        let (mut requests, mut grants);
        loop {
            let (touched, touched_grants) = self.facts.read(api).await?;
            ids.extend(touched);
            grant_ids.extend(touched_grants);
            requests = listed(api, "requests", everything).await?;
            grants = listed(api, "grants", everything).await?;
            complete(api, "requests", &ids, &mut requests).await?;
            let behind = requests.values().filter_map(|view| view["outcome"]["grant"].as_str().map(str::to_owned));
            grant_ids.extend(behind);
            complete(api, "grants", &grant_ids, &mut grants).await?;
            let seen = self.facts.len();
            let (touched, touched_grants) = self.facts.read(api).await?;
            ids.extend(touched);
            grant_ids.extend(touched_grants);
            if self.facts.len() == seen {
                break;
            }
        }
        let touched = ids.into_iter().collect();
        let fresh = self.facts.requests.keys().filter(|id| !before.contains(*id)).cloned().collect();
        Ok(Snapshot { requests, grants, fresh, touched })
    }

    /// Every access request and grant is wholly there or not at all, and what was settled is what it was.
    pub fn is_whole(&mut self, snapshot: &Snapshot) {
        for (id, view) in &snapshot.requests {
            for what in self.request_is_whole(id, view, snapshot) {
                self.finding(format!("{id}: {what}: {view}"));
            }
            if view["outcome"]["state"] != "pending" {
                match self.settled.get(id) {
                    Some(earlier) if earlier != view => self.finding(format!("{id} was {earlier} and is {view}")),
                    Some(_) => {}
                    None => drop(self.settled.insert(id.clone(), view.clone())),
                }
            }
        }
        for (id, view) in &snapshot.grants {
            for what in self.grant_is_whole(id, view, snapshot) {
                self.finding(format!("{id}: {what}: {view}"));
            }
            self.grants.insert(id.clone(), view.clone());
        }
    }

    fn request_is_whole(&self, id: &str, view: &Value, snapshot: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        let facts = self.facts.requests.get(id).cloned().unwrap_or_default();
        let votes = view["approved_by"].as_array().map_or(0, Vec::len);
        let ends = (facts.approved, facts.denied, facts.expired, facts.cancelled);
        let wanted = match view["outcome"]["state"].as_str() {
            Some("pending") => (0, 0, 0, 0),
            Some("approved") => (1, 0, 0, 0),
            Some("denied") => (0, 1, 0, 0),
            Some("expired") => (0, 0, 1, 0),
            _ => (0, 0, 0, 1),
        };
        if facts.opened != 1 {
            wrong.push(format!("{} entries say that it was opened", facts.opened));
        }
        if ends != wanted {
            wrong.push(format!("its end and the audit disagree {ends:?}"));
        }
        if facts.votes + facts.approved != votes {
            wrong.push(format!("{votes} people approved, the audit has {}", facts.votes + facts.approved));
        }
        let of_it = snapshot.grants.iter().filter(|(_, grant)| grant["source"]["request"] == *id);
        let of_it: Vec<&str> = of_it.map(|(grant, _)| grant.as_str()).collect();
        let named: Vec<&str> = view["outcome"]["grant"].as_str().into_iter().collect();
        if of_it != named || facts.grant.as_deref() != named.first().copied() {
            wrong.push(format!("its grants are {of_it:?}, it names {named:?}, the audit {:?}", facts.grant));
        }
        wrong
    }

    fn grant_is_whole(&self, id: &str, view: &Value, snapshot: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        let facts = self.facts.grants.get(id).cloned().unwrap_or_default();
        let used = usize::try_from(view["used"].as_u64().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        if used != facts.calls.len() {
            wrong.push(format!("{} different calls were answered under it", facts.calls.len()));
        }
        if used > 1 && view["rules"] == serde_json::json!(["once"]) {
            wrong.push("it was for a single use".to_owned());
        }
        if (view["status"] == "revoked") != (facts.revoked == 1) || facts.revoked > 1 {
            wrong.push(format!("{} entries say that it was revoked", facts.revoked));
        }
        match view["source"]["request"].as_str() {
            None if facts.allowed != 1 => wrong.push("no entry says why it exists".to_owned()),
            None => {}
            Some(request) => {
                let behind = snapshot.requests.get(request).or_else(|| self.settled.get(request));
                if behind.is_none_or(|behind| {
                    behind["outcome"]["grant"] != *id || behind["approved_by"] != view["approved_by"]
                }) {
                    wrong.push(format!("the access request behind it is {behind:?}"));
                }
            }
        }
        if let Some(earlier) = self.grants.get(id) {
            let fixed = [
                "source",
                "hook",
                "client",
                "subject",
                "scope",
                "audience",
                "granted_at",
                "expires_at",
                "approved_by",
                "rules",
            ];
            let grew = fixed.iter().any(|member| earlier[member] != view[member]);
            let revived = earlier["status"] == "revoked" && view["status"] != "revoked";
            if grew || revived || earlier["used"].as_u64() > view["used"].as_u64() {
                wrong.push(format!("it was {earlier}"));
            }
        }
        wrong
    }

    /// What was acknowledged is there.
    pub fn is_kept(&mut self, promises: &[Promise], snapshot: &Snapshot) {
        for promise in promises {
            if let Some(broken) = self.is_broken(promise, snapshot) {
                self.finding(format!("acknowledged and not kept: {promise:?}: {broken}"));
            }
        }
    }

    fn is_broken(&self, promise: &Promise, snapshot: &Snapshot) -> Option<String> {
        let view = |id: &String| snapshot.requests.get(id).or_else(|| self.settled.get(id));
        let state =
            |id: &String| view(id).map_or("absent", |view| view["outcome"]["state"].as_str().unwrap_or_default());
        let revoked = |id: &String| self.facts.grants.get(id).is_some_and(|facts| facts.revoked == 1);
        let (kept, is) = match promise {
            Promise::Opened { request } => {
                (self.facts.requests.get(request).is_some_and(|f| f.opened == 1), state(request))
            }
            Promise::Issued { call, grant } => {
                let on_record = self.facts.grants.get(grant).is_some_and(|facts| facts.calls.contains(call));
                (on_record, "not on record")
            }
            Promise::Refused { request } => {
                (matches!(state(request), "denied" | "expired" | "cancelled"), state(request))
            }
            Promise::Settled { request } => (!matches!(state(request), "pending" | "absent"), state(request)),
            Promise::Voted { request, person } => {
                let pending = matches!(state(request), "pending" | "absent");
                (!pending || view(request).is_some_and(|view| has_approved(view, person)), state(request))
            }
            Promise::Over { request } => {
                let grant = view(request).and_then(|view| view["outcome"]["grant"].as_str());
                let over = grant.and_then(|id| snapshot.grants.get(id)).map(|grant| grant["status"].clone());
                (over.is_some_and(|status| status != "active" && status != "reserved"), state(request))
            }
            Promise::Revoked { grant } => (revoked(grant), "not revoked"),
            Promise::Seen { view: seen } => {
                let id = seen["id"].as_str().unwrap_or_default().to_owned();
                (view(&id).is_some_and(|now| now == seen), state(&id))
            }
        };
        (!kept).then(|| is.to_owned())
    }

    /// Counts what became of what was not acknowledged: both ways are right, and both must happen.
    pub fn tally(&self, unanswered: &[Sent], snapshot: &Snapshot) {
        for sent in unanswered {
            let view = |id: &String| snapshot.requests.get(id);
            let happened = match sent {
                Sent::Hook { call, .. } => self.facts.issued.contains_key(call),
                Sent::Approve { request, person } => view(request).is_some_and(|view| has_approved(view, person)),
                Sent::Deny { request, person } => {
                    view(request).is_some_and(|view| view["outcome"]["by"].to_string().contains(person.as_str()))
                }
                Sent::Revoke { grant } => self.facts.grants.get(grant).is_some_and(|facts| facts.revoked == 1),
                Sent::RevokeClick { request, .. } => {
                    let grant = view(request).and_then(|view| view["outcome"]["grant"].as_str());
                    grant.and_then(|id| self.facts.grants.get(id)).is_some_and(|facts| facts.revoked == 1)
                }
                Sent::Idle { .. } => continue,
            };
            self.journal.count(if happened { "unanswered and there" } else { "unanswered and not there" });
        }
    }

    /// No two access requests of one thing were pending at the same time, and nobody was asked about what was approved
    /// and still stood. The audit's order is the order of the commits; what its entries say of the time is when each
    /// call began to be looked at. For a snapshot of everything.
    pub fn no_overlap(&mut self, snapshot: &Snapshot) {
        let mut by_audience: BTreeMap<String, Vec<(usize, &Value)>> = BTreeMap::new();
        for (id, view) in &snapshot.requests {
            let opened_by = self.facts.requests.get(id).and_then(|facts| facts.opened_by).unwrap_or(0);
            by_audience.entry(view["audience"].to_string()).or_default().push((opened_by, view));
        }
        let mut overlaps = Vec::new();
        for mut views in by_audience.into_values() {
            views.sort_by_key(|(opened_by, _)| *opened_by);
            for pair in views.windows(2) {
                let ((_, earlier), (opened_by, later)) = (pair[0], pair[1]);
                if self.over_by(earlier).is_none_or(|over_by| over_by > opened_by) {
                    overlaps.push(format!("asked about once more, in entry {opened_by}: {earlier} and {later}"));
                }
            }
        }
        overlaps.into_iter().for_each(|what| self.finding(what));
    }

    /// The entry since which an access request answers no call any more: neither by being pending nor by its grant.
    fn over_by(&self, view: &Value) -> Option<usize> {
        let facts = view["id"].as_str().and_then(|id| self.facts.requests.get(id))?;
        let Some(grant) = &facts.grant else { return facts.ended_by };
        let grant = self.facts.grants.get(grant)?;
        let single = view["rules"] == serde_json::json!(["once"]);
        grant.first_used_by.filter(|_| single).into_iter().chain(grant.over_by).min()
    }
}

/// The name of a card.
pub fn place(card: &Card) -> String {
    format!("{}/{}", card.channel, card.ts)
}

/// The stage that a card must show.
pub fn stage(view: &Value, grants: &Views) -> &'static str {
    match view["status"].as_str() {
        Some("pending") => "pending",
        Some("denied") => "denied",
        Some("expired") => "expired",
        Some("cancelled") => "cancelled",
        _ => {
            let grant = view["outcome"]["grant"].as_str().and_then(|id| grants.get(id));
            match grant.and_then(|grant| grant["status"].as_str()) {
                Some("reserved" | "active") => "approved",
                Some("revoked") => "revoked",
                _ => "ended",
            }
        }
    }
}

/// Whether this person's approval counts for it.
pub fn has_approved(view: &Value, person: &str) -> bool {
    let identity = APPROVERS.iter().find(|(user, _)| *user == person).map(|(_, identity)| *identity);
    identity
        .is_some_and(|identity| view["approved_by"].as_array().is_some_and(|all| all.iter().any(|one| one == identity)))
}

/// The newest page of a list, or all of it.
pub async fn listed(api: &Api, what: &str, everything: bool) -> anyhow::Result<Views> {
    let (mut all, mut before) = (Views::new(), String::new());
    loop {
        let most = if everything { PAGE_MAX } else { PAGE };
        let page = api.get(&format!("/v1/{what}?limit={most}{before}")).await?;
        let views = page[what].as_array().context("no list")?;
        for view in views {
            let id = view["id"].as_str().context("no id")?;
            before = format!("&before={id}");
            all.insert(id.to_owned(), view.clone());
        }
        if views.len() < most || !everything {
            return Ok(all);
        }
    }
}

/// Adds the views that are not there yet.
///
/// # Errors
/// When something that was acknowledged, or that the audit names, is not there.
pub async fn complete(api: &Api, what: &str, ids: &BTreeSet<String>, views: &mut Views) -> anyhow::Result<()> {
    for id in ids {
        if !views.contains_key(id) {
            let view = api
                .get(&format!("/v1/{what}/{id}"))
                .await
                .with_context(|| format!("{id} stands in the audit or was acknowledged"))?;
            views.insert(id.clone(), view);
        }
    }
    Ok(())
}
