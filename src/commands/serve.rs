//! `convo serve`: receives webhooks and serves the REST API; with `--sandbox`, also simulates
//! Telnyx.

mod banner;
mod settings;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use super::listen::{bind, bind_all, inherit, resolve, url};
use super::{sandbox, signals};
use crate::backend::open::{connect_telnyx, sandbox_access};
use crate::cli::value::{host_and_port, share};
use crate::cli::{DatabaseArgs, Group, HelpText};
use crate::config::{Flags, TelnyxAccess};
use crate::error::{Code, Error};
use crate::forwarding::Forwarder;
use crate::logging;
use crate::media::{ContentStore, Downloader, Fetcher, MediaPlace};
use crate::net::is_loopback;
use crate::runtime;
use crate::sandbox::Sandbox;
use crate::server::access::{Access, are_strong_enough, may_bind};
use crate::server::{self, App, Limits, Listeners, Server, Shutdown, Stop};
use crate::store::{Purpose, Store};
use crate::systemd;
use crate::telnyx::signature::Verifier;
use crate::threading::Conversations;
use settings::ServerSettings;

/// Pauses between attempts to open a database that is unavailable.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the status under systemd is updated during a shutdown.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The time reserved for closing the database at the end of a shutdown.
const CLOSE_TIME: Duration = Duration::from_millis(500);
/// Files that a server has open besides its connections and those to Telnyx.
const OTHER_FILES: usize = 64;

/// Receive Telnyx's webhooks and serve the REST API
#[derive(Args, Clone, Debug)]
#[command(add = Group::Run, add = HELP, after_help = HELP.examples)]
pub(super) struct ServeArgs {
    /// Listen on this address [default: 127.0.0.1:5000] [env: CONVO_LISTEN]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    listen: Option<String>,
    /// With --sandbox, lose this share of the webhooks, from 0 to 1, to see convo sync find them
    #[arg(long, value_name = "SHARE", value_parser = share)]
    lose: Option<f64>,
    #[command(flatten)]
    database: DatabaseArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo serve --sandbox
  convo serve --sandbox --lose 0.3
  convo serve
  CONVO_API_TOKEN_FILE=/etc/convo/tokens convo serve --listen 0.0.0.0:8080",
    description: "\
Telnyx posts its webhooks to /webhooks/sms; each is answered with 200 once it has been committed \
durably. The REST API requires a token from CONVO_API_TOKEN. Without one, only programs on this \
machine are served, and convo refuses to listen on a public address.

CONVO_API_TOKEN lists tokens, each written as TOKEN, which allows everything, or as \
NAME:SCOPES:TOKEN with scopes joined by +: read, send, admin, metrics. The file of CONVO_API_TOKEN_FILE has one \
per line and may contain comments, which begin with #. The log identifies a token by its name or by \
the beginning of its SHA-256.

A running server also settles messages left without an outcome. At its start and every 10 minutes \
(CONVO_SYNC) it fetches what no webhook has brought, as convo sync does; of several servers, one. It \
fetches the media of inbound messages, whose links last 30 days, into the store that CONVO_MEDIA names.

After SIGTERM or Ctrl-C it completes the requests in progress before it ends.",
    output: "",
};

impl ServeArgs {
    pub(super) fn flags(&self) -> Flags {
        // It never asks another server.
        Flags { listen: self.listen.clone(), local: true, ..self.database.flags() }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let _log = logging::start_server(context.config.log()?.as_deref())?;
        let settings = ServerSettings { lose: self.lose, ..ServerSettings::read(&context.config)? };
        if settings.lose.is_some() && !settings.is_sandbox {
            return Err(Error::invalid("--lose is for the simulated Telnyx").hint("add --sandbox"));
        }
        for error in context.config.unread() {
            tracing::warn!("a settings file is ignored: {error}");
        }
        let inherited = if settings.has_sockets { systemd::inherited()? } else { None };
        let runtime = runtime::for_server()?;
        let ended = runtime.block_on(serve(settings, inherited));
        // A DNS lookup that is still running must not delay the exit.
        runtime.shutdown_background();
        ended
    }
}

/// Serves until SIGTERM or Ctrl-C, on its own socket or on an inherited one. A second signal ends
/// the process at once.
async fn serve(mut settings: ServerSettings, inherited: Option<StdListener>) -> Result<(), Error> {
    let (listeners, address) = listen(&settings, inherited).await?;
    raise_file_limit(&mut settings.limits)?;
    let shutdown = Shutdown::default();
    tokio::spawn(signals::shut_down(shutdown.clone()));
    let sandbox = if settings.is_sandbox {
        Some(start_sandbox(&mut settings, address, &shutdown.asked).await?)
    } else {
        None
    };
    let telnyx = connect_telnyx(&settings.telnyx, settings.policy.timeout)?;
    let media = ContentStore::open(&settings.media.place)?;
    let server = new_server(&settings, media.clone())?;
    let serving = tokio::spawn({
        let (server, shutdown) = (server.clone(), shutdown.clone());
        async move { server.run(Listeners::new(listeners), shutdown).await }
    });
    let opened = shutdown.asked.run_until_cancelled(open_store(&settings, &server)).await;
    // Stopped before the database was open: there is nothing to wait for.
    let Some(store) = opened.transpose()? else { return Ok(()) };
    if let Some(sandbox) = &sandbox {
        store.note_sandbox(&sandbox.base_url(), sandbox.public_key()).await?;
        banner::print(&mut io::stdout(), address, &settings.database, sandbox);
    }
    warn_of_missing_settings(&settings);
    let (downloader, keep_media) = (downloader(&settings)?, settings.media.keep);
    let ServerSettings { telnyx: access, policy, forwarding, .. } = settings;
    let conversations = Conversations::new(store, telnyx, access.numbers, policy);
    if let Err(error) = conversations.open_endpoint().await {
        tracing::warn!(%error, "convo doctor cannot ask this server about its endpoint");
    }
    let forwarder = Forwarder::new(conversations.clone(), forwarding);
    server.open(forwarder.clone());
    let fetcher =
        media.map(|media| Fetcher::new(conversations.clone(), media, downloader, keep_media));
    tracing::info!(target: "convo::server", %address, sandbox = settings.is_sandbox, "listening");
    systemd::ready(&format!("serving on {address}"));
    tokio::spawn(report_shutdown(server, shutdown.clone(), settings.stop));
    let settling = tokio::spawn({
        let (conversations, shutdown) = (conversations.clone(), shutdown.asked.clone());
        async move { conversations.keep_settling(shutdown).await }
    });
    let trimming = AbortOnDropHandle::new(tokio::spawn({
        let (conversations, shutdown) = (conversations.clone(), shutdown.asked.clone());
        async move { conversations.keep_trimming(shutdown).await }
    }));
    let syncing = AbortOnDropHandle::new(tokio::spawn({
        let (conversations, shutdown) = (conversations.clone(), shutdown.asked.clone());
        async move { conversations.keep_syncing(shutdown).await }
    }));
    let indexing = AbortOnDropHandle::new(tokio::spawn({
        let (conversations, shutdown) = (conversations.clone(), shutdown.asked.clone());
        async move { conversations.keep_indexing(shutdown).await }
    }));
    let summing = AbortOnDropHandle::new(tokio::spawn({
        let (conversations, shutdown) = (conversations.clone(), shutdown.asked.clone());
        async move { conversations.keep_sums(shutdown).await }
    }));
    let forwarding = tokio::spawn({
        let shutdown = shutdown.asked.clone();
        async move { forwarder.run(shutdown).await }
    });
    let fetching = tokio::spawn(fetch_media(fetcher, shutdown.asked.clone()));
    let deadline = serving.await.map_err(|_| {
        tracing::error!("the server ended because of a bug in convo");
        Error::internal()
    })?;
    drop(trimming);
    drop(indexing);
    drop(summing);
    let background = async {
        let _ = tokio::join!(settling, forwarding, syncing, fetching);
    };
    close(&conversations, background, deadline).await;
    Ok(())
}

/// Fetches media, if they are kept, until `shutdown`.
async fn fetch_media(fetcher: Option<Fetcher>, shutdown: CancellationToken) {
    if let Some(fetcher) = fetcher {
        fetcher.run(shutdown).await;
    }
}

/// What downloads media.
fn downloader(settings: &ServerSettings) -> Result<Downloader, Error> {
    let TelnyxAccess { base_url, api_key, .. } = &settings.telnyx;
    Downloader::new(base_url, api_key.clone(), settings.media.max_size)
}

/// The server, which systemd's watchdog observes from now on.
fn new_server(settings: &ServerSettings, media: Option<ContentStore>) -> Result<Server, Error> {
    let server = Server::new(App {
        access: Access::new(&settings.api_tokens),
        verifier: Arc::new(Verifier::new(&settings.public_keys)?),
        limits: settings.limits.clone(),
        stop: settings.stop,
        media,
    });
    let watched = server.clone();
    tokio::spawn(systemd::feed_watchdog(async move || watched.is_alive().await));
    Ok(server)
}

/// Lets what runs in the background finish, then closes the database, before the deadline.
async fn close(
    conversations: &Conversations,
    background: impl Future<Output = ()>,
    deadline: Instant,
) {
    let mut background = pin!(background);
    let reserved = CLOSE_TIME.min(deadline.saturating_duration_since(Instant::now()) / 2);
    if tokio::time::timeout_at((deadline - reserved).into(), &mut background).await.is_err() {
        conversations.interrupt().cancel();
        let _ = tokio::time::timeout(reserved / 2, background).await;
    }
    let limit = reserved.max(CLOSE_TIME / 2);
    if tokio::time::timeout(limit, conversations.close()).await.is_err() {
        tracing::warn!("stopped before the database was closed");
    }
}

/// Opens the database. A PostgreSQL server that is unavailable may be starting as well, so this
/// retries for as long as the settings say; a missing file will not appear by itself.
async fn open_store(settings: &ServerSettings, server: &Server) -> Result<Store, Error> {
    let starting = AbortOnDropHandle::new(tokio::spawn(systemd::starting()));
    systemd::status("opening the database");
    let until = Instant::now() + settings.start_timeout;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let error = match Store::open(&settings.database, settings.mode, Purpose::Serve).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let may_recover =
            error.code() == Code::DatabaseUnavailable && settings.database.path().is_none();
        if !may_recover || Instant::now() + pause > until {
            drop(starting);
            return Err(error);
        }
        if pause == SHORTEST_PAUSE {
            tracing::warn!(%error, "waiting for the database");
        }
        server.database_is_down();
        systemd::status(&format!("waiting for the database: {error}"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reports the progress of a shutdown to systemd.
async fn report_shutdown(server: Server, shutdown: Shutdown, stop: Stop) {
    shutdown.asked.cancelled().await;
    systemd::stopping(stop.deadline);
    loop {
        let status = match server.sends() {
            0 => "draining".to_owned(),
            1 => "draining, 1 send in progress".to_owned(),
            sends => format!("draining, {sends} sends in progress"),
        };
        systemd::status(&status);
        tokio::time::sleep(STATUS_INTERVAL).await;
    }
}

/// The sockets to listen on and the address of the first, if the settings allow listening there.
async fn listen(
    settings: &ServerSettings,
    inherited: Option<StdListener>,
) -> Result<(Vec<TcpListener>, SocketAddr), Error> {
    if let Some(socket) = inherited {
        let (listener, address) = inherit(socket)?;
        check_exposure(settings, address)?;
        return Ok((vec![listener], address));
    }
    let addresses = resolve(&settings.listen).await?;
    let exposed = addresses.iter().find(|address| !is_loopback(address.ip()));
    if let Some(address) = exposed.or(addresses.first()) {
        check_exposure(settings, *address)?;
    }
    let listeners = bind_all(&addresses)?;
    let bound = listeners.iter().map(TcpListener::local_addr).next();
    let address = bound.transpose().ok().flatten().ok_or_else(Error::internal)?;
    Ok((listeners, address))
}

/// Checks whether the tokens suffice for an address.
fn check_exposure(settings: &ServerSettings, address: SocketAddr) -> Result<(), Error> {
    // A sandbox has no secrets; on this machine systemd may run it without a token, too.
    let is_service = settings.under_systemd && !settings.is_sandbox;
    may_bind(address, !settings.api_tokens.is_empty(), is_service)?;
    are_strong_enough(address, &settings.api_tokens)
}

/// Makes sure that the process may open a file for each connection. Where the system allows fewer, fewer
/// clients can follow the feed; requests keep their places.
fn raise_file_limit(limits: &mut Limits) -> Result<(), Error> {
    let needed = limits.connections + server::RESERVE + limits.sends + OTHER_FILES;
    let wanted = needed.saturating_add(limits.streams);
    let limit = getrlimit(Resource::Nofile);
    let files = |limit: Option<u64>| {
        limit.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX))
    };
    if files(limit.current) >= wanted {
        return Ok(());
    }
    let possible = wanted.min(files(limit.maximum));
    let current = u64::try_from(possible).ok();
    let raised = setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    let possible = if raised.is_ok() { possible } else { files(limit.current) };
    let Some(streams) = possible.checked_sub(needed + 1) else {
        let what =
            format!("CONVO_MAX_CONNECTIONS needs {needed} open files, more than are allowed");
        return Err(Error::new(Code::NotConfigured, what).hint(
            "raise the limit (LimitNOFILE= in a unit, ulimit -n), or allow fewer connections",
        ));
    };
    let streams = streams + 1;
    if streams < limits.streams {
        tracing::warn!(streams, "few files may be open, so fewer clients can follow the feed");
        limits.streams = streams;
    }
    Ok(())
}

/// Starts the simulated Telnyx, and points the settings at it.
async fn start_sandbox(
    settings: &mut ServerSettings,
    address: SocketAddr,
    shutdown: &CancellationToken,
) -> Result<Sandbox, Error> {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let webhook_url = format!("{}/webhooks/sms", url(address));
    let (key_file, lose) = (&settings.key_file, settings.lose.unwrap_or_default());
    let sandbox = sandbox::start(listener, Some(webhook_url), key_file, lose, shutdown.clone())?;
    settings.telnyx = sandbox_access(&sandbox.base_url())?;
    settings.public_keys = vec![sandbox.public_key().to_owned()];
    Ok(sandbox)
}

fn warn_of_missing_settings(settings: &ServerSettings) {
    for (is_missing, name, consequence) in [
        (settings.public_keys.is_empty(), "TELNYX_PUBLIC_KEY", "every webhook is refused"),
        (settings.telnyx.api_key.is_none(), "TELNYX_API_KEY", "nothing can be sent"),
        (
            settings.telnyx.numbers.is_empty(),
            "TELNYX_PHONE_NUMBER",
            "every send must specify its sender",
        ),
    ] {
        if is_missing {
            tracing::warn!("{name} is not set: {consequence}");
        }
    }
    match &settings.media.place {
        MediaPlace::Off => {
            tracing::info!("media of inbound messages are not kept: see CONVO_MEDIA");
        }
        place => tracing::info!(%place, "media of inbound messages are kept"),
    }
}
