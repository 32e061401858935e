//! `openapi.json` says what is there: every door and no other, each of them with answers that look as they are
//! described.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::deployment::{Deployment, HOOK_TOKEN, OPERATOR_KEY, PEP_TOKEN, VIEWER_KEY};

const POLICY: &str = r#"
[approvers.payments-leads]
slack_groups = ["S0PAYLEADS"]
[[rule]]
name = "reads are free"
when = 'scope.endsWith(":read")'
allow = { max_duration = "8h" }
[[rule]]
name = "refunds"
when = 'scope == "payments:refund"'
ask = { approvers = ["payments-leads"], approvals = 1, max_duration = "2h" }
[limits]
pending_per_subject = 1
"#;

fn document() -> Value {
    serde_json::from_str(include_str!("../../src/http/openapi.json")).unwrap()
}

/// The doors as the router has them: `METHOD /path`.
fn routes() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut routes = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        for route in std::fs::read_to_string(&file).unwrap().split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            let handlers = &route[..route.find('\n').unwrap()];
            let methods = ["get", "post", "put", "patch", "delete"].into_iter();
            let known: Vec<String> = methods
                .filter(|method| {
                    handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(").{method}("))
                })
                .map(|method| format!("{} {path}", method.to_uppercase()))
                .collect();
            assert!(!known.is_empty(), "no method was found in .route({handlers}");
            routes.extend(known);
        }
    }
    routes
}

#[test]
fn the_document_lists_every_door_and_no_other() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(routes(), described, "left: the router; right: openapi.json");
}

#[test]
fn the_document_knows_every_kind_of_audit_entry() {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain/audit.rs")).unwrap();
    let kinds = source.split("#[serde(rename = \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let described = document()["components"]["schemas"]["AuditEntry"]["properties"]["kind"]["enum"].clone();
    let described: BTreeSet<String> = serde_json::from_value(described).unwrap();
    assert_eq!(kinds.collect::<BTreeSet<_>>(), described, "left: the code; right: openapi.json");
}

#[test]
fn every_operation_says_who_may_call_it_and_every_reference_leads_somewhere() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let which = format!("{method} {path}");
            assert!(operation["security"].is_array(), "{which} does not say who may call it");
            assert!(operation["summary"].is_string(), "{which} has no summary");
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{which}: name taken");
            for parameter in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                let declared = item["parameters"].as_array().unwrap().iter();
                let declared: Vec<_> = declared.map(|parameter| &resolved(&document, parameter)["name"]).collect();
                assert!(declared.contains(&&json!(parameter)), "{which}: {parameter} is not declared");
            }
        }
    }
    check_references(&document, &document);
}

fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref") {
                assert!(!resolved(document, value).is_null(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| check_references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap_or(&Value::Null),
        None => value,
    }
}

/// What a value says that its schema does not, or the other way round. Only what this document uses is understood.
fn mismatch(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = resolved(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let misses: Vec<String> = choices.iter().map_while(|choice| mismatch(document, choice, value, at)).collect();
        return (misses.len() == choices.len()).then(|| misses.join(" / "));
    }
    if let Some(expected) = schema.get("const")
        && expected != value
    {
        return Some(format!("{at} is {value}, not {expected}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Some(format!("{at} is {value}, none of {words:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(one) if one != kind => return Some(format!("{at} is {kind}, not {one}")),
        Value::Array(several) if !several.contains(&json!(kind)) => {
            return Some(format!("{at} is {kind}, none of {several:?}"));
        }
        _ => {}
    }
    match value {
        Value::Object(members) => {
            let (known, required) = (&schema["properties"], schema["required"].as_array());
            let missing = required.into_iter().flatten().find(|name| !members.contains_key(name.as_str().unwrap()));
            let open = known.is_null() || schema["additionalProperties"] == json!(true);
            let unknown = members.keys().find(|name| !open && known.get(name).is_none());
            let wrong = || {
                members
                    .iter()
                    .find_map(|(name, member)| mismatch(document, known.get(name)?, member, &format!("{at}.{name}")))
            };
            let missing = missing.map(|name| format!("{at} lacks {name}"));
            missing.or_else(|| unknown.map(|name| format!("{at} has {name}, which is not described"))).or_else(wrong)
        }
        Value::Array(items) => items.iter().find_map(|item| mismatch(document, &schema["items"], item, at)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Calls doors and holds each answer against the document.
struct Caller {
    document: Value,
    service: String,
    http: Client,
}

impl Caller {
    async fn calls(&self, method: Method, template: &str, path: &str, key: &str, body: Value) -> (u16, Value) {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.service)).bearer_auth(key);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response: Response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let media = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        let operation = &self.document["paths"][template][method.as_str().to_lowercase()];
        let described = resolved(&self.document, &operation["responses"][status.to_string()]);
        assert!(!described.is_null(), "{method} {template} answers {status}, which is not described");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let schema = &described["content"][media.as_deref().unwrap()]["schema"];
        assert!(!schema.is_null(), "{method} {template} {status} is {media:?}, which is not described");
        let wrong = mismatch(&self.document, schema, &body, "body");
        assert_eq!(wrong, None, "{method} {template} answered {status} with {body:#}");
        (status, body)
    }

    async fn reads(&self, template: &str, path: &str, key: &str) -> (u16, Value) {
        self.calls(Method::GET, template, path, key, Value::Null).await
    }

    async fn asks(&self, scope: &str, subject: &str) -> (u16, Value) {
        let body =
            json!({ "grant_type": "client_credentials", "client_id": "cli", "scope": scope, "subject": subject });
        self.calls(Method::POST, "/hooks/{name}", "/hooks/billing", HOOK_TOKEN, body).await
    }
}

#[tokio::test]
async fn the_answers_look_as_the_document_says() {
    let deployment = Deployment::start(POLICY, "5s").await;
    let http = Client::builder().no_proxy().build().unwrap();
    let caller = Caller { document: document(), service: deployment.service.clone(), http };

    // An authorization server asks.
    let (status, granted) = caller.asks("invoices:read", "alice@example.com").await;
    assert_eq!(status, 200);
    let (status, pending) = caller.asks("payments:refund", "alice@example.com").await;
    assert_eq!(status, 202);
    assert_eq!(caller.asks("payments:refund another", "alice@example.com").await.0, 429);
    assert_eq!(caller.asks("nobody:knows", "alice@example.com").await.0, 403);
    assert_eq!(caller.asks("two  \u{7}", "alice@example.com").await.0, 400);
    let hooks = "/hooks/{name}";
    assert_eq!(caller.calls(Method::POST, hooks, "/hooks/billing", "wrong", json!({})).await.0, 401);
    assert_eq!(caller.calls(Method::POST, hooks, "/hooks/nobody", HOOK_TOKEN, json!({})).await.0, 401);
    let request = pending["request_id"].as_str().unwrap();
    let of_hook = "/hooks/{name}/requests/{id}";
    assert_eq!(caller.reads(of_hook, &format!("/hooks/billing/requests/{request}"), HOOK_TOKEN).await.0, 200);
    assert_eq!(caller.reads(of_hook, "/hooks/billing/requests/req_none", HOOK_TOKEN).await.0, 404);

    // An enforcement point asks.
    let question = |scope: &str| {
        json!({
            "subject": { "type": "user", "id": "dave@example.com" },
            "action": { "name": scope },
            "resource": { "type": "audience", "id": "https://payments.example.com" },
            "context": { "client_id": "cli" },
        })
    };
    let both = json!({ "evaluations": [question("invoices:read"), question("nobody:knows")] });
    for (door, body, status) in [
        ("/access/v1/evaluation", question("invoices:read"), 200),
        ("/access/v1/evaluation", question("nobody:knows"), 200),
        ("/access/v1/evaluation", json!([]), 400),
        ("/access/v1/evaluations", both, 200),
        ("/access/v1/evaluations", json!({ "evaluations": 1 }), 400),
    ] {
        assert_eq!(caller.calls(Method::POST, door, door, PEP_TOKEN, body).await.0, status, "{door}");
        assert_eq!(caller.calls(Method::POST, door, door, "wrong", json!({})).await.0, 401, "{door}");
    }
    let metadata = "/.well-known/authzen-configuration";
    assert_eq!(caller.reads(metadata, metadata, "").await.0, 200);

    // An operator looks, and revokes.
    let grant = granted["grant_id"].as_str().unwrap();
    for (template, path) in [
        ("/v1/requests", "/v1/requests"),
        ("/v1/requests/{id}", &format!("/v1/requests/{request}")),
        ("/v1/grants", "/v1/grants?limit=10"),
        ("/v1/grants/{id}", &format!("/v1/grants/{grant}")),
        ("/v1/audit", "/v1/audit"),
        ("/v1/outbox", "/v1/outbox"),
        ("/v1/reviews", "/v1/reviews?state=open&limit=10"),
        ("/v1/cooldowns", "/v1/cooldowns"),
    ] {
        assert_eq!(caller.reads(template, path, VIEWER_KEY).await.0, 200);
        assert_eq!(caller.reads(template, path, "wrong").await.0, 401);
    }
    assert_eq!(caller.reads("/v1/grants/{id}", "/v1/grants/grn_none", VIEWER_KEY).await.0, 404);
    let revoke = "/v1/grants/{id}/revoke";
    let path = format!("/v1/grants/{grant}/revoke");
    let why = json!({ "reason": "the laptop was lost" });
    assert_eq!(caller.calls(Method::POST, revoke, &path, VIEWER_KEY, why.clone()).await.0, 403);
    assert_eq!(caller.calls(Method::POST, revoke, &path, OPERATOR_KEY, json!({})).await.0, 400);
    assert_eq!(caller.calls(Method::POST, revoke, &path, OPERATOR_KEY, why.clone()).await.0, 200);
    assert_eq!(caller.calls(Method::POST, revoke, &path, OPERATOR_KEY, why.clone()).await.0, 409);
    assert_eq!(caller.asks("invoices:read", "alice@example.com").await.0, 403, "it was revoked");

    // It cools down, and an operator lifts that.
    assert_eq!(caller.reads("/v1/cooldowns", "/v1/cooldowns", VIEWER_KEY).await.1["cooldowns"][0]["cause"], "revoked");
    let (lift, why_lift) = ("/v1/cooldowns/lift", json!({ "client": "cli", "reason": "it was found" }));
    assert_eq!(caller.calls(Method::POST, lift, lift, VIEWER_KEY, why_lift.clone()).await.0, 403);
    assert_eq!(caller.calls(Method::POST, lift, lift, OPERATOR_KEY, json!({ "reason": "all" })).await.0, 400);
    let (status, lifted) = caller.calls(Method::POST, lift, lift, OPERATOR_KEY, why_lift).await;
    assert_eq!((status, lifted["lifted"].as_array().unwrap().len()), (200, 1));
    assert_eq!(caller.reads("/v1/reviews", "/v1/reviews?state=shut", VIEWER_KEY).await.0, 400);

    // The hook revokes its client's grant.
    let (_, granted) = caller.asks("invoices:read", "carol@example.com").await;
    let path = format!("/hooks/billing/grants/{}/revoke", granted["grant_id"].as_str().unwrap());
    let of_hook = "/hooks/{name}/grants/{id}/revoke";
    assert_eq!(caller.calls(Method::POST, of_hook, &path, HOOK_TOKEN, why).await.0, 200);

    // Machines look.
    for path in ["/livez", "/readyz", "/startupz", "/openapi.json", "/.well-known/jwks.json"] {
        assert_eq!(caller.reads(path, path, "").await.0, 200);
    }
    deployment.stop().await;
}
