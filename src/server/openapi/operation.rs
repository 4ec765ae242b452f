//! The parts of a route's description, in the words of OpenAPI.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Scope;
use crate::error::Code;

/// What every guarded route may refuse before its handler runs.
const GUARD: [Code; 3] = [Code::Unauthorized, Code::Forbidden, Code::TooManyAttempts];

/// One method of one path.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    operation_id: &'static str,
    summary: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    tags: [&'static str; 1],
    security: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Value>,
    responses: BTreeMap<String, Answer>,
}

/// One thing that a caller may say beside the body.
#[derive(Debug, Serialize)]
pub(super) struct Parameter {
    name: &'static str,
    #[serde(rename = "in")]
    place: &'static str,
    required: bool,
    description: &'static str,
    schema: Value,
    /// Whether each value of a list stands for itself; without it, commas part them.
    #[serde(skip_serializing_if = "Option::is_none")]
    explode: Option<bool>,
}

/// What a status means.
#[derive(Debug, Default, Serialize)]
struct Answer {
    description: String,
    headers: BTreeMap<&'static str, Value>,
    content: BTreeMap<&'static str, Value>,
}

impl Operation {
    /// A route that anybody may call.
    pub(super) fn open(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            operation_id: id,
            summary,
            description: "",
            tags: [tag],
            security: Vec::new(),
            parameters: Vec::new(),
            request_body: None,
            responses: BTreeMap::new(),
        }
    }

    /// A route that asks for a token with a scope.
    pub(super) fn guarded(
        scope: Scope,
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let mut operation = Self::open(tag, id, summary).fails(&GUARD);
        operation.security.push(json!({ "token": [scope.as_str()] }));
        operation
    }

    /// A route that believes a signature.
    pub(super) fn signed(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        let mut operation = Self::open(tag, id, summary);
        operation.security.push(json!({ "signature": [], "timestamp": [] }));
        operation
    }

    /// What else is to be known.
    pub(super) fn about(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// A part of the path.
    pub(super) fn path(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.parameter("path", name, about, schema)
    }

    /// A query parameter.
    pub(super) fn query(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.parameter("query", name, about, schema)
    }

    /// A query parameter of one or more words with commas between them.
    pub(super) fn words(mut self, name: &'static str, about: &'static str, of: &Value) -> Self {
        self = self.query(name, about, json!({ "type": "array", "items": of, "minItems": 1 }));
        if let Some(parameter) = self.parameters.last_mut() {
            parameter.explode = Some(false);
        }
        self
    }

    /// A header of the request.
    pub(super) fn header(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.parameter("header", name, about, schema)
    }

    fn parameter(
        mut self,
        place: &'static str,
        name: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        let required = place == "path";
        let explode = None;
        self.parameters.push(Parameter { name, place, required, description, schema, explode });
        self
    }

    /// The JSON body of the request.
    pub(super) fn reads(mut self, schema: &Value, example: &Value) -> Self {
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        self.request_body = Some(json!({ "required": true, "content": content }));
        self
    }

    /// An answer in JSON.
    pub(super) fn answers(
        self,
        status: StatusCode,
        about: &str,
        schema: Value,
        example: &Value,
    ) -> Self {
        self.answers_as("application/json", status, about, schema, example)
    }

    /// An answer in another form.
    pub(super) fn answers_as(
        mut self,
        form: &'static str,
        status: StatusCode,
        about: &str,
        schema: Value,
        example: &Value,
    ) -> Self {
        let answer = self.answer(status.as_str());
        let failure = answer.content.remove(form).map(|failure| failure["schema"].clone());
        // A few statuses mean both: 202 is a message of unknown outcome, or the word for it.
        answer.description = match failure {
            Some(_) => format!("{about}, or {}", answer.description),
            None => about.to_owned(),
        };
        let schema = match failure {
            Some(failure) => json!({ "oneOf": [schema, failure] }),
            None => schema,
        };
        answer.content.insert(form, json!({ "schema": schema, "example": example }));
        self
    }

    /// A header of an answer, one of the document's `components/headers`.
    pub(super) fn tells(mut self, status: StatusCode, header: &'static str) -> Self {
        self.answer(status.as_str()).tell(header);
        self
    }

    /// The failures that its callers may meet, each under its status. To be said before
    /// [`answers`](Self::answers) of the same status.
    pub(super) fn fails(mut self, codes: &[Code]) -> Self {
        for code in codes {
            let status = code.http_status();
            self.fail(status.as_str(), *code);
            if *code == Code::TelnyxRefused {
                self.fail("4XX", *code);
            }
        }
        self
    }

    fn fail(&mut self, status: &str, code: Code) {
        let answer = self.answer(status);
        match code {
            Code::Unauthorized => answer.tell("WWW-Authenticate"),
            Code::RateLimited
            | Code::TooManyAttempts
            | Code::Overloaded
            | Code::DatabaseUnavailable => answer.tell("Retry-After"),
            _ => {}
        }
        let word = code.as_str();
        let separator = if answer.description.is_empty() { "" } else { ", " };
        answer.description.push_str(&format!("{separator}`{word}`"));
        let content = answer.content.entry("application/json").or_insert_with(|| {
            let codes = json!({ "properties": { "code": { "enum": [] } } });
            json!({ "schema": { "allOf": [{ "$ref": "#/components/schemas/Error" }, codes] } })
        });
        let codes = content.pointer_mut("/schema/allOf/1/properties/code/enum");
        if let Some(Value::Array(codes)) = codes {
            codes.push(word.into());
        }
    }

    fn answer(&mut self, status: &str) -> &mut Answer {
        self.responses.entry(status.to_owned()).or_insert_with(|| {
            let mut answer = Answer::default();
            answer.tell("X-Request-Id");
            answer
        })
    }
}

impl Answer {
    fn tell(&mut self, header: &'static str) {
        let name = format!("#/components/headers/{header}");
        self.headers.insert(header, json!({ "$ref": name }));
    }
}
