//! Media of inbound messages: what became of each, their types, the names of their files.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Timestamp;
use crate::error::{Code, Error};

/// How long Telnyx's links to inbound media last, in seconds.
pub(crate) const LINK_LIFE: i64 = 30 * 24 * 3_600;
/// The type of what is not recognised.
pub(crate) const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Whether convo keeps a file of an inbound message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// Not fetched yet.
    Waiting,
    /// It is in the store.
    Kept,
    /// Larger than `CONVO_MEDIA_MAX`.
    TooLarge,
    /// Its link leads to an address from which nothing is fetched.
    Refused,
    /// Its link expired before it could be fetched, or it is no longer kept.
    Gone,
}

impl MediaState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Kept, Self::TooLarge, Self::Refused, Self::Gone];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Kept => "kept",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }

    /// The state of a file that nobody has tried to fetch, of a message from `created_at`.
    pub(crate) fn untried(created_at: Timestamp, now: Timestamp) -> Self {
        if has_expired(created_at, now) { Self::Gone } else { Self::Waiting }
    }

    /// What it means to someone who wants the file, as a sentence without its subject.
    fn meaning(self) -> &'static str {
        match self {
            Self::Waiting => "has not been fetched yet",
            Self::Kept => "is kept",
            Self::TooLarge => "is larger than CONVO_MEDIA_MAX, so it was not kept",
            Self::Refused => "was not fetched: its link leads to an address that is not allowed",
            Self::Gone => "is no longer there",
        }
    }
}

/// Whether the links of a message from `created_at` have expired.
pub(crate) fn has_expired(created_at: Timestamp, now: Timestamp) -> bool {
    created_at.plus_seconds(LINK_LIFE) <= now
}

/// The error when a message has no such file.
pub(crate) fn medium_not_found(number: usize) -> Error {
    Error::new(Code::MediaNotFound, format!("the message has no media file {number}"))
}

/// The error for a file that is not kept.
pub(crate) fn not_kept(number: usize, state: MediaState) -> Error {
    let what = format!("media file {number} {}", state.meaning());
    match state {
        MediaState::Waiting => Error::new(Code::MediaUnavailable, what)
            .hint("try again shortly: convo serve fetches it, unless CONVO_MEDIA is off"),
        _ => Error::new(Code::MediaNotFound, what),
    }
}

/// The SHA-256 of a file's content, which is its name in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// A hash from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// A hash from its 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// The types that are recognised, with the extension of their files.
const TYPES: &[(&str, &str)] = &[
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/bmp", "bmp"),
    ("image/webp", "webp"),
    ("image/heic", "heic"),
    ("video/mp4", "mp4"),
    ("video/3gpp", "3gp"),
    ("video/quicktime", "mov"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/amr", "amr"),
    ("audio/wav", "wav"),
    ("application/pdf", "pdf"),
    ("text/vcard", "vcf"),
    ("text/calendar", "ics"),
];

/// The type of some content by its first bytes. None of the types can run anything in a browser.
pub(crate) fn sniffed_type(content: &[u8]) -> &'static str {
    let brand = content.get(4..12).filter(|part| part.starts_with(b"ftyp")).map(|part| &part[4..]);
    let form = content.get(8..12).filter(|_| content.starts_with(b"RIFF"));
    match (content, brand, form) {
        (_, Some(b"qt  "), _) => "video/quicktime",
        (_, Some(b"heic" | b"heix" | b"mif1" | b"msf1"), _) => "image/heic",
        (_, Some(brand), _) if brand.starts_with(b"3g") => "video/3gpp",
        (_, Some(_), _) => "video/mp4",
        (_, _, Some(b"WEBP")) => "image/webp",
        (_, _, Some(b"WAVE")) => "audio/wav",
        ([0xff, 0xd8, 0xff, ..], ..) => "image/jpeg",
        ([0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..], ..) => "image/png",
        ([b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..], ..) => "image/gif",
        ([b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..], ..) => "image/bmp",
        ([b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2 | 0xfa, ..], ..) => "audio/mpeg",
        ([b'O', b'g', b'g', b'S', ..], ..) => "audio/ogg",
        ([b'#', b'!', b'A', b'M', b'R', ..], ..) => "audio/amr",
        ([b'%', b'P', b'D', b'F', b'-', ..], ..) => "application/pdf",
        _ if begins_with(content, "BEGIN:VCARD") => "text/vcard",
        _ if begins_with(content, "BEGIN:VCALENDAR") => "text/calendar",
        _ => UNKNOWN_TYPE,
    }
}

fn begins_with(content: &[u8], word: &str) -> bool {
    let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
    content.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// The name of the file with a medium: nothing in it is what somebody else wrote.
pub(crate) fn file_name(message: Uuid, number: usize, content_type: &str) -> String {
    let known = TYPES.iter().find(|(name, _)| *name == content_type);
    format!("{message}-{number}.{}", known.map_or("bin", |(_, extension)| extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_in_the_content_and_is_one_of_the_list() {
        for (content, found) in [
            (&b"\xff\xd8\xff\xe0rest"[..], "image/jpeg"),
            (b"\x89PNG\r\n\x1a\nrest", "image/png"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
            (b"\0\0\0\x18ftypmp42....", "video/mp4"),
            (b"\0\0\0\x18ftyp3gp5....", "video/3gpp"),
            (b"%PDF-1.7", "application/pdf"),
            (b"begin:vcard\r\n", "text/vcard"),
            (b"<html><script>", UNKNOWN_TYPE),
            (b"<svg xmlns=", UNKNOWN_TYPE),
            (b"", UNKNOWN_TYPE),
            (b"\0\0\0\x18fty", UNKNOWN_TYPE),
        ] {
            assert_eq!(sniffed_type(content), found, "{content:?}");
            assert!(found == UNKNOWN_TYPE || TYPES.iter().any(|(name, _)| *name == found));
        }
    }

    #[test]
    fn a_hash_is_its_digits() {
        let digits = "00ff".repeat(16);
        let hash = ContentHash::parse(&digits).expect("a hash");
        assert_eq!(hash.to_string(), digits);
        assert_eq!(ContentHash::from_bytes(hash.as_bytes()), Some(hash));
        for wrong in ["", "00", &"+0ff".repeat(16), &"é".repeat(32)] {
            assert_eq!(ContentHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_is_named_by_its_message_alone() {
        let name = file_name(Uuid::nil(), 2, "image/png");
        assert_eq!(name, "00000000-0000-0000-0000-000000000000-2.png");
        assert!(file_name(Uuid::nil(), 1, "../../evil").ends_with("-1.bin"));
    }
}
