//! The form of messages: everything that is ever shown in Slack, in every state, with whatever strangers can write.
//!
//! This binary draws it all, holds it against our own rules and leaves it in a folder, where `run.sh` hands it to the
//! oracles that others made. `surfaces.rs` is the one list of what is shown.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod lint;
mod mutants;
mod rows;
mod scene;
mod signatures;
mod surfaces;
mod ugly;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use countersign::domain::policy::Ceremony;
use countersign::domain::token_request::TokenRequest;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use mutants::{MUTANTS, Oracle};
use scene::{Frame, Scene, any_scene, every_state};
use surfaces::{SURFACES, Surface};

/// How many random moments are left for the oracles of others; ours sees new ones each time.
const RANDOM_SCENES: usize = 100;

/// Where everything is left for the other oracles.
pub fn folder() -> PathBuf {
    let here = std::env::var_os("FORMS_DIR").map(PathBuf::from);
    here.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("forms"))
}

fn lines(file: &str, all: &[Value]) {
    fs::create_dir_all(folder()).expect("a folder");
    let text: String = all.iter().map(|one| format!("{one}\n")).collect();
    fs::write(folder().join(file), text).expect("written");
}

/// Everything that is shown at a moment, by name.
fn shown<'a>(scene: &'a Scene) -> impl Iterator<Item = (&'static str, Value)> + 'a {
    let is_here = |surface: &&Surface| !surface.is_steady || scene.state == "pending";
    SURFACES.iter().filter(is_here).filter_map(|surface| Some((surface.name, (surface.draw)(scene)?)))
}

/// The corners in every state, each in an ordinary and in an elaborate frame, and some random moments, the same each time.
fn scenes() -> Vec<(String, Scene)> {
    let mut all = Vec::new();
    for (corner, asked) in ugly::corners() {
        for (frame, kind) in [(Frame::ordinary(), "simple"), (Frame::elaborate(), "elaborate")] {
            if corner.starts_with("10,000") && kind == "simple" {
                continue; // the elaborate one is enough of what takes so long to draw
            }
            let states = every_state(&asked, &frame);
            all.extend(states.into_iter().map(|scene| (format!("{corner}, {kind}, {}", scene.state), scene)));
        }
    }
    let mut runner = TestRunner::deterministic();
    for n in 0..RANDOM_SCENES {
        let scene = any_scene().new_tree(&mut runner).expect("a moment").current();
        all.push((format!("random {n}, {}", scene.state), scene));
    }
    all
}

#[test]
fn everything_in_every_state_keeps_our_rules_and_is_left_for_the_oracles_of_others() {
    let (mut cases, mut seen, mut bad) = (Vec::new(), HashSet::new(), Vec::new());
    for (moment, scene) in scenes() {
        for (surface, value) in shown(&scene) {
            if seen.insert(value.to_string()) {
                let name = format!("{surface}: {moment}");
                let problems = lint::problems(&value);
                if !problems.is_empty() {
                    bad.push(json!({ "name": name, "problems": problems }));
                }
                cases.push(json!({ "name": name, "value": value, "lint": problems }));
            }
        }
    }
    for mutant in MUTANTS {
        let value = mutant.before();
        if seen.insert(value.to_string()) {
            cases.push(json!({ "name": format!("before: {}", mutant.name), "value": value, "lint": [] }));
        }
    }
    let names: HashSet<&str> = cases.iter().filter_map(|case| case["name"].as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    lines("cases.ndjson", &cases);
    println!("{} different messages and views of {} surfaces", cases.len(), SURFACES.len());
    assert!(bad.is_empty(), "{} are wrong, such as {:#}", bad.len(), json!(bad.iter().take(5).collect::<Vec<_>>()));
}

/// Everything once as most people would see it, and a few corners, for `tests/browser/surfaces.mjs`, which draws them as
/// the page of the demo does.
#[test]
fn everything_is_left_once_for_the_pictures() {
    let (mut all, mut drawn) = (Vec::new(), HashSet::new());
    let (plain, ordinary) = (ugly::plain(), Frame::ordinary());
    // The card and the requester's message in every state; of anything else one is enough.
    let mut others = HashSet::new();
    let every = ["card", "message to the requester, with what can be done", "card of a broken glass"];
    for scene in every_state(&plain, &ordinary) {
        for (surface, value) in shown(&scene) {
            if every.contains(&surface) || others.insert(surface) {
                drawn.insert(surface);
                all.push(json!({ "name": format!("{surface}, {}", scene.state), "value": value }));
            }
        }
    }
    let mut leave = |kind: &str, asked: &TokenRequest, frame: &Frame, is_wanted: &dyn Fn(&str, &str) -> bool| {
        for scene in every_state(asked, frame) {
            for (surface, value) in shown(&scene).filter(|(surface, _)| is_wanted(surface, scene.state)) {
                all.push(json!({ "name": format!("{surface}, {}{kind}", scene.state), "value": value }));
            }
        }
    };
    let two = Frame { counts: vec![1, 1], ceremony: Ceremony::Match, ..ordinary };
    leave(", two groups and a number", &plain, &two, &|surface, _| {
        ["card", "form for approving less"].contains(&surface)
    });
    let corner = |name: &str| ugly::corners().into_iter().find(|(corner, _)| *corner == name).expect("a corner").1;
    for name in ["hostile, 50 scopes", "many scripts, 10 scopes", "nothing is given", "a reason of 3,000 characters"] {
        let wanted = |surface: &str, state: &str| {
            state == "pending"
                && ["card", "form for approving less", "App Home, 1 row", "everything in full"].contains(&surface)
        };
        leave(&format!(", {name}"), &corner(name), &Frame::elaborate(), &wanted);
    }
    lines("gallery.ndjson", &all);
    let undrawn: Vec<&str> = SURFACES.iter().map(|one| one.name).filter(|name| !drawn.contains(name)).collect();
    assert!(undrawn.is_empty(), "there is no picture of {undrawn:?}");
}

#[test]
fn our_rules_notice_the_planted_faults_and_nothing_before() {
    let (mut all, mut bad) = (Vec::new(), Vec::new());
    for mutant in MUTANTS {
        let (before, planted) = (lint::problems(&mutant.before()), lint::problems(&mutant.planted()));
        bad.extend(before.first().map(|problem| format!("{}: {problem} before it was planted", mutant.name)));
        if mutant.noticed_by.contains(&Oracle::Lint) && planted.is_empty() {
            bad.push(format!("{}: not noticed", mutant.name));
        }
        let noticed_by: Vec<&str> = mutant.noticed_by.iter().map(|oracle| oracle.name()).collect();
        all.push(json!({
            "name": mutant.name, "noticed_by": noticed_by, "value": mutant.planted(), "lint": planted,
        }));
    }
    lines("mutants.ndjson", &all);
    assert!(bad.is_empty(), "{bad:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]

    #[test]
    fn whatever_anybody_writes_keeps_our_rules(scene in any_scene()) {
        for (surface, value) in shown(&scene) {
            let problems = lint::problems(&value);
            prop_assert!(problems.is_empty(), "{surface}, {}: {problems:?}", scene.state);
        }
    }

    #[test]
    fn no_scope_is_ever_cut(scene in any_scene()) {
        let card = scene.draw(countersign::slack::cards::card);
        let mut said = HashSet::new();
        let blocks = json!(card.blocks);
        lint::walk(&blocks, &mut |o| said.extend(o.get("text").and_then(Value::as_str)));
        let scopes = scene.grant.as_ref().map_or(&scene.request.question.terms.scopes, |grant| &grant.scopes);
        for scope in scopes.iter() {
            prop_assert!(said.contains(scope.as_str()), "{scope} does not stand whole on the card");
        }
    }
}

/// Where a message or a view is made: `pub fn NAME(…) -> Message` or `-> Value` in `src/slack`.
fn renderers() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/slack")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let text = fs::read_to_string(&path).expect("a source");
            for item in text.split("\npub fn ").skip(1) {
                let (name, rest) = item.split_once(['(', '<']).expect("a function");
                let returns = rest.split_once('{').map_or(rest, |(head, _)| head);
                let made = returns.rsplit_once("->").map_or("", |(_, made)| made.trim());
                if ["Message", "Value", "Option<Message>", "Option<Value>"].contains(&made) {
                    found.push(format!("{module}::{name}"));
                }
            }
        }
    }
    found
}

#[test]
fn every_renderer_is_in_the_list() {
    let list = include_str!("surfaces.rs");
    let forgotten: Vec<String> = renderers().into_iter().filter(|name| !list.contains(name.as_str())).collect();
    assert!(forgotten.is_empty(), "add them to tests/forms/surfaces.rs: {forgotten:?}");
    assert!(renderers().len() >= 6, "the sources are not understood any more: {:?}", renderers());
}
