//! `convo sandbox`: the simulated Telnyx by itself, for any program that speaks to Telnyx.

use std::io::Write;

use super::{serve, signals};
use crate::cli::SandboxArgs;
use crate::error::{Code, Error};
use crate::sandbox::{MAGIC_NUMBERS, OWN_NUMBER, Options, Pace, Sandbox, SigningKey};
use crate::server::Shutdown;

/// Where it listens by default: beside `convo serve`.
const LISTEN: &str = "127.0.0.1:5001";

/// Plays Telnyx until SIGTERM or Ctrl-C. Prints the settings that point a program at it.
///
/// # Errors
/// When the address is taken or not on this machine, or the key file cannot be used.
pub async fn run(args: SandboxArgs, out: &mut impl Write) -> Result<(), Error> {
    let address = serve::resolve(args.listen.as_deref().unwrap_or(LISTEN)).await?;
    if !address.ip().is_loopback() {
        return Err(Error::new(Code::NotConfigured, "the sandbox is for this machine alone")
            .hint("choose a loopback address, for example --listen 127.0.0.1:5001"));
    }
    let signing_key = match &args.key_file {
        Some(path) => SigningKey::load_or_create(path).map_err(|error| {
            let shown = path.display();
            Error::new(Code::NotConfigured, format!("cannot use the key file {shown}: {error}"))
                .hint("name a file of your own, or one that does not exist yet")
        })?,
        None => SigningKey::generate().map_err(|error| serve::no_sandbox(&error))?,
    };
    let webhook_url = args.webhook_url;
    let options = Options { webhook_url, signing_key, api_key: None, pace: Pace::default() };
    let shutdown = Shutdown::default();
    let sandbox = Sandbox::start(serve::bind(address).await?, options, shutdown.asked.clone())
        .map_err(|error| serve::no_sandbox(&error))?;
    settings(out, &sandbox);
    tokio::spawn(signals::stop(shutdown));
    sandbox.stopped().await;
    Ok(())
}

fn settings(out: &mut impl Write, sandbox: &Sandbox) {
    let lines = [
        "# SANDBOX: Telnyx is simulated, no SMS leaves this machine".to_owned(),
        format!("TELNYX_BASE_URL={}", sandbox.base_url()),
        "TELNYX_API_KEY=sandbox".to_owned(),
        format!("TELNYX_PUBLIC_KEY={}", sandbox.public_key()),
        format!("TELNYX_PHONE_NUMBER={OWN_NUMBER}"),
        "# Numbers that misbehave:".to_owned(),
    ];
    let magic = MAGIC_NUMBERS.iter().map(|magic| format!("#   {}  {}", magic.number, magic.does));
    for line in lines.into_iter().chain(magic) {
        // A closed standard output is no reason not to play.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}
