//! A stand-in for the shell: it loads, applies and commits as the service and the store do, into plain lists.
//!
//! Rows go through their JSON form, as in the store, though only every fourth (that is where the time goes). The clock that the domain hears never runs back.

use std::collections::BTreeMap;

use super::speak;
use super::world::{self, Less, Move, Plan, Wait, Wish, World};
use crate::domain::access_request::{
    AccessRequest, Ballot, Choice, Cooldown, Event, Filled, Proof, Refusal, State, Status, Step, audiences,
};
use crate::domain::audit::{Actor, AuditEntry};
use crate::domain::grant::{Grant, GrantStep, SAME_USE_SECONDS, Source, State as GrantState};
use crate::domain::policy::Uses;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::Fingerprint;

/// What the outside sees of one move. Access requests and grants are numbers, in order of birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// There was nothing to do it on, or nothing to see.
    Nothing,
    /// Refused, in one word.
    Refused(&'static str),
    /// A token: under which grant, for which scopes (a mask), for how long, until when, under a new grant or not.
    Token { grant: usize, scopes: u8, lifetime: u64, until: i64 },
    /// People are asked; whether it was opened by this, and whether a difference was noted.
    Pending { request: usize, opened: bool, noted: bool },
    /// A vote counted; with the grant that came of it.
    Approved { request: usize, grant: Option<usize> },
    /// A vote denied.
    Denied { request: usize },
    /// An approval was taken back.
    TookBack { request: usize },
    /// Withdrawn.
    Withdrawn { request: usize },
    /// Revoked.
    Revoked { grant: usize },
}

/// One accepted step: to what, by which event, and what was written down.
#[derive(Debug, Clone)]
pub struct Done {
    pub request: Option<usize>,
    pub grant: Option<usize>,
    pub event: &'static str,
    pub audit: AuditEntry,
    pub effects: usize,
}

/// A click as it was made.
#[derive(Debug, Clone, Copy)]
pub struct Click {
    pub who: usize,
    pub request: usize,
    pub deny: bool,
    pub shown: u32,
    pub less: Less,
}

/// A token that was issued.
#[derive(Debug, Clone)]
pub struct Token {
    pub grant: usize,
    pub wish: Wish,
    pub scopes: u8,
    pub at: i64,
    pub until: i64,
}

/// The stand-in.
pub struct Shell {
    pub plan: Plan,
    pub members: Vec<u8>,
    /// The latest time that was ever seen, in milliseconds since 1970: what the domain hears.
    pub now: i64,
    wall: i64,
    pub requests: Vec<AccessRequest>,
    /// What each of them is found by while it is pending.
    pub keys: Vec<Fingerprint>,
    pub grants: Vec<Grant>,
    pub cooldowns: Vec<Cooldown>,
    calls: BTreeMap<u8, (Wish, Option<usize>)>,
    pub log: Vec<Done>,
    pub tokens: Vec<Token>,
    usual: Wish,
    pub last_ask: Option<Wish>,
    pub last_click: Option<Click>,
}

/// When every world begins.
const START: i64 = 1_795_000_000_123;

/// Once to the store and back.
fn saved<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(nth: usize, value: T) -> T {
    if !nth.is_multiple_of(4) {
        return value;
    }
    let read: T = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
    assert_eq!(read, value, "what is read is what was written");
    read
}

fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Settled(status) => status.as_str(),
        Refusal::OutOfDate => "out of date",
        Refusal::NotAnApprover => "not an approver",
        Refusal::OwnRequest => "own request",
        Refusal::AlreadyVoted => "already voted",
        Refusal::CeremonyMissing => "ceremony missing",
        Refusal::NotVoted => "not voted",
        Refusal::ReasonNeeded => "reason needed",
        Refusal::NumberNeeded => "number needed",
        Refusal::NoNumber => "no number",
        Refusal::Barred => "barred",
        Refusal::Widens => "widens",
        Refusal::NothingLeft => "nothing left",
        Refusal::NotYoursToLeave => "not yours to leave",
        Refusal::CannotShorten => "cannot shorten",
        Refusal::CannotTakeOver => "cannot take over",
        Refusal::Nothing => "nothing",
    }
}

impl Shell {
    pub fn new(world: &World) -> Self {
        Self {
            plan: world.plan.clone(),
            members: world.members.clone(),
            now: START,
            wall: START,
            requests: Vec::new(),
            keys: Vec::new(),
            grants: Vec::new(),
            cooldowns: Vec::new(),
            calls: BTreeMap::new(),
            log: Vec::new(),
            tokens: Vec::new(),
            usual: world.usual.clone(),
            last_ask: None,
            last_click: None,
        }
    }

    /// Does one move.
    pub fn act(&mut self, a_move: &Move) -> Seen {
        match a_move {
            Move::Ask(changes) => self.ask(self.usual.with(changes)),
            Move::AskAgain => self.last_ask.clone().map_or(Seen::Nothing, |wish| self.ask(wish)),
            Move::Click { who, on, deny, stale, less } => {
                let Some(request) = newest(self.requests.len(), *on) else { return Seen::Nothing };
                let shown = self.requests[request].shown_version.wrapping_sub(*stale);
                self.click(Click { who: *who, request, deny: *deny, shown, less: *less })
            }
            Move::TakeBack { who, on } => {
                let Some(request) = newest(self.requests.len(), *on) else { return Seen::Nothing };
                let voter = speak::voter(*who, self.members[*who], self.now);
                match self.apply(request, Event::TookBack(Box::new(voter)), "took back") {
                    Ok(_) => Seen::TookBack { request },
                    Err(refusal) => Seen::Refused(word(&refusal)),
                }
            }
            Move::ClickAgain => self.last_click.map_or(Seen::Nothing, |click| self.click(click)),
            Move::Wait(wait) => self.wait(*wait),
            Move::Worker => self.worker(),
            Move::Withdraw(on) => match newest(self.requests.len(), *on) {
                None => Seen::Nothing,
                Some(request) => match self.apply(request, Event::Cancelled { by: Actor::Service }, "withdrawn") {
                    Ok(_) => Seen::Withdrawn { request },
                    Err(refusal) => Seen::Refused(word(&refusal)),
                },
            },
            Move::Revoke(on) => newest(self.grants.len(), *on).map_or(Seen::Nothing, |grant| self.revoke(grant)),
            Move::Belong { .. } | Move::Tighten(_) | Move::Forbid(_) => {
                world::changes(&mut self.plan, &mut self.members, a_move);
                Seen::Nothing
            }
        }
    }

    fn wait(&mut self, wait: Wait) -> Seen {
        self.wall = match wait {
            Wait::Millis(by) => self.wall + by,
            Wait::To(n, by) => self.instants().get(n).copied().unwrap_or(self.wall) + by,
        };
        self.now = self.now.max(self.wall);
        Seen::Nothing
    }

    /// The instants that matter, the newest things first.
    fn instants(&self) -> Vec<i64> {
        let of_grant = |grant: &Grant| {
            let same_use = grant.last_use.as_ref().map(|(at, _)| *at + chrono::Duration::seconds(SAME_USE_SECONDS));
            [Some(grant.expires_at), grant.collect_by, same_use]
        };
        let grants = self.grants.iter().rev().flat_map(of_grant).flatten();
        let requests = self.requests.iter().rev().map(|request| request.decide_by);
        let cooldowns = self.cooldowns.iter().rev().map(|cooldown| cooldown.until);
        let far = speak::time(START + 400 * 86_400_000);
        let near = |at: &crate::domain::Timestamp| *at < far;
        requests
            .take(2)
            .chain(grants.take(8))
            .chain(cooldowns.take(2))
            .filter(near)
            .map(|at| at.timestamp_millis())
            .collect()
    }

    /// As the service looks: a standing grant, the pending request, a cool-down, and at last the policy's word.
    fn ask(&mut self, wish: Wish) -> Seen {
        self.last_ask = Some(wish.clone());
        let asked = speak::token_request(&wish);
        let earlier = match wish.call.and_then(|id| self.calls.get(&id)) {
            Some((body, _)) if *body != wish => return Seen::Refused("conflict"),
            Some((_, grant)) => *grant,
            None => None,
        };
        self.name(&wish, None);
        if wish.scopes != 0 && wish.scopes & !self.plan.forbidden == 0 {
            return Seen::Refused("policy");
        }
        if let Some(token) = self.issue(&wish, earlier) {
            return token;
        }
        let key = asked.pending_key();
        let pending = |n: &usize| self.requests[*n].state == State::Pending && self.keys[*n] == key;
        if let Some(n) = (0..self.requests.len()).find(pending) {
            if self.requests[n].status(speak::time(self.now)) == Status::Pending {
                let noted = self.apply(n, Event::AskedAgain(Box::new(asked)), "asked again").is_ok();
                return Seen::Pending { request: n, opened: false, noted };
            }
            self.apply(n, Event::TimePassed, "time").unwrap();
        }
        let terms = speak::terms(&self.plan, &wish);
        let cooling = |c: &Cooldown| {
            (c.hook.as_str(), c.client.as_str()) == (asked.hook.as_str(), asked.client.id.as_str())
                && (c.subject_kind, &c.subject) == (asked.subject.kind, &asked.subject.id)
                && audiences(&asked).contains(&c.audience)
                && terms.scopes.judged().iter().any(|scope| scope.as_str() == c.scope)
                && c.until > speak::time(self.now)
        };
        if self.cooldowns.iter().any(cooling) {
            return Seen::Refused("cooling down");
        }
        if !self.plan.asks {
            let now = speak::time(self.now);
            let id = speak::grant_id(self.grants.len());
            self.grants.push(saved(self.grants.len(), Grant::allowed(id, &asked, &terms, speak::policy(), now)));
            return self.issue(&wish, earlier).unwrap_or(Seen::Refused("too short"));
        }
        if !asked.may_open_a_request() {
            return Seen::Refused("cannot ask");
        }
        let n = self.requests.len();
        let question = speak::question(&self.plan, &wish);
        let step = AccessRequest::open(
            speak::request_id(n),
            asked,
            question,
            speak::server(),
            speak::policy(),
            speak::time(self.now),
        );
        self.requests.push(saved(self.log.len(), step.next));
        self.keys.push(key);
        self.done(Some(n), None, "opened", step.audit, step.effects.len());
        Seen::Pending { request: n, opened: true, noted: false }
    }

    /// Keeps the identifier of a call, and which grant answered it.
    fn name(&mut self, wish: &Wish, grant: Option<usize>) {
        if let Some(id) = wish.call {
            let known = self.calls.entry(id).or_insert_with(|| (wish.clone(), None));
            known.1 = grant.or(known.1);
        }
    }

    /// A token from a grant that stands, and its record, as the store judges it inside of the transaction.
    fn issue(&mut self, wish: &Wish, earlier: Option<usize>) -> Option<Seen> {
        let (asked, now) = (speak::token_request(wish), speak::time(self.now));
        if self.grants.is_empty() {
            return None;
        }
        let key = asked.coverage_key();
        let scopes = speak::terms(&self.plan, wish).scopes;
        let mut found: Vec<usize> = (0..self.grants.len()).filter(|n| self.grants[*n].coverage == key).collect();
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|n| std::cmp::Reverse(self.grants[*n].expires_at));
        let fingerprint = asked.fingerprint();
        for n in found {
            let grant = &mut self.grants[n];
            if grant.source == Source::AllowRule && self.plan.asks {
                continue;
            }
            let repeated = match wish.call {
                Some(_) => earlier == Some(n),
                None => grant.is_same_use(&fingerprint, now),
            };
            let Ok(token) = grant.issue(&asked, &scopes, self.plan.max_token, repeated, now) else { continue };
            let used_up = matches!(grant.uses, Uses::Times(most) if grant.used >= most);
            let live = matches!(grant.state, GrantState::Live);
            let uncollected = grant.used == 0 && grant.collect_by.is_some_and(|by| now >= by);
            if !live || now >= grant.expires_at || (used_up && !repeated) || uncollected {
                continue;
            }
            if !repeated {
                grant.used += 1;
                grant.last_use = Some((now, fingerprint.clone()));
            }
            grant.last_token_expires_at = grant.last_token_expires_at.max(Some(token.expires_at));
            let (scopes, until) = (speak::mask(&token.scopes), token.expires_at.timestamp_millis());
            self.tokens.push(Token { grant: n, wish: wish.clone(), scopes, at: self.now, until });
            self.name(wish, Some(n));
            return Some(Seen::Token { grant: n, scopes, lifetime: token.lifetime, until });
        }
        None
    }

    fn click(&mut self, click: Click) -> Seen {
        self.last_click = Some(click);
        let Click { who, request, deny, shown, less } = click;
        let kept = |scopes: &ScopeSet| {
            scopes.iter().filter(|scope| !speak::scopes(less.take).contains(scope)).cloned().collect()
        };
        let filled = Filled {
            keep: (less.take != 0).then(|| kept(&self.requests[request].question.terms.scopes)),
            duration: less.seconds,
            ..Filled::default()
        };
        let choice = if deny { Choice::Deny { reason: "No.".to_owned() } } else { Choice::Approve };
        let ballot = Ballot {
            voter: speak::voter(who, self.members[who], self.now),
            proof: Proof::Click,
            choice,
            filled,
            cooldown: self.plan.cooldown,
            shown_version: shown,
            message: speak::message(),
            policy: speak::policy(),
            grant_id: speak::grant_id(self.grants.len()),
        };
        match self.apply(request, Event::Voted(Box::new(ballot)), if deny { "denied" } else { "approved" }) {
            Ok(grant) if !deny => Seen::Approved { request, grant },
            Ok(_) => Seen::Denied { request },
            Err(refusal) => Seen::Refused(word(&refusal)),
        }
    }

    /// Loads, applies, commits. Answers with the grant that came of it.
    fn apply(&mut self, n: usize, event: Event, name: &'static str) -> Result<Option<usize>, Refusal> {
        let now = speak::time(self.now);
        let step: Step = self.requests[n].apply(event.clone(), now)?;
        assert!(step.next.apply(event, now).is_err(), "invariant 7: the same event again changes nothing");
        let mut next = saved(self.log.len(), step.next);
        next.version += 1;
        self.requests[n] = next;
        self.cooldowns.extend(step.cooldowns);
        let grant = step.grant.map(|grant| {
            self.grants.push(saved(self.grants.len(), grant));
            self.grants.len() - 1
        });
        self.done(Some(n), grant, name, step.audit, step.effects.len());
        Ok(grant)
    }

    fn revoke(&mut self, n: usize) -> Seen {
        let by = Actor::Operator("ops".to_owned());
        let Ok(step) = self.grants[n].revoke(by.clone(), "lost laptop", self.plan.cooldown, speak::time(self.now))
        else {
            return Seen::Refused("over");
        };
        assert!(step.next.revoke(by, "", 0, speak::time(self.now)).is_err(), "invariant 7: revoked once is enough");
        self.commit_grant(n, step, "revoked");
        Seen::Revoked { grant: n }
    }

    fn commit_grant(&mut self, n: usize, step: GrantStep, name: &'static str) {
        let mut next = saved(self.log.len(), step.next);
        next.version += 1;
        self.grants[n] = next;
        self.cooldowns.extend(step.cooldowns);
        self.done(None, Some(n), name, step.audit, step.effects.len());
    }

    /// Everything that is due, and only that, hears that time has passed.
    fn worker(&mut self) -> Seen {
        let now = speak::time(self.now);
        for n in 0..self.requests.len() {
            if self.requests[n].due_at().is_some_and(|due| due <= now) {
                self.apply(n, Event::TimePassed, "time").unwrap();
            }
        }
        for n in 0..self.grants.len() {
            if self.grants[n].due_at().is_some_and(|due| due <= now) {
                let step = self.grants[n].time_passed(now).unwrap();
                self.commit_grant(n, step, "time");
            }
        }
        Seen::Nothing
    }

    fn done(
        &mut self,
        request: Option<usize>,
        grant: Option<usize>,
        event: &'static str,
        audit: AuditEntry,
        effects: usize,
    ) {
        self.log.push(Done { request, grant, event, audit, effects });
    }
}

/// The n-th newest of so many.
pub fn newest(len: usize, n: usize) -> Option<usize> {
    len.checked_sub(n + 1)
}
