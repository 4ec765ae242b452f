//! A builder for OpenAPI operations.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Code;
use crate::server::access::Scope;

/// The errors of access control, which every route with a scope has.
const ACCESS: [Code; 3] = [Code::Unauthorized, Code::Forbidden, Code::TooManyAttempts];

/// A method of a path.
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
    responses: BTreeMap<String, ResponseObject>,
}

/// A parameter in the path, the query or a header.
#[derive(Debug, Serialize)]
struct Parameter {
    name: &'static str,
    #[serde(rename = "in")]
    location: &'static str,
    required: bool,
    description: &'static str,
    schema: Value,
    /// `false` for a list separated by commas; otherwise the parameter would be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    explode: Option<bool>,
}

/// The response of one status.
#[derive(Debug, Default, Serialize)]
struct ResponseObject {
    description: String,
    headers: BTreeMap<&'static str, Value>,
    content: BTreeMap<&'static str, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    links: BTreeMap<&'static str, Value>,
}

impl Operation {
    /// A route without authentication.
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

    /// A route that requires a token with a scope.
    pub(super) fn with_scope(
        scope: Scope,
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let mut operation = Self::open(tag, id, summary).errors(&ACCESS);
        operation.security.push(json!({ "token": [scope.as_str()] }));
        operation
    }

    /// A route that is open, and tells more to those with a token that has one of these scopes.
    pub(super) fn with_optional_scopes(
        scopes: &[Scope],
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let refusals = [Code::Unauthorized, Code::TooManyAttempts];
        let mut operation = Self::open(tag, id, summary).errors(&refusals);
        operation.security.push(json!({}));
        operation.allow(scopes)
    }

    /// Adds scopes, each of which suffices.
    pub(super) fn allow(mut self, scopes: &[Scope]) -> Self {
        let alternatives = scopes.iter().map(|scope| json!({ "token": [scope.as_str()] }));
        self.security.extend(alternatives);
        self
    }

    /// A route that requires a signature.
    pub(super) fn signed(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        let mut operation = Self::open(tag, id, summary);
        operation.security.push(json!({ "signature": [], "timestamp": [] }));
        operation
    }

    pub(super) fn description(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// Adds a path parameter.
    pub(super) fn path(self, name: &'static str, description: &'static str, schema: Value) -> Self {
        self.parameter("path", name, description, schema)
    }

    /// Adds a query parameter.
    pub(super) fn query(
        self,
        name: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        self.parameter("query", name, description, schema)
    }

    /// Adds a query parameter with a list of values separated by commas.
    pub(super) fn query_list(
        mut self,
        name: &'static str,
        description: &'static str,
        items: &Value,
    ) -> Self {
        let schema = json!({ "type": "array", "items": items, "minItems": 1 });
        self = self.query(name, description, schema);
        if let Some(parameter) = self.parameters.last_mut() {
            parameter.explode = Some(false);
        }
        self
    }

    /// Adds a request header.
    pub(super) fn header(
        self,
        name: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        self.parameter("header", name, description, schema)
    }

    fn parameter(
        mut self,
        location: &'static str,
        name: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        let required = location == "path";
        let explode = None;
        self.parameters.push(Parameter { name, location, required, description, schema, explode });
        self
    }

    /// Sets the JSON body of the request.
    pub(super) fn body(mut self, schema: &Value, example: &Value) -> Self {
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        self.request_body = Some(json!({ "required": true, "content": content }));
        self
    }

    /// Adds a JSON response.
    pub(super) fn response(
        self,
        status: StatusCode,
        description: &str,
        schema: Value,
        example: &Value,
    ) -> Self {
        self.response_as("application/json", status, description, schema, example)
    }

    /// Adds a response of another media type.
    pub(super) fn response_as(
        mut self,
        media_type: &'static str,
        status: StatusCode,
        description: &str,
        schema: Value,
        example: &Value,
    ) -> Self {
        let response = self.response_object(status.as_str());
        let error = response.content.remove(media_type).map(|error| error["schema"].clone());
        // A few statuses have both: 202 is a message of unknown outcome or such an error.
        response.description = match error {
            Some(_) => format!("{description}, or {}", response.description),
            None => description.to_owned(),
        };
        let schema = match error {
            Some(error) => json!({ "oneOf": [schema, error] }),
            None => schema,
        };
        response.content.insert(media_type, json!({ "schema": schema, "example": example }));
        self
    }

    /// Adds another media type to a response.
    pub(super) fn also_as(
        mut self,
        media_type: &'static str,
        status: StatusCode,
        schema: &Value,
        example: &Value,
    ) -> Self {
        let content = json!({ "schema": schema, "example": example });
        self.response_object(status.as_str()).content.insert(media_type, content);
        self
    }

    /// Adds a response header of the document's `components/headers`.
    pub(super) fn response_header(mut self, status: StatusCode, header: &'static str) -> Self {
        self.response_object(status.as_str()).add_header(header);
        self
    }

    /// Adds a link to another operation, one of whose parameters is a value of this response's body, at
    /// a JSON pointer.
    pub(super) fn link(
        mut self,
        status: StatusCode,
        operation: &'static str,
        parameter: &'static str,
        pointer: &str,
    ) -> Self {
        let value = format!("$response.body#{pointer}");
        let link = json!({ "operationId": operation, "parameters": { parameter: value } });
        self.response_object(status.as_str()).links.insert(operation, link);
        self
    }

    /// Adds errors, each under its status. To be called before [`response`](Self::response) of the
    /// same status.
    pub(super) fn errors(mut self, codes: &[Code]) -> Self {
        for code in codes {
            let status = code.http_status();
            self.error(status.as_str(), *code);
            if *code == Code::TelnyxRefused {
                self.error("4XX", *code);
            }
        }
        self
    }

    fn error(&mut self, status: &str, code: Code) {
        let response = self.response_object(status);
        match code {
            Code::Unauthorized => response.add_header("WWW-Authenticate"),
            Code::RateLimited
            | Code::ReplyLimit
            | Code::SendLimit
            | Code::TooManyAttempts
            | Code::Overloaded
            | Code::DatabaseUnavailable => response.add_header("Retry-After"),
            _ => {}
        }
        let word = code.as_str();
        let separator = if response.description.is_empty() { "" } else { ", " };
        response.description.push_str(&format!("{separator}`{word}`"));
        let error = || json!({ "schema": { "$ref": "#/components/schemas/Error" } });
        response.content.entry("application/json").or_insert_with(error);
    }

    fn response_object(&mut self, status: &str) -> &mut ResponseObject {
        self.responses.entry(status.to_owned()).or_insert_with(|| {
            let mut response = ResponseObject::default();
            response.add_header("X-Request-Id");
            response
        })
    }
}

impl ResponseObject {
    fn add_header(&mut self, header: &'static str) {
        let name = format!("#/components/headers/{header}");
        self.headers.insert(header, json!({ "$ref": name }));
    }
}
