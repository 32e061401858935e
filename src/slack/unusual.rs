//! What is unusual about a request, as its card says it before anybody approves.

use serde_json::Value;

use super::blocks::{bold, bullets, line, mono, rich, run};
use super::parts::{ADDRESS_MAX, ID_MAX, LISTED_MAX, Parts};
use super::text::{clean, counted, cut, duration, hides_something, utc};
use crate::domain::access_request::{AccessRequest, is_out_of_hours, is_weekend};
use crate::domain::scope::Scope;

impl Parts<'_> {
    /// What deserves a second look before approving.
    pub fn unusual(&mut self) -> Option<Value> {
        let request = self.facts.request;
        let asked = &request.asked;
        let mut notes: Vec<Vec<Value>> = Vec::new();
        let mut note = |text: String| notes.push(vec![run(&text)]);
        if asked.audience.is_empty() {
            note("No audience is named: the token may be good wherever this server is trusted.".to_owned());
        }
        if let Some(wish) = asked.requested_lifetime.filter(|wish| *wish > request.duration) {
            note(format!("It asked for {}; the policy allows {}.", duration(wish), duration(request.duration)));
        }
        if !request.server.set_lifetime {
            note("This server cannot be told how long a token lives: it may outlive the time shown here.".to_owned());
        }
        for unusual in unusual_for_this_client(request) {
            note(unusual);
        }
        if let Some(hours) = out_of_hours(request) {
            note(hours);
        }
        if !asked.actor.is_empty() {
            note("Somebody else acts for the subject.".to_owned());
        }
        let named = self.identifiers();
        if named.iter().any(|text| !text.is_ascii()) {
            note("A name here has letters outside of ASCII, which can look like others.".to_owned());
        }
        let claims = [asked.reason.as_deref(), asked.binding_message.as_deref()];
        if named.iter().copied().chain(claims.into_iter().flatten()).any(hides_something) {
            note("Characters that hide or reorder text were taken out.".to_owned());
        }
        let dropped: Vec<&str> = request.question.terms.dropped.keys().map(Scope::as_str).collect();
        if !dropped.is_empty() {
            self.cut |= dropped.len() > LISTED_MAX;
            let mut runs = vec![run("Asked for too, and refused by the policy: ")];
            for scope in dropped.iter().take(LISTED_MAX) {
                runs.extend([mono(&self.short(scope, ADDRESS_MAX)), run(" ")]);
            }
            if dropped.len() > LISTED_MAX {
                runs.push(run(&format!("and {}", counted(dropped.len() - LISTED_MAX, "more scope"))));
            }
            notes.push(runs);
        }
        (!notes.is_empty()).then(|| rich(vec![line(vec![bold("Worth a second look")]), bullets(notes)]))
    }
}

/// How the request differs from what this client had for this subject before.
fn unusual_for_this_client(request: &AccessRequest) -> Vec<String> {
    let history = &request.deciding.history;
    let shown = &request.question.terms.scopes;
    let mut all = Vec::new();
    if !history.known {
        return all;
    }
    let listed = |scopes: &[&Scope]| {
        let names: Vec<String> = scopes.iter().take(LISTED_MAX).map(|scope| cut(scope.as_str(), ID_MAX).0).collect();
        let more = scopes.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(", "))
    };
    let new: Vec<&Scope> = shown.iter().filter(|scope| history.new.contains(scope)).collect();
    match (&history.last, new.len()) {
        (None, n) if n == shown.len() && n > 0 => {
            all.push("First time: this client never had any of this for this subject.".to_owned());
        }
        (_, n) if n > 0 => {
            all.push(format!("First time for {}: this client never had that for this subject.", listed(&new)))
        }
        (_, _) => {}
    }
    if let Some(last) = &history.last {
        let wider: Vec<&Scope> =
            shown.iter().filter(|scope| !last.scopes.contains(scope) && !history.new.contains(scope)).collect();
        if !wider.is_empty() {
            all.push(format!("Wider than its last grant ({}): adds {}.", utc(last.at), listed(&wider)));
        }
        if request.duration > last.duration {
            let (now, then) = (duration(request.duration), duration(last.duration));
            all.push(format!("Longer than its last grant ({}): {now} instead of {then}.", utc(last.at)));
        }
    }
    all
}

/// When it was asked, where that is unusual on the clock of the person; where nobody knows that clock, a weekend by UTC.
fn out_of_hours(request: &AccessRequest) -> Option<String> {
    let at = request.opened_at;
    let Some(clock) = &request.deciding.clock else {
        let weekend = request.deciding.history.known && is_weekend(&at);
        return weekend.then(|| "Asked at a weekend (by UTC; nobody's own clock is known).".to_owned());
    };
    let local = clock.reads(at).filter(is_out_of_hours)?;
    let whose = cut(&clean(clock.of.as_str()), ID_MAX).0;
    Some(format!("Out of hours for {whose}: {} on their clock.", local.format("%A, %H:%M (UTC%:z)")))
}
