//! What an operator or an auditor can find out afterwards.

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use super::TestApp;

/// The tables that hold what is decided. `audit` and `facts` are left out: a refusal may write there.
const DECISIONS: [(&str, &str); 8] = [
    ("access_requests", "SELECT group_concat(id || state || version || body, '; ') FROM access_requests"),
    ("votes", "SELECT group_concat(request_id || principal, '; ') FROM votes"),
    ("grants", "SELECT group_concat(id || state || used || version || body, '; ') FROM grants"),
    ("cooldowns", "SELECT group_concat(subject || scope || until, '; ') FROM cooldowns"),
    ("hook_calls", "SELECT group_concat(call_id || coalesce(grant_id, ''), '; ') FROM hook_calls"),
    ("buttons", "SELECT group_concat(value_hash || coalesce(ts, ''), '; ') FROM buttons"),
    ("reviews", "SELECT group_concat(id || state || version || body, '; ') FROM reviews"),
    ("outbox", "SELECT group_concat(id || state, '; ') FROM outbox"),
];

/// Why a click was refused, as its audit entry says.
pub fn why(entry: &Value) -> &str {
    entry["detail"]["why"].as_str().unwrap_or_default()
}

impl TestApp {
    /// A connection of the test's own to the database file.
    pub async fn database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.file("countersign.db"));
        SqliteConnection::connect_with(&options).await.expect("the file opens")
    }

    /// Everything that is decided or waits to be told, as text: equal before and after what must change nothing.
    pub async fn decided(&self) -> Vec<(&'static str, Option<String>)> {
        let mut database = self.database().await;
        let mut all = Vec::new();
        for (table, sql) in DECISIONS {
            let row = sqlx::query(sql).fetch_one(&mut database).await.expect("a row");
            all.push((table, row.get(0)));
        }
        database.close().await.expect("it closes");
        all
    }

    /// The audit, oldest first, after checking that the chain holds.
    pub async fn audit(&self) -> Vec<Value> {
        self.audit_after(0).await
    }

    /// The entries after a number.
    pub async fn audit_after(&self, mut after: i64) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let page = self.operator_sees(&format!("/v1/audit?after={after}&limit=200")).await;
            let entries = page["entries"].as_array().expect("a list");
            let Some(last) = entries.last() else { break };
            after = last["seq"].as_i64().expect("a number");
            all.extend(entries.iter().cloned());
        }
        self.service().store().verify_audit().await.expect("the chain holds");
        all
    }

    /// The number of the last entry.
    pub async fn audited(&self) -> i64 {
        self.audit().await.last().map_or(0, |entry| entry["seq"].as_i64().expect("a number"))
    }

    /// What happened, in one word each.
    pub async fn happened(&self) -> Vec<String> {
        self.audit().await.iter().map(|entry| entry["kind"].as_str().expect("a text").to_owned()).collect()
    }

    /// What happened to one access request or under its grant.
    pub async fn happened_to(&self, request: &str) -> Vec<String> {
        let all = self.audit().await;
        let its = all.iter().filter(|entry| entry["request_id"] == request);
        its.map(|entry| entry["kind"].as_str().expect("a text").to_owned()).collect()
    }
}
