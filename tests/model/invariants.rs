//! The invariants I1 to I12, each by a function of its own. They look at the domain's records before and after a step,
//! whoever keeps them, and know nothing of the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::domain::access_request::{AccessRequest, State};
use countersign::domain::audit::{AuditEntry, CHAIN_START, Kind, chain_hash};
use countersign::domain::grant::{Grant, Source, State as GrantState};
use countersign::domain::ids::RequestId;
use countersign::domain::policy::{SelfApproval, Uses};

use super::books::{person_of, status};
use super::people::{Voice, enough};
use super::speak;
use super::world::{SETS, Sets, Time};

/// What is kept, at one moment.
#[derive(Clone, Default)]
pub struct Records {
    pub now: Time,
    pub requests: Vec<Arc<AccessRequest>>,
    pub grants: Vec<Arc<Grant>>,
    pub entries: Vec<Arc<AuditEntry>>,
}

/// A statement that turned out false.
pub type Holds = Result<(), String>;

macro_rules! must {
    ($holds:expr, $($says:tt)+) => {
        if !$holds { return Err(format!($($says)+)); }
    };
}

/// Checks all of them after a step.
pub fn check(before: &Records, after: &Records) -> Holds {
    i1_at_most_one_grant_per_request(after)?;
    i2_a_grant_exists_exactly_where_its_request_is_approved(after)?;
    i3_enough_people_agreed_and_whoever_asked_is_not_among_them(before, after)?;
    i4_what_is_settled_never_changes(before, after)?;
    i5_versions_strictly_increase(before, after)?;
    i6_granted_is_within_shown_is_within_asked(after)?;
    i7_the_end_of_a_grant_is_within_bounds_and_constant(before, after)?;
    i8_nothing_is_issued_after_the_end(before, after)?;
    i9_no_more_uses_than_allowed(after)?;
    i10_one_pending_request_for_the_same_call(before, after)?;
    i11_every_change_has_exactly_one_entry(after)
}

fn i1_at_most_one_grant_per_request(after: &Records) -> Holds {
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    for grant in &after.grants {
        if let Some(id) = grant.request() {
            *found.entry(id.as_str()).or_default() += 1;
        }
    }
    must!(found.values().all(|n| *n == 1), "I1: a request with two grants: {found:?}");
    Ok(())
}

fn i2_a_grant_exists_exactly_where_its_request_is_approved(after: &Records) -> Holds {
    for request in &after.requests {
        let granted = after.grants.iter().find(|grant| grant.request() == Some(&request.id)).map(|grant| &grant.id);
        let says = if let State::Approved { grant, .. } = &request.state { Some(grant) } else { None };
        must!(granted == says, "I2: {granted:?} comes of a request that is {:?}", request.state);
    }
    for grant in &after.grants {
        let known = |id: &RequestId| after.requests.iter().any(|request| request.id == *id);
        must!(grant.request().is_none_or(known), "I2: a grant of nothing: {grant:?}");
    }
    Ok(())
}

fn i3_enough_people_agreed_and_whoever_asked_is_not_among_them(before: &Records, after: &Records) -> Holds {
    for grant in &after.grants[before.grants.len()..] {
        let request = after.requests.iter().find(|request| grant.request() == Some(&request.id));
        let Some(request) = request else {
            let without = matches!(grant.source, Source::AllowRule | Source::BreakGlass) && grant.deciders.is_empty();
            must!(without, "I3: nobody was asked, and yet {:?}", grant.deciders);
            continue;
        };
        let sets = |names: Vec<&str>| -> Sets {
            SETS.iter().enumerate().filter(|(_, set)| names.contains(*set)).fold(0, |all, (bit, _)| all | 1 << bit)
        };
        let question = &request.question;
        let needs: Vec<(Sets, u8)> = question
            .requirements
            .iter()
            .map(|one| (sets(one.approvers.iter().map(|name| name.as_str()).collect()), one.count.get()))
            .collect();
        let voices: Vec<Voice> = grant
            .deciders
            .iter()
            .map(|voter| Voice {
                who: super::world::CAST
                    .iter()
                    .position(|(slack, _)| *slack == voter.slack.as_str())
                    .expect("one of the cast"),
                sets: sets(voter.member_of.iter().map(|name| name.as_str()).collect()),
            })
            .collect();
        must!(!needs.is_empty() && needs.iter().all(|(_, count)| *count >= 1), "I3: nobody had to agree: {request:?}");
        must!(enough(&needs, &voices, question.shared), "I3: {voices:?} are not enough for {needs:?}");
        let asked = request.origin.asker().map(|asker| person_of(asker.slack.as_str()));
        let own = |person: &str| {
            asked == Some(person)
                || request.asked.subject.id == person
                || request.asked.actor.iter().any(|a| a == person)
        };
        let party = voices.iter().any(|voice| own(super::world::person(voice.who)));
        must!(
            !party || question.self_approval == SelfApproval::Allowed,
            "I3: somebody decided on their own: {voices:?}"
        );
        let mut people: Vec<&str> = voices.iter().map(|voice| super::world::person(voice.who)).collect();
        people.sort_unstable();
        people.dedup();
        must!(people.len() == voices.len(), "I3: somebody decided twice: {voices:?}");
    }
    Ok(())
}

fn i4_what_is_settled_never_changes(before: &Records, after: &Records) -> Holds {
    for (was, is) in before.requests.iter().zip(&after.requests) {
        let settled = was.state != State::Pending;
        must!(!settled || Arc::ptr_eq(was, is) || was == is, "I4: a settled request changed: {was:?} to {is:?}");
        let late = speak::time(before.now) >= was.decide_by;
        must!(
            !late || settled || matches!(is.state, State::Pending | State::Expired { .. }),
            "I4: decided too late: {is:?}"
        );
    }
    for (was, is) in before.grants.iter().zip(&after.grants) {
        must!(
            was.state == GrantState::Live || Arc::ptr_eq(was, is) || was == is,
            "I4: a grant that is over changed: {was:?} to {is:?}"
        );
    }
    Ok(())
}

fn i5_versions_strictly_increase(before: &Records, after: &Records) -> Holds {
    for (was, is) in before.requests.iter().zip(&after.requests) {
        if Arc::ptr_eq(was, is) {
            continue;
        }
        must!(was == is || is.version > was.version, "I5: changed under the same version: {was:?} to {is:?}");
        must!(is.shown_version >= was.shown_version, "I5: an older version is shown: {is:?}");
        let same = (was.question.terms.scopes == is.question.terms.scopes) && was.duration == is.duration;
        must!(same == (was.shown_version == is.shown_version), "I5: the shown version is of something else: {is:?}");
    }
    for (was, is) in before.grants.iter().zip(&after.grants) {
        let state = |grant: &Grant| (grant.state.clone(), grant.start, grant.open.clone(), grant.coverage.clone());
        must!(
            state(was) == state(is) || is.version > was.version,
            "I5: a grant changed under the same version: {is:?}"
        );
    }
    Ok(())
}

fn i6_granted_is_within_shown_is_within_asked(after: &Records) -> Holds {
    for request in &after.requests {
        let shown = &request.question.terms.scopes;
        must!(shown.is_subset(&request.asked.scopes), "I6: shown is more than asked: {request:?}");
        let grant = after.grants.iter().find(|grant| grant.request() == Some(&request.id));
        must!(grant.is_none_or(|grant| grant.scopes.is_subset(shown)), "I6: granted is more than shown: {grant:?}");
    }
    for grant in &after.grants {
        must!(grant.scopes.is_subset(&grant.asked.scopes), "I6: granted is more than asked: {grant:?}");
    }
    Ok(())
}

fn i7_the_end_of_a_grant_is_within_bounds_and_constant(before: &Records, after: &Records) -> Holds {
    for grant in &after.grants[before.grants.len()..] {
        let lasts = u64::try_from((grant.expires_at - grant.starts_at()).num_seconds()).unwrap_or(u64::MAX);
        let request = after.requests.iter().find(|request| grant.request() == Some(&request.id));
        let most = request.map(|request| request.question.terms.bounds.max_duration.min(request.duration));
        must!(lasts <= most.unwrap_or(u64::MAX), "I7: it lasts longer than shown: {grant:?}");
        must!(grant.starts_at() >= speak::time(before.now), "I7: its time began before the decision: {grant:?}");
    }
    for (was, is) in before.grants.iter().zip(&after.grants) {
        let fixed =
            |grant: &Grant| (grant.expires_at, grant.collect_by, grant.scopes.clone(), grant.granted_at, grant.uses);
        must!(fixed(was) == fixed(is), "I7: what is fixed at birth changed: {was:?} to {is:?}");
    }
    Ok(())
}

fn i8_nothing_is_issued_after_the_end(before: &Records, after: &Records) -> Holds {
    let now = speak::time(after.now);
    for entry in &after.entries[before.entries.len()..] {
        let (Kind::TokenIssued, Some(id)) = (entry.kind, &entry.grant_id) else { continue };
        let grant = after.grants.iter().find(|grant| grant.id == *id).ok_or("I8: issued under nothing")?;
        let token = grant.last_token_expires_at.ok_or("I8: no token")?;
        must!(grant.state == GrantState::Live && now < grant.expires_at, "I8: issued under what is over: {grant:?}");
        must!(token <= grant.expires_at && grant.starts_at() <= now, "I8: a token outlives its grant: {grant:?}");
        let was = before.grants.iter().find(|grant| grant.id == *id);
        let over = was.map(|grant| status(grant, now));
        must!(matches!(over, None | Some("reserved" | "active" | "used up")), "I8: issued although it was {over:?}");
    }
    Ok(())
}

fn i9_no_more_uses_than_allowed(after: &Records) -> Holds {
    for grant in &after.grants {
        let fits = match grant.uses {
            Uses::Window => true,
            Uses::Times(most) => grant.used <= most,
        };
        must!(fits, "I9: used more often than allowed: {grant:?}");
    }
    Ok(())
}

fn i10_one_pending_request_for_the_same_call(before: &Records, after: &Records) -> Holds {
    must!(after.requests.len() <= before.requests.len() + 1, "I10: one step opened several requests");
    if after.requests.len() == before.requests.len() {
        // None became pending, and the keys of those that are never change.
        return Ok(());
    }
    let pending = after.requests.iter().filter(|request| request.state == State::Pending);
    let mut keys: Vec<String> = pending.map(|request| request.pending_key().0).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    must!(keys.len() == all, "I10: two pending requests for the same");
    Ok(())
}

fn i11_every_change_has_exactly_one_entry(after: &Records) -> Holds {
    let of_request =
        |kind: Kind| kind.as_str().starts_with("request.") || matches!(kind, Kind::VoteRecorded | Kind::VoteWithdrawn);
    let of_grant = |kind: Kind| {
        matches!(
            kind,
            Kind::GrantRevoked | Kind::GrantEnded | Kind::GrantCollected | Kind::GrantStarted | Kind::GrantEnding
        )
    };
    for request in &after.requests {
        let its = after
            .entries
            .iter()
            .filter(|entry| entry.request_id.as_ref() == Some(&request.id) && of_request(entry.kind));
        let (entries, changes) = (its.count(), usize::try_from(request.version).unwrap_or(0) + 1);
        must!(entries == changes, "I11: {entries} entries for {changes} changes of {request:?}");
    }
    for grant in &after.grants {
        let its = |is: &dyn Fn(Kind) -> bool| {
            after.entries.iter().filter(|entry| entry.grant_id.as_ref() == Some(&grant.id) && is(entry.kind)).count()
        };
        let (entries, changes) = (its(&of_grant), usize::try_from(grant.version).unwrap_or(usize::MAX));
        must!(entries == changes, "I11: {entries} entries for {changes} changes of {grant:?}");
        let (born, issued) = (
            its(&|kind| matches!(kind, Kind::RequestApproved | Kind::GrantAllowed | Kind::GlassBroken)),
            its(&|kind| kind == Kind::TokenIssued),
        );
        must!(born == 1 && issued >= grant.used as usize, "I11: born {born} times, {issued} tokens: {grant:?}");
    }
    Ok(())
}

/// I11 as well: each entry's hash covers it and the one before, so that no other history has the same end.
pub fn i11_the_chain_verifies(entries: &[Arc<AuditEntry>]) -> Holds {
    let mut hashes = vec![CHAIN_START.to_owned()];
    for (entry, sequence) in entries.iter().zip(1..) {
        let before = hashes.last().map(String::as_str).unwrap_or_default();
        hashes.push(chain_hash(sequence, &entry.canonical(), before));
    }
    hashes.sort_unstable();
    hashes.dedup();
    must!(hashes.len() == entries.len() + 1, "I11: an entry can be left out unseen");
    Ok(())
}

/// I12: once everything is delivered, each card shows what the store holds.
pub fn i12_cards_show_what_is_kept(
    requests: &[Arc<AccessRequest>],
    drawn: &[Option<Arc<AccessRequest>>],
    to_draw: &[usize],
) -> Holds {
    for (n, (request, drawn)) in requests.iter().zip(drawn).enumerate() {
        let waits = to_draw.contains(&n);
        let same = drawn.as_ref().is_some_and(|drawn| {
            let shown = |one: &AccessRequest| (one.state.clone(), one.shown_version, one.votes.clone(), one.duration);
            shown(drawn) == shown(request)
        });
        must!(waits || same, "I12: nobody will draw the card of {request:?}, last drawn as {drawn:?}");
    }
    Ok(())
}
