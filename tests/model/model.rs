//! The reference model: what ought to come of each step, by the design alone. It shares no code with the service, keeps
//! nothing but the list of what happened, and decides everything anew from it.

use super::books::{Books, GrantNow, RequestNow, Seen};
use super::history::{Fact, Granted, History, Opened, Origin, Source, ms};
use super::judge::{Ruling, Verdict, judge};
use super::people::{Voice, enough};
use super::plans::Plan;
use super::world::{CAST, Revoker, SUBJECTS, Scopes, Step, Time, Wish, person};

/// A token, or an answer, lives for at least this many seconds.
pub(super) const SHORTEST: u64 = 5;
const LONGEST_WISH: u64 = 366 * 86_400;
const AHEAD_MOST: Time = 30 * 86_400_000;

/// The model.
pub struct Model<'p> {
    pub(super) plans: &'p [Plan],
    pub history: History,
    pub(super) last_call: Option<Wish>,
}

impl<'p> Model<'p> {
    pub fn new(plans: &'p [Plan]) -> Self {
        Self { plans, history: History::default(), last_call: None }
    }

    pub(super) fn plan(&self) -> &'p Plan {
        &self.plans[self.history.policy()]
    }

    pub(super) fn now(&self) -> Time {
        self.history.now()
    }

    fn newest_request(&self, on: usize) -> Option<usize> {
        self.history.requests().count().checked_sub(on + 1)
    }

    fn newest_grant(&self, on: usize) -> Option<usize> {
        self.history.grants().count().checked_sub(on + 1)
    }

    /// What ought to be seen of a step. `clock` is what the machine's clock says.
    pub fn expect(&mut self, step: &Step, clock: Time) -> Seen {
        self.history.add(Fact::Clock(clock));
        let done = match step {
            Step::Wait(_) | Step::Until(..) => return Seen::Nothing,
            Step::Worker => {
                self.worker();
                return Seen::Nothing;
            }
            Step::Policy(n) => {
                self.history.add(Fact::Policy(*n));
                return Seen::Nothing;
            }
            Step::Call(changes) => {
                let mut wish = super::world::usual();
                changes.iter().for_each(|change| change.applied(&mut wish));
                return self.call(wish);
            }
            Step::CallAgain => return self.last_call.clone().map_or(Seen::Nothing, |wish| self.call(wish)),
            Step::Approve { who, on, first_card, take, seconds } => {
                self.newest_request(*on).and_then(|n| self.approve(*who, n, *first_card, *take, *seconds))
            }
            Step::Deny { who, on, first_card } => {
                self.newest_request(*on).and_then(|n| self.deny(*who, n, *first_card))
            }
            Step::TakeBack { who, on } => self.newest_request(*on).and_then(|n| self.take_back(*who, n)),
            Step::Withdraw { who, on } => self.newest_request(*on).and_then(|n| self.withdraw(*who, n)),
            Step::Revoke { by, on } => self.newest_grant(*on).and_then(|n| self.revoke(*by, n)),
            Step::Done { who, on } => self.newest_grant(*on).and_then(|n| self.hand_back(*who, n)),
            Step::Extend { who, on, lifetime } => self.newest_grant(*on).and_then(|n| self.extend(*who, n, *lifetime)),
            Step::Ahead { who, client, scopes, lifetime, minutes } => {
                let starts = minutes.map(|minutes| super::world::start_in(self.now(), minutes));
                let wish = Wish { client: *client, scopes: *scopes, lifetime: *lifetime, ..super::world::usual() };
                self.ahead(*who, wish, starts)
            }
        };
        if done.is_some() { Seen::Done } else { Seen::Refused }
    }

    /// Everything as it ought to stand.
    pub fn books(&self) -> Books {
        let h = &self.history;
        let request = |(n, opened): (usize, &Opened)| RequestNow {
            status: h.status(n),
            scopes: h.shown(n),
            lasts: h.lasts(n),
            shown_version: h.shown_version(n),
            agreed: h.voices(n).iter().map(|voice| person(voice.who)).collect(),
            decide_by: opened.decide_by,
        };
        let grant = |(n, born): (usize, &Granted)| GrantNow {
            status: h.grant_status(n),
            request: if let Source::Request(request) = born.source { Some(request) } else { None },
            scopes: born.scopes,
            until: born.until,
            used: u32::try_from(h.uses(n).count()).expect("few"),
        };
        Books {
            requests: h.requests().enumerate().map(request).collect(),
            grants: h.grants().enumerate().map(grant).collect(),
        }
    }

    // ---- people -----------------------------------------------------------------------------------------------------

    /// Whether somebody asked for it, is its subject, or acts for it: none of those decides.
    pub(super) fn is_party(&self, who: usize, request: usize) -> bool {
        let Opened { wish, origin, .. } = self.history.request(request);
        let asked = match origin {
            Origin::Hook => None,
            Origin::Ahead(by, _) | Origin::Extends(by, _) => Some(person(*by)),
        };
        [asked, wish.subject(), super::world::ACTORS[wish.actor]]
            .into_iter()
            .flatten()
            .any(|party| party == person(who))
    }

    /// Who may decide about a pending request, on the card that shows it: what that person is in that counts.
    fn may_decide(&self, who: usize, n: usize) -> Option<Voice> {
        let needed = self.history.needs(n).iter().fold(0, |all, (sets, _)| all | sets);
        let voice = Voice { who, sets: self.plan().sets_of(who) & needed };
        let own = self.is_party(who, n) && !self.history.request(n).question.own;
        (voice.sets != 0 && !own).then_some(voice)
    }

    fn is_shown(&self, n: usize, first_card: bool) -> bool {
        self.history.status(n) == "pending" && (!first_card || self.history.shown_version(n) == 1)
    }

    fn approve(&mut self, who: usize, n: usize, first_card: bool, take: Scopes, seconds: Option<u64>) -> Option<()> {
        if !self.is_shown(n, first_card) {
            return None;
        }
        let voice = self.may_decide(who, n)?;
        let (shown, lasts) = (self.history.shown(n), self.history.lasts(n));
        let take = take & shown;
        let seconds = seconds.unwrap_or(lasts);
        if self.history.voices(n).iter().any(|other| person(other.who) == person(who))
            || seconds > lasts
            || seconds == 0
        {
            return None;
        }
        let makes_less = take != 0 || seconds < lasts;
        let needs = self.history.request(n).question.left(self.history.removed(n) | take);
        if makes_less && (shown & !take == 0 || !needs.iter().any(|(sets, _)| sets & voice.sets != 0)) {
            return None;
        }
        if !self.policy_agrees(n, shown & !take, seconds) {
            return None;
        }
        self.history.add(Fact::Agreed { request: n, voice, take, seconds });
        if self.history.is_agreed(n) {
            self.grant_of(n);
        }
        Some(())
    }

    /// Whether the policy of now, where it is another one, wants no more than what people were asked.
    fn policy_agrees(&self, n: usize, scopes: Scopes, seconds: u64) -> bool {
        let opened = self.history.request(n);
        if opened.policy == self.history.policy() {
            return true;
        }
        let now = judge(self.plan(), &opened.wish, true);
        let fits = now.verdict != Verdict::Refused && scopes & !now.scopes == 0 && seconds <= now.bounds.lasts;
        let was = &opened.question;
        let asked: Vec<_> = was.left(self.history.removed(n));
        fits && match &now.verdict {
            Verdict::Asked(is) => {
                let wants = is.left(now.scopes & !scopes);
                let same_people = |(sets, count): &(u8, u8)| asked.iter().any(|(s, c)| s == sets && c >= count);
                let easier = (is.confirm && !was.confirm) || (was.own && !is.own) || (was.shared && !is.shared);
                !is.ticket_missing && !easier && wants.iter().all(same_people)
            }
            Verdict::Refused | Verdict::Passes | Verdict::Allowed | Verdict::Glass(_) => true,
        }
    }

    /// Enough people agree: the grant, whose time begins now, or at the start that was asked for.
    fn grant_of(&mut self, n: usize) {
        let (now, opened) = (self.now(), self.history.request(n));
        let bounds = opened.ruling.bounds;
        let starts = match opened.origin {
            Origin::Ahead(_, Some(start)) => start.max(now),
            Origin::Hook | Origin::Ahead(_, None) | Origin::Extends(..) => now,
        };
        let collectable_from = match opened.origin {
            Origin::Extends(_, grant) => self.history.grant(grant).until.max(now),
            Origin::Hook | Origin::Ahead(..) => starts,
        };
        let granted = Granted {
            wish: opened.wish.clone(),
            source: Source::Request(n),
            scopes: self.history.shown(n),
            bounds,
            starts,
            until: starts + ms(self.history.lasts(n)),
            collect_by: collectable_from + ms(bounds.collect),
        };
        self.history.add(Fact::Granted(granted));
    }

    fn deny(&mut self, who: usize, n: usize, first_card: bool) -> Option<()> {
        if !self.is_shown(n, first_card) {
            return None;
        }
        self.may_decide(who, n)?;
        self.history.add(Fact::Denied { request: n });
        Some(())
    }

    fn take_back(&mut self, who: usize, n: usize) -> Option<()> {
        let agrees = self.history.voices(n).iter().any(|voice| person(voice.who) == person(who));
        (self.history.status(n) == "pending" && agrees).then(|| self.history.add(Fact::TookBack { request: n, who }))
    }

    // ---- whom it is for -----------------------------------------------------------------------------------------------

    fn is_own_request(&self, who: usize, n: usize) -> bool {
        let Opened { wish, origin, .. } = self.history.request(n);
        let asked = matches!(origin, Origin::Ahead(by, _) | Origin::Extends(by, _) if person(*by) == person(who));
        asked || wish.subject() == Some(person(who))
    }

    fn is_own_grant(&self, who: usize, n: usize) -> bool {
        let asked =
            matches!(self.history.grant(n).source, Source::Request(request) if self.is_own_request(who, request));
        asked || self.history.owner(n).subject() == Some(person(who))
    }

    fn withdraw(&mut self, who: usize, n: usize) -> Option<()> {
        let may = self.is_own_request(who, n) && self.history.status(n) == "pending";
        may.then(|| self.history.add(Fact::Withdrawn { request: n }))
    }

    fn is_live(&self, n: usize) -> bool {
        matches!(self.history.grant_status(n), "reserved" | "active")
    }

    fn hand_back(&mut self, who: usize, n: usize) -> Option<()> {
        let may = self.is_own_grant(who, n) && self.is_live(n);
        may.then(|| self.history.add(Fact::HandedBack { grant: n }))
    }

    fn revoke(&mut self, by: Revoker, n: usize) -> Option<()> {
        let may = match by {
            Revoker::Operator => true,
            Revoker::Hook(hook) => self.history.owner(n).hook == hook,
            Revoker::Person(who) => match self.history.grant(n).source {
                // On the card: whom it is for, who decided, and who may decide now.
                Source::Request(request) => {
                    let subject = self.history.request(request).wish.subject() == Some(person(who));
                    let decided = self.history.voices(request).iter().any(|voice| person(voice.who) == person(who));
                    subject || decided || self.may_decide(who, request).is_some()
                }
                Source::Allowed | Source::Glass => false,
            },
        };
        // What is used up still answers the call that used it, until its time is up.
        let answers = self.history.grant_status(n) == "used up" && self.now() < self.history.grant(n).until;
        (may && (self.is_live(n) || answers)).then(|| self.history.add(Fact::Revoked { grant: n, somebody: true }))
    }

    fn extend(&mut self, who: usize, n: usize, lifetime: Option<u64>) -> Option<()> {
        if !self.is_own_grant(who, n) || !self.is_live(n) || self.history.is_open(n) {
            return None;
        }
        if lifetime.is_some_and(|wish| !(SHORTEST..=LONGEST_WISH).contains(&wish)) {
            return None;
        }
        let Granted { scopes, starts, until, .. } = *self.history.grant(n);
        let lasted = u64::try_from((until - starts) / 1_000).expect("a time");
        let (owner, reason) = (self.history.owner(n).clone(), self.history.grant(n).wish.reason);
        let wish = Wish { scopes, reason, lifetime: lifetime.or(Some(lasted)), number: 0, call: None, ..owner };
        let ruling = judge(self.plan(), &wish, true);
        self.ask_in_slack(wish, Origin::Extends(who, n), ruling)
    }

    fn ahead(&mut self, who: usize, wish: Wish, starts: Option<Time>) -> Option<()> {
        let offered = wish.client == 0 && wish.scopes != 0;
        let odd_time = wish.lifetime.is_some_and(|wish| !(SHORTEST..=LONGEST_WISH).contains(&wish));
        let subject = SUBJECTS.iter().position(|one| *one == Some(person(who))).expect("everybody is a subject");
        let odd_start = starts.is_some_and(|start| start <= self.now() || start > self.now() + AHEAD_MOST);
        if !offered || odd_time || odd_start {
            return None;
        }
        let wish = Wish { subject, ..wish };
        let ruling = judge(self.plan(), &wish, false);
        self.ask_in_slack(wish, Origin::Ahead(who, starts), ruling)
    }

    fn ask_in_slack(&mut self, wish: Wish, origin: Origin, ruling: Ruling) -> Option<()> {
        let Verdict::Asked(question) = &ruling.verdict else { return None };
        let lasts = wish.lifetime.unwrap_or(u64::MAX).min(ruling.bounds.lasts);
        let same = |(n, other): (usize, &Opened)| {
            let alike = (other.wish.kind(), other.wish.scopes) == (wish.kind(), wish.scopes);
            let for_the_same = match (origin, other.origin) {
                (Origin::Ahead(_, start), Origin::Ahead(_, other)) => start == other,
                (Origin::Extends(_, grant), Origin::Extends(_, other)) => grant == other,
                _ => false,
            };
            alike && for_the_same && self.history.status(n) == "pending"
        };
        let hooks = if matches!(origin, Origin::Ahead(..)) { vec![0, 1] } else { vec![wish.hook] };
        let cools = hooks.iter().any(|hook| self.is_cooling(&Wish { hook: *hook, ..wish.clone() }, ruling.scopes));
        if question.ticket_missing || lasts < SHORTEST || self.history.requests().enumerate().any(same) || cools {
            return None;
        }
        self.open(wish, origin, ruling).map(drop)
    }

    /// Opens a request, unless nobody could ever decide it.
    pub(super) fn open(&mut self, wish: Wish, origin: Origin, ruling: Ruling) -> Option<usize> {
        let Verdict::Asked(question) = ruling.verdict.clone() else { return None };
        let (policy, decide_by) = (self.history.policy(), self.now() + ms(question.decide));
        let (n, plan) = (self.history.requests().count(), self.plan());
        self.history.add(Fact::Opened(Opened { wish, origin, question, ruling, policy, decide_by }));
        let everybody: Vec<Voice> = (0..CAST.len()).filter_map(|who| self.may_decide(who, n)).collect();
        if enough(&self.history.needs(n), &everybody, plan.shared) {
            return Some(n);
        }
        self.history.facts.pop();
        None
    }
}
