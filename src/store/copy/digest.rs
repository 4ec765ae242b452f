//! What two tables have in common when they hold the same: a count, and a checksum over every
//! value of every row in the order of the keys, whichever database they are in.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr};
use sha2::{Digest as _, Sha256};

use super::table::Table;

/// How many rows a table has, and what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    pub(super) sha256: String,
}

/// Reads a whole table, page by page, and tells of each page how many rows it had.
pub(super) async fn digest(
    db: &impl ConnectionTrait,
    table: &Table,
    mut progress: impl FnMut(u64),
) -> Result<Digest, DbErr> {
    let mut hasher = Sha256::new();
    table.columns().for_each(|column| text(&mut hasher, column.as_bytes()));
    let (mut rows, mut after) = (0, None);
    loop {
        let page = table.page(db, after.as_ref()).await?;
        let Some(last) = page.last() else { break };
        page.iter().flatten().for_each(|value| add(&mut hasher, value));
        after = Some(table.key_of(last));
        rows += page.len() as u64;
        progress(page.len() as u64);
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Digest { rows, sha256 })
}

/// Adds a value such that no two lists of values look alike.
fn add(hasher: &mut Sha256, value: &Value) {
    let number = |hasher: &mut Sha256, number: i64| {
        hasher.update([1]);
        hasher.update(number.to_be_bytes());
    };
    match value {
        Value::String(Some(value)) => {
            hasher.update([2]);
            text(hasher, value.as_bytes());
        }
        Value::Bytes(Some(value)) => {
            hasher.update([3]);
            text(hasher, value);
        }
        Value::SmallInt(Some(value)) => number(hasher, (*value).into()),
        Value::Int(Some(value)) => number(hasher, (*value).into()),
        Value::BigInt(Some(value)) => number(hasher, *value),
        _ => hasher.update([0]),
    }
}

fn text(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}
