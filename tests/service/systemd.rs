//! What systemd hears of the service, and when.

use rustix::process::Signal;

use crate::client::Client;
use crate::harness::{Home, OWN, Server, Signer, until};
use crate::notices::Notices;
use crate::support::TestDatabase;
use crate::support::cluster::Cluster;

fn home(notices: &Notices, url: &str) -> Home {
    Home::new()
        .set("DATABASE_URL", url)
        .set("CONVO_API_TOKEN", "a-token")
        .set("NOTIFY_SOCKET", notices.socket())
}

#[test]
fn systemd_hears_of_the_start_and_of_the_stop() {
    let (db, notices) = (TestDatabase::sqlite(), Notices::listen());
    let server = Server::start(&home(&notices, &db.url));
    let ready = notices.wait_for("READY=1");
    let told = format!("STATUS=serving on {}", server.address);
    assert!(notices.all()[ready].contains(&told), "{:?}", notices.all());
    assert_eq!(server.stop(), 0);
    let stopping = notices.wait_for("STOPPING=1");
    assert!(notices.all()[stopping].contains("EXTEND_TIMEOUT_USEC="), "{:?}", notices.all());
    assert!(notices.wait_for("STATUS=draining") >= stopping);
}

/// The watchdog is fed for as long as the program turns, and a database that is away is no reason
/// to be killed: it is fed with PostgreSQL dead, too. A process that stands still is not alive.
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_about_the_program_and_not_about_its_database() {
    let (cluster, notices, signer) = (Cluster::start(), Notices::listen(), Signer::new(13));
    let home = home(&notices, &cluster.url())
        .set("WATCHDOG_USEC", "300000")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_PUBLIC_KEY", signer.public_key());
    let server = Server::start(&home);
    let fed = |more: usize| {
        let before = notices.count("WATCHDOG=1");
        until("the watchdog is fed", || {
            (notices.count("WATCHDOG=1") >= before + more).then_some(())
        });
    };
    fed(2);
    cluster.kill();
    let (status, told) = Client::new(server.address).webhook(&signer, "w-1").await;
    assert_eq!(status, 503, "{told}");
    fed(5);
    server.signal(Signal::STOP);
    // What was on its way may still come; then nothing does.
    let still = until("a stopped process is silent", || {
        let before = notices.all().len();
        std::thread::sleep(std::time::Duration::from_millis(400));
        (notices.all().len() == before).then_some(before)
    });
    assert!(still > 0);
    server.signal(Signal::CONT);
    fed(2);
}
