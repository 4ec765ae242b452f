//! The messages that may match a search, from new to old, in windows.
//!
//! On SQLite, the index itself is read from new to old. PostgreSQL's has no order: a search first looks
//! through the vectors of the newest messages, by date, which finds enough of a word that is common, and
//! tells how common it is. If it is rare, the index finds all of its messages, and they are sorted; else
//! more vectors are looked through first.

mod postgres;
mod sqlite;

use sea_orm::sea_query::Value;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter,
    QueryResult, QuerySelect, Statement,
};
use uuid::Uuid;

use crate::domain::search::searched_text;
use crate::domain::{
    Cursor, Direction, Message, MessageSearch, PhoneNumber, Selector, Status, Timestamp,
};
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::message::direction;
use crate::store::entity::{conversation, message, micros};
use crate::store::feed::read::messages;
use crate::store::weight::is_light;

/// Where to look for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchScope<'a> {
    pub(crate) search: &'a MessageSearch,
    /// The key of the only conversation to look in.
    pub(crate) conversation: Option<i64>,
}

/// Messages that have the words of a search and match its filters.
#[derive(Debug)]
pub(crate) struct SearchCandidates {
    /// From new to old.
    pub(crate) ids: Vec<Uuid>,
    /// The position up to which everything was looked at; `None` if that is all.
    pub(crate) end: Option<Cursor>,
    /// How to go on: the `step` of the next window.
    pub(crate) step: usize,
}

impl Store {
    /// The next candidates after a position: of `window` rows of an index, or somewhat more. `step` is 0 for
    /// the first window, and then that of the window before.
    ///
    /// # Errors
    /// `database_unavailable`, like the other methods here.
    pub(crate) async fn search_candidates(
        &self,
        scope: SearchScope<'_>,
        after: Option<Cursor>,
        window: u64,
        step: usize,
    ) -> Result<SearchCandidates, Error> {
        let db = &self.reader;
        let has_words = !scope.search.terms.is_empty();
        let rare = |status: &Status| status.rank() < Status::Delivered.rank();
        let found = if has_words {
            match db.get_database_backend() {
                DatabaseBackend::Sqlite => sqlite::indexed(db, scope, after, window, step).await,
                _ => postgres::indexed(db, scope, after, window, step).await,
            }
        } else if let Some(key) = scope.conversation {
            let key = Value::from(key);
            along_index(db, scope, after, window, ("conversation_key", key)).await
        } else if !scope.search.statuses.is_empty() && scope.search.statuses.iter().all(rare) {
            by_status(db, scope, after, window).await
        } else {
            match db.get_database_backend() {
                DatabaseBackend::Sqlite => sqlite::all(db, scope, after, window).await,
                _ => postgres::all(db, scope, after, window).await,
            }
        };
        found.or_tell()
    }

    /// Some messages with their contacts, in the order of the ids: as many of the first ones as may be in
    /// memory together. Returns how many of the ids these are, some of which may be gone.
    pub(crate) async fn found_messages(
        &self,
        ids: &[Uuid],
    ) -> Result<(Vec<(Message, PhoneNumber)>, usize), Error> {
        let mut taken = ids.len();
        loop {
            let some = &ids[..taken];
            if let Some(mut found) = messages(self, some.iter().copied()).await.or_tell()? {
                return Ok((some.iter().filter_map(|id| found.remove(id)).collect(), taken));
            }
            taken = (taken / 2).max(1);
        }
    }

    /// The searched texts of those of some messages that are not very long.
    pub(crate) async fn short_texts(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, Error> {
        use message::Column as C;
        let rows: Vec<(Uuid, Option<String>, String)> = message::Entity::find()
            .select_only()
            .columns([C::Id, C::Subject, C::Body])
            .filter(C::Id.is_in(ids.iter().copied()))
            .filter(is_light())
            .into_tuple()
            .all(&self.reader)
            .await
            .or_tell()?;
        let text = |(id, subject, body): (Uuid, Option<String>, String)| {
            (id, searched_text(subject.as_deref(), &body))
        };
        Ok(rows.into_iter().map(text).collect())
    }

    /// The key of the conversation with a contact, named by number or full id.
    pub(crate) async fn conversation_key(&self, selector: &Selector) -> Result<Option<i64>, Error> {
        use conversation::Column as C;
        let named = Condition::any()
            .add(C::ContactNumber.is_in(selector.numbers()))
            .add_option(selector.id().map(|id| C::Id.eq(id)));
        let query = conversation::Entity::find().select_only().column(C::Key).filter(named);
        query.into_tuple().one(&self.reader).await.or_tell()
    }
}

/// A statement with its values.
struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    fn new() -> Self {
        Self { text: String::new(), values: Vec::new() }
    }

    /// The placeholder of a value.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    async fn rows(self, db: &impl ConnectionTrait) -> Result<Vec<QueryResult>, DbErr> {
        let backend = db.get_database_backend();
        db.query_all_raw(Statement::from_sql_and_values(backend, self.text, self.values)).await
    }

    /// Conditions on two columns with time and id: within the times of a search, and after a position.
    fn range(
        &mut self,
        search: &MessageSearch,
        after: Option<Cursor>,
        columns: [&str; 2],
    ) -> String {
        let [at, id] = columns;
        let mut conditions = Vec::new();
        if let Some(since) = search.since {
            conditions.push(format!("{at} >= {}", self.bind(micros(since))));
        }
        if let Some(until) = search.until {
            conditions.push(format!("{at} < {}", self.bind(micros(until))));
        }
        if let Some(after) = after {
            let (time, last) = (self.bind(micros(after.at)), self.bind(after.id));
            conditions.push(format!("({at}, {id}) < ({time}, {last})"));
        }
        if conditions.is_empty() { "1 = 1".to_owned() } else { conditions.join(" AND ") }
    }

    /// 1 if the message `m` matches the filters and is in the range, else 0.
    fn matches(&mut self, search: &MessageSearch, after: Option<Cursor>) -> String {
        let mut conditions = vec![self.range(search, after, ["m.created_at", "m.id"])];
        if let Some(only) = search.direction {
            conditions.push(format!("m.direction = {}", direction(only)));
        }
        if !search.statuses.is_empty() {
            let ranks = search.statuses.iter().map(|status| status.rank().to_string());
            let ranks: Vec<_> = ranks.collect();
            conditions.push(format!("m.status_rank IN ({})", ranks.join(", ")));
        }
        if let Some(number) = &search.number {
            let number = self.bind(number.as_str());
            let (inbound, outbound) =
                (direction(Direction::Inbound), direction(Direction::Outbound));
            conditions.push(format!(
                "(m.direction = {inbound} AND m.to_number = {number} \
                 OR m.direction = {outbound} AND m.from_number = {number})"
            ));
        }
        format!("CASE WHEN {} THEN 1 ELSE 0 END", conditions.join(" AND "))
    }
}

/// A row that was looked at: the message, its time, and whether it matches.
struct Seen {
    id: Uuid,
    at: i64,
    matches: bool,
}

impl Seen {
    /// Reads id, time and whether it matches, from a place on. `None` if the message is gone.
    fn read(row: &QueryResult, place: usize) -> Result<Option<Self>, DbErr> {
        let Some(at) = row.try_get_by_index(place + 1)? else { return Ok(None) };
        let matches = row.try_get_by_index::<i32>(place + 2)? == 1;
        Ok(Some(Self { id: row.try_get_by_index(place)?, at, matches }))
    }

    fn position(&self) -> Cursor {
        Cursor { at: Timestamp::from_micros(self.at), id: self.id, until: None }
    }
}

/// The candidates among rows, from new to old.
fn candidates(mut seen: Vec<Seen>, end: Option<Cursor>) -> SearchCandidates {
    seen.retain(|row| row.matches);
    seen.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
    // A long text has several rows.
    seen.dedup_by_key(|row| row.id);
    SearchCandidates { ids: seen.into_iter().map(|row| row.id).collect(), end, step: 0 }
}

/// The messages with one value in a column, along an index on it, time and id.
async fn along_index(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    (column, value): (&'static str, Value),
) -> Result<SearchCandidates, DbErr> {
    let (seen, is_all) = rows_along(db, scope, after, window, (column, value)).await?;
    let end = seen.last().filter(|_| !is_all).map(Seen::position);
    Ok(candidates(seen, end))
}

async fn rows_along(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
    (column, value): (&'static str, Value),
) -> Result<(Vec<Seen>, bool), DbErr> {
    let mut sql = Sql::new();
    let matches = sql.matches(scope.search, after);
    let value = sql.bind(value);
    let range = sql.range(scope.search, after, ["m.created_at", "m.id"]);
    // The condition of the partial index on statuses.
    let partial = if column == "status_rank" { "AND m.status_rank < 110 " } else { "" };
    sql.text = format!(
        "SELECT m.id, m.created_at, {matches} FROM messages AS m \
         WHERE m.{column} = {value} {partial}AND {range} \
         ORDER BY m.created_at DESC, m.id DESC LIMIT {window}"
    );
    let rows = sql.rows(db).await?;
    let is_all = (rows.len() as u64) < window;
    let seen: Vec<Option<Seen>> =
        rows.iter().map(|row| Seen::read(row, 0)).collect::<Result<_, _>>()?;
    Ok((seen.into_iter().flatten().collect(), is_all))
}

/// The messages with some statuses that few messages have: those of each status, merged.
async fn by_status(
    db: &impl ConnectionTrait,
    scope: SearchScope<'_>,
    after: Option<Cursor>,
    window: u64,
) -> Result<SearchCandidates, DbErr> {
    let mut statuses = scope.search.statuses.clone();
    statuses.sort_by_key(|status| status.rank());
    statuses.dedup();
    let (mut all, mut end) = (Vec::new(), None::<(i64, Uuid)>);
    for status in statuses {
        let rank = ("status_rank", Value::from(status.rank()));
        let (seen, is_all) = rows_along(db, scope, after, window, rank).await?;
        let last = seen.last().filter(|_| !is_all).map(|row| (row.at, row.id));
        end = end.max(last);
        all.extend(seen);
    }
    if let Some(end) = end {
        // What is older will be found again, among the others of its time.
        all.retain(|row| (row.at, row.id) >= end);
    }
    let end = end.map(|(at, id)| Cursor { at: Timestamp::from_micros(at), id, until: None });
    Ok(candidates(all, end))
}
