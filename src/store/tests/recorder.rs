//! Records the statements that are run on a database.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use sea_orm::{DatabaseConnection, Statement};

use crate::store::Location;

/// By the name of the database and the text of the statement.
static RECORDED: Mutex<BTreeMap<String, BTreeMap<String, Statement>>> = Mutex::new(BTreeMap::new());

fn recorded() -> MutexGuard<'static, BTreeMap<String, BTreeMap<String, Statement>>> {
    RECORDED.lock().expect("no panic")
}

/// Records the statements on a database from the next connection on.
pub fn start(location: &Location) {
    recorded().insert(location.to_string(), BTreeMap::new());
}

/// The different statements so far.
pub fn statements(location: &Location) -> Vec<Statement> {
    let all = recorded();
    all.get(&location.to_string()).expect("it was started").values().cloned().collect()
}

/// Records what runs on a new connection, if the database's statements are recorded.
pub fn attach(location: &Location, db: &mut DatabaseConnection) {
    let name = location.to_string();
    if !recorded().contains_key(&name) {
        return;
    }
    db.set_metric_callback(move |info| {
        let mut all = recorded();
        let Some(known) = all.get_mut(&name).filter(|_| !info.failed) else { return };
        known.entry(info.statement.sql.clone()).or_insert_with(|| info.statement.clone());
    });
}
