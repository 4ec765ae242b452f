//! Statistics of a server.

use super::Client;
use super::exchange::Exchange;
use crate::domain::{Stats, StatsQuery};
use crate::error::Error;

impl Client {
    /// Statistics about messages.
    ///
    /// # Errors
    /// The server's; `server_unreachable` or `server_mismatch`.
    pub async fn stats(&self, query: &StatsQuery) -> Result<Stats, Error> {
        let request = self.http.get(self.address.join(&["stats"])).query(&query.parameters());
        let (_, stats) = Exchange::read(self.address.as_str()).run(request).await?;
        Ok(stats)
    }
}
