//! The slash command: a form, or one line. Whatever it answers, only the person sees it.
//!
//! The form is opened before anything is asked of anybody, because what allows opening it is good for three seconds;
//! it is filled in afterwards. What it says when it is sent is read against the policy again.

use super::click::{FormAnswer, Why};
use super::requester::{Asked, Parting};
use super::workspaces::{Caller, Member};
use super::{Error, Service};
use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::grant::{Grant, Status as GrantStatus};
use crate::domain::policy::Question;
use crate::domain::scope::Scope;
use crate::slack::access_command::{self, Line};
use crate::slack::cards;
use crate::slack::click::Command;
use crate::slack::home;
use crate::slack::text::{clean, code, cut, date, duration};
use crate::slack::{Message, access_form};

/// How many rows an answer lists.
pub(super) const ROWS: usize = 20;
/// How many of somebody's requests and grants are looked at.
pub(super) const OWN_MAX: u32 = 100;

/// What a slash command is answered, visible only to whoever typed it.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandAnswer {
    /// A form opens; there is nothing to say.
    Nothing,
    /// This.
    Say(Box<Message>),
}

fn say(words: &str) -> CommandAnswer {
    CommandAnswer::Say(Box::new(cards::refusal(words)))
}

impl Service {
    /// Somebody typed the slash command.
    ///
    /// # Errors
    /// When the store does not answer: then nothing was done.
    pub(super) async fn command(&self, from: &Caller, command: &Command) -> Result<CommandAnswer, Error> {
        if let Some(foreign) = from.foreign {
            return self.command_refused(from, &Why::Foreign(foreign)).await;
        }
        if command.text.trim().is_empty() {
            return Ok(self.open_access_form(command.trigger_id.as_deref(), from).await);
        }
        let who = match self.asker(from).await {
            Ok(who) => who,
            Err(why) => return self.command_refused(from, &why).await,
        };
        let offset = who.place.people.offset_of(&who.slack).unwrap_or(0);
        let line = match access_command::parse(&command.text, self.now(), offset) {
            Ok(line) => line,
            Err(words) => return Ok(say(&words)),
        };
        let words = match line {
            Line::Form => return Ok(self.open_access_form(command.trigger_id.as_deref(), from).await),
            Line::Help => self.help(&who, &command.command).await?,
            Line::Status => self.status_words(&who).await?,
            Line::Grants => self.grants_words(&who).await?,
            Line::Done(id) => self.done_by_command(&who, id.as_deref()).await?,
            Line::Withdraw(id) => self.withdraw_by_command(&who, id.as_deref()).await?,
            Line::Extend { id, lifetime, reason } => {
                Box::pin(self.extend_by_command(&who, id.as_deref(), lifetime, reason)).await?
            }
            Line::Ask(asked) => match self.wish_of(&who.place, &asked, &command.command) {
                Ok(wish) => {
                    let asked = Box::pin(self.ask_ahead(&who, &wish)).await?;
                    self.asked_words(&asked)
                }
                Err(words) => words,
            },
        };
        Ok(say(&words))
    }

    async fn command_refused(&self, from: &Caller, why: &Why) -> Result<CommandAnswer, Error> {
        self.write_down(from, None, why, self.now()).await?;
        Ok(say(&Self::asking_words(why)))
    }

    /// Opens the form at once, and fills it in afterwards.
    pub(super) async fn open_access_form(&self, trigger: Option<&str>, from: &Caller) -> CommandAnswer {
        const LATE: &str = "The form could not be opened: Slack allows three seconds for it. Please try again.";
        let Some(trigger) = trigger else { return say(LATE) };
        let opened = from.place.workspace.slack.open_form(trigger, &access_form::loading()).await;
        let view = match opened {
            Ok(view) => view,
            Err(error) => {
                tracing::warn!(error = error.code(), "the form for a request could not be opened");
                return say(LATE);
            }
        };
        let (service, from) = (self.clone(), from.clone());
        tokio::spawn(async move {
            let filled = Box::pin(service.first_form(&from)).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the form for a request could not be filled in");
                access_form::words_view("Request access", error.shown())
            });
            if let Err(error) = from.place.workspace.slack.update_view(&view, None, &filled).await {
                tracing::warn!(error = error.code(), "the form for a request could not be filled in");
            }
        });
        CommandAnswer::Nothing
    }

    /// What became of something that was asked for, in words.
    pub(super) fn asked_words(&self, asked: &Asked) -> String {
        match asked {
            Asked::Refused(says) => format!("{says} Nothing was asked."),
            Asked::NoNeed => "Nobody needs to be asked for this: your client gets it when it calls.".to_owned(),
            Asked::Opened(request) => self.opened_words("Sent.", request),
            Asked::Already(request) => self.opened_words("That is asked already.", request),
        }
    }

    fn opened_words(&self, lead: &str, request: &AccessRequest) -> String {
        let scopes =
            home::scopes(request.question.terms.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().into_iter());
        let number = request.asked.binding_message.as_deref().map(|number| {
            format!(
                " *The number of this request is* {}: tell it to whoever approves, and to nobody else.",
                code(number)
            )
        });
        format!(
            "{lead} {scopes} through {} for {}. {} They have until {}.{} Request {}.",
            code(&request.asked.client.id),
            duration(request.duration),
            self.who_is_asked(&request.question),
            date(request.decide_by),
            number.unwrap_or_default(),
            code(request.id.as_str()),
        )
    }

    /// Who is asked, as a sentence with mentions.
    pub(super) fn who_is_asked(&self, question: &Question) -> String {
        let policy = self.policy();
        let each: Vec<String> = question
            .requirements
            .iter()
            .map(|requirement| {
                let sets = requirement.approvers.iter().filter_map(|name| policy.approvers.get(name));
                let mentions: Vec<String> = sets
                    .flat_map(|set| {
                        let groups = set.groups.iter().map(|group| format!("<!subteam^{group}>"));
                        groups.chain(set.users.iter().map(|user| format!("<@{user}>"))).collect::<Vec<_>>()
                    })
                    .take(10)
                    .collect();
                match requirement.count.get() {
                    1 => mentions.join(", "),
                    count => format!("{count} of {}", mentions.join(", ")),
                }
            })
            .collect();
        if each.is_empty() { "Nobody is asked.".to_owned() } else { format!("Asked: {}.", each.join("; and ")) }
    }

    async fn help(&self, who: &Member, command: &str) -> Result<String, Error> {
        let (policy, now) = (self.policy(), self.now());
        let mut offers = Vec::new();
        for resource in &policy.resources {
            for client in &resource.clients {
                let scopes = self.askable(&policy, resource, client, who, now).await?;
                if !scopes.is_empty() && offers.len() < ROWS {
                    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
                    offers.push(format!("• {} {}", code(client), home::scopes(names.into_iter())));
                }
            }
        }
        let offers = if offers.is_empty() { "• nothing".to_owned() } else { offers.join("\n") };
        let command = code(command);
        Ok(format!(
            "*Ask* with {command} alone for a form, or in one line: client, scopes, `for 2h`, `from tomorrow 9:00`, `because PAY-1`.\n\
             *Then* `status`, `grants`, `extend [grant] 2h`, `done [grant]`, `withdraw [request]`.\n*You may ask for*\n{offers}"
        ))
    }

    async fn status_words(&self, who: &Member) -> Result<String, Error> {
        let now = self.now();
        let own = self.own_requests(who).await?;
        let lines: Vec<String> = own
            .iter()
            .take(ROWS)
            .map(|request| {
                let what = self.request_line(request);
                match request.status(now) {
                    Status::Pending => format!("• *pending* until {}: {what}", date(request.decide_by)),
                    settled => format!("• *{}*: {what}", settled.as_str()),
                }
            })
            .collect();
        Ok(if lines.is_empty() { "You have not asked for anything lately.".to_owned() } else { lines.join("\n") })
    }

    async fn grants_words(&self, who: &Member) -> Result<String, Error> {
        let own = self.own_grants(who).await?;
        let lines: Vec<String> = own.iter().take(ROWS).map(|grant| format!("• {}", self.grant_line(grant))).collect();
        Ok(if lines.is_empty() { "You have no access that was approved here.".to_owned() } else { lines.join("\n") })
    }

    /// An access request in one line.
    pub(super) fn request_line(&self, request: &AccessRequest) -> String {
        let names: Vec<&str> = request.question.terms.scopes.iter().map(Scope::as_str).collect();
        format!(
            "{} on {} through {} for {} (request {})",
            home::scopes(names.into_iter()),
            code(&short(&self.place_of(&request.asked))),
            code(&short(&request.asked.client.id)),
            duration(request.duration),
            code(request.id.as_str())
        )
    }

    /// A grant in one line.
    pub(super) fn grant_line(&self, grant: &Grant) -> String {
        let names: Vec<&str> = grant.scopes.iter().map(Scope::as_str).collect();
        let starts = grant.starts_at();
        let from = if starts > self.now() { format!(" from {}", date(starts)) } else { String::new() };
        format!(
            "{} on {} through {}{from} until {} (grant {})",
            home::scopes(names.into_iter()),
            code(&short(&self.place_of(&grant.asked))),
            code(&short(&grant.asked.client.id)),
            date(grant.expires_at),
            code(grant.id.as_str())
        )
    }

    fn place_of(&self, asked: &crate::domain::token_request::TokenRequest) -> String {
        let policy = self.policy();
        let name = asked.audience.iter().find_map(|audience| policy.resource_name(audience).map(str::to_owned));
        name.or_else(|| asked.audience.first().cloned()).unwrap_or_else(|| "no named audience".to_owned())
    }

    /// Somebody's own requests, newest first.
    pub(super) async fn own_requests(&self, who: &Member) -> Result<Vec<AccessRequest>, Error> {
        let mut all = self.0.store.requests_of(&who.principal, OWN_MAX).await?;
        all.retain(|request| request.is_of(&who.principal) && self.is_at(&who.place, request));
        Ok(all)
    }

    /// Somebody's own grants that can be used now or later, the one that ends first before the others.
    pub(super) async fn own_grants(&self, who: &Member) -> Result<Vec<Grant>, Error> {
        let now = self.now();
        let mut own = Vec::new();
        for grant in self.0.store.live_grants_of(&who.principal, OWN_MAX).await? {
            match grant.status(now) {
                GrantStatus::Reserved | GrantStatus::Active => {}
                GrantStatus::Ended(_) | GrantStatus::Revoked => continue,
            }
            if self.grant_of_theirs(who, &grant.id).await?.is_some() {
                own.push(grant);
            }
        }
        Ok(own)
    }

    async fn done_by_command(&self, who: &Member, typed: Option<&str>) -> Result<String, Error> {
        let own = self.own_grants(who).await?;
        let grant = match pick(&own, |grant| grant.id.as_str(), typed, "grant") {
            Ok(grant) => grant,
            Err(words) => return Ok(words),
        };
        Ok(match self.hand_back(who, &grant.id).await? {
            Parting::Done => format!("Handed back: {}. No new token is issued for it.", self.grant_line(grant)),
            Parting::Over | Parting::Unknown => "That grant is over already.".to_owned(),
        })
    }

    async fn withdraw_by_command(&self, who: &Member, typed: Option<&str>) -> Result<String, Error> {
        let now = self.now();
        let mut own = self.own_requests(who).await?;
        own.retain(|request| request.status(now) == Status::Pending);
        let request = match pick(&own, |request| request.id.as_str(), typed, "pending request") {
            Ok(request) => request,
            Err(words) => return Ok(words),
        };
        Ok(match self.withdraw(who, &request.id).await? {
            Parting::Done => format!("Withdrawn: {}.", self.request_line(request)),
            Parting::Over | Parting::Unknown => "That request is settled already.".to_owned(),
        })
    }

    async fn extend_by_command(
        &self,
        who: &Member,
        typed: Option<&str>,
        lifetime: Option<u64>,
        reason: Option<String>,
    ) -> Result<String, Error> {
        let own = self.own_grants(who).await?;
        let grant = match pick(&own, |grant| grant.id.as_str(), typed, "grant") {
            Ok(grant) => grant,
            Err(words) => return Ok(words),
        };
        let asked = Box::pin(self.extend(who, &grant.id, lifetime, reason)).await?;
        Ok(self.asked_words(&asked))
    }

    /// What a form's sender sees of what became of it.
    pub(super) fn sent(&self, asked: &Asked, block: &str) -> FormAnswer {
        match asked {
            Asked::Refused(says) => FormAnswer::Errors(vec![(block.to_owned(), says.clone())]),
            Asked::NoNeed => {
                FormAnswer::Show(Box::new(access_form::words_view("Nothing to ask", &self.asked_words(asked))))
            }
            Asked::Opened(_) => {
                FormAnswer::Show(Box::new(access_form::words_view("Request sent", &self.asked_words(asked))))
            }
            Asked::Already(_) => {
                FormAnswer::Show(Box::new(access_form::words_view("Asked already", &self.asked_words(asked))))
            }
        }
    }
}

/// As much of an identifier as fits a line of a list.
fn short(text: &str) -> String {
    cut(&clean(text), 80).0
}

/// The one that was meant: by its identifier or the end of it, or the only one there is.
fn pick<'a, T>(all: &'a [T], id: impl Fn(&T) -> &str, typed: Option<&str>, what: &str) -> Result<&'a T, String> {
    let fits = |one: &&T| typed.is_none_or(|typed| id(one) == typed || (typed.len() >= 4 && id(one).ends_with(typed)));
    let mut found = all.iter().filter(fits);
    match (found.next(), found.next(), typed) {
        (Some(one), None, _) => Ok(one),
        (None, _, Some(typed)) => Err(format!("You have no {what} {}.", code(typed))),
        (None, _, None) => Err(format!("You have no {what}.")),
        (Some(_), Some(_), _) => {
            let ids: Vec<String> = all.iter().take(ROWS).map(|one| code(id(one))).collect();
            Err(format!("You have more than one {what}: say which. {}", ids.join(", ")))
        }
    }
}
