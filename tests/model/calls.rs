//! The reference model, continued: what a hook's call ought to be answered, what is refused for a while, and what time
//! brings by itself.

use super::books::Seen;
use super::history::{Fact, Granted, Opened, Origin, Source, ms};
use super::judge::{Ruling, Verdict, judge};
use super::model::{Model, SHORTEST};
use super::people::{Voice, enough};
use super::plans::{Bounds, FOREVER};
use super::world::{ACTORS, CAST, REASONS, Scopes, Sets, Time, Wish, person};

const DAY: u64 = 86_400;

impl Model<'_> {
    pub(super) fn call(&mut self, wish: Wish) -> Seen {
        self.last_call = Some(wish.clone());
        if wish.call.is_some() {
            let other = |fact: &Fact| match fact {
                Fact::Called(before) => (before.hook, before.call) == (wish.hook, wish.call) && *before != wish,
                _ => false,
            };
            if self.history.facts.iter().any(|(_, fact)| other(fact)) {
                return Seen::Conflict;
            }
            self.history.add(Fact::Called(wish.clone()));
        }
        let ruling = judge(self.plan(), &wish, true);
        match ruling.verdict {
            Verdict::Refused => return Seen::Refused,
            Verdict::Passes => return Seen::Passes { scopes: ruling.scopes },
            Verdict::Allowed | Verdict::Asked(_) | Verdict::Glass(_) => {}
        }
        if wish.lifetime.unwrap_or(u64::MAX).min(ruling.bounds.lasts) < SHORTEST {
            return Seen::Refused;
        }
        if let Some(token) = self.token(&wish, &ruling) {
            return token;
        }
        let seen = self.without_a_grant(&wish, &ruling);
        match ruling.allowed {
            Some((scopes, bounds)) => self.in_part(&wish, scopes, bounds, seen),
            None => seen,
        }
    }

    /// No grant answers it: whoever asks the same waits for the same people; what cools down is refused; and at last
    /// the policy's word counts.
    fn without_a_grant(&mut self, wish: &Wish, ruling: &Ruling) -> Seen {
        if !matches!(ruling.verdict, Verdict::Glass(_))
            && let Some(request) = self.same_pending(wish)
        {
            return Seen::Pending { request };
        }
        if self.is_cooling(wish, ruling.scopes) {
            return Seen::Refused;
        }
        match &ruling.verdict {
            Verdict::Refused | Verdict::Passes => Seen::Refused,
            Verdict::Allowed => self.at_once(wish, Source::Allowed, ruling),
            Verdict::Glass(who) => {
                let may =
                    |who: &[Sets], account: usize| who.iter().all(|sets| sets & self.plan().sets_of(account) != 0);
                let named = (0..CAST.len()).any(|account| wish.subject() == Some(person(account)) && may(who, account));
                if wish.refresh || !named || REASONS[wish.reason].is_none() {
                    return Seen::Refused;
                }
                self.at_once(wish, Source::Glass, ruling)
            }
            Verdict::Asked(question) => {
                if let Some(request) = self.waits_in_slack(wish, ruling.scopes) {
                    return Seen::Pending { request };
                }
                if wish.refresh || question.ticket_missing {
                    return Seen::Refused;
                }
                match self.open(wish.clone(), Origin::Hook, ruling.clone()) {
                    Some(request) => Seen::Pending { request },
                    None => Seen::Refused,
                }
            }
        }
    }

    /// What a rule allows is issued although people are asked about the rest, or although the rest is refused.
    fn in_part(&mut self, wish: &Wish, scopes: Scopes, bounds: Bounds, rest: Seen) -> Seen {
        let asked = match rest {
            Seen::Pending { request } => Some(request),
            Seen::Refused => None,
            other => return other,
        };
        let ruling = Ruling { verdict: Verdict::Allowed, scopes, bounds, allowed: None };
        let token = match self.token(wish, &ruling) {
            Some(token) => token,
            None if self.is_cooling(wish, scopes) => return rest,
            None => self.at_once(wish, Source::Allowed, &ruling),
        };
        match token {
            Seen::Token { grant, scopes, lifetime, until, .. } => Seen::Token { grant, scopes, lifetime, until, asked },
            other => other,
        }
    }

    /// The pending request of the very same call; the number that the client shows counts, too.
    fn same_pending(&self, wish: &Wish) -> Option<usize> {
        let same = |(n, opened): &(usize, &Opened)| {
            let other = &opened.wish;
            opened.origin == Origin::Hook
                && (other.kind(), other.scopes, other.number) == (wish.kind(), wish.scopes, wish.number)
                && self.history.status(*n) == "pending"
        };
        self.history.requests().enumerate().find(same).map(|(n, _)| n)
    }

    /// A pending request that somebody made in Slack and that would answer this call.
    fn waits_in_slack(&self, wish: &Wish, scopes: Scopes) -> Option<usize> {
        let would = |(n, opened): &(usize, &Opened)| {
            let alike = match opened.origin {
                Origin::Hook => false,
                Origin::Ahead(_, start) => {
                    self.is_for(&opened.wish, wish) && start.is_none_or(|start| start <= self.now())
                }
                Origin::Extends(..) => opened.wish.kind() == wish.kind(),
            };
            alike && scopes & !self.history.shown(*n) == 0 && self.history.status(*n) == "pending"
        };
        self.history.requests().enumerate().find(would).map(|(n, _)| n)
    }

    /// Whether a call is one that something asked ahead was asked for: that client and person, and nothing besides.
    fn is_for(&self, ahead: &Wish, call: &Wish) -> bool {
        (ahead.client, ahead.subject) == (call.client, call.subject) && ACTORS[call.actor].is_none()
    }

    fn at_once(&mut self, wish: &Wish, source: Source, ruling: &Ruling) -> Seen {
        let (now, bounds) = (self.now(), ruling.bounds);
        let until = now + ms(wish.lifetime.unwrap_or(u64::MAX).min(bounds.lasts));
        let (wish, scopes, collect_by) = (wish.clone(), ruling.scopes, now + ms(FOREVER));
        self.history.add(Fact::Granted(Granted {
            wish: wish.clone(),
            source,
            scopes,
            bounds,
            starts: now,
            until,
            collect_by,
        }));
        self.token(&wish, ruling).unwrap_or(Seen::Refused)
    }

    /// A token from a grant that stands: what people approved before what rules gave, and what lasts longest first.
    /// Where uses are counted, the grant that had this use before comes before all.
    fn token(&mut self, wish: &Wish, ruling: &Ruling) -> Option<Seen> {
        let of_this = |n: &usize| !self.history.is_open(*n) && self.history.owner(*n).kind() == wish.kind();
        let lives = |n: &usize| self.now() < self.history.grant(*n).until && !self.is_over(*n);
        let mut order: Vec<usize> = (0..self.history.grants().count()).filter(of_this).filter(lives).collect();
        let by_rule = |n: &usize| !matches!(self.history.grant(*n).source, Source::Request(_));
        order.sort_by_key(|n| (by_rule(n), -self.history.grant(*n).until));
        if ruling.bounds.uses.is_some() || order.iter().any(|n| self.history.grant(*n).bounds.uses.is_some()) {
            order.sort_by_key(|n| !self.history.is_again(*n, wish));
        }
        for n in order {
            if let Some(token) = self.token_under(n, wish, ruling) {
                return Some(token);
            }
        }
        // What was granted ahead goes to the first call that gets a token of it.
        let waits = |n: &usize| {
            let born = self.history.grant(*n);
            let fits = self.is_for(&born.wish, wish) && ruling.scopes & !born.scopes == 0 && born.starts <= self.now();
            self.history.is_open(*n) && fits && matches!(self.history.grant_status(*n), "reserved" | "active")
        };
        if wish.refresh || !matches!(ruling.verdict, Verdict::Asked(_)) {
            return None;
        }
        let mut open: Vec<usize> = (0..self.history.grants().count()).filter(waits).collect();
        open.sort_by_key(|n| -self.history.grant(*n).until);
        for n in open {
            self.starts(n);
            if !self.is_over(n) && self.lifetime(n, wish, ruling).is_some() {
                self.history.add(Fact::Collected { grant: n, wish: wish.clone() });
                return self.token_under(n, wish, ruling);
            }
        }
        None
    }

    fn is_over(&self, n: usize) -> bool {
        matches!(self.history.grant_status(n), "revoked" | "handed back")
    }

    /// How long a token would live, and when it would end: no longer than asked, than the grant and the policy of now
    /// allow, and than what is left of the grant. The stricter of both policies counts.
    fn lifetime(&self, n: usize, wish: &Wish, ruling: &Ruling) -> Option<u64> {
        let (born, now) = (self.history.grant(n), self.now());
        let is_again = self.history.is_again(n, wish);
        let used = self.history.uses(n).count();
        let most = born.bounds.uses.into_iter().chain(ruling.bounds.uses).min();
        let stands = match self.history.grant_status(n) {
            "reserved" | "active" => most.is_none_or(|most| used < most as usize) || is_again,
            "used up" => is_again,
            _ => false,
        };
        let end = born.until.min(born.starts + ms(ruling.bounds.lasts));
        let left = u64::try_from((end - now) / 1_000).unwrap_or(0);
        let longest = born.bounds.token.min(ruling.bounds.token).min(left);
        let lifetime = wish.lifetime.unwrap_or(u64::MAX).min(longest);
        let rest = u64::try_from((born.until - now) / 1_000).unwrap_or(0);
        let fresh = match born.source {
            Source::Request(_) => true,
            Source::Glass => matches!(ruling.verdict, Verdict::Allowed | Verdict::Glass(_)),
            // One that is nearly over gives way to a new one.
            Source::Allowed => {
                let wanted = wish.lifetime.unwrap_or(u64::MAX).min(ruling.bounds.token).min(ruling.bounds.lasts / 2);
                ruling.verdict == Verdict::Allowed && rest >= wanted
            }
        };
        (stands && fresh && lifetime >= SHORTEST && self.history.has_started(n)).then_some(lifetime)
    }

    /// What a grant gives this call, if anything. Whoever approved it is counted again: before the first token as people
    /// are known now, and else it ends; later as they were known then, under a policy that became another.
    fn token_under(&mut self, n: usize, wish: &Wish, ruling: &Ruling) -> Option<Seen> {
        let born = self.history.grant(n).clone();
        let removed = if let Source::Request(request) = born.source { self.history.removed(request) } else { 0 };
        let (beyond, scopes) = (ruling.scopes & !born.scopes, ruling.scopes & born.scopes);
        if beyond & !removed != 0 || scopes == 0 {
            return None;
        }
        let lifetime = self.lifetime(n, wish, ruling)?;
        if let (Source::Request(request), Verdict::Asked(question)) = (born.source, &ruling.verdict) {
            let opened = self.history.request(request);
            let wants = question.left(removed);
            if self.history.uses(n).count() == 0 {
                let people = self.known_now(request);
                let may: Vec<Voice> =
                    people.iter().filter(|voice| question.own || !self.is_party(voice.who, request)).copied().collect();
                let stronger = question.confirm && !opened.question.confirm;
                if !self.would_agree_again(request) || stronger || !enough(&wants, &may, question.shared) {
                    self.history.add(Fact::Revoked { grant: n, somebody: false });
                    return None;
                }
            } else if opened.policy != self.history.policy()
                && !enough(&wants, &self.history.voices(request), question.shared)
            {
                return None;
            }
        } else if let Source::Request(request) = born.source
            && self.history.uses(n).count() == 0
            && !self.would_agree_again(request)
        {
            self.history.add(Fact::Revoked { grant: n, somebody: false });
            return None;
        }
        let again = self.history.is_again(n, wish);
        self.history.add(Fact::Issued { grant: n, wish: wish.clone(), again });
        Some(Seen::Token { grant: n, scopes, lifetime, until: self.now() + ms(lifetime), asked: None })
    }

    /// Those who agreed, in the approver sets that counted then and that they still are in.
    fn known_now(&self, request: usize) -> Vec<Voice> {
        let now = |voice: Voice| Voice { sets: voice.sets & self.plan().sets_of(voice.who), ..voice };
        self.history.voices(request).into_iter().map(now).collect()
    }

    /// Whether those who agreed still would be enough for what they were asked.
    fn would_agree_again(&self, request: usize) -> bool {
        enough(&self.history.needs(request), &self.known_now(request), self.history.request(request).question.shared)
    }

    // ---- time ---------------------------------------------------------------------------------------------------------

    /// What time brings by itself: what was granted ahead starts.
    pub fn worker(&mut self) {
        for n in 0..self.history.grants().count() {
            if self.now() >= self.history.grant(n).starts
                && matches!(self.history.grant_status(n), "reserved" | "active")
            {
                self.starts(n);
            }
        }
    }

    /// At its start it is asked anew whether those who agreed are enough, also for what the policy wants now.
    fn starts(&mut self, n: usize) {
        let Source::Request(request) = self.history.grant(n).source else { return };
        if self.history.has_started(n) {
            return;
        }
        let needed = self.history.needs(request).iter().fold(0, |all, (sets, _)| all | sets);
        let people: Vec<Voice> = self.history.voices(request);
        let people: Vec<Voice> =
            people.into_iter().map(|voice| Voice { sets: self.plan().sets_of(voice.who) & needed, ..voice }).collect();
        let agreed = enough(&self.history.needs(request), &people, self.history.request(request).question.shared);
        let wish = Wish { scopes: self.history.grant(n).scopes, ..self.history.request(request).wish.clone() };
        let good = agreed
            && match judge(self.plan(), &wish, false).verdict {
                Verdict::Refused | Verdict::Glass(_) | Verdict::Passes => false,
                Verdict::Allowed => true,
                Verdict::Asked(question) => enough(&question.left(0), &people, question.shared),
            };
        let fact = if good { Fact::Started { grant: n } } else { Fact::Revoked { grant: n, somebody: false } };
        self.history.add(fact);
    }

    // ---- cool-downs ---------------------------------------------------------------------------------------------------

    /// Whether any of these scopes was denied or revoked a short while ago, for this client and subject at this hook.
    pub(super) fn is_cooling(&self, wish: &Wish, scopes: Scopes) -> bool {
        (0..8).any(|bit| scopes & (1 << bit) != 0 && self.cools_until(wish, 1 << bit) > self.now())
    }

    /// Denials in a row refuse for twice as long each time, up to a day; after a quiet day they count anew.
    fn cools_until(&self, wish: &Wish, scope: Scopes) -> Time {
        let (mut until, mut denied_until, mut in_a_row) = (0, None::<Time>, 0);
        let mut policy = 0;
        for (at, fact) in &self.history.facts {
            let cooldown = self.plans[policy].cooldown;
            let (denied, of) = match fact {
                Fact::Policy(n) => {
                    policy = *n;
                    continue;
                }
                Fact::Denied { request } => (self.history.request(*request).question.about, *request),
                Fact::Granted(born) => {
                    let Source::Request(request) = born.source else { continue };
                    let refused = self.history.removed(request) & self.history.request(request).question.about;
                    (refused, request)
                }
                Fact::Revoked { grant, somebody: true } => {
                    let (born, here) = (self.history.grant(*grant), self.revokes_at(*grant, wish));
                    if here && born.scopes & scope != 0 {
                        let allowed = if born.source == Source::Allowed { born.until } else { 0 };
                        until = until.max(at + ms(cooldown)).max(allowed);
                    }
                    continue;
                }
                _ => continue,
            };
            let opened = self.history.request(of);
            let anywhere = matches!(opened.origin, Origin::Ahead(..));
            if denied & scope == 0 || !same_client(&opened.wish, wish) || (opened.wish.hook != wish.hook && !anywhere) {
                continue;
            }
            if denied_until.is_none_or(|before| *at >= before + ms(DAY)) {
                in_a_row = 0;
            }
            let lasts = (cooldown << in_a_row.min(20)).min(DAY.max(cooldown));
            in_a_row += 1;
            denied_until = Some(at + ms(lasts));
            until = until.max(at + ms(lasts));
        }
        until
    }

    /// Whether a revocation concerns this hook, client and subject. What belonged to no call yet concerned every hook
    /// where it could have been collected.
    fn revokes_at(&self, grant: usize, wish: &Wish) -> bool {
        let owner = self.history.owner(grant);
        let anywhere = self.history.is_open(grant);
        same_client(owner, wish) && (anywhere || owner.hook == wish.hook)
    }
}

fn same_client(one: &Wish, other: &Wish) -> bool {
    (one.client, one.subject) == (other.client, other.subject)
}
