//! `convo serve`: take webhooks, serve the REST API; with `--sandbox`, play Telnyx as well.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signals;
use crate::config::{Config, Secret};
use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::sandbox::{self, Sandbox};
use crate::server::access::{Access, may_bind};
use crate::server::{self, App};
use crate::store::{Purpose, Store};
use crate::telnyx::client::Client;
use crate::telnyx::signature::Verifier;
use crate::threading::Threads;

/// How long what is begun may take to finish after a stop was asked for.
const DEADLINE: Duration = Duration::from_secs(10);
/// What the simulated Telnyx is told as API key; it takes any.
const SANDBOX_KEY: &str = "sandbox";

/// Serves until SIGTERM or Ctrl-C; a second signal ends it at once.
///
/// # Errors
/// When the configuration forbids it, the address is taken or the database cannot be opened.
pub async fn run(mut config: Config, out: &mut impl Write) -> Result<(), Error> {
    let address = resolve(&config.listen).await?;
    may_bind(address, !config.api_tokens.is_empty(), config.under_systemd)?;
    let listener = bind(address).await?;
    let address = listener.local_addr().map_err(|error| cannot_listen(address, &error))?;
    let store = Store::open(&config.database, config.mode(), Purpose::Serve).await?;
    let shutdown = CancellationToken::new();
    if config.sandbox {
        let played = play(&mut config, address, &store, &shutdown).await?;
        banner(out, address, &config, &played);
    }
    warn_of_missing(&config);
    let threads = threads(&config, store)?;
    let app = App {
        access: Access::new(&config.api_tokens),
        verifier: Arc::new(Verifier::new(&config.public_keys)?),
        threads: threads.clone(),
        sandbox: config.sandbox,
    };
    tokio::spawn(signals::stop(shutdown.clone()));
    let settling = tokio::spawn({
        let (threads, shutdown) = (threads.clone(), shutdown.clone());
        async move { threads.keep_settling(shutdown).await }
    });
    let ended = server::run(listener, app, shutdown.clone(), DEADLINE).await;
    shutdown.cancel();
    if tokio::time::timeout(DEADLINE, settling).await.is_err() {
        tracing::warn!("stopped while a message was being settled; its outcome is unknown");
    }
    threads.close().await;
    ended
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
    threads(&config, store)
}

/// The threads of a store, with the way to Telnyx if there is a key.
fn threads(config: &Config, store: Store) -> Result<Threads, Error> {
    let patience = config.policy.timeout;
    let telnyx = config.api_key.clone();
    let telnyx = telnyx.map(|key| Client::new(&config.telnyx_base_url, key, patience));
    Ok(Threads::new(store, telnyx.transpose()?, config.numbers.clone(), config.policy.clone()))
}

/// Points a sandbox configuration at the simulated Telnyx, as far as there is one.
fn point_at_sandbox(config: &mut Config, base_url: Option<String>) {
    config.api_key = base_url.is_some().then(|| Secret::new(SANDBOX_KEY));
    config.telnyx_base_url = base_url.unwrap_or_default();
    config.numbers = PhoneNumber::parse(sandbox::OWN_NUMBER).into_iter().collect();
}

/// Starts the simulated Telnyx beside the server, and leaves its address in the database for the
/// commands that open it directly.
async fn play(
    config: &mut Config,
    address: SocketAddr,
    store: &Store,
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
    store.note_sandbox(&played.base_url()).await?;
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
    let found = tokio::net::lookup_host(listen).await.ok().and_then(|mut found| found.next());
    found.ok_or_else(|| {
        Error::new(Code::NotConfigured, format!("'{listen}' is no address to listen on"))
            .hint("give HOST:PORT, for example 127.0.0.1:5000, with --listen or CONVO_LISTEN")
    })
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::new(Code::NotConfigured, format!("cannot listen on {address}: {error}"))
        .hint("another program may have the port; choose one with --listen HOST:PORT")
}

pub(super) fn no_sandbox(error: &std::io::Error) -> Error {
    Error::new(Code::Internal, format!("the simulated Telnyx cannot start: {error}"))
}
