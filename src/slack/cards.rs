//! What Slack shows of an access request and its grant: the card in the channel, in each of its states, the
//! requester's direct message, and the small messages around them. Pure: facts in, blocks out.
//!
//! The card is drawn from the store each time, so a late or repeated edit shows the truth as of `now`.

use serde_json::json;

use super::Message;
use super::approving;
use super::blocks::{
    Style, actions, button, confirm, context, fields, header, line, link, named, plain, rich, run, section,
};
use super::ending::{self, Stage};
use super::parts::Parts;
use super::progress::{at_hand, quorum, voted};
use super::text::{clean, code, counted, cut, date, duration, inert, mention};
use crate::clock::Timestamp;
use crate::domain::access_request::AccessRequest;
use crate::domain::grant::Grant;
use crate::domain::ids::SlackUserId;
use crate::domain::policy::{Ceremony, ScopeText};
use crate::domain::scope::Scope;

/// The `action_id` of the button that approves.
pub const APPROVE: &str = "approve";
/// The `action_id` of the button that opens the form for approving less.
pub const CHANGES: &str = "changes";
/// The `action_id` of the menu with what decides nothing. Its choices are `WORD.VALUE`.
pub const MORE: &str = "more";
/// The menu's word for "I'm looking at it".
pub const CLAIM: &str = "claim";
/// The menu's word for saying something to the requester.
pub const COMMENT: &str = "comment";
/// The menu's word for handing over.
pub const HAND_OVER: &str = "hand_over";
/// The menu's word for taking an approval back.
pub const TAKE_BACK: &str = "take_back";
/// Every word of the menu.
pub const IN_MENU: [&str; 4] = [CLAIM, COMMENT, HAND_OVER, TAKE_BACK];
/// The `action_id` of the button that opens the form for a denial.
pub const DENY: &str = "deny";
/// The `action_id` of the button that revokes.
pub const REVOKE: &str = "revoke";
/// The `action_id` of the button that shows everything in full.
pub const DETAILS: &str = "details";

/// Characters of the list of who may decide.
const APPROVERS_MAX: usize = 1_200;
/// Characters of our own words in a message or a view that says nothing else; Slack allows 3,000.
pub(super) const WORDS_MAX: usize = 2_800;

/// What a card is made from. All of it was loaded before; drawing asks nobody.
#[derive(Clone, Copy)]
pub struct CardFacts<'a> {
    /// The access request.
    pub request: &'a AccessRequest,
    /// Its grant, once approved.
    pub grant: Option<&'a Grant>,
    /// What the policy says about a scope at this audience.
    pub texts: &'a dyn Fn(&Scope) -> Option<ScopeText>,
    /// The resource's name for people.
    pub resource_name: Option<&'a str>,
    /// The subject's Slack account, where one is known.
    pub requester: Option<&'a SlackUserId>,
    /// Who is asked, as mentions: `<!subteam^S0PAYLEADS> <@U0CAROL>`.
    pub approver_words: &'a str,
    /// Who is told besides, in the same way: they may not decide for that.
    pub told_words: &'a str,
    /// The opaque value of every button on this message.
    pub button: &'a str,
    /// When it is drawn.
    pub now: Timestamp,
}

/// The card in the channel, for the state that the request and its grant are in at `now`.
pub fn card(facts: &CardFacts<'_>) -> Message {
    let stage = Stage::of(facts);
    let mut parts = Parts::new(facts);
    let title = parts.title();
    let (terms, asked) = (&facts.request.question.terms, &facts.request.asked);
    let scopes = facts.grant.map_or(&terms.scopes, |grant| &grant.scopes);
    let count = scopes_counted(scopes.len());
    let mut blocks = vec![("head", header(&format!("{}: {title}", stage.headline())))];
    if stage == Stage::Pending {
        blocks.push(("scopes", parts.scopes(&format!("Asks for {count}"), scopes)));
        let please = format!(
            "{}{} Please decide by {}.{}",
            approvers(facts),
            told(facts),
            date(facts.request.decide_by),
            match_words(facts.request)
        );
        blocks.push(("lead", section(&please)));
    } else {
        blocks.push(("lead", section(&ending::sentence(facts, stage))));
        if let Some(reason) = ending::reason(facts, stage, &mut parts) {
            blocks.push(("why", reason));
        }
        blocks.push(("scopes", parts.scopes(stage.scopes_title(), scopes)));
    }
    blocks.extend(parts.narrowed().map(|block| ("less", block)));
    blocks.push(("facts", fields(&parts.fields())));
    blocks.extend(parts.authorization_details().map(|block| ("rar", block)));
    blocks.push(("claims", parts.claims()));
    blocks.extend(parts.vouched().map(|words| ("vouched", context(&words))));
    if stage == Stage::Pending {
        blocks.extend(parts.unusual().map(|block| ("unusual", block)));
        blocks.extend(voted(facts.request).map(|words| ("votes", section(&words))));
        blocks.extend(parts.notes().map(|block| ("notes", block)));
        blocks.extend(at_hand(facts.request).map(|words| ("hands", context(&words))));
    } else {
        blocks.extend(parts.notes().map(|block| ("notes", block)));
    }
    let buttons = buttons(facts, stage, &parts);
    if !buttons.is_empty() {
        blocks.push(("act", actions(buttons)));
    }
    blocks.push(("foot", context(&footer(facts, stage))));
    let who = parts.subject_id();
    let text = format!(
        "{}: {} · {count} for {who} through {} · {} (request {})",
        stage.headline(),
        code(&title),
        code(&cut(&clean(&asked.client.id), 80).0),
        duration(facts.request.duration),
        code(facts.request.id.as_str()),
    );
    message(text, named(blocks, facts.request.shown_version), facts, stage)
}

/// The direct message to whoever the token is for, for the state at `now`.
pub fn requester_message(facts: &CardFacts<'_>) -> Message {
    let stage = Stage::of(facts);
    let mut parts = Parts::new(facts);
    let title = code(&parts.title());
    let what = format!("{title} through {}", parts.client_id());
    let scopes = facts.grant.map_or(&facts.request.question.terms.scopes, |grant| &grant.scopes);
    let words = match stage {
        Stage::Pending => format!(
            "Your request for a token is received: {what}. {} It expires {} unless somebody decides.",
            approvers(facts),
            date(facts.request.decide_by)
        ),
        Stage::Approved => {
            let collect = facts.grant.and_then(|grant| grant.collect_by).map(date);
            let collect = collect.map(|by| format!(" Your client must ask again by {by}.")).unwrap_or_default();
            format!("Your request for a token is approved: {what}. {}{collect}", ending::sentence(facts, stage))
        }
        Stage::Denied | Stage::Expired | Stage::Cancelled | Stage::Revoked | Stage::Ended(_) => {
            format!("Your request for a token: {what}. {}", ending::sentence(facts, stage))
        }
    };
    let mut blocks = vec![("lead", section(&words)), ("scopes", parts.scopes(stage.scopes_title(), scopes))];
    blocks.extend(ending::reason(facts, stage, &mut parts).map(|reason| ("why", reason)));
    blocks.extend(parts.narrowed().map(|block| ("less", block)));
    blocks.extend(parts.notes().map(|block| ("notes", block)));
    blocks.push(("foot", context(&format!("Request {}", code(facts.request.id.as_str())))));
    let text = format!("{}: {title} (request {})", stage.headline(), code(facts.request.id.as_str()));
    message(text, named(blocks, facts.request.shown_version), facts, stage)
}

/// A message to one person that their click counted for nothing, or what became of it.
///
/// `words` are ours: mentions and dates (see [`super::text`]) are kept, any other markup becomes text.
pub fn refusal(words: &str) -> Message {
    let words = inert(words);
    let words = if words.is_empty() { "Nothing was changed.".to_owned() } else { cut_words(&words, WORDS_MAX) };
    Message { blocks: named(vec![("note", section(&words))], 1), text: words, metadata: None }
}

/// What an approver says to the requester, as a direct message. It decides nothing.
pub fn passed_on(facts: &CardFacts<'_>, from: &SlackUserId, words: &str) -> Message {
    let mut parts = Parts::new(facts);
    let title = code(&parts.title());
    let lead = format!("{} says about your request for a token ({title}):", mention(from));
    let foot = format!("Nothing is decided by this. Request {}", code(facts.request.id.as_str()));
    let said = parts.given("Comment", words);
    let mut blocks = vec![("lead", section(&lead))];
    blocks.extend(said.map(|said| ("why", said)));
    blocks.push(("foot", context(&foot)));
    Message { text: inert(&lead), blocks: named(blocks, facts.request.shown_version), metadata: None }
}

/// What an approver is told whom another one hands a request over to. `card` is the address of the card itself, where
/// Slack has told it.
pub fn handed_over(facts: &CardFacts<'_>, from: &SlackUserId, channels: &[String], card: Option<&str>) -> Message {
    let mut parts = Parts::new(facts);
    let title = code(&parts.title());
    let scopes = parts.scopes("Asks for", &facts.request.question.terms.scopes);
    let places: Vec<String> = channels.iter().map(|channel| format!("<#{channel}>")).collect();
    let lead = format!(
        "{} asks you to decide about {title} through {}, by {}. Its card is in {}.",
        mention(from),
        parts.client_id(),
        date(facts.request.decide_by),
        places.join(", ")
    );
    let foot = context(&format!("Request {}", code(facts.request.id.as_str())));
    let mut blocks = vec![("lead", section(&lead)), ("scopes", scopes)];
    blocks.extend(card.map(|address| ("card", rich(vec![line(vec![link(address, "Open its card")])]))));
    blocks.push(("foot", foot));
    Message { text: inert(&lead), blocks: named(blocks, facts.request.shown_version), metadata: None }
}

/// A note in a card's thread. It may hold what a client wrote, so all of it is plain.
pub fn thread_note(text: &str) -> Message {
    let (plain, _) = cut(&clean(text), 2_000);
    let plain = if plain.is_empty() { "(empty)".to_owned() } else { plain };
    let blocks = named(vec![("note", rich(vec![line(vec![run(&plain)])]))], 1);
    Message { text: super::text::escape(&cut(&plain, 300).0), blocks, metadata: None }
}

fn message(text: String, blocks: Vec<serde_json::Value>, facts: &CardFacts<'_>, stage: Stage) -> Message {
    // Strings only: slack-morphism and others that read metadata expect no more.
    let metadata = json!({
        "event_type": "countersign_request",
        "event_payload": { "request_id": facts.request.id.as_str(), "state": stage.word() },
    });
    Message { text: inert(&text), blocks, metadata: Some(metadata) }
}

fn buttons(facts: &CardFacts<'_>, stage: Stage, parts: &Parts<'_>) -> Vec<serde_json::Value> {
    let id = facts.request.id.as_str();
    let mut all = Vec::new();
    match stage {
        Stage::Pending => {
            let style = if parts.is_risky() { Style::Default } else { Style::Primary };
            let ceremony = facts.request.question.ceremony;
            let word = if ceremony == Ceremony::Match { "Approve…" } else { "Approve" };
            let mut approve = button(APPROVE, word, facts.button, &format!("Approve request {id}"), style);
            match ceremony {
                Ceremony::Click | Ceremony::Match => {}
                Ceremony::Confirm | Ceremony::StepUp => {
                    let what = ending::confirmation(facts.request);
                    approve["confirm"] = confirm("Approve this token?", &what, "Approve", "Cancel", false);
                }
            }
            all.push(approve);
            all.extend(changes(facts));
            all.push(button(DENY, "Deny…", facts.button, &format!("Deny request {id}"), Style::Danger));
            all.push(more(facts));
        }
        Stage::Approved => {
            if let Some(grant) = facts.grant {
                let mut revoke =
                    button(REVOKE, "Revoke…", facts.button, &format!("Revoke request {id}"), Style::Danger);
                let what = ending::revoking(facts.request, grant);
                revoke["confirm"] = confirm("Revoke this access?", &what, "Revoke", "Keep", true);
                all.push(revoke);
            }
        }
        Stage::Denied | Stage::Expired | Stage::Cancelled | Stage::Revoked | Stage::Ended(_) => {}
    }
    if parts.cut {
        let label = format!("Show request {id} in full");
        all.push(button(DETAILS, "Show full reason and details…", facts.button, &label, Style::Default));
    }
    all
}

/// Who is asked, as one sentence.
fn approvers(facts: &CardFacts<'_>) -> String {
    let words = cut_words(&inert(facts.approver_words), APPROVERS_MAX);
    if words.is_empty() { "Nobody in Slack was named to decide.".to_owned() } else { format!("Asked: {words}.") }
}

/// Who hears of it without being asked, as one sentence.
fn told(facts: &CardFacts<'_>) -> String {
    let words = cut_words(&inert(facts.told_words), APPROVERS_MAX);
    if words.is_empty() { String::new() } else { format!(" Told besides, and not asked: {words}.") }
}

/// As many whole words as fit; a mention is never cut in two.
pub(super) fn cut_words(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    let mut kept = String::new();
    for word in words.split_inclusive(' ') {
        if kept.chars().count() + word.chars().count() > most {
            break;
        }
        kept.push_str(word);
    }
    format!("{}and others", if kept.is_empty() { String::new() } else { format!("{} ", kept.trim_end()) })
}

/// Approving less, where this server can be told; offering less, where it cannot.
fn changes(facts: &CardFacts<'_>) -> Option<serde_json::Value> {
    let label = format!("Approve less of request {}", facts.request.id);
    changes_words(facts).map(|text| button(CHANGES, text, facts.button, &label, Style::Default))
}

/// What stands on that button; none where nothing less can be granted or offered.
pub fn changes_words(facts: &CardFacts<'_>) -> Option<&'static str> {
    let request = facts.request;
    let possible = approving::can_change(request, approving::alternatives(facts).len());
    if !possible {
        return None;
    }
    let can_be_told = request.server.narrow_scope || request.server.set_lifetime;
    Some(if can_be_told { "Approve with changes…" } else { "Offer less…" })
}

/// The menu with what decides nothing, so that the card stays calm.
fn more(facts: &CardFacts<'_>) -> serde_json::Value {
    let choice =
        |word: &str, text: &str| json!({ "text": plain(text, 75), "value": format!("{word}.{}", facts.button) });
    let mut options = vec![
        choice(CLAIM, "I'm looking at it"),
        choice(COMMENT, "Comment to the requester…"),
        choice(HAND_OVER, "Hand over to another approver…"),
    ];
    if facts.request.counting().next().is_some() {
        options.push(choice(TAKE_BACK, "Take my approval back"));
    }
    json!({ "type": "overflow", "action_id": MORE, "options": options })
}

/// What the approver will need, where the ceremony demands a number.
fn match_words(request: &AccessRequest) -> &'static str {
    match request.question.ceremony {
        Ceremony::Match => " To approve you need the number that the client shows its user: ask them.",
        Ceremony::Click | Ceremony::Confirm | Ceremony::StepUp => "",
    }
}

fn footer(facts: &CardFacts<'_>, stage: Stage) -> String {
    let request = facts.request;
    let mut said = vec![format!("Request {}", code(request.id.as_str()))];
    if stage == Stage::Pending {
        said.push(quorum(request));
        said.extend(
            request
                .repeats
                .as_ref()
                .map(|repeats| format!("Asked {} times, last {}", repeats.times.saturating_add(1), date(repeats.last))),
        );
    } else {
        said.push(format!("asked {}", date(request.opened_at)));
    }
    let mut rules: Vec<&str> = request.question.terms.rules.values().map(String::as_str).collect();
    rules.sort_unstable();
    rules.dedup();
    let shown: Vec<String> = rules.iter().take(3).map(|rule| code(&cut(&clean(rule), 80).0)).collect();
    let more = rules.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if !shown.is_empty() {
        said.push(format!("{} {}{more}", if rules.len() == 1 { "rule" } else { "rules" }, shown.join(", ")));
    }
    said.join(" · ")
}

fn scopes_counted(count: usize) -> String {
    if count == 0 { "no named scope".to_owned() } else { counted(count, "scope") }
}
