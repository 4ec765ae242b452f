//! `convo health`: whether a server works, as an exit code.

use std::io::{self, Write};

use clap::{Args, ValueHint};

use super::context::Context;
use super::listen;
use super::print::{finish_write, stdout};
use crate::cli::value::web_address;
use crate::cli::{Group, HelpText, JsonArgs};
use crate::client::{Client, Health};
use crate::config::{Config, Remote};
use crate::error::{Code, Error};
use crate::output::{escape, json};

/// Check the health of a server
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct HealthArgs {
    /// The server [default: CONVO_SERVER, or CONVO_LISTEN on this machine]
    #[arg(value_name = "URL", value_hint = ValueHint::Url, value_parser = web_address)]
    url: Option<String>,
    /// Check whether it can receive webhooks and send, not only whether it is running
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo health
  convo health --ready https://convo.example.com",
    description: "\
For health checks by containers and supervisors. The exit code is 0 if the server reports that it \
is healthy, and 5 if it does not or cannot be reached. The timeout is 5 seconds.

Without --ready, this requests /health, which only shows that it runs; with it, /health/ready, \
which checks the database, the settings and that the server is not shutting down. A server shows \
which check failed only to callers on its own machine or with a token (CONVO_API_TOKEN).",
    output: "ok or ready; with --json, the server's response. Otherwise the reason, on standard error.",
};

impl HealthArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let Remote { address, token } = self.server(&context.config)?;
        context.block_on(async {
            let client = Client::for_health(&address, token.as_ref())?;
            let health = client.health(self.ready).await.map_err(|error| unhealthy(&error))?;
            finish_write(self.print(&health))
        })
    }

    /// The server that was named, or that commands ask, or else the one that `convo serve` runs here.
    fn server(&self, config: &Config) -> Result<Remote, Error> {
        let address = match &self.url {
            Some(url) => url.clone(),
            None => {
                if let Some(remote) = config.remote()? {
                    return Ok(remote);
                }
                let listen = config.listen()?;
                listen.parse().map_or_else(|_| format!("http://{listen}"), listen::url)
            }
        };
        let token = config.api_tokens()?.into_iter().next().map(|token| token.secret);
        Ok(Remote { address, token })
    }

    fn print(&self, health: &Health) -> io::Result<()> {
        let mut out = stdout();
        match self.json.json {
            true => json::write_line(&mut out, health)?,
            false => writeln!(out, "{}", escape::line(&health.status))?,
        }
        out.flush()
    }
}

/// Whatever is wrong, the answer to the question is no.
fn unhealthy(error: &Error) -> Error {
    let same = Error::new(Code::ServerUnreachable, error.to_string());
    match error.hint_text() {
        Some(hint) => same.hint(hint),
        None => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Source};

    #[test]
    fn by_default_it_asks_the_server_that_the_settings_name() {
        let url = |variables: &[(&str, &str)]| {
            let source = Source::for_test(variables);
            let config = Config::new(Flags::default(), source).expect("good settings");
            let args = HealthArgs { url: None, ready: false, json: JsonArgs::default() };
            args.server(&config).expect("a server").address
        };
        assert_eq!(url(&[]), "http://127.0.0.1:5000");
        assert_eq!(url(&[("CONVO_LISTEN", "0.0.0.0:80")]), "http://127.0.0.1:80");
        assert_eq!(url(&[("CONVO_LISTEN", "10.0.0.0:80")]), "http://10.0.0.0:80");
        assert_eq!(url(&[("CONVO_LISTEN", "localhost:80")]), "http://localhost:80");
        assert_eq!(url(&[("CONVO_LISTEN", "[::]:8080")]), "http://[::1]:8080");
        assert_eq!(url(&[("CONVO_SERVER", "https://h.example")]), "https://h.example");
    }
}
