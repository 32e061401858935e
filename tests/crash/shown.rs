//! Judges what people see in the stand-in: every copy of a card, its thread, and what the requester was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cards::{self, Card};
use crate::child::Api;
use crate::oracle::{LOOK_EVERY, Oracle, PAGE, Snapshot, Views, complete, listed, place, stage};
use crate::world::APPROVERS;

/// What has ended by itself must have been shown within this.
const SHOWN_WITHIN: Duration = Duration::from_secs(6);

impl Oracle {
    /// At most one duplicate for each kill: a card or a reply, since of one channel a single delivery is under way.
    pub fn few_duplicates(&mut self, kills: usize) {
        let all = cards::by_request(&self.playground);
        let now: usize = all.values().map(|cards| cards.len() - 1).sum();
        let mut replies: BTreeMap<(String, String), usize> = BTreeMap::new();
        for reply in cards::replies_by_request(&self.playground).into_values().flatten() {
            *replies.entry(reply).or_default() += 1;
        }
        let twice: usize = replies.values().map(|times| times - 1).sum();
        let (cards, notes) = (now - self.duplicates, twice - self.replies_twice);
        if cards + notes > kills {
            self.finding(format!("{cards} duplicate cards and {notes} duplicate replies came of {kills} kill(s)"));
        }
        self.journal.add("duplicate cards", cards as u64);
        self.journal.add("duplicate replies", notes as u64);
        (self.duplicates, self.replies_twice) = (now, twice);
    }

    /// Everything that happened to a card is a reply beneath it.
    pub fn is_threaded(&mut self, snapshot: &Snapshot) {
        let (cards, replies) = (cards::by_request(&self.playground), cards::replies_by_request(&self.playground));
        for id in &snapshot.touched {
            let (Some(facts), true) = (self.facts.requests.get(id), cards.contains_key(id)) else { continue };
            let revoked = facts.grant.as_ref().and_then(|grant| self.facts.grants.get(grant)).map_or(0, |f| f.revoked);
            let happened =
                facts.opened + facts.votes + facts.approved + facts.denied + facts.expired + facts.cancelled + revoked;
            let said = replies.get(id).map_or(0, |all| all.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len());
            if said < happened {
                self.finding(format!("{id}: {happened} things happened to it, and {said} stand beneath its card"));
            }
        }
    }

    /// Every open card says word for word what the stored request is drawn as now.
    pub async fn is_as_drawn_anew(&mut self, api: &Api, channel: &str) -> anyhow::Result<()> {
        let wanted = api.rebuild(channel).await?;
        self.drained(api).await?;
        let all = cards::by_request(&self.playground);
        let mut compared = 0;
        for (id, cards) in &all {
            let Some(anew) = cards.iter().find(|card| card.channel == channel) else { continue };
            for card in cards.iter().filter(|card| card.channel != channel) {
                if card.words != anew.words {
                    self.finding(format!("{id}: its card says\n{}\nand is drawn as\n{}", card.words, anew.words));
                }
            }
            compared += 1;
        }
        // What ended between the count and the post is not drawn.
        if compared > wanted {
            self.finding(format!("{wanted} cards were to be drawn anew, and {compared} stand there"));
        }
        self.journal.add("cards drawn anew", compared);
        Ok(())
    }

    /// Whoever asked for a token and is in Slack was told.
    pub fn is_told(&mut self, snapshot: &Snapshot) {
        let told = cards::told(&self.playground, "U0ALICE");
        for id in &snapshot.fresh {
            let alice = snapshot.requests.get(id).is_some_and(|view| view["subject"]["id"] == "alice@example.com");
            if alice && !told.contains(id) {
                self.finding(format!("{id}: the requester was not told"));
            }
        }
    }

    /// The cards of these access requests show what the store says, soon.
    pub async fn is_shown(&mut self, api: &Api, ids: &[String]) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let everything = ids.len() > PAGE;
            let mut views = (listed(api, "requests", everything).await?, listed(api, "grants", everything).await?);
            complete(api, "requests", &ids.iter().cloned().collect(), &mut views.0).await?;
            let behind = |id: &String| views.0[id]["outcome"]["grant"].as_str().map(str::to_owned);
            complete(api, "grants", &ids.iter().filter_map(behind).collect(), &mut views.1).await?;
            let all = cards::by_request(&self.playground);
            let empty = Vec::new();
            let wrong: Vec<String> = ids
                .iter()
                .filter_map(|id| self.shown_wrong(views.0.get(id)?, &views.1, all.get(id).unwrap_or(&empty)))
                .collect();
            if wrong.is_empty() {
                return Ok(());
            }
            if began.elapsed() > SHOWN_WITHIN {
                wrong.into_iter().for_each(|what| self.finding(what));
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn shown_wrong(&self, view: &Value, grants: &Views, all: &[Card]) -> Option<String> {
        let stage = stage(view, grants);
        let id = view["id"].as_str().unwrap_or_default();
        if all.is_empty() {
            // What ended before anybody saw it needs no card.
            let unseen = matches!(stage, "denied" | "expired" | "cancelled");
            return (!unseen).then(|| format!("{id} is {stage} and has no card: an outbox row was lost"));
        }
        let people: Vec<&str> =
            view["approved_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_named = |card: &Card, person: &str| {
            let account = APPROVERS.iter().find(|(_, identity)| *identity == person).map_or("nobody", |(user, _)| user);
            card.words.contains(person) || card.words.contains(&format!("<@{account}>"))
        };
        // What ended without a grant says who ended it, not who had agreed before.
        let without = matches!(stage, "denied" | "expired" | "cancelled");
        let names_them = |card: &Card| without || people.iter().all(|person| is_named(card, person));
        let wrong: Vec<&Card> = all.iter().filter(|card| !card.shows(stage) || !names_them(card)).collect();
        // Of a duplicate that nobody has clicked the service cannot know; a clicked one it must know.
        let excused = wrong.len() < all.len() && wrong.iter().all(|card| !self.clicked.contains(&place(card)));
        (!wrong.is_empty() && !excused)
            .then(|| format!("{id} is {stage}, {} of {} cards say otherwise: {wrong:?}", wrong.len(), all.len()))
    }
}
