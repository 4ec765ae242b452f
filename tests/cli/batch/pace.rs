//! The pace of a batch.

use super::{TEXT, recipients, results};
use crate::on_both_databases;
use crate::support::{FakeServer, Home, REFUSED, Reply, TestDatabase, World};

/// The times of all offers, in microseconds.
fn times(world: &World) -> Vec<i64> {
    let requests = world.telnyx.requests();
    let posts = requests.iter().filter(|request| request.method == "POST");
    let mut times: Vec<_> = posts.map(|request| request.at.as_micros()).collect();
    times.sort_unstable();
    times
}

async fn the_pace_is_held(db: TestDatabase) {
    const ROWS: usize = 40;
    let world = World::start(db).await;
    world.home.write("a.csv", recipients(ROWS));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "5/s"];
    world.home.run(&run).exits(0);
    let times = times(&world);
    assert_eq!(times.len(), ROWS);
    let took = (times[ROWS - 1] - times[0]) as f64 / 1e6;
    let expected = (ROWS - 1) as f64 / 5.0;
    // Never faster, even if this machine is so busy that it is a little slower.
    assert!(took > expected * 0.98 && took < expected * 1.5, "{took} s instead of {expected}");
}

/// A Telnyx that answers 429 for a while, and then takes everything.
async fn a_refused_pace_is_lowered_and_every_row_goes_out(db: TestDatabase) {
    let script: Vec<_> =
        std::iter::repeat_n(Reply::RateLimit(1), 12).chain([Reply::Accept]).collect();
    let telnyx = FakeServer::replying(&script).await;
    let home = Home::new().with_database(&db).sending_to(&telnyx.base_url());
    home.run(&["migrate"]).exits(0);
    home.write("a.csv", recipients(10));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "50/s"];
    home.run(&run).exits(0);
    let results = results(&home, "a.result.csv");
    assert!(
        results.len() == 10 && results.values().all(|status| status == "queued"),
        "{results:?}"
    );
    let texts: std::collections::BTreeSet<_> =
        telnyx.offers().iter().map(|offer| offer.body.clone()).collect();
    assert!(texts.len() >= 10);
}

/// A full queue is no reason to give a row up, and another refusal is.
async fn a_full_queue_is_waited_for(db: TestDatabase) {
    const FULL: &str = r#"{"errors":[{"code":"40318","title":"Message queue full"}]}"#;
    let script = [Reply::Status(422, FULL), Reply::Status(422, REFUSED), Reply::Accept];
    let telnyx = FakeServer::replying(&script).await;
    let home = Home::new().with_database(&db).sending_to(&telnyx.base_url());
    home.run(&["migrate"]).exits(0);
    home.write("a.csv", recipients(3));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "5/s"];
    home.run(&run).exits(6);
    let results = results(&home, "a.result.csv");
    let count = |status: &str| results.values().filter(|one| *one == status).count();
    assert_eq!((count("queued"), count("refused")), (2, 1), "{results:?}");
    assert_eq!(telnyx.offers().len(), 4);
}

on_both_databases!(
    the_pace_is_held,
    a_refused_pace_is_lowered_and_every_row_goes_out,
    a_full_queue_is_waited_for,
);
