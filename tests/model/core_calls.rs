//! The smallest shell, continued: a hook is called, somebody asks in Slack, and what was granted ahead starts.

use countersign::domain::Timestamp;
use std::sync::Arc;

use countersign::domain::access_request::{
    AccessRequest, Ahead, Asker, Event, Extension, Origin, ServerAbilities, Status, Step as Follows, speaks_for,
    would_meet,
};
use countersign::domain::audit::{Actor, AuditEntry, Kind};
use countersign::domain::grant::State;
use countersign::domain::grant::{Grant, Source, TOKEN_LIFETIME_MIN};
use countersign::domain::identity::Voter;
use countersign::domain::ids::{GrantId, HookName};
use countersign::domain::policy::{AheadRuling, Judging, PolicyVersion, Question, Ruling, SelfApproval, Terms, Uses};
use countersign::domain::token_request::{CoverageKey, Fingerprint, TokenRequest};

use super::books::Seen;
use super::core::Core;
use super::speak;
use super::world::{CAST, Wish, start_in};

/// What every server here can do.
const SERVER: ServerAbilities = ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: true };

/// How a grant is made without asking anybody.
type Birth = fn(GrantId, &TokenRequest, &Terms, PolicyVersion, Timestamp) -> Grant;

impl Core<'_> {
    /// What the policy says of a call, and what of it is allowed beside what people are asked about.
    pub(super) fn judge(&self, asked: &TokenRequest) -> (Ruling, Option<Terms>) {
        let policy = self.policy();
        let judged = policy.judge(asked, &|_| true, self.at());
        let allowed = policy.allowed_now(asked, &judged);
        (policy.rule(asked, judged, true), allowed)
    }

    pub(super) fn call(&mut self, wish: &Wish) -> Seen {
        self.last_call = Some(wish.clone());
        if let Some(id) = wish.call {
            let known = self.calls.entry((wish.hook, id)).or_insert_with(|| (wish.clone(), None));
            if known.0 != *wish {
                return Seen::Conflict;
            }
        }
        let asked = speak::token_request(wish);
        let (ruling, allowed) = self.judge(&asked);
        let terms = match &ruling {
            Ruling::Refused(_) => return Seen::Refused,
            Ruling::Observed(terms) => return Seen::Passes { scopes: speak::mask(&terms.scopes) },
            Ruling::Allowed(terms) => terms,
            Ruling::Asked(question) => &question.terms,
            Ruling::BreakGlass(glass) => &glass.terms,
        };
        if asked.requested_lifetime.unwrap_or(u64::MAX).min(terms.bounds.max_duration) < TOKEN_LIFETIME_MIN {
            return Seen::Refused;
        }
        if let Some(token) = self.issue(wish, &asked, &ruling, terms) {
            return token;
        }
        let seen = self.ask_people(wish, &asked, &ruling, terms);
        // In part only beside what people are asked about.
        let (Some(terms), Ruling::Asked(_), Seen::Pending { .. } | Seen::Refused) = (allowed, &ruling, &seen) else {
            return seen;
        };
        let request = if let Seen::Pending { request } = seen { Some(request) } else { None };
        let ruling = Ruling::Allowed(terms.clone());
        let token = match self.issue(wish, &asked, &ruling, &terms) {
            Some(token) => token,
            None if self.cools(&asked, &terms) => return seen,
            None => self.at_once(wish, &asked, &ruling, Grant::allowed, &terms),
        };
        match token {
            Seen::Token { grant, scopes, lifetime, until, .. } => {
                Seen::Token { grant, scopes, lifetime, until, asked: request }
            }
            other => other,
        }
    }

    fn ask_people(&mut self, wish: &Wish, asked: &TokenRequest, ruling: &Ruling, terms: &Terms) -> Seen {
        let key = asked.pending_key();
        let same = self.pending(|_, known| *known == key);
        if let (Some(request), false) = (same, matches!(ruling, Ruling::BreakGlass(_))) {
            return self.attach(request, asked);
        }
        if self.cools(asked, terms) {
            return Seen::Refused;
        }
        match ruling {
            Ruling::Refused(_) | Ruling::Observed(_) => Seen::Refused,
            Ruling::Allowed(_) => self.at_once(wish, asked, ruling, Grant::allowed, terms),
            Ruling::BreakGlass(glass) => {
                let names: Vec<_> = glass.requesters.iter().flatten().collect();
                let in_each = |who: &Voter| {
                    glass.requesters.iter().all(|sets| sets.iter().any(|set| who.member_of.contains(set)))
                };
                let mut cast =
                    (0..CAST.len()).map(|who| speak::voter(who, self.policy(), names.iter().copied(), self.at()));
                let named = cast.any(|who| speaks_for(asked, &who.principal) && in_each(&who));
                if !asked.may_open_a_request() || glass.refuses(asked).is_some() || !named {
                    return Seen::Refused;
                }
                self.at_once(wish, asked, ruling, Grant::emergency, terms)
            }
            Ruling::Asked(question) => {
                let now = self.at();
                if let Some(request) = self.pending(|one, _| one.would_cover(asked, &terms.scopes, now)) {
                    return self.attach(request, asked);
                }
                if !asked.may_open_a_request() || question.not_now.is_some() {
                    return Seen::Refused;
                }
                let id = speak::request_id(self.requests.len());
                let version = self.policy().version.clone();
                let step = AccessRequest::open(id, asked.clone(), question.clone(), SERVER, version, now);
                match self.open(step) {
                    Some(request) => Seen::Pending { request },
                    None => Seen::Refused,
                }
            }
        }
    }

    /// The first pending access request of which something is true. One whose deadline has passed hears of it first.
    fn pending(&mut self, is: impl Fn(&AccessRequest, &Fingerprint) -> bool) -> Option<usize> {
        for n in 0..self.requests.len() {
            if self.requests[n].settled() != Status::Pending || !is(&self.requests[n], &self.keys[n]) {
                continue;
            }
            if self.requests[n].status(self.at()) == Status::Pending {
                return Some(n);
            }
            self.apply(n, Event::TimePassed);
        }
        None
    }

    fn attach(&mut self, request: usize, asked: &TokenRequest) -> Seen {
        self.apply(request, Event::AskedAgain(Box::new(asked.clone())));
        Seen::Pending { request }
    }

    fn cools(&self, asked: &TokenRequest, terms: &Terms) -> bool {
        let subject = format!("{}:{}", asked.subject.kind.as_str(), asked.subject.id);
        let until = |scope: &str| {
            let place = (asked.hook.to_string(), asked.client.id.clone(), subject.clone(), scope.to_owned());
            self.cooling.get(&place).map(|one| one.until)
        };
        terms.scopes.judged().iter().any(|scope| until(scope.as_str()).is_some_and(|until| until > self.at()))
    }

    fn at_once(&mut self, wish: &Wish, asked: &TokenRequest, ruling: &Ruling, birth: Birth, terms: &Terms) -> Seen {
        let id = speak::grant_id(self.grants.len());
        let grant = birth(id, asked, terms, self.policy().version.clone(), self.at());
        let kind = if grant.source == Source::BreakGlass { Kind::GlassBroken } else { Kind::GrantAllowed };
        self.entries.push(Arc::new(entry(kind, asked, Some(&grant), self.at())));
        self.grants.push(Arc::new(grant));
        self.issue(wish, asked, ruling, terms).unwrap_or(Seen::Refused)
    }

    /// A token from a grant that stands, with its record, as the store judges it inside of the transaction.
    fn issue(&mut self, wish: &Wish, asked: &TokenRequest, ruling: &Ruling, terms: &Terms) -> Option<Seen> {
        let (key, now, fingerprint) = (asked.coverage_key(), self.at(), asked.fingerprint());
        let earlier = wish.call.and_then(|id| self.calls.get(&(wish.hook, id))).and_then(|(_, grant)| *grant);
        let repeated = |core: &Self, n: usize| match wish.call {
            Some(_) => earlier == Some(n),
            None => core.grants[n].is_same_use(&fingerprint, now),
        };
        let lives = |grant: &Grant| grant.expires_at > now && grant.state == State::Live;
        let mut order: Vec<usize> =
            (0..self.grants.len()).filter(|n| self.grants[*n].coverage == key && lives(&self.grants[*n])).collect();
        order.sort_by_key(|n| (self.grants[*n].request().is_none(), std::cmp::Reverse(self.grants[*n].expires_at)));
        if order.iter().any(|n| self.grants[*n].uses_under(&terms.bounds) != Uses::Window) {
            order.sort_by_key(|n| !repeated(self, *n));
        }
        for n in order {
            let again = repeated(self, n);
            if let Some(seen) = self.issue_under(n, wish, asked, ruling, terms, again) {
                return Some(seen);
            }
        }
        let n = self.collected_for(asked, ruling, terms)?;
        self.issue_under(n, wish, asked, ruling, terms, false)
    }

    fn issue_under(
        &mut self,
        n: usize,
        wish: &Wish,
        asked: &TokenRequest,
        ruling: &Ruling,
        terms: &Terms,
        again: bool,
    ) -> Option<Seen> {
        let now = self.at();
        let grant = &self.grants[n];
        let counted = again && grant.uses_under(&terms.bounds) != Uses::Window;
        let token = grant.hand_over(asked, ruling, terms, counted, now)?;
        if grant.is_outgrown(ruling, &self.policy().version) {
            return None;
        }
        let request = grant.request().and_then(|id| self.requests.iter().find(|one| one.id == *id));
        if let (Some(request), 0) = (request, grant.used)
            && !request.is_still_agreed(grant, ruling, |voter| Some(self.still_known(voter)))
        {
            self.revoke(n, Actor::Service);
            return None;
        }
        // The claim: what reading allowed is checked again where nobody else can write.
        let used_up = matches!(grant.uses, Uses::Times(most) if grant.used >= most);
        if !(grant.is_live(now) || used_up && again && now < grant.expires_at) {
            return None;
        }
        let audit = entry(Kind::TokenIssued, asked, Some(grant), now);
        let grant = Arc::make_mut(&mut self.grants[n]);
        if !again {
            grant.used += 1;
            grant.last_use = Some((now, asked.fingerprint()));
        }
        grant.last_token_expires_at = grant.last_token_expires_at.max(Some(token.expires_at));
        let is_last = matches!(grant.uses, Uses::Times(most) if grant.used == most) && !again;
        if let (true, Some(request)) = (is_last, grant.request().cloned()) {
            self.to_draw.extend(self.requests.iter().position(|one| one.id == request));
        }
        if let Some(known) = wish.call.and_then(|id| self.calls.get_mut(&(wish.hook, id))) {
            known.1 = Some(n);
        }
        self.entries.push(Arc::new(audit));
        let (scopes, until) = (speak::mask(&token.scopes), speak::millis(token.expires_at));
        Some(Seen::Token { grant: n, scopes, lifetime: token.lifetime, until, asked: None })
    }

    /// A voter in those approver sets of then that the policy of now still has them in.
    fn still_known(&self, voter: &Voter) -> Voter {
        let still = |name: &&_| self.policy().approvers.get(*name).is_some_and(|set| set.users.contains(&voter.slack));
        Voter { member_of: voter.member_of.iter().filter(still).cloned().collect(), ..voter.clone() }
    }

    // ---- what is asked in Slack ---------------------------------------------------------------------------------------

    fn collected_for(&mut self, asked: &TokenRequest, ruling: &Ruling, terms: &Terms) -> Option<usize> {
        if !matches!(ruling, Ruling::Asked(_)) || !asked.may_open_a_request() {
            return None;
        }
        let (now, keys) = (self.at(), CoverageKey::waiting_for(asked));
        let open = |grant: &Grant| keys.contains(&grant.coverage) && grant.is_open_to(asked, &terms.scopes, now);
        let mut order: Vec<usize> = (0..self.grants.len()).filter(|n| open(&self.grants[*n])).collect();
        order.sort_by_key(|n| std::cmp::Reverse(self.grants[*n].expires_at));
        for n in order {
            self.begin(n);
            if let Some(step) = self.grants[n].collected_by(asked, ruling, terms, now) {
                self.keep_grant(n, step);
                return Some(n);
            }
        }
        None
    }

    /// At the start of what was granted ahead, those who approved are looked at anew.
    pub(super) fn begin(&mut self, n: usize) {
        let grant = &self.grants[n];
        let Some(step) = grant.started(self.at()) else { return };
        let request = self.requests.iter().find(|one| grant.request() == Some(&one.id)).expect("its request");
        let known = |voter: &Voter| {
            let who = CAST.iter().position(|(slack, _)| *slack == voter.slack.as_str()).expect("one of the cast");
            self.voter(who, &request.question)
        };
        let people: Vec<Voter> = grant.deciders.iter().map(known).collect();
        let asked = TokenRequest { scopes: grant.scopes.clone(), ..request.asked.clone() };
        let ruling = match &request.origin {
            Origin::Ahead(ahead) => Some(self.judge_ahead(&asked, &ahead.by)),
            Origin::Hook | Origin::Extension(_) => None,
        };
        if request.refuses_to_start(&people, ruling.as_ref()).is_some() {
            self.revoke(n, Actor::Service);
        } else {
            self.keep_grant(n, step);
        }
    }

    fn judge_ahead(&self, asked: &TokenRequest, who: &Asker) -> AheadRuling {
        let policy = self.policy();
        let there = |hook: &HookName| {
            let at_hook = TokenRequest { hook: hook.clone(), ..asked.clone() };
            Judging { hook: hook.clone(), server: SERVER, judged: policy.judge(&at_hook, &|_| true, self.at()) }
        };
        let hooks = policy.resources.first().map(|one| one.hooks.iter().map(there).collect()).unwrap_or_default();
        policy.rule_ahead(asked, speaks_for(asked, &who.principal), hooks, String::new())
    }

    pub(super) fn ahead(&mut self, who: &Asker, wish: &Wish, minutes: Option<u32>) -> Option<()> {
        let asked = speak::asked_ahead(who, wish);
        let starts_at = minutes.map(|minutes| speak::time(start_in(self.now, minutes)));
        let odd = wish.lifetime.is_some_and(|wish| !(TOKEN_LIFETIME_MIN..=366 * 86_400).contains(&wish))
            || starts_at.is_some_and(|start| start <= self.at() || start > self.at() + chrono::Duration::days(30));
        let offered = self.policy().resources.first().is_some_and(|one| one.clients.contains(&asked.client.id));
        if odd || !offered || asked.scopes.is_empty() {
            return None;
        }
        let AheadRuling::Asked { question, hooks, .. } = self.judge_ahead(&asked, who) else { return None };
        let origin = Origin::Ahead(Box::new(Ahead { by: who.clone(), hooks, starts_at }));
        self.open_in_slack(asked, *question, origin)
    }

    pub(super) fn extend(&mut self, who: &Asker, n: usize, lifetime: Option<u64>) -> Option<()> {
        let grant = &self.grants[n];
        let odd = lifetime.is_some_and(|wish| !(TOKEN_LIFETIME_MIN..=366 * 86_400).contains(&wish));
        if !self.is_theirs(n, who) || !grant.is_live(self.at()) || grant.open.is_some() || odd {
            return None;
        }
        let lasted = u64::try_from((grant.expires_at - grant.starts_at()).num_seconds()).ok();
        let (scopes, of, ends_at) = (grant.scopes.clone(), grant.id.clone(), grant.expires_at);
        let asked = TokenRequest {
            scopes,
            requested_lifetime: lifetime.or(lasted),
            binding_message: None,
            ..grant.asked.clone()
        };
        let (Ruling::Asked(question), _) = self.judge(&asked) else { return None };
        self.open_in_slack(asked, question, Origin::Extension(Box::new(Extension { by: who.clone(), of, ends_at })))
    }

    fn open_in_slack(&mut self, asked: TokenRequest, question: Question, origin: Origin) -> Option<()> {
        let lasts = asked.requested_lifetime.unwrap_or(u64::MAX).min(question.terms.bounds.max_duration);
        if question.not_now.is_some() || lasts < TOKEN_LIFETIME_MIN {
            return None;
        }
        let (id, version) = (speak::request_id(self.requests.len()), self.policy().version.clone());
        let step = AccessRequest::open_in_slack(id, asked, question, SERVER, version, origin, self.at());
        let key = step.next.pending_key();
        if self.pending(|_, known| *known == key).is_some() {
            return None;
        }
        for hook in step.next.hooks() {
            let there = TokenRequest { hook, ..step.next.asked.clone() };
            if self.cools(&there, &step.next.question.terms) {
                return None;
            }
        }
        self.open(step).map(drop)
    }

    /// Keeps a new access request, unless nobody could ever decide it.
    fn open(&mut self, step: Follows) -> Option<usize> {
        let request = &step.next;
        let cast = (0..CAST.len()).map(|who| self.voter(who, &request.question));
        let may = |who: &Voter| request.question.self_approval != SelfApproval::Never || !request.is_party(who);
        let people: Vec<Voter> = cast.filter(may).collect();
        would_meet(&request.question, people.iter()).then(|| self.keep(None, step))
    }
}

fn entry(kind: Kind, asked: &TokenRequest, grant: Option<&Grant>, at: Timestamp) -> AuditEntry {
    AuditEntry {
        at,
        kind,
        actor: Actor::Hook(asked.hook.clone()),
        request_id: grant.and_then(|one| one.request().cloned()),
        grant_id: grant.map(|one| one.id.clone()),
        summary: String::new(),
        detail: serde_json::Value::Null,
    }
}
