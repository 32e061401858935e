//! The parts that cards and forms share: what is asked for, by whom, why, and what deserves a second look.
//!
//! Scopes are never cut. Every other text has its most; what was cut stands in full behind the `details` button.

use serde_json::Value;

use super::blocks::{bold, bullets, line, mono, preformatted, quote, rich, run};
use super::cards::CardFacts;
use super::text::{clean, clean_lines, code, counted, cut, duration, mention};
use crate::domain::access_request::{AccessRequest, speaks_for};
use crate::domain::audit::Actor;
use crate::domain::hashing::canonical_json;
use crate::domain::policy::{Ceremony, Risk, Uses};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::SubjectKind;

/// Characters of an identifier on a card.
pub(super) const ID_MAX: usize = 80;
/// Characters of an address on a card.
pub(super) const ADDRESS_MAX: usize = 150;
/// Characters of a reason, and of a denial's reason, on a card.
const REASON_MAX: usize = 300;
/// Characters of what the policy says about a scope, and about all scopes of one card together.
const SAYS_MAX: usize = 150;
const SAYS_TOGETHER: usize = 4_000;
/// Characters of the name and of the value of something that the server vouches for.
const VOUCHED_MAX: (usize, usize) = (30, 60);
/// Characters of the authorization details on a card.
const DETAILS_MAX: usize = 900;
/// How many of several things are listed before "and N more".
pub(super) const LISTED_MAX: usize = 4;

/// Builds parts and remembers whether something had to be cut.
pub(super) struct Parts<'a> {
    pub facts: &'a CardFacts<'a>,
    pub cut: bool,
}

impl<'a> Parts<'a> {
    pub fn new(facts: &'a CardFacts<'a>) -> Self {
        Self { facts, cut: false }
    }

    pub fn short(&mut self, text: &str, most: usize) -> String {
        let (text, was_cut) = cut(text, most);
        self.cut |= was_cut;
        text
    }

    fn id(&mut self, text: &str) -> String {
        let text = self.short(&clean(text), ID_MAX);
        code(&text)
    }

    fn address(&mut self, text: &str) -> String {
        let text = self.short(&clean(text), ADDRESS_MAX);
        code(&text)
    }

    /// What the token would be for, in a few plain words.
    pub fn title(&mut self) -> String {
        let asked = &self.facts.request.asked;
        let name = self.facts.resource_name.or(asked.audience.first().map(String::as_str));
        // A name of nothing but signs or pictures says nothing in words.
        match name.filter(|name| clean(name).chars().any(char::is_alphanumeric)) {
            Some(name) => self.short(&clean(name), ID_MAX),
            None => format!("a token for {}", self.short(&clean(&asked.client.id), ID_MAX)),
        }
    }

    /// Every scope with its meaning. In rich text, so that 2,500 characters of it need no escaping.
    pub fn scopes(&mut self, title: &str, scopes: &ScopeSet) -> Value {
        let judged = scopes.judged();
        let most = SAYS_MAX.min(SAYS_TOGETHER / judged.len().max(1));
        let items: Vec<Vec<Value>> = judged.iter().map(|scope| self.scope(scope, most)).collect();
        rich(vec![line(vec![bold(title)]), bullets(items)])
    }

    fn scope(&mut self, scope: &Scope, most: usize) -> Vec<Value> {
        let name = match scope.as_str() {
            "" => bold("No scope was named: the server decides what the token may do"),
            name => mono(name),
        };
        let Some(known) = (self.facts.texts)(scope) else {
            return vec![name, run(" (the policy does not describe it)")];
        };
        let (says, _) = cut(&clean(&known.says), most);
        let risk = known.risk.map(|risk| format!(" (risk: {})", risk_word(risk))).unwrap_or_default();
        vec![name, run(&format!(" {says}{risk}"))]
    }

    /// Who, through what, on what, for how long.
    pub fn fields(&mut self) -> Vec<(&'static str, String)> {
        let request = self.facts.request;
        let asked = &request.asked;
        let mut all = vec![("Who", self.who()), ("Client", self.client()), ("On", self.audience())];
        all.push(("For how long", self.how_long()));
        let server = asked.issuer.as_deref().map(|issuer| self.address(issuer));
        let hook = code(asked.hook.as_str());
        all.push(("Authorization server", server.map_or(hook.clone(), |server| format!("{server} (hook {hook})"))));
        if !asked.actor.is_empty() {
            let actors = self.list(&asked.actor.iter().map(String::as_str).collect::<Vec<_>>());
            all.push(("Acting through", actors));
        }
        all
    }

    fn who(&mut self) -> String {
        let subject = &self.facts.request.asked.subject;
        if subject.kind == SubjectKind::Client {
            return "The client itself, no person".to_owned();
        }
        let mut who = self.id(&subject.id);
        if let Some(email) = subject.email.as_deref().filter(|email| *email != subject.id) {
            who = format!("{who}, {}", self.id(email));
        }
        let who = self.facts.requester.map(|user| format!("{} ({who})", mention(user))).unwrap_or(who);
        let asker = self.facts.request.origin.asker();
        match asker.filter(|asker| !speaks_for(&self.facts.request.asked, &asker.principal)) {
            Some(asker) => format!("{who}\nAsked for by {}", mention(&asker.slack)),
            None => who,
        }
    }

    fn client(&mut self) -> String {
        let client = &self.facts.request.asked.client;
        let id = self.id(&client.id);
        match client.name.as_deref().map(clean).filter(|name| !name.is_empty()) {
            Some(name) => format!("{id}, which calls itself {}", code(&self.short(&name, 60))),
            None => id,
        }
    }

    /// The identifier of the client as inline code.
    pub fn client_id(&mut self) -> String {
        self.id(&self.facts.request.asked.client.id)
    }

    /// Whom the token speaks for, as inline code.
    pub fn subject_id(&mut self) -> String {
        self.id(&self.facts.request.asked.subject.id)
    }

    fn audience(&mut self) -> String {
        let audience: Vec<&str> = self.facts.request.asked.audience.iter().map(String::as_str).collect();
        if audience.is_empty() { "No audience was named".to_owned() } else { self.list(&audience) }
    }

    fn list(&mut self, all: &[&str]) -> String {
        let shown: Vec<String> = all.iter().take(LISTED_MAX).map(|one| self.id(one)).collect();
        let more = all.len() - shown.len();
        self.cut |= more > 0;
        if more > 0 { format!("{}\nand {more} more", shown.join("\n")) } else { shown.join("\n") }
    }

    fn how_long(&mut self) -> String {
        let request = self.facts.request;
        let bounds = &request.question.terms.bounds;
        let uses = match bounds.uses {
            Uses::Window => String::new(),
            Uses::Times(1) => ", for one token".to_owned(),
            Uses::Times(times) => format!(", for at most {times} tokens"),
        };
        let token = if request.server.set_lifetime {
            format!("each token at most {}", duration(bounds.max_token_lifetime.min(request.duration)))
        } else {
            "this server decides how long each token lives".to_owned()
        };
        format!("*{}*{uses}; {token}", duration(request.duration))
    }

    /// What the client claims: its reason and the number it says that it shows. Labelled as what they are.
    pub fn claims(&mut self) -> Value {
        let asked = &self.facts.request.asked;
        let mut elements = match asked.reason.as_deref().map(clean_lines).filter(|reason| !reason.is_empty()) {
            Some(reason) => vec![
                line(vec![bold("Reason"), run(" (the client's claim, not verified)")]),
                quote(&self.short(&reason, REASON_MAX)),
            ],
            None => vec![line(vec![bold("Reason"), run(": none was given")])],
        };
        if let Some(number) = shown_number(self.facts.request).map(clean).filter(|number| !number.is_empty()) {
            let number = self.short(&number, ID_MAX);
            elements.push(line(vec![
                bold("Shown to its user"),
                run(" (the client's claim, not verified): "),
                mono(&number),
            ]));
        }
        rich(elements)
    }

    /// RFC 9396 authorization details, as they came.
    pub fn authorization_details(&mut self) -> Option<Value> {
        let details = &self.facts.request.asked.authorization_details;
        let text = details.iter().map(|detail| clean(&canonical_json(detail))).collect::<Vec<_>>().join("\n");
        (!details.is_empty()).then(|| {
            let text = self.short(&text, DETAILS_MAX);
            rich(vec![line(vec![bold("Authorization details")]), preformatted(&text)])
        })
    }

    /// What the authorization server vouches for, on one line.
    pub fn vouched(&mut self) -> Option<String> {
        let context = &self.facts.request.asked.context;
        let known = [("ip", "address"), ("acr", "authentication class"), ("amr", "authentication methods")];
        let others = context.keys().filter(|key| !known.iter().any(|(name, _)| name == key));
        let names: Vec<(&str, String)> = known
            .iter()
            .map(|(key, name)| (*key, (*name).to_owned()))
            .chain(others.map(|key| (key.as_str(), String::new())))
            .filter(|(key, _)| context.contains_key(*key))
            .collect();
        let mut said = Vec::new();
        for (key, name) in names.iter().take(6) {
            let value =
                context.get(*key).map(|value| value.as_str().map_or_else(|| canonical_json(value), str::to_owned));
            let name = if name.is_empty() { code(&self.short(&clean(key), VOUCHED_MAX.0)) } else { name.clone() };
            let value = self.short(&clean(&value.unwrap_or_default()), VOUCHED_MAX.1);
            said.push(format!("{name} {}", code(&value)));
        }
        self.cut |= names.len() > said.len();
        (!said.is_empty()).then(|| format!("The authorization server vouches for: {}", said.join(" · ")))
    }

    /// What approvers made of it since it was asked, and what they said.
    pub fn narrowed(&mut self) -> Option<Value> {
        let request = self.facts.request;
        let mut items = Vec::new();
        for one in request.deciding.narrowed.iter().rev().take(LISTED_MAX) {
            let mut runs = vec![run(&format!("{}: ", plain_actor(&one.by)))];
            for (n, scope) in one.removed.iter().take(LISTED_MAX).enumerate() {
                runs.push(run(if n == 0 { "took out " } else { ", " }));
                runs.push(mono(&self.short(scope.as_str(), ADDRESS_MAX)));
            }
            if one.removed.len() > LISTED_MAX {
                runs.push(run(&format!(" and {}", counted(one.removed.len() - LISTED_MAX, "more scope"))));
                self.cut = true;
            }
            let next = request.deciding.narrowed.iter().find(|later| later.version > one.version);
            let after = next.map_or(request.duration, |next| next.duration_before);
            if after < one.duration_before {
                let and = if one.removed.is_empty() { "" } else { "; " };
                let (before, after) = (duration(one.duration_before), duration(after));
                runs.push(run(&format!("{and}made it {after} instead of {before}")));
            }
            if let Some(note) = &one.note {
                runs.push(run(&format!(" (“{}”)", self.short(&clean(note), REASON_MAX))));
            }
            items.push(runs);
        }
        let suggested = &request.deciding.suggested;
        if !suggested.is_empty() {
            let mut runs = vec![run("Could be asked for instead: ")];
            for scope in suggested.iter().take(LISTED_MAX) {
                runs.extend([mono(&self.short(scope.as_str(), ADDRESS_MAX)), run(" ")]);
            }
            self.cut |= suggested.len() > LISTED_MAX;
            items.push(runs);
        }
        (!items.is_empty()).then(|| rich(vec![line(vec![bold("Less than was asked")]), bullets(items)]))
    }

    /// What those said who approved, each under their name.
    pub fn notes(&mut self) -> Option<Value> {
        let request = self.facts.request;
        let narrowing = |place| request.deciding.narrowed.iter().any(|one| one.version == place);
        let said: Vec<(String, String)> = request
            .counting()
            .filter(|vote| !narrowing(vote.shown_version))
            .filter_map(|vote| Some((vote.voter.principal.to_string(), vote.note.clone()?)))
            .take(LISTED_MAX)
            .collect();
        let items: Vec<Vec<Value>> = said
            .iter()
            .map(|(who, note)| {
                let (who, note) = (self.short(&clean(who), ID_MAX), self.short(&clean(note), REASON_MAX));
                vec![run(&format!("{who}: “{note}”"))]
            })
            .collect();
        (!items.is_empty()).then(|| rich(vec![line(vec![bold("Notes of those who approved")]), bullets(items)]))
    }

    /// Every name on the card that somebody outside of this service chose.
    pub fn identifiers(&self) -> Vec<&'a str> {
        let asked = &self.facts.request.asked;
        let single = [asked.client.name.as_deref(), asked.subject.email.as_deref(), asked.issuer.as_deref()];
        [asked.client.id.as_str(), asked.subject.id.as_str()]
            .into_iter()
            .chain(single.into_iter().flatten())
            .chain(asked.actor.iter().map(String::as_str))
            .chain(asked.audience.iter().map(String::as_str))
            .collect()
    }

    /// A reason that a person gave, as a quote under a title.
    pub fn given(&mut self, title: &str, reason: &str) -> Option<Value> {
        let reason = clean_lines(reason);
        let reason = self.short(&reason, REASON_MAX);
        (!reason.is_empty()).then(|| rich(vec![line(vec![bold(title)]), quote(&reason)]))
    }

    /// Whether a mistake would be bad: then Approve is not the button that invites a click.
    pub fn is_risky(&self) -> bool {
        let scopes = self.facts.request.question.terms.scopes.judged();
        scopes.iter().filter_map(|scope| (self.facts.texts)(scope)?.risk).any(|risk| match risk {
            Risk::High | Risk::Critical => true,
            Risk::Low | Risk::Medium => false,
        })
    }
}

/// What the client says that it shows its user. Where approvers must type it, nobody may read it in Slack.
pub(super) fn shown_number(request: &AccessRequest) -> Option<&str> {
    match request.question.ceremony {
        Ceremony::Match => None,
        Ceremony::Click | Ceremony::Confirm | Ceremony::StepUp => request.asked.binding_message.as_deref(),
    }
}

/// Who did something, where nothing is formatted.
fn plain_actor(actor: &Actor) -> String {
    match actor {
        Actor::Person(_, Some(principal)) => cut(&clean(principal.as_str()), ID_MAX).0,
        Actor::Person(user, None) => user.to_string(),
        Actor::Operator(name) => format!("the operator {}", cut(&clean(name), ID_MAX).0),
        Actor::Hook(name) => format!("hook {name}"),
        Actor::Time => "time".to_owned(),
        Actor::Service => "Countersign".to_owned(),
    }
}

/// Who did something, in mrkdwn.
pub(super) fn actor_words(actor: &Actor) -> String {
    match actor {
        Actor::Person(user, _) => mention(user),
        Actor::Operator(name) => format!("the operator {}", code(&cut(name, ID_MAX).0)),
        Actor::Hook(name) => format!("the authorization server (hook {})", code(name.as_str())),
        Actor::Time => "time".to_owned(),
        Actor::Service => "Countersign".to_owned(),
    }
}

pub(super) fn risk_word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}
