//! `convo openapi`: what a server of this version can be asked.

use std::io::Write;

use super::settle;
use crate::error::Error;
use crate::server::openapi;

/// Prints the document. Nothing is read, opened or asked.
///
/// # Errors
/// Standard output could not be written.
pub fn run(out: &mut impl Write) -> Result<(), Error> {
    let written = out.write_all(openapi::document().as_bytes()).and_then(|()| out.flush());
    settle(written.map_err(Into::into))
}
