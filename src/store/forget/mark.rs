//! The mark of a contact: a keyed hash of its number, so that the number itself is not kept.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QuerySelect};
use sha2::Sha256;

use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{forgotten, meta};
use crate::store::meta::FORGET_KEY;

/// The key of the marks. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MarkKey([u8; 32]);

impl fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl MarkKey {
    pub(super) fn random() -> Result<Self, DbErr> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| DbErr::Custom(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// Reads a key in hex.
    pub(crate) fn parse(hex: &str) -> Option<Self> {
        from_hex(hex)?.try_into().ok().map(Self)
    }

    /// The key in hex.
    pub(crate) fn to_hex(&self) -> String {
        to_hex(&self.0)
    }

    /// The mark of a contact.
    pub(crate) fn mark(&self, contact: &str) -> Vec<u8> {
        // A key of any length is accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Vec::new() };
        mac.update(contact.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let byte = |place| u8::from_str_radix(&hex[place..place + 2], 16).ok();
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { (0..hex.len()).step_by(2).map(byte).collect() } else { None }
}

/// The key of the marks in a database; `None` as long as no contact was forgotten.
pub(in crate::store) async fn key(db: &impl ConnectionTrait) -> Result<Option<MarkKey>, DbErr> {
    let row = meta::Entity::find_by_id(FORGET_KEY).one(db).await?;
    Ok(row.and_then(|row| MarkKey::parse(&row.value)))
}

/// Whether any contact was forgotten.
pub(in crate::store) async fn has_marks(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(key(db).await?.is_some())
}

/// What is kept of a contact that was forgotten.
pub(in crate::store) async fn find(
    db: &impl ConnectionTrait,
    contact: &str,
) -> Result<Option<forgotten::Model>, DbErr> {
    let Some(key) = key(db).await? else { return Ok(None) };
    forgotten::Entity::find_by_id(key.mark(contact)).one(db).await
}

/// The key of the marks, and the time of the newest of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewestMark {
    pub(crate) key: MarkKey,
    pub(crate) at: Timestamp,
}

impl Store {
    /// The newest mark; `None` if no contact was forgotten.
    ///
    /// # Errors
    /// `database_unavailable`, like the other method here.
    pub(crate) async fn newest_mark(&self) -> Result<Option<NewestMark>, Error> {
        let Some(key) = key(&self.reader).await.or_tell()? else { return Ok(None) };
        let newest = forgotten::Entity::find()
            .select_only()
            .expr(Expr::col(forgotten::Column::ForgottenAt).max())
            .into_tuple::<Option<i64>>()
            .one(&self.reader)
            .await
            .or_tell()?;
        let at = newest.flatten().map(Timestamp::from_micros);
        Ok(at.map(|at| NewestMark { key, at }))
    }

    /// When a contact was forgotten.
    pub(crate) async fn forgotten_at(
        &self,
        key: &MarkKey,
        contact: &str,
    ) -> Result<Option<Timestamp>, Error> {
        let row = forgotten::Entity::find_by_id(key.mark(contact)).one(&self.reader).await;
        Ok(row.or_tell()?.map(|row| Timestamp::from_micros(row.forgotten_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form_and_makes_different_marks() {
        let key = MarkKey::random().expect("randomness");
        assert_eq!(MarkKey::parse(&key.to_hex()), Some(key.clone()));
        assert_ne!(key.mark("+12125551234"), key.mark("+12125551235"));
        assert_eq!(key.mark("+12125551234").len(), 32);
        for text in ["", "0", "zz", "00", "+1+1", "é"] {
            assert_eq!(MarkKey::parse(text), None, "{text}");
        }
    }
}
