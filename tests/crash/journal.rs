//! The harness's own book: what was sent, before it is sent; what was acknowledged, after it was received.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

/// Something that was sent.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "sent", rename_all = "snake_case")]
pub enum Sent {
    /// A hook call.
    Hook { op: u64, call: String, held: bool },
    /// A click on Approve.
    Approve { request: String, person: String },
    /// The form of a denial.
    Deny { request: String, person: String },
    /// A click that can decide nothing: of somebody who may not, or one that opens a form.
    Idle { request: String, person: String },
    /// A click on Revoke.
    RevokeClick { request: String, person: String },
    /// A revocation by an operator.
    Revoke { grant: String },
}

/// What an acknowledgement promises: it must hold after every kill that follows.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "promise", rename_all = "snake_case")]
pub enum Promise {
    /// The access request exists.
    Opened { request: String },
    /// The issuance is on record.
    Issued { call: String, grant: String },
    /// The access request ended without a grant.
    Refused { request: String },
    /// The approval was counted, or others had settled it.
    Voted { request: String, person: String },
    /// The access request is settled.
    Settled { request: String },
    /// The grant behind the access request is over.
    Over { request: String },
    /// The grant is revoked.
    Revoked { grant: String },
    /// The operators' API showed this settled access request.
    Seen { view: Value },
}

/// The book.
pub struct Journal {
    began: Instant,
    file: Mutex<File>,
    open: Mutex<(u64, BTreeMap<u64, Sent>)>,
    unanswered: Mutex<BTreeMap<u64, Sent>>,
    promises: Mutex<Vec<Promise>>,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Journal {
    /// A new one, also written to a file for whoever looks into a failure.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            file: Mutex::new(File::create(path)?),
            open: Mutex::default(),
            unanswered: Mutex::default(),
            promises: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Before sending. The number names it in [`Journal::after`].
    pub fn before(&self, sent: Sent) -> u64 {
        let mut open = lock(&self.open);
        open.0 += 1;
        let n = open.0;
        self.write(&json!({ "n": n, "before": sent }));
        open.1.insert(n, sent);
        n
    }

    /// After the whole answer was received.
    pub fn after(&self, n: u64, answer: &str, promise: Option<Promise>) {
        lock(&self.open).1.remove(&n);
        self.write(&json!({ "n": n, "after": answer, "promise": promise }));
        lock(&self.promises).extend(promise);
    }

    /// The answer will not be known: the connection broke, or the caller left.
    pub fn lost(&self, n: u64) {
        let sent = lock(&self.open).1.remove(&n);
        self.write(&json!({ "n": n, "lost": true }));
        lock(&self.unanswered).extend(sent.map(|sent| (n, sent)));
    }

    /// How much is under way, and the number of what was sent last.
    pub fn in_flight(&self) -> (usize, u64) {
        let open = lock(&self.open);
        (open.1.len(), open.0)
    }

    /// Ends a cycle: what was promised in it, and what was sent up to `last` without an answer.
    pub fn close(&self, last: u64) -> (Vec<Promise>, Vec<Sent>) {
        let mut unanswered = std::mem::take(&mut *lock(&self.unanswered));
        unanswered.extend(std::mem::take(&mut lock(&self.open).1));
        // What was sent after the kill met nobody.
        let unanswered = unanswered.into_iter().filter(|(n, _)| *n <= last).map(|(_, sent)| sent).collect();
        (std::mem::take(&mut *lock(&self.promises)), unanswered)
    }

    /// Something to remember in the file only.
    pub fn note(&self, what: &Value) {
        self.write(what);
    }

    /// One more of these, for the summary.
    pub fn count(&self, what: &str) {
        self.add(what, 1);
    }

    /// So many more of these.
    pub fn add(&self, what: &str, more: u64) {
        *lock(&self.counts).entry(what.to_owned()).or_default() += more;
    }

    /// How many of these there were.
    pub fn counted(&self, what: &str) -> u64 {
        lock(&self.counts).get(what).copied().unwrap_or(0)
    }

    /// All counts.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }

    fn write(&self, line: &Value) {
        // The file helps people only: what is checked is in memory.
        let _ = writeln!(lock(&self.file), "{} {line}", self.began.elapsed().as_millis());
    }
}

/// A panic elsewhere must not hide what this thread has to say.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
