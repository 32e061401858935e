//! What is looked up when an access request is opened: who owns its client, what is unusual about it, and whether
//! anybody at all can decide. It decides nothing about tokens.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Clock, Event, Status, Step, would_meet};
use crate::domain::identity::{EmailMapping, Principal, Voter};
use crate::domain::ids::{SetName, SlackUserId};
use crate::domain::policy::{ApproverSet, Policy, Requirement, SelfApproval};
use crate::slack::SlackError;
use crate::store::{Change, Outcome};

/// How long opening waits for Slack to say who is there; afterwards it is opened, and looked up before its card is
/// posted.
const ASKING_MAX: Duration = Duration::from_millis(1_200);
/// How many accounts are looked up at most. With that many of whom none may decide, somebody else surely does.
const ACCOUNTS_MAX: usize = 24;

/// Whether a request can be decided at all.
enum Deciders {
    /// Enough people can.
    Enough,
    /// Too few can, for this reason.
    TooFew(String),
    /// Slack could not be asked.
    Unknown,
}

impl Service {
    /// Adds to the birth of an access request what is known besides. `Err` holds words for why it is not opened:
    /// nobody could decide about it, or it cannot be told who must not.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn prepared(
        &self,
        policy: &Policy,
        mut step: Step,
        now: Timestamp,
    ) -> Result<Result<Step, String>, Error> {
        let request = &mut step.next;
        self.belongs_to_its_hook(request);
        match policy.owners(&request.asked, now) {
            Ok(owners) => request.deciding.owners = owners,
            Err(says) => return Ok(Err(says)),
        }
        // What was granted through another workspace is nothing to show to the people of this one.
        let hooks = self.hooks_beside(&request.asked.hook);
        let shown = request.question.terms.scopes.clone();
        request.deciding.history = self.0.store.history(&request.asked, shown, &hooks).await?;
        let asking = tokio::time::timeout(ASKING_MAX, self.deciders(policy, request, now));
        let (deciders, clock) = tokio::join!(asking, self.clock_of_asker(request, now));
        request.deciding.clock = clock;
        match deciders.unwrap_or(Deciders::Unknown) {
            Deciders::Enough => {}
            Deciders::Unknown => request.deciding.unchecked = true,
            Deciders::TooFew(says) => {
                alarm(&request.asked.hook, &says);
                return Ok(Err(says));
            }
        }
        Ok(Ok(step))
    }

    /// The clock of the person who asked, or whom the token is for, where the table names an account and Slack says how
    /// its clock goes.
    async fn clock_of_asker(&self, request: &AccessRequest, now: Timestamp) -> Option<Clock> {
        let place = self.home(request)?;
        let (user, who) = match request.origin.asker() {
            Some(asker) => (asker.slack.clone(), asker.principal.clone()),
            None => (self.requester(request)?, Principal::new(&request.asked.subject.id)),
        };
        let maps = place.directory().email == EmailMapping::Verified;
        let asking = tokio::time::timeout(ASKING_MAX, place.people.standing(&user, maps, now));
        asking.await.ok()?.ok()?;
        Clock::new(who, place.people.offset_of(&user)?)
    }

    /// From now on, whatever becomes of the hook's configuration: the people of this workspace decide.
    pub(super) fn belongs_to_its_hook(&self, request: &mut AccessRequest) {
        request.deciding.workspace = self.home_of_hook(&request.asked.hook).map(|place| place.team().clone());
    }

    /// Looks again, before a card is posted, whether anybody can decide, where Slack could not be asked at the
    /// opening. Answers whether the request was withdrawn because nobody can.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn withdrawn_for_want_of_people(
        &self,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !request.deciding.unchecked || request.status(now) != Status::Pending {
            return Ok(false);
        }
        let Deciders::TooFew(says) = self.deciders(&self.policy(), request, now).await else { return Ok(false) };
        let Ok(step) = request.apply(Event::Undecidable(says.clone()), now) else { return Ok(false) };
        let commit = self.commit_of(Change::Replace(step.next.clone()), &step);
        let done = self.0.store.commit(commit, now).await? == Outcome::Done;
        if done {
            alarm(&request.asked.hook, &says);
            self.tell(Some(&request.id));
        }
        Ok(done)
    }

    /// Whether those who are in the approver sets could meet every requirement together. Accounts are asked for one
    /// by one, only until it is clear that they could.
    async fn deciders(&self, policy: &Policy, request: &AccessRequest, now: Timestamp) -> Deciders {
        let sets: BTreeSet<&SetName> =
            request.question.requirements.iter().flat_map(|requirement| &requirement.approvers).collect();
        let mut named: Vec<(SlackUserId, BTreeSet<SetName>)> = Vec::new();
        let (mut empty, mut unknown) = (Vec::new(), false);
        for name in sets {
            let members = match policy.approvers.get(name) {
                Some(set) => self.members_of(request, set, now).await,
                None => Ok(BTreeSet::new()),
            };
            let Ok(members) = members else {
                unknown = true;
                continue;
            };
            if members.is_empty() {
                empty.push(format!("`{name}`"));
            }
            for user in members {
                match named.iter_mut().find(|(known, _)| *known == user) {
                    Some((_, sets)) => drop(sets.insert(name.clone())),
                    None => named.push((user, BTreeSet::from([name.clone()]))),
                }
            }
        }
        let mut people: Vec<Voter> = Vec::new();
        for (looked_up, (user, member_of)) in named.into_iter().enumerate() {
            if looked_up >= ACCOUNTS_MAX {
                return Deciders::Enough;
            }
            match self.possible_voter(request, &user, member_of, now).await {
                Ok(Some(voter)) => people.push(voter),
                Ok(None) => {}
                Err(_) => unknown = true,
            }
            if would_meet(&request.question, people.iter()) {
                return Deciders::Enough;
            }
        }
        if unknown {
            return Deciders::Unknown;
        }
        Deciders::TooFew(too_few(request, &people, &empty))
    }

    /// Everybody in an approver set. A user group that Slack does not know has nobody in it.
    pub(super) async fn members_of(
        &self,
        request: &AccessRequest,
        set: &ApproverSet,
        now: Timestamp,
    ) -> Result<BTreeSet<SlackUserId>, SlackError> {
        let mut all = set.users.clone();
        let Some(place) = self.home(request) else { return Ok(BTreeSet::new()) };
        for group in &set.groups {
            match place.people.members(group, now).await {
                Ok(members) => all.extend(members.iter().cloned()),
                Err(unavailable) if unavailable.0.says_there_is_no_group() => {}
                Err(unavailable) => return Err(unavailable.0),
            }
        }
        Ok(all)
    }

    /// Somebody as a voter, unless they could not vote on this request.
    async fn possible_voter(
        &self,
        request: &AccessRequest,
        user: &SlackUserId,
        member_of: BTreeSet<SetName>,
        now: Timestamp,
    ) -> Result<Option<Voter>, SlackError> {
        let Some(place) = self.home(request) else { return Ok(None) };
        let directory = place.directory();
        let maps = directory.email == EmailMapping::Verified;
        if !directory.users.contains_key(user) && !maps {
            return Ok(None);
        }
        let (standing, learnt_at) = match place.people.standing(user, maps, now).await {
            Ok(known) => known,
            Err(unavailable) if unavailable.0.says_there_is_no_account() => return Ok(None),
            Err(unavailable) => return Err(unavailable.0),
        };
        if place.outsider(&standing).is_some() {
            return Ok(None);
        }
        let Some(principal) = directory.principal(user, &standing) else { return Ok(None) };
        let possible = directory.possible(user, &standing);
        let voter = Voter { slack: user.clone(), principal, possible, member_of, groups: BTreeSet::new(), learnt_at };
        let excluded = request.question.self_approval == SelfApproval::Never && request.is_party(&voter);
        Ok((!excluded).then_some(voter))
    }
}

fn too_few(request: &AccessRequest, people: &[Voter], empty: &[String]) -> String {
    let sets =
        |approvers: &[SetName]| approvers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
    let wanting = request.question.requirements.iter().find(|requirement| {
        let able = people.iter().filter(|who| requirement.approvers.iter().any(|set| who.member_of.contains(set)));
        able.count() < usize::from(requirement.count.get())
    });
    let who = match wanting {
        Some(requirement) if requirement.count.get() == 1 => {
            format!("nobody of the approver set {} can", sets(&requirement.approvers))
        }
        Some(requirement) => {
            format!("{} of the approver set {} must, and fewer can", requirement.count, sets(&requirement.approvers))
        }
        None => "there are not enough different people who can".to_owned(),
    };
    let asks = wanting.map(|requirement| rules_of(request, requirement)).unwrap_or_default();
    let empty = match empty {
        [] => String::new(),
        [one] => format!(" Nobody is in {one} at all."),
        several => format!(" Nobody is in {} at all.", several.join(", ")),
    };
    format!("No one can decide this request: {who}.{empty}{asks} An operator must see to the policy or the user group.")
}

/// Which rules ask for it, as one sentence.
fn rules_of(request: &AccessRequest, requirement: &Requirement) -> String {
    let rules = &request.question.terms.rules;
    let names: BTreeSet<String> =
        requirement.scopes.iter().filter_map(|scope| rules.get(scope)).map(|rule| format!("`{rule}`")).collect();
    let names: Vec<String> = names.into_iter().collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" The rule {one} asks for them."),
        several => format!(" The rules {} ask for them.", several.join(", ")),
    }
}

fn alarm(hook: &crate::domain::ids::HookName, says: &str) {
    tracing::error!(%hook, says, "an access request that nobody can decide");
    metrics::counter!("countersign_alarms_total", "what" => "nobody_can_decide").increment(1);
}
