//! Nobody has decided yet: those who were asked, or others, are told in the card's thread.

use super::Service;
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::ids::SetName;
use crate::slack::Message;
use crate::slack::reminders::{self, Beneath};

impl Service {
    /// The reply beneath a card. Once somebody has decided there is nobody to remind.
    pub(super) fn reminder(
        &self,
        request: &AccessRequest,
        number: u32,
        beneath: Beneath,
        now: Timestamp,
    ) -> Option<Message> {
        let reminder = request.question.reminders.get(usize::try_from(number).ok()?)?;
        if request.status(now) != Status::Pending {
            return None;
        }
        let told = if reminder.to.is_empty() { self.notified(request) } else { reminder.to.clone() };
        let told = self.mentions(&told);
        Some(self.with_facts(request, None, "", |facts| reminders::reminder(facts, reminder, &told, beneath)))
    }

    /// Whom a card tells: the sets that the rules name for it, else those who are asked.
    pub(super) fn notified(&self, request: &AccessRequest) -> Vec<SetName> {
        let question = &request.question;
        if !question.notify.to.is_empty() {
            return question.notify.to.clone();
        }
        let mut sets: Vec<SetName> = question.requirements.iter().flat_map(|wanted| wanted.approvers.clone()).collect();
        sets.sort();
        sets.dedup();
        sets
    }

    /// Those whom the rules want told of the card and who are not asked anyway, as mentions.
    pub(super) fn told_words(&self, request: &AccessRequest) -> String {
        let question = &request.question;
        let is_asked = |set: &&SetName| question.requirements.iter().any(|wanted| wanted.approvers.contains(*set));
        let told: Vec<SetName> = question.notify.to.iter().filter(|set| !is_asked(set)).cloned().collect();
        self.mentions(&told)
    }

    /// Approver sets as mentions of their groups and people.
    pub(super) fn mentions(&self, sets: &[SetName]) -> String {
        let policy = self.policy();
        let mut mentions: Vec<String> = Vec::new();
        for set in sets.iter().filter_map(|name| policy.approvers.get(name)) {
            let groups = set.groups.iter().map(|group| format!("<!subteam^{group}>"));
            let people = set.users.iter().map(|user| format!("<@{user}>"));
            for mention in groups.chain(people) {
                if !mentions.contains(&mention) {
                    mentions.push(mention);
                }
            }
        }
        mentions.join(", ")
    }
}
