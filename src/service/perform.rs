//! What each delivery does. Cards are drawn from the store at the moment they are sent, so a late or repeated
//! delivery shows the truth.

use std::sync::Arc;

use url::Url;

use super::deliver::random_text;
use super::workspaces::Place;
use super::{Error, Service, lost};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef, Status};
use crate::domain::grant::Grant;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{SlackChannelId, SlackUserId};
use crate::slack::reminders::Beneath;
use crate::slack::requester::Told;
use crate::slack::{Fault, Message, SlackError, cards, notes, plain};
use crate::store::{Claimed, Commit, Delivery, Notice};

/// How a delivery went.
pub(super) enum Delivered {
    /// Slack has it, and this is to be written down with it.
    Done(Box<Commit>),
    /// There is nothing to tell any more.
    Unneeded,
    /// It has to wait: nothing was sent.
    Later(Timestamp),
    /// Slack did not take it.
    Failed(SlackError),
}

/// One delivery at work.
struct Task<'a> {
    row: &'a Claimed,
    request: &'a AccessRequest,
    grant: Option<&'a Grant>,
    place: &'a Place,
    now: Timestamp,
}

/// Why a card is posted.
enum Wanted<'a> {
    /// The policy says so: in a channel, for everybody who is asked, or for one person.
    Asks(Option<&'a SlackUserId>),
    /// Somebody opened it from a digest.
    Opened,
}

/// Leaves with how it went, unless there is something to go on with.
macro_rules! or_leave {
    ($outcome:expr) => {
        match $outcome {
            Ok(value) => value,
            Err(leave) => return Ok(leave),
        }
    };
}

impl Service {
    pub(super) async fn perform(
        &self,
        row: &Claimed,
        request: &AccessRequest,
        place: &Arc<Place>,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let grant = self.0.store.grant_of(&request.id).await?;
        let task = Task { row, request, grant: grant.as_ref(), place, now };
        match &row.delivery {
            Delivery::PostCard { channel } => self.post_card(&task, channel, Wanted::Asks(None)).await,
            Delivery::PostDirectCard { channel, user } => {
                self.post_card(&task, channel, Wanted::Asks(Some(user))).await
            }
            Delivery::OpenCard { user } => {
                let opened = place.workspace.slack.open_direct(user).await;
                let channel = or_leave!(opened.map_err(Delivered::Failed));
                self.post_card(&task, channel.as_str(), Wanted::Opened).await
            }
            Delivery::FindPeople => self.find_people(request, place, now).await,
            Delivery::RefreshCards { channel } => self.refresh_cards(&task, channel).await,
            Delivery::TellRequester => self.tell_requester(&task).await,
            Delivery::RefreshHomes => self.refresh_homes(request, place, now).await,
            Delivery::PublishHome { user } => self.publish_home(place, user, row.created_at, now).await,
            Delivery::NoteInThread { channel, text } => self.note(&task, channel, &cards::thread_note(text)).await,
            Delivery::PassOn { from, text } => {
                let draw = |facts: &cards::CardFacts<'_>| cards::passed_on(facts, from, text);
                self.to_requester(&task, &self.with_facts(request, task.grant, "", draw)).await
            }
            Delivery::TellApprover { to, from } => {
                let (channels, card) = (self.channels(request), self.card_link(request, place).await?);
                let draw = |facts: &cards::CardFacts<'_>| {
                    cards::handed_over(facts, from, &channels, card.as_ref().map(Url::as_str))
                };
                let message = self.with_facts(request, task.grant, "", draw);
                or_leave!(task.tell_once(to, &message, self.now()).await);
                Ok(Delivered::Done(Box::default()))
            }
            Delivery::Remind { channel, number } => self.remind(&task, channel, *number).await,
            Delivery::PostDigest { .. }
            | Delivery::RefreshDigest { .. }
            | Delivery::ReviewCard { .. }
            | Delivery::RefreshReview { .. }
            | Delivery::ReviewNote { .. }
            | Delivery::TellReviewers { .. }
            | Delivery::TellReviewer { .. } => Ok(Delivered::Unneeded),
            Delivery::TellThread { channel, what, by, at } => {
                let said = self.with_facts(request, task.grant, "", |facts| notes::event(facts, *what, by, *at));
                match said {
                    Some(note) => self.note(&task, channel, &note).await,
                    None => Ok(Delivered::Unneeded),
                }
            }
        }
    }

    /// The address of the card that everybody sees. Where Slack does not tell it, the channel's name must do.
    async fn card_link(&self, request: &AccessRequest, place: &Place) -> Result<Option<Url>, Error> {
        let channels = self.channels(request);
        let cards = self.0.store.cards(&request.id).await?;
        let Some(card) = cards.iter().find(|card| channels.iter().any(|channel| *channel == card.channel.as_str()))
        else {
            return Ok(None);
        };
        Ok(place.workspace.slack.permalink(card).await.unwrap_or_else(|error| {
            tracing::debug!(%error, request.id = %request.id, "Slack does not say where the card stands");
            None
        }))
    }

    async fn post_card(&self, task: &Task<'_>, channel: &str, wanted: Wanted<'_>) -> Result<Delivered, Error> {
        let request = task.request;
        match request.status(task.now) {
            // It ended before anybody saw it: a card that nobody can act on is not posted afresh.
            Status::Denied | Status::Expired | Status::Cancelled => return Ok(Delivered::Unneeded),
            Status::Pending | Status::Approved => {}
        }
        if self.withdrawn_for_want_of_people(request, task.now).await? {
            return Ok(Delivered::Unneeded);
        }
        if self.0.store.cards(&request.id).await?.iter().any(|card| card.channel.as_str() == channel) {
            // It was posted, the answer was lost, and a click on it has told us since.
            return Ok(Delivered::Unneeded);
        }
        if let Some(message) = or_leave!(task.find(channel, None).await) {
            // Nobody knows the value of its buttons: it is drawn again with one that counts there.
            let refresh = Delivery::RefreshCards { channel: channel.to_owned() };
            let deliveries = vec![(request.id.clone(), refresh)];
            let card = Some((request.id.clone(), message));
            return Ok(Delivered::Done(Box::new(Commit { card, deliveries, ..Commit::default() })));
        }
        or_leave!(task.is_open(channel));
        or_leave!(task.may_be_told(channel).await);
        match wanted {
            Wanted::Opened => {}
            Wanted::Asks(user) => {
                if let Some(joined) = self.above_the_limit(request, channel, user, task.now).await? {
                    return Ok(joined);
                }
            }
        }
        let value = random_text();
        self.0.store.mint(&value, request, channel, None, task.now).await?;
        or_leave!(task.turn(channel, self.now()));
        let draw = |facts: &cards::CardFacts<'_>| task.keyed(cards::card(facts));
        let card = self.with_facts(request, task.grant, &value, draw);
        let mut posted = task.place.workspace.slack.post(channel, &card, None).await;
        if is_content(&posted) {
            tracing::error!(request.id = %request.id, "Slack does not take the card; a plain one is posted");
            metrics::counter!("countersign_alarms_total", "what" => "plain_card").increment(1);
            let card = self.with_facts(request, task.grant, &value, |facts| plain::card(facts, &card));
            posted = task.place.workspace.slack.post(channel, &card, None).await;
        }
        let message = or_leave!(posted.map_err(Delivered::Failed));
        // A card that stands in none of the request's channels is kept up to date with the first of them, whose lane
        // is another: what happened there meanwhile is drawn once more. So is one that Slack put elsewhere than asked:
        // its buttons count only where they were made for.
        let own = self.channels(request);
        let keeper = if channel.starts_with('D') { Some(channel.to_owned()) } else { own.first().cloned() };
        let astray = !own.iter().any(|own| own == message.channel.as_str());
        let refresh = keeper.filter(|_| astray);
        let refresh = refresh.map(|channel| (request.id.clone(), Delivery::RefreshCards { channel }));
        let as_asked = message.channel.as_str() == channel;
        if !as_asked {
            tracing::error!(asked = channel, answered = %message.channel, "Slack posted a card elsewhere than asked");
        }
        Ok(Delivered::Done(Box::new(Commit {
            bind: as_asked.then(|| (sha256_hex(value.as_bytes()), message.clone())),
            card: Some((request.id.clone(), message)),
            deliveries: refresh.into_iter().collect(),
            ..Commit::default()
        })))
    }

    async fn refresh_cards(&self, task: &Task<'_>, channel: &str) -> Result<Delivered, Error> {
        self.refresh_digests(task.request, channel, task.now).await?;
        let (mut commit, mut failure) = (Commit::default(), None);
        for message in self.cards_in(task.request, channel).await? {
            or_leave!(task.turn(message.channel.as_str(), self.now()));
            match self.edit(task, &message).await? {
                Ok(()) => {}
                // Somebody deleted the message: where people still decide, they need another.
                Err(error) if error.fault() == Some(Fault::Message) => {
                    if task.request.status(task.now) == Status::Pending {
                        let again = Delivery::PostCard { channel: message.channel.to_string() };
                        commit.deliveries.push((task.request.id.clone(), again));
                    }
                    commit.gone.push(message);
                }
                // One that cannot be changed now must not keep the others as they were.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Ok(failure.map_or_else(|| Delivered::Done(Box::new(commit)), Delivered::Failed))
    }

    async fn edit(&self, task: &Task<'_>, message: &MessageRef) -> Result<Result<(), SlackError>, Error> {
        let (value, slack) = (random_text(), &task.place.workspace.slack);
        self.0.store.mint(&value, task.request, message.channel.as_str(), Some(&message.ts), task.now).await?;
        let card = self.with_facts(task.request, task.grant, &value, cards::card);
        let mut edited = slack.update(message, &card).await;
        if is_content(&edited) {
            let card = self.with_facts(task.request, task.grant, &value, |facts| plain::card(facts, &card));
            edited = slack.update(message, &card).await;
        }
        Ok(edited)
    }

    async fn tell_requester(&self, task: &Task<'_>) -> Result<Delivered, Error> {
        let user = or_leave!(self.requester_of(task).await.map_err(Delivered::Failed));
        let Some(user) = user else { return Ok(Delivered::Unneeded) };
        let told = self.told(task.request, task.grant, (task.place, &user), task.now);
        let earlier = self.0.store.notice(&task.request.id).await?;
        if let Some(earlier) = &earlier {
            or_leave!(task.turn(earlier.message.channel.as_str(), self.now()));
            // Told in place, or an older message that offers nothing any more: either way it is edited first.
            let in_place = told.how == Told::InPlace || earlier.stage == told.stage;
            let shown = if in_place { &told.message } else { &told.without_controls };
            if in_place {
                self.0.store.mint_controls(&told.controls, task.now).await?;
            }
            match task.place.workspace.slack.update(&earlier.message, shown).await {
                Ok(()) if in_place => {
                    let notice = Notice { stage: told.stage.to_owned(), ..earlier.clone() };
                    self.0.store.noticed(&notice, task.now).await?;
                    return Ok(Delivered::Done(Box::default()));
                }
                Ok(()) => {}
                // They deleted it: there is nothing to edit, and what is new is told anew.
                Err(error) if matches!(error.fault(), Some(Fault::Message | Fault::Content)) => {}
                Err(error) => return Ok(Delivered::Failed(error)),
            }
        }
        self.0.store.mint_controls(&told.controls, task.now).await?;
        let (message, stage) = match or_leave!(lost::find_direct(task.row, task.place, &user).await) {
            // What it offers and says is of that moment: it is drawn anew, like any other.
            Some(message) => {
                or_leave!(task.turn(message.channel.as_str(), self.now()));
                match task.place.workspace.slack.update(&message, &task.keyed(told.message)).await {
                    Ok(()) => {}
                    // They have read and deleted it.
                    Err(error) if error.fault() == Some(Fault::Message) => {}
                    Err(error) => return Ok(Delivered::Failed(error)),
                }
                (message, told.stage)
            }
            None => {
                or_leave!(task.turn(user.as_str(), self.now()));
                let posted = task.post_plainer(user.as_str(), &task.keyed(told.message), None).await;
                (or_leave!(posted.map_err(Delivered::Failed)), told.stage)
            }
        };
        let notice = Notice { request: task.request.id.clone(), message, stage: stage.to_owned() };
        self.0.store.noticed(&notice, task.now).await?;
        Ok(Delivered::Done(Box::default()))
    }

    /// A direct message to whoever asked, where they are known in Slack.
    async fn to_requester(&self, task: &Task<'_>, message: &Message) -> Result<Delivered, Error> {
        let user = or_leave!(self.requester_of(task).await.map_err(Delivered::Failed));
        let Some(user) = user else { return Ok(Delivered::Unneeded) };
        or_leave!(task.tell_once(&user, message, self.now()).await);
        Ok(Delivered::Done(Box::default()))
    }

    /// Whoever asked in Slack, else whoever the token is for.
    async fn requester_of(&self, task: &Task<'_>) -> Result<Option<SlackUserId>, SlackError> {
        let asked = &task.request.asked;
        let asker = task.request.origin.asker().map(|asker| asker.slack.clone());
        match asker.or_else(|| self.requester(task.request)) {
            Some(user) => Ok(Some(user)),
            None => self.requester_by_address(task.place, asked).await,
        }
    }

    async fn note(&self, task: &Task<'_>, channel: &str, note: &Message) -> Result<Delivered, Error> {
        let cards = self.cards_in(task.request, channel).await?;
        self.beneath(task, cards, note).await
    }

    /// Reminds people beneath the card, and beneath the digest where that is what they have.
    async fn remind(&self, task: &Task<'_>, channel: &str, number: u32) -> Result<Delivered, Error> {
        let said = |beneath| self.reminder(task.request, number, beneath, task.now);
        let (Some(note), Some(in_digest)) = (said(Beneath::Card), said(Beneath::Digest)) else {
            return Ok(Delivered::Unneeded);
        };
        match self.note(task, channel, &note).await? {
            Delivered::Done(_) | Delivered::Unneeded => {}
            leave @ (Delivered::Later(_) | Delivered::Failed(_)) => return Ok(leave),
        }
        let digests = self.digest_cards_in(task.request, channel).await?;
        self.beneath(task, digests, &in_digest).await
    }

    /// Replies beneath each of these messages.
    async fn beneath(&self, task: &Task<'_>, cards: Vec<MessageRef>, note: &Message) -> Result<Delivered, Error> {
        if cards.is_empty() {
            return Ok(Delivered::Unneeded);
        }
        let several = cards.len() > 1;
        for card in cards {
            let channel = card.channel.as_str();
            if or_leave!(task.find(channel, Some(&card.ts)).await).is_some() {
                continue;
            }
            or_leave!(task.may_be_told(channel).await);
            or_leave!(task.turn(channel, self.now()));
            match task.post_plainer(channel, &task.keyed(note.clone()), Some(&card.ts)).await {
                Ok(_) => {}
                Err(error) if error.fault() == Some(Fault::Message) => {}
                // Nobody reads there any more, and somebody reads elsewhere.
                Err(error) if error.fault() == Some(Fault::Place) && several => {}
                Err(error) => return Ok(Delivered::Failed(error)),
            }
        }
        Ok(Delivered::Done(Box::default()))
    }

    /// The cards that are kept up to date with a channel: its own, and with the first channel also those that stand
    /// in none of the request's, because theirs did not take them.
    async fn cards_in(&self, request: &AccessRequest, channel: &str) -> Result<Vec<MessageRef>, Error> {
        let mut cards = self.0.store.cards(&request.id).await?;
        cards.retain(|card| self.is_kept_with(request, channel, card.channel.as_str()));
        Ok(cards)
    }

    /// Whether what stands at a place is kept up to date with a channel of an access request.
    pub(super) fn is_kept_with(&self, request: &AccessRequest, channel: &str, place: &str) -> bool {
        let own = self.channels(request);
        let is_first = own.first().is_some_and(|first| first == channel);
        place == channel || (is_first && !own.iter().any(|own| own == place))
    }
}

impl Task<'_> {
    fn keyed(&self, message: Message) -> Message {
        lost::keyed(self.row, message)
    }

    /// The message of an earlier attempt whose answer never came, where there is one and we may look.
    async fn find(&self, channel: &str, thread: Option<&str>) -> Result<Option<MessageRef>, Delivered> {
        lost::find(self.row, self.place, channel, thread).await
    }

    /// A direct message, unless an earlier attempt has sent it and only the answer was lost.
    async fn tell_once(&self, user: &SlackUserId, message: &Message, now: Timestamp) -> Result<(), Delivered> {
        if lost::find_direct(self.row, self.place, user).await?.is_some() {
            return Ok(());
        }
        self.turn(user.as_str(), now)?;
        self.post_plainer(user.as_str(), &self.keyed(message.clone()), None).await.map_err(Delivered::Failed)?;
        Ok(())
    }

    async fn may_be_told(&self, channel: &str) -> Result<(), Delivered> {
        may_be_told(self.place, channel, self.now).await
    }

    /// Takes a turn, just before something is sent.
    fn turn(&self, place: &str, now: Timestamp) -> Result<(), Delivered> {
        self.place.pace.take(place, self.row.delivery.class(), now).map_err(Delivered::Later)
    }

    /// Whether there could be a turn: nothing is prepared that has to wait.
    fn is_open(&self, place: &str) -> Result<(), Delivered> {
        self.place.pace.is_open(place, self.row.delivery.class(), self.now).map_err(Delivered::Later)
    }

    /// Posts, and where Slack does not take that, posts its words alone.
    async fn post_plainer(&self, to: &str, message: &Message, thread: Option<&str>) -> Result<MessageRef, SlackError> {
        let slack = &self.place.workspace.slack;
        let posted = slack.post(to, message, thread).await;
        if is_content(&posted) { slack.post(to, &plain::message(message), thread).await } else { posted }
    }
}

/// Whether nobody of another company reads there.
pub(super) async fn may_be_told(place: &Place, channel: &str, now: Timestamp) -> Result<(), Delivered> {
    let Place { workspace, channels, .. } = place;
    if workspace.allow_shared_channels {
        return Ok(());
    }
    let refused = |why: &str| Delivered::Failed(SlackError::Permanent(why.to_owned()));
    let Ok(channel) = SlackChannelId::parse(channel) else { return Err(refused("channel_not_found")) };
    match channels.look(&workspace.slack, &channel, now).await {
        Ok(conversation) if conversation.has_outsiders() => Err(refused("externally_shared")),
        Ok(_) => Ok(()),
        Err(SlackError::Permanent(code)) if code == "missing_scope" => Err(refused("sharing_unknown")),
        // Slack has this method; whatever has not is a stand-in without other companies.
        Err(SlackError::Permanent(code)) if code == "unknown_method" => Ok(()),
        Err(error) => Err(Delivered::Failed(error)),
    }
}

pub(super) fn is_content<T>(outcome: &Result<T, SlackError>) -> bool {
    outcome.as_ref().err().and_then(SlackError::fault) == Some(Fault::Content)
}
