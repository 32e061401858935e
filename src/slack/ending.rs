//! How far a request has come, in the words of a card: who decided, until when it holds, how it ended, and
//! what a revocation really does.

use serde_json::Value;

use super::cards::CardFacts;
use super::parts::{Parts, actor_words};
use super::text::{clean, counted, cut, date, duration, escape, mention, utc};
use crate::domain::access_request::{AccessRequest, State, Status};
use crate::domain::grant::{Ending, Grant, State as GrantState, Status as GrantStatus};
use crate::domain::token_request::SubjectKind;

/// Characters of why the service itself withdrew something.
const BECAUSE_MAX: usize = 600;
/// How many people are named before "and N more".
const PEOPLE_MAX: usize = 12;

/// How far a request has come: its own state, or that of its grant once there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
    Revoked,
    Ended(Ending),
}

impl Stage {
    /// As of `facts.now`: a deadline that has passed counts, whether or not anybody wrote it down.
    pub fn of(facts: &CardFacts<'_>) -> Self {
        match facts.request.status(facts.now) {
            Status::Pending => Self::Pending,
            Status::Denied => Self::Denied,
            Status::Expired => Self::Expired,
            Status::Cancelled => Self::Cancelled,
            Status::Approved => match facts.grant.map(|grant| grant.status(facts.now)) {
                None | Some(GrantStatus::Reserved | GrantStatus::Active) => Self::Approved,
                Some(GrantStatus::Revoked) => Self::Revoked,
                Some(GrantStatus::Ended(how)) => Self::Ended(how),
            },
        }
    }

    /// The first word that is read.
    pub fn headline(self) -> &'static str {
        match self {
            Self::Pending => "Approval needed",
            Self::Approved => "Approved",
            Self::Denied => "Denied",
            Self::Expired => "Expired",
            Self::Cancelled => "Withdrawn",
            Self::Revoked => "Revoked",
            Self::Ended(_) => "Ended",
        }
    }

    /// The state's word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Revoked => "revoked",
            Self::Ended(_) => "ended",
        }
    }

    /// What the list of scopes is.
    pub fn scopes_title(self) -> &'static str {
        match self {
            Self::Pending => "Asks for",
            Self::Approved => "Granted",
            Self::Denied | Self::Expired | Self::Cancelled => "Was asked for",
            Self::Revoked | Self::Ended(_) => "Had been granted",
        }
    }
}

/// Who did what when, and what holds now.
pub(super) fn sentence(facts: &CardFacts<'_>, stage: Stage) -> String {
    let request = facts.request;
    match stage {
        Stage::Pending => format!("Waiting for a decision until {}.", date(request.decide_by)),
        Stage::Approved => {
            let until = facts.grant.map(|grant| {
                let collect = match grant.collect_by {
                    Some(by) if grant.used == 0 => format!(" Void unless the client collects it by {}.", date(by)),
                    Some(_) | None => String::new(),
                };
                format!(" Lasts until {}.{collect}", date(grant.expires_at))
            });
            format!("{}{}", approved(request), until.unwrap_or_default())
        }
        Stage::Denied => match &request.state {
            State::Denied { by, at, .. } => format!("Denied by {} {}. Nothing was issued.", actor_words(by), date(*at)),
            State::Pending | State::Approved { .. } | State::Expired { .. } | State::Cancelled { .. } => String::new(),
        },
        Stage::Expired => {
            format!("Nobody decided before {}, so it is refused. Nothing was issued.", date(request.decide_by))
        }
        Stage::Cancelled => match &request.state {
            State::Cancelled { at, .. } if request.deciding.because.is_some() => {
                let mut because = cut(&clean(request.deciding.because.as_deref().unwrap_or_default()), BECAUSE_MAX).0;
                if because.matches('`').count() % 2 == 1 {
                    because.push('`'); // the name of a set that was cut
                }
                format!("Withdrawn by Countersign {}. {} Nothing was issued.", date(*at), escape(&because))
            }
            State::Cancelled { by, at } => {
                format!("Withdrawn by {} {}. Nothing was issued.", actor_words(by), date(*at))
            }
            State::Pending | State::Approved { .. } | State::Expired { .. } | State::Denied { .. } => String::new(),
        },
        Stage::Revoked => {
            let revoked = match facts.grant.map(|grant| &grant.state) {
                Some(GrantState::Revoked { by, at, .. }) => format!("Revoked by {} {}.", actor_words(by), date(*at)),
                Some(GrantState::Live | GrantState::Ended { .. }) | None => "Revoked.".to_owned(),
            };
            format!("{revoked} {} {}", last_token(facts), approved(request))
        }
        Stage::Ended(how) => format!("{} {} {}", ended(facts, how), last_token(facts), approved(request)),
    }
}

fn approved(request: &AccessRequest) -> String {
    let mut people: Vec<String> = request.counting().take(PEOPLE_MAX).map(|vote| mention(&vote.voter.slack)).collect();
    let more = request.counting().count() - people.len();
    if more > 0 {
        people.push(format!("{more} more"));
    }
    let at = match &request.state {
        State::Approved { at, .. } => format!(" {}", date(*at)),
        State::Pending | State::Denied { .. } | State::Expired { .. } | State::Cancelled { .. } => String::new(),
    };
    if people.is_empty() { format!("Approved{at}.") } else { format!("Approved by {}{at}.", people.join(" and ")) }
}

fn ended(facts: &CardFacts<'_>, how: Ending) -> String {
    let Some(grant) = facts.grant else { return "Ended.".to_owned() };
    match how {
        Ending::Expired => format!("Ended {}: its time was up.", date(grant.expires_at)),
        Ending::Uncollected => {
            let by = grant.collect_by.map(|by| format!(" by {}", date(by))).unwrap_or_default();
            format!("Void: the client did not collect it{by}.")
        }
        Ending::UsedUp => "Ended: its last use was used.".to_owned(),
        Ending::HandedBack => match &grant.state {
            GrantState::Ended { at, .. } => format!("Handed back {}: it is not needed any more.", date(*at)),
            GrantState::Live | GrantState::Revoked { .. } => "Handed back.".to_owned(),
        },
    }
}

/// What became of what was issued. The authorization server is told nothing, so a token ends when it runs out.
fn last_token(facts: &CardFacts<'_>) -> String {
    let Some(last) = facts.grant.and_then(|grant| grant.last_token_expires_at) else {
        return "No token was issued under it.".to_owned();
    };
    let said = if last > facts.now {
        format!("No new token is issued; the last one that was issued runs out {}, and works until then.", date(last))
    } else {
        format!("The last token that was issued ran out {}.", date(last))
    };
    if facts.request.server.set_lifetime {
        said
    } else {
        format!("{said} This server sets the life of its tokens itself, so that may be later.")
    }
}

/// The reason that somebody gave for how it stands, as a quote.
pub(super) fn reason(facts: &CardFacts<'_>, stage: Stage, parts: &mut Parts<'_>) -> Option<Value> {
    if stage == Stage::Denied
        && let State::Denied { reason, .. } = &facts.request.state
    {
        parts.given("Reason given by the approver", reason)
    } else if stage == Stage::Revoked
        && let Some(GrantState::Revoked { reason, .. }) = facts.grant.map(|grant| &grant.state)
    {
        parts.given("Reason given for revoking", reason)
    } else {
        None
    }
}

/// What the dialog before an approval repeats: the scopes and the time, in at most 300 characters.
pub fn confirmation(request: &AccessRequest) -> String {
    let short = |text: &str| cut(&clean(text), 40).0;
    let (client, subject) = (short(&request.asked.client.id), short(&request.asked.subject.id));
    let whom = match request.asked.subject.kind {
        SubjectKind::User => format!("{client} as {subject}"),
        SubjectKind::Client => format!("{client} itself"),
    };
    let frame = format!("Grants {{}} to {whom} for {}.", duration(request.duration));
    let room = 296_usize.saturating_sub(frame.chars().count());
    let names: Vec<&str> = request.question.terms.scopes.iter().map(|scope| scope.as_str()).collect();
    frame.replacen("{}", &listed(&names, room), 1)
}

/// As many names as fit, never a part of one; the rest is counted.
pub(super) fn listed(names: &[&str], room: usize) -> String {
    if names.is_empty() {
        return "whatever the server decides, as no scope was named,".to_owned();
    }
    let all = names.join(", ");
    if all.chars().count() <= room {
        return all;
    }
    let total = counted(names.len(), "scope");
    let rest = |left: usize| format!(" and {left} more that the card lists");
    let mut said = String::new();
    for (n, name) in names.iter().enumerate() {
        let next = if said.is_empty() { format!("{total}: {name}") } else { format!("{said}, {name}") };
        if next.chars().count() + rest(names.len()).chars().count() > room {
            return if said.is_empty() {
                format!("the {total} that the card lists")
            } else {
                said + &rest(names.len() - n)
            };
        }
        said = next;
    }
    said
}

/// What the dialog before a revocation says: what ends at once and what does not.
pub(super) fn revoking(request: &AccessRequest, grant: &Grant) -> String {
    let life = if request.server.set_lifetime {
        format!(
            "A token issued before works until it runs out: at most {} after it was issued, and never after {}.",
            duration(grant.max_token_lifetime),
            utc(grant.expires_at)
        )
    } else {
        "A token issued before works until it runs out, and this server alone decides when that is.".to_owned()
    };
    format!("From then on no token is issued for it. The authorization server is not told to recall anything. {life}")
}
