//! Load through PgBouncer in transaction mode.

use sea_orm::{ConnectionTrait, Statement};

use super::load::{assert_kept, home, post_until, repost, signer};
use crate::support::{Pooler, Server, TestDatabase, connect};

/// Records the settings of each transaction that writes an event.
const WATCH: &str = "
    CREATE TABLE watched (settings text);
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO watched VALUES (current_setting('synchronous_commit') || ' '
            || current_setting('lock_timeout') || ' '
            || current_setting('idle_in_transaction_session_timeout') || ' '
            || current_setting('enable_seqscan') || ' '
            || current_setting('transaction_isolation'));
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION watch();";

/// Two servers, sixteen connections to each, two sessions of PostgreSQL for all of them: what is
/// acknowledged is stored, and durably, although the database's default is not durable.
async fn assert_durable(db: &TestDatabase, url: &str) {
    let admin = connect(&db.url).await;
    let name = db.url.rsplit('/').next().expect("a name");
    for default in ["synchronous_commit = off", "default_transaction_isolation = 'repeatable read'"]
    {
        let alter = format!("ALTER DATABASE {name} SET {default}");
        admin.execute_unprepared(&alter).await.expect("set");
    }
    let signer = signer(15);
    let home = home(url, &signer);
    let servers = [0, 1].map(|_| Server::start(&home));
    admin.execute_unprepared(WATCH).await.expect("watched");
    let load = |n: usize| {
        post_until(servers[n].address, &signer, n * 100_000, |t| t.acknowledged.len() > 500)
    };
    let (one, two) = futures_util::future::join(load(0), load(1)).await;
    assert!(one.lost.is_empty() && two.lost.is_empty(), "the servers always answer");
    let refused = [one.refused, two.refused].concat();
    let acknowledged = [one.acknowledged, two.acknowledged].concat();
    // A busy machine is slow now and then; a pooler that breaks statements breaks most of them.
    assert!(refused.len() * 10 < acknowledged.len(), "{} refused", refused.len());
    // Each server recognizes what the other one stored.
    repost(servers[1].address, &signer, &acknowledged[..20]).await;
    repost(servers[0].address, &signer, &refused).await;
    for server in servers {
        let log = server.kill();
        assert!(!log.contains("prepared statement"), "{log}");
    }
    assert_kept(url, &acknowledged).await;
    assert_kept(&db.url, &[acknowledged, refused].concat()).await;
    let settings = "SELECT DISTINCT settings FROM watched";
    let settings = Statement::from_string(sea_orm::DatabaseBackend::Postgres, settings);
    let rows = admin.query_all_raw(settings).await.expect("rows");
    let seen: Vec<String> =
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
    assert_eq!(seen, ["on 1200ms 10s off read committed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_durable_without_a_pooler() {
    let db = TestDatabase::postgres().await;
    assert_durable(&db, &db.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_durable_through_pgbouncer() {
    let db = TestDatabase::postgres().await;
    let pooler = Pooler::before(&db.url, "");
    assert_durable(&db, &pooler.url(&db.url)).await;
}

/// Many poolers are configured to drop what they do not know.
#[tokio::test(flavor = "multi_thread")]
async fn commits_are_durable_through_a_pgbouncer_that_drops_settings() {
    let db = TestDatabase::postgres().await;
    let pooler = Pooler::before(&db.url, "ignore_startup_parameters = extra_float_digits, options");
    assert_durable(&db, &pooler.url(&db.url)).await;
}
