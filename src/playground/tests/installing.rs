//! Several workspaces, organizations, and people of other companies.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Stage, card, hmac_sha256_hex, stage};
use crate::playground::workspace::{Channel, ChannelKind, Group, Install, Organization, Person, Team};
use crate::playground::{Installation, Workspace};

const OTHER_TOKEN: &str = "stand-in-token-of-globex";

fn team(id: &str, name: &str) -> Team {
    Team { id: id.to_owned(), domain: name.to_lowercase(), name: name.to_owned() }
}

fn channel(id: &str, members: &[&str]) -> Channel {
    Channel {
        id: id.to_owned(),
        name: id.to_lowercase(),
        kind: ChannelKind::Channel,
        members: members.iter().map(|one| (*one).to_owned()).collect(),
        is_ext_shared: false,
        is_archived: false,
    }
}

fn globex() -> Workspace {
    let bot = Person { is_bot: true, ..Person::member("T0GLOBEX", "U0SEAL", "Seal", "globex.example") };
    let people = vec![Person::member("T0GLOBEX", "U0HANK", "Hank Scorpio", "globex.example"), bot];
    let mut workspace = Workspace::new(team("T0GLOBEX", "Globex"), "A0SEAL", "U0SEAL", people);
    workspace.channels.insert("C0GLOBEX".to_owned(), channel("C0GLOBEX", &["U0HANK", "U0SEAL"]));
    workspace
}

/// A stand-in with a second installation.
async fn with(workspace: Workspace) -> Stage {
    let stage = stage().await;
    let secret = SecretString::from("the-signing-secret-of-globex");
    stage.playground.install(Installation::new(secret, SecretString::from(OTHER_TOKEN), workspace));
    stage
}

async fn other(stage: &Stage, method: &str, arguments: Value) -> Value {
    let call = stage.http.post(format!("{}/api/{method}", stage.url)).bearer_auth(OTHER_TOKEN).json(&arguments);
    call.send().await.expect("an answer").json().await.expect("JSON")
}

#[tokio::test]
async fn each_workspace_has_its_own_token_people_and_signature() {
    let mut stage = with(globex()).await;
    assert_eq!(other(&stage, "auth.test", json!({})).await["team_id"], "T0GLOBEX");
    assert_eq!(stage.slack("auth.test", json!({})).await["team_id"], "T0ACME");
    assert_eq!(other(&stage, "users.info", json!({ "user": "U0BOB" })).await["error"], "user_not_found");
    assert_eq!(other(&stage, "chat.postMessage", card("C0APPROVALS")).await["error"], "channel_not_found");
    let ts = other(&stage, "chat.postMessage", card("C0GLOBEX")).await["ts"].clone();
    let click =
        json!({ "as": "U0HANK", "channel": "C0GLOBEX", "ts": ts, "block_id": "decide", "action_id": "approve" });
    assert_eq!(stage.page("/page/click", click).await.1["delivered"], true);
    let got = stage.next().await;
    let base = format!("v0:{}:{}", got.header("x-slack-request-timestamp"), got.body);
    let expected = hmac_sha256_hex(b"the-signing-secret-of-globex", base.as_bytes());
    assert_eq!(got.header("x-slack-signature"), format!("v0={expected}"));
    let payload = got.payload();
    assert_eq!((&payload["team"]["id"], &payload["api_app_id"]), (&json!("T0GLOBEX"), &json!("A0SEAL")));
    let view =
        json!({ "type": "modal", "title": { "type": "plain_text", "text": "t" }, "blocks": [{ "type": "divider" }] });
    let open = json!({ "trigger_id": payload["trigger_id"], "view": view });
    assert_eq!(stage.slack("views.open", open.clone()).await["error"], "invalid_trigger_id", "Acme cannot use it");
    assert_eq!(other(&stage, "views.open", open).await["ok"], true);
    stage.page("/page/admin", json!({ "do": "uninstall", "team": "T0GLOBEX" })).await;
    assert_eq!(other(&stage, "auth.test", json!({})).await["error"], "account_inactive");
    assert_eq!(stage.slack("auth.test", json!({})).await["ok"], true, "Acme goes on");
}

fn grid(install: Install) -> Workspace {
    let mut workspace = globex();
    let sales = Person::member("T0SALES", "W0SALLY", "Sally Sales", "globex.example");
    workspace.people.insert(sales.id.clone(), sales);
    let eve = Person::member("T0PARTNER", "U0EVE", "Eve Ellis", "partner.example");
    workspace.people.insert(eve.id.clone(), eve);
    workspace.partners.push(team("T0PARTNER", "Partner"));
    workspace.organization = Some(Organization {
        id: "E0GLOBEX".to_owned(),
        domain: "globex".to_owned(),
        name: "Globex".to_owned(),
        teams: vec![team("T0SALES", "Sales")],
        install,
    });
    workspace.channels.insert("C0ORG".to_owned(), channel("C0ORG", &["U0HANK", "W0SALLY", "U0EVE", "U0SEAL"]));
    for (id, home) in [("S0HOME", None), ("S0SALES", Some("T0SALES"))] {
        let users = vec!["U0HANK".to_owned(), "W0SALLY".to_owned()];
        let group = Group { id: id.to_owned(), handle: id.to_lowercase(), name: id.to_owned(), users };
        workspace.groups.insert(id.to_owned(), group);
        if let Some(home) = home {
            workspace.elsewhere.insert(id.to_owned(), home.to_owned());
        }
    }
    workspace
}

#[tokio::test]
async fn an_organization_wide_installation_names_no_team_in_what_it_sends() {
    let mut stage = with(grid(Install::OrganizationWide)).await;
    let who = other(&stage, "auth.test", json!({})).await;
    assert_eq!((&who["team_id"], &who["enterprise_id"]), (&json!("E0GLOBEX"), &json!("E0GLOBEX")));
    assert_eq!(who["is_enterprise_install"], true);
    let ts = other(&stage, "chat.postMessage", card("C0ORG")).await["ts"].clone();
    let click = |person: &str| json!({ "as": person, "team": "E0GLOBEX", "channel": "C0ORG", "ts": ts, "block_id": "decide", "action_id": "approve" });
    stage.page("/page/click", click("W0SALLY")).await;
    let payload = stage.next().await.payload();
    assert_eq!((&payload["team"], &payload["is_enterprise_install"]), (&Value::Null, &json!(true)));
    assert_eq!(payload["enterprise"], json!({ "id": "E0GLOBEX", "name": "Globex" }));
    assert_eq!(payload["user"]["team_id"], "T0SALES");
    stage.page("/page/click", click("U0EVE")).await;
    let payload = stage.next().await.payload();
    assert_eq!(
        (&payload["team"]["id"], &payload["enterprise"]),
        (&json!("T0PARTNER"), &Value::Null),
        "the other side's"
    );
    let command = json!({ "as": "W0SALLY", "team": "E0GLOBEX", "channel": "C0ORG", "command": "/access" });
    stage.page("/page/command", command).await;
    let form: std::collections::HashMap<String, String> =
        serde_urlencoded::from_str(&stage.next().await.body).expect("a form");
    assert_eq!((form["team_id"].as_str(), form["enterprise_id"].as_str()), ("T0SALES", "E0GLOBEX"));
    assert_eq!(form["is_enterprise_install"], "true");
    stage.page("/page/home", json!({ "as": "W0SALLY", "team": "E0GLOBEX" })).await;
    let event: Value = serde_json::from_str(&stage.next().await.body).expect("JSON");
    let authorization = &event["authorizations"][0];
    assert_eq!((&authorization["team_id"], &authorization["enterprise_id"]), (&Value::Null, &json!("E0GLOBEX")));
    assert_eq!(authorization["is_enterprise_install"], true);
}

#[tokio::test]
async fn a_token_of_the_organization_must_say_which_workspace_it_means() {
    let stage = with(grid(Install::OrganizationWide)).await;
    for method in ["usergroups.list", "users.list", "conversations.list"] {
        assert_eq!(other(&stage, method, json!({})).await["error"], "missing_argument", "{method}");
        let elsewhere = json!({ "team_id": "T0ELSEWHERE" });
        assert_eq!(other(&stage, method, elsewhere).await["error"], "team_access_not_granted", "{method}");
        assert_eq!(other(&stage, method, json!({ "team_id": "T0SALES" })).await["ok"], true, "{method}");
    }
    let groups = other(&stage, "usergroups.list", json!({ "team_id": "T0SALES", "include_users": true })).await;
    assert_eq!(groups["usergroups"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&groups["usergroups"][0]["id"], &groups["usergroups"][0]["team_id"]),
        (&json!("S0SALES"), &json!("T0SALES"))
    );
    let members = json!({ "usergroup": "S0SALES" });
    assert_eq!(other(&stage, "usergroups.users.list", members).await["error"], "missing_argument");
    let members = json!({ "usergroup": "S0SALES", "team_id": "T0GLOBEX" });
    assert_eq!(other(&stage, "usergroups.users.list", members).await["error"], "no_such_subteam");
    let sally = other(&stage, "users.info", json!({ "user": "W0SALLY" })).await;
    assert_eq!(sally["user"]["enterprise_user"]["enterprise_id"], "E0GLOBEX");
    assert_eq!(sally["user"]["enterprise_user"]["teams"], json!(["T0SALES"]));
}

#[tokio::test]
async fn a_workspace_of_an_organization_that_installed_for_itself_is_named() {
    let mut stage = with(grid(Install::Workspace)).await;
    assert_eq!(other(&stage, "auth.test", json!({})).await["team_id"], "T0GLOBEX");
    assert_eq!(other(&stage, "usergroups.list", json!({})).await["ok"], true);
    let ts = other(&stage, "chat.postMessage", card("C0ORG")).await["ts"].clone();
    let click = json!({ "as": "W0SALLY", "team": "T0GLOBEX", "channel": "C0ORG", "ts": ts, "block_id": "decide", "action_id": "approve" });
    stage.page("/page/click", click).await;
    let payload = stage.next().await.payload();
    assert_eq!((&payload["team"]["id"], &payload["team"]["enterprise_id"]), (&json!("T0SALES"), &json!("E0GLOBEX")));
    assert_eq!(payload["is_enterprise_install"], false);
    let ours = json!({ "user_id": "W0SALLY", "view": { "type": "home", "blocks": [{ "type": "divider" }] } });
    let view = other(&stage, "views.publish", ours).await["view"].clone();
    assert_eq!((&view["team_id"], &view["app_installed_team_id"]), (&json!("T0SALES"), &json!("T0GLOBEX")));
}
