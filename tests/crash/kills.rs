//! The story: kill, start, judge; again and again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use countersign::clock::{Clock, SystemClock};
use serde_json::json;

use crate::cards;
use crate::child::{Api, Child, READY_WITHIN, client, command};
use crate::dice::Dice;
use crate::journal::{Journal, Promise, Sent, lock};
use crate::load::{Book, Kind, Load, Op};
use crate::oracle::{Oracle, Snapshot, has_approved, place, stage};
use crate::say;
use crate::world::{APPROVERS, CHANNELS, World, channel_id};

/// A kill of a service that is just starting comes this long after its start.
const KILL_START_AFTER: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(150)];
/// So many cycles use the same channel.
const CYCLES_PER_CHANNEL: u64 = 10;
/// What was answered before the kill and is still on its way arrives within this time.
const LAST_ANSWERS: Duration = Duration::from_millis(10);

pub(super) struct Run {
    seed: u64,
    pub(super) dice: Dice,
    pub(super) journal: Arc<Journal>,
    book: Arc<Mutex<Book>>,
    oracle: Oracle,
    killed: u64,
    killed_busy: u64,
    pub(super) calls_seen: u64,
    slowest_start: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_and_doubles_no_acknowledged_decision() -> anyhow::Result<()> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>()).transpose();
    let kills = number("CRASH_KILLS")?.unwrap_or(200);
    let now = u64::try_from(SystemClock.now().timestamp_millis())?;
    let seed = number("CRASH_SEED")?.unwrap_or(now);
    say(&format!("crash: CRASH_SEED={seed} CRASH_KILLS={kills}"));
    let world = World::new().await?;
    let outcome = run(&world, seed, kills).await;
    match outcome {
        Ok(summary) => say(&summary),
        Err(error) => return Err(error.context(format!("CRASH_SEED={seed}; see {}", world.keep().display()))),
    }
    Ok(())
}

async fn run(world: &World, seed: u64, kills: u64) -> anyhow::Result<String> {
    let began = Instant::now();
    let journal = Arc::new(Journal::new(&world.folder.path().join("journal.jsonl"))?);
    let oracle = Oracle::new(&journal, &world.playground);
    let (dice, book) = (Dice::new(seed, 1), Arc::default());
    let mut run = Run {
        seed,
        dice,
        journal,
        book,
        oracle,
        killed: 0,
        killed_busy: 0,
        calls_seen: 0,
        slowest_start: Duration::ZERO,
    };
    let (mut cycle, mut promises, mut unanswered) = (0, Vec::new(), Vec::new());
    while run.killed < kills {
        let before = run.killed;
        (promises, unanswered) =
            run.cycle(world, cycle, (promises, unanswered)).await.with_context(|| format!("cycle {cycle}"))?;
        // The first service had nobody before it.
        ensure!(run.killed > before, "nothing was killed");
        cycle += 1;
    }
    run.end(world, cycle, (promises, unanswered)).await.context("at the end")?;
    run.is_not_vacuous(kills)?;
    Ok(run.summary(began.elapsed()))
}

/// What a cycle leaves to be judged after the next start.
type Left = (Vec<Promise>, Vec<Sent>);

impl Run {
    /// Starts, judges what the last kill left, loads and kills.
    async fn cycle(&mut self, world: &World, cycle: u64, left: Left) -> anyhow::Result<Left> {
        if cycle.is_multiple_of(CYCLES_PER_CHANNEL) {
            world.write_policy(usize::try_from(cycle / CYCLES_PER_CHANNEL)?)?;
        }
        let mut kills = usize::from(cycle > 0);
        if self.dice.chance(12) {
            kills += 1;
            self.kill_a_start(world).await?;
        }
        let (mut child, load, api) = self.start(world, cycle).await?;
        self.judge(&load, &api, left, kills, false).await?;
        self.oracle.verdict(&format!("after kill {}", self.killed))?;
        // Most kills come while the service is telling Slack something, the others at any moment.
        let aimed = self.dice.chance(65);
        self.trouble(world, aimed).await?;
        let new_ops = 3 + self.dice.below(7);
        self.journal.note(&json!({ "load": cycle }));
        let mut actors = load.start(self.seed, cycle, new_ops);
        self.wait_to_kill(world, aimed).await?;
        let (in_flight, last) = self.journal.in_flight();
        child.kill()?;
        (self.killed, self.killed_busy) = (self.killed + 1, self.killed_busy + u64::from(in_flight > 0));
        self.journal.add("under way at the kills", in_flight as u64);
        self.journal.note(&json!({ "killed": self.killed, "in_flight": in_flight }));
        self.count_cut_calls(world).await?;
        tokio::time::sleep(LAST_ANSWERS).await;
        actors.shutdown().await;
        client(Duration::from_secs(5))?.delete(format!("{}/faults", world.standin)).send().await?;
        Ok(self.journal.close(last))
    }

    /// A crash in the middle of recovering from a crash.
    async fn kill_a_start(&mut self, world: &World) -> anyhow::Result<()> {
        let mut child = Child::spawn(world)?;
        tokio::time::sleep(self.dice.log_uniform(KILL_START_AFTER[0], KILL_START_AFTER[1])).await;
        child.kill()?;
        self.journal.count("kills of a start");
        self.killed += 1;
        Ok(())
    }

    async fn start(&mut self, world: &World, cycle: u64) -> anyhow::Result<(Child, Load, Api)> {
        let (child, took) = Child::start(world).await?;
        ensure!(took <= READY_WITHIN, "ready only after {took:?}");
        self.journal.note(&json!({ "ready": took.as_millis() }));
        self.slowest_start = self.slowest_start.max(took);
        let channel = cycle / CYCLES_PER_CHANNEL;
        let channels = [channel, channel.saturating_sub(1)].map(|n| channel_id(usize::try_from(n).unwrap_or(0)));
        let load = Load::new(world, &child.base, &self.journal, &self.book, channels)?;
        let api = Api::new(&child.base)?;
        Ok((child, load, api))
    }

    /// Slack is slow, so that kills find posts under way; now and then it fails.
    async fn trouble(&mut self, world: &World, aimed: bool) -> anyhow::Result<()> {
        // Where the kill is to meet one, posts take so long that it does.
        let delay_ms = if aimed { 15 + self.dice.below(45) } else { 1 + self.dice.below(12) };
        // In half of them Slack has the message at once and says so late: such a kill finds what was told and not
        // recorded. In the others it finds what was neither.
        let kind = if self.dice.chance(50) { "slow_answer" } else { "slow" };
        let slow = |method: &str| json!({ "method": method, "kind": kind, "delay_ms": delay_ms });
        let mut faults = Vec::new();
        if self.dice.chance(10) {
            faults.push(json!({ "method": "chat.postMessage", "kind": "http_500", "times": 2 }));
        } else if self.dice.chance(5) {
            faults.push(json!({ "method": "chat.postMessage", "kind": "rate_limited", "retry_after": 1, "times": 1 }));
        }
        faults.extend([slow("chat.postMessage"), slow("chat.update")]);
        // Where the app may read the history, a card whose answer was lost is found again; else it is posted twice.
        let mut scopes = vec!["chat:write", "users:read", "usergroups:read", "channels:read", "im:write"];
        scopes.extend(self.dice.chance(50).then_some("channels:history"));
        let app = json!({ "scopes": scopes });
        let sent = client(Duration::from_secs(5))?.post(format!("{}/page/app", world.standin)).json(&app).send();
        ensure!(sent.await?.status() == 204, "the stand-in does not know {app}");
        for fault in faults {
            let sent = client(Duration::from_secs(5))?.post(format!("{}/faults", world.standin)).json(&fault).send();
            ensure!(sent.await?.status() == 204, "the stand-in does not know {fault}");
        }
        Ok(())
    }

    /// Lets recovery finish and looks at everything that was touched; at the end, at everything.
    async fn judge(&mut self, load: &Load, api: &Api, left: Left, kills: usize, last: bool) -> anyhow::Result<()> {
        let (promises, unanswered) = left;
        let left_waiting = api.waiting().await?;
        self.journal.note(&json!({ "waiting": left_waiting }));
        self.oracle.drained(api).await?;
        self.journal.note(&json!({ "drained": left_waiting }));
        let also: Vec<String> = promises.iter().filter_map(request_of).collect();
        let snapshot = self.oracle.snapshot(api, &also, last).await?;
        self.oracle.is_whole(&snapshot);
        self.oracle.is_kept(&promises, &snapshot);
        self.oracle.tally(&unanswered, &snapshot);
        self.oracle.few_duplicates(kills);
        self.oracle.is_threaded(&snapshot).await;
        self.oracle.is_told(&snapshot);
        self.journal.note(&json!({ "whole": snapshot.touched.len() }));
        let everything: Vec<String> = snapshot.requests.keys().cloned().collect();
        self.oracle.is_shown(api, if last { &everything } else { &snapshot.touched }).await?;
        self.journal.note(&json!({ "shown": everything.len() }));
        if last {
            self.oracle.no_overlap(&snapshot);
        }
        self.ask_again(load, &unanswered, &snapshot).await?;
        self.click_duplicates(load, api, &snapshot, last).await?;
        self.decide_in_peace(load).await;
        // What was just done is judged as well.
        let (promises, _) = self.journal.close(u64::MAX);
        let also: Vec<String> = promises.iter().filter_map(request_of).collect();
        self.oracle.drained(api).await?;
        let snapshot = self.oracle.snapshot(api, &also, false).await?;
        self.oracle.is_whole(&snapshot);
        self.oracle.is_kept(&promises, &snapshot);
        self.oracle.is_shown(api, if last { &everything } else { &snapshot.touched }).await
    }

    /// Some things are decided while nothing is wrong, so that every kill has decisions behind it.
    async fn decide_in_peace(&mut self, load: &Load) {
        for _ in 0..2 {
            let live = load.live();
            let pending: Vec<_> = live.into_iter().filter(|card| card.state == "pending").collect();
            let Some(card) = self.dice.one(&pending).cloned() else { return };
            let person = self.dice.one(&APPROVERS).map_or("U0BOB", |(user, _)| user);
            if self.dice.chance(25) {
                load.deny(&card, person).await;
            } else {
                load.approve(&card, person).await;
            }
        }
    }

    /// Who lost an answer gets the same one again, and who was decided upon is not asked about again.
    async fn ask_again(&mut self, load: &Load, unanswered: &[Sent], snapshot: &Snapshot) -> anyhow::Result<()> {
        for sent in unanswered {
            let Sent::Hook { call: id, .. } = sent else { continue };
            let Some(grant) = self.oracle.facts.issued.get(id).cloned() else { continue };
            let status = snapshot.grants.get(&grant).map(|view| view["status"].clone()).unwrap_or_default();
            let Some(call) = lock(&self.book).made(id).filter(|_| status != "revoked") else { continue };
            let answered = load.ask(&call, false, None).await.context("a retry was not answered")?;
            // Calls at the same instant may each have made a grant where a rule allows; any of them answers.
            let by_people = snapshot.grants.get(&grant).is_some_and(|view| view["source"]["request"].is_string());
            let same = answered.0 == 200 && (answered.1["grant_id"] == *grant || !by_people);
            if !same {
                self.oracle.found.push(format!(
                    "{id} was answered under {grant} ({status}), its answer was lost, and its retry got {answered:?}"
                ));
            }
            self.journal.count("lost answers got again");
        }
        let of = |state: &str| {
            let found = snapshot.requests.values().filter(|view| view["outcome"]["state"] == state);
            found.map(|view| (view["audience"][0].clone(), view.clone())).collect::<Vec<_>>()
        };
        for (state, wanted) in [("denied", 403), ("approved", 200)] {
            let Some((audience, view)) = self.dice.one(&of(state)).cloned() else { continue };
            let n = audience.as_str().and_then(Op::number).context("no op")?;
            let kind = lock(&self.book).ops.get(usize::try_from(n)?).map(|op| op.kind);
            // A single use may be used up, and what was revoked is refused: both are told apart elsewhere.
            if state == "approved" && (kind == Some(Kind::Once) || stage(&view, &snapshot.grants) != "approved") {
                continue;
            }
            let Some(call) = lock(&self.book).call(n, false) else { continue };
            let (status, body) = load.ask(&call, false, None).await.context("a call was not answered")?;
            let same = wanted != 200 || body["grant_id"] == view["outcome"]["grant"];
            if status != wanted || !same {
                self.oracle.found.push(format!("asked again, {wanted} was expected and {status} came: {body}; {view}"));
            }
            self.journal.count("decided things asked again");
        }
        Ok(())
    }

    /// Both cards of a duplicate work: whichever is clicked first counts, and then both say so.
    async fn click_duplicates(
        &mut self,
        load: &Load,
        api: &Api,
        snapshot: &Snapshot,
        last: bool,
    ) -> anyhow::Result<()> {
        let all = cards::by_request(&load.playground);
        for (id, cards) in all.iter().filter(|(_, cards)| cards.len() > 1) {
            let known = cards.iter().filter(|card| self.oracle.clicked.contains(&place(card))).count();
            let Some(view) = snapshot.requests.get(id).filter(|_| known == 0 || (last && known < cards.len())) else {
                continue;
            };
            let unclicked: Vec<_> =
                cards.iter().filter(|card| !self.oracle.clicked.contains(&place(card))).cloned().collect();
            let chosen = if last { unclicked } else { self.dice.one(&unclicked).cloned().into_iter().collect() };
            for card in chosen {
                let person =
                    APPROVERS.iter().map(|(user, _)| *user).find(|user| !has_approved(view, user)).unwrap_or("U0BOB");
                let status = match card.button("approve") {
                    Some(_) => load.approve(&card, person).await,
                    None if card.button("revoke").is_some() => load.revoke_click(&card, person).await,
                    None => continue,
                };
                ensure!(status == Some(200), "a click on a card of a duplicate was answered {status:?}");
                self.oracle.clicked.insert(place(&card));
                self.journal.count("clicks on duplicates");
                self.oracle.drained(api).await?;
            }
        }
        Ok(())
    }

    /// Everything once more, then a clean stop, then the audit from outside.
    async fn end(&mut self, world: &World, cycle: u64, left: Left) -> anyhow::Result<()> {
        let (mut child, load, api) = self.start(world, cycle).await?;
        self.judge(&load, &api, left, 1, true).await?;
        self.oracle.facts.read_again(&api).await?;
        self.oracle.is_as_drawn_anew(&api, &channel_id(CHANNELS - 1)).await?;
        self.oracle.verdict("at the end")?;
        let entries = self.oracle.facts.len();
        child.terminate()?;
        let status = child.ended(Duration::from_secs(20)).await?;
        ensure!(status.success(), "a clean stop ended with {status}");
        let database = world.database().display().to_string();
        let verified = command(&["audit", "verify", "--database", &database]).output()?;
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        ensure!(verified.status.success(), "the audit does not verify: {}", String::from_utf8_lossy(&verified.stderr));
        let counted = said.split(' ').next().and_then(|number| number.parse::<usize>().ok());
        // Time goes on between the last look and the stop.
        ensure!(counted.is_some_and(|counted| counted >= entries), "{entries} entries were seen, and it says {said}");
        Ok(())
    }

    /// A run in which nothing happened proves nothing. A busy machine does a third of what an idle one does.
    fn is_not_vacuous(&self, kills: u64) -> anyhow::Result<()> {
        let kind = |kind: &str| self.oracle.facts.kinds.get(kind).copied().unwrap_or(0);
        let counted = |what: &str| self.journal.counted(what);
        let least = |what: &str, found: u64, least: u64| {
            ensure!(found >= least, "{what}: {found}, and at least {least} were expected of {kills} kills");
            Ok(())
        };
        least("kills that met work under way", self.killed_busy * 10, (self.killed - counted("kills of a start")) * 9)?;
        least("kills that met deliveries", counted("kills that met deliveries under way"), kills / 4)?;
        least("deliveries lost", counted("calls cut before Slack had them"), kills / 25)?;
        least("deliveries done and not recorded", counted("calls cut that Slack had and nobody recorded"), kills / 25)?;
        least("cards drawn anew", counted("cards drawn anew"), 1)?;
        least("approvals", kind("request.approved"), kills / 4)?;
        least("denials", kind("request.denied"), kills / 10)?;
        least("revocations", kind("grant.revoked"), kills / 20)?;
        least("issuances", kind("token.issued"), kills / 4)?;
        least("votes of two", kind("vote.recorded"), kills / 20)?;
        least("expiries", kind("request.expired"), kills / 50)?;
        least("refused clicks", kind("click.refused"), kills / 10)?;
        least("retries", counted("retries with the same id"), kills / 2)?;
        least("double clicks", counted("double clicks"), kills / 20)?;
        least("duplicates clicked", counted("clicks on duplicates"), kills / 200)?;
        least("unanswered and there", counted("unanswered and there"), kills / 20)?;
        least("unanswered and not there", counted("unanswered and not there"), kills / 20)?;
        ensure!(counted("hook: odd answers") == 0, "a hook got an answer that it never should");
        Ok(())
    }

    fn summary(&self, took: Duration) -> String {
        let kinds = &self.oracle.facts.kinds;
        format!(
            "crash: {} kills ({} with work under way), {} audit entries, {} duplicate cards, slowest start {} ms, {} s\ncrash: audit {kinds:?}\ncrash: journal {:?}",
            self.killed,
            self.killed_busy,
            self.oracle.facts.len(),
            self.oracle.duplicates,
            self.slowest_start.as_millis(),
            took.as_secs(),
            self.journal.counts(),
        )
    }
}

fn request_of(promise: &Promise) -> Option<String> {
    match promise {
        Promise::Opened { request }
        | Promise::Refused { request }
        | Promise::Voted { request, .. }
        | Promise::Settled { request }
        | Promise::Over { request } => Some(request.clone()),
        Promise::Seen { view } => view["id"].as_str().map(str::to_owned),
        Promise::Issued { .. } | Promise::Revoked { .. } => None,
    }
}
