//! `convo openapi`: the description of the REST API of this version.

use std::io::Write;

use clap::Args;

use super::print::{finish_write, stdout};
use crate::cli::{Group, HelpText};
use crate::error::Error;
use crate::server::openapi;

/// Print the OpenAPI document of the REST API
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct OpenapiArgs {}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo openapi > openapi.json
  convo openapi | jq -r '.paths | keys[]'",
    description: "\
It describes every route of convo serve: parameters, responses, errors, and the scope that a token \
needs. A server of the same version serves the same document at /openapi.json. No database is opened \
and no server is contacted.",
    output: "An OpenAPI 3.1 document in JSON.",
};

impl OpenapiArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut out = stdout();
        let written = out.write_all(openapi::document().as_bytes());
        finish_write(written.and_then(|()| out.flush()))
    }
}
