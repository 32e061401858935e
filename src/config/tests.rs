//! Stories about the two files: what loads, and what each mistake is told.

use std::fs;
use std::path::Path;

use secrecy::ExposeSecret;

use super::*;
use crate::domain::ids::SlackUserId;
use crate::domain::policy::{Ceremony, Outcome, Uses};

mod policy;

const SERVER: &str = include_str!("../../examples/countersign.toml");
const POLICY: &str = include_str!("../../examples/policy.toml");
const WEBHOOK: &str = "whsec_bm90IGEgc2VjcmV0LCBhIHRlc3QgdmFsdWU=";

fn env(name: &str) -> Option<String> {
    match name {
        "SLACK_BOT_TOKEN" => Some("xoxb-not-a-real-token".to_owned()),
        "SLACK_SIGNING_SECRET" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        "BERTHS_HOOK_SECRET" => Some(WEBHOOK.to_owned()),
        "CUSTOMS_HOOK_TOKEN" | "HYDRA_HOOK_KEY" | "PEP_TOKEN" => Some(format!("{name}-{name}-value")),
        "SHORT" => Some("short".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn folder(server: &str, policy: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("countersign.toml"), server).unwrap();
    fs::write(folder.path().join("policy.toml"), policy).unwrap();
    folder
}

fn load_in(folder: &Path) -> Result<Loaded, ConfigErrors> {
    Config::load(&folder.join("countersign.toml"), &env)
}

fn load(server: &str, policy: &str) -> Result<Loaded, ConfigErrors> {
    load_in(folder(server, policy).path())
}

/// The example with one passage replaced, which must be there.
fn with(example: &str, passage: &str, other: &str) -> String {
    assert!(example.contains(passage), "no {passage:?} in the example");
    example.replacen(passage, other, 1)
}

#[test]
fn the_example_loads_with_everything_in_its_final_type() {
    let Loaded { config, policy, warnings } = load(SERVER, POLICY).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.server.listen.port(), 8080);
    assert_eq!(config.server.public_base(), "https://countersign.harbour.example");
    assert_eq!(config.database.file, Path::new("countersign.db"));
    assert_eq!(config.slack.first.api_base(), "https://slack.com/api");
    assert_eq!(config.slack.first.bot_token.expose_secret(), "xoxb-not-a-real-token");
    let hooks: Vec<_> = config.hooks.iter().map(|h| (h.name.as_str(), h.dialect, h.hold.as_secs())).collect();
    assert_eq!(
        hooks,
        [
            ("berths", Dialect::Generic, 25),
            ("customs", Dialect::Generic, 25),
            ("hydra", Dialect::Hydra, 8),
            ("authzen", Dialect::Authzen, 25),
        ]
    );
    assert!(matches!(&config.hooks[0].auth, HookAuth::Webhook(secrets) if secrets.len() == 1));
    assert!(matches!(&config.hooks[2].auth, HookAuth::ApiKey { header, .. } if header == "x-countersign-key"));
    assert_eq!(config.slack.first.directory.users.len(), 3);
    assert_eq!(config.api_keys[0].role, Role::Operator);
    assert_eq!(policy.rules.len(), 5);
    assert_eq!(policy.usual_channels.values().next().unwrap().as_str(), "C0GATE");
}

#[test]
fn what_an_ask_does_not_say_is_the_usual() {
    let policy = load(SERVER, POLICY).unwrap().policy;
    let Outcome::Ask(ask) = &policy.rules[2].outcome else { panic!("not an ask") };
    assert_eq!((ask.decide_within, ask.ceremony), (1_800, Ceremony::Click));
    assert_eq!((ask.bounds.collect_within, ask.bounds.max_token_lifetime), (900, 600));
    assert_eq!(ask.bounds.uses, Uses::Window);
    let bare = policy_file::parse("policy.toml", "").unwrap();
    assert_eq!(bare.limits.denial_cooldown, 600);
    assert_eq!(bare.warnings, ["There is no rule: every request is refused."]);
}

#[test]
fn secrets_come_from_files_too_and_several_are_accepted_during_a_rotation() {
    let server =
        with(SERVER, "bearer = { env = \"PEP_TOKEN\" }", "bearer = [{ env = \"PEP_TOKEN\" }, { file = \"next\" }]");
    let folder = folder(&server, POLICY);
    fs::write(folder.path().join("next"), "the-next-token-of-all\r\n").unwrap();
    let config = load_in(folder.path()).unwrap().config;
    let HookAuth::Bearer(tokens) = &config.hooks[3].auth else { panic!("not a bearer") };
    let tokens: Vec<_> = tokens.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(tokens, ["PEP_TOKEN-PEP_TOKEN-value", "the-next-token-of-all"]);
}

#[test]
fn no_secret_is_ever_shown() {
    let loaded = load(SERVER, POLICY).unwrap();
    let shown = format!("{loaded:?}{}", describe(&loaded.config, &loaded.policy));
    for secret in ["xoxb-not", "0123456789abcdef", "whsec_", "PEP_TOKEN-"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    for (passage, mistake) in [
        ("bot_token = { env = \"SLACK_BOT_TOKEN\" }", "bot_token = \"xoxb-hidden\""),
        ("bot_token = { env = \"SLACK_BOT_TOKEN\" }", "bot_token = { env = \"xoxb-hidden\" }"),
        ("bot_token = { env = \"SLACK_BOT_TOKEN\" }", "bot_token = { value = \"xoxb-hidden\" }"),
        ("bot_token = { env = \"SLACK_BOT_TOKEN\" }", "bot_tokn = \"xoxb-hidden\""),
        ("signing_secrets = [{ env = \"SLACK_SIGNING_SECRET\" }]", "signing_secrets = [\"xoxb-hidden\"]"),
        ("value = { env = \"HYDRA_HOOK_KEY\" }", "value = \"xoxb-hidden\""),
        ("admin_url = \"http://127.0.0.1:4445\"", "admin_url = \"ftp://admin:xoxb-hidden@host\""),
        ("url = \"sqlite://countersign.db\"", "url = \"postgres://me:xoxb-hidden@host/db\""),
        ("role = \"operator\", sha256 = \"", "role = \"operator\", sha256 = \"xoxb-hidden"),
    ] {
        let errors = load(&with(SERVER, passage, mistake), POLICY).expect_err(mistake);
        assert!(!format!("{errors} {errors:?}").contains("hidden"), "{mistake}: {errors}");
    }
}

#[test]
fn every_mistake_in_how_it_runs_is_told_with_its_key_and_what_is_allowed() {
    for (passage, mistake, told) in [
        ("[server]", "[server", "countersign.toml:9: found a mistake in the TOML"),
        (
            "listen = \"127.0.0.1:8080\"",
            "listen = \"localhost\"",
            "countersign.toml:10: server.listen: found \"localhost\"; allowed: an IP address and a port",
        ),
        ("listen =", "lisen =", "server.lisen: found an unknown key; allowed: listen, public_url"),
        ("listen =", "lisen =", "server.listen: found nothing; allowed: an IP address"),
        (
            "[server]",
            "[serve]",
            "serve: found an unknown key; allowed: api, database, hook, identity, policy, server, slack",
        ),
        ("public_url = \"https://", "public_url = \"ssh://", "server.public_url: found \"ssh://countersign"),
        (
            "sqlite://countersign.db",
            "postgres://me@host/db",
            "database.url: found \"postgres://…@host/db\"; allowed: an SQLite file like \"sqlite://countersign.db\"; this version has no other",
        ),
        ("sqlite://countersign.db", "sqlite::memory:", "database.url: found \"sqlite::memory:\""),
        ("file = \"policy.toml\"", "file = \"elsewhere.toml\"", "elsewhere.toml: found no readable text file"),
        (
            "team_id = \"T0HARBOUR\"",
            "team_id = \"harbour\"",
            "slack.team_id: found \"harbour\"; allowed: a Slack workspace id",
        ),
        ("channel = \"C0GATE\"", "channel = \"#gate\"", "slack.channel: found \"#gate\"; allowed: a Slack channel id"),
        ("command = \"/access\"", "command = \"access\"", "slack.command: found \"access\"; allowed: a slash command"),
        (
            "# api_url = \"https://slack.com/api\"",
            "api_url = \"http://slack.example/api\"",
            "slack.api_url: found \"http://slack.example/api\"; allowed: an https address",
        ),
        (
            "command =",
            "app_token = { env = \"SLACK_APP_TOKEN\" }\ncommand =",
            "slack.app_token: found no environment variable SLACK_APP_TOKEN; allowed: at least 16 characters",
        ),
        (
            "{ env = \"SLACK_BOT_TOKEN\" }",
            "{ env = \"NOWHERE\" }",
            "slack.bot_token: found no environment variable NOWHERE; allowed: at least 16 characters",
        ),
        ("{ env = \"SLACK_BOT_TOKEN\" }", "{ env = \"EMPTY\" }", "slack.bot_token: found an empty secret"),
        ("{ env = \"SLACK_BOT_TOKEN\" }", "{ env = \"SHORT\" }", "slack.bot_token: found a secret of 5 characters"),
        ("{ env = \"SLACK_BOT_TOKEN\" }", "{ file = \"gone\" }", "gone (entity not found)"),
        (
            "{ env = \"SLACK_BOT_TOKEN\" }",
            "\"xoxb\"",
            "slack.bot_token: found a text; allowed: { env = \"NAME\" } or { file = \"path\" }",
        ),
        (
            "{ env = \"SLACK_BOT_TOKEN\" }",
            "{ env = \"A\", file = \"b\" }",
            "slack.bot_token: found a table with env, file",
        ),
        ("[{ env = \"SLACK_SIGNING_SECRET\" }]", "[]", "slack.signing_secrets: found an empty list"),
        ("name = \"customs\"", "name = \"berths\"", "hook.\"berths\".name: found \"berths\" for the second time"),
        ("name = \"customs\"", "name = \"Customs desk\"", "allowed: a hook's name (1 to 40 of a-z"),
        (
            "dialect = \"hydra\"",
            "dialect = \"keycloak\"",
            "hook.\"hydra\".dialect: found \"keycloak\"; allowed: \"generic\", \"hydra\", \"authzen\"",
        ),
        (
            "hold = \"8s\"",
            "hold = \"9s\"",
            "hook.\"hydra\".hold: found \"9s\"; allowed: a time of at most \"8s\": Hydra closes its client's connection after 10 s",
        ),
        (
            "hold = \"25s\"",
            "hold = \"61s\"",
            "hook.\"berths\".hold: found \"61s\"; allowed: a time like \"25s\", at most \"60s\"",
        ),
        ("hold = \"25s\"", "hold = \"0s\"", "hook.\"berths\".hold: found \"0s\""),
        ("hold = \"25s\"", "hold = 25", "hook.\"berths\".hold: found the number 25"),
        (
            "bearer = { env = \"CUSTOMS_HOOK_TOKEN\" }",
            "",
            "hook.\"customs\": found no authentication; allowed: exactly one of: secret, bearer",
        ),
        (
            "bearer = { env = \"CUSTOMS_HOOK_TOKEN\" }",
            "bearer = { env = \"PEP_TOKEN\" }\nsecret = { env = \"BERTHS_HOOK_SECRET\" }",
            "hook.\"customs\": found secret and bearer; allowed: exactly one of",
        ),
        (
            "bearer = { env = \"PEP_TOKEN\" }",
            "secret = { env = \"BERTHS_HOOK_SECRET\" }",
            "hook.\"authzen\": found secret with the dialect authzen; allowed: exactly one of: bearer",
        ),
        (
            "secret = { env = \"BERTHS_HOOK_SECRET\" }",
            "secret = { env = \"PEP_TOKEN\" }",
            "hook.\"berths\".secret: found a secret of another form; allowed: Standard Webhooks",
        ),
        ("header = \"X-Countersign-Key\"", "header = \"X Key\"", "hook.\"hydra\".api_key.header: found \"X Key\""),
        ("dialect = \"generic\"", "dialect = \"authzen\"", "hook.\"berths\": found secret with the dialect authzen"),
        (
            "name = \"customs\"\ndialect = \"generic\"",
            "name = \"customs\"\ndialect = \"authzen\"",
            "hook.\"authzen\".dialect: found a second authzen hook",
        ),
        (
            "hold = \"25s\"",
            "admin_url = \"http://127.0.0.1\"",
            "hook.\"berths\".admin_url: found an admin address; allowed: only where the dialect is \"hydra\"",
        ),
        ("email = \"off\"", "email = \"on\"", "identity.email: found \"on\"; allowed: \"off\", \"verified\""),
        ("\"U0MIRA\" =", "\"mira\" =", "identity.users.mira: found \"mira\"; allowed: a Slack user id"),
        ("\"mira@harbour.example\"", "\" \"", "identity.users.U0MIRA: found \" \"; allowed: a text that is not empty"),
        (
            "role = \"operator\"",
            "role = \"admin\"",
            "api.keys.\"harbour-master\".role: found \"admin\"; allowed: \"viewer\", \"operator\"",
        ),
        (
            "sha256 = \"",
            "sha256 = \"0",
            "api.keys.\"harbour-master\".sha256: found something else; allowed: the SHA-256",
        ),
    ] {
        let errors = load(&with(SERVER, passage, mistake), POLICY).expect_err(mistake).to_string();
        assert!(errors.contains(told), "{mistake}\n  told:   {errors}\n  wanted: {told}");
    }
}

#[test]
fn all_mistakes_of_both_files_are_told_at_once() {
    let server = with(&with(SERVER, "T0HARBOUR", "harbour"), "hold = \"8s\"", "hold = \"9s\"");
    let policy = with(POLICY, "approvals = 2", "approvals = 0");
    let ConfigErrors(errors) = load(&server, &policy).unwrap_err();
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    let expected = ["slack.team_id", "hook.\"hydra\".hold", "rule.\"releasing cargo takes two\".ask.approvals"];
    assert_eq!(keys, expected);
}

#[test]
fn check_prints_what_was_understood() {
    let loaded = load(SERVER, POLICY).unwrap();
    let text = describe(&loaded.config, &loaded.policy);
    for line in [
        "hook         berths speaks generic, Standard Webhooks signature, held up to 25s",
        "hook         hydra speaks hydra, key in the header x-countersign-key, held up to 8s, admin API at http://127.0.0.1:4445/",
        "approvers    customs-officers: U0NILS, U0OLGA",
        "  4. moving ships",
        "       ask 2 people of customs-officers",
        "       a reason that matches SHIP-[0-9]+ is required",
        "       for up to 30m, tokens up to 5m, one token, collected within 15m, decided within 30m by a click and a dialog that repeats scope and time",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
}

const SECOND: &str = "\n[[slack]]\nname = \"customs\"\nteam_id = \"T0CUSTOMS\"\napp_id = \"A0STAMPS\"\nchannel = \"C0STAMPS\"\n\
    bot_token = { env = \"SLACK_BOT_TOKEN\" }\nsigning_secrets = [{ env = \"SLACK_SIGNING_SECRET\" }]\n\
    [slack.users]\n\"U0MIRA\" = \"otto@customs.example\"\n\n";

/// The example with a second workspace, which one hook names.
fn with_two_workspaces() -> String {
    let server = with(SERVER, "[slack]\n", "[[slack]]\nname = \"harbour\"\n");
    let server = server.replacen("\n[[hook]]", &format!("{SECOND}[[hook]]"), 1);
    with(&server, "name = \"customs\"\ndialect", "name = \"customs\"\nslack = \"customs\"\ndialect")
}

#[test]
fn several_workspaces_each_have_their_own_and_a_hook_names_one() {
    let Loaded { config, policy, warnings } = load(&with_two_workspaces(), POLICY).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let names: Vec<&str> = config.slack.all().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["harbour", "customs"]);
    let teams: Vec<&str> = config.hooks.iter().map(|hook| hook.workspace.as_str()).collect();
    let of = |name: &str| if name == "customs" { "T0CUSTOMS" } else { "T0HARBOUR" };
    assert_eq!(teams, config.hooks.iter().map(|hook| of(hook.name.as_str())).collect::<Vec<_>>());
    // The same id in both is two people.
    let mira = SlackUserId::parse("U0MIRA").unwrap();
    let who = |one: &Slack| one.directory.users[&mira].to_string();
    assert_eq!(config.slack.all().map(who).collect::<Vec<_>>(), ["mira@harbour.example", "otto@customs.example"]);
    let usual = |name: &str| policy.usual_channels[&HookName::parse(name).unwrap()].to_string();
    assert_eq!((usual("berths"), usual("customs")), ("C0GATE".to_owned(), "C0STAMPS".to_owned()));
    // A single table goes on without a name.
    let alone = load(SERVER, POLICY).unwrap().config.slack;
    assert_eq!((alone.first.name.as_str(), alone.others.len()), ("t0harbour", 0));
}

#[test]
fn workspaces_that_cannot_be_told_apart_are_refused_and_each_mistake_is_named() {
    let token = "app_token = { env = \"SLACK_BOT_TOKEN\" }";
    for (passage, mistake, told) in [
        ("name = \"harbour\"\n", "", "slack[1].name: found nothing; allowed: a name for it, which hooks can say"),
        (
            "name = \"harbour\"",
            "name = \"Harbour\"",
            "slack.\"Harbour\".name: found \"Harbour\"; allowed: a workspace's name",
        ),
        ("name = \"harbour\"", "name = \"customs\"", "slack.\"customs\".name: found \"customs\" for the second time"),
        ("T0CUSTOMS", "T0HARBOUR", "slack.\"customs\".team_id: found \"T0HARBOUR\" for the second time"),
        (
            "slack = \"customs\"",
            "slack = \"custom\"",
            "hook.\"customs\".slack: found \"custom\"; allowed: the name of a workspace: \"customs\", \"harbour\"",
        ),
        ("slack = \"customs\"", "slack = 7", "hook.\"customs\".slack: found the number 7"),
        ("channel = \"C0STAMPS\"", "", "slack.\"customs\".channel: found nothing"),
        ("\"otto@customs.example\"", "\"\"", "slack.\"customs\".users.U0MIRA: found \"\""),
        ("channel = \"C0STAMPS\"", "channel = \"C0STAMPS\"\nport = 1", "slack.\"customs\".port: found an unknown key"),
    ] {
        let errors = load(&with(&with_two_workspaces(), passage, mistake), POLICY).expect_err(mistake).to_string();
        assert!(errors.contains(told), "{mistake}\n  told:   {errors}\n  wanted: {told}");
    }
    let same_app = with(&with_two_workspaces(), "A0STAMPS", "A0HARBOURCS");
    load(&same_app, POLICY).expect("one app may be installed in both");
    let one_socket = with(&same_app, "channel = \"C0STAMPS\"", &format!("channel = \"C0STAMPS\"\n{token}"));
    let errors = load(&one_socket, POLICY).unwrap_err().to_string();
    assert!(errors.contains("one workspace of the app A0HARBOURCS with an app_token and one without"), "{errors}");
    let many = format!("channel = \"C0STAMPS\"\n{token}\nconnections = 6");
    let many = with(&same_app, "channel = \"C0STAMPS\"", &many);
    let many = with(&many, "name = \"harbour\"", &format!("name = \"harbour\"\n{token}\nconnections = 6"));
    let errors = load(&many, POLICY).unwrap_err().to_string();
    assert!(errors.contains("12 connections of the app A0HARBOURCS in all; allowed: at most 10"), "{errors}");
    let wide = "\nenterprise_id = \"E0PORT\"";
    let both = with(&with_two_workspaces(), "\"T0CUSTOMS\"", &format!("\"T0CUSTOMS\"{wide}"));
    let both = with(&both, "\"T0HARBOUR\"", &format!("\"T0HARBOUR\"{wide}"));
    let errors = load(&both, POLICY).unwrap_err().to_string();
    assert!(errors.contains("enterprise_id: found \"E0PORT\" for the second time"), "{errors}");
    for empty in ["slack = []\n[server]", "slack = 7\n[server]"] {
        let server = with(&with_two_workspaces().replace("[[slack]]", "[[slacks]]"), "[server]", empty);
        assert!(load(&server, POLICY).is_err());
    }
}
