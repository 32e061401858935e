//! Model-based test: random sequences of whatever can happen, through the pure core and through the running service,
//! against a plain reference model, with the invariants I1 to I12 checked after each step.
//!
//! * `world` and `plans`: who there is, what can happen, the policies that take turns; plain numbers and texts.
//! * `model` (`judge`, `people`, `history`, `calls`): what ought to come of it, decided anew at each step from the list
//!   of everything that happened. It shares no code with the service. Read these first.
//! * `core` (`core_calls`, `speak`): the pure core with the smallest shell around it.
//! * `served`: the service, over HTTP, on SQLite, with the stand-in for Slack that the stories use.
//! * `steps`: how random sequences are made. `invariants`: I1 to I12.
//!
//! `MODEL_SEQUENCES` says how many sequences are lived through. `PROPTEST_RNG_SEED` chooses other ones than the gate's.
//! A failure prints the shortest sequence that shows it, and is kept beside this file, to be tried first from then on.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod books;
mod calls;
mod core;
mod core_calls;
mod history;
mod invariants;
mod judge;
mod model;
mod people;
mod plans;
mod served;
mod speak;
mod steps;
mod world;

#[expect(dead_code, reason = "the stories need more of it")]
#[path = "../it/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;

use countersign::config::read_policy;
use countersign::domain::policy::Policy;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestError, TestRunner};

use books::{Books, Seen};
use core::Core;
use invariants::Records;
use model::Model;
use plans::Plan;
use served::Served;
use world::Step;

/// How often what happened.
type Tally = BTreeMap<&'static str, u64>;

/// Unless `PROPTEST_RNG_SEED` says otherwise, the sequences are the same each time.
fn config(cases: u32, shard: u64) -> Config {
    // The default generator costs more than all the rest, unoptimized; nobody attacks these dice.
    let rng_algorithm = RngAlgorithm::XorShift;
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_126);
    let rng_seed = RngSeed::Fixed(seed * 1_000 + shard);
    Config { cases, source_file: Some(file!()), rng_algorithm, rng_seed, ..Config::default() }
}

fn sequences(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn policies(plans: &[Plan]) -> Vec<Policy> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let read = |plan: &Plan| {
        std::fs::write(&file, plan.toml()).unwrap();
        read_policy(&file).unwrap_or_else(|errors| panic!("{errors}\n{}", plan.toml()))
    };
    plans.iter().map(read).collect()
}

fn live(plans: &[Plan], policies: &[Policy], steps: &[Step], tally: &mut Tally) -> Result<(), TestCaseError> {
    let (mut core, mut model) = (Core::new(policies), Model::new(plans));
    let mut before = Records::default();
    for (n, step) in steps.iter().enumerate() {
        let fail = |says: String| TestCaseError::fail(format!("step {n}, {step:?}: {says}"));
        let seen = core.act(step);
        let expected = model.expect(step, core.clock());
        if seen != expected {
            return Err(fail(format!("the core shows {seen:?}, the model {expected:?}")));
        }
        let (is, ought) = (Books::of(&core.requests, &core.grants, core.now), model.books());
        if is != ought {
            return Err(fail(format!("it stands as {is:#?}\nthe model says {ought:#?}")));
        }
        let (requests, grants, entries) = (core.requests.clone(), core.grants.clone(), core.entries.clone());
        let after = Records { now: core.now, requests, grants, entries };
        invariants::check(&before, &after).map_err(fail)?;
        invariants::i12_cards_show_what_is_kept(&core.requests, &core.drawn, &core.to_draw).map_err(fail)?;
        count(step, &seen, &before, &after, tally);
        before = after;
    }
    invariants::i11_the_chain_verifies(&core.entries).map_err(TestCaseError::fail)
}

fn count(step: &Step, seen: &Seen, before: &Records, after: &Records, tally: &mut Tally) {
    let mut add = |what| *tally.entry(what).or_default() += 1;
    add(match seen {
        Seen::Nothing => "nothing",
        Seen::Token { asked: Some(_), .. } => "token in part",
        Seen::Token { .. } => "token",
        Seen::Pending { .. } => "pending",
        Seen::Passes { .. } => "passes",
        Seen::Conflict => "conflict",
        Seen::Refused => "refused",
        Seen::Done => match step {
            Step::Approve { .. } => "approved",
            Step::Deny { .. } => "denied",
            Step::TakeBack { .. } => "took back",
            Step::Withdraw { .. } => "withdrawn",
            Step::Revoke { .. } => "revoked",
            Step::Done { .. } => "handed back",
            Step::Extend { .. } => "asked for more time",
            Step::Ahead { .. } => "asked ahead",
            _ => "done",
        },
    });
    for entry in &after.entries[before.entries.len()..] {
        add(entry.kind.as_str());
    }
    for grant in &after.grants {
        let was = before
            .grants
            .iter()
            .find(|other| other.id == grant.id)
            .map(|other| books::status(other, speak::time(before.now)));
        let is = books::status(grant, speak::time(after.now));
        if was != Some(is) {
            add(is);
        }
    }
}

/// The same sequences through the running service. A step that people could not make here is left out.
async fn live_served(plans: &[Plan], steps: &[Step], tally: &mut Tally) -> Result<(), TestCaseError> {
    let (mut served, mut model) = (Box::pin(Served::start(plans)).await, Model::new(plans));
    for (n, step) in steps.iter().enumerate() {
        let Some(step) = served.possible(step) else { continue };
        let fail = |says: String| TestCaseError::fail(format!("step {n}, {step:?}: {says}"));
        let before = served.records().clone();
        let seen = Box::pin(served.act(&step)).await;
        let expected = model.expect(&step, served.clock());
        model.worker();
        let is_call = matches!(step, Step::Call(_) | Step::CallAgain);
        // On the wire instants have full seconds.
        let expected = match expected {
            Seen::Token { grant, scopes, lifetime, until, asked } => {
                Seen::Token { grant, scopes, lifetime, until: until - until.rem_euclid(1_000), asked }
            }
            other => other,
        };
        if is_call && seen != expected {
            return Err(fail(format!("the service shows {seen:?}, the model {expected:?}")));
        }
        let after = served.records();
        let (is, ought) = (Books::of(&after.requests, &after.grants, after.now), model.books());
        if is != ought {
            return Err(fail(format!("it stands as {is:#?}\nthe model says {ought:#?} of {expected:?}")));
        }
        invariants::check(&before, after).map_err(fail)?;
        Box::pin(served.i12_cards_show_what_is_kept()).await.map_err(fail)?;
        count(&step, if is_call { &seen } else { &expected }, &before, after, tally);
    }
    served.stop().await;
    Ok(())
}

type Live<'l> = &'l (dyn Fn(&[Plan], &[Step], &mut Tally) -> Result<(), TestCaseError> + Sync);

/// Lives through so many sequences, on every core that there is.
fn run(cases: u32, live: Live<'_>) -> Tally {
    let shards = u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1).min(cases);
    std::thread::scope(|scope| {
        let shard = |n| scope.spawn(move || shard(cases.div_ceil(shards), u64::from(n), live));
        let all: Vec<_> = (0..shards).map(shard).collect();
        let join = |one: std::thread::ScopedJoinHandle<'_, Tally>| {
            one.join().unwrap_or_else(|why| std::panic::resume_unwind(why))
        };
        all.into_iter().map(join).fold(Tally::new(), |mut total, tally| {
            tally.into_iter().for_each(|(what, times)| *total.entry(what).or_default() += times);
            total
        })
    })
}

fn shard(cases: u32, n: u64, live: Live<'_>) -> Tally {
    let (plans, tally) = (plans::all(), RefCell::new(Tally::new()));
    let mut runner = TestRunner::new(config(cases, n));
    let outcome = runner.run(&steps::sequence(), |steps| live(&plans, &steps, &mut tally.borrow_mut()));
    match outcome {
        Ok(()) => tally.into_inner(),
        Err(TestError::Fail(why, mut steps)) => {
            steps.retain(|step| !matches!(step, Step::Wait(0)));
            panic!("{why}\nthe shortest sequence that shows it: {steps:?}")
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// What must have happened at least once in every thousand sequences, or they prove too little.
const SOMETIMES: [&str; 26] = [
    "token",
    "token in part",
    "pending",
    "passes",
    "conflict",
    "refused",
    "approved",
    "denied",
    "took back",
    "withdrawn",
    "revoked",
    "handed back",
    "asked for more time",
    "asked ahead",
    "used up",
    "uncollected",
    "expired",
    "reserved",
    "active",
    "grant.collected",
    "grant.started",
    "grant.allowed",
    "glass.broken",
    "request.narrowed",
    "request.expired",
    "vote.recorded",
];

#[test]
fn the_pure_core_does_what_the_model_says() {
    let policies = policies(&plans::all());
    let cases = sequences("MODEL_SEQUENCES", 2_000);
    let tally = run(cases, &|plans, steps, tally| live(plans, &policies, steps, tally));
    println!("{cases} sequences through the pure core: {tally:#?}");
    for what in SOMETIMES {
        let times = tally.get(what).copied().unwrap_or(0);
        assert!(times >= u64::from(cases / 1_000), "{what}: only {times} times in {cases} sequences");
    }
}

#[test]
fn the_service_does_what_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = sequences("MODEL_SERVED", 20);
    let tally = run(cases, &|plans, steps, tally| runtime.block_on(live_served(plans, steps, tally)));
    println!("{cases} sequences through the service: {tally:#?}");
}
