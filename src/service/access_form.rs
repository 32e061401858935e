//! The form for a request, from its first drawing to its submission. Nothing that it carries is believed: what was
//! chosen comes back as values that are looked up in what this person may ask for, under the policy of that moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ahead::{Wish, asked_ahead};
use super::click::FormAnswer;
use super::requester::Asked;
use super::workspaces::{Caller, Member};
use super::{Error, Service};
use crate::domain::policy::{AheadRuling, Outcome, Policy, Resource};
use crate::domain::scope::{Scope, ScopeSet};
use crate::slack::access_form::{self, Choice, Form};
use crate::slack::click::{PressedView, Submission, Suggestion};
use crate::slack::requester;
use crate::slack::text::{clean_lines, code, duration};

/// With more scopes than this in all, a client or resource is offered before it is known whether any of its scopes is.
const JUDGED_MAX: usize = 300;

/// What was filled in so far.
#[derive(Debug, Clone, Default)]
struct Filled {
    client: String,
    resource: String,
    scopes: Vec<String>,
    scopes_block: String,
    time: Option<u64>,
    start: Option<i64>,
    reason: String,
}

type Values = BTreeMap<String, BTreeMap<String, String>>;
type Lists = BTreeMap<String, BTreeMap<String, Vec<String>>>;

impl Filled {
    fn of(values: &Values, lists: &Lists) -> Self {
        let text = |name: &str| values.get(name).and_then(|of| of.get(name)).cloned().unwrap_or_default();
        let scopes = lists
            .iter()
            .find(|(block, of)| block.starts_with(access_form::SCOPES) && of.contains_key(access_form::SCOPES));
        Self {
            client: text(access_form::CLIENT),
            resource: text(access_form::RESOURCE),
            scopes: scopes.and_then(|(_, of)| of.get(access_form::SCOPES)).cloned().unwrap_or_default(),
            scopes_block: scopes.map(|(block, _)| block.clone()).unwrap_or_default(),
            time: text(access_form::TIME).parse().ok(),
            start: text(access_form::START).parse().ok(),
            reason: clean_lines(&text(access_form::REASON)),
        }
    }
}

/// What the form offers, with the scopes of the chosen resource.
struct Offer {
    form: Form,
    audience: Option<String>,
    scopes: Vec<Scope>,
}

impl Service {
    /// The form as it is shown first, or words for why there is none.
    pub(super) async fn first_form(&self, from: &Caller) -> Result<Value, Error> {
        match self.asker(from).await {
            Ok(who) => {
                let form = self.offer(&who, &Filled::default()).await?.form;
                let nothing =
                    "Nothing is offered to you here: the policy names no client and scope that you may ask for.";
                // Slack takes no menu without options.
                Ok(if form.clients.is_empty() {
                    access_form::words_view("Request access", nothing)
                } else {
                    form.view()
                })
            }
            Err(why) => {
                self.write_down(from, None, &why, self.now()).await?;
                Ok(access_form::words_view("Request access", &Self::asking_words(&why)))
            }
        }
    }

    /// Something was chosen in the form: it is drawn again, with what can be chosen next and who would be asked.
    pub(super) async fn access_chosen(&self, from: &Caller, view: &PressedView) -> Result<(), Error> {
        let Some(id) = view.id.clone() else { return Ok(()) };
        let drawn = match self.asker(from).await {
            Ok(who) => self.offer(&who, &Filled::of(&view.values, &view.lists)).await?.form.view(),
            Err(why) => access_form::words_view("Request access", &Self::asking_words(&why)),
        };
        let (slack, hash) = (from.place.workspace.slack.clone(), view.hash.clone());
        tokio::spawn(async move {
            let mut drawn_again = slack.update_view(&id, hash.as_deref(), &drawn).await;
            if drawn_again.is_err() && hash.is_some() {
                // Another choice was drawn meanwhile; this one knows of both.
                drawn_again = slack.update_view(&id, None, &drawn).await;
            }
            if let Err(error) = drawn_again {
                tracing::warn!(error = error.code(), "the form for a request could not be drawn again");
            }
        });
        Ok(())
    }

    /// Somebody types into a menu of the form that has too many options to list.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn suggested(&self, from: &Caller, search: &Suggestion) -> Result<Value, Error> {
        let nothing = || json!({ "options": [] });
        let Ok(who) = self.asker(from).await else { return Ok(nothing()) };
        let Some(view) = search.view.as_ref().filter(|view| view.callback_id == access_form::ACCESS_FORM) else {
            return Ok(nothing());
        };
        let offer = self.offer(&who, &Filled::of(&view.values, &view.lists)).await?;
        let options = match search.action.as_str() {
            access_form::CLIENT => access_form::found(&offer.form.clients, &search.typed),
            access_form::RESOURCE => access_form::found(&offer.form.resources, &search.typed),
            access_form::SCOPES => access_form::found(&offer.form.scopes, &search.typed),
            _ => Vec::new(),
        };
        Ok(json!({ "options": options }))
    }

    /// The form was sent.
    pub(super) async fn access_sent(&self, from: &Caller, form: &Submission) -> Result<FormAnswer, Error> {
        let who = match self.asker(from).await {
            Ok(who) => who,
            Err(why) => {
                self.write_down(from, None, &why, self.now()).await?;
                return Ok(FormAnswer::Say(Self::asking_words(&why)));
            }
        };
        let filled = Filled::of(&form.values, &form.lists);
        let offer = self.offer(&who, &filled).await?;
        let wrong = |block: &str, says: &str| Ok(FormAnswer::Errors(vec![(block.to_owned(), says.to_owned())]));
        let Some(client) = offer.form.client.as_ref().filter(|one| one.value() == filled.client) else {
            return wrong(access_form::CLIENT, "You cannot ask through this client. Choose another one.");
        };
        let Some(audience) = offer.audience.filter(|one| access_form::value_of(one) == filled.resource) else {
            return wrong(access_form::RESOURCE, "You cannot ask for this resource. Choose another one.");
        };
        let by_value =
            |value: &String| offer.scopes.iter().find(|scope| access_form::value_of(scope.as_str()) == *value);
        let scopes: Option<Vec<&Scope>> = filled.scopes.iter().map(by_value).collect();
        let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) else {
            let block = if filled.scopes_block.is_empty() { offer.form.scopes_block() } else { filled.scopes_block };
            return wrong(&block, "You cannot ask for one of these scopes any more. Choose again.");
        };
        let starts_at = match filled.start.map(|at| chrono::DateTime::from_timestamp(at, 0)) {
            None => None,
            Some(Some(at)) if at > self.now() => Some(at),
            Some(_) => return wrong(access_form::START, "Choose a moment that is still to come."),
        };
        if form.value(access_form::TIME, access_form::TIME).parse::<u64>().is_err() {
            return wrong(access_form::TIME, "Choose for how long.");
        }
        let wish = Wish {
            client: client.name.clone(),
            audience,
            scopes: scopes.into_iter().cloned().collect(),
            lifetime: filled.time,
            starts_at,
            reason: Some(filled.reason).filter(|reason| !reason.is_empty()),
            subject: None,
        };
        let asked = Box::pin(self.ask_ahead(&who, &wish)).await?;
        let about_reason = matches!(&asked, Asked::Refused(says) if wants_reason(&self.policy(), says));
        let block = if about_reason { access_form::REASON.to_owned() } else { filled.scopes_block };
        Ok(self.sent(&asked, &block))
    }

    /// The form for an extension was sent.
    pub(super) async fn extension_sent(&self, from: &Caller, form: &Submission) -> Result<FormAnswer, Error> {
        let refused = |why| Ok(FormAnswer::Say(Self::asking_words(&why)));
        let who = match self.asker(from).await {
            Ok(who) => who,
            Err(why) => return refused(why),
        };
        let control = self.0.store.control(&form.private_metadata).await?;
        let theirs = control.filter(|one| one.is_of(who.place.team(), &who.slack) && one.action == requester::EXTEND);
        let Some(grant) = theirs.and_then(|one| one.grant) else { return refused(super::click::Why::UnknownButton) };
        let Ok(time) = form.value(access_form::TIME, access_form::TIME).parse::<u64>() else {
            let says = "Choose for how long.".to_owned();
            return Ok(FormAnswer::Errors(vec![(access_form::TIME.to_owned(), says)]));
        };
        let reason = clean_lines(form.value(access_form::REASON, access_form::REASON));
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        let asked = Box::pin(self.extend(&who, &grant, Some(time), reason)).await?;
        let about_reason = matches!(&asked, Asked::Refused(says) if wants_reason(&self.policy(), says));
        Ok(self.sent(&asked, if about_reason { access_form::REASON } else { access_form::TIME }))
    }

    /// What this person may ask for, with what they chose so far.
    async fn offer(&self, who: &Member, filled: &Filled) -> Result<Offer, Error> {
        let policy = self.policy();
        let client = self.clients_for(&policy, who).await?;
        let mut form = Form {
            time: filled.time,
            start: filled.start,
            reason: filled.reason.clone(),
            clients: client.iter().map(|name| Choice::named(name)).collect(),
            ..Form::default()
        };
        form.client = chosen(&form.clients, &filled.client);
        let mut offer = Offer { form, audience: None, scopes: Vec::new() };
        let Some(client) = offer.form.client.clone() else { return Ok(offer) };
        let mut resources: Vec<(&Resource, Vec<Scope>)> = Vec::new();
        for resource in policy.resources.iter().filter(|one| one.clients.contains(&client.name)) {
            let scopes = self.askable(&policy, resource, &client.name, who, self.now()).await?;
            if !scopes.is_empty() {
                resources.push((resource, scopes));
            }
        }
        // The audience is what is chosen; the name is what is read.
        let choices: Vec<Choice> = resources
            .iter()
            .map(|(resource, _)| Choice { name: resource.audience.clone(), says: Some(resource.name.clone()) })
            .collect();
        offer.form.resource = chosen(&choices, &filled.resource);
        offer.form.resources = choices;
        let Some(resource) = &offer.form.resource else { return Ok(offer) };
        let Some((resource, scopes)) = resources.into_iter().find(|(one, _)| one.audience == resource.name) else {
            return Ok(offer);
        };
        let choice = |scope: &Scope| resource.scopes.get(scope).map(|text| Choice::scope(scope.as_str(), text));
        offer.form.scopes = scopes.iter().filter_map(choice).collect();
        // What was chosen for another resource does not count for this one.
        let picked: Vec<Scope> = scopes
            .iter()
            .filter(|scope| filled.scopes.contains(&access_form::value_of(scope.as_str())))
            .cloned()
            .collect();
        offer.form.chosen = picked.iter().filter_map(choice).collect();
        offer.form.who = self.who_would_be_asked(&policy, resource, &client.name, &picked, filled, who).await?;
        offer.audience = Some(resource.audience.clone());
        offer.scopes = scopes;
        Ok(offer)
    }

    /// The clients through which somebody may ask for something.
    async fn clients_for(&self, policy: &Policy, who: &Member) -> Result<Vec<String>, Error> {
        let named: BTreeSet<&String> = policy.resources.iter().flat_map(|resource| &resource.clients).collect();
        let judged: usize = policy.resources.iter().map(|one| one.clients.len() * one.scopes.len()).sum();
        let mut clients = Vec::new();
        for client in named {
            let mut offered = false;
            for resource in policy.resources.iter().filter(|one| one.clients.contains(client)) {
                let is_here = self.hook_of_here(&who.place, resource).is_some();
                offered = offered
                    || is_here && judged > JUDGED_MAX
                    || is_here && !self.askable(policy, resource, client, who, self.now()).await?.is_empty();
            }
            if offered {
                clients.push(client.clone());
            }
        }
        Ok(clients)
    }

    /// Who would be asked and for how long it would be, before anything is sent.
    async fn who_would_be_asked(
        &self,
        policy: &Policy,
        resource: &Resource,
        client: &str,
        scopes: &[Scope],
        filled: &Filled,
        who: &Member,
    ) -> Result<String, Error> {
        let hook = self.hook_of_here(&who.place, resource).filter(|_| !scopes.is_empty());
        let Some(hook) = hook else { return Ok(String::new()) };
        let wish = Wish {
            client: client.to_owned(),
            audience: resource.audience.clone(),
            scopes: scopes.iter().cloned().collect::<ScopeSet>(),
            lifetime: Some(filled.time.unwrap_or(3_600)),
            starts_at: None,
            reason: Some(filled.reason.clone()).filter(|reason| !reason.is_empty()),
            subject: None,
        };
        let asked = asked_ahead(who, &wish, hook.clone());
        Ok(match self.judge_ahead(policy, resource, &asked, who, &who.place, self.now()).await? {
            AheadRuling::Refused(says) => format!("This would be refused: {}", code(&says)),
            AheadRuling::Allowed => "Nobody needs to be asked for this: your client gets it when it calls.".to_owned(),
            AheadRuling::Asked { question, .. } => {
                let most = question.terms.bounds.max_duration;
                let lasts = wish.lifetime.unwrap_or(most).min(most);
                let cut = if wish.lifetime.is_some_and(|wish| wish > most) { ", the most that is given" } else { "" };
                let wants = question.not_now.as_ref().map(|refused| format!(" *Needed:* {}", refused.says));
                format!(
                    "{} For {}{cut}; they have {} to decide. Nobody approves their own request.{}",
                    self.who_is_asked(&question),
                    duration(lasts),
                    duration(question.decide_within),
                    wants.unwrap_or_default()
                )
            }
        })
    }
}

/// What was chosen, or the only thing that can be.
fn chosen(all: &[Choice], value: &str) -> Option<Choice> {
    match all {
        [only] if value.is_empty() => Some(only.clone()),
        _ => all.iter().find(|choice| choice.value() == value).cloned(),
    }
}

/// Whether these are the words of a rule that wants a reason.
fn wants_reason(policy: &Policy, says: &str) -> bool {
    policy.rules.iter().any(|rule| match &rule.outcome {
        Outcome::Ask(ask) => ask.reason.as_ref().is_some_and(|reason| reason.says == says),
        Outcome::Allow(_) | Outcome::Deny(_) | Outcome::BreakGlass(_) => false,
    })
}
