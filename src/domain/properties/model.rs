//! The reference model: what ought to happen, from sets, maps and numbers alone.
//!
//! It knows no type of the domain, no worker and no stored ends: it looks at the time and at what was done.
//! Where it and the domain disagree, one of them is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::people::{self, Approval};
use super::shell::{Click, Seen};
use super::world::{self, ACTORS, CAST, Move, Plan, SUBJECTS, Wish, World};

/// Everything that makes two calls the same kind of call, apart from scopes.
type Kind = (usize, usize, usize, usize, u8, usize, usize);

fn kind(wish: &Wish) -> Kind {
    (wish.hook, wish.client, wish.subject, wish.actor, wish.audience, wish.details, wish.cnf)
}

/// What differs in a retry: reason, lifetime, address.
type Difference = (Option<usize>, Option<Option<u64>>, Option<usize>);

/// What is refused for a while.
pub struct Cooling {
    /// Hook, client, subject.
    whose: (usize, usize, usize),
    /// 0 or 1; 2 where none was named.
    audience: u8,
    /// 0 to 3; 4 where none was named.
    scope: u8,
    until: i64,
}

/// An access request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub wish: Wish,
    /// What was shown: a mask of scopes, and for how many seconds.
    pub shown: u8,
    pub seconds: u64,
    pub shown_version: u32,
    pub plan: Plan,
    pub decide_by: i64,
    /// Who must agree now: masks of approver sets, how many, and for which scopes (a mask).
    pub needs: Vec<(u8, u8, u8)>,
    /// What was taken out.
    pub removed: u8,
    /// Approvals that stand, in order. What was shown only ever gets less, so each counts for what is left.
    pub approvals: Vec<Approval>,
    /// How it was ended by somebody.
    pub ended: Option<&'static str>,
    notes: BTreeSet<Difference>,
}

/// A grant.
#[derive(Debug, Clone)]
pub struct Given {
    pub wish: Wish,
    /// The access request behind it.
    pub request: Option<usize>,
    pub scopes: u8,
    /// What approvers took out of what was asked.
    pub removed: u8,
    pub at: i64,
    pub until: i64,
    pub collect_by: Option<i64>,
    pub max_token: u64,
    pub uses: Option<u32>,
    pub used: u32,
    last: Option<(i64, Kind, u8)>,
    pub revoked_at: Option<i64>,
}

/// Everything that is so.
pub struct Model {
    pub plan: Plan,
    pub members: Vec<u8>,
    pub asked: Vec<Asked>,
    pub given: Vec<Given>,
    cooling: Vec<Cooling>,
    calls: BTreeMap<u8, (Wish, Option<usize>)>,
    usual: Wish,
    last_ask: Option<Wish>,
    last_click: Option<Click>,
}

/// Whoever is the subject or an actor of a wish, in lower case.
pub fn parties(wish: &Wish) -> BTreeSet<String> {
    let (_, id, email) = SUBJECTS[wish.subject];
    let names = [Some(id), email].into_iter().flatten().chain(ACTORS[wish.actor].iter().copied());
    names.map(|name| name.trim().to_lowercase()).collect()
}

fn seconds(n: u64) -> i64 {
    i64::try_from(n).unwrap() * 1_000
}

impl Asked {
    /// Where it stands, by the clock.
    pub fn status(&self, now: i64) -> &'static str {
        self.ended.unwrap_or(if now >= self.decide_by { "expired" } else { "pending" })
    }

    /// The approvals that stand.
    pub fn counting(&self) -> Vec<Approval> {
        self.approvals.clone()
    }

    /// Sets and counts of who must agree now.
    pub fn wanted(&self) -> Vec<(u8, u8)> {
        self.needs.iter().map(|(sets, count, _)| (*sets, *count)).collect()
    }
}

impl Given {
    /// Where it stands, by the clock.
    pub fn status(&self, now: i64) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.uses.is_some_and(|most| self.used >= most) {
            "used up"
        } else if self.used == 0 && self.collect_by.is_some_and(|by| now >= by && by < self.until) {
            "uncollected"
        } else if now >= self.until {
            "expired"
        } else {
            "live"
        }
    }

    fn token(&self, wish: &Wish, scopes: u8, policy_max: u64, repeated: bool, now: i64) -> Option<(u8, u64, i64)> {
        let (beyond, left) = (scopes & !self.scopes, scopes & self.scopes);
        let covers = kind(wish) == kind(&self.wish)
            && (scopes == 0) == (self.scopes == 0)
            && beyond & !self.removed == 0
            && (beyond == 0 || left != 0);
        let stands = match self.status(now) {
            "live" => true,
            "used up" => repeated && now < self.until,
            _ => false,
        };
        let room = u64::try_from((self.until - now) / 1_000).unwrap_or(0);
        let lives = wish.lifetime.unwrap_or(u64::MAX).min(self.max_token).min(policy_max).min(room);
        (covers && stands && lives >= 5).then(|| (left, lives, now + seconds(lives)))
    }
}

/// The scopes that ask for a requirement, of those that are left: all of them, where none of its own is.
pub fn cover(cover: u8, left: u8) -> u8 {
    if cover & left == 0 { left } else { cover & left }
}

impl Model {
    pub fn new(world: &World) -> Self {
        Self {
            plan: world.plan.clone(),
            members: world.members.clone(),
            asked: Vec::new(),
            given: Vec::new(),
            cooling: Vec::new(),
            calls: BTreeMap::new(),
            usual: world.usual.clone(),
            last_ask: None,
            last_click: None,
        }
    }

    /// What ought to be seen of a move that is made at `now`.
    pub fn expect(&mut self, a_move: &Move, now: i64) -> Seen {
        let newest = super::shell::newest;
        match a_move {
            Move::Ask(changes) => self.ask(self.usual.with(changes), now),
            Move::AskAgain => self.last_ask.clone().map_or(Seen::Nothing, |wish| self.ask(wish, now)),
            Move::Click { who, on, deny, stale, less } => {
                let Some(request) = newest(self.asked.len(), *on) else { return Seen::Nothing };
                let shown = self.asked[request].shown_version.wrapping_sub(*stale);
                self.click(Click { who: *who, request, deny: *deny, shown, less: *less }, now)
            }
            Move::TakeBack { who, on } => {
                let Some(request) = newest(self.asked.len(), *on) else { return Seen::Nothing };
                let one = &mut self.asked[request];
                if one.status(now) != "pending" {
                    return Seen::Refused(one.status(now));
                }
                let same = |other: &Approval| CAST[other.who].principal == CAST[*who].principal;
                match one.approvals.iter().position(same) {
                    Some(at) => {
                        one.approvals.remove(at);
                        Seen::TookBack { request }
                    }
                    None => Seen::Refused("not voted"),
                }
            }
            Move::ClickAgain => self.last_click.map_or(Seen::Nothing, |click| self.click(click, now)),
            Move::Wait(_) | Move::Worker => Seen::Nothing,
            Move::Withdraw(on) => {
                let Some(request) = newest(self.asked.len(), *on) else { return Seen::Nothing };
                match self.asked[request].status(now) {
                    "pending" => {
                        self.asked[request].ended = Some("cancelled");
                        Seen::Withdrawn { request }
                    }
                    settled => Seen::Refused(settled),
                }
            }
            Move::Revoke(on) => {
                let Some(grant) = newest(self.given.len(), *on) else { return Seen::Nothing };
                let one = &self.given[grant];
                // What is used up still answers the call that used it.
                if one.status(now) != "live" && (one.status(now) != "used up" || now >= one.until) {
                    return Seen::Refused("over");
                }
                let given = &mut self.given[grant];
                given.revoked_at = Some(now);
                let cooldown = now + seconds(self.plan.cooldown);
                let until = if given.request.is_none() { cooldown.max(given.until) } else { cooldown };
                let (wish, scopes) = (given.wish.clone(), given.scopes);
                self.cool(&wish, scopes, until);
                Seen::Revoked { grant }
            }
            Move::Belong { .. } | Move::Tighten(_) | Move::Forbid(_) => {
                world::changes(&mut self.plan, &mut self.members, a_move);
                Seen::Nothing
            }
        }
    }

    fn ask(&mut self, wish: Wish, now: i64) -> Seen {
        self.last_ask = Some(wish.clone());
        let scopes = wish.scopes & !self.plan.forbidden;
        if wish.call.and_then(|id| self.calls.get(&id)).is_some_and(|(before, _)| *before != wish) {
            return Seen::Refused("conflict");
        }
        if let Some(id) = wish.call {
            self.calls.entry(id).or_insert_with(|| (wish.clone(), None));
        }
        if wish.scopes != 0 && scopes == 0 {
            return Seen::Refused("policy");
        }
        if let Some(token) = self.token(&wish, scopes, now) {
            return token;
        }
        let same = |one: &Asked| {
            one.status(now) == "pending"
                && kind(&one.wish) == kind(&wish)
                && one.wish.scopes == wish.scopes
                && one.wish.number == wish.number
        };
        if let Some(request) = self.asked.iter().position(same) {
            let noted = self.asked[request].note(&wish);
            return Seen::Pending { request, opened: false, noted };
        }
        if self.is_cooling(&wish, scopes, now) {
            return Seen::Refused("cooling down");
        }
        let lasts = wish.lifetime.unwrap_or(u64::MAX).min(self.plan.max_duration);
        if !self.plan.asks {
            self.given.push(self.grant(wish.clone(), None, scopes, lasts, now));
            return self.token(&wish, scopes, now).unwrap_or(Seen::Refused("too short"));
        }
        if wish.refresh {
            return Seen::Refused("cannot ask");
        }
        let needs = self.plan.requirements.iter().zip(&self.plan.covers);
        let needs = needs.map(|((sets, count), of)| (*sets, *count, cover(*of, scopes))).collect();
        self.asked.push(Asked {
            wish,
            needs,
            removed: 0,
            shown: scopes,
            seconds: lasts,
            shown_version: 1,
            plan: self.plan.clone(),
            decide_by: now + seconds(self.plan.decide_within),
            approvals: Vec::new(),
            ended: None,
            notes: BTreeSet::new(),
        });
        Seen::Pending { request: self.asked.len() - 1, opened: true, noted: false }
    }

    fn grant(&self, wish: Wish, request: Option<usize>, scopes: u8, lasts: u64, now: i64) -> Given {
        let plan = request.map_or(&self.plan, |n| &self.asked[n].plan);
        Given {
            wish,
            request,
            scopes,
            removed: request.map_or(0, |n| self.asked[n].removed),
            at: now,
            until: now + seconds(lasts),
            collect_by: request.map(|_| now + seconds(plan.collect_within)),
            max_token: plan.max_token,
            uses: plan.uses,
            used: 0,
            last: None,
            revoked_at: None,
        }
    }

    fn token(&mut self, wish: &Wish, scopes: u8, now: i64) -> Option<Seen> {
        let earlier = wish.call.and_then(|id| self.calls.get(&id)).and_then(|(_, grant)| *grant);
        let mut order: Vec<usize> = (0..self.given.len()).collect();
        order.sort_by_key(|n| -self.given[*n].until);
        for n in order {
            let given = &mut self.given[n];
            let identical = (kind(wish), wish.scopes);
            let just_now =
                given.last.is_some_and(|(at, kind, scopes)| (kind, scopes) == identical && now - at < 60_000);
            let repeated = if wish.call.is_some() { earlier == Some(n) } else { just_now };
            if given.request.is_none() && self.plan.asks {
                continue;
            }
            let Some((scopes, lifetime, until)) = given.token(wish, scopes, self.plan.max_token, repeated, now) else {
                continue;
            };
            if !repeated {
                given.used += 1;
                given.last = Some((now, identical.0, identical.1));
            }
            if let Some(known) = wish.call.and_then(|id| self.calls.get_mut(&id)) {
                known.1 = Some(n);
            }
            return Some(Seen::Token { grant: n, scopes, lifetime, until });
        }
        None
    }

    fn click(&mut self, click: Click, now: i64) -> Seen {
        self.last_click = Some(click);
        let one = &self.asked[click.request];
        let approval = Approval { who: click.who, sets: self.members[click.who] };
        if one.status(now) != "pending" {
            return Seen::Refused(one.status(now));
        }
        if click.shown != one.shown_version {
            return Seen::Refused("out of date");
        }
        if people::is_party(click.who, &parties(&one.wish)) {
            return Seen::Refused("own request");
        }
        let counts = |needs: &[(u8, u8, u8)]| needs.iter().any(|(sets, _, _)| sets & approval.sets != 0);
        if !counts(&one.needs) {
            return Seen::Refused("not an approver");
        }
        if click.deny {
            let (wish, shown) = (one.wish.clone(), one.shown | one.removed);
            self.asked[click.request].ended = Some("denied");
            self.cool(&wish, shown, now + seconds(self.plan.cooldown));
            return Seen::Denied { request: click.request };
        }
        if one.counting().iter().any(|other| people::may_be_the_same(other.who, click.who)) {
            return Seen::Refused("already voted");
        }
        let removed = one.shown & click.less.take;
        let left = one.shown & !removed;
        let lasts = click.less.seconds.unwrap_or(one.seconds);
        if lasts > one.seconds || click.less.seconds == Some(0) {
            return Seen::Refused("widens");
        }
        let mut needs = one.needs.clone();
        if removed != 0 {
            needs.retain(|(_, _, of)| of & left != 0);
        }
        if removed != 0 && left == 0 || (removed != 0 || lasts < one.seconds) && needs.is_empty() {
            return Seen::Refused("nothing left");
        }
        if !counts(&needs) {
            return Seen::Refused("not yours to leave");
        }
        let one = &mut self.asked[click.request];
        if removed != 0 || lasts != one.seconds {
            one.shown_version += 1;
        }
        (one.shown, one.removed, one.seconds, one.needs) = (left, one.removed | removed, lasts, needs);
        one.approvals.push(approval);
        if !people::enough(&one.wanted(), &one.counting(), one.plan.shared) {
            return Seen::Approved { request: click.request, grant: None };
        }
        let (wish, removed) = (one.wish.clone(), one.removed);
        if removed != 0 {
            self.cool(&wish, removed, now + seconds(self.plan.cooldown));
        }
        let one = &self.asked[click.request];
        let given = self.grant(one.wish.clone(), Some(click.request), one.shown, one.seconds, now);
        self.asked[click.request].ended = Some("approved");
        self.given.push(given);
        Seen::Approved { request: click.request, grant: Some(self.given.len() - 1) }
    }

    fn cool(&mut self, wish: &Wish, scopes: u8, until: i64) {
        for (audience, scope) in places(wish, scopes) {
            self.cooling.push(Cooling { whose: (wish.hook, wish.client, wish.subject), audience, scope, until });
        }
    }

    fn is_cooling(&self, wish: &Wish, scopes: u8, now: i64) -> bool {
        let (whose, places) = ((wish.hook, wish.client, wish.subject), places(wish, scopes));
        let here = |one: &Cooling| one.whose == whose && places.contains(&(one.audience, one.scope));
        self.cooling.iter().any(|one| here(one) && one.until > now)
    }
}

impl Asked {
    /// Whether a retry differs in a way that was not noted before; the tenth note is the last.
    fn note(&mut self, wish: &Wish) -> bool {
        let other = &self.wish;
        let difference = (
            (wish.reason != other.reason).then_some(wish.reason),
            (wish.lifetime != other.lifetime).then_some(wish.lifetime),
            (wish.ip != other.ip).then_some(wish.ip),
        );
        difference != (None, None, None) && self.notes.len() < 10 && self.notes.insert(difference)
    }
}

/// Every audience with every scope of a wish; 2 and 4 stand for none named.
fn places(wish: &Wish, scopes: u8) -> Vec<(u8, u8)> {
    let bits = |mask: u8, len: u8| (0..len).filter(|bit| mask & (1 << bit) != 0).collect::<Vec<_>>();
    let audiences = if wish.audience == 0 { vec![2] } else { bits(wish.audience, 2) };
    let scopes = if scopes == 0 { vec![4] } else { bits(scopes, 4) };
    audiences.iter().flat_map(|a| scopes.iter().map(|s| (*a, *s))).collect()
}

/// The identities of an account, as the cast has them.
pub fn identities(who: usize) -> Vec<&'static str> {
    [Some(CAST[who].principal), CAST[who].perhaps].into_iter().flatten().collect()
}
