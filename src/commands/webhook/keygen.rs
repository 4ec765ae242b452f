//! `convo webhook keygen`: a key pair for development.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::Serialize;

use crate::cli::{HelpText, JsonArgs};
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::error::{Code, Error};
use crate::output::{Format, json};
use crate::sandbox::SigningKey;

/// Make a key pair for development
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookKeygenArgs {
    /// Write the private key to this new file, which only you can read, instead of printing it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo webhook keygen
  convo webhook keygen --key-file dev.key",
    description: "\
An Ed25519 key pair such as Telnyx has for each account. A server accepts what the private key signs if \
TELNYX_PUBLIC_KEY is, or contains, the public key.",
    output: "\
One line each, with the value behind a TAB: public_key, and without --key-file private_key, both in \
base64. With --json, one object with these fields.",
};

#[derive(Debug, Serialize)]
struct KeyPair<'a> {
    public_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<&'a str>,
}

impl WebhookKeygenArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let key = match &self.key_file {
            Some(path) => {
                let path = context.directory.join(path);
                SigningKey::create(&path).map_err(|error| {
                    let what = format!("{} cannot be written: {error}", path.display());
                    Error::invalid(what).hint(match error.kind() {
                        ErrorKind::AlreadyExists => "an existing file is left as it is",
                        _ => "name a file in a directory that you may write to",
                    })
                })?
            }
            None => SigningKey::generate().map_err(|error| {
                Error::new(Code::Internal, format!("the system provided no random bytes: {error}"))
            })?,
        };
        let (public, private) = (key.public_key(), key.private_key());
        let private = Some(private.expose()).filter(|_| self.key_file.is_none());
        let mut out = stdout();
        let written = if self.json.format() == Some(Format::Json) {
            json::write_line(&mut out, &KeyPair { public_key: &public, private_key: private })
        } else {
            let private = private.map(|private| format!("private_key\t{private}\n"));
            write!(out, "public_key\t{public}\n{}", private.unwrap_or_default())
        };
        finish_write(written.and_then(|()| out.flush()))
    }
}
