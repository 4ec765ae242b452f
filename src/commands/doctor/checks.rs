//! The checks in their order, and what they share.

use std::time::Duration;

use super::finding::Finding;
use super::{account, database, endpoint, events, server, settings, unit};
use crate::backend::open::{connect_telnyx, sandbox_access};
use crate::config::{Config, TelnyxAccess};
use crate::domain::PhoneNumber;
use crate::error::Error;
use crate::forwarding::Forwarder;
use crate::output::Style;
use crate::store::{Purpose, Store};
use crate::telnyx::client::TelnyxClient;
use crate::threading::{Conversations, Policy};

/// The time for one call to Telnyx.
const CALL_TIME: Duration = Duration::from_secs(30);
/// What is said of a check that needs what another one found missing.
pub(super) const NO_DATABASE: &str = "the database could not be opened";

/// What the checks know of the installation.
pub(super) struct Installation<'a> {
    pub config: &'a Config,
    pub style: &'a Style,
    /// The database, if it can be opened.
    pub forwarder: Option<Forwarder>,
    pub numbers: Vec<PhoneNumber>,
    pub public_keys: Vec<String>,
}

impl Installation<'_> {
    pub(super) fn conversations(&self) -> Option<&Conversations> {
        self.forwarder.as_ref().map(Forwarder::conversations)
    }

    /// How long ago something was.
    pub(super) fn ago(&self, at: crate::domain::Timestamp) -> String {
        self.style.zone.ago(at, self.style.now)
    }
}

/// Every check, in order.
pub(super) async fn all(config: &Config, style: &Style) -> Vec<Finding> {
    let mut findings = settings::check(config);
    match config.remote() {
        Ok(None) => {}
        Ok(Some(remote)) => {
            findings.extend(server::only(&remote).await);
            return findings;
        }
        // The settings' finding says so.
        Err(_) => return findings,
    }
    let (examined, is_usable) = database::check(config).await;
    findings.extend(examined);
    let store = match is_usable {
        true => match config.database() {
            Ok(location) => Store::open(&location, config.mode(), Purpose::Read).await.ok(),
            Err(_) => None,
        },
        false => None,
    };
    let access = access(config, store.as_ref()).await;
    let public_keys = public_keys(config, store.as_ref()).await;
    let numbers = access.as_ref().map(|access| access.numbers.clone()).unwrap_or_default();
    let telnyx = access.and_then(|access| connect_telnyx(&access, CALL_TIME));
    let forwarder = store.map(|store| {
        let conversations = Conversations::new(store, None, numbers.clone(), Policy::default());
        Forwarder::new(conversations, config.forwarding().unwrap_or_default().into())
    });
    let installation = Installation { config, style, forwarder, numbers, public_keys };
    findings.extend(beyond_the_database(&installation, telnyx).await);
    if let Some(conversations) = installation.conversations() {
        conversations.close().await;
    }
    findings
}

/// The checks of what is outside the database.
async fn beyond_the_database(
    installation: &Installation<'_>,
    telnyx: Result<Option<TelnyxClient>, Error>,
) -> Vec<Finding> {
    let account = account::check(installation, telnyx).await;
    let mut findings = account.findings;
    let (asked, reached) = endpoint::check(installation, &account.profiles).await;
    findings.extend(asked);
    findings.push(events::public_key(installation).await);
    findings.push(account::clock(account.skew_seconds));
    findings.extend(events::check(installation).await);
    findings.extend(server::check(installation, reached.as_deref()).await);
    findings.push(unit::check().await);
    findings
}

/// Telnyx as the settings name it, or the simulated one that last served the database.
async fn access(config: &Config, store: Option<&Store>) -> Result<TelnyxAccess, Error> {
    if !config.is_sandbox() {
        return config.telnyx();
    }
    let address = match store {
        Some(store) => store.sandbox().await?,
        None => None,
    };
    match address {
        Some(address) => sandbox_access(&address),
        None => config.telnyx(),
    }
}

/// The public keys that are configured, or that of the simulated Telnyx. A setting that cannot be read
/// has a finding of its own.
async fn public_keys(config: &Config, store: Option<&Store>) -> Vec<String> {
    match store {
        Some(store) if config.is_sandbox() => {
            store.sandbox_key().await.ok().flatten().into_iter().collect()
        }
        _ => config.public_keys().unwrap_or_default(),
    }
}
