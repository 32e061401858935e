//! When the kills come, and what they met.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::client;
use crate::kills::Run;
use crate::world::World;

/// The kill comes this long after the load has started.
const KILL_AFTER: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(400)];
/// A kill of a service that is telling Slack something comes this long after the call has arrived there.
const KILL_TELLING_AFTER: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(8)];
/// Within this time after the load has started it tells Slack something.
const TELLS_WITHIN: Duration = Duration::from_secs(1);

impl Run {
    /// What the service was telling Slack when it was killed: the stand-in never got to answer it.
    pub(super) async fn count_cut_calls(&mut self, world: &World) -> anyhow::Result<()> {
        let mut cut = false;
        for call in self.calls(world).await? {
            self.calls_seen = self.calls_seen.max(call["n"].as_u64().unwrap_or(0));
            match call["answered"].as_str() {
                Some("fault:slow") => self.journal.count("calls cut before Slack had them"),
                Some("fault:slow_answer") => self.journal.count("calls cut that Slack had and nobody recorded"),
                _ => continue,
            }
            cut = true;
        }
        if cut {
            self.journal.count("kills that met deliveries under way");
        }
        Ok(())
    }

    /// The calls that the stand-in has seen since the last kill.
    async fn calls(&self, world: &World) -> anyhow::Result<Vec<Value>> {
        let log = format!("{}/log?after={}", world.standin, self.calls_seen);
        Ok(client(Duration::from_secs(5))?.get(log).send().await?.json().await?)
    }

    /// An aimed kill comes while the service is telling Slack something, the others at any moment.
    pub(super) async fn wait_to_kill(&mut self, world: &World, aimed: bool) -> anyhow::Result<()> {
        if !aimed {
            tokio::time::sleep(self.when_to_kill()).await;
            return Ok(());
        }
        let (mut changes, begin) = (world.playground.changes(), Instant::now());
        while begin.elapsed() < TELLS_WITHIN && !world.playground.answers_slowly(self.calls_seen) {
            // Each call that arrives is a change.
            let _ = tokio::time::timeout(TELLS_WITHIN, changes.changed()).await;
        }
        tokio::time::sleep(self.dice.log_uniform(KILL_TELLING_AFTER[0], KILL_TELLING_AFTER[1])).await;
        Ok(())
    }

    /// Half of these kills meet the first moments, when everything is just under way; the others meet a busy service.
    fn when_to_kill(&mut self) -> Duration {
        let early = self.dice.log_uniform(KILL_AFTER[0], KILL_AFTER[1]);
        if self.dice.chance(50) { early } else { KILL_AFTER[1].mul_f64(0.2) + early.mul_f64(0.8) }
    }
}
