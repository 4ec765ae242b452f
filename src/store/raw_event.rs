//! Raw events as they are stored: compressed with a dictionary that is part of the program.
//!
//! Telnyx's events differ in a few values only, so a dictionary of what they have in common takes
//! more than 1,100 bytes down to some 200. The id of its dictionary is stored with each event. A
//! dictionary never changes: `cargo run -p xtask -- dictionary ID` trains another one, which a
//! release must be able to read before a later one writes with it, since servers of two releases may
//! share a database.

use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::CParameter;

/// The first bytes of every compressed event, which tell programs that know many formats that it is one of
/// zstd (RFC 8878, 3.1.1).
const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const DICTIONARY_1: &[u8] = include_bytes!("raw_event/dictionary-1.zstd");
/// Every dictionary there ever was, by its id, and the first bytes that are not stored with it. The id 2 is of
/// the same dictionary as 1.
const DICTIONARIES: [(i16, &[u8], &[u8]); 2] = [(1, DICTIONARY_1, &[]), (2, DICTIONARY_1, MAGIC)];
/// The one that new events are compressed with.
const CURRENT: i16 = 2;
/// The id of an event that is stored as it came.
const UNCOMPRESSED: i16 = 0;
/// Takes 6 µs for an event, two more than zstd's default level, and saves a tenth of its bytes. Level 6
/// takes twice as long and saves 2 % more.
const LEVEL: i32 = 4;
/// The longest event that can be restored, in bytes: what a server accepts may be no longer.
pub const LONGEST_EVENT: usize = 16 << 20;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));

thread_local! {
    /// A context for each thread: making one takes longer than compressing an event.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(compressor());
}

fn compressor() -> Option<Compressor<'static>> {
    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER).ok()?;
    // Four bytes: the id is stored with each event anyway.
    compressor.set_parameter(CParameter::DictIdFlag(false)).ok()?;
    Some(compressor)
}

/// A raw event in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// The id of the dictionary it was compressed with; 0 if it is not compressed.
    pub dictionary: i16,
    /// The compressed bytes.
    pub bytes: Vec<u8>,
}

impl RawEvent {
    /// Compresses an event. This takes a few microseconds, so it is done where the event arrives
    /// and not in the writer, which all of them pass through.
    #[must_use]
    pub fn compress(event: &[u8]) -> Self {
        let compressed = COMPRESSOR
            .with_borrow_mut(|compressor| compressor.as_mut()?.compress(event).ok())
            .filter(|compressed| compressed.len() < event.len());
        match compressed {
            Some(bytes) => Self { dictionary: CURRENT, bytes: bytes[MAGIC.len()..].to_vec() },
            None => Self { dictionary: UNCOMPRESSED, bytes: event.to_vec() },
        }
    }

    /// The event as it came. `None` when it was damaged, or stored by a later release with a
    /// dictionary that this one does not have.
    #[must_use]
    pub fn restore(self) -> Option<Vec<u8>> {
        if self.dictionary == UNCOMPRESSED {
            return Some(self.bytes);
        }
        let (.., dictionary, left_out) =
            DICTIONARIES.iter().find(|(id, ..)| *id == self.dictionary)?;
        let dictionary = DecoderDictionary::copy(dictionary);
        let mut decompressor = Decompressor::with_prepared_dictionary(&dictionary).ok()?;
        decompressor.decompress(&[left_out, &*self.bytes].concat(), LONGEST_EVENT).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Events that no dictionary was trained on, as compact as Telnyx sends them.
    fn unseen() -> Vec<Vec<u8>> {
        let names = ["inbound_sms", "inbound_mms", "message_sent", "finalized_delivered"];
        let read = |name: &&str| {
            let path = format!("{}/tests/telnyx/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let pretty = std::fs::read(path).expect("an event");
            let event: serde_json::Value = serde_json::from_slice(&pretty).expect("JSON");
            event.to_string().into_bytes()
        };
        names.iter().map(read).collect()
    }

    #[test]
    fn an_event_takes_a_quarter_of_its_size_at_most() {
        for event in unseen() {
            let stored = RawEvent::compress(&event);
            assert_eq!(stored.dictionary, CURRENT);
            assert!(
                stored.bytes.len() * 4 <= event.len(),
                "{} of {} bytes",
                stored.bytes.len(),
                event.len()
            );
            assert_eq!(stored.restore().expect("readable"), event);
        }
    }

    /// One event of each dictionary, as it was stored when the dictionary was new. If this fails, a
    /// dictionary was changed, and databases cannot be read any more.
    #[test]
    fn events_of_every_dictionary_are_readable() {
        let first = include_bytes!("raw_event/inbound-sms-1.zst");
        let stored: [(i16, &[u8]); 2] = [(1, first), (2, &first[4..])];
        let event = unseen().swap_remove(0);
        assert_eq!(stored.len(), DICTIONARIES.len(), "add one for each dictionary");
        for (dictionary, bytes) in stored {
            let restored = RawEvent { dictionary, bytes: bytes.to_vec() }.restore();
            assert_eq!(restored.as_deref(), Some(event.as_slice()), "{dictionary}");
        }
    }

    #[test]
    fn what_cannot_be_restored_is_absent() {
        let stored = RawEvent::compress(&unseen()[0]);
        assert_eq!(RawEvent { dictionary: 99, ..stored.clone() }.restore(), None);
        let cut = stored.bytes[..stored.bytes.len() / 2].to_vec();
        assert_eq!(RawEvent { bytes: cut, ..stored }.restore(), None);
    }

    #[test]
    fn the_longest_event_is_restored() {
        let event = b"{}".repeat(LONGEST_EVENT / 2);
        assert_eq!(RawEvent::compress(&event).restore(), Some(event));
    }

    proptest! {
        #[test]
        fn every_event_is_restored_as_it_came(event in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(RawEvent::compress(&event).restore(), Some(event));
        }
    }
}
