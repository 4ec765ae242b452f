//! What the service tells systemd, and when.

use rustix::process::Signal;

use super::notices::Notices;
use crate::support::{
    Cluster, Connection, Home, OWN, Server, Signer, TestDatabase, status_field, wait_until,
};

fn home(notices: &Notices, url: &str) -> Home {
    Home::new()
        .set("DATABASE_URL", url)
        .set("CONVO_API_TOKEN", "a-token")
        .set("NOTIFY_SOCKET", notices.socket())
}

#[test]
fn systemd_is_notified_of_start_and_stop() {
    let (db, notices) = (TestDatabase::sqlite(), Notices::listen());
    let server = Server::start(&home(&notices, &db.url));
    let ready = notices.wait_for("READY=1");
    let status = format!("STATUS=serving on {}", server.address);
    assert!(notices.all()[ready].contains(&status), "{:?}", notices.all());
    assert_eq!(server.stop(), 0);
    let stopping = notices.wait_for("STOPPING=1");
    assert!(notices.all()[stopping].contains("EXTEND_TIMEOUT_USEC="), "{:?}", notices.all());
    assert!(notices.wait_for("STATUS=draining") >= stopping);
}

/// The watchdog is notified as long as the process runs, also while PostgreSQL is down, which a
/// restart would not mend. A stopped process is silent.
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_depends_on_the_process_and_not_on_its_database() {
    let (cluster, notices, signer) = (Cluster::start(), Notices::listen(), Signer::new(13));
    let watched = home(&notices, &cluster.url())
        .set("WATCHDOG_USEC", "300000")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .accepting(&signer);
    let server = Server::start(&watched);
    let wait_for_notices = |more: usize| {
        let before = notices.count("WATCHDOG=1");
        wait_until("the watchdog to be notified", || notices.count("WATCHDOG=1") >= before + more);
    };
    wait_for_notices(2);
    cluster.kill();
    let answer = Connection::new(server.address).webhook(&signer, "w-1").await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    wait_for_notices(5);
    server.signal(Signal::STOP);
    wait_until("the process to be stopped", || {
        status_field(&server.id().to_string(), "State").is_some_and(|state| state.starts_with('T'))
    });
    let before = notices.all_sent().len();
    // Another server measures the time in which a running process would have sent a notice.
    let (db, running) = (TestDatabase::sqlite(), Notices::listen());
    let _clock = Server::start(&home(&running, &db.url).set("WATCHDOG_USEC", "300000"));
    wait_until("notices of a running process", || running.count("WATCHDOG=1") >= 4);
    assert_eq!(notices.all_sent().len(), before, "a stopped process is silent");
    server.signal(Signal::CONT);
    wait_for_notices(2);
}
