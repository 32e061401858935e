//! The pure core with the smallest shell around it: load, let the domain decide, keep all that follows at once. There is
//! no database, no Slack and no clock; who is who comes from the cast, and who is in which set from the policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::domain::Timestamp;
use countersign::domain::access_request::{
    AccessRequest, Asker, Ballot, Choice, Cooldown, Denials, Event, Filled, MessageRef, Proof, Step as Follows,
    speaks_for,
};
use countersign::domain::audit::{Actor, AuditEntry};
use countersign::domain::grant::{Grant, GrantStep};
use countersign::domain::identity::Voter;
use countersign::domain::ids::SlackChannelId;
use countersign::domain::policy::{Policy, Question};
use countersign::domain::token_request::Fingerprint;

use super::books::{self, Seen};
use super::speak;
use super::world::{HOOKS, Revoker, Step, Time, Wish, usual};

/// The scopes of a cool-down's key: hook, client, subject and scope.
pub(super) type Cool = (String, String, String, String);

/// What is refused for a while.
pub(super) struct Cooling {
    pub until: Timestamp,
    pub denials: Option<Denials>,
}

/// The pure core.
pub struct Core<'p> {
    policies: &'p [Policy],
    policy: usize,
    clock: Time,
    pub now: Time,
    pub requests: Vec<Arc<AccessRequest>>,
    /// What each of them is found by while it is pending.
    pub(super) keys: Vec<Fingerprint>,
    pub grants: Vec<Arc<Grant>>,
    pub entries: Vec<Arc<AuditEntry>>,
    /// Access requests whose cards wait to be drawn, and how each was drawn last.
    pub to_draw: Vec<usize>,
    pub drawn: Vec<Option<Arc<AccessRequest>>>,
    pub(super) cooling: BTreeMap<Cool, Cooling>,
    pub(super) calls: BTreeMap<(usize, u8), (Wish, Option<usize>)>,
    pub(super) last_call: Option<Wish>,
}

impl<'p> Core<'p> {
    pub fn new(policies: &'p [Policy]) -> Self {
        Self {
            policies,
            policy: 0,
            clock: 0,
            now: 0,
            requests: Vec::new(),
            keys: Vec::new(),
            grants: Vec::new(),
            entries: Vec::new(),
            to_draw: Vec::new(),
            drawn: Vec::new(),
            cooling: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_call: None,
        }
    }

    pub(super) fn policy(&self) -> &'p Policy {
        &self.policies[self.policy]
    }

    pub(super) fn at(&self) -> Timestamp {
        speak::time(self.now)
    }

    /// Does one step, and says what is seen of it.
    pub fn act(&mut self, step: &Step) -> Seen {
        let newest = |len: usize, on: usize| len.checked_sub(on + 1);
        let (request, grant) = match step {
            Step::Approve { on, .. }
            | Step::Deny { on, .. }
            | Step::TakeBack { on, .. }
            | Step::Withdraw { on, .. } => (newest(self.requests.len(), *on), None),
            Step::Revoke { on, .. } | Step::Done { on, .. } | Step::Extend { on, .. } => {
                (None, newest(self.grants.len(), *on))
            }
            _ => (None, None),
        };
        let done = match step {
            Step::Call(changes) => {
                let mut wish = usual();
                changes.iter().for_each(|change| change.applied(&mut wish));
                return self.call(&wish);
            }
            Step::CallAgain => return self.last_call.clone().map_or(Seen::Nothing, |wish| self.call(&wish)),
            Step::Policy(n) => {
                self.policy = *n;
                return Seen::Nothing;
            }
            Step::Wait(by) => return self.clock_says(self.clock + by),
            Step::Until(n, by) => {
                let cools = self.cooling.values().map(|one| speak::millis(one.until));
                let next = books::instants(&self.requests, &self.grants, cools, self.now).get(*n).copied();
                return self.clock_says(next.unwrap_or(self.now) + by);
            }
            Step::Worker => return self.worker(),
            Step::Approve { who, first_card, take, seconds, .. } => request.and_then(|n| {
                let shown = &self.requests[n].question.terms.scopes;
                let taken = speak::scopes(*take);
                let keep = shown.iter().filter(|scope| !taken.contains(scope)).cloned().collect();
                let filled = Filled { keep: (*take != 0).then_some(keep), duration: *seconds, ..Filled::default() };
                self.vote(*who, n, *first_card, Choice::Approve, filled)
            }),
            Step::Deny { who, first_card, .. } => request.and_then(|n| {
                self.vote(*who, n, *first_card, Choice::Deny { reason: "No.".to_owned() }, Filled::default())
            }),
            Step::TakeBack { who, .. } => request.and_then(|n| {
                let voter = self.voter(*who, &self.requests[n].question);
                self.apply(n, Event::TookBack(Box::new(voter)))
            }),
            Step::Withdraw { who, .. } => request.and_then(|n| {
                let asker = asker(*who);
                let own = self.requests[n].is_of(&asker.principal);
                let by = Actor::Person(asker.slack, Some(asker.principal));
                if own { self.apply(n, Event::Cancelled { by }) } else { None }
            }),
            Step::Revoke { by, .. } => grant.and_then(|n| self.revoke_by(*by, n)),
            Step::Done { who, .. } => grant.and_then(|n| {
                let asker = asker(*who);
                let by = Actor::Person(asker.slack.clone(), Some(asker.principal.clone()));
                let step = if self.is_theirs(n, &asker) { self.grants[n].hand_back(by, self.at()).ok() } else { None };
                step.map(|step| self.keep_grant(n, step))
            }),
            Step::Extend { who, lifetime, .. } => grant.and_then(|n| self.extend(&asker(*who), n, *lifetime)),
            Step::Ahead { who, client, scopes, lifetime, minutes } => {
                let wish = Wish { client: *client, scopes: *scopes, lifetime: *lifetime, ..usual() };
                self.ahead(&asker(*who), &wish, *minutes)
            }
        };
        if done.is_some() { Seen::Done } else { Seen::Refused }
    }

    // ---- time -------------------------------------------------------------------------------------------------------

    fn clock_says(&mut self, at: Time) -> Seen {
        self.clock = at;
        self.now = self.now.max(at);
        Seen::Nothing
    }

    /// What the clock says, which may be less than what it is.
    pub fn clock(&self) -> Time {
        self.clock
    }

    fn worker(&mut self) -> Seen {
        let now = self.at();
        for n in 0..self.requests.len() {
            if self.requests[n].due_at().is_some_and(|due| due <= now) {
                self.apply(n, Event::TimePassed).expect("what is due happens");
            }
        }
        for n in 0..self.grants.len() {
            if self.grants[n].due_at().is_none_or(|due| due > now) {
                continue;
            }
            if let Some(step) = self.grants[n].time_passed(now) {
                self.keep_grant(n, step);
            } else if self.grants[n].start.unchecked().is_some() {
                self.begin(n);
            }
        }
        // Each card at least once.
        for n in std::mem::take(&mut self.to_draw) {
            self.drawn[n] = Some(self.requests[n].clone());
        }
        Seen::Nothing
    }

    // ---- people -----------------------------------------------------------------------------------------------------

    /// Somebody of the cast, in those sets of a question that the policy of now has them in.
    pub(super) fn voter(&self, who: usize, question: &Question) -> Voter {
        let wanted = question.requirements.iter().flat_map(|one| one.approvers.iter());
        speak::voter(who, self.policy(), wanted, self.at())
    }

    fn vote(&mut self, who: usize, n: usize, first_card: bool, choice: Choice, filled: Filled) -> Option<()> {
        let request = &self.requests[n];
        let shown_version = if first_card { 1 } else { request.shown_version };
        if choice == Choice::Approve
            && shown_version == request.shown_version
            && request.policy != self.policy().version
        {
            let (ruling, _) = self.judge(&request.asked);
            let shown = filled.keep.as_ref().unwrap_or(&request.question.terms.scopes);
            let lasts = filled.duration.unwrap_or(request.duration);
            request.question.still_enough(shown, lasts, &ruling).ok()?;
        }
        let ballot = Ballot {
            voter: self.voter(who, &request.question),
            proof: Proof::Click,
            choice,
            filled,
            cooldown: self.policy().limits.denial_cooldown,
            shown_version,
            message: MessageRef { channel: SlackChannelId::parse("C0DESK").expect("a channel"), ts: "1.2".to_owned() },
            policy: self.policy().version.clone(),
            grant_id: speak::grant_id(self.grants.len()),
        };
        self.apply(n, Event::Voted(Box::new(ballot)))
    }

    /// Lets something happen to an access request, and keeps what follows.
    pub(super) fn apply(&mut self, n: usize, event: Event) -> Option<()> {
        let step = self.requests[n].apply(event, self.at()).ok()?;
        self.keep(Some(n), step);
        Some(())
    }

    /// All of it at once: the next state under the next version, the grant, the cool-downs, the entry, the effects.
    pub(super) fn keep(&mut self, n: Option<usize>, step: Follows) -> usize {
        let Follows { mut next, grant, mut cooldowns, audit, effects } = step;
        self.lengthen(&mut cooldowns);
        let at = match n {
            Some(at) => {
                next.version += 1;
                self.requests[at] = Arc::new(next);
                at
            }
            None => {
                self.keys.push(next.pending_key());
                self.requests.push(Arc::new(next));
                self.drawn.push(None);
                self.requests.len() - 1
            }
        };
        self.grants.extend(grant.map(Arc::new));
        self.cool(cooldowns);
        self.entries.push(Arc::new(audit));
        if !effects.is_empty() {
            self.to_draw.push(at);
        }
        at
    }

    pub(super) fn keep_grant(&mut self, n: usize, step: GrantStep) {
        let GrantStep { mut next, cooldowns, audit, effects } = step;
        next.version += 1;
        let request = next.request().and_then(|id| self.requests.iter().position(|one| one.id == *id));
        if !effects.is_empty() {
            self.to_draw.extend(request);
        }
        self.grants[n] = Arc::new(next);
        self.cool(cooldowns);
        self.entries.push(Arc::new(audit));
    }

    fn lengthen(&self, cooldowns: &mut Vec<Cooldown>) {
        let now = self.at();
        let longer = |one: Cooldown| {
            let before = self.cooling.get(&place(&one)).and_then(|cooling| cooling.denials.clone());
            one.after(before.as_ref(), now)
        };
        *cooldowns = std::mem::take(cooldowns).into_iter().map(longer).collect();
    }

    fn cool(&mut self, cooldowns: Vec<Cooldown>) {
        for one in cooldowns {
            let cooling = self.cooling.entry(place(&one)).or_insert(Cooling { until: one.until, denials: None });
            cooling.until = cooling.until.max(one.until);
            if one.denials > 0 {
                cooling.denials = Some(Denials { times: one.denials, until: one.until });
            }
        }
    }

    fn revoke_by(&mut self, by: Revoker, n: usize) -> Option<()> {
        let grant = &self.grants[n];
        let request = grant.request().and_then(|id| self.requests.iter().find(|one| one.id == *id));
        let by = match by {
            Revoker::Operator => Actor::Operator("ops".to_owned()),
            Revoker::Hook(hook) if grant.asked.hook.as_str() != HOOKS[hook] => return None,
            Revoker::Hook(_) => Actor::Hook(grant.asked.hook.clone()),
            Revoker::Person(who) => {
                let request = request?;
                let voter = self.voter(who, &request.question);
                let decided = grant.deciders.iter().any(|decider| decider.principal == voter.principal);
                let may = speaks_for(&request.asked, &voter.principal) || decided || request.eligible(&voter).is_ok();
                if !may {
                    return None;
                }
                Actor::Person(voter.slack, Some(voter.principal))
            }
        };
        self.revoke(n, by)
    }

    pub(super) fn revoke(&mut self, n: usize, by: Actor) -> Option<()> {
        // What the service ends by itself is nobody's no.
        let by_itself = by == Actor::Service;
        let cooldown = if by_itself { 0 } else { self.policy().limits.denial_cooldown };
        let mut step = self.grants[n].revoke(by, "because", cooldown, self.at()).ok()?;
        if by_itself {
            step.cooldowns.clear();
        }
        self.keep_grant(n, step);
        Some(())
    }

    pub(super) fn is_theirs(&self, n: usize, who: &Asker) -> bool {
        let grant = &self.grants[n];
        let request = grant.request().and_then(|id| self.requests.iter().find(|one| one.id == *id));
        request.is_some_and(|one| one.is_of(&who.principal)) || speaks_for(&grant.asked, &who.principal)
    }
}

fn asker(who: usize) -> Asker {
    Asker { slack: speak::account(who), principal: speak::principal(who) }
}

fn place(one: &Cooldown) -> Cool {
    let subject = format!("{}:{}", one.subject_kind.as_str(), one.subject);
    (one.hook.clone(), one.client.clone(), subject, one.scope.clone())
}
