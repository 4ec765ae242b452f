//! Media of inbound messages: fetched into a store before their links expire, and read from there.
//!
//! The fetcher is a reader of the feed with a place of its own, which one server at a time runs. Content is
//! named by its hash, so that the same picture is kept once.

mod address;
mod content;
mod download;
mod fetcher;
mod library;
mod sweep;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;
use address::PublicResolver;
pub use content::ContentStore;
pub(crate) use content::ContentStream;
pub use download::Downloader;
pub use fetcher::Fetcher;
pub(crate) use library::{KeptMedium, MediaLibrary};
pub(crate) use sweep::expire;
pub(crate) use transfer::{MediaCopied, copy_media};

/// Where media are kept, and up to which size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSettings {
    /// The store.
    pub place: MediaPlace,
    /// The size of the largest file that is kept, in bytes.
    pub max_size: usize,
    /// How long they are kept; `None` for ever.
    pub keep: Option<Duration>,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self { place: MediaPlace::Off, max_size: 10 << 20, keep: None }
    }
}

/// A store for media.
#[derive(Clone, PartialEq, Eq)]
pub enum MediaPlace {
    /// Nothing is kept.
    Off,
    /// A directory, which is made when it is needed.
    Directory(PathBuf),
    /// A part of an S3 bucket.
    S3(BucketPlace),
}

/// A part of an S3 bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// The name of the bucket.
    pub bucket: String,
    /// What the names of all objects begin with.
    pub prefix: String,
    /// Credentials, region, endpoint and so on, by the names of AWS's variables.
    pub options: Vec<(String, Secret)>,
}

impl std::fmt::Debug for MediaPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MediaPlace({self})")
    }
}

impl std::fmt::Display for MediaPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3(place) => write!(f, "s3://{}/{}", place.bucket, place.prefix),
        }
    }
}
