//! `convo serve`: take webhooks, serve the REST API; with `--sandbox`, play Telnyx as well.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::signals;
use crate::config::{Config, Secret};
use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::sandbox::{self, Sandbox};
use crate::server::access::{Access, are_strong_enough, may_bind};
use crate::server::{self, App, Limits, Server, Shutdown, Stop};
use crate::store::{Purpose, Store};
use crate::systemd;
use crate::telnyx::client::Client;
use crate::telnyx::signature::Verifier;
use crate::threading::Threads;

/// What the simulated Telnyx is told as API key; it takes any.
const SANDBOX_KEY: &str = "sandbox";
/// Pauses before a database that is away is tried again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the status under systemd is renewed during a stop.
const RENEWAL: Duration = Duration::from_secs(1);
/// The least the database gets to close at the end of a stop.
const LAST_MOMENT: Duration = Duration::from_millis(500);
/// Files that a server has open beside its connections and those to Telnyx.
const OTHER_FILES: usize = 64;

/// Serves until SIGTERM or Ctrl-C, on a socket of its own or an inherited one; a second signal
/// ends it at once.
///
/// # Errors
/// When the configuration forbids it, the address is taken or the database cannot be opened.
pub async fn run(
    mut config: Config,
    inherited: Option<std::net::TcpListener>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let (listener, address) = listen(&config, inherited).await?;
    allow_files(&config.limits)?;
    let shutdown = Shutdown::default();
    tokio::spawn(signals::stop(shutdown.clone()));
    let played = match config.sandbox {
        true => Some(play(&mut config, address, &shutdown.asked).await?),
        false => None,
    };
    let telnyx = telnyx(&config)?;
    let server = Server::new(App {
        access: Access::new(&config.api_tokens),
        verifier: Arc::new(Verifier::new(&config.public_keys)?),
        limits: config.limits.clone(),
        stop: config.stop,
    });
    let watched = server.clone();
    tokio::spawn(systemd::feed_watchdog(async move || watched.is_alive().await));
    let serving = tokio::spawn({
        let (server, shutdown) = (server.clone(), shutdown.clone());
        async move { server.run(listener, shutdown).await }
    });
    let opened = shutdown.asked.run_until_cancelled(open_store(&config, &server)).await;
    // Told to stop before there was anything to serve.
    let Some(store) = opened.transpose()? else { return Ok(()) };
    if let Some(played) = &played {
        store.note_sandbox(&played.base_url()).await?;
        banner(out, address, &config, played);
    }
    warn_of_missing(&config);
    let threads = threads(&config, store, telnyx);
    server.open(threads.clone());
    tracing::info!(target: "convo::server", %address, sandbox = config.sandbox, "listening");
    systemd::ready(&format!("serving on {address}"));
    tokio::spawn(tell_the_end(server, shutdown.clone(), config.stop));
    let settling = tokio::spawn({
        let (threads, shutdown) = (threads.clone(), shutdown.asked.clone());
        async move { threads.keep_settling(shutdown).await }
    });
    let end = serving.await.map_err(|_| {
        tracing::error!("the server ended by a fault of convo");
        Error::internal()
    })?;
    close(&threads, settling, end).await;
    Ok(())
}

/// Lets what is being settled come to its end and closes the database, within the time there is.
async fn close(threads: &Threads, mut settling: JoinHandle<()>, end: Instant) {
    let last = LAST_MOMENT.min(end.saturating_duration_since(Instant::now()) / 2);
    if tokio::time::timeout_at((end - last).into(), &mut settling).await.is_err() {
        threads.interrupt().cancel();
        let _ = tokio::time::timeout(last / 2, settling).await;
    }
    let closed = tokio::time::timeout(last.max(LAST_MOMENT / 2), threads.close()).await;
    if closed.is_err() {
        tracing::warn!("stopped before the database had closed");
    }
}

/// Opens the database, and waits for one that is away for as long as the settings say: it may be
/// starting, too. A file is there or not, so nobody waits for that.
async fn open_store(config: &Config, server: &Server) -> Result<Store, Error> {
    let starting = AbortOnDropHandle::new(tokio::spawn(systemd::starting()));
    systemd::status("opening the database");
    let until = Instant::now() + config.start_timeout;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let error = match Store::open(&config.database, config.mode(), Purpose::Serve).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let may_come =
            error.code() == Code::DatabaseUnavailable && config.database.path().is_none();
        if !may_come || Instant::now() + pause > until {
            drop(starting);
            return Err(error);
        }
        if pause == SHORTEST_PAUSE {
            tracing::warn!(%error, "waiting for the database");
        }
        server.database_is_away();
        systemd::status(&format!("waiting for the database: {error}"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tells systemd how a stop goes on.
async fn tell_the_end(server: Server, shutdown: Shutdown, stop: Stop) {
    shutdown.asked.cancelled().await;
    systemd::stopping(stop.deadline);
    loop {
        let status = match server.sends() {
            0 => "draining".to_owned(),
            1 => "draining, 1 send under way".to_owned(),
            sends => format!("draining, {sends} sends under way"),
        };
        systemd::status(&status);
        tokio::time::sleep(RENEWAL).await;
    }
}

/// The socket to listen on, and its address, if one may listen there.
async fn listen(
    config: &Config,
    inherited: Option<std::net::TcpListener>,
) -> Result<(TcpListener, SocketAddr), Error> {
    let may_bind = |address| {
        // Play has no token and no secrets; on this machine it may be had of systemd, too.
        let service = config.under_systemd && !config.sandbox;
        may_bind(address, !config.api_tokens.is_empty(), service)?;
        are_strong_enough(address, &config.api_tokens)
    };
    let of_no_use = |error| {
        Error::new(Code::NotConfigured, format!("the inherited socket is of no use: {error}"))
    };
    if let Some(socket) = inherited {
        let address = socket.local_addr().map_err(of_no_use)?;
        may_bind(address)?;
        socket.set_nonblocking(true).map_err(of_no_use)?;
        return Ok((TcpListener::from_std(socket).map_err(of_no_use)?, address));
    }
    let address = resolve(&config.listen).await?;
    may_bind(address)?;
    let listener = bind(address).await?;
    let address = listener.local_addr().map_err(|error| cannot_listen(address, &error))?;
    Ok((listener, address))
}

/// Makes sure that as many files may be open as there may be connections.
fn allow_files(limits: &Limits) -> Result<(), Error> {
    let files = limits.connections + server::RESERVE + limits.sends + OTHER_FILES;
    let files = u64::try_from(files).unwrap_or(u64::MAX);
    let have = getrlimit(Resource::Nofile);
    if have.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(files), maximum: have.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|_| {
        let what = format!("CONVO_MAX_CONNECTIONS needs {files} open files, more than are allowed");
        Error::new(Code::NotConfigured, what)
            .hint("allow more (LimitNOFILE= in a unit, ulimit -n), or fewer connections")
    })
}

/// The threads for one command, in the database itself.
///
/// # Errors
/// When the database cannot be opened for this purpose, or a setting makes no sense.
pub async fn open(config: &Config, purpose: Purpose) -> Result<Threads, Error> {
    let store = Store::open(&config.database, config.mode(), purpose).await?;
    let mut config = config.clone();
    if config.sandbox {
        let base_url = store.sandbox().await?;
        if base_url.is_none() && purpose != Purpose::Read {
            let what = "no simulated Telnyx has served this database";
            return Err(Error::new(Code::NotConfigured, what)
                .hint("start `convo serve --sandbox` in this directory first"));
        }
        point_at_sandbox(&mut config, base_url);
    }
    if purpose == Purpose::Read {
        // Who only reads has no use for Telnyx, nor for the time that TLS takes to set up.
        config.api_key = None;
    }
    let telnyx = telnyx(&config)?;
    Ok(threads(&config, store, telnyx))
}

/// The way to Telnyx, if there is a key.
fn telnyx(config: &Config) -> Result<Option<Client>, Error> {
    let key = config.api_key.clone();
    let client = |key| Client::new(&config.telnyx_base_url, key, config.policy.timeout);
    key.map(client).transpose()
}

fn threads(config: &Config, store: Store, telnyx: Option<Client>) -> Threads {
    Threads::new(store, telnyx, config.numbers.clone(), config.policy.clone())
}

/// Points a sandbox configuration at the simulated Telnyx, as far as there is one.
fn point_at_sandbox(config: &mut Config, base_url: Option<String>) {
    config.api_key = base_url.is_some().then(|| Secret::new(SANDBOX_KEY));
    config.telnyx_base_url = base_url.unwrap_or_default();
    config.numbers = PhoneNumber::parse(sandbox::OWN_NUMBER).into_iter().collect();
}

/// Starts the simulated Telnyx beside the server.
async fn play(
    config: &mut Config,
    address: SocketAddr,
    shutdown: &CancellationToken,
) -> Result<Sandbox, Error> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = bind(loopback).await?;
    let options = sandbox::Options {
        webhook_url: Some(format!("{}/webhooks/sms", reachable(address))),
        signing_key: sandbox::SigningKey::generate().map_err(|error| no_sandbox(&error))?,
        api_key: None,
        pace: sandbox::Pace::default(),
    };
    let played = Sandbox::start(listener, options, shutdown.clone());
    let played = played.map_err(|error| no_sandbox(&error))?;
    point_at_sandbox(config, Some(played.base_url()));
    config.public_keys = vec![played.public_key().to_owned()];
    Ok(played)
}

/// What to paste into another terminal. Nobody may mistake this for the real thing.
fn banner(out: &mut impl Write, address: SocketAddr, config: &Config, played: &Sandbox) {
    let directory = config.database.path().and_then(Path::parent).unwrap_or(Path::new("."));
    let own = sandbox::OWN_NUMBER;
    let lines = [
        "*** SANDBOX: Telnyx is simulated, no SMS leaves this machine ***".to_owned(),
        format!("Our number is {own}, the simulated Telnyx is {}", played.base_url()),
        String::new(),
        "In another terminal, through this server:".to_owned(),
        format!("    {}", find_program()),
        format!("    export CONVO_SERVER={}", reachable(address)),
        "    convo send +12125551234 \"Hello\"".to_owned(),
        "    convo show +12125551234".to_owned(),
        String::new(),
        "or directly on its database:".to_owned(),
        format!("    {}", find_program()),
        format!("    cd {}", quoted(directory)),
        "    convo --sandbox send +12125551234 \"Hello\"".to_owned(),
        "    convo --sandbox show +12125551234".to_owned(),
        String::new(),
        "Numbers that misbehave:".to_owned(),
    ];
    let magic = sandbox::MAGIC_NUMBERS.iter();
    let magic = magic.map(|magic| format!("    {}  {}", magic.number, magic.does));
    for line in lines.into_iter().chain(magic) {
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// Makes `convo` in another shell mean this very program, which may not be installed yet.
fn find_program() -> String {
    let program = std::env::current_exe().ok();
    let directory = program.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    format!("export PATH={}:\"$PATH\"", quoted(directory))
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// The server as another program on this machine reaches it.
fn reachable(address: SocketAddr) -> String {
    let host = match address {
        address if !address.ip().is_unspecified() => address.ip(),
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(host, address.port()))
}

fn warn_of_missing(config: &Config) {
    for (missing, name, so) in [
        (config.public_keys.is_empty(), "TELNYX_PUBLIC_KEY", "every webhook is refused"),
        (config.api_key.is_none(), "TELNYX_API_KEY", "nothing can be sent"),
        (config.numbers.is_empty(), "TELNYX_PHONE_NUMBER", "every send must name its sender"),
    ] {
        if missing {
            tracing::warn!("{name} is not set: {so}");
        }
    }
}

/// The address a name and port stand for.
pub(super) async fn resolve(listen: &str) -> Result<SocketAddr, Error> {
    let hint = "give HOST:PORT, for example 127.0.0.1:5000, with --listen or CONVO_LISTEN";
    match tokio::net::lookup_host(listen).await.map(|mut found| found.next()) {
        Ok(Some(address)) => Ok(address),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let what = format!("'{listen}' is no address to listen on");
            Err(Error::new(Code::NotConfigured, what).hint(hint))
        }
        // Its name may be known in a moment.
        _ => {
            let what = format!("the name in '{listen}', to listen on, is not known");
            Err(Error::new(Code::AddressUnavailable, what).hint(hint))
        }
    }
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Error {
    // Another program may go, and an address come, while whoever starts this one tries again.
    let code = match error.kind() {
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => Code::AddressUnavailable,
        _ => Code::NotConfigured,
    };
    Error::new(code, format!("cannot listen on {address}: {error}"))
        .hint("another program may have the port; choose one with --listen HOST:PORT")
}

pub(super) fn no_sandbox(error: &std::io::Error) -> Error {
    Error::new(Code::Internal, format!("the simulated Telnyx cannot start: {error}"))
}
