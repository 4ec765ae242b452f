//! What the OpenAPI document says, held against what the program does.

mod answers;
mod clients;
mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::{Answer, Home, json_schema};

/// Headers that every HTTP answer may have, and those against browsers and caches.
const EVERYWHERE: &[&str] = &[
    "x-accel-buffering",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "referrer-policy",
    "transfer-encoding",
    "x-content-type-options",
];

/// The document, with objects that tolerate no field that it does not name.
struct Contract {
    document: Value,
    /// Its schemas, as JSON.
    components: String,
    seen: Mutex<BTreeSet<String>>,
}

impl Contract {
    /// What the program prints.
    fn read() -> Self {
        let printed = Home::new().run(&["openapi"]).silent().json();
        let document = strict(printed);
        let components = document["components"].to_string();
        Self { document, components, seen: Mutex::default() }
    }

    /// Every operation, as `GET /path`.
    fn operations(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for (path, item) in self.document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = format!("{} {path}", method.to_uppercase());
                all.insert(name, operation.clone());
            }
        }
        all
    }

    /// A schema of the document, with those that it refers to.
    fn whole(&self, schema: &Value) -> String {
        format!(
            r#"{{"$schema":"https://json-schema.org/draft/2020-12/schema","allOf":[{schema}],"components":{}}}"#,
            self.components
        )
    }

    #[track_caller]
    fn assert_valid(&self, what: &str, schema: &Value, value: &Value) {
        let faults = json_schema::faults(&self.whole(schema), value);
        assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
    }

    /// Asserts that an answer is one of those that the document gives an operation.
    #[track_caller]
    fn holds(&self, name: &str, answer: &Answer) {
        let operations = self.operations();
        let operation = operations.get(name).unwrap_or_else(|| panic!("{name} is not described"));
        let responses = operation["responses"].as_object().expect("responses");
        let range = format!("{}XX", answer.status / 100);
        let found = responses.get_key_value(&answer.status.to_string());
        let found = found.or_else(|| responses.get_key_value(&range));
        let what = format!("{name} {}", answer.status);
        let (key, response) = found.unwrap_or_else(|| panic!("{what}: {}", answer.body));
        let form = answer.header("content-type").expect("a type").split(';').next();
        let media = &response["content"][form.unwrap_or_default()];
        assert!(media["schema"].is_object(), "{what} is not described as {form:?}");
        let body = if form == Some("application/json") {
            answer.json()
        } else {
            Value::from(answer.body.clone())
        };
        self.assert_valid(&what, &media["schema"], &body);
        self.assert_headers(&what, response, answer);
        let word = match (&body["code"], &body["status"]) {
            (Value::String(code), _) => {
                let named = words(&self.document, response);
                assert!(named.contains(code), "{what} is not described with {code}: {named:?}");
                code
            }
            (_, Value::String(status)) if name == "POST /webhooks/sms" => status,
            _ => "",
        };
        self.seen.lock().expect("no panic").insert(format!("{name} {key} {word}").trim().into());
    }

    #[track_caller]
    fn assert_headers(&self, what: &str, response: &Value, answer: &Answer) {
        let described = response["headers"].as_object().expect("headers");
        let resolve = |header: &Value| {
            let pointer = header["$ref"].as_str().expect("a reference").trim_start_matches('#');
            self.document.pointer(pointer).expect("it is there").clone()
        };
        for (name, header) in described {
            let header = resolve(header);
            match answer.header(&name.to_lowercase()) {
                Some(text) => {
                    let number = header["schema"]["type"] == "integer";
                    let value = if number { text.parse().expect("a number") } else { json!(text) };
                    self.assert_valid(&format!("{what}: {name}"), &header["schema"], &value);
                }
                None => assert_ne!(header["required"], true, "{what} has no {name}"),
            }
        }
        let known: BTreeSet<_> = described.keys().map(|name| name.to_lowercase()).collect();
        let names = answer.head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0));
        for name in names.filter(|name| !EVERYWHERE.contains(name)) {
            assert!(known.contains(name), "{what} has {name}, which is not described");
        }
    }

    /// The answers that the document gives and that never came: each status, and each code or
    /// word of it.
    fn unseen(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (name, operation) in self.operations() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                for media in response["content"].as_object().expect("content").values() {
                    let words = words(&self.document, response);
                    all.extend(words.iter().map(|word| format!("{name} {status} {word}")));
                    if words.is_empty() || media["schema"].get("oneOf").is_some() {
                        all.insert(format!("{name} {status}"));
                    }
                }
            }
        }
        &all - &self.seen.lock().expect("no panic")
    }
}

/// The codes of a failure, which the response's description names, or the words of the webhook's answer.
fn words(document: &Value, response: &Value) -> BTreeSet<String> {
    let schemas = &document["components"]["schemas"];
    let is_listed = |name: &str, word: &str| {
        schemas[name]["enum"].as_array().is_some_and(|list| list.contains(&word.into()))
    };
    let description = response["description"].as_str().unwrap_or_default();
    let quoted = description.split('`').skip(1).step_by(2);
    let mut words: BTreeSet<_> =
        quoted.filter(|word| is_listed("Code", word)).map(str::to_owned).collect();
    let schema = &response["content"]["application/json"]["schema"];
    if schema.pointer("/properties/status/$ref").is_some() {
        let outcomes = schemas["EventOutcome"]["enum"].as_array().into_iter().flatten();
        words.extend(outcomes.filter_map(Value::as_str).map(str::to_owned));
    }
    words
}

/// Lets every object have the fields that are named, and no other.
fn strict(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            if map.get("type") == Some(&json!("object")) && map.contains_key("properties") {
                map.entry("additionalProperties").or_insert(json!(false));
            }
            map.values_mut().for_each(|inner| *inner = strict(inner.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| *inner = strict(inner.take())),
        _ => {}
    }
    value
}

/// A path of an operation, its parameters filled in.
fn filled(template: &str, with: &str) -> String {
    let mut path = String::new();
    for (at, part) in template.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, rest)) if at > 0 => path.extend([with, rest]),
            _ => path.push_str(part),
        }
    }
    path
}
