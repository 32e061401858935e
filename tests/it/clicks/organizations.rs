//! The same where the workspaces of one organization share the app, or one of them has it alone.

use countersign::playground::workspace::{Install, Organization, Person, Team};
use serde_json::json;

use super::{NEVER, OUTSIDER, WHO_CAN, over, play, row};
use crate::support::asking::{Answer, alice};
use crate::support::world::LEDGER;
use crate::support::{Stage, TestApp, seconds};

/// The configuration of an app in an organization, or in one workspace of it.
fn in_an_organization(install: Install) -> Stage {
    let stage = TestApp::stage().change_config(
        "\"U0BOB\" =",
        "\"U0SALLY\" = \"sally@example.com\"\n\"W0SIMON\" = \"simon@example.com\"\n\"W0ALICE\" = \"alice@example.com\"\n\
         \"U0GUEST\" = \"guest@example.com\"\n\"U0BOB\" =",
    );
    match install {
        Install::Workspace => stage,
        Install::OrganizationWide => {
            stage.change_config("team_id = \"T0ACME\"", "team_id = \"T0ACME\"\nenterprise_id = \"E0ACME\"")
        }
    }
}

/// An organization with a workspace for sales. All but Simon are in the approvers' group.
fn arrange(app: &TestApp, install: Install) {
    app.playground.arrange(|workspace| {
        let sales = Team { id: "T0SALES".to_owned(), domain: "sales".to_owned(), name: "Sales".to_owned() };
        workspace.organization = Some(Organization {
            id: "E0ACME".to_owned(),
            domain: "acme".to_owned(),
            name: "Acme".to_owned(),
            teams: vec![sales],
            install,
        });
        let of_sales = |id: &str, name: &str| Person::member("T0SALES", id, name, "example.com");
        let all = [
            of_sales("U0SALLY", "Sally Sales"),
            of_sales("W0SIMON", "Simon Sales"),
            of_sales("W0ALICE", "Alice At Sales"),
            Person { is_ultra_restricted: true, ..of_sales("U0GUEST", "Gus Guest") },
        ];
        for person in all {
            if let Some(leads) = workspace.groups.get_mut("S0LEADS")
                && person.id != "W0SIMON"
            {
                leads.users.push(person.id.clone());
            }
            for channel in workspace.channels.values_mut() {
                channel.members.push(person.id.clone());
            }
            workspace.people.insert(person.id.clone(), person);
        }
    });
}

/// The app is installed in all of it.
async fn organization() -> TestApp {
    let app = in_an_organization(Install::OrganizationWide).start().await;
    arrange(&app, Install::OrganizationWide);
    app
}

#[tokio::test]
async fn in_an_organization_members_of_every_workspace_decide_and_nobody_of_another_does() {
    let app = organization().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = &app.card(LEDGER).await;
    let theirs = over(json!({ "team": null, "enterprise": { "id": "E0PARTNER" } }));
    for row in [
        row("a partner", "U0EVE", json!({}), "other_workspace", OUTSIDER),
        row(
            "another organization",
            "U0BOB",
            over(json!({ "enterprise": { "id": "E0OTHER" } })),
            "other_workspace",
            OUTSIDER,
        ),
        row("no organization", "U0BOB", json!({ "remove": ["/enterprise"] }), "other_workspace", OUTSIDER),
        row("no workspace", "U0BOB", json!({ "remove": ["/user/team_id"] }), "other_workspace_user", OUTSIDER),
        row(
            "a partner who says to be of the organization",
            "U0EVE",
            over(json!({ "team": null, "enterprise": { "id": "E0ACME" }, "user": { "team_id": "T0SALES" } })),
            "other_workspace_user",
            OUTSIDER,
        ),
        row("a partner of another organization", "U0EVE", theirs, "other_workspace", OUTSIDER),
        row("another app of the organization", "U0BOB", over(json!({ "api_app_id": "A0OTHER" })), "other_app", WHO_CAN),
        row("no user", "U0BOB", json!({ "remove": ["/user"] }), "no_user", None),
        row("a guest", "U0GREG", json!({}), "guest", NEVER),
        row("a guest of a sister workspace", "U0GUEST", json!({}), "guest", NEVER),
        row("an app", "U0ROBO", json!({}), "bot", NEVER),
        row("somebody deactivated", "U0GONE", json!({}), "deactivated", NEVER),
        row("the requester", "U0ALICE", json!({}), "own_request", WHO_CAN),
        row("the requester's account in a sister workspace", "W0ALICE", json!({}), "own_request", WHO_CAN),
        row("a colleague in no approver set", "U0NORA", json!({}), "not_an_approver", WHO_CAN),
        row("a colleague of a sister workspace in no approver set", "W0SIMON", json!({}), "not_an_approver", WHO_CAN),
        row("a colleague who is not in the directory", "U0UMA", json!({}), "not_mapped", Some("not mapped")),
    ] {
        app.clock.advance(seconds(10));
        play(&app, card, &row).await;
    }
    app.approve("U0SALLY", card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn where_one_workspace_of_an_organization_has_the_app_its_sisters_decide_nothing() {
    let app = in_an_organization(Install::Workspace).start().await;
    arrange(&app, Install::Workspace);
    app.ask(&alice("ledger:write")).await.pending();
    let card = &app.card(LEDGER).await;
    let as_ours = over(json!({ "team": { "id": "T0ACME" }, "user": { "team_id": "T0ACME" } }));
    for row in [
        row("a member of a sister workspace in a shared channel", "U0SALLY", json!({}), "other_workspace", OUTSIDER),
        row(
            "the same, team named as ours",
            "U0SALLY",
            over(json!({ "team": { "id": "T0ACME" } })),
            "other_workspace_user",
            OUTSIDER,
        ),
        row("the same, everything named as ours", "U0SALLY", as_ours, "other_workspace_user", OUTSIDER),
        row(
            "the organization instead of a workspace",
            "U0SALLY",
            over(json!({ "team": null })),
            "other_workspace_user",
            OUTSIDER,
        ),
        row("a partner", "U0EVE", json!({}), "other_workspace", OUTSIDER),
        row("a guest", "U0GREG", json!({}), "guest", NEVER),
    ] {
        app.clock.advance(seconds(10));
        play(&app, card, &row).await;
    }
    app.approve("U0BOB", card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn an_event_counts_where_it_names_the_organization_of_the_app() {
    let app = organization().await;
    let degraded = async || Answer::of(app.http.get(app.url("/readyz"))).await.body["degraded"].clone();
    for (n, enterprise, means_us) in [(1, json!("E0OTHER"), false), (2, json!(null), false), (3, json!("E0ACME"), true)]
    {
        let event = json!({
            "type": "event_callback", "team_id": "T0SALES", "enterprise_id": enterprise, "api_app_id": "A0COUNTERSIGN",
            "event_id": format!("Ev{n}"), "event": { "type": "app_uninstalled" },
        });
        let raw = json!({ "path": "/slack/events", "content_type": "application/json", "body": event.to_string() });
        assert_eq!(app.page("/page/raw", raw).await["status"], 200);
        app.settle().await;
        assert_eq!(degraded().await == json!(["slack_token"]), means_us, "{enterprise}");
    }
}
