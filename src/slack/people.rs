//! What Slack says of accounts and user groups, remembered for at most 60 s.
//!
//! Time is an argument. A negative answer is never older than 5 s plus one call; a positive one lives its 60 s
//! even where Slack cannot be asked again; what is older is not believed, and what cannot be asked refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use thiserror::Error;

use super::{Account, Slack, SlackError};
use crate::clock::Timestamp;
use crate::domain::identity::Standing;
use crate::domain::ids::{SlackGroupId, SlackUserId};

/// How long an answer is believed.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// How often a group is asked for again because somebody is not in its list.
const MISS_AGAIN: TimeDelta = TimeDelta::seconds(5);
/// How far "learnt" may lie after "now": two calls at the same time read the clock one after the other. A
/// clock that was set back by more makes what is remembered stale.
const SKEW: TimeDelta = TimeDelta::seconds(3);
/// How long an answer is kept at all, for [`People::standing_since`].
const KEPT: TimeDelta = TimeDelta::hours(1);
/// How many answers are kept before old ones are thrown away.
const KEPT_MAX: usize = 4_096;

/// Slack could not be asked, so nobody may decide.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("Slack could not be asked about this person: {0}")]
pub struct Unavailable(pub SlackError);

/// An answer with the moment it was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Learnt<T> {
    what: T,
    at: Timestamp,
}

impl<T> Learnt<T> {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now - self.at;
        age <= FRESH && age >= -SKEW
    }
}

/// What Slack says of people. Clones share what they remember.
#[derive(Clone)]
pub struct People(Arc<Inner>);

struct Inner {
    slack: Slack,
    accounts: Mutex<BTreeMap<SlackUserId, Known>>,
    groups: Mutex<BTreeMap<SlackGroupId, Arc<Group>>>,
}

#[derive(Debug, Clone)]
struct Known {
    standing: Learnt<Standing>,
    /// Whether it was also asked who holds the address.
    address_checked: bool,
    /// How far the person's clock is from UTC, in seconds, where Slack says so.
    offset: Option<i32>,
}

/// One user group. Whoever holds `asking` is asking Slack for it; others wait and share the answer.
#[derive(Default)]
struct Group {
    asking: tokio::sync::Mutex<()>,
    list: Mutex<GroupList>,
}

#[derive(Default, Clone)]
struct GroupList {
    members: Option<Learnt<Arc<BTreeSet<SlackUserId>>>>,
    /// The last call, whatever came of it.
    asked: Option<(Timestamp, Result<(), SlackError>)>,
    /// How many calls were made.
    calls: u64,
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

impl People {
    /// Nothing is remembered yet.
    pub fn new(slack: Slack) -> Self {
        Self(Arc::new(Inner { slack, accounts: Mutex::default(), groups: Mutex::default() }))
    }

    /// What Slack says of an account, and when that was learnt (at most 60 s ago).
    ///
    /// With `address_maps` it is also asked whether this account is the only active holder of its confirmed
    /// address; without, [`Standing::email_is_sole_and_confirmed`] is false.
    ///
    /// # Errors
    /// [`Unavailable`] when Slack cannot be asked, does not know the account, or answers about another one.
    pub async fn standing(
        &self,
        user: &SlackUserId,
        address_maps: bool,
        now: Timestamp,
    ) -> Result<(Standing, Timestamp), Unavailable> {
        let known = lock(&self.0.accounts).get(user).cloned();
        if let Some(known) = known
            && known.standing.is_fresh(now)
            && (known.address_checked || !address_maps)
        {
            return Ok((known.standing.what, known.standing.at));
        }
        let late = || SlackError::Temporary("Slack took too long".to_owned());
        let asking = tokio::time::timeout(self.0.slack.deadlines().interactive, self.ask_about(user, address_maps));
        let (standing, offset) = asking.await.unwrap_or_else(|_| Err(late())).map_err(Unavailable)?;
        let standing_now = Learnt { what: standing.clone(), at: now };
        let known = Known { standing: standing_now, address_checked: address_maps, offset };
        let mut accounts = lock(&self.0.accounts);
        if accounts.len() >= KEPT_MAX {
            accounts.retain(|_, known| now - known.standing.at <= KEPT);
        }
        accounts.insert(user.clone(), known);
        Ok((standing, now))
    }

    /// Whether an account is in a user group, and when that was learnt (at most 60 s ago).
    ///
    /// Whoever is in the remembered list is in. For anybody else the list is asked for again, at most once in
    /// 5 s; should that fail, the remembered list stays good for those who are in it.
    ///
    /// # Errors
    /// [`Unavailable`] when Slack cannot be asked.
    pub async fn is_member(
        &self,
        group: &SlackGroupId,
        user: &SlackUserId,
        now: Timestamp,
    ) -> Result<(bool, Timestamp), Unavailable> {
        let entry = Arc::clone(lock(&self.0.groups).entry(group.clone()).or_default());
        let before = lock(&entry.list).clone();
        if let Some(answer) = before.answer(user, now) {
            return answer;
        }
        let _turn = entry.asking.lock().await;
        let meanwhile = lock(&entry.list).clone();
        if meanwhile.calls > before.calls {
            // Somebody asked while we waited: their answer is ours, for better or worse.
            return meanwhile.shared(user, now);
        }
        Ok((self.ask_for(group, &entry, now).await?.contains(user), now))
    }

    /// Everybody in a user group, from what was learnt at most 60 s ago.
    ///
    /// # Errors
    /// [`Unavailable`] when Slack cannot be asked, or does not know the group.
    pub async fn members(
        &self,
        group: &SlackGroupId,
        now: Timestamp,
    ) -> Result<Arc<BTreeSet<SlackUserId>>, Unavailable> {
        let entry = Arc::clone(lock(&self.0.groups).entry(group.clone()).or_default());
        let fresh = |list: &GroupList| {
            list.members.as_ref().filter(|members| members.is_fresh(now)).map(|members| Arc::clone(&members.what))
        };
        if let Some(members) = fresh(&lock(&entry.list)) {
            return Ok(members);
        }
        let _turn = entry.asking.lock().await;
        if let Some(members) = fresh(&lock(&entry.list)) {
            return Ok(members);
        }
        self.ask_for(group, &entry, now).await
    }

    /// Asks Slack for a group. Whoever calls holds the group's turn.
    async fn ask_for(
        &self,
        group: &SlackGroupId,
        entry: &Group,
        now: Timestamp,
    ) -> Result<Arc<BTreeSet<SlackUserId>>, Unavailable> {
        let answer = self.0.slack.group_members(group).await;
        let mut list = lock(&entry.list);
        list.calls += 1;
        list.asked = Some((now, answer.as_ref().map(|_| ()).map_err(Clone::clone)));
        let members = Arc::new(answer.map_err(Unavailable)?);
        list.members = Some(Learnt { what: Arc::clone(&members), at: now });
        Ok(members)
    }

    /// Forgets what was learnt about an account: Slack says that it changed.
    pub fn forget(&self, user: &SlackUserId) {
        lock(&self.0.accounts).remove(user);
    }

    /// How far somebody's clock is from UTC, in seconds, as far as it is remembered.
    pub fn offset_of(&self, user: &SlackUserId) -> Option<i32> {
        lock(&self.0.accounts).get(user).and_then(|known| known.offset)
    }

    /// The members of a user group as they were last learnt, however long ago. For telling, never for deciding.
    pub fn members_as_learnt(&self, group: &SlackGroupId) -> Option<Arc<BTreeSet<SlackUserId>>> {
        let entry = lock(&self.0.groups).get(group).cloned()?;
        let list = lock(&entry.list);
        list.members.as_ref().map(|members| Arc::clone(&members.what))
    }

    /// Slack says that an account is deactivated. That is known from now on, without asking.
    pub fn is_deactivated(&self, user: &SlackUserId, now: Timestamp) {
        let gone = Account { id: Some(user.to_string()), deleted: Some(true), ..Account::default() };
        let standing = Learnt { what: standing_of(&gone, None, false), at: now };
        lock(&self.0.accounts).insert(user.clone(), Known { standing, address_checked: true, offset: None });
    }

    /// Slack says that a user group changed: it is asked for again.
    pub fn forget_group(&self, group: &SlackGroupId) {
        lock(&self.0.groups).remove(group);
    }

    /// What is remembered of an account and was learnt at or after `since`. Does not call Slack: this is what
    /// the hand-over of a token re-checks its deciders with.
    pub fn standing_since(&self, user: &SlackUserId, since: Timestamp) -> Option<Standing> {
        let accounts = lock(&self.0.accounts);
        accounts.get(user).filter(|known| known.standing.at >= since).map(|known| known.standing.what.clone())
    }

    /// Whether an account is in a user group, if that was learnt at or after `since`. Does not call Slack.
    pub fn is_member_since(&self, group: &SlackGroupId, user: &SlackUserId, since: Timestamp) -> Option<bool> {
        let entry = lock(&self.0.groups).get(group).cloned()?;
        let list = lock(&entry.list);
        list.members.as_ref().filter(|members| members.at >= since).map(|members| members.what.contains(user))
    }

    async fn ask_about(&self, user: &SlackUserId, address_maps: bool) -> Result<(Standing, Option<i32>), SlackError> {
        let account = self.0.slack.user(user).await?;
        if account.id.as_deref() != Some(user.as_str()) {
            return Err(SlackError::Temporary("the answer is about another account".to_owned()));
        }
        let email = account.profile.as_ref().and_then(|profile| profile.email.clone());
        let sole = match &email {
            Some(email) if address_maps && account.is_email_confirmed == Some(true) => {
                self.0.slack.lookup_by_email(email).await?.as_deref() == Some(user.as_str())
            }
            Some(_) | None => false,
        };
        let mut standing = standing_of(&account, email, sole);
        // Of an organization, the members of every workspace are members.
        let of = account.enterprise_user.as_ref().and_then(|user| user.enterprise_id.as_ref());
        if let Some(organization) = self.0.slack.organization().filter(|ours| of == Some(&ours.id)) {
            standing.team = Some(organization.team_id.clone());
        }
        Ok((standing, account.tz_offset))
    }
}

impl GroupList {
    /// What can be said without asking again: a positive answer as long as it is fresh, a negative one only
    /// shortly after a call.
    fn answer(&self, user: &SlackUserId, now: Timestamp) -> Option<Result<(bool, Timestamp), Unavailable>> {
        let members = self.members.as_ref().filter(|members| members.is_fresh(now))?;
        if members.what.contains(user) {
            return Some(Ok((true, members.at)));
        }
        let (at, outcome) = self.asked.as_ref()?;
        let lately = now - *at < MISS_AGAIN && now - *at >= -SKEW;
        lately.then(|| outcome.clone().map(|()| (false, members.at)).map_err(Unavailable))
    }

    /// What the call says that somebody else made while we waited for our turn.
    fn shared(&self, user: &SlackUserId, now: Timestamp) -> Result<(bool, Timestamp), Unavailable> {
        let too_old = || SlackError::Temporary("what was learnt is too old".to_owned());
        self.answer(user, now).unwrap_or_else(|| match &self.asked {
            Some((_, Err(error))) => Err(Unavailable(error.clone())),
            Some((_, Ok(()))) | None => Err(Unavailable(too_old())),
        })
    }
}

/// What the members of `users.info` mean. One that Slack always sends and did not send refuses; `deleted`,
/// `is_stranger`, `is_app_user` and `is_invited_user` it leaves out when they are false. Slackbot says that it is no bot.
fn standing_of(account: &Account, email: Option<String>, sole: bool) -> Standing {
    let is = |flag: Option<bool>| flag == Some(true);
    Standing {
        team: account.team_id.clone(),
        deleted: is(account.deleted),
        bot: account.is_bot != Some(false) || is(account.is_app_user) || account.id.as_deref() == Some("USLACKBOT"),
        guest: account.is_restricted != Some(false)
            || account.is_ultra_restricted != Some(false)
            || is(account.is_invited_user),
        stranger: is(account.is_stranger),
        email,
        email_is_sole_and_confirmed: sole,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
