//! The statements that write access requests, votes and grants, each refused where somebody else was first.

use super::commit::conflict;
use super::script::Script;
use super::{StoreError, rows};
use crate::domain::access_request::{AccessRequest, Vote};
use crate::domain::grant::Grant;
use crate::domain::identity::Principal;
use crate::domain::ids::RequestId;

fn body_of(request: &AccessRequest) -> Result<String, StoreError> {
    // Votes have rows of their own, which cannot be changed or removed.
    rows::json(&AccessRequest { votes: Vec::new(), ..request.clone() })
}

pub(super) fn insert_request(script: &mut Script, request: &AccessRequest) -> Result<(), StoreError> {
    script
        .run(
            "INSERT INTO access_requests (id, hook, client, subject_kind, subject, pending_key, state, shown_version,
               opened_at, decide_by, due_at, version, body, asker, email, covers, workspace)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
        )
        .bind(request.id.as_str())
        .bind(request.asked.hook.as_str())
        .bind(request.asked.client.id.as_str())
        .bind(request.asked.subject.kind.as_str())
        .bind(request.asked.subject.id.as_str())
        .bind(request.pending_key().0)
        .bind(rows::request_state(request))
        .bind(i64::from(request.shown_version))
        .bind(request.opened_at.timestamp_millis())
        .bind(request.decide_by.timestamp_millis())
        .bind(request.due_at().map(|at| at.timestamp_millis()))
        .bind(body_of(request)?)
        .bind(request.origin.asker().map(|asker| asker.principal.to_string()))
        .bind(request.asked.subject.email.as_deref().map(|email| Principal::new(email).to_string()))
        .bind(request.covers_key().map(|key| key.0))
        .bind(request.deciding.workspace.as_ref().map(ToString::to_string))
        // The same is pending already.
        .is_first_or(conflict());
    Ok(())
}

pub(super) fn replace_request(script: &mut Script, request: &AccessRequest) -> Result<(), StoreError> {
    script
        .run(
            "UPDATE access_requests SET state = ?, shown_version = ?, due_at = ?, body = ?, version = version + 1
             WHERE id = ? AND version = ?",
        )
        .bind(rows::request_state(request))
        .bind(i64::from(request.shown_version))
        .bind(request.due_at().map(|at| at.timestamp_millis()))
        .bind(body_of(request)?)
        .bind(request.id.as_str())
        .bind(request.version)
        .changes_one_or(conflict());
    Ok(())
}

pub(super) fn insert_vote(script: &mut Script, request: &RequestId, vote: &Vote) -> Result<(), StoreError> {
    script
        .run("INSERT INTO votes (request_id, place, principal, slack_user, at, body) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(request.as_str())
        .bind(i64::from(vote.place))
        .bind(vote.voter.principal.as_str())
        .bind(vote.voter.slack.as_str())
        .bind(vote.at.timestamp_millis())
        .bind(rows::json(vote)?)
        .is_first_or(conflict());
    Ok(())
}

pub(super) fn insert_grant(script: &mut Script, grant: &Grant) -> Result<(), StoreError> {
    script
        .run(
            "INSERT INTO grants (id, request_id, hook, client, subject_kind, subject, coverage, scopes, granted_at,
               expires_at, collect_by, max_uses, state, due_at, version, body, open, warn_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
        )
        .bind(grant.id.as_str())
        .bind(grant.request().map(RequestId::as_str))
        .bind(grant.asked.hook.as_str())
        .bind(grant.asked.client.id.as_str())
        .bind(grant.asked.subject.kind.as_str())
        .bind(grant.asked.subject.id.as_str())
        .bind(grant.coverage.0.as_str())
        .bind(rows::json(&grant.scopes)?)
        .bind(grant.granted_at.timestamp_millis())
        .bind(grant.expires_at.timestamp_millis())
        .bind(grant.collect_by.map(|at| at.timestamp_millis()))
        .bind(rows::max_uses(grant.uses))
        .bind(rows::grant_state(grant))
        .bind(grant.due_at().map(|at| at.timestamp_millis()))
        .bind(rows::json(grant)?)
        .bind(grant.open.is_some())
        .bind(grant.warn_at.map(|at| at.timestamp_millis()))
        .is_first_or(conflict());
    Ok(())
}

pub(super) fn replace_grant(script: &mut Script, grant: &Grant) -> Result<(), StoreError> {
    let state = rows::grant_state(grant);
    script
        .run(
            "UPDATE grants SET state = ?, due_at = ?, body = ?, coverage = ?, open = ?, warn_at = ?, version = version + 1
             WHERE id = ? AND version = ? AND (used = ? OR ? = 'revoked')",
        )
        .bind(state)
        .bind(grant.due_at().map(|at| at.timestamp_millis()))
        .bind(rows::json(grant)?)
        .bind(grant.coverage.0.as_str())
        .bind(grant.open.is_some())
        .bind(grant.warn_at.map(|at| at.timestamp_millis()))
        .bind(grant.id.as_str())
        .bind(grant.version)
        .bind(i64::from(grant.used))
        .bind(state)
        .changes_one_or(conflict());
    Ok(())
}
