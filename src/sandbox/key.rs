//! The key that signs webhooks.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use uuid::Uuid;

use crate::secret::Secret;

/// How much of a key file is read: a key has 44 characters and maybe a line break.
const MAX_FILE_SIZE: u64 = 256;

/// An Ed25519 key, of which Telnyx has one for each account. It is protected like a real one: `Debug`
/// does not show it, and only the owner can read its file.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A random key.
    ///
    /// # Errors
    /// If the operating system provides no randomness.
    pub fn generate() -> io::Result<Self> {
        let mut seed = [0; ed25519_dalek::SECRET_KEY_LENGTH];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The key for a secret seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads the key from a file (base64 of the 32 bytes of the seed), or creates the file with mode
    /// 0600, so that the public key stays the same after a restart.
    ///
    /// # Errors
    /// If the file cannot be read or written, or contains something else (`InvalidData`).
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        match Self::create(path) {
            // Another process has just created it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            created => created,
        }
    }

    /// Reads the key from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or contains something else (`InvalidData`).
    pub fn load(path: &Path) -> io::Result<Self> {
        Self::read(File::open(path)?, path)
    }

    fn read(file: File, path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        file.take(MAX_FILE_SIZE).read_to_string(&mut text)?;
        let seed = STANDARD.decode(text.trim()).ok().and_then(|seed| seed.try_into().ok());
        seed.map(|seed| Self::from_seed(&seed)).ok_or_else(|| {
            let problem = "does not contain a sandbox key (base64 of 32 bytes)";
            io::Error::new(ErrorKind::InvalidData, format!("{} {problem}", path.display()))
        })
    }

    /// Makes a key and writes it to a new file with mode 0600. The file appears with its whole content.
    ///
    /// # Errors
    /// If the file exists (`AlreadyExists`), or cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let key = Self::generate()?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", Uuid::new_v4().simple()));
        let unfinished = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished)?;
        let written = file
            .write_all(format!("{}\n", key.private_key().expose()).as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&unfinished, path));
        let _ = fs::remove_file(&unfinished);
        written.map(|()| key)
    }

    /// The seed as the file holds it: base64 of 32 bytes.
    #[must_use]
    pub fn private_key(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0.as_bytes()))
    }

    /// The public key as Telnyx's portal shows it: base64 of 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.verifying_key().as_bytes())
    }

    /// The header `telnyx-signature-ed25519` for a body sent at `timestamp` (Unix seconds).
    #[must_use]
    pub fn sign(&self, timestamp: i64, body: &[u8]) -> String {
        let mut signed = format!("{timestamp}|").into_bytes();
        signed.extend_from_slice(body);
        STANDARD.encode(self.0.sign(&signed).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public_key()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        public_key: String,
        seed_b64: String,
        timestamp: String,
        body: String,
        signature: String,
    }

    #[test]
    fn signatures_match_the_published_vectors() {
        let json = include_str!("../../tests/telnyx/signature-vectors.json");
        let vectors: Vec<Vector> = serde_json::from_str(json).expect("the vectors parse");
        assert!(!vectors.is_empty());
        for v in vectors {
            let seed = STANDARD.decode(v.seed_b64).expect("base64").try_into().expect("32 bytes");
            let key = SigningKey::from_seed(&seed);
            assert_eq!(key.public_key(), v.public_key);
            let timestamp = v.timestamp.parse().expect("a number");
            assert_eq!(key.sign(timestamp, v.body.as_bytes()), v.signature, "{}", v.body);
        }
    }

    #[test]
    fn a_key_file_is_created_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let made = SigningKey::load_or_create(&path).expect("a new key");
        let read = SigningKey::load_or_create(&path).expect("the same key");
        assert_eq!(made.public_key(), read.public_key());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = path.metadata().expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&path, "no key").expect("overwritten");
        let error = SigningKey::load_or_create(&path).expect_err("not a key");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("sandbox key"), "{error}");
    }

    #[test]
    fn generated_keys_differ_and_are_not_in_debug_output() {
        let key = SigningKey::generate().expect("a key");
        let other = SigningKey::generate().expect("a key");
        assert_ne!(key.public_key(), other.public_key());
        let secret = STANDARD.encode(key.0.as_bytes());
        assert!(!format!("{key:?}").contains(&secret));
    }
}
