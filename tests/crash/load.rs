//! What goes on while the service is killed: hooks that ask, ask again and leave; people who click; an operator.
//!
//! Everything goes over HTTP and into the journal, before it is sent and after it was answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::playground::Playground;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cards::{self, Card};
use crate::child::{Api, client};
use crate::dice::Dice;
use crate::journal::{Journal, Promise, Sent, lock};
use crate::world::{APPROVERS, BYSTANDERS, HOOK_TOKEN, World};

/// Longer than any hold.
const CALL_DEADLINE: Duration = Duration::from_secs(70);
/// How many calls of one actor may be held.
const HELD_AT_ONCE: usize = 4;

/// What may be asked for, and what the policy says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Allowed without asking.
    Read,
    /// One approval, one use.
    Once,
    /// One approval, any number of uses.
    Window,
    /// Two approvals.
    Two,
    /// Nobody has time to decide.
    Brief,
}

impl Kind {
    /// The scope.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Read => "invoices:read",
            Self::Once => "payments:refund",
            Self::Window => "deploy:production",
            Self::Two => "customers:export",
            Self::Brief => "status:brief",
        }
    }

    fn of(dice: &mut Dice) -> Self {
        match dice.below(10) {
            0 => Self::Read,
            1..4 => Self::Once,
            4..7 => Self::Window,
            7 | 8 => Self::Two,
            _ => Self::Brief,
        }
    }
}

/// A thing that some client wants; each has an audience of its own, so that none covers another.
#[derive(Debug, Clone)]
pub struct Op {
    /// Its number.
    pub n: u64,
    /// What is asked.
    pub kind: Kind,
    calls: u64,
}

impl Op {
    /// The number of the op that has this audience.
    pub fn number(audience: &str) -> Option<u64> {
        audience.strip_prefix("https://api-")?.strip_suffix(".example.com")?.parse().ok()
    }

    /// The body of its calls. `reason` is the client's claim and may differ from call to call.
    fn body(&self, reason: &str) -> String {
        let mut body = json!({
            "grant_type": "client_credentials", "client_id": format!("client-{}", self.n % 5),
            "scope": self.kind.scope(), "audience": [format!("https://api-{}.example.com", self.n)],
            "expires_in": 3_600, "reason": reason,
        });
        // The first has a Slack account and is told; the second has none; else the client asks for itself.
        match self.n % 3 {
            0 => body["subject"] = json!("alice@example.com"),
            1 => body["subject"] = json!("erin@example.com"),
            _ => {}
        }
        body.to_string()
    }
}

/// One call: the same identifier always has the same body.
#[derive(Debug, Clone)]
pub struct Call {
    /// The `webhook-id`.
    pub id: String,
    /// Of which op.
    pub op: u64,
    /// The body.
    pub body: String,
}

/// Everything that was ever wanted, and what came of it.
#[derive(Default)]
pub struct Book {
    /// All ops; the place is the number.
    pub ops: Vec<Op>,
    /// All calls that were made, by identifier of their op and number.
    pub calls: Vec<Call>,
    grants: Vec<String>,
}

impl Book {
    /// A new op.
    pub fn op(&mut self, kind: Kind) -> u64 {
        let n = self.ops.len() as u64;
        self.ops.push(Op { n, kind, calls: 0 });
        n
    }

    /// A new call of an op; a later one may differ in its reason.
    pub fn call(&mut self, n: u64, other_reason: bool) -> Option<Call> {
        let op = self.ops.get_mut(usize::try_from(n).ok()?)?;
        op.calls += 1;
        let reason = if other_reason { format!("OP-{n} again, {}", op.calls) } else { format!("OP-{n}") };
        let call = Call { id: format!("op-{n}-call-{}", op.calls), op: n, body: op.body(&reason) };
        self.calls.push(call.clone());
        Some(call)
    }

    /// A call that was made before.
    pub fn made(&self, id: &str) -> Option<Call> {
        self.calls.iter().rev().find(|call| call.id == id).cloned()
    }
}

/// The load on one service. Clones share everything.
#[derive(Clone)]
pub struct Load {
    /// The harness's book.
    pub journal: Arc<Journal>,
    /// What was wanted.
    pub book: Arc<Mutex<Book>>,
    /// The stand-in.
    pub playground: Playground,
    standin: String,
    base: String,
    channels: [String; 2],
    http: reqwest::Client,
    new_ops: Arc<AtomicU64>,
}

impl Load {
    /// On the service at `base`; clicks go to the cards of these channels.
    pub fn new(
        world: &World,
        base: &str,
        journal: &Arc<Journal>,
        book: &Arc<Mutex<Book>>,
        channels: [String; 2],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            journal: Arc::clone(journal),
            book: Arc::clone(book),
            playground: world.playground.clone(),
            standin: world.standin.clone(),
            base: base.to_owned(),
            channels,
            http: client(CALL_DEADLINE)?,
            new_ops: Arc::new(AtomicU64::new(0)),
        })
    }

    /// Starts everybody: three hooks, two people with hands, one operator. At most `new_ops` things are wanted anew.
    pub fn start(&self, seed: u64, cycle: u64, new_ops: u64) -> JoinSet<()> {
        self.new_ops.store(new_ops, Ordering::Relaxed);
        let dice = |actor: u64| Dice::new(seed, cycle * 100 + actor);
        let mut actors = JoinSet::new();
        for actor in 0..3 {
            actors.spawn(self.clone().hooks(dice(actor)));
        }
        // Nobody has two forms open at once, so each person belongs to one pair of hands.
        actors.spawn(self.clone().clicks(dice(10), &APPROVERS[..2]));
        actors.spawn(self.clone().clicks(dice(11), &APPROVERS[2..]));
        actors.spawn(self.clone().operator(dice(20)));
        actors
    }

    async fn hooks(self, mut dice: Dice) {
        let mut calls = JoinSet::new();
        loop {
            if let Some(call) = self.next_call(&mut dice) {
                let held = dice.chance(40) && calls.len() < HELD_AT_ONCE;
                let leaves =
                    dice.chance(20).then(|| dice.log_uniform(Duration::from_millis(2), Duration::from_millis(100)));
                if held {
                    let load = self.clone();
                    calls.spawn(async move { load.ask(&call, true, leaves).await });
                } else if dice.chance(20) {
                    self.journal.count("repeated at the same instant");
                    tokio::join!(self.ask(&call, false, leaves), self.ask(&call, false, None));
                } else {
                    self.ask(&call, false, leaves).await;
                }
            }
            while calls.try_join_next().is_some() {}
            tokio::time::sleep(dice.log_uniform(Duration::from_micros(500), Duration::from_millis(8))).await;
        }
    }

    fn next_call(&self, dice: &mut Dice) -> Option<Call> {
        let mut book = lock(&self.book);
        let fresh = dice.chance(45) && self.new_ops.load(Ordering::Relaxed) > 0;
        if fresh || book.ops.is_empty() {
            self.new_ops.fetch_sub(1, Ordering::Relaxed);
            self.journal.count("things wanted");
            let op = book.op(Kind::of(dice));
            return book.call(op, false);
        }
        if dice.chance(50) {
            self.journal.count("retries with the same id");
            return dice.recent(&book.calls, 40).cloned();
        }
        self.journal.count("retries with another id");
        let op = dice.recent(&book.ops, 20)?.n;
        let other_reason = dice.chance(30);
        book.call(op, other_reason)
    }

    /// Makes one call and writes down what came of it. Answers with status and body, where they are known.
    pub async fn ask(&self, call: &Call, held: bool, leaves: Option<Duration>) -> Option<(u16, Value)> {
        let n = self.journal.before(Sent::Hook { op: call.op, call: call.id.clone(), held });
        let mut request = self.http.post(format!("{}/hooks/billing", self.base)).bearer_auth(HOOK_TOKEN);
        request = request.header("webhook-id", &call.id).header("content-type", "application/json");
        if held {
            request = request.header("prefer", "wait=30");
        }
        let answered = answer(request.body(call.body.clone()));
        let answered = match leaves {
            Some(after) => tokio::time::timeout(after, answered).await.ok().flatten(),
            None => answered.await,
        };
        match &answered {
            Some((status, body)) => self.judge(n, call, *status, body),
            None => self.journal.lost(n),
        }
        answered
    }

    fn judge(&self, n: u64, call: &Call, status: u16, body: &Value) {
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        let (what, promise) = match (status, text("grant_id"), text("request_id")) {
            (200, Some(grant), _) => {
                lock(&self.book).grants.push(grant.clone());
                ("hook: granted", Some(Promise::Issued { call: call.id.clone(), grant }))
            }
            (202, None, Some(request)) => ("hook: pending", Some(Promise::Opened { request })),
            (403, None, Some(request)) => ("hook: denied by people or time", Some(Promise::Refused { request })),
            (403, None, None) => ("hook: refused at once", None),
            (503, ..) => ("hook: unavailable", None),
            _ => ("hook: odd answers", None),
        };
        self.journal.count(what);
        self.journal.after(n, &format!("{status} {body}"), promise);
    }

    async fn clicks(self, mut dice: Dice, people: &'static [(&'static str, &'static str)]) {
        let mut changes = self.playground.changes();
        loop {
            let channel = usize::from(dice.chance(25));
            let live = cards::live_in(&self.playground, &self.channels[channel]);
            let person = dice.one(people).map_or("U0BOB", |(user, _)| user);
            match dice.recent(&live, 14).cloned() {
                None => drop(tokio::time::timeout(Duration::from_millis(10), changes.changed()).await),
                Some(card) if card.state == "pending" => self.decide(&card, person, &mut dice).await,
                Some(card) if dice.chance(15) => drop(self.revoke_click(&card, person).await),
                Some(_) => {}
            }
            tokio::time::sleep(dice.log_uniform(Duration::from_millis(1), Duration::from_millis(12))).await;
        }
    }

    async fn decide(&self, card: &Card, person: &str, dice: &mut Dice) {
        match dice.below(100) {
            0..10 => {
                let stranger = dice.one(&BYSTANDERS).copied().unwrap_or("U0EVE");
                let sent = Sent::Idle { request: card.request.clone(), person: stranger.to_owned() };
                self.press(card, "approve", stranger, sent, None).await;
            }
            10..35 => self.deny(card, person).await,
            35..60 => {
                self.journal.count("double clicks");
                tokio::join!(self.approve(card, person), self.approve(card, person));
            }
            _ => drop(self.approve(card, person).await),
        }
    }

    /// Clicks Approve. Answers with the status that the service gave.
    pub async fn approve(&self, card: &Card, person: &str) -> Option<u16> {
        let (request, person) = (card.request.clone(), person.to_owned());
        let sent = Sent::Approve { request: request.clone(), person: person.clone() };
        let promise = Promise::Voted { request, person: person.clone() };
        self.press(card, "approve", &person, sent, Some(promise)).await
    }

    /// Clicks Revoke.
    pub async fn revoke_click(&self, card: &Card, person: &str) -> Option<u16> {
        let request = card.request.clone();
        let sent = Sent::RevokeClick { request: request.clone(), person: person.to_owned() };
        self.press(card, "revoke", person, sent, Some(Promise::Over { request })).await
    }

    /// The cards of the current channel that have a button.
    pub fn live(&self) -> Vec<Card> {
        cards::live_in(&self.playground, &self.channels[0])
    }

    /// Clicks Deny… and sends the form.
    pub async fn deny(&self, card: &Card, person: &str) {
        let sent = Sent::Idle { request: card.request.clone(), person: person.to_owned() };
        if self.press(card, "deny", person, sent, None).await != Some(200) {
            return;
        }
        // The form that is open may be one of an earlier click that a kill cut short.
        let view = self.playground.look(|workspace| {
            let open = workspace.top_view(person)?;
            let of_this_card = open.view["private_metadata"].as_str()?.contains(card.ts.as_str());
            of_this_card.then(|| open.id.clone())
        });
        let Some(view) = view else { return };
        let n = self.journal.before(Sent::Deny { request: card.request.clone(), person: person.to_owned() });
        let form = json!({ "as": person, "view_id": view, "values": { "reason": { "reason": "not this time" } } });
        match answer(self.http.post(format!("{}/page/submit", self.standin)).json(&form)).await {
            Some((200, report)) if report["status"] == 200 && report.get("errors").is_none() => {
                self.journal.count("denial forms accepted");
                self.journal.after(n, &report.to_string(), Some(Promise::Settled { request: card.request.clone() }));
            }
            Some((_, report)) if report["delivered"] == true => self.journal.after(n, &report.to_string(), None),
            Some(_) | None => self.journal.lost(n),
        }
    }

    /// Presses a button over the stand-in, which signs and sends it. Answers with the service's status.
    async fn press(
        &self,
        card: &Card,
        action: &str,
        person: &str,
        sent: Sent,
        promise: Option<Promise>,
    ) -> Option<u16> {
        let button = card.button(action)?;
        let click = json!({
            "as": person, "channel": card.channel, "ts": card.ts, "block_id": button.block, "action_id": action,
            "value": button.value,
        });
        let n = self.journal.before(sent);
        let report = answer(self.http.post(format!("{}/page/click", self.standin)).json(&click)).await;
        let Some((200, report)) = report.filter(|(_, report)| report["delivered"] == true) else {
            self.journal.lost(n);
            return None;
        };
        let status = report["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        self.journal.count(if status == Some(200) { "clicks answered" } else { "clicks not taken" });
        self.journal.after(n, &report.to_string(), promise.filter(|_| status == Some(200)));
        status
    }

    async fn operator(self, mut dice: Dice) {
        let Ok(api) = Api::new(&self.base) else { return };
        let mut seen = BTreeSet::new();
        loop {
            let grant = dice.chance(12).then(|| dice.recent(&lock(&self.book).grants, 20).cloned()).flatten();
            match grant {
                Some(grant) => self.revoke(&api, grant).await,
                None => self.look(&api, &mut seen).await,
            }
            tokio::time::sleep(dice.log_uniform(Duration::from_millis(4), Duration::from_millis(30))).await;
        }
    }

    async fn revoke(&self, api: &Api, grant: String) {
        let n = self.journal.before(Sent::Revoke { grant: grant.clone() });
        match api.revoke(&grant).await {
            Ok(200) => self.journal.after(n, "200", Some(Promise::Revoked { grant })),
            Ok(409) => self.journal.after(n, "409", None),
            Ok(other) => {
                self.journal.count("revocations not taken");
                self.journal.after(n, &other.to_string(), None);
            }
            Err(_) => self.journal.lost(n),
        }
    }

    /// What the API shows as decided must stay so.
    async fn look(&self, api: &Api, seen: &mut BTreeSet<String>) {
        let Ok(answer) = api.get("/v1/requests?limit=12").await else { return };
        for view in answer["requests"].as_array().into_iter().flatten() {
            let id = view["id"].as_str().unwrap_or_default();
            if view["outcome"]["state"] != "pending" && seen.insert(id.to_owned()) {
                let promise = Promise::Seen { view: view.clone() };
                let n = self.journal.before(Sent::Idle { request: id.to_owned(), person: "operator".to_owned() });
                self.journal.after(n, "seen as decided", Some(promise));
            }
        }
    }
}

/// Status and body, once all of it has arrived.
async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
