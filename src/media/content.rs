//! The store for the content of media: a directory or a part of an S3 bucket.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use sha2::{Digest, Sha256};

use super::{BucketPlace, MediaPlace};
use crate::domain::ContentHash;
use crate::error::{Code, Error};
use crate::tls;

/// How long a bucket may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request to a bucket is repeated.
const RETRY_TIME: Duration = Duration::from_secs(20);
const RETRIES: usize = 3;

/// Content as it is read.
pub(crate) type ContentStream = BoxStream<'static, Result<Bytes, Error>>;

/// The store for the content of media. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ContentStore {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Where its files are, if it is a directory.
    directory: Option<PathBuf>,
}

impl ContentStore {
    /// Opens the store, making its directory if necessary; `None` if media are not kept.
    ///
    /// # Errors
    /// `not_configured` if it cannot be used.
    pub fn open(place: &MediaPlace) -> Result<Option<Self>, Error> {
        if let MediaPlace::Directory(path) = place {
            make_directory(path)?;
        }
        Self::open_existing(place)
    }

    /// Opens the store to read from it; `None` if nothing is kept there.
    ///
    /// # Errors
    /// `not_configured` if it cannot be used.
    pub(crate) fn open_existing(place: &MediaPlace) -> Result<Option<Self>, Error> {
        match place {
            MediaPlace::Off => Ok(None),
            MediaPlace::Directory(path) if !path.exists() => Ok(None),
            MediaPlace::Directory(path) => {
                let files = LocalFileSystem::new_with_prefix(path)
                    .map_err(|error| unusable(&path.display().to_string(), &error.to_string()))?;
                Ok(Some(Self {
                    objects: Arc::new(files.with_fsync(true)),
                    prefix: Path::default(),
                    directory: Some(path.clone()),
                }))
            }
            MediaPlace::S3(place) => Ok(Some(Self {
                objects: Arc::new(bucket(place)?),
                prefix: Path::from(place.prefix.as_str()),
                directory: None,
            })),
        }
    }

    /// Keeps some content: whole, or not at all.
    ///
    /// # Errors
    /// `media_unavailable`.
    pub(crate) async fn put(&self, content: Bytes) -> Result<ContentHash, Error> {
        let digest = Sha256::digest(&content);
        let hash = ContentHash::from_bytes(&digest).ok_or_else(Error::internal)?;
        let path = self.path(hash);
        self.objects.put(&path, content.into()).await.map_err(|error| unavailable(&error))?;
        if let Some(directory) = &self.directory {
            let file = directory.join(path.as_ref());
            tokio::fs::set_permissions(&file, Permissions::from_mode(0o600)).await.map_err(
                |error| {
                    tracing::warn!(%error, "the permissions of a media file could not be set");
                    broken()
                },
            )?;
        }
        Ok(hash)
    }

    /// Whether some content is there.
    ///
    /// # Errors
    /// `media_unavailable`.
    pub(crate) async fn has(&self, hash: ContentHash) -> Result<bool, Error> {
        match self.objects.head(&self.path(hash)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Some whole content; `None` if it is not there, or is not what it was.
    ///
    /// # Errors
    /// `media_unavailable`.
    pub(crate) async fn load(&self, hash: ContentHash) -> Result<Option<Bytes>, Error> {
        let found = match self.objects.get(&self.path(hash)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        };
        let content = found.bytes().await.map_err(|error| unavailable(&error))?;
        let is_whole = Sha256::digest(&content).as_slice() == hash.as_bytes();
        Ok(is_whole.then_some(content))
    }

    /// A part of some content.
    ///
    /// # Errors
    /// `media_unavailable`, also while it is read.
    pub(crate) async fn read(
        &self,
        hash: ContentHash,
        range: Range<u64>,
    ) -> Result<ContentStream, Error> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let found = self.objects.get_opts(&self.path(hash), options).await;
        let found = found.map_err(|error| match error {
            object_store::Error::NotFound { .. } => {
                Error::new(Code::MediaUnavailable, "the media file is not in this store").hint(
                    "where several servers share a database, CONVO_MEDIA must be the same for all: \
                     an S3 bucket or a shared directory",
                )
            }
            error => unavailable(&error),
        })?;
        let parts = found.into_stream();
        Ok(parts.map(|part| part.map_err(|error| unavailable(&error))).boxed())
    }

    /// Deletes some content, unless it is gone already.
    ///
    /// # Errors
    /// `media_unavailable`.
    pub(crate) async fn delete(&self, hash: ContentHash) -> Result<(), Error> {
        match self.objects.delete(&self.path(hash)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// The name of some content in the store, in one of 256 directories.
    fn path(&self, hash: ContentHash) -> Path {
        let name = hash.to_string();
        self.prefix.clone().join(&name[..2]).join(name)
    }
}

fn bucket(place: &BucketPlace) -> Result<impl ObjectStore, Error> {
    tls::install();
    let client = ClientOptions::new()
        .with_timeout(ANSWER_TIME)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_allow_http(allows_http(place));
    let retry =
        RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
    for (name, value) in &place.options {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value.expose());
        }
    }
    let built = builder.with_bucket_name(&place.bucket).build();
    built.map_err(|error| unusable(&format!("s3://{}", place.bucket), &error.to_string()))
}

/// Whether requests may be unencrypted: to this machine, or where AWS's variables say so.
fn allows_http(place: &BucketPlace) -> bool {
    place.options.iter().any(|(name, value)| match name.to_ascii_uppercase().as_str() {
        "AWS_ENDPOINT_URL" | "AWS_ENDPOINT_URL_S3" | "AWS_ENDPOINT" => {
            let url = url::Url::parse(value.expose()).ok();
            let host = url.as_ref().and_then(url::Url::host);
            host.is_some_and(|host| crate::net::is_loopback_host(&host))
        }
        "AWS_ALLOW_HTTP" => matches!(value.expose(), "true" | "1"),
        _ => false,
    })
}

/// Makes a directory that only its owner may read.
fn make_directory(path: &FilePath) -> Result<(), Error> {
    let failed = |why: &str| unusable(&path.display().to_string(), why);
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        // It is not made: a database there would be missing, too.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(failed("the directory that it would be in does not exist"))
        }
        made => made.map_err(|error| failed(&error.to_string())),
    }
}

fn unusable(place: &str, why: &str) -> Error {
    Error::new(Code::NotConfigured, format!("media cannot be kept in {place}: {why}"))
        .hint("set CONVO_MEDIA to a directory, to s3://BUCKET/PREFIX, or to off")
}

/// What the store itself said is for the log alone.
fn unavailable(error: &object_store::Error) -> Error {
    tracing::warn!(%error, "the store of media cannot be used");
    broken()
}

fn broken() -> Error {
    Error::new(Code::MediaUnavailable, "the store of media cannot be used now")
        .hint("try again; the log of the server has the reason")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::TryStreamExt;

    use super::*;
    use crate::secret::Secret;

    async fn text(store: &ContentStore, hash: ContentHash, range: Range<u64>) -> String {
        let parts: Vec<Bytes> =
            store.read(hash, range).await.expect("content").try_collect().await.expect("all of it");
        String::from_utf8(parts.concat()).expect("text")
    }

    #[tokio::test]
    async fn the_same_content_is_one_private_file_named_by_its_hash() {
        let home = tempfile::tempdir().expect("a directory");
        let root = home.path().join("media");
        let place = MediaPlace::Directory(root.clone());
        assert!(ContentStore::open_existing(&place).expect("usable").is_none());
        let store = ContentStore::open(&place).expect("usable").expect("a store");
        let hash = store.put("a picture".into()).await.expect("kept");
        assert_eq!(store.put("a picture".into()).await.expect("kept"), hash);
        let (name, mode) = (hash.to_string(), |path: &FilePath| {
            fs::metadata(path).expect("a file").permissions().mode() & 0o777
        });
        let directory = root.join(&name[..2]);
        let files: Vec<_> = fs::read_dir(&directory).expect("a directory").collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!((mode(&directory.join(&name)), mode(&root)), (0o600, 0o700));
        assert_eq!(text(&store, hash, 0..9).await, "a picture");
        assert_eq!(text(&store, hash, 2..5).await, "pic");
        assert_eq!(text(&store, hash, 0..0).await, "");
        store.delete(hash).await.expect("deleted");
        store.delete(hash).await.expect("deleted before");
        let gone = store.read(hash, 0..1).await.err().expect("gone");
        assert_eq!(gone.code(), Code::MediaUnavailable);
    }

    #[test]
    fn a_bucket_is_asked_in_the_clear_on_this_machine_only() {
        let place = |endpoint: &str| BucketPlace {
            bucket: "media".to_owned(),
            prefix: String::new(),
            options: vec![("AWS_ENDPOINT_URL".to_owned(), Secret::new(endpoint))],
        };
        assert!(allows_http(&place("http://127.0.0.1:9000")));
        assert!(!allows_http(&place("http://10.0.0.1:9000")));
        assert!(!allows_http(&place("http://127.0.0.1.example.com")));
    }
}
