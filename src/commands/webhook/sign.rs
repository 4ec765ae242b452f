//! `convo webhook sign`: the headers of a body, as Telnyx would sign it.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::workbench::{body_from_stdin, development_key};
use crate::cli::{DatabaseArgs, HelpText};
use crate::clock;
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::error::Error;
use crate::telnyx::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// Sign a body on standard input as Telnyx does
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookSignArgs {
    /// Sign with the key in this file [default: sandbox.key, which the sandbox leaves]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Sign as of this time in Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..))]
    timestamp: Option<i64>,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo webhook sign --key-file dev.key < body.json
  convo webhook sign < body.json | curl -H @- --data-binary @body.json localhost:5000/webhooks/sms",
    description: "\
Telnyx signs the time and the body, byte for byte. A receiver accepts the signature for five minutes.",
    output: "\
The two headers, one a line, as curl -H @- reads them:

  telnyx-timestamp: SECONDS
  telnyx-signature-ed25519: BASE64",
};

impl WebhookSignArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let key = development_key(self.key_file.as_deref(), context)?;
        let body = body_from_stdin(context)?;
        let now = || clock::now().as_micros().div_euclid(1_000_000);
        let seconds = self.timestamp.unwrap_or_else(now);
        let signature = key.sign(seconds, &body);
        let mut out = stdout();
        let lines = format!("{TIMESTAMP_HEADER}: {seconds}\n{SIGNATURE_HEADER}: {signature}\n");
        finish_write(out.write_all(lines.as_bytes()).and_then(|()| out.flush()))
    }
}
