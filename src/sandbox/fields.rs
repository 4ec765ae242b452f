//! The fields of a JSON request body, read with the types of Telnyx's API description.

use serde_json::{Map, Value};

use super::api_error::{ApiError, BAD_REQUEST, INVALID_JSON, INVALID_URL};

/// Maximum length of a URL in characters.
const MAX_URL: usize = 2_000;

/// A JSON object.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::new(BAD_REQUEST, "The body must be a JSON object.")),
            Err(error) => {
                Err(ApiError::new(INVALID_JSON, format!("The body is not JSON: {error}.")))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether a field is there, even if it is null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong_type(name, "a string")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let wrong_type = || wrong_type(name, "an array of strings");
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(wrong_type)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong_type)).collect()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let parse = |value: &Value| value.as_bool().ok_or_else(|| wrong_type(name, "a boolean"));
        self.get(name).map(parse).transpose()
    }

    pub(super) fn url(&self, name: &str) -> Result<Option<String>, ApiError> {
        let url = self.text(name)?;
        url.map(|url| check_url(url, format!("/{name}"))).transpose()
    }
}

pub(super) fn wrong_type(name: &str, expected: &str) -> ApiError {
    ApiError::new(BAD_REQUEST, format!("'{name}' must be {expected}.")).at(format!("/{name}"))
}

/// Checks a URL in the body, with the JSON pointer to it.
pub(super) fn check_url(url: String, pointer: String) -> Result<String, ApiError> {
    let is_http = url::Url::parse(&url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
    if is_http && url.chars().count() <= MAX_URL {
        return Ok(url);
    }
    let detail =
        format!("A URL must begin with http:// or https:// and have up to {MAX_URL} characters.");
    Err(ApiError::new(INVALID_URL, detail).at(pointer))
}
