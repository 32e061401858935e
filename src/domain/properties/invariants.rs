//! What must always hold, checked after every move: invariants 1 to 8 of the design, each by its own function.
//!
//! They look at what the domain made and, where something has to be recomputed, at the plain model.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Model, parties};
use super::people;
use super::shell::{Seen, Shell};
use super::speak;
use super::world::{CAST, Move};
use crate::domain::access_request::{AccessRequest, State};
use crate::domain::audit::Kind;
use crate::domain::grant::{Ending, Grant, Source, State as GrantState, Status};

/// A statement about a world that turned out false.
pub type Broken = Result<(), String>;

/// How often what happened, so that nobody mistakes an empty run for a good one.
pub type Tally = BTreeMap<&'static str, u64>;

/// What was true before, as far as it must stay true.
#[derive(Default)]
pub struct Before {
    settled: BTreeMap<usize, AccessRequest>,
    over: BTreeMap<usize, Grant>,
    ended: BTreeSet<usize>,
    born: Vec<Grant>,
    log: usize,
    tokens: usize,
    grants: usize,
}

macro_rules! must {
    ($holds:expr, $($says:tt)+) => {
        if !$holds { return Err(format!($($says)+)); }
    };
}

/// Checks everything after one move, then remembers what must stay.
pub fn check(
    before: &mut Before,
    shell: &Shell,
    model: &Model,
    a_move: &Move,
    seen: &Seen,
    tally: &mut Tally,
) -> Broken {
    a_grant_comes_from_enough_distinct_people(before, shell, model, tally)?;
    nothing_widens(before, shell, model)?;
    votes_bind_to_what_was_shown(before, shell, model)?;
    guards_run_again_at_the_hand_over(before, shell, model)?;
    ends_hold_by_reading(before, shell, model, tally)?;
    every_change_has_its_entry(before, shell, seen)?;
    repeats_change_nothing(before, shell, a_move, seen, tally)?;
    unknown_means_refuse(before, shell, model, seen, tally)?;
    what_is_settled_stays(before, shell)?;
    before.remember(shell);
    Ok(())
}

/// Invariant 1.
fn a_grant_comes_from_enough_distinct_people(
    before: &Before,
    shell: &Shell,
    model: &Model,
    tally: &mut Tally,
) -> Broken {
    for grant in &shell.grants[before.grants..] {
        let Source::Request(id) = &grant.source else {
            must!(!model.plan.asks && grant.deciders.is_empty(), "invariant 1: a grant without asking: {grant:?}");
            continue;
        };
        let n = shell.requests.iter().position(|request| request.id == *id);
        let Some(n) = n else { return Err(format!("invariant 1: a grant of no request: {grant:?}")) };
        let (request, asked) = (&shell.requests[n], &model.asked[n]);
        let says_so = matches!(&request.state, State::Approved { grant: of, .. } if *of == grant.id);
        must!(says_so, "invariant 1: the request of {grant:?} is {:?}", request.state);
        must!(!asked.needs.is_empty(), "invariant 1: nobody had to agree to {grant:?}");
        let sure = |who: &str| CAST.iter().position(|account| account.slack == who).unwrap();
        let deciders: Vec<usize> = grant.deciders.iter().map(|voter| sure(voter.slack.as_str())).collect();
        for (at, who) in deciders.iter().enumerate() {
            must!(!people::is_party(*who, &parties(&asked.wish)), "invariant 1: a party decided: {}", CAST[*who].slack);
            let twice = deciders[..at].iter().any(|other| people::may_be_the_same(*other, *who));
            must!(!twice, "invariant 1: one person decided twice: {}", CAST[*who].slack);
        }
        let counting = asked.counting();
        let told: Vec<usize> = counting.iter().map(|one| one.who).collect();
        must!(told == deciders, "invariant 1: {deciders:?} are said to have decided, not {told:?}");
        let enough = people::enough(&asked.wanted(), &counting, asked.plan.shared);
        must!(enough, "invariant 1: {:?} are not enough for {:?}", counting, asked.needs);
        tally_approval(&asked.wanted(), &counting, asked.plan.shared, tally);
        if asked.removed != 0 {
            *tally.entry("approved with less").or_default() += 1;
        }
        if asked.needs.len() < asked.plan.requirements.len() {
            *tally.entry("a requirement fell away").or_default() += 1;
        }
    }
    let approved = shell.requests.iter().filter(|request| matches!(request.state, State::Approved { .. })).count();
    let of_requests = shell.grants.iter().filter(|grant| grant.request().is_some()).count();
    must!(approved == of_requests, "invariant 1: {approved} approved requests have {of_requests} grants");
    Ok(())
}

fn tally_approval(requirements: &[(u8, u8)], counting: &[people::Approval], shared: bool, tally: &mut Tally) {
    let mut met = |what| *tally.entry(what).or_default() += 1;
    met("approved");
    match counting.len() {
        1 => met("approved by one"),
        2 => met("approved by two"),
        _ => met("approved by three or more"),
    }
    if shared && requirements.len() > counting.len() {
        met("approved by sharing");
    }
    if !shared && !people::greedy_is_enough(requirements, counting) {
        met("approved after seating people anew");
    }
}

/// Invariant 2.
fn nothing_widens(before: &Before, shell: &Shell, model: &Model) -> Broken {
    for (n, grant) in shell.grants.iter().enumerate() {
        let given = &model.given[n];
        if n >= before.grants {
            let asked = speak::token_request(&given.wish);
            let scopes = speak::mask(&grant.scopes);
            must!(scopes & !given.wish.scopes == 0, "invariant 2: granted more than asked: {grant:?}");
            if let Some(request) = given.request.map(|n| &shell.requests[n]) {
                let shown = &request.question.terms;
                must!(grant.scopes.is_subset(&shown.scopes), "invariant 2: granted more than shown: {grant:?}");
                must!(
                    grant.expires_at - grant.granted_at == seconds(request.duration),
                    "invariant 2: longer: {grant:?}"
                );
                must!(request.duration <= shown.bounds.max_duration, "invariant 2: longer than allowed: {request:?}");
            }
            let wished = asked.requested_lifetime.unwrap_or(u64::MAX);
            let lasts = u64::try_from((grant.expires_at - grant.granted_at).num_seconds()).unwrap_or(u64::MAX);
            must!(lasts <= wished, "invariant 2: longer than asked: {grant:?}");
            must!(
                grant.granted_at == speak::time(given.at),
                "invariant 2: its clock did not start at the decision: {grant:?}"
            );
            must!(grant.asked.audience == asked.audience, "invariant 2: another audience: {grant:?}");
        } else {
            let born = &before.born[n];
            let same = (&grant.scopes, grant.granted_at, grant.expires_at, grant.collect_by, &grant.coverage)
                == (&born.scopes, born.granted_at, born.expires_at, born.collect_by, &born.coverage);
            must!(same, "invariant 2: a grant grew: {born:?} to {grant:?}");
        }
    }
    for token in &shell.tokens[before.tokens..] {
        let (grant, given) = (&shell.grants[token.grant], &model.given[token.grant]);
        let (asked, of) = (&token.wish, &given.wish);
        must!(token.scopes & !given.scopes == 0, "invariant 2: a token wider than its grant: {token:?}");
        must!(token.scopes & !asked.scopes == 0, "invariant 2: a token wider than its call: {token:?}");
        let whose = |w: &super::world::Wish| (w.hook, w.client, w.subject, w.actor, w.audience, w.details, w.cnf);
        must!(whose(asked) == whose(of), "invariant 2: a token for another than {of:?}: {token:?}");
        must!(token.until <= grant.expires_at.timestamp_millis(), "invariant 2: a token outlives its grant: {token:?}");
        let lives = u64::try_from((token.until - token.at) / 1_000).unwrap_or(0);
        must!(lives <= asked.lifetime.unwrap_or(u64::MAX), "invariant 2: a token longer than asked: {token:?}");
        must!(lives <= grant.max_token_lifetime, "invariant 2: a token longer than allowed: {token:?}");
    }
    Ok(())
}

/// Invariant 3.
fn votes_bind_to_what_was_shown(before: &Before, shell: &Shell, model: &Model) -> Broken {
    for done in &shell.log[before.log..] {
        if !matches!(done.event, "approved" | "denied") {
            continue;
        }
        let (click, n) = (shell.last_click.unwrap(), done.request.unwrap());
        let shown = model.asked[n].shown_version;
        // A yes to less is given on the card of before, and makes what it says the next version.
        let narrows = u32::from(!done.audit.detail["removed_now"].is_null());
        must!(click.shown + narrows == shown, "invariant 3: a click for version {} counted for {shown}", click.shown);
        must!(done.audit.detail["shown_version"] == shown, "invariant 3: the entry names no version: {:?}", done.audit);
        if let Some(grant) = done.grant {
            let (granted, request) = (&shell.grants[grant], &shell.requests[n]);
            let said_yes_to_as_much = |slack: &str| {
                let votes = request.votes.iter().filter(|vote| vote.voter.slack.as_str() == slack);
                let mut shown = votes.filter_map(|vote| vote.shown.as_ref());
                shown.any(|shown| granted.scopes.is_subset(&shown.scopes) && request.duration <= shown.duration)
            };
            let all = granted.deciders.iter().all(|voter| said_yes_to_as_much(voter.slack.as_str()));
            must!(all, "invariant 3: somebody said yes to less than {granted:?}");
        }
    }
    Ok(())
}

/// Invariant 4, as far as it is the domain's: at every issuance the policy of that moment, and the stricter wins.
fn guards_run_again_at_the_hand_over(before: &Before, shell: &Shell, model: &Model) -> Broken {
    for token in &shell.tokens[before.tokens..] {
        let lives = u64::try_from((token.until - token.at) / 1_000).unwrap_or(0);
        must!(lives <= model.plan.max_token, "invariant 4: longer than the policy of now allows: {token:?}");
        must!(token.scopes & model.plan.forbidden == 0, "invariant 4: a scope that is refused by now: {token:?}");
        let by_rule = shell.grants[token.grant].request().is_none();
        must!(!(by_rule && model.plan.asks), "invariant 4: allowed once, but asked about by now: {token:?}");
    }
    Ok(())
}

/// Invariant 5.
fn ends_hold_by_reading(before: &Before, shell: &Shell, model: &Model, tally: &mut Tally) -> Broken {
    let now = speak::time(shell.now);
    for (request, asked) in shell.requests.iter().zip(&model.asked) {
        let (read, wanted) = (request.status(now).as_str(), asked.status(shell.now));
        must!(read == wanted, "invariant 5: read as {read}, but it is {wanted}: {request:?}");
    }
    for (n, (grant, given)) in shell.grants.iter().zip(&model.given).enumerate() {
        let read = match grant.status(now) {
            Status::Reserved | Status::Active => "live",
            Status::Revoked => "revoked",
            Status::Ended(Ending::Expired) => "expired",
            Status::Ended(Ending::Uncollected) => "uncollected",
            Status::Ended(Ending::UsedUp) => "used up",
            Status::Ended(Ending::HandedBack) => "handed back",
        };
        let wanted = given.status(shell.now);
        must!(read == wanted, "invariant 5: read as {read}, but it is {wanted}: {grant:?}");
        must!(!(read == "live" && before.ended.contains(&n)), "invariant 5: it came back to life: {grant:?}");
        let is_due = grant.due_at().is_some_and(|due| due <= now);
        // What is used up still answers the call that used it, until its time is up.
        let answers = read == "used up" && shell.now < given.until;
        let is_over = matches!(grant.state, GrantState::Live) && read != "live" && !answers;
        must!(is_due == is_over, "invariant 5: over ({is_over}) and due ({is_due}) disagree: {grant:?}");
        if read != "live" && !before.ended.contains(&n) {
            *tally.entry(read).or_default() += 1;
        }
    }
    for token in &shell.tokens[before.tokens..] {
        let given = &model.given[token.grant];
        must!(token.at < given.until, "invariant 5: a token after the end: {token:?} of {given:?}");
        must!(given.revoked_at.is_none(), "invariant 5: a token after the revocation: {token:?} of {given:?}");
    }
    Ok(())
}

/// Invariant 6: every accepted step has exactly one entry, and every change has a step.
fn every_change_has_its_entry(before: &Before, shell: &Shell, seen: &Seen) -> Broken {
    let now = speak::time(shell.now);
    for done in &shell.log[before.log..] {
        let entry = &done.audit;
        must!(entry.at == now, "invariant 6: an entry of another time: {entry:?}");
        let kind = match (done.event, done.request, done.grant) {
            ("opened", Some(_), None) => Kind::RequestOpened,
            ("asked again", Some(_), None) => Kind::RequestJoined,
            ("approved", Some(_), None) if !entry.detail["removed_now"].is_null() => Kind::RequestNarrowed,
            ("approved", Some(_), None) => Kind::VoteRecorded,
            ("took back", Some(_), None) => Kind::VoteWithdrawn,
            ("approved", Some(_), Some(_)) => Kind::RequestApproved,
            ("denied", Some(_), None) => Kind::RequestDenied,
            ("withdrawn", Some(_), None) => Kind::RequestCancelled,
            ("time", Some(_), None) => Kind::RequestExpired,
            ("time", None, Some(_)) => Kind::GrantEnded,
            ("revoked", None, Some(_)) => Kind::GrantRevoked,
            other => return Err(format!("invariant 6: no such step: {other:?}")),
        };
        must!(entry.kind == kind, "invariant 6: {} is written down as {entry:?}", done.event);
        let by_rule = done.grant.is_some_and(|n| shell.grants[n].request().is_none());
        must!((done.effects == 0) == by_rule, "invariant 6: {} effects of {entry:?}", done.effects);
        let request = done.request.map(|n| &shell.requests[n].id);
        let request = request.or_else(|| shell.grants[done.grant?].request());
        must!(entry.request_id.as_ref() == request, "invariant 6: about another request: {entry:?}");
        let grant = done.grant.map(|n| &shell.grants[n].id);
        must!(entry.grant_id.as_ref() == grant, "invariant 6: about another grant: {entry:?}");
    }
    let entries = |wanted: &dyn Fn(&super::shell::Done) -> bool| shell.log.iter().filter(|done| wanted(done)).count();
    for (n, request) in shell.requests.iter().enumerate() {
        let steps = entries(&|done| done.request == Some(n));
        must!(usize::try_from(request.version) == Ok(steps - 1), "invariant 6: {steps} entries for {request:?}");
    }
    let silent = matches!(seen, Seen::Nothing | Seen::Refused(_) | Seen::Token { .. });
    let ends_only = shell.log[before.log..].iter().all(|done| done.event == "time");
    must!(!silent || ends_only, "invariant 6: {seen:?}, and yet {:?}", &shell.log[before.log..]);
    Ok(())
}

/// Invariant 7, besides what the shell tries after each step: the very same event changes nothing.
fn repeats_change_nothing(before: &Before, shell: &Shell, a_move: &Move, seen: &Seen, tally: &mut Tally) -> Broken {
    let pending = shell.requests.iter().zip(&shell.keys).filter(|(request, _)| request.state == State::Pending);
    let pending: Vec<&str> = pending.map(|(_, key)| key.0.as_str()).collect();
    let distinct: BTreeSet<&str> = pending.iter().copied().collect();
    must!(pending.len() == distinct.len(), "invariant 7: two pending requests for the same");
    let fresh = &shell.log[before.log..];
    if let (Move::AskAgain, Seen::Pending { opened: false, .. }) = (a_move, seen) {
        *tally.entry("asked again while pending").or_default() += 1;
        must!(fresh.iter().all(|done| done.event == "asked again"), "invariant 7: a retry did more: {fresh:?}");
    }
    if let Seen::Refused("already voted") = seen {
        *tally.entry("clicked twice").or_default() += 1;
    }
    let cards = fresh.iter().filter(|done| done.event == "opened").count();
    must!(cards <= 1, "invariant 7: one call, {cards} cards");
    if let (Seen::Pending { opened: false, noted: false, .. }, false) = (seen, fresh.is_empty()) {
        return Err(format!("invariant 7: nothing differed, and yet {fresh:?}"));
    }
    Ok(())
}

/// Invariant 8: whoever is in no approver set, or a party, changes nothing by clicking.
fn unknown_means_refuse(before: &Before, shell: &Shell, model: &Model, seen: &Seen, tally: &mut Tally) -> Broken {
    let (Seen::Approved { request, .. } | Seen::Denied { request }) = seen else {
        if let Seen::Refused(why @ ("not an approver" | "own request" | "out of date")) = seen {
            *tally.entry(why).or_default() += 1;
            must!(shell.log.len() == before.log, "invariant 8: refused, and yet {:?}", &shell.log[before.log..]);
        }
        return Ok(());
    };
    let (click, asked) = (shell.last_click.unwrap(), &model.asked[*request]);
    let known = asked.needs.iter().any(|(sets, _, _)| sets & shell.members[click.who] != 0);
    must!(known, "invariant 8: {} is in no approver set and counted", CAST[click.who].slack);
    let party = people::is_party(click.who, &parties(&asked.wish));
    must!(!party, "invariant 8: {} is a party and counted", CAST[click.who].slack);
    Ok(())
}

/// Nothing leaves a terminal state.
fn what_is_settled_stays(before: &Before, shell: &Shell) -> Broken {
    for (n, was) in &before.settled {
        let is = &shell.requests[*n];
        must!(
            (&is.state, &is.votes, is.version) == (&was.state, &was.votes, was.version),
            "it left {was:?} for {is:?}"
        );
    }
    for (n, was) in &before.over {
        let is = &shell.grants[*n];
        must!((&is.state, is.version) == (&was.state, was.version), "it left {was:?} for {is:?}");
    }
    Ok(())
}

fn seconds(n: u64) -> chrono::Duration {
    chrono::Duration::seconds(i64::try_from(n).unwrap())
}

impl Before {
    fn remember(&mut self, shell: &Shell) {
        for (n, request) in shell.requests.iter().enumerate() {
            if request.state != State::Pending {
                self.settled.entry(n).or_insert_with(|| request.clone());
            }
        }
        for (n, grant) in shell.grants.iter().enumerate() {
            if grant.state != GrantState::Live {
                self.over.entry(n).or_insert_with(|| grant.clone());
            }
            if !matches!(grant.status(speak::time(shell.now)), Status::Reserved | Status::Active) {
                self.ended.insert(n);
            }
        }
        self.born.extend(shell.grants[self.grants..].iter().cloned());
        (self.log, self.tokens, self.grants) = (shell.log.len(), shell.tokens.len(), shell.grants.len());
    }
}
