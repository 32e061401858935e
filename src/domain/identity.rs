//! Who a Slack user is in the directory, and what Slack says of the account.
//!
//! Two questions with opposite caution: to *permit*, only the one mapped identity counts; to *refuse*
//! (did this person ask for it?), every identity that the account might have counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::ids::{SetName, SlackGroupId, SlackUserId};
use super::token_request::TokenRequest;

/// A person's canonical identity in the directory: trimmed, lower case. All Slack accounts that map to
/// one principal are one person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Principal(String);

impl From<String> for Principal {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl Principal {
    /// The canonical form of an identifier or address.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_lowercase())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Slack says of an account (`users.info`). A member that Slack did not send is the refusing value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The workspace the account belongs to.
    pub team: Option<String>,
    /// Deactivated.
    pub deleted: bool,
    /// A bot or an app.
    pub bot: bool,
    /// A single- or multi-channel guest, or invited and not yet joined.
    pub guest: bool,
    /// A person of another company, seen through Slack Connect.
    pub stranger: bool,
    /// The address of the profile.
    pub email: Option<String>,
    /// Whether that address may map: confirmed, and this account is its only active holder.
    pub email_is_sole_and_confirmed: bool,
}

/// Why an account may not act at all, whatever the approver sets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outsider {
    /// Deactivated.
    Deactivated,
    /// A bot or app.
    Bot,
    /// A guest.
    Guest,
    /// A member of another workspace or company.
    OtherWorkspace,
}

impl Standing {
    /// Why this account is not a full, active member of `team`, if so.
    pub fn outsider(&self, team: &str) -> Option<Outsider> {
        if self.deleted {
            Some(Outsider::Deactivated)
        } else if self.bot {
            Some(Outsider::Bot)
        } else if self.stranger || self.team.as_deref() != Some(team) {
            Some(Outsider::OtherWorkspace)
        } else if self.guest {
            Some(Outsider::Guest)
        } else {
            None
        }
    }
}

/// Whether a Slack profile's address says who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailMapping {
    /// It does not; only the table counts.
    #[default]
    Off,
    /// It does, for full members with a confirmed address that nobody else holds, who are not in the table.
    Verified,
}

/// The directory: who a Slack user is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Whether addresses map.
    pub email: EmailMapping,
    /// The table. It wins over addresses.
    pub users: BTreeMap<SlackUserId, Principal>,
}

impl Directory {
    /// Whether addresses say who somebody is.
    pub fn maps_addresses(&self) -> bool {
        match self.email {
            EmailMapping::Off => false,
            EmailMapping::Verified => true,
        }
    }

    /// The one identity that permits, if this account has one.
    pub fn principal(&self, user: &SlackUserId, standing: &Standing) -> Option<Principal> {
        if let Some(principal) = self.users.get(user) {
            return Some(principal.clone());
        }
        let address = standing.email.as_deref().map(Principal::new).filter(|a| !a.as_str().is_empty())?;
        let mapped_elsewhere = self.users.values().any(|principal| *principal == address);
        match self.email {
            EmailMapping::Off => None,
            EmailMapping::Verified if standing.email_is_sole_and_confirmed && !mapped_elsewhere => Some(address),
            EmailMapping::Verified => None,
        }
    }

    /// Every identity that this account might have: what refuses self-approval.
    pub fn possible(&self, user: &SlackUserId, standing: &Standing) -> BTreeSet<Principal> {
        let table = self.users.get(user).cloned();
        let address = standing.email.as_deref().map(Principal::new);
        table.into_iter().chain(address).chain([Principal::new(user.as_str())]).collect()
    }

    /// The Slack accounts that the table maps to this person, in order.
    pub fn slack_users_of<'a>(&'a self, who: &'a Principal) -> impl Iterator<Item = &'a SlackUserId> {
        self.users.iter().filter(move |(_, principal)| *principal == who).map(|(user, _)| user)
    }
}

/// Somebody who clicked, with everything that was learnt about them for this click.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    /// The Slack account.
    pub slack: SlackUserId,
    /// The identity that permits.
    pub principal: Principal,
    /// Every identity that the account might have.
    pub possible: BTreeSet<Principal>,
    /// The approver sets that the account is in: as recorded with the request and as the policy has them now.
    pub member_of: BTreeSet<SetName>,
    /// The user groups through which it is: what nothing newer is known of counts only for these.
    #[serde(default)]
    pub groups: BTreeSet<SlackGroupId>,
    /// When Slack was last asked about this account and its groups.
    pub learnt_at: Timestamp,
}

/// The identities that may never decide about a token request: its subject, and every actor in the chain.
pub fn parties(asked: &TokenRequest) -> BTreeSet<Principal> {
    let subject = [Some(asked.subject.id.as_str()), asked.subject.email.as_deref()];
    subject.into_iter().flatten().chain(asked.actor.iter().map(String::as_str)).map(Principal::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(email: &str) -> Standing {
        Standing {
            team: Some("T0ACME".to_owned()),
            deleted: false,
            bot: false,
            guest: false,
            stranger: false,
            email: Some(email.to_owned()),
            email_is_sole_and_confirmed: true,
        }
    }

    fn directory(email: EmailMapping) -> Directory {
        let users = [(SlackUserId::parse("U0BOB").unwrap(), Principal::new("Bob@Example.com"))].into();
        Directory { email, users }
    }

    #[test]
    fn the_table_wins_over_the_address() {
        let bob = SlackUserId::parse("U0BOB").unwrap();
        let who = directory(EmailMapping::Verified).principal(&bob, &standing("carol@example.com"));
        assert_eq!(who, Some(Principal::new("bob@example.com")));
    }

    #[test]
    fn an_address_of_the_table_does_not_map_a_second_account_to_that_person() {
        let second = SlackUserId::parse("U0SECOND").unwrap();
        assert_eq!(directory(EmailMapping::Verified).principal(&second, &standing("BOB@example.com ")), None);
    }

    #[test]
    fn an_unconfirmed_address_maps_nobody_but_still_refuses() {
        let user = SlackUserId::parse("U0ALICE").unwrap();
        let mut alice = standing("alice@example.com");
        alice.email_is_sole_and_confirmed = false;
        assert_eq!(directory(EmailMapping::Verified).principal(&user, &alice), None);
        assert!(
            directory(EmailMapping::Verified).possible(&user, &alice).contains(&Principal::new("alice@example.com"))
        );
    }

    #[test]
    fn every_kind_of_outsider_is_told_apart() {
        let member = standing("a@example.com");
        assert_eq!(member.outsider("T0ACME"), None);
        assert_eq!(member.outsider("T0OTHER"), Some(Outsider::OtherWorkspace));
        assert_eq!(Standing { team: None, ..member.clone() }.outsider("T0ACME"), Some(Outsider::OtherWorkspace));
        assert_eq!(Standing { deleted: true, ..member.clone() }.outsider("T0ACME"), Some(Outsider::Deactivated));
        assert_eq!(Standing { bot: true, ..member.clone() }.outsider("T0ACME"), Some(Outsider::Bot));
        assert_eq!(Standing { guest: true, ..member.clone() }.outsider("T0ACME"), Some(Outsider::Guest));
        assert_eq!(Standing { stranger: true, ..member }.outsider("T0ACME"), Some(Outsider::OtherWorkspace));
    }
}
