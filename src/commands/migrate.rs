//! `convo migrate`: bring the database's schema up to date.

use std::io::Write;

use crate::config::Config;
use crate::error::Error;
use crate::store::Store;

/// Applies what is missing and says so on `talk`.
///
/// # Errors
/// When the database cannot be opened, is newer than this program or of the other mode.
pub async fn run(config: &Config, talk: &mut impl Write) -> Result<(), Error> {
    let ran = Store::migrate(&config.database, config.mode()).await?;
    let what = match ran {
        0 => "was up to date".to_owned(),
        1 => "is up to date: 1 migration applied".to_owned(),
        n => format!("is up to date: {n} migrations applied"),
    };
    let _ = writeln!(talk, "{} {what}", config.database);
    Ok(())
}
