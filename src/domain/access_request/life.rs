//! What happens without a vote: time, withdrawal, the same call again.

use serde_json::json;

use super::{AccessRequest, Effect, Refusal, State, Step};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::rule_names;
use crate::domain::hashing::sha256_hex;
use crate::domain::token_request::TokenRequest;

/// How many differing retries are noted on a card; further ones only count.
const NOTES_MAX: usize = 10;

impl AccessRequest {
    pub(super) fn expire(&self, now: Timestamp) -> Step {
        let mut next = self.clone();
        next.state = State::Expired { at: now };
        let summary = format!("nobody decided by {}", self.decide_by);
        let audit = next.entry(Kind::RequestExpired, Actor::Time, summary, json!({}), now);
        Step {
            next,
            grant: None,
            cooldowns: Vec::new(),
            audit,
            effects: vec![Effect::RefreshCards, Effect::TellRequester],
        }
    }

    pub(super) fn cancel(&self, by: Actor, now: Timestamp) -> Step {
        let mut next = self.clone();
        next.state = State::Cancelled { by: by.clone(), at: now };
        let audit = next.entry(Kind::RequestCancelled, by.clone(), format!("{by} withdrew it"), json!({}), now);
        Step {
            next,
            grant: None,
            cooldowns: Vec::new(),
            audit,
            effects: vec![Effect::RefreshCards, Effect::TellRequester],
        }
    }

    /// A retry attaches and gets at most what the card shows; what differs is noted in the thread, once.
    pub(super) fn ask_again(&self, asked: &TokenRequest, now: Timestamp) -> Result<Step, Refusal> {
        let differences = self.differences(asked);
        let hash = sha256_hex(differences.join("\n").as_bytes());
        if differences.is_empty() || self.noted.contains(&hash) || self.noted.len() >= NOTES_MAX {
            return Err(Refusal::Nothing);
        }
        let mut next = self.clone();
        next.noted.insert(hash);
        let text = format!("Asked again with {}. What is granted stays what the card shows.", differences.join(", "));
        let hook = Actor::Hook(asked.hook.clone());
        let audit = next.entry(Kind::RequestJoined, hook, text.clone(), json!({ "differences": differences }), now);
        Ok(Step { next, grant: None, cooldowns: Vec::new(), audit, effects: vec![Effect::NoteInThread { text }] })
    }

    fn differences(&self, asked: &TokenRequest) -> Vec<String> {
        let mut all = Vec::new();
        if asked.reason != self.asked.reason {
            all.push(format!("another reason: {}", asked.reason.as_deref().unwrap_or("none")));
        }
        if asked.requested_lifetime != self.asked.requested_lifetime {
            let wish = asked.requested_lifetime.map_or_else(|| "none named".to_owned(), |s| format!("{s} s"));
            all.push(format!("another lifetime: {wish}"));
        }
        if asked.context.get("ip") != self.asked.context.get("ip") {
            let address = asked.context.get("ip").and_then(|ip| ip.as_str()).unwrap_or("unknown");
            all.push(format!("another address: {address}"));
        }
        all
    }

    pub(super) fn entry(
        &self,
        kind: Kind,
        actor: Actor,
        summary: String,
        mut detail: serde_json::Value,
        at: Timestamp,
    ) -> AuditEntry {
        detail["rules"] = json!(rule_names(&self.question.terms));
        if detail.get("policy").is_none() {
            detail["policy"] = json!(self.policy);
        }
        AuditEntry { at, kind, actor, request_id: Some(self.id.clone()), grant_id: None, summary, detail }
    }
}
