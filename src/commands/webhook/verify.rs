//! `convo webhook verify`: whether Telnyx, or another owner of a key, has signed a body.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::workbench::{body_from_stdin, development_key, sandbox_key_file};
use crate::cli::{DatabaseArgs, HelpText};
use crate::clock;
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::error::{Code, Error};
use crate::telnyx::signature::{SignatureError, Verifier};

/// Verify the signature of a body on standard input
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookVerifyArgs {
    /// The header telnyx-timestamp
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    timestamp: String,
    /// The header telnyx-signature-ed25519
    #[arg(long, value_name = "BASE64", allow_hyphen_values = true)]
    signature: String,
    /// A public key that may have signed it; may be repeated [default: TELNYX_PUBLIC_KEY]
    #[arg(long = "public-key", value_name = "BASE64", conflicts_with = "key_file")]
    public_keys: Vec<String>,
    /// The file with the private key for development that may have signed it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Accept a signature of any age
    #[arg(long)]
    any_age: bool,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo webhook verify --timestamp 1795352400 --signature \"$signature\" < body.json
  convo webhook verify --timestamp \"$t\" --signature \"$s\" --public-key \"$key\" --any-age < body.json",
    description: "\
The body must be on standard input byte for byte as it came. Without --public-key and --key-file, the \
keys are those of TELNYX_PUBLIC_KEY; with --sandbox, that of sandbox.key. A signature that is more than \
five minutes old is not accepted, unless --any-age says so. The exit code is 6 if it is not accepted.",
    output: "valid, if the signature is accepted.",
};

impl WebhookVerifyArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let verifier = self.verifier(context)?;
        let body = body_from_stdin(context)?;
        let (timestamp, signature) = (self.timestamp.trim(), self.signature.trim());
        let now = clock::now().as_micros().div_euclid(1_000_000);
        let (timestamp, signature) = (timestamp.as_bytes(), signature.as_bytes());
        match verifier.verify(Some(timestamp), Some(signature), &body, now) {
            Ok(()) => {}
            Err(SignatureError::Stale { .. }) if self.any_age => {}
            Err(error) => {
                let hint = match error {
                    SignatureError::Stale { .. } => "with --any-age, its age does not matter",
                    SignatureError::BadTimestamp => "give the header as it came",
                    _ => "the body must be byte for byte as it came, also its last line break",
                };
                return Err(Error::new(Code::InvalidSignature, error.to_string()).hint(hint));
            }
        }
        let mut out = stdout();
        finish_write(writeln!(out, "valid").and_then(|()| out.flush()))
    }

    fn verifier(&self, context: &Context) -> Result<Verifier, Error> {
        if !self.public_keys.is_empty() {
            return Verifier::new(&self.public_keys).map_err(|_| {
                Error::invalid("--public-key is not an Ed25519 public key")
                    .hint("it has 44 characters of base64")
            });
        }
        if self.key_file.is_some() || context.config.is_sandbox() {
            let key = development_key(self.key_file.as_deref(), context)?;
            return Verifier::new(&[key.public_key()]);
        }
        let verifier = Verifier::new(&context.config.public_keys()?)?;
        if verifier.is_empty() {
            let what = "there is no public key to verify with";
            let mut hint = "add --public-key, or set TELNYX_PUBLIC_KEY".to_owned();
            if sandbox_key_file(&context.config)?.exists() {
                hint.push_str("; for events of the sandbox, add --sandbox");
            }
            return Err(Error::new(Code::NotConfigured, what).hint(hint));
        }
        Ok(verifier)
    }
}
