//! `convo settle`: one round of what a server does all the time.

use std::io::Write;

use crate::clock;
use crate::error::Error;
use crate::threading::Threads;

use super::Stop;

/// Settles what is left open, and prints each message that it moved with its status now.
///
/// # Errors
/// The database could not be read or written, or standard output not written.
pub async fn run(threads: &Threads, out: &mut impl Write) -> Result<(), Error> {
    let moved = threads.settle(clock::now()).await?;
    let printed = moved
        .iter()
        .try_for_each(|settled| writeln!(out, "{}\t{}", settled.id, settled.status))
        .and_then(|()| out.flush());
    super::settle(printed.map_err(Stop::from))
}
