//! Telnyx's ids as they are stored.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use uuid::Uuid;

/// What precedes an id that is not a UUID: longer than a UUID, so that no other id equals one.
const PREFIX: [u8; 17] = *b"not a UUID: text ";

/// An id of Telnyx's as bytes: a UUID in its usual form, with hyphens and in lower case, as its 16
/// bytes; any other text behind a prefix. Most ids of messages begin with the time, so in the order of
/// these bytes new ones come last; nothing but speed depends on that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct TelnyxId(Vec<u8>);

impl TelnyxId {
    pub fn new(id: &str) -> Self {
        let mut usual = [0; uuid::fmt::Hyphenated::LENGTH];
        match Uuid::try_parse(id) {
            Ok(uuid) if uuid.hyphenated().encode_lower(&mut usual) == id => {
                Self(uuid.as_bytes().to_vec())
            }
            _ => Self([&PREFIX, id.as_bytes()].concat()),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The id as Telnyx writes it.
    pub fn into_string(self) -> String {
        match Uuid::from_slice(&self.0) {
            Ok(uuid) => uuid.to_string(),
            Err(_) => {
                let text = self.0.get(PREFIX.len()..).unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
        }
    }
}

/// Required of the types of keys: no database numbers these.
impl TryFromU64 for TelnyxId {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("TelnyxId"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_uuid_in_its_usual_form_has_sixteen_bytes() {
        let usual = "40317ec4-8a1b-4c3d-9e2f-0123456789ab";
        for (id, length) in [
            (usual, 16),
            (&usual.to_uppercase(), 53),
            (&usual.replace('-', ""), 49),
            (&format!("{{{usual}}}"), 55),
            ("", 17),
            ("sixteen bytes...", 33),
        ] {
            let stored = TelnyxId::new(id);
            assert_eq!(stored.0.len(), length, "{id}");
            assert_eq!(stored.into_string(), id);
        }
    }

    proptest! {
        #[test]
        fn every_id_is_read_as_it_came(id in ".*", bytes in any::<[u8; 16]>()) {
            prop_assert_eq!(TelnyxId::new(&id).into_string(), id);
            let id = Uuid::from_bytes(bytes).to_string();
            prop_assert_eq!(TelnyxId::new(&id).into_string(), id);
        }
    }
}
