//! The tools for the people who write policy, run as they run them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use countersign::config::policy_file;
use countersign::policy_tools::{self, Command as Tool};

use crate::support::TestApp;
use crate::support::asking::{alice, job};
use crate::support::world::{DESK, POLICY};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program in the folder of the project.
fn countersign(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).current_dir(root()).env("RUST_LOG", "off").output().expect("it runs")
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The fenced blocks of a document in this language.
fn blocks<'t>(document: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    document.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/policy.md")).expect("docs/policy.md")
}

/// `BLESS=1 cargo test --test it policy_tools` writes what they print into the page; then read what changed.
#[test]
fn the_page_shows_what_the_tools_really_print() {
    let mut page = page();
    if std::env::var_os("BLESS").is_some() {
        page = blessed(&page);
        std::fs::write(root().join("docs/policy.md"), &page).expect("written");
    }
    let shown = blocks(&page, "console");
    let mut seen = BTreeMap::new();
    for block in shown {
        let (command, expected) = block.split_once('\n').expect("a command and what it prints");
        let arguments: Vec<&str> = command.strip_prefix("$ countersign ").expect("a command").split(' ').collect();
        let output = countersign(&arguments);
        let found = printed(&output);
        assert_eq!(found.trim_end(), expected.trim_end(), "\n{command} prints\n{found}{}", complained(&output));
        *seen.entry(arguments[1].to_owned()).or_insert(0) += 1;
    }
    for tool in ["check", "explain", "test"] {
        assert!(seen.contains_key(tool), "the page shows `policy {tool}`: {seen:?}");
    }
}

/// The page with every block filled anew.
fn blessed(page: &str) -> String {
    let mut blocks = page.split("```console\n");
    let mut fresh = blocks.next().unwrap_or_default().to_owned();
    for block in blocks {
        let (command, rest) = block.split_once('\n').expect("a command");
        let (_, after) = rest.split_once("```").expect("an end");
        let arguments: Vec<&str> = command.strip_prefix("$ countersign ").expect("a command").split(' ').collect();
        fresh += &format!("```console\n{command}\n{}\n```{after}", printed(&countersign(&arguments)).trim_end());
    }
    fresh
}

/// Every example of the page is a policy that is understood, with the approver sets of its beginning.
#[test]
fn the_examples_of_the_page_are_understood() {
    let page = page();
    let examples = blocks(&page, "toml");
    assert!(examples.len() > 15, "the page has examples");
    let sets = examples.first().expect("the approver sets come first");
    for example in examples.iter().skip(1).filter(|example| !example.contains("[[case]]")) {
        if let Err(errors) = policy_file::parse("docs/policy.md", &format!("{example}\n{sets}")) {
            panic!("{errors}\n{example}");
        }
    }
}

#[test]
fn the_cases_beside_the_example_hold_and_a_wrong_one_fails() {
    let good = countersign(&["policy", "test", "examples/policy.toml"]);
    assert!(good.status.success(), "{}{}", printed(&good), complained(&good));
    let folder = tempfile::tempdir().expect("a folder");
    let cases = std::fs::read_to_string(root().join("examples/policy_test.toml")).expect("the cases");
    let wrong = cases.replacen("ceremony = \"confirm\"", "ceremony = \"match\"", 1).replacen("8h", "9h", 1);
    std::fs::write(folder.path().join("wrong.toml"), wrong).expect("written");
    let file = folder.path().join("wrong.toml").display().to_string();
    let bad = countersign(&["policy", "test", "examples/policy.toml", "--cases", &file]);
    assert_eq!(bad.status.code(), Some(1));
    let said = printed(&bad);
    for line in [
        "FAIL  anybody looks by day without asking\n      max_duration: expected 9h, is 8h\n",
        "      ceremony: expected `match`, is `confirm`\n",
        "2 of 8 cases came out differently",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn cases_that_cannot_be_read_are_told_and_not_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cases.toml");
    for (cases, told) in [
        ("", "has no [[case]]"),
        ("[[case]]\nname = \"x\"\n", "missing field `request`"),
        ("[[case]]\nname = \"x\"\nrequest = {}\nexpect = { verdikt = \"asked\" }\n", "unknown field `verdikt`"),
        ("[[case]]\nname = \"x\"\nrequest = { scope = \"a\" }\nexpect = {}\n", "does not say which hook"),
        (
            "[[case]]\nname = \"x\"\nrequest = { hook = \"berths\" }\nexpect = {}\n",
            "`grant_type` is missing; `client_id` is missing",
        ),
        (
            "[[case]]\nname = 'n'\nexpect = { max_duration = \"soon\" }\nrequest = { hook = \"h\", grant_type = \"g\", client_id = \"c\", scope = \"a\" }\n",
            "case `n`: `soon` is no time",
        ),
    ] {
        std::fs::write(&file, cases).expect("written");
        let output = countersign(&["policy", "test", "examples/policy.toml", "--cases", &file.display().to_string()]);
        assert_eq!(output.status.code(), Some(1), "{cases}");
        assert!(complained(&output).contains(told), "{cases}: {}", complained(&output));
    }
}

#[test]
fn check_fails_on_what_must_be_mended_and_on_what_cannot_be_read() {
    assert_eq!(countersign(&["policy", "check", "examples/policy.toml"]).status.code(), Some(0));
    assert_eq!(countersign(&["policy", "check", "docs/policy/odd.toml"]).status.code(), Some(1));
    let unreadable = countersign(&["policy", "check", "examples/policy_test.toml"]);
    assert_eq!(unreadable.status.code(), Some(1));
    assert!(complained(&unreadable).contains("case: found an unknown key"), "{}", complained(&unreadable));
}

/// The service runs while its requests are judged again, and nothing of it changes.
#[tokio::test]
async fn what_was_asked_is_judged_again_under_a_changed_policy() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:read")).await.granted();
    app.ask(&alice("plain:x")).await.pending();
    app.ask(&alice("ledger:write")).await.pending();
    app.ask(&job("ledger:export")).await.denied();
    let changed = app.file("changed.toml");
    let replay = async |policy: &str| {
        std::fs::write(&changed, policy).expect("written");
        let (database, policy) = (app.file("countersign.db"), changed.clone());
        let tool = Tool::Replay { database, since: Duration::from_secs(86_400), policy };
        policy_tools::run(tool).await.expect("it runs").text
    };
    let same = replay(POLICY).await;
    assert!(same.contains("3 token requests of the last 1day: 0 would come out differently, 3 as they did."), "{same}");
    assert!(same.contains("Refusals (1 since then) are on record"), "{same}");
    let stricter = POLICY
        .replace("approvals = 1\nmax_duration = \"2h\"", "approvals = 2\nmax_duration = \"1h\"")
        .replace("[limits]", "[[rule]]\nname = \"last\"\nwhen = 'true'\ndeny = \"No more.\"\n[limits]");
    let nothing_plain = stricter.replace("scope.startsWith(\"plain:\")", "scope.startsWith(\"simple:\")");
    assert_ne!(nothing_plain, stricter);
    let said = replay(&nothing_plain).await;
    for line in [
        "ledger-cli for alice@example.com through shop: ledger:write\n",
        "    must agree was: 1 person of leads; would be: 2 people of leads\n",
        "ledger-cli for alice@example.com through shop: plain:x\n    was: people are asked; would be: refused: ",
        "2 would come out differently, 1 as they did.",
    ] {
        assert!(said.contains(line), "{said}");
    }
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("none.db");
    let tool = Tool::Replay {
        database: database.clone(),
        since: Duration::from_secs(60),
        policy: root().join("examples/policy.toml"),
    };
    let error = policy_tools::run(tool).await.expect_err("no database").to_string();
    assert!(error.contains("none.db is not there"), "{error}");
    assert!(!database.exists());
}

#[test]
fn what_is_refused_although_a_rule_asks_or_breaks_the_glass_is_explained_as_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (policy, request) = (folder.path().join("policy.toml"), folder.path().join("request.json"));
    let text = r#"
[approvers.leads]
slack_users = ["U0BOB"]
[[resource]]
audience = "https://x.test"
owners = '[context.owner]'
[[resource.scope]]
name = "ask"
says = "Ask"
[[rule]]
name = "asking"
when = 'scope == "ask"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h" }
[[rule]]
name = "breaking"
when = 'scope == "glass"'
break_glass = { max_duration = "1h", requesters = ["leads"], tell = ["leads"], review_within = "24h" }
"#;
    std::fs::write(&policy, text).expect("written");
    for (scope, context, lines) in [
        (
            "ask",
            "{}",
            vec![
                "All together: refused, and nobody is asked",
                "`owners` of the resource `https://x.test` has no value",
            ],
        ),
        (
            "ask",
            "{\"owner\": \"dana@x.test\"}",
            vec!["All together: people are asked", "never decides         job, dana@x.test (owns the client)"],
        ),
        ("glass", "{}", vec!["because of the rule   breaking", "A client cannot break the glass for itself"]),
    ] {
        let asked = format!(
            "{{\"hook\": \"h\", \"grant_type\": \"client_credentials\", \"client_id\": \"job\", \"scope\": \"{scope}\", \"audience\": [\"https://x.test\"], \"context\": {context}}}"
        );
        std::fs::write(&request, asked).expect("written");
        let (policy, request) = (policy.display().to_string(), request.display().to_string());
        let said = printed(&countersign(&["policy", "explain", "--policy", &policy, "--request", &request]));
        for line in lines {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
}
