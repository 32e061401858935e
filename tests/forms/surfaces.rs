//! The one list of everything that is ever shown in Slack. Who adds a renderer adds its line here, and every oracle sees
//! it in every state; `every_renderer_is_in_the_list` notices who forgets.

use countersign::domain::audit::Kind;
use countersign::domain::identity::{Principal, Voter};
use countersign::domain::ids::{GrantId, RequestId, SetName, SlackUserId};
use countersign::domain::policy::Reminder;
use countersign::domain::review::{Review, ReviewState, Verdict};
use countersign::slack::cards::CardFacts;
use countersign::slack::digest::DigestFacts;
use countersign::slack::reminders::Beneath;
use countersign::slack::reviews::ReviewFacts;
use countersign::slack::{
    Message, access_form, approving, cards, digest, forms, home, notes, plain, reminders, requester, reviews, talking,
};
use serde_json::{Value, json};

use super::rows;
use super::scene::Scene;

/// A surface: its name, and how it is drawn at a moment; nothing where it does not exist then.
pub struct Surface {
    /// Its name.
    pub name: &'static str,
    /// Whether it looks the same in every state: then one is enough.
    pub is_steady: bool,
    /// Draws it.
    pub draw: fn(&Scene) -> Option<Value>,
}

const fn surface(name: &'static str, draw: fn(&Scene) -> Option<Value>) -> Surface {
    Surface { name, is_steady: false, draw }
}

const fn steady(name: &'static str, draw: fn(&Scene) -> Option<Value>) -> Surface {
    Surface { name, is_steady: true, draw }
}

/// A link that the service makes.
const LINK: &str = "https://countersign.example.com/step-up/0a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// A link that Slack makes.
const CARD: &str = "https://acme.slack.com/archives/C0PAY/p1795460000000100";

/// All of them.
pub const SURFACES: &[Surface] = &[
    surface("card", |s| posted(&s.draw(cards::card))),
    surface("card, edited", |s| edited(&s.draw(cards::card))),
    surface("message to the requester", |s| posted(&s.draw(cards::requester_message))),
    steady("note in the thread", |s| in_thread(&cards::thread_note(&format!("Asked again: {}", s.frame.reason)))),
    steady("answer to a click that counts for nothing", |s| whispered(&cards::refusal(&s.approver_words()))),
    surface("thread: asked", |s| noted(s, Kind::RequestOpened)),
    surface("thread: a vote", |s| noted(s, Kind::VoteRecorded)),
    surface("thread: approved", |s| noted(s, Kind::RequestApproved)),
    surface("thread: denied", |s| noted(s, Kind::RequestDenied)),
    surface("thread: expired", |s| noted(s, Kind::RequestExpired)),
    surface("thread: withdrawn", |s| noted(s, Kind::RequestCancelled)),
    surface("thread: revoked", |s| noted(s, Kind::GrantRevoked)),
    surface("thread: ended", |s| noted(s, Kind::GrantEnded)),
    surface("thread: a reminder", |s| reminded(s, Vec::new(), Beneath::Card)),
    surface("thread: an escalation", |s| reminded(s, vec![SetName::parse("on-call").expect("a name")], Beneath::Card)),
    surface("thread of a digest: a reminder", |s| reminded(s, Vec::new(), Beneath::Digest)),
    surface("digest, 1 request", |s| posted(&digested(s, 1, digest::card))),
    surface("digest, full", |s| posted(&digested(s, digest::REQUESTS_MAX, digest::card))),
    surface("digest, edited", |s| edited(&digested(s, 3, digest::card))),
    surface("plain digest", |s| posted(&digested(s, digest::REQUESTS_MAX, digest::plain_card))),
    surface("card of a broken glass", |s| posted(&reviewed(s, ReviewState::Open, reviews::card))),
    surface("card of a broken glass, reviewed", |s| posted(&reviewed(s, answered(s), reviews::card))),
    surface("form of a review", |s| {
        let mut form = Value::Null;
        reviewed(s, ReviewState::Open, |facts| {
            form = reviews::form("opaque", facts.review, Verdict::NotJustified);
            reviews::overdue(facts)
        });
        view(form)
    }),
    surface("a glass was broken", |s| posted(&reviewed(s, ReviewState::Open, |f| reviews::direct(f, "C0PAY", false)))),
    surface("thread: a review is overdue", |s| in_thread(&reviewed(s, ReviewState::Open, reviews::overdue))),
    surface("plain card", |s| s.draw(|facts| posted(&plain::card(facts, &cards::card(facts))))),
    surface("plain message", |s| posted(&plain::message(&s.draw(cards::requester_message)))),
    surface("form for a denial", |s| view(s.draw(|facts| forms::deny_form("opaque", facts)))),
    surface("the way to sign in again", |s| view(s.draw(|facts| forms::step_up_view(LINK, facts)))),
    surface("form for approving less", |s| {
        view(s.draw(|f| approving::approve_form("opaque", f, approving::Changes::Offered, false)))
    }),
    surface("form for one's own request", |s| {
        view(s.draw(|f| approving::approve_form("opaque", f, approving::Changes::Not, true)))
    }),
    surface("form for a comment", |s| view(s.draw(|facts| talking::comment_form("opaque", facts)))),
    surface("form for handing over", |s| view(s.draw(|facts| talking::hand_over_form("opaque", facts)))),
    surface("comment to the requester", |s| {
        posted(&s.draw(|facts| cards::passed_on(facts, &somebody(), &s.frame.reason)))
    }),
    surface("handed over", |s| {
        posted(&s.draw(|facts| cards::handed_over(facts, &somebody(), &["C0PAY".to_owned()], Some(CARD))))
    }),
    surface("thread: an approval taken back", |s| noted(s, Kind::VoteWithdrawn)),
    surface("thread: less approved", |s| noted(s, Kind::RequestNarrowed)),
    surface("thread: a wrong number", |s| noted(s, Kind::NumberWrong)),
    surface("thread: somebody looks at it", |s| noted(s, Kind::RequestClaimed)),
    surface("thread: handed over", |s| noted(s, Kind::RequestHandedOver)),
    surface("everything in full", |s| view(s.draw(forms::details_view))),
    surface("message to the requester, with what can be done", |s| {
        let value = |name: &str| Some(format!("opaque-{name}"));
        let controls =
            requester::Controls { extend: value("extend"), done: value("done"), withdraw: value("withdraw") };
        posted(&s.draw(|facts| requester::message(facts, &controls, Some("42"), true)))
    }),
    steady("form for access, nothing chosen", |s| view(rows::empty_access_form(s))),
    steady("form for access, 1 scope", |s| view(rows::access_form(s, 1, 0))),
    steady("form for access, 10 scopes", |s| view(rows::access_form(s, 10, 1))),
    steady("form for access, 100 scopes", |s| view(rows::access_form(s, 100, 50))),
    steady("form for access, 300 scopes", |s| view(rows::access_form(s, 300, 10))),
    steady("form for access, a search for all", |s| rows::search(s, "")),
    steady("form for access, a search", |s| rows::search(s, "11")),
    steady("form for access, not ready yet", |_| view(access_form::loading())),
    steady("form that only says something", |s| view(access_form::words_view("Request sent", &s.approver_words()))),
    steady("form for more time", |s| {
        view(access_form::extend_view("opaque", &s.approver_words(), 7_200, &s.frame.reason))
    }),
    steady("App Home, empty", |s| view(rows::home(s, 0, 1, 0))),
    steady("App Home, 1 row", |s| view(rows::home(s, 1, 1, 0))),
    steady("App Home, 40 rows in one part", |s| view(rows::home(s, 40, 1, 0))),
    steady("App Home, 40 rows in all parts", |s| view(rows::home(s, 40, 6, 0))),
    steady("App Home, 200 rows, third page", |s| view(rows::home(s, 200, 6, 2))),
    steady("App Home, 200 rows, a page that is not there", |s| view(rows::home(s, 200, 2, 99))),
    steady("App Home, refused", |s| view(rows::home_refused(s))),
    steady("a button of Home that counts for nothing", |s| view(home::refused_view(&s.approver_words()))),
    steady("a form that came too late", |s| view(forms::stale_view(&s.approver_words()))),
];

/// An approver.
fn somebody() -> SlackUserId {
    SlackUserId::parse("U0BOB").expect("a user id")
}

/// The reply in a thread for something that happened.
fn noted(s: &Scene, what: Kind) -> Option<Value> {
    in_thread(&s.draw(|facts| notes::event(facts, what, &s.actor(), s.now))?)
}

/// The reply in a thread when nobody has decided.
fn reminded(s: &Scene, to: Vec<SetName>, beneath: Beneath) -> Option<Value> {
    let reminder = Reminder { after: 600, to };
    in_thread(&s.draw(|facts| reminders::reminder(facts, &reminder, facts.approver_words, beneath)))
}

/// A digest on which this scene's request stands so many times.
fn digested(s: &Scene, count: usize, draw: impl FnOnce(&DigestFacts<'_>) -> Message) -> Message {
    s.draw(|facts| {
        let row = |n: usize| {
            let mut request = facts.request.clone();
            request.id = RequestId::parse(format!("req_{n:032x}")).expect("an id");
            digest::Row::of(&CardFacts { request: &request, ..*facts })
        };
        let rows: Vec<digest::Row> = (0..count).map(row).collect();
        let (id, asked, button) = (&facts.request.id, facts.approver_words, facts.button);
        draw(&DigestFacts { id, rows: &rows, asked, most: s.frame.knows_requester.then_some(30), button })
    })
}

fn answered(s: &Scene) -> ReviewState {
    let (by, at, note) = (s.actor(), s.now, s.frame.reason.clone());
    ReviewState::Answered { by, at, verdict: Verdict::NotJustified, note }
}

/// Something about a broken glass that granted what this scene asks for.
fn reviewed(s: &Scene, state: ReviewState, draw: impl FnOnce(&ReviewFacts<'_>) -> Message) -> Message {
    s.draw(|facts| {
        let (request, slack) = (facts.request, SlackUserId::parse("U0DORA").expect("an id"));
        let broken_by = Voter {
            slack,
            principal: Principal::new("dora@example.com"),
            possible: [].into(),
            member_of: [].into(),
            groups: [].into(),
            learnt_at: s.now,
        };
        let review = Review {
            id: request.id.clone(),
            workspace: None,
            grant: GrantId::parse(request.id.as_str().replace("req_", "grn_")).expect("an id"),
            asked: request.asked.clone(),
            scopes: request.question.terms.scopes.clone(),
            broken_by,
            tell: Vec::new(),
            rules: request.question.terms.rules.values().cloned().collect(),
            opened_at: request.opened_at,
            grant_until: request.decide_by,
            review_by: request.decide_by,
            reminded: 0,
            state,
            version: 0,
        };
        let (told, button) = (facts.approver_words, facts.button);
        draw(&ReviewFacts { review: &review, grant: facts.grant, told, button, now: s.now })
    })
}

/// A message that is posted: the arguments of `chat.postMessage`.
pub fn posted(message: &Message) -> Option<Value> {
    sent(message, json!({ "channel": "C0PAY", "unfurl_links": false, "unfurl_media": false }))
}

/// A message that replaces another: the arguments of `chat.update`.
pub fn edited(message: &Message) -> Option<Value> {
    sent(message, json!({ "channel": "C0PAY", "ts": "1795460000.000100" }))
}

/// A reply in a thread.
pub fn in_thread(message: &Message) -> Option<Value> {
    posted(message).map(|call| with(call, json!({ "thread_ts": "1795460000.000100" })))
}

/// A message that one person sees: the arguments of `chat.postEphemeral`.
pub fn whispered(message: &Message) -> Option<Value> {
    sent(message, json!({ "channel": "C0PAY", "user": "U0ALICE" }))
}

/// A view, as it is.
pub fn view(view: Value) -> Option<Value> {
    Some(view)
}

/// As `src/slack/messages.rs` sends it; its tests compare.
fn sent(message: &Message, whereto: Value) -> Option<Value> {
    let message = serde_json::to_value(message).expect("a message");
    Some(with(with(message, whereto), json!({ "parse": "none" })))
}

fn with(mut all: Value, more: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}
