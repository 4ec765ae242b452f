//! What takes long asks first where it cannot be undone, and shows on a terminal how far it is.

use crate::support::{FakeServer, Home, OWN, Reply, TestDatabase, Tmux, World, eventually};

/// Six a minute: what is left after the first row is not sent while the test looks.
const SLOW: [&str; 6] = ["batch", "a.csv", "--text", "Hi", "--rate", "6/min"];

fn batch_file(home: &Home) {
    home.write("a.csv", "to\n+12125550001\n+12125550002\n+12125550003\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_asks_on_a_terminal_and_shows_how_far_it_is() {
    let world = World::start(TestDatabase::sqlite()).await;
    batch_file(&world.home);
    for (answer, says) in [("", "nothing was sent"), ("no", "nothing was sent")] {
        let screen = Home::new();
        let tmux = Tmux::start(&screen, 80, 24);
        tmux.enter(&world.home.command(&SLOW));
        tmux.wait_for_row("the question", |row| row == "Send 3 texts? [y/N]");
        tmux.type_text(answer);
        tmux.press("Enter");
        assert_eq!(tmux.wait_for_exit(), "0");
        assert!(tmux.rows().iter().any(|row| row == says), "{:#?}", tmux.rows());
        assert_eq!(world.offers(), 0, "{answer}");
    }
    let screen = Home::new();
    let tmux = Tmux::start(&screen, 80, 24);
    tmux.enter(&world.home.command(&SLOW));
    tmux.wait_for_row("the question", |row| row == "Send 3 texts? [y/N]");
    tmux.type_text("yes");
    tmux.press("Enter");
    tmux.wait_for_row("the bar", |row| row.contains(" 1/3 6/min, 20 s left"));
    tmux.press("C-c");
    assert_eq!(tmux.wait_for_exit(), "5");
    let rows = tmux.rows();
    assert!(rows.iter().any(|row| row.contains("convo batch a.csv")), "how to go on: {rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("1/3")), "the bar is gone: {rows:#?}");
    assert_eq!(world.offers(), 1);
}

const NOTHING: &str = r#"{"data":[],"meta":{"total_pages":1,"total_results":0}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_shows_that_it_waits_for_another() {
    let telnyx = FakeServer::replying(&[Reply::HoldStatus(200, NOTHING)]).await;
    let db = TestDatabase::sqlite();
    let home = Home::new()
        .with_database(&db)
        .set("TELNYX_API_KEY", "KEY")
        .set("TELNYX_PHONE_NUMBER", OWN)
        .set("TELNYX_BASE_URL", telnyx.base_url());
    home.run(&["migrate"]).exits(0);
    let first = home.start(&["sync"]);
    eventually("the first sync to ask", async || !telnyx.requests().is_empty()).await;
    let tmux = Tmux::start(&home, 80, 24);
    tmux.enter(&home.command(&["sync"]));
    tmux.wait_for_row("the bar", |row| row.starts_with("waiting for another sync"));
    telnyx.now_replying(&[Reply::Status(200, NOTHING)]);
    telnyx.release();
    first.wait().exits(0);
    assert_eq!(tmux.wait_for_exit(), "0");
    let rows = tmux.rows();
    assert!(rows.iter().any(|row| row.starts_with("SOURCE")), "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("waiting for another")), "{rows:#?}");
}
