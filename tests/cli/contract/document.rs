//! The document itself: valid, whole, and the same wherever it comes from.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{Contract, filled};
use crate::support::{Home, Server, TestDatabase, World, bearer, json_schema};

/// Codes that no route answers: those of the command line, and of unknown routes.
const ELSEWHERE: &[&str] = &[
    "address_unavailable",
    "check_failed",
    "copy_mismatch",
    "database_damaged",
    "database_not_ready",
    "forward_refused",
    "interrupted",
    "method_not_allowed",
    "not_final",
    "not_found",
    "search_incomplete",
    "server_mismatch",
    "server_unreachable",
    "stats_incomplete",
    "timed_out",
];
/// An id that nothing has.
const NOBODY: &str = "01a20685-7f6b-7790-99a8-f178d4040dda";

#[test]
fn the_document_is_valid_openapi() {
    let json = include_str!("../../openapi/schema-3.1.json");
    let schema: Value = serde_json::from_str(json).expect("the schema of OpenAPI 3.1");
    let schema = schema.to_string();
    let contract = Contract::read();
    let faults = json_schema::faults(&schema, &contract.document);
    assert!(faults.is_empty(), "{faults:#?}");
    let mut wrong = contract.document.clone();
    wrong["paths"]["/health"]["get"]["responses"]["200"]["description"] = json!(7);
    let faults = json_schema::faults(&schema, &wrong);
    assert!(!faults.is_empty(), "the schema finds faults");
    let schemas = contract.document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        let faults = json_schema::schema_faults(&contract.whole(schema));
        assert!(faults.is_empty(), "{name}: {faults:#?}");
    }
}

#[test]
fn the_examples_match_their_schemas() {
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
fn every_error_code_has_a_route() {
    let contract = Contract::read();
    let all = contract.document["components"]["schemas"]["Code"]["enum"].clone();
    let all: BTreeSet<String> = serde_json::from_value(all).expect("words");
    let mut documented = BTreeSet::new();
    for operation in contract.operations().values() {
        for response in operation["responses"].as_object().expect("responses").values() {
            documented.extend(super::words(&contract.document, response));
        }
    }
    let elsewhere = ELSEWHERE.iter().map(|code| (*code).to_owned()).collect();
    let undocumented: BTreeSet<_> = all.difference(&documented).cloned().collect();
    assert_eq!(undocumented, elsewhere, "codes that no route has");
}

/// A client has one type for every failure, and the version of the API does not change with the
/// program's.
#[test]
fn there_is_one_schema_for_errors() {
    let contract = Contract::read();
    assert_eq!(contract.document["info"]["version"], "1.0");
    let error = json!({ "$ref": "#/components/schemas/Error" });
    let mut count = 0;
    for (name, operation) in contract.operations() {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let schema = &response["content"]["application/json"]["schema"];
            let codes = super::words(&contract.document, response);
            if status.starts_with(['4', '5']) && !codes.is_empty() {
                let is_error = *schema == error || schema["oneOf"][1] == error;
                assert!(is_error, "{name} {status}: {schema}");
                count += 1;
            }
        }
    }
    assert!(count > 30, "only {count} failures");
}

/// A link leads from a value of the response's example to a parameter that the other operation has.
#[test]
fn links_lead_to_operations() {
    let contract = Contract::read();
    let operations = contract.operations();
    let mut count = 0;
    for (name, operation) in &operations {
        for response in operation["responses"].as_object().expect("responses").values() {
            for link in response["links"].as_object().into_iter().flat_map(|links| links.values()) {
                let target = operations.values().find(|o| o["operationId"] == link["operationId"]);
                let target = target.unwrap_or_else(|| panic!("{name}: {link}"));
                for (parameter, value) in link["parameters"].as_object().expect("parameters") {
                    let of = target["parameters"].as_array().expect("parameters").iter();
                    let mut schemas = of.filter(|of| of["name"] == **parameter);
                    let schema = &schemas.next().expect("a parameter")["schema"];
                    let pointer = value.as_str().and_then(|v| v.strip_prefix("$response.body#"));
                    let example = &response["content"]["application/json"]["example"];
                    let value = example.pointer(pointer.expect("a pointer")).expect("a value");
                    contract.assert_valid(name, schema, value);
                    count += 1;
                }
            }
        }
    }
    assert!(count >= 8, "only {count} links");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_there_below_its_version_too() {
    let home = Home::new();
    let server = Server::start(&home);
    for (name, _) in Contract::read().operations() {
        let (method, template) = name.split_once(' ').expect("a method");
        let path = filled(template, NOBODY);
        let plain = server.ask(method, &path, "", "{}").await;
        let versioned = server.ask(method, &format!("/v1{path}"), "", "{}").await;
        assert_eq!(versioned.status, plain.status, "{name}");
        if !path.contains("metrics") {
            assert_eq!(versioned.body, plain.body, "{name}");
        }
    }
    for path in ["/v1", "/v1/", "/v2/health", "/v1/v1/health", "/v1health"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status_and_code(), (404, "not_found".into()), "{path}");
    }
}

/// `/messages/{id}` as `/messages/{}`.
fn shape(name: &str) -> String {
    filled(name, "{}")
}

#[test]
fn the_document_has_every_route() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a source file");
    let labels = read(&root.join("src/metrics/labels.rs"));
    let files = std::fs::read_dir(root.join("src/server/routes")).expect("the routes");
    let source: String = files.map(|file| read(&file.expect("a file").path())).collect();
    let leaves = source.split(".and(route(Route::").skip(1).map(|leaf| {
        let (name, rest) = leaf.split_once("))").expect("the name of a route");
        let template = labels.lines().find_map(|line| {
            line.trim().strip_prefix(name)?.strip_prefix(" => \"")?.strip_suffix("\",")
        });
        let method = match rest.trim_start() {
            rest if rest.starts_with(".and(post())") => "POST",
            rest if rest.starts_with(".and(put") => "PUT",
            rest if rest.starts_with(".and(delete") => "DELETE",
            _ => "GET",
        };
        shape(&format!("{method} {}", template.expect("the template of the route")))
    });
    let leaves: BTreeSet<_> = leaves.collect();
    assert!(leaves.len() > 5, "{leaves:?}");
    let described = Contract::read().operations().into_keys().map(|name| shape(&name));
    assert_eq!(described.collect::<BTreeSet<_>>(), leaves, "on the right src/server/routes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_matches_the_document() {
    let home = Home::new();
    let server = Server::start(&home);
    let printed = home.run(&["openapi"]).silent();
    let served = server.get("/openapi.json").await;
    assert_eq!((served.status, served.body), (200, printed.out));
    let contract = Contract::read();
    for (name, operation) in contract.operations() {
        let (method, template) = name.split_once(' ').expect("a method");
        let path = filled(template, NOBODY);
        let operations = contract.operations();
        let has = |method: &&str| operations.contains_key(&format!("{method} {template}"));
        let methods = ["GET", "POST", "PUT", "DELETE"].into_iter().filter(has);
        let lower = methods.map(|method| if method == "GET" { "get, head" } else { method });
        let allowed = lower.collect::<Vec<_>>().join(", ").to_lowercase();
        let others = ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"].into_iter();
        for other in others.filter(|other| !has(other)) {
            let answer = server.ask(other, &path, "", "").await;
            assert_eq!(
                answer.status_and_code(),
                (405, "method_not_allowed".into()),
                "{other} {path}"
            );
            assert_eq!(answer.header("allow"), Some(&*allowed), "{path}");
        }
        // A parameter that no route has is refused, with the ones that the route takes.
        let query = format!("{path}?no_such_parameter=1");
        let answer = server.ask(method, &query, "", "{}").await;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let hint = match body["hint"].as_str().map(|hint| hint.strip_prefix("its parameters are: "))
        {
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
async fn every_route_requires_the_scope_that_it_documents() {
    let tokens = "reader:read:0123456789abcdef,sender:send:fedcba9876543210,\
                  monitor:metrics:13579bdf02468ace,boss:admin:2468ace013579bdf";
    let world =
        World::with(TestDatabase::sqlite(), |home| home.set("CONVO_API_TOKEN", tokens)).await;
    for (name, operation) in Contract::read().operations() {
        let (method, template) = name.split_once(' ').expect("a method");
        let path = filled(template, NOBODY);
        let with = async |lines: &str| world.server.ask(method, &path, lines, "{}").await;
        let Some(scope) = operation["security"][0]["token"][0].as_str() else {
            let open = ["GET /health", "GET /health/ready", "POST /webhooks/sms"];
            assert!(open.contains(&name.as_str()), "{name}");
            continue;
        };
        let (reader, sender) = (bearer("0123456789abcdef"), bearer("fedcba9876543210"));
        let (good, poor) = match scope {
            "read" => (reader, sender),
            "metrics" => (bearer("13579bdf02468ace"), sender),
            "admin" => (bearer("2468ace013579bdf"), sender),
            _ => (sender, reader),
        };
        assert_eq!(with("").await.status_and_code(), (401, "unauthorized".into()), "{name}");
        // Another scope may suffice, too.
        if operation["security"][1]["token"][0] != "send" {
            let refused = with(&poor).await;
            assert_eq!(refused.status_and_code(), (403, "forbidden".into()), "{name}");
            let sentence = format!("this API token lacks the scope '{scope}'");
            assert_eq!(refused.json()["error"], sentence, "{name}");
        }
        let served = with(&good).await;
        assert!(![401, 403].contains(&served.status), "{name}: {}", served.body);
    }
}
