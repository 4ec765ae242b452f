//! Whatever is killed and whenever: run again, a batch goes on, and nobody gets a text twice.

use std::collections::BTreeMap;

use rustix::process::Signal;

use super::{Says, TEXT, batch, offered, recipients, results};
use crate::on_both_databases;
use crate::support::{Running, Server, TestDatabase, World, times_longer, wait_until};

const ROWS: usize = 120;

/// Asserts that every row was offered exactly once.
fn assert_each_once(world: &World) {
    let offered: BTreeMap<_, usize> = offered(world);
    assert_eq!(offered.len(), ROWS);
    assert!(offered.values().all(|times| *times == 1), "{offered:?}");
}

async fn a_batch_that_is_killed_again_and_again_sends_each_row_once(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "2")).await;
    world.home.write("a.csv", recipients(ROWS));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "300/s"];
    for round in 0..6 * times_longer() {
        let before = world.offers();
        let running = world.home.start(&run);
        let enough = (before + 3 + 5 * round).min(ROWS);
        wait_until("offers", || world.offers() >= enough);
        running.signal(Signal::KILL);
        Running::wait(running);
    }
    batch(&world.home, "a.csv", &["--text", TEXT]).exits(0);
    assert_each_once(&world);
    let results = results(&world.home, "a.result.csv");
    assert!(results.len() == ROWS && results.values().all(|status| status != "pending"));
    batch(&world.home, "a.csv", &["--text", TEXT]).exits(2).says("was finished on");
}

async fn a_server_that_is_killed_is_waited_for(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "5")).await;
    let mut server = Server::start(&world.home);
    let url = server.url();
    world.home.write("a.csv", recipients(ROWS));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "20/s", "--server", &url];
    let running = world.home.start(&run);
    for enough in [20, 60] {
        wait_until("offers", || world.offers() >= enough);
        let address = server.address;
        drop(server.kill());
        let listen = address.to_string();
        server = Server::start_with(&world.home, &["serve", "--listen", &listen]);
    }
    Running::wait(running).exits(0);
    assert_each_once(&world);
}

/// A server that does not come back ends the run, which another one continues.
async fn without_its_server_a_batch_ends_and_goes_on_later(db: TestDatabase) {
    let world = World::start(db).await;
    let server = Server::start(&world.home);
    let url = server.url();
    world.home.write("a.csv", recipients(ROWS));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "50/s", "--server", &url];
    let running = world.home.start(&run);
    wait_until("offers", || world.offers() >= 10);
    drop(server.kill());
    let done = Running::wait(running);
    assert!([5, 9].contains(&done.code), "{}: {}", done.code, done.err);
    done.says("to go on: convo --server ");
    batch(&world.home, "a.csv", &["--text", TEXT]).exits(0);
    assert_each_once(&world);
}

async fn ctrl_c_ends_what_was_begun_and_says_how_to_go_on(db: TestDatabase) {
    let world = World::start(db).await;
    world.home.write("a.csv", recipients(ROWS));
    let run = ["batch", "a.csv", "--text", TEXT, "--yes", "--rate", "50/s"];
    for signal in [Signal::INT, Signal::TERM] {
        let before = world.offers();
        let running = world.home.start(&run);
        wait_until("offers", || world.offers() >= before + 10);
        running.signal(signal);
        let done = Running::wait(running).exits(5);
        done.says("to go on: convo batch a.csv --text 'Hi {name}");
        let results = results(&world.home, "a.result.csv");
        assert_eq!(results.len(), world.offers(), "what was begun has ended");
        assert!(results.values().all(|status| status != "pending" && status != "not_sent"));
    }
    batch(&world.home, "a.csv", &["--text", TEXT]).exits(0);
    assert_each_once(&world);
}

on_both_databases!(
    a_batch_that_is_killed_again_and_again_sends_each_row_once,
    a_server_that_is_killed_is_waited_for,
    without_its_server_a_batch_ends_and_goes_on_later,
    ctrl_c_ends_what_was_begun_and_says_how_to_go_on,
);
