//! The database of the example program that convo grew from, Telnyx's `sms-conversation-threading`: two
//! tables, with ids as texts and times without a zone, in UTC.

mod rows;

use std::path::Path;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};

use super::db_error::OrTell;
use super::file_access::check_owner;
use super::location::FileMode;
use super::open_error::cannot_open;
use super::pool::Role;
use super::reader::Reader;
use super::schema::SchemaState;
use super::{Location, Mode};
use crate::domain::ExportLine;
use crate::error::{Code, Error};

/// The name of that program, for users.
const NAME: &str = "Telnyx's example program sms-conversation-threading";
/// The rows of a page.
const ROWS: u64 = 500;

/// The columns by which its tables are recognised; convo's own tables lack the last of them.
const CONVERSATION_COLUMNS: &str = "'contact_number', 'last_message_at', 'message_count'";
const MESSAGE_COLUMNS: &str =
    "'from_number', 'to_number', 'body', 'telnyx_message_id', 'conversation_id', 'status'";
const COLUMNS: i64 = 9;

/// Its database, open for reading.
#[derive(Debug)]
pub(crate) struct SeedDatabase(Reader);

/// A page of its rows, as the lines that an export would have for them.
#[derive(Debug, Default)]
pub(crate) struct SeedPage {
    pub(crate) lines: Vec<ExportLine>,
    /// How many rows it was made from.
    pub(crate) rows: u64,
    /// The rows that mean nothing, by their ids.
    pub(crate) skipped: Vec<String>,
    /// The last id of the page.
    pub(crate) last: Option<String>,
}

/// How many rows its tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeedSize {
    pub(crate) conversations: u64,
    pub(crate) messages: u64,
}

/// Its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeedTable {
    Conversations,
    Messages,
}

/// Whether a database has its tables.
pub(super) async fn is_seed(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let columns = |table: &str, names: &str| match backend {
        DatabaseBackend::Sqlite => {
            format!("(SELECT count(*) FROM pragma_table_info('{table}') WHERE name IN ({names}))")
        }
        _ => format!(
            "(SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('{table}') \
             AND NOT attisdropped AND attname IN ({names}))"
        ),
    };
    let sql = format!(
        "SELECT CAST({} + {} AS bigint)",
        columns("conversations", CONVERSATION_COLUMNS),
        columns("messages", MESSAGE_COLUMNS)
    );
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
    Ok(row.map(|row| row.try_get_by_index::<i64>(0)).transpose()? == Some(COLUMNS))
}

async fn size(db: &impl ConnectionTrait) -> Result<SeedSize, DbErr> {
    let count = async |table: &str| {
        let sql = format!("SELECT CAST(count(*) AS bigint) FROM {table}");
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok::<_, DbErr>(count.unsigned_abs())
    };
    Ok(SeedSize {
        conversations: count("conversations").await?,
        messages: count("messages").await?,
    })
}

/// Refuses to use such a database as convo's own, and says what to do with it.
pub(super) async fn refuse(location: &Location, db: &impl ConnectionTrait) -> Error {
    let size = match size(db).await {
        Ok(size) => size,
        Err(error) => return cannot_open(location, &error),
    };
    let SeedSize { conversations, messages } = size;
    let what = format!(
        "{location} is the database of {NAME}, with {conversations} conversations and {messages} \
         messages; nothing in it was changed"
    );
    let hint = match location.path() {
        Some(path) => {
            let (from, to) = (shown(path), shown(&free_name(path)));
            format!(
                "to take them over, stop that program, then: mv {from} {to} && convo import {to}"
            )
        }
        None => {
            "to take them over, stop that program, set DATABASE_URL to another database, and run \
                 convo import with the URL of this one, without its password"
                .to_owned()
        }
    };
    Error::new(Code::DatabaseNotReady, what).hint(hint)
}

/// A name beside a file that no file has.
fn free_name(path: &Path) -> std::path::PathBuf {
    let names = std::iter::once("seed.db".to_owned());
    let mut names = names.chain((2..).map(|number| format!("seed-{number}.db")));
    let free = names.find(|name| !path.with_file_name(name).exists());
    path.with_file_name(free.unwrap_or_default())
}

/// A path as a shell takes it: only the name if it is in the working directory.
fn shown(path: &Path) -> String {
    let here = Path::new(".").canonicalize().ok();
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    let name = path.file_name().filter(|_| here.is_some() && parent == here);
    let text = name.map_or(path.as_os_str(), |name| name).to_string_lossy().into_owned();
    shlex::try_quote(&text).map(std::borrow::Cow::into_owned).unwrap_or(text)
}

impl SeedDatabase {
    /// Opens it to read.
    ///
    /// # Errors
    /// `database_not_ready` if it is missing or of another program, `database_unavailable` if it cannot be
    /// reached.
    pub(crate) async fn open(location: &Location) -> Result<Self, Error> {
        let location = match location {
            Location::Sqlite { path, .. } => {
                check_owner(path)?;
                if !path.exists() {
                    let what = format!("there is no file at {}", path.display());
                    return Err(Error::invalid(what).hint("check the path"));
                }
                Location::Sqlite { path: path.clone(), mode: FileMode::Read }
            }
            other => other.clone(),
        };
        let refuse = |error| cannot_open(&location, &error);
        let reader = Reader::connect(&location, Role::Work).await.map_err(refuse)?;
        let checked = async {
            if is_seed(&reader).await.map_err(refuse)? {
                return Ok(());
            }
            let state = SchemaState::read(&reader).await.map_err(refuse)?;
            Err(other_database(&location, &state))
        };
        if let Err(error) = checked.await {
            let _ = reader.close().await;
            return Err(error);
        }
        Ok(Self(reader))
    }

    pub(crate) async fn close(&self) {
        let _ = self.0.close().await;
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn size(&self) -> Result<SeedSize, Error> {
        size(&self.0).await.or_tell()
    }

    /// The rows of a table after an id, in the order of the ids.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn page(
        &self,
        table: SeedTable,
        after: Option<&str>,
    ) -> Result<SeedPage, Error> {
        self.read(table, after).await.or_tell()
    }

    async fn read(&self, table: SeedTable, after: Option<&str>) -> Result<SeedPage, DbErr> {
        let backend = self.0.get_database_backend();
        let text = |column: &str| format!("CAST({column} AS text)");
        let columns: Vec<_> = table.columns().iter().map(|column| text(column)).collect();
        let from = match table {
            SeedTable::Conversations => "conversations AS c",
            SeedTable::Messages => {
                "messages AS m LEFT JOIN conversations AS c ON c.id = m.conversation_id"
            }
        };
        let id = table.columns()[0];
        let place = if backend == DatabaseBackend::Sqlite { "?" } else { "$1" };
        let (condition, values) = match after {
            Some(after) => (format!("WHERE {id} > {place}"), vec![after.into()]),
            None => (String::new(), vec![]),
        };
        let columns = columns.join(", ");
        let sql = format!("SELECT {columns} FROM {from} {condition} ORDER BY {id} LIMIT {ROWS}");
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let mut page = SeedPage::default();
        for row in self.0.query_all_raw(statement).await? {
            let values = |row: &QueryResult| {
                let value = |place| row.try_get_by_index::<Option<String>>(place);
                (0..table.columns().len()).map(value).collect::<Result<Vec<_>, _>>()
            };
            page.add(table, values(&row)?);
        }
        Ok(page)
    }
}

impl SeedTable {
    /// What is read of each row; first its key.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Conversations => {
                &["c.id", "c.contact_number", "c.last_message_at", "c.created_at"]
            }
            Self::Messages => &[
                "m.id",
                "m.conversation_id",
                "c.contact_number",
                "m.direction",
                "m.from_number",
                "m.to_number",
                "m.body",
                "m.status",
                "m.created_at",
                "m.telnyx_message_id",
            ],
        }
    }
}

impl SeedPage {
    fn add(&mut self, table: SeedTable, values: Vec<Option<String>>) {
        let id = values.first().cloned().flatten().unwrap_or_default();
        let line = match table {
            SeedTable::Conversations => rows::conversation(values),
            SeedTable::Messages => rows::message(values),
        };
        match line {
            Some(line) => self.lines.push(line),
            None => self.skipped.push(id.clone()),
        }
        self.rows += 1;
        self.last = Some(id);
    }
}

fn other_database(location: &Location, state: &SchemaState) -> Error {
    let error = |what: &str| Error::invalid(format!("{location} {what}"));
    if state.meta.is_empty() {
        return error("has not the tables that convo imports")
            .hint(format!("convo imports its own exports, and the database of {NAME}"));
    }
    let sandbox = if state.mode() == Mode::Sandbox { " --sandbox" } else { "" };
    error("is a database of convo").hint(format!(
        "copy it with `convo copy`, or set DATABASE_URL to it and run convo{sandbox} export > FILE"
    ))
}
