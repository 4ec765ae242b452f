//! The document itself: valid, whole, and the same wherever it comes from.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{Contract, ask, filled};
use crate::harness::{Home, Server, World};
use crate::support::TestDatabase;

/// Codes that no route answers: those of the command line, and of what is no route.
const ELSEWHERE: &[&str] = &[
    "address_unavailable",
    "copy_mismatch",
    "database_not_ready",
    "method_not_allowed",
    "not_final",
    "not_found",
    "server_mismatch",
    "server_unreachable",
];
/// An id that nothing has.
const NOBODY: &str = "01a20685-7f6b-7790-99a8-f178d4040dda";

#[test]
fn it_is_valid_openapi() {
    let json = include_str!("../../openapi/schema-3.1.json");
    let schema: Value = serde_json::from_str(json).expect("the schema of OpenAPI 3.1");
    let validator = jsonschema::options().build(&schema).expect("a schema");
    let contract = Contract::read();
    let faults: Vec<_> = validator.iter_errors(&contract.document).map(|f| f.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let mut wrong = contract.document.clone();
    wrong["paths"]["/health"]["get"]["responses"]["200"]["description"] = json!(7);
    assert!(!validator.is_valid(&wrong), "the schema finds faults");
    let schemas = contract.document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
        contract.validator(schema);
    }
}

#[test]
fn its_examples_hold() {
    let contract = Contract::read();
    let mut count = 0;
    let mut check = |what: &str, media: &Value| {
        if let Some(example) = media.get("example").filter(|example| **example != json!({})) {
            contract.assert_valid(what, &media["schema"], example);
            count += 1;
        }
    };
    for (name, operation) in contract.operations() {
        check(&name, &operation["requestBody"]["content"]["application/json"]);
        for (status, response) in operation["responses"].as_object().expect("responses") {
            for media in response["content"].as_object().expect("content").values() {
                check(&format!("{name} {status}"), media);
            }
        }
    }
    assert!(count >= 12, "only {count} examples");
    let error = &contract.document["components"]["schemas"]["Error"];
    contract.assert_valid("Error", error, &error["examples"][0]);
}

#[test]
fn every_code_has_its_route() {
    let contract = Contract::read();
    let all = contract.document["components"]["schemas"]["Code"]["enum"].clone();
    let all: BTreeSet<String> = serde_json::from_value(all).expect("words");
    let mut told = BTreeSet::new();
    for operation in contract.operations().values() {
        for response in operation["responses"].as_object().expect("responses").values() {
            let json = &response["content"]["application/json"];
            told.extend(super::words(&contract.document, &json["schema"]));
        }
    }
    let elsewhere = ELSEWHERE.iter().map(|code| (*code).to_owned()).collect();
    let untold: BTreeSet<_> = all.difference(&told).cloned().collect();
    assert_eq!(untold, elsewhere, "codes that no route has");
}

/// `/messages/{id}` as `/messages/{}`.
fn shape(name: &str) -> String {
    filled(name, "{}")
}

#[test]
fn it_has_every_route_of_the_source() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/routes.rs");
    let source = std::fs::read_to_string(source).expect("the routes");
    let leaves = source.split(".and(route(\"").skip(1).map(|leaf| {
        let (template, rest) = leaf.split_once('"').expect("a template");
        let posts = rest.trim_start_matches("))").trim_start().starts_with(".and(post())");
        shape(&format!("{} {template}", if posts { "POST" } else { "GET" }))
    });
    let leaves: BTreeSet<_> = leaves.collect();
    assert!(leaves.len() > 5, "{leaves:?}");
    let described = Contract::read().operations().into_keys().map(|name| shape(&name));
    assert_eq!(described.collect::<BTreeSet<_>>(), leaves, "on the right src/server/routes.rs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_has_the_same_document_routes_and_parameters() {
    let home = Home::new();
    let server = Server::start(&home);
    let printed = home.run(&["openapi"]).silent();
    let served = server.get("/openapi.json").await;
    assert_eq!((served.status, served.body), (200, printed.out));
    let contract = Contract::read();
    for (name, operation) in contract.operations() {
        let (method, template) = name.split_once(' ').expect("a method");
        let path = filled(template, NOBODY);
        let allowed = if method == "GET" { "get, head" } else { "post" };
        for other in ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"] {
            let answer = ask(&server, other, &path, "", "").await;
            assert_eq!(answer.told(), (405, "method_not_allowed".into()), "{other} {path}");
            assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        }
        // A parameter that no route has is refused, with the ones that the route takes.
        let query = format!("{path}?no_such_parameter=1");
        let answer = ask(&server, method, &query, "", "{}").await;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let hint = match body["hint"].as_str().map(|hint| hint.strip_prefix("it takes ")) {
            Some(Some(list)) if answer.status == 400 => list.to_owned(),
            _ => String::new(),
        };
        let taken: BTreeSet<_> = hint.split(", ").filter(|name| !name.is_empty()).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let described = described.filter_map(|parameter| parameter["name"].as_str());
        assert_eq!(described.collect::<BTreeSet<_>>(), taken, "{name}: on the right the server");
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, template.matches('{').count(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_the_scope_that_it_names() {
    let tokens = "reader:read:0123456789abcdef,sender:send:fedcba9876543210";
    let world =
        World::with(TestDatabase::sqlite(), |home| home.set("CONVO_API_TOKEN", tokens)).await;
    for (name, operation) in Contract::read().operations() {
        let (method, template) = name.split_once(' ').expect("a method");
        let path = filled(template, NOBODY);
        let with = async |lines: &str| ask(&world.server, method, &path, lines, "{}").await;
        let Some(scope) = operation["security"][0]["token"][0].as_str() else {
            assert!(["GET /health", "POST /webhooks/sms"].contains(&name.as_str()), "{name}");
            continue;
        };
        let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
        let (reader, sender) = (bearer("0123456789abcdef"), bearer("fedcba9876543210"));
        let (good, poor) = if scope == "read" { (reader, sender) } else { (sender, reader) };
        assert_eq!(with("").await.told(), (401, "unauthorized".into()), "{name}");
        let refused = with(&poor).await;
        assert_eq!(refused.told(), (403, "forbidden".into()), "{name}");
        let sentence = format!("this API token lacks the scope '{scope}'");
        assert_eq!(refused.json()["error"], sentence, "{name}");
        let served = with(&good).await;
        assert!(![401, 403].contains(&served.status), "{name}: {}", served.body);
    }
}
