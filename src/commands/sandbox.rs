//! `convo sandbox`: the simulated Telnyx on its own, for any program that uses Telnyx.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::listen::{bind, resolve};
use super::signals;
use super::webhook::sandbox_key_file;
use crate::cli::value::{host_and_port, share, web_address};
use crate::cli::{Group, HelpText};
use crate::error::{Code, Error};
use crate::logging;
use crate::net::is_loopback;
use crate::runtime;
use crate::sandbox::{MAGIC_NUMBERS, OWN_NUMBER, Options, Pace, Sandbox, SigningKey};
use crate::server::Shutdown;
use crate::stdio;

/// The default address, next to that of `convo serve`.
const LISTEN: &str = "127.0.0.1:5001";

/// Run the simulated Telnyx on its own, for any program that uses Telnyx
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct SandboxArgs {
    /// Listen on this address [default: 127.0.0.1:5001]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    listen: Option<String>,
    /// Send the signed webhooks to this URL
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = web_address)]
    webhook_url: Option<String>,
    /// Keep the signing key in this file [default: sandbox.key]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Lose this share of the webhooks, from 0 to 1; convo sync finds what they would have brought
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, hide_default_value = true)]
    lose: f64,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo sandbox
  convo sandbox --webhook-url http://127.0.0.1:5000/webhooks/sms --lose 0.3
  DATABASE_URL=sqlite:///play.db TELNYX_API_KEY=play TELNYX_BASE_URL=http://127.0.0.1:5001/v2 \
convo send +12125551234 \"Hi\" --from +15551234567",
    description: "\
It accepts messages as Telnyx does, reports their delivery through signed webhooks, and lets the \
simulated contact reply. Nothing reaches a phone or costs anything. At startup it prints the public \
key for its signatures. The private key stays the same after a restart, and convo webhook finds it.",
    output: "",
};

impl SandboxArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let _log = logging::start_server(context.config.log()?.as_deref())?;
        let key_file = match &self.key_file {
            Some(path) => path.clone(),
            None => sandbox_key_file(&context.config)?,
        };
        runtime::for_server()?.block_on(self.simulate(&key_file))
    }

    /// Runs until SIGTERM or Ctrl-C.
    async fn simulate(&self, key_file: &Path) -> Result<(), Error> {
        let addresses = resolve(self.listen.as_deref().unwrap_or(LISTEN)).await?;
        let Some(address) = addresses.first().filter(|address| is_loopback(address.ip())) else {
            return Err(Error::new(
                Code::NotConfigured,
                "the sandbox listens on loopback addresses only",
            )
            .hint("choose a loopback address, for example --listen 127.0.0.1:5001"));
        };
        let shutdown = Shutdown::default();
        let (listener, webhook_url) = (bind(*address)?, self.webhook_url.clone());
        let sandbox = start(listener, webhook_url, key_file, self.lose, shutdown.asked.clone())?;
        print_settings(&mut stdio::stdout(), &sandbox);
        tokio::spawn(signals::shut_down(shutdown));
        sandbox.stopped().await;
        Ok(())
    }
}

/// Starts a simulated Telnyx, with the signing key in a file, which is made if it is not there. Where no
/// file can be made, the key is a new one each time.
///
/// # Errors
/// `not_configured` if the file cannot be used.
pub(super) fn start(
    listener: TcpListener,
    webhook_url: Option<String>,
    key_file: &Path,
    lose: f64,
    shutdown: CancellationToken,
) -> Result<Sandbox, Error> {
    let cannot_start = |error: io::Error| {
        Error::new(Code::Internal, format!("the simulated Telnyx cannot start: {error}"))
    };
    let signing_key = match SigningKey::load_or_create(key_file) {
        Err(error) if cannot_be_made(&error) && !key_file.exists() => {
            SigningKey::generate().map_err(cannot_start)?
        }
        loaded => loaded.map_err(|error| {
            let path = key_file.display();
            Error::new(Code::NotConfigured, format!("cannot use the key file {path}: {error}"))
                .hint("use a key file of the sandbox, or a path that does not exist yet")
        })?,
    };
    let options = Options { webhook_url, signing_key, api_key: None, pace: Pace::default(), lose };
    Sandbox::start(listener, options, shutdown).map_err(cannot_start)
}

fn cannot_be_made(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

/// Prints the settings that point a program at the sandbox.
fn print_settings(out: &mut impl Write, sandbox: &Sandbox) {
    let lines = [
        "# SANDBOX: Telnyx is simulated, no SMS leaves this machine".to_owned(),
        format!("TELNYX_BASE_URL={}", sandbox.base_url()),
        "TELNYX_API_KEY=sandbox".to_owned(),
        format!("TELNYX_PUBLIC_KEY={}", sandbox.public_key()),
        format!("TELNYX_PHONE_NUMBER={OWN_NUMBER}"),
        "# Numbers with special behaviour:".to_owned(),
    ];
    let magic = MAGIC_NUMBERS.iter().map(|magic| format!("#   {}  {}", magic.number, magic.does));
    for line in lines.into_iter().chain(magic) {
        // The sandbox runs without standard output, too.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}
