//! The running service: real HTTP in both directions, a real SQLite file, and the stand-in for Slack. People press the
//! buttons of the cards they see and type what they would type.

use std::collections::HashMap;
use std::sync::Arc;

use countersign::domain::access_request::AccessRequest;
use countersign::domain::grant::Grant;
use countersign::domain::ids::{GrantId, RequestId};
use countersign::slack::approving;
use serde_json::{Value, json};

use super::books::{self, Seen};
use super::invariants::Records;
use super::plans::Plan;
use super::speak;
use super::support::TestApp;
use super::support::asking::Answer;
use super::support::slack::Card;
use super::support::world::DESK;
use super::world::{
    ACTORS, CAST, CLIENTS, HOOKS, KEYS, NUMBERS, REASONS, Revoker, SUBJECTS, Scopes, Step, Time, Wish, mask, names,
    start_in, usual,
};

/// The running service.
pub struct Served<'p> {
    app: TestApp,
    plans: &'p [Plan],
    clock: Time,
    records: Records,
    /// The card of each request as it was posted, as it is, and as it was when it last offered to do something.
    first: HashMap<RequestId, Card>,
    cards: HashMap<RequestId, Card>,
    offered: HashMap<(RequestId, &'static str), Card>,
    last_call: Option<Wish>,
}

impl<'p> Served<'p> {
    pub async fn start(plans: &'p [Plan]) -> Self {
        let stage = TestApp::stage().policy(plans[0].toml());
        let stage = stage.change_config("\"U0NORA\" = \"nora@example.com\"", "\"U0NORA\" = \"bob@example.com\"");
        let mut app = Box::pin(stage.set()).await;
        app.clock.set(speak::time(0));
        app.run().await.expect("the service starts");
        // Time begins for the service when it first looks at the clock, and for the model here.
        app.settle().await;
        let (first, cards, offered) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { app, plans, clock: 0, records: Records::default(), first, cards, offered, last_call: None }
    }

    pub async fn stop(mut self) {
        self.app.stop().await;
    }

    /// What the clock says.
    pub fn clock(&self) -> Time {
        self.clock
    }

    /// Everything that the store holds now.
    pub fn records(&self) -> &Records {
        &self.records
    }

    fn request(&self, on: usize) -> Option<&AccessRequest> {
        self.records.requests.len().checked_sub(on + 1).map(|n| &*self.records.requests[n])
    }

    fn grant(&self, on: usize) -> Option<&Grant> {
        self.records.grants.len().checked_sub(on + 1).map(|n| &*self.records.grants[n])
    }

    /// A step as people could make it here: forms offer certain times only, and a button that is not there is not pressed.
    pub fn possible(&self, step: &Step) -> Option<Step> {
        match step {
            Step::Approve { who, on, first_card, take, seconds } => {
                let request = self.request(*on)?;
                let shown = speak::mask(&request.question.terms.scopes);
                let offered = approving::times(request);
                let seconds = seconds.filter(|seconds| offered.contains(seconds) && *seconds != request.duration);
                let take = take & shown;
                self.card(*on, *first_card, if take != 0 || seconds.is_some() { "changes" } else { "approve" })?;
                (take != shown).then_some(Step::Approve { who: *who, on: *on, first_card: *first_card, take, seconds })
            }
            Step::Deny { on, first_card, .. } => self.card(*on, *first_card, "deny").map(|_| step.clone()),
            Step::TakeBack { on, .. } => self.card(*on, false, "take_back").map(|_| step.clone()),
            Step::Revoke { by: Revoker::Person(_), on } => {
                self.offered.get(&(self.grant(*on)?.request()?.clone(), "revoke")).map(|_| step.clone())
            }
            // What no person approved is offered to nobody.
            Step::Done { on, .. } | Step::Extend { on, .. } => self.grant(*on)?.request().map(|_| step.clone()),
            _ => Some(step.clone()),
        }
    }

    /// Does one step, and says what is seen of it.
    pub async fn act(&mut self, step: &Step) -> Seen {
        let seen = Box::pin(self.acted(step)).await;
        self.app.settle().await;
        self.read().await;
        match seen {
            Some(answer) => self.seen(&answer),
            None => Seen::Nothing,
        }
    }

    async fn acted(&mut self, step: &Step) -> Option<Answer> {
        match step {
            Step::Call(changes) => {
                let mut wish = usual();
                changes.iter().for_each(|change| change.applied(&mut wish));
                self.last_call = Some(wish.clone());
                return Some(self.call(&wish).await);
            }
            Step::CallAgain => {
                let wish = self.last_call.clone()?;
                return Some(self.call(&wish).await);
            }
            Step::Policy(n) => {
                std::fs::write(self.app.file("policy.toml"), self.plans[*n].toml()).expect("a policy");
                assert!(self.app.running().reload().await.expect("it is written down"), "it is a policy");
            }
            Step::Wait(by) => self.clock_says(self.clock + by).await,
            Step::Until(n, by) => {
                let cools = self.app.service().cooling_down(100).await.expect("an answer");
                let cools = cools.iter().map(|one| speak::millis(one.until));
                let Records { requests, grants, now, .. } = &self.records;
                let next = books::instants(requests, grants, cools, *now).get(*n).copied().unwrap_or(*now);
                self.clock_says(next + by).await;
            }
            Step::Worker => {}
            Step::Approve { who, on, first_card, take, seconds } => {
                if *take == 0 && seconds.is_none() {
                    self.app.click(CAST[*who].0, self.card(*on, *first_card, "approve")?, "approve").await;
                } else {
                    let card = self.card(*on, *first_card, "changes")?;
                    self.approve_with_changes(CAST[*who].0, card, *on, *take, *seconds).await;
                }
            }
            Step::Deny { who, on, first_card } => {
                if self.opens(CAST[*who].0, self.card(*on, *first_card, "deny")?, "deny").await {
                    self.app.submit_reason(CAST[*who].0, "No.").await;
                }
            }
            Step::TakeBack { who, on } => {
                self.app.choose(CAST[*who].0, self.card(*on, false, "take_back")?, "take_back").await;
            }
            Step::Withdraw { who, on } => {
                let id = self.request(*on)?.id.clone();
                self.app.types(CAST[*who].0, &format!("withdraw {id}")).await;
            }
            Step::Revoke { by, on } => self.revoke(*by, *on).await?,
            Step::Done { who, on } => {
                let id = self.grant(*on)?.id.clone();
                self.app.types(CAST[*who].0, &format!("done {id}")).await;
            }
            Step::Extend { who, on, lifetime } => {
                let (id, lasts) = (self.grant(*on)?.id.clone(), lifetime.map(|seconds| format!("{seconds}s")));
                self.app.types(CAST[*who].0, &format!("extend {id} {}", lasts.unwrap_or_default())).await;
            }
            Step::Ahead { who, client, scopes, lifetime, minutes } => {
                let lasts = lifetime.map(|seconds| format!(" for {seconds}s")).unwrap_or_default();
                let at = |minutes| speak::time(start_in(self.records.now, minutes)).format("%Y-%m-%dT%H:%MZ");
                let start = minutes.map(|minutes| format!(" from {}", at(minutes))).unwrap_or_default();
                let line = format!("{} {}{lasts}{start} because PAY-1", CLIENTS[*client], names(*scopes).join(" "));
                self.app.types(CAST[*who].0, &line).await;
            }
        }
        None
    }

    async fn clock_says(&mut self, at: Time) {
        self.clock = at;
        self.app.clock.set(speak::time(at));
        self.app.settle().await;
    }

    // ---- hooks --------------------------------------------------------------------------------------------------------

    async fn call(&self, wish: &Wish) -> Answer {
        let call = self.app.hook(HOOKS[wish.hook], &body(wish));
        let call = match wish.call {
            Some(id) => call.header("webhook-id", format!("call-{id}")),
            None => call,
        };
        Answer::of(call).await
    }

    fn seen(&self, answer: &Answer) -> Seen {
        let request = |id: &str| self.records.requests.iter().position(|one| one.id.as_str() == id);
        match (answer.status, answer.text("decision")) {
            (200, "granted") if answer.body["observed"] == true => {
                Seen::Passes { scopes: mask(answer.text("scope").split(' ')) }
            }
            (200, "granted") => {
                let until = answer.text("expires_at").parse().expect("an instant");
                Seen::Token {
                    grant: self
                        .records
                        .grants
                        .iter()
                        .position(|one| one.id.as_str() == answer.text("grant_id"))
                        .expect("it is known"),
                    scopes: mask(answer.text("scope").split(' ')),
                    lifetime: answer.body["expires_in"].as_u64().expect("a lifetime"),
                    until: speak::millis(until),
                    asked: answer.body["pending"]["request_id"].as_str().and_then(request),
                }
            }
            (202, "pending") => Seen::Pending { request: request(answer.text("request_id")).expect("it is known") },
            (403, "denied") => Seen::Refused,
            (409, _) => Seen::Conflict,
            _ => panic!("{} {}", answer.status, answer.text),
        }
    }

    // ---- people -------------------------------------------------------------------------------------------------------

    /// The card on which somebody could do something: as it was posted, or as it was when it last offered that.
    fn card(&self, on: usize, first: bool, action: &'static str) -> Option<&Card> {
        let id = self.request(on)?.id.clone();
        let card = if first { self.first.get(&id) } else { self.offered.get(&(id, action)) };
        card.filter(|card| offers(card, action))
    }

    /// Somebody presses what opens a form; answers whether it did.
    async fn opens(&self, person: &str, card: &Card, action: &str) -> bool {
        let before = self.app.screen(person).await["view"]["id"].clone();
        self.app.click(person, card, action).await;
        let after = self.app.screen(person).await["view"]["id"].clone();
        !after.is_null() && after != before
    }

    async fn approve_with_changes(&self, person: &str, card: &Card, on: usize, take: Scopes, seconds: Option<u64>) {
        let request = self.request(on).expect("it is there");
        if !self.opens(person, card, "changes").await {
            return;
        }
        let keeps = |name: &str| mask([name]) & take == 0;
        let shown = request.question.terms.scopes.iter().enumerate();
        let kept: Vec<String> =
            shown.filter(|(_, scope)| keeps(scope.as_str())).map(|(at, _)| at.to_string()).collect();
        let mut filled = json!({ "scopes": kept });
        let times = approving::times(request);
        if times.len() > 1 {
            let at = seconds.and_then(|seconds| times.iter().position(|time| *time == seconds)).unwrap_or(0);
            filled["time"] = json!(at.to_string());
        }
        self.app.fill(person, filled).await;
    }

    async fn revoke(&self, by: Revoker, on: usize) -> Option<()> {
        let grant = self.grant(on)?;
        let id = grant.id.clone();
        match by {
            Revoker::Operator => drop(self.app.operator_revokes(id.as_str(), "because").await),
            Revoker::Hook(hook) => {
                let path = format!("{}/grants/{id}/revoke", HOOKS[hook]);
                Answer::of(self.app.hook(&path, &json!({ "reason": "because" }))).await;
            }
            Revoker::Person(who) => {
                let card = self.offered.get(&(grant.request()?.clone(), "revoke"))?;
                self.app.click(CAST[who].0, card, "revoke").await;
            }
        }
        Some(())
    }

    // ---- what is kept ---------------------------------------------------------------------------------------------------

    /// Reads everything anew: new access requests and grants keep their places from now on.
    async fn read(&mut self) {
        let (service, before) = (self.app.service(), &self.records);
        let store = service.store();
        let (mut requests, mut grants) =
            (store.requests(None, 1_000).await.expect("rows"), store.grants(None, 1_000).await.expect("rows"));
        let place = |known: Option<usize>| known.unwrap_or(usize::MAX);
        let of_request = |id: &RequestId| before.requests.iter().position(|one| one.id == *id);
        let of_grant = |id: &GrantId| before.grants.iter().position(|one| one.id == *id);
        requests.sort_by_key(|one| (place(of_request(&one.id)), one.opened_at));
        grants.sort_by_key(|one| (place(of_grant(&one.id)), one.granted_at));
        let after = i64::try_from(before.entries.len()).expect("few");
        let new = service.audit(after, 1_000).await.expect("entries");
        let entries = before.entries.iter().cloned().chain(new.into_iter().map(|one| Arc::new(one.entry))).collect();
        let now = before.now.max(self.clock);
        // What did not change stays the very same.
        let kept = |one: AccessRequest| match before.requests.iter().find(|other| ***other == one) {
            Some(same) => Arc::clone(same),
            None => Arc::new(one),
        };
        let requests = requests.into_iter().map(kept).collect();
        let grants = grants.into_iter().map(Arc::new).collect();
        self.records = Records { now, requests, grants, entries };
        self.look_at_cards().await;
    }

    async fn look_at_cards(&mut self) {
        let all = self.app.cards(DESK).await;
        for request in &self.records.requests {
            let messages = self.app.service().store().cards(&request.id).await.expect("rows");
            let card = all.iter().find(|card| messages.iter().any(|message| message.ts == card.ts));
            let Some(card) = card else { continue };
            self.first.entry(request.id.clone()).or_insert_with(|| card.clone());
            self.cards.insert(request.id.clone(), card.clone());
            for action in ["approve", "changes", "deny", "take_back", "revoke"] {
                if offers(card, action) {
                    self.offered.insert((request.id.clone(), action), card.clone());
                }
            }
        }
    }

    /// I12: everything was delivered, nothing was given up, and each card shows how its request stands. And the chain of
    /// the audit holds.
    pub async fn i12_cards_show_what_is_kept(&self) -> Result<(), String> {
        let store = self.app.service().store();
        let counts = store.outbox_counts().await.map_err(|error| error.to_string())?;
        if counts != (0, 0) {
            return Err(format!("I12: (waiting, given up) are {counts:?}"));
        }
        store.verify_audit().await.map_err(|error| format!("I11: {error}"))?;
        let books = books::Books::of(&self.records.requests, &self.records.grants, self.records.now);
        for (n, (request, is)) in self.records.requests.iter().zip(&books.requests).enumerate() {
            let head = match is.status {
                "pending" => "Approval needed",
                "denied" => "Denied",
                "expired" => "Expired",
                "cancelled" => "Withdrawn",
                _ => match books.grants.iter().find(|grant| grant.request == Some(n)).map(|grant| grant.status) {
                    Some("reserved" | "active") => "Approved",
                    Some("revoked") => "Revoked",
                    _ => "Ended",
                },
            };
            let shown = self.cards.get(&request.id).map(Card::head).unwrap_or_default();
            if !shown.starts_with(head) {
                return Err(format!("I12: the card shows {shown:?}, but it is {head}: {request:?}"));
            }
        }
        Ok(())
    }
}

/// Whether a card offers to do something, by a button or in its menu.
fn offers(card: &Card, action: &str) -> bool {
    card.buttons().contains(&action) || card.choice(action).is_some()
}

/// What a hook is sent.
fn body(wish: &Wish) -> Value {
    let mut body = json!({
        "grant_type": if wish.refresh { "refresh_token" } else { "client_credentials" },
        "client_id": CLIENTS[wish.client], "scope": names(wish.scopes).join(" "), "audience": ["https://ledger.test"],
    });
    let mut set = |member: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[member] = value;
        }
    };
    set("subject", SUBJECTS[wish.subject].map(|subject| json!(subject)));
    set("actor", ACTORS[wish.actor].map(|actor| json!([actor])));
    set("cnf", KEYS[wish.key].map(|key| json!({ "jkt": key })));
    set("binding_message", NUMBERS[wish.number].map(|number| json!(number)));
    set("reason", REASONS[wish.reason].map(|reason| json!(reason)));
    set("expires_in", wish.lifetime.map(|seconds| json!(seconds)));
    body
}
