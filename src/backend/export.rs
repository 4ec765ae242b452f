//! An export, of the database here or by a server.

use super::Backend;
use crate::client::ExportStream;
use crate::domain::ExportFilter;
use crate::error::Error;
use crate::output::json;
use crate::threading::ExportReader;

/// An export as it is read: the same bytes, local or remote.
#[derive(Debug)]
pub(crate) enum ExportSource {
    /// Of the database that this process opened.
    Local(Box<ExportReader>),
    /// By a server.
    Remote(ExportStream),
}

impl Backend {
    /// Begins an export of what a filter covers.
    ///
    /// # Errors
    /// `conversation_not_found`; the database or the server cannot be reached.
    pub(crate) async fn export(&self, filter: ExportFilter) -> Result<ExportSource, Error> {
        match self {
            Self::Local(conversations) => {
                conversations.export(filter).await.map(|reader| ExportSource::Local(reader.into()))
            }
            Self::Remote(client) => client.export(&filter).await.map(ExportSource::Remote),
        }
    }
}

impl ExportSource {
    /// The next bytes, which need not end with a line; `None` after the last.
    ///
    /// # Errors
    /// The database or the server cannot be reached.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Local(reader) => {
                let Some(lines) = reader.next().await? else { return Ok(None) };
                let mut text = Vec::new();
                for line in lines {
                    json::write_line(&mut text, &line).map_err(|_| Error::internal())?;
                }
                Ok(Some(text))
            }
            Self::Remote(stream) => Ok(stream.next().await?.map(Vec::from)),
        }
    }
}
