//! Telnyx's API and webhooks. Telnyx's JSON is confined to this module; others see convo's types.

pub mod account;
pub mod answer;
mod base_url;
mod batch_verify;
pub mod cancel;
pub mod client;
mod content;
pub mod event;
pub(crate) mod fetch;
mod lenient_json;
pub(crate) mod lists;
pub(crate) mod mention;
pub mod signature;

pub use base_url::BaseUrl;
