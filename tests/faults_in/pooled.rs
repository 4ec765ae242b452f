//! Load by way of PgBouncer in transaction mode.

use convo::sandbox::SigningKey;
use sea_orm::{ConnectionTrait, Database, Statement};

use crate::load::{Server, assert_kept, post_until, repost, serve};
use crate::support::TestDatabase;
use crate::support::pooler::Pooler;

/// Notes what holds in each transaction that writes an event.
const WATCH: &str = "
    CREATE TABLE watched (settings text);
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO watched VALUES (current_setting('synchronous_commit') || ' '
            || current_setting('lock_timeout') || ' '
            || current_setting('idle_in_transaction_session_timeout') || ' '
            || current_setting('enable_seqscan'));
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION watch();";

/// Two servers, sixteen connections to each, two sessions of PostgreSQL for all of them: what is
/// acknowledged is stored, and durable, although the database would not have it so.
async fn is_served_durably(db: &TestDatabase, way: &str) {
    let admin = Database::connect(&db.url).await.expect("it answers");
    let name = db.url.rsplit('/').next().expect("a name");
    let off = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    admin.execute_unprepared(&off).await.expect("set");
    let key = SigningKey::from_seed(&[15; 32]);
    let servers = [0, 1].map(|_| Server::start(serve(way), &key));
    admin.execute_unprepared(WATCH).await.expect("watched");
    let load = |n: usize| {
        post_until(servers[n].address, &key, n * 100_000, |t| t.acknowledged.len() > 500)
    };
    let (one, two) = futures_util::future::join(load(0), load(1)).await;
    assert!(one.lost.is_empty() && two.lost.is_empty(), "the servers always answer");
    let refused = [one.refused, two.refused].concat();
    let acknowledged = [one.acknowledged, two.acknowledged].concat();
    // Now and then a busy machine is slow; a pooler that spoils statements spoils most of them.
    assert!(refused.len() * 10 < acknowledged.len(), "{} refused", refused.len());
    // The other server knows what this one took.
    repost(servers[1].address, &key, &acknowledged[..20]).await;
    repost(servers[0].address, &key, &refused).await;
    for server in servers {
        let log = server.kill();
        assert!(!log.contains("prepared statement"), "{log}");
    }
    assert_kept(way, &acknowledged).await;
    assert_kept(&db.url, &[acknowledged, refused].concat()).await;
    let asked = "SELECT DISTINCT settings FROM watched";
    let asked = Statement::from_string(sea_orm::DatabaseBackend::Postgres, asked);
    let rows = admin.query_all_raw(asked).await.expect("rows");
    let seen: Vec<String> =
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
    assert_eq!(seen, ["on 1200ms 10s off"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn directly() {
    let db = TestDatabase::postgres().await;
    is_served_durably(&db, &db.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler() {
    let db = TestDatabase::postgres().await;
    let pooler = Pooler::before(&db.url, "");
    is_served_durably(&db, &pooler.url(&db.url)).await;
}

/// One that was told to swallow what it does not know, as is often done.
#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler_that_forgets_settings() {
    let db = TestDatabase::postgres().await;
    let pooler = Pooler::before(&db.url, "ignore_startup_parameters = extra_float_digits, options");
    is_served_durably(&db, &pooler.url(&db.url)).await;
}
