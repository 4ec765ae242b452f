//! Opens the database and the Telnyx client with the settings that a command needs.

use std::time::Duration;

use crate::config::{Config, TelnyxAccess};
use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::sandbox;
use crate::secret::Secret;
use crate::store::{Purpose, Store};
use crate::telnyx::BaseUrl;
use crate::telnyx::client::TelnyxClient;
use crate::threading::{Conversations, Policy};

/// An API key for the simulated Telnyx, which accepts any.
const SANDBOX_KEY: &str = "sandbox";

/// Opens the database for one command. One that only reads needs no setting that sending needs, and
/// without a client for Telnyx there is no TLS to set up, which takes time.
///
/// # Errors
/// The database cannot be opened for this purpose, or a setting is invalid.
pub(crate) async fn open_local(config: &Config, purpose: Purpose) -> Result<Conversations, Error> {
    let location = config.database()?;
    if config.is_sandbox() {
        let store = Store::open(&location, config.mode(), purpose).await?;
        let opened = open_in_sandbox(&store, purpose).await;
        if opened.is_err() {
            store.close().await;
        }
        return opened;
    }
    if purpose == Purpose::Read {
        let store = Store::open(&location, config.mode(), purpose).await?;
        // Only a dry run needs them, which has checked them.
        let numbers = config.numbers().unwrap_or_default();
        return Ok(Conversations::new(store, None, numbers, Policy::default()));
    }
    // First of all, so that no database is created in vain.
    let (access, policy) = (config.telnyx()?, config.policy()?);
    let telnyx = connect_telnyx(&access, policy.timeout)?;
    let store = Store::open(&location, config.mode(), purpose).await?;
    Ok(Conversations::new(store, telnyx, access.numbers, policy))
}

/// Opens the database to mark conversations.
///
/// # Errors
/// The database cannot be changed.
pub(super) async fn open_for_marks(config: &Config) -> Result<Conversations, Error> {
    let store = Store::open(&config.database()?, config.mode(), Purpose::Change).await?;
    if let Some(why) = store.mark_objection().await {
        store.close().await;
        return Err(Error::new(Code::DatabaseNotReady, why));
    }
    Ok(Conversations::new(store, None, Vec::new(), Policy::default()))
}

/// Uses the simulated Telnyx that last served the database.
async fn open_in_sandbox(store: &Store, purpose: Purpose) -> Result<Conversations, Error> {
    let policy = Policy::default();
    let telnyx = match store.sandbox().await? {
        _ if purpose == Purpose::Read => None,
        Some(base_url) => connect_telnyx(&sandbox_access(&base_url)?, policy.timeout)?,
        None => {
            let what = "no simulated Telnyx has served this database";
            return Err(Error::new(Code::NotConfigured, what)
                .hint("start `convo serve --sandbox` in this directory first"));
        }
    };
    Ok(Conversations::new(store.clone(), telnyx, sandbox_numbers(), policy))
}

/// The client for Telnyx, if there is an API key.
pub(crate) fn connect_telnyx(
    access: &TelnyxAccess,
    timeout: Duration,
) -> Result<Option<TelnyxClient>, Error> {
    let key = access.api_key.clone();
    key.map(|key| TelnyxClient::new(access.base_url.clone(), key, timeout)).transpose()
}

/// What it takes to send through a simulated Telnyx.
///
/// # Errors
/// `not_configured` if the address is not of this machine.
pub(crate) fn sandbox_access(base_url: &str) -> Result<TelnyxAccess, Error> {
    let base_url = BaseUrl::parse(base_url).map_err(|why| {
        Error::new(Code::NotConfigured, format!("the address of the simulated Telnyx {why}"))
    })?;
    let api_key = Some(Secret::new(SANDBOX_KEY));
    Ok(TelnyxAccess { base_url, api_key, numbers: sandbox_numbers() })
}

fn sandbox_numbers() -> Vec<PhoneNumber> {
    PhoneNumber::parse(sandbox::OWN_NUMBER).into_iter().collect()
}
