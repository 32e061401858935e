//! Properties of the pure core: whatever happens, in whatever order, invariants 1 to 8 of the design hold.
//!
//! Random worlds (`world`) are lived through twice: by the domain within a stand-in for the shell (`shell`),
//! and by a plain model that knows no type of the domain (`model`, `people`). Both must show the outside the
//! same, and after every move `invariants` looks at what the domain made. `parts` has the properties of the
//! smaller things: fingerprints, scopes, quorum, identities.
//!
//! The gate lives through the same 2,000 worlds each time. `PROPTEST_CASES=100000` lives through other ones,
//! and `PROPTEST_RNG_SEED` chooses which; a failure prints the smallest world that shows it, and is kept in
//! `proptest-regressions/` to be tried first from then on.

mod invariants;
mod model;
mod parts;
mod people;
mod shell;
mod speak;
mod world;

use std::cell::RefCell;

use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestRunner};

use invariants::{Before, Tally};
use model::Model;
use shell::{Seen, Shell};
use world::World;

/// As many tries as small properties need, chosen as the worlds are.
fn small() -> Config {
    let config = config();
    Config { cases: if config.cases == 2_000 { 256 } else { config.cases }, ..config }
}

/// The worlds of the gate; the same ones each time, unless the environment says otherwise.
fn config() -> Config {
    // The default generator costs more than the domain does, unoptimized; nobody attacks these dice.
    let rng_algorithm = RngAlgorithm::XorShift;
    let mut config = Config { source_file: Some(file!()), rng_algorithm, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2_000;
        if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
            config.rng_seed = RngSeed::Fixed(20_261_123);
        }
    }
    config
}

fn live(world: &World, tally: &mut Tally) -> Result<(), TestCaseError> {
    let (mut shell, mut model) = (Shell::new(world), Model::new(world));
    let mut before = Before::default();
    for (n, a_move) in world.moves.iter().enumerate() {
        let seen = shell.act(a_move);
        let expected = model.expect(a_move, shell.now);
        let fail = |says: String| TestCaseError::fail(format!("move {n}, {a_move:?}: {says}"));
        if seen != expected {
            return Err(fail(format!("the domain shows {seen:?}, the model {expected:?}")));
        }
        count(&seen, tally);
        invariants::check(&mut before, &shell, &model, a_move, &seen, tally).map_err(fail)?;
    }
    Ok(())
}

fn count(seen: &Seen, tally: &mut Tally) {
    let what = match seen {
        Seen::Nothing => return,
        Seen::Refused(why @ ("expired" | "cooling down" | "conflict" | "cannot ask" | "policy")) => why,
        Seen::Refused(_) => "refused otherwise",
        Seen::Token { .. } => "token",
        Seen::Pending { opened: true, .. } => "opened",
        Seen::Pending { noted: true, .. } => "noted",
        Seen::Pending { .. } => "attached",
        Seen::Approved { grant: None, .. } => "voted",
        Seen::Approved { .. } => return,
        Seen::Denied { .. } => "denied",
        Seen::TookBack { .. } => "took back",
        Seen::Withdrawn { .. } => "withdrawn",
        Seen::Revoked { .. } => return,
    };
    *tally.entry(what).or_default() += 1;
}

/// What must have happened at least once in every hundred worlds or so, or the run says nothing.
const SOMETIMES: [(&str, u64); 25] = [
    ("opened", 1),
    ("attached", 10),
    ("noted", 10),
    ("token", 4),
    ("approved by one", 10),
    ("approved by two", 10),
    ("approved by three or more", 100),
    ("approved by sharing", 100),
    ("approved after seating people anew", 400),
    ("approved with less", 40),
    ("a requirement fell away", 400),
    ("took back", 100),
    ("voted", 4),
    ("denied", 10),
    ("withdrawn", 10),
    ("revoked", 20),
    ("expired", 4),
    ("uncollected", 20),
    ("used up", 10),
    ("cooling down", 20),
    ("clicked twice", 10),
    ("asked again while pending", 10),
    ("own request", 4),
    ("not an approver", 4),
    ("out of date", 10),
];

#[test]
fn whatever_happens_the_invariants_hold() {
    let tally = RefCell::new(Tally::new());
    let mut runner = TestRunner::new(config());
    let cases = u64::from(runner.config().cases);
    let outcome = runner.run(&world::any_world(), |world| live(&world, &mut tally.borrow_mut()));
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let tally = tally.into_inner();
    println!("{cases} worlds: {tally:#?}");
    for (what, once_in) in SOMETIMES {
        let times = tally.get(what).copied().unwrap_or(0);
        assert!(times >= cases / once_in, "{what}: only {times} times in {cases} worlds; the run proves too little");
    }
}
