//! The answer of a server about its health.

use reqwest::RequestBuilder;
use serde::{Deserialize, Serialize};

use super::exchange::Exchange;
use crate::error::Error;

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, `ready` or `not ready`.
    pub status: String,
    /// What it checked, if it tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<HealthCheck>,
    /// Its version, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// One condition for being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What was checked.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What is wrong, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Health {
    /// The status with the reasons why the server is not ready.
    fn summary(&self) -> String {
        let failed = self.checks.iter().filter(|check| !check.ok);
        let reasons = failed.map(|check| check.reason.as_ref().unwrap_or(&check.name));
        let reasons: Vec<_> = reasons.map(String::as_str).collect();
        match reasons.is_empty() {
            true => format!("is {}", self.status),
            false => format!("is {}: {}", self.status, reasons.join("; ")),
        }
    }
}

impl Exchange<'_> {
    /// The answer to a request about the server's health, if it is well.
    pub(super) async fn health(&self, request: RequestBuilder) -> Result<Health, Error> {
        let (status, headers, body) = self.respond(request).await?;
        let health: Health = serde_json::from_slice(&body)
            .map_err(|_| self.unexpected_response(status, &headers, &body))?;
        match status.is_success() {
            true => Ok(health),
            false => Err(self.unreachable(&health.summary())),
        }
    }
}
