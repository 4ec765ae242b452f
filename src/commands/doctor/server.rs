//! The server: whether it runs where the settings say, is ready, and has this program's version.

use url::Url;

use super::checks::Installation;
use super::endpoint::{self, webhook_path};
use super::finding::Finding;
use crate::client::Client;
use crate::commands::listen;
use crate::config::Remote;
use crate::error::{Code, Error};
use crate::secret::Secret;

const SERVER: &str = "server";
const VERSION: &str = "server_version";
/// The version of this program.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// The server that is asked instead of the database; the other checks are for its machine.
pub(super) async fn only(remote: &Remote) -> Vec<Finding> {
    let asked = ready(&remote.address, remote.token.as_ref()).await;
    let authorized = match Client::new(&remote.address, remote.token.as_ref()) {
        Ok(client) => client.list(&crate::domain::Listing::default(), None, 1).await.map(drop),
        Err(error) => Err(error),
    };
    let token = match authorized {
        Ok(()) => Finding::ok("api_token", "accepted"),
        Err(error) => Finding::from_error("api_token", &error),
    };
    let (server, version) = asked;
    let elsewhere = "on the server's machine: run convo doctor there";
    vec![Finding::skipped("database", elsewhere), server, token, same_version(version.as_deref())]
}

/// `reached` is the version of the server behind the webhook URL, if that leads to one on this database.
pub(super) async fn check(installation: &Installation<'_>, reached: Option<&str>) -> Vec<Finding> {
    let address = match installation.config.listen() {
        Ok(listen) => listen.parse().map_or_else(|_| format!("http://{listen}"), listen::url),
        Err(error) => return vec![Finding::from_error(SERVER, &error), same_version(reached)],
    };
    let token = installation.config.api_tokens().unwrap_or_default().into_iter().next();
    let token = token.map(|token| token.secret);
    let (finding, told) = ready(&address, token.as_ref()).await;
    if finding.code == Some(Code::ServerUnreachable)
        && let Some(version) = reached
        && !is_there(&address).await
    {
        let seen = format!("reached through the webhook URL; nothing listens at {address}");
        return vec![Finding::ok(SERVER, seen), same_version(Some(version))];
    }
    let ours = ours(installation, &address).await;
    let version = match &ours {
        Some(Ok(version)) => Some(version.clone()),
        _ => told.or_else(|| reached.map(str::to_owned)),
    };
    let finding = match ours {
        Some(Err(error)) if finding.code.is_none() => Finding::from_error(SERVER, &error),
        _ => finding,
    };
    vec![finding, same_version(version.as_deref())]
}

/// Whether a server is ready, and its version if it tells.
async fn ready(address: &str, token: Option<&Secret>) -> (Finding, Option<String>) {
    let asked = async { Client::for_health(address, token)?.health(true).await };
    match asked.await {
        Ok(health) => (Finding::ok(SERVER, format!("ready at {address}")), health.version),
        Err(error) => {
            let start = "start it with convo serve, or systemctl start convo; if it listens elsewhere, set \
                         CONVO_LISTEN";
            let mend = match is_there(address).await {
                true => error.hint_text().unwrap_or("see its log").to_owned(),
                false => start.to_owned(),
            };
            (Finding::failure(SERVER, error.code(), error.to_string(), mend), None)
        }
    }
}

/// Whether anything that answers as convo does listens there.
async fn is_there(address: &str) -> bool {
    let asked = async { Client::for_health(address, None)?.health(false).await };
    asked.await.is_ok()
}

/// The version of the server at an address if it is on this database; `None` if that cannot be asked.
async fn ours(installation: &Installation<'_>, address: &str) -> Option<Result<String, Error>> {
    let key = installation.conversations()?.endpoint_key().await.ok()??;
    let url = Url::parse(address).ok().map(webhook_path)?;
    match endpoint::ask(&url, &key).await {
        Ok(reached) => Some(Ok(reached.version)),
        Err(error) if error.code() == Code::ServerMismatch => Some(Err(error)),
        Err(_) => None,
    }
}

fn same_version(version: Option<&str>) -> Finding {
    match version {
        None => Finding::skipped(VERSION, "unknown"),
        Some(OURS) => Finding::ok(VERSION, format!("{OURS}, as this program")),
        Some(other) => Finding::warning(
            VERSION,
            format!("the server has {other}, this program {OURS}"),
            "install the same version everywhere, and restart the server",
        ),
    }
}
