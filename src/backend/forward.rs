//! Forwarding, of the database here or by a server.

use super::Backend;
use crate::client::Client;
use crate::config::Config;
use crate::domain::{Forward, ForwardReplay, ForwardTest, Timestamp};
use crate::error::Error;
use crate::forwarding::Forwarder;
use crate::store::Purpose;

/// Forwarding, local or remote.
pub(crate) enum ForwardBackend {
    /// Of the database that this process opens.
    Local(Box<Forwarder>),
    /// Of a server.
    Remote(Client),
}

impl ForwardBackend {
    /// Connects to the server that the settings name, or else opens the database.
    ///
    /// # Errors
    /// The database cannot be opened for this purpose, or a setting is invalid.
    pub(crate) async fn open(config: &Config, purpose: Purpose) -> Result<Self, Error> {
        let is_remote = config.remote()?.is_some();
        let targets = if is_remote { Vec::new() } else { config.forwarding()? };
        match Backend::open(config, purpose).await? {
            Backend::Local(conversations) => {
                Ok(Self::Local(Box::new(Forwarder::new(conversations, targets.into()))))
            }
            Backend::Remote(client) => Ok(Self::Remote(client)),
        }
    }

    /// Closes the database, if this process opened it.
    pub(crate) async fn close(self) {
        if let Self::Local(forwarder) = self {
            Backend::Local(forwarder.conversations().clone()).close().await;
        }
    }

    /// Where every name stands.
    pub(crate) async fn list(&self) -> Result<Vec<Forward>, Error> {
        match self {
            Self::Local(forwarder) => forwarder.list().await,
            Self::Remote(client) => client.forwards().await,
        }
    }

    /// Delivers a test event.
    pub(crate) async fn test(&self, name: &str) -> Result<ForwardTest, Error> {
        match self {
            Self::Local(forwarder) => forwarder.test(name).await,
            Self::Remote(client) => client.test_forward(name).await,
        }
    }

    /// Ends a pause, and makes the next attempt due.
    pub(crate) async fn enable(&self, name: &str) -> Result<Forward, Error> {
        match self {
            Self::Local(forwarder) => forwarder.enable(name).await,
            Self::Remote(client) => client.enable_forward(name).await,
        }
    }

    /// Delivers events again.
    pub(crate) async fn replay(
        &self,
        name: &str,
        since: Option<Timestamp>,
    ) -> Result<ForwardReplay, Error> {
        match self {
            Self::Local(forwarder) => forwarder.replay(name, since).await,
            Self::Remote(client) => client.replay_forward(name, since).await,
        }
    }
}
