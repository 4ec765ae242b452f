//! The tokio runtimes: one thread for a command, several for a server.

use tokio::runtime::{Builder, Runtime};

use crate::error::Error;

/// A runtime on the calling thread only: a command starts faster without others.
///
/// # Errors
/// `internal` if the system is out of resources.
pub fn for_command() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_all().build().map_err(|_| Error::internal())
}

/// A runtime with one thread per processor.
///
/// # Errors
/// `internal` if the system is out of resources.
pub fn for_server() -> Result<Runtime, Error> {
    Builder::new_multi_thread().enable_all().build().map_err(|_| Error::internal())
}
