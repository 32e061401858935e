//! What the store promises, each promise as a story over a real file.

use std::path::PathBuf;

use chrono::DateTime;
use serde_json::json;
use tempfile::TempDir;

use super::{Change, Commit, Delivery, HookCall, Issue, Issued, Outcome, Store, StoreError};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef, ServerAbilities, State};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::{Grant, after};
use crate::domain::ids::{GrantId, RequestId, SlackChannelId};
use crate::domain::policy::{
    Bounds, Ceremony, Notify, OnDeactivation, PolicyVersion, Question, SelfApproval, Terms, Uses,
};
use crate::domain::token_request::TokenRequest;

struct World {
    folder: TempDir,
    store: Store,
}

fn start() -> Timestamp {
    DateTime::from_timestamp(1_795_460_000, 0).unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("c.db")).await.unwrap();
        Self { folder, store }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("c.db")
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        Box::pin(self.store.commit(commit, start())).await
    }
}

fn asked(subject: &str) -> TokenRequest {
    serde_json::from_value(json!({
        "hook": "billing", "grant_type": "client_credentials", "client": { "id": "cli" },
        "subject": { "kind": "user", "id": subject }, "scopes": ["pay"], "audience": ["https://pay.example"],
    }))
    .unwrap()
}

fn terms(uses: Uses) -> Terms {
    let bounds = Bounds { max_duration: 3_600, max_token_lifetime: 600, collect_within: 900, uses };
    Terms { scopes: asked("a").scopes, dropped: [].into(), rules: [].into(), bounds }
}

fn request(number: u32, subject: &str) -> AccessRequest {
    let question = Question {
        terms: terms(Uses::Window),
        requirements: Vec::new(),
        shared: false,
        decide_within: 1_800,
        ceremony: Ceremony::Click,
        channels: Vec::new(),
        asked: asked(subject).scopes,
        not_now: None,
        self_approval: SelfApproval::Never,
        reminders: Vec::new(),
        notify: Notify::default(),
        on_deactivation: OnDeactivation::Keep,
    };
    let server = ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: false };
    let id = RequestId::parse(format!("req_{number:032x}")).unwrap();
    AccessRequest::open(id, asked(subject), question, server, PolicyVersion("p".to_owned()), start()).next
}

fn grant(number: u32, uses: Uses) -> Grant {
    let id = GrantId::parse(format!("grn_{number:032x}")).unwrap();
    Grant::allowed(id, &asked("alice"), &terms(uses), PolicyVersion("p".to_owned()), start())
}

fn entry(text: &str) -> AuditEntry {
    let (kind, actor) = (Kind::TokenRefused, Actor::Service);
    AuditEntry {
        at: start(),
        kind,
        actor,
        request_id: None,
        grant_id: None,
        summary: text.to_owned(),
        detail: json!({}),
    }
}

fn opening(request: &AccessRequest) -> Commit {
    Commit { request: Some(Change::New(request.clone())), audit: vec![entry("opened")], ..Commit::default() }
}

fn issue(grant: &Grant, call: Option<(&str, &str)>, seconds: u64) -> Issue {
    let at = after(start(), seconds);
    let call = call.map(|(id, body)| HookCall {
        hook: grant.asked.hook.clone(),
        id: id.to_owned(),
        body_hash: body.to_owned(),
    });
    let (fingerprint, token_expires_at) = (grant.asked.fingerprint(), after(at, 60));
    Issue {
        grant: grant.id.clone(),
        call,
        fingerprint,
        token_expires_at,
        uses: grant.uses,
        audit: entry("issued"),
        when_used_up: Vec::new(),
        at,
    }
}

#[tokio::test]
async fn of_two_requests_for_the_same_thing_one_is_first() {
    let world = World::new().await;
    let (one, two) = (request(1, "alice"), request(2, "alice"));
    let outcomes = futures_util::future::join(world.commit(opening(&one)), world.commit(opening(&two))).await;
    let mut outcomes = [outcomes.0.unwrap(), outcomes.1.unwrap()];
    outcomes.sort_by_key(|outcome| *outcome == Outcome::Conflict);
    assert_eq!(outcomes, [Outcome::Done, Outcome::Conflict]);
    let pending = world.store.pending(&one.asked.pending_key()).await.unwrap().unwrap();
    assert!([&one.id, &two.id].contains(&&pending.id));
    assert_eq!(world.store.audit(0, 10).await.unwrap().len(), 1, "the loser wrote nothing at all");
    assert_eq!(world.commit(opening(&request(3, "bob"))).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_replacement_counts_only_for_the_version_that_was_read() {
    let world = World::new().await;
    let mut seen = request(1, "alice");
    world.commit(opening(&seen)).await.unwrap();
    seen.noted.insert("first".to_owned());
    let replace = |request: &AccessRequest| Commit {
        request: Some(Change::Replace(request.clone())),
        deliveries: vec![(request.id.clone(), Delivery::TellRequester)],
        ..Commit::default()
    };
    assert_eq!(world.commit(replace(&seen)).await.unwrap(), Outcome::Done);
    assert_eq!(world.commit(replace(&seen)).await.unwrap(), Outcome::Conflict);
    let now = world.store.request(&seen.id).await.unwrap().unwrap();
    assert_eq!(now.version, 1);
    assert_eq!(world.store.outbox_counts().await.unwrap(), (1, 0), "the loser's effects are not there either");
}

#[tokio::test]
async fn what_is_settled_stays_settled_even_for_a_program_that_forgot() {
    let world = World::new().await;
    let mut one = request(1, "alice");
    world.commit(opening(&one)).await.unwrap();
    one.state = State::Expired { at: start() };
    let replace =
        |request: &AccessRequest| Commit { request: Some(Change::Replace(request.clone())), ..Commit::default() };
    world.commit(replace(&one)).await.unwrap();
    one.version = 1;
    one.state = State::Pending;
    assert!(matches!(world.commit(replace(&one)).await, Err(StoreError::Database(_))));
    assert_eq!(world.store.request(&one.id).await.unwrap().unwrap().state, State::Expired { at: start() });
}

#[tokio::test]
async fn a_single_use_is_one_use_however_often_its_call_comes() {
    let world = World::new().await;
    let grant = grant(1, Uses::Times(1));
    world.commit(Commit { grant: Some(Change::New(grant.clone())), ..Commit::default() }).await.unwrap();
    let store = &world.store;
    let calls = [("a", "body"), ("a", "body"), ("a", "other body"), ("b", "body")];
    let answers = futures_util::future::join_all(calls.map(|call| store.issue(issue(&grant, Some(call), 1)))).await;
    let answers: Vec<Issued> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [Issued::Recorded, Issued::Recorded, Issued::OtherBody, Issued::Gone]);
    assert_eq!(store.issue(issue(&grant, Some(("a", "body")), 500)).await.unwrap(), Issued::Recorded);
    assert_eq!(store.grant(&grant.id).await.unwrap().unwrap().used, 1);
    assert_eq!(store.audit(0, 10).await.unwrap().len(), 3, "every answer that granted is on record");
}

#[tokio::test]
async fn without_an_identifier_an_identical_call_within_a_minute_is_the_same_use() {
    let world = World::new().await;
    let grant = grant(1, Uses::Times(2));
    world.commit(Commit { grant: Some(Change::New(grant.clone())), ..Commit::default() }).await.unwrap();
    for (seconds, outcome, used) in
        [(0, Issued::Recorded, 1), (59, Issued::Recorded, 1), (60, Issued::Recorded, 2), (121, Issued::Gone, 2)]
    {
        assert_eq!(world.store.issue(issue(&grant, None, seconds)).await.unwrap(), outcome, "after {seconds} s");
        assert_eq!(world.store.grant(&grant.id).await.unwrap().unwrap().used, used, "after {seconds} s");
    }
}

#[tokio::test]
async fn a_policy_that_lowered_the_number_of_uses_counts_what_was_used_before() {
    let world = World::new().await;
    let grant = grant(1, Uses::Times(5));
    world.commit(Commit { grant: Some(Change::New(grant.clone())), ..Commit::default() }).await.unwrap();
    let (store, today) = (&world.store, |uses, seconds| Issue { uses, ..issue(&grant, None, seconds) });
    for seconds in [0, 100, 200] {
        assert_eq!(store.issue(today(Uses::Window, seconds)).await.unwrap(), Issued::Recorded);
    }
    assert_eq!(store.issue(today(Uses::Times(1), 259)).await.unwrap(), Issued::Recorded, "the third use again");
    assert_eq!(store.issue(today(Uses::Times(3), 300)).await.unwrap(), Issued::Gone);
    assert_eq!(store.issue(today(Uses::Times(9), 300)).await.unwrap(), Issued::Recorded);
    assert_eq!(store.issue(today(Uses::Times(9), 400)).await.unwrap(), Issued::Recorded);
    assert_eq!(store.issue(today(Uses::Times(9), 500)).await.unwrap(), Issued::Gone, "its own number stays");
    // Two calls at the same instant, both of which saw that nothing was used yet.
    let grant = self::grant(2, Uses::Window);
    world.commit(Commit { grant: Some(Change::New(grant.clone())), ..Commit::default() }).await.unwrap();
    let once = |id| Issue { uses: Uses::Times(1), ..issue(&grant, Some((id, "body")), 0) };
    let both = futures_util::future::join(store.issue(once("a")), store.issue(once("b"))).await;
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (Issued::Recorded, Issued::Gone));
}

#[tokio::test]
async fn nothing_is_issued_under_a_grant_that_ended_or_was_revoked_in_the_meantime() {
    let world = World::new().await;
    let grant = grant(1, Uses::Window);
    world.commit(Commit { grant: Some(Change::New(grant.clone())), ..Commit::default() }).await.unwrap();
    assert_eq!(world.store.issue(issue(&grant, None, 3_600)).await.unwrap(), Issued::Gone);
    let id = GrantId::parse(format!("grn_{:032x}", 2)).unwrap();
    let waiting = Grant { id, collect_by: Some(after(start(), 900)), ..grant.clone() };
    world.commit(Commit { grant: Some(Change::New(waiting.clone())), ..Commit::default() }).await.unwrap();
    assert_eq!(world.store.issue(issue(&waiting, None, 900)).await.unwrap(), Issued::Gone, "nobody collected it");
    let revoked = grant.revoke(Actor::Operator("ops".to_owned()), "leaked", 600, start()).unwrap();
    let commit =
        Commit { grant: Some(Change::Replace(revoked.next)), cooldowns: revoked.cooldowns, ..Commit::default() };
    world.commit(commit).await.unwrap();
    assert_eq!(world.store.issue(issue(&grant, None, 1)).await.unwrap(), Issued::Gone);
    let standing = world.store.cooldown(&grant.asked, &grant.scopes, start()).await.unwrap().unwrap();
    assert_eq!((standing.cause.as_str(), standing.until), ("revoked", grant.expires_at));
}

#[tokio::test]
async fn a_revocation_is_not_held_up_by_tokens_that_are_issued_at_the_same_time() {
    let world = World::new().await;
    let grant = grant(1, Uses::Window);
    world.commit(Commit { grant: Some(Change::New(grant.clone())), ..Commit::default() }).await.unwrap();
    let read = world.store.grant(&grant.id).await.unwrap().unwrap();
    world.store.issue(issue(&grant, None, 1)).await.unwrap();
    let revoked = read.revoke(Actor::Operator("ops".to_owned()), "leaked", 600, start()).unwrap();
    let outcome =
        world.commit(Commit { grant: Some(Change::Replace(revoked.next)), ..Commit::default() }).await.unwrap();
    assert_eq!(outcome, Outcome::Done);
}

#[tokio::test]
async fn deliveries_of_one_lane_and_request_go_out_in_order_and_only_with_the_lease() {
    let world = World::new().await;
    let one = request(1, "alice");
    let mut commit = opening(&one);
    let channel = || "C0PAY".to_owned();
    commit.deliveries = vec![
        (one.id.clone(), Delivery::PostCard { channel: channel() }),
        (one.id.clone(), Delivery::RefreshCards { channel: channel() }),
        (one.id.clone(), Delivery::TellRequester),
    ];
    world.commit(commit).await.unwrap();
    let claim = |lease: &str, seconds| world.store.claim(10, lease.to_owned(), 30, &[], after(start(), seconds));
    let first = claim("one", 0).await.unwrap();
    let kinds: Vec<_> = first.iter().map(|row| row.delivery.clone()).collect();
    assert_eq!(kinds, [Delivery::PostCard { channel: channel() }, Delivery::TellRequester]);
    assert!(claim("two", 29).await.unwrap().is_empty(), "what is claimed is claimed, and nothing overtakes it");
    let again = claim("two", 30).await.unwrap();
    assert_eq!(again.len(), 2, "a lease runs out");
    let finish = |row: &super::Claimed| Commit { finish: Some((row.id, row.lease.clone())), ..Commit::default() };
    world.commit(finish(&first[0])).await.unwrap();
    assert_eq!(world.store.outbox_counts().await.unwrap(), (3, 0), "whoever lost the lease finishes nothing");
    world.commit(finish(&again[0])).await.unwrap();
    let next = claim("three", 30).await.unwrap();
    assert_eq!(next[0].delivery, Delivery::RefreshCards { channel: channel() });
}

#[tokio::test]
async fn a_button_counts_on_the_first_message_it_is_bound_to_and_on_no_other() {
    let world = World::new().await;
    let one = request(1, "alice");
    world.commit(opening(&one)).await.unwrap();
    world.store.mint("random", &one, "C0PAY", None, start()).await.unwrap();
    let (button, _) = world.store.clicked("random").await.unwrap().unwrap();
    assert!(world.store.clicked("another").await.unwrap().is_none());
    let at = |ts: &str| MessageRef { channel: SlackChannelId::parse("C0PAY").unwrap(), ts: ts.to_owned() };
    let bind = |ts: &str| Commit { bind: Some((button.hash.clone(), at(ts))), ..Commit::default() };
    assert_eq!(world.commit(bind("1.1")).await.unwrap(), Outcome::Done);
    assert_eq!(world.commit(bind("1.1")).await.unwrap(), Outcome::Done);
    assert_eq!(world.commit(bind("2.2")).await.unwrap(), Outcome::Conflict);
    assert_eq!(world.store.clicked("random").await.unwrap().unwrap().0.ts.as_deref(), Some("1.1"));
}

#[tokio::test]
async fn a_changed_or_removed_audit_entry_is_found() {
    let world = World::new().await;
    for n in 0..5 {
        world.commit(Commit { audit: vec![entry(&format!("entry {n}"))], ..Commit::default() }).await.unwrap();
    }
    assert_eq!(world.store.verify_audit().await.unwrap(), 5);
    world.store.close().await;
    for (vandalism, found) in [
        ("UPDATE audit SET body = replace(body, 'entry 2', 'entry 9') WHERE seq = 3", "audit entry 3"),
        ("DELETE FROM audit WHERE seq = 3", "audit entry 3 is missing"),
    ] {
        let copy = world.folder.path().join("copy.db");
        std::fs::copy(world.file(), &copy).unwrap();
        vandalize(&copy, vandalism).await;
        let store = Store::open(&copy).await.unwrap();
        let verdict = store.verify_audit().await.unwrap_err().to_string();
        assert!(verdict.contains(found), "{verdict}");
        store.close().await;
        std::fs::remove_file(&copy).unwrap();
    }
}

#[tokio::test]
async fn audit_and_votes_cannot_be_changed_by_a_slip_of_the_program() {
    let world = World::new().await;
    world.commit(Commit { audit: vec![entry("one")], ..Commit::default() }).await.unwrap();
    world.store.close().await;
    for slip in ["UPDATE audit SET kind = 'x'", "DELETE FROM audit"] {
        let mut conn = connect(&world.file()).await;
        let refused = sqlx::query(sqlx::AssertSqlSafe(slip)).execute(&mut conn).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn one_file_serves_one_process_and_a_clean_stop_leaves_no_note() {
    let world = World::new().await;
    let second = Store::open(&world.file()).await.err().unwrap().to_string();
    assert!(second.contains("another process has it open"), "{second}");
    world.store.close().await;
    drop(world.store);
    let again = Store::open(&world.folder.path().join("c.db")).await.unwrap();
    again.close().await;
    let mut conn = connect(&world.folder.path().join("c.db")).await;
    let note = sqlx::query("SELECT 1 FROM facts WHERE name = 'in_use'").fetch_optional(&mut conn).await.unwrap();
    assert!(note.is_none());
}

#[tokio::test]
async fn a_row_that_cannot_be_right_is_an_error_and_not_a_guess() {
    let world = World::new().await;
    let one = request(1, "alice");
    world.commit(opening(&one)).await.unwrap();
    world.store.close().await;
    vandalize(&world.file(), "UPDATE access_requests SET state = 'approved', version = version + 1").await;
    drop(world.store);
    let store = Store::open(&world.folder.path().join("c.db")).await.unwrap();
    let error = store.request(&one.id).await.unwrap_err();
    assert!(matches!(error, StoreError::Inconsistent { table: "access_requests", .. }), "{error}");
}

async fn connect(file: &std::path::Path) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

/// Somebody with the file in hand and no respect for triggers.
async fn vandalize(file: &std::path::Path, sql: &'static str) {
    let mut conn = connect(file).await;
    for trigger in ["audit_stays", "audit_remains"] {
        let drop = format!("DROP TRIGGER {trigger}");
        sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut conn).await.unwrap();
    }
    sqlx::query(sql).execute(&mut conn).await.unwrap();
}
