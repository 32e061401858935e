//! What shows that it was really the approver who approved: the outcome of a ceremony.

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::policy::Ceremony;

/// What an approval comes with. Made only where the ceremony was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The button, and the dialog where there is one.
    #[default]
    Click,
    /// The number that the client shows was typed.
    Number,
    /// The approver authenticated anew at the OpenID provider.
    StepUp(StepUp),
}

/// An authentication, as the provider's ID token says (OpenID Connect Core 1.0, section 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    /// `iss`: the provider.
    pub issuer: String,
    /// `sub`: who, in the provider's words.
    pub subject: String,
    /// `acr`: how strongly, where the provider says.
    pub acr: Option<String>,
    /// `amr`: by which means.
    pub amr: Vec<String>,
    /// `auth_time`: when.
    pub auth_time: Timestamp,
}

impl Proof {
    /// Whether it is as strong as a ceremony demands. The dialog of `confirm` is Slack's to show; nothing comes back of it.
    pub fn satisfies(&self, ceremony: Ceremony) -> bool {
        match (ceremony, self) {
            (Ceremony::Click | Ceremony::Confirm, _)
            | (Ceremony::Match, Self::Number | Self::StepUp(_))
            | (Ceremony::StepUp, Self::StepUp(_)) => true,
            (Ceremony::Match, Self::Click) | (Ceremony::StepUp, Self::Click | Self::Number) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::num::NonZeroU8;

    use serde_json::json;

    use super::super::{AccessRequest, Ballot, Choice, Event, Filled, MessageRef, Refusal, ServerAbilities};
    use super::*;
    use crate::domain::identity::{Principal, Voter};
    use crate::domain::ids::{GrantId, RequestId, SetName, SlackChannelId, SlackUserId};
    use crate::domain::policy::{
        Bounds, Notify, OnDeactivation, PolicyVersion, Question, Requirement, SelfApproval, Terms, Uses,
    };
    use crate::domain::token_request::TokenRequest;

    fn asked(ceremony: Ceremony) -> AccessRequest {
        let asked: TokenRequest = serde_json::from_value(json!({
            "hook": "shop", "grant_type": "client_credentials", "client": {"id": "c"},
            "subject": {"kind": "user", "id": "alice@example.com"}, "scopes": ["a"],
        }))
        .unwrap();
        let bounds = Bounds { max_duration: 3_600, max_token_lifetime: 600, collect_within: 900, uses: Uses::Window };
        let scopes = asked.scopes.clone();
        let approvers = vec![SetName::parse("leads").unwrap()];
        let question = Question {
            terms: Terms { scopes: scopes.clone(), dropped: BTreeMap::new(), rules: BTreeMap::new(), bounds },
            requirements: vec![Requirement { approvers, count: NonZeroU8::MIN, scopes: scopes.clone() }],
            shared: false,
            decide_within: 1_800,
            ceremony,
            channels: Vec::new(),
            asked: scopes,
            self_approval: SelfApproval::Never,
            reminders: Vec::new(),
            notify: Notify::default(),
            on_deactivation: OnDeactivation::Keep,
            not_now: None,
        };
        let server = ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: false };
        let id = RequestId::parse(format!("req_{:032x}", 1)).unwrap();
        AccessRequest::open(id, asked, question, server, PolicyVersion("p".to_owned()), Timestamp::UNIX_EPOCH).next
    }

    fn ballot(proof: Proof) -> Event {
        let slack = SlackUserId::parse("U0BOB").unwrap();
        let voter = Voter {
            slack,
            principal: Principal::new("bob@example.com"),
            possible: BTreeSet::new(),
            member_of: [SetName::parse("leads").unwrap()].into(),
            groups: BTreeSet::new(),
            learnt_at: Timestamp::UNIX_EPOCH,
        };
        Event::Voted(Box::new(Ballot {
            voter,
            choice: Choice::Approve,
            filled: Filled::default(),
            cooldown: 600,
            proof,
            shown_version: 1,
            message: MessageRef { channel: SlackChannelId::parse("C0DESK").unwrap(), ts: "1.1".to_owned() },
            policy: PolicyVersion("p".to_owned()),
            grant_id: GrantId::parse(format!("grn_{:032x}", 1)).unwrap(),
        }))
    }

    #[test]
    fn a_vote_with_less_than_its_ceremony_demands_is_none() {
        let again = || {
            let (issuer, subject) = ("https://id.example.com".to_owned(), "bob".to_owned());
            Proof::StepUp(StepUp { issuer, subject, acr: None, amr: Vec::new(), auth_time: Timestamp::UNIX_EPOCH })
        };
        for (ceremony, proof, refusal) in [
            (Ceremony::Confirm, Proof::Click, None),
            (Ceremony::Match, Proof::Click, Some(Refusal::NoNumber)),
            (Ceremony::Match, again(), None),
            (Ceremony::StepUp, Proof::Click, Some(Refusal::CeremonyMissing)),
            (Ceremony::StepUp, Proof::Number, Some(Refusal::CeremonyMissing)),
            (Ceremony::StepUp, again(), None),
        ] {
            let outcome = asked(ceremony).apply(ballot(proof.clone()), Timestamp::UNIX_EPOCH);
            assert_eq!(outcome.err(), refusal, "{ceremony:?} {proof:?}");
        }
    }
}
