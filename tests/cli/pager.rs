//! The pager: when it is used, how it is started, and that nobody is held up by it.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::support::{CONTACT, Done, OnTerminal, Running, TestDatabase, World, inbound, wait_for};

/// A thread of `count` messages.
async fn filled(count: u32) -> World {
    let world = World::with(TestDatabase::sqlite(), |home| home.set("NO_COLOR", "1")).await;
    for n in 0..count {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), CONTACT, &format!("text {n}"));
        world.signer.post(&world.server, body).await;
    }
    world
}

/// A program in the user's directory.
fn script(world: &World, name: &str, text: &str) -> String {
    let path = world.home.write(name, format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("executable");
    path.display().to_string()
}

/// `convo show` on a terminal of 24 rows, with further variables.
fn show(world: &World, variables: &[(&str, &str)], more: &[&str]) -> Done {
    let mut command = world.home.command(&[&["show", CONTACT], more].concat());
    command.envs(variables.iter().copied());
    OnTerminal::start(command, 80, 24).wait()
}

/// What the pager saw, once.
fn seen(world: &World) -> Option<String> {
    let path = world.home.file("seen");
    let seen = std::fs::read_to_string(&path).ok();
    let _ = std::fs::remove_file(path);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn output_longer_than_the_screen_is_paged() {
    let world = filled(30).await;
    let pager = script(&world, "my pager", "cat > seen");
    let quoted = format!("'{pager}' --some-option");
    let straight = show(&world, &[("CONVO_PAGER", "")], &[]).silent().out;
    assert!(straight.contains("text 0\n") && straight.contains("text 29\n"), "{straight}");
    let url = world.server.url();
    for remote in [&[][..], &["--server", &url]] {
        let paged = show(&world, &[("CONVO_PAGER", &quoted), ("PAGER", "false")], remote).silent();
        assert_eq!((paged.out, seen(&world).as_ref()), (String::new(), Some(&straight)));
        let paged = show(&world, &[("PAGER", &quoted)], remote).silent();
        assert_eq!((paged.out, seen(&world).as_ref()), (String::new(), Some(&straight)));
    }
    // What fits is not, nor what nobody would read there.
    let asked = [("CONVO_PAGER", quoted.as_str())];
    for more in [&["--limit", "5"][..], &["--no-pager"], &["--json"], &["--format", "csv"]] {
        let shown = show(&world, &asked, more).silent().out;
        assert!(shown.contains("text 29") && seen(&world).is_none(), "{more:?}: {shown}");
    }
    let dumb = show(&world, &[("CONVO_PAGER", &quoted), ("TERM", "dumb")], &[]).silent().out;
    assert!(dumb.contains("text 29") && seen(&world).is_none());
    let mut piped = world.home.command(&["show", CONTACT, "--format", "table"]);
    piped.envs(asked);
    let piped = Running::start(piped, None).wait().silent().out;
    assert_eq!((piped.as_str(), seen(&world)), (straight.as_str(), None));
    for none in ["cat", "/bin/cat", "/nowhere/pager", "no-such-pager -x", "'unbalanced"] {
        let shown = show(&world, &[("CONVO_PAGER", none)], &[]).silent().out;
        assert_eq!(shown, straight, "{none}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_too() {
    let world = filled(0).await;
    for n in 0..25 {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), &format!("+121255512{n:02}"), "Hi");
        world.signer.post(&world.server, body).await;
    }
    let pager = script(&world, "pager", "cat > seen");
    let mut command = world.home.command(&["list"]);
    command.env("CONVO_PAGER", &pager);
    let done = OnTerminal::start(command, 80, 24).wait().silent();
    let seen = seen(&world).expect("it was paged");
    assert_eq!((done.out.as_str(), seen.lines().count()), ("", 1 + 25));
}

#[tokio::test(flavor = "multi_thread")]
async fn less_gets_the_options_it_needs() {
    let world = filled(30).await;
    let less = script(&world, "less", "cat > /dev/null; echo \"$LESS $LESSCHARSET $*\" > seen");
    let options = |variables: &[(&str, &str)], pager: &str| {
        show(&world, &[variables, &[("PAGER", pager)]].concat(), &[]).silent();
        seen(&world)
    };
    assert_eq!(options(&[], &less).as_deref(), Some("FRX utf-8 -R +G\n"));
    assert_eq!(options(&[("LESS", "-i")], &less).as_deref(), Some("-i utf-8 -R +G\n"));
    let with_option = format!("{less} -S");
    assert_eq!(options(&[], &with_option).as_deref(), Some("FRX utf-8 -S -R +G\n"));
    let more = script(&world, "more", "cat > /dev/null; echo \"$*\" > seen");
    assert_eq!(options(&[], &more).as_deref(), Some("\n"));
    // Without any wish it is less, if there is one on the path.
    let mut command = world.home.command(&["show", CONTACT]);
    command.env("PATH", world.home.path().display().to_string() + ":/usr/bin:/bin");
    OnTerminal::start(command, 80, 24).wait().silent();
    assert_eq!(seen(&world).as_deref(), Some("FRX utf-8 -R +G\n"));
    let mut command = world.home.command(&["show", CONTACT]);
    command.env("PATH", "/nowhere");
    assert!(OnTerminal::start(command, 80, 24).wait().silent().out.contains("text 29"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pager_may_quit_early_and_be_interrupted() {
    let world = filled(30).await;
    let early = show(&world, &[("CONVO_PAGER", "head -n 1")], &[]).silent().out;
    assert!(early.starts_with(CONTACT) && early.lines().count() == 1, "{early}");
    // Ctrl-C is the pager's own affair: convo waits until it is left.
    let waits = "cat > seen; while [ ! -e go ]; do sleep 0.02; done; echo left";
    let waits = script(&world, "waits", waits);
    let mut command = world.home.command(&["show", CONTACT]);
    command.env("CONVO_PAGER", &waits);
    let paging = OnTerminal::start(command, 80, 24);
    let reached = || std::fs::read_to_string(world.home.file("seen")).ok();
    wait_for("the pager has it all", || reached().filter(|seen| seen.contains("text 29")));
    paging.running().signal(Signal::INT);
    paging.running().signal(Signal::INT);
    world.home.write("go", "");
    assert_eq!(paging.wait().silent().out, "left\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pager_that_fails_is_not_silence() {
    let world = filled(30).await;
    let straight = show(&world, &[("CONVO_PAGER", "")], &[]).silent().out;
    for failing in
        ["false", "sh -c 'cat > /dev/null; exit 3'", "sh -c 'head -c 1 > /dev/null; exit 2'"]
    {
        let shown = show(&world, &[("CONVO_PAGER", failing)], &[]);
        assert_eq!(shown.silent().out, straight, "{failing}");
    }
    let missing = show(&world, &[("CONVO_PAGER", "sh -c no-such-pager")], &[]).exits(0);
    assert_eq!(missing.out, straight);
    // Also where there is more than the pipe to it can hold.
    let text = "x".repeat(1_000);
    for n in 0..100 {
        let body = inbound(&format!("l{n}"), &format!("k{n}"), CONTACT, &text);
        world.signer.post(&world.server, body).await;
    }
    let straight = show(&world, &[("CONVO_PAGER", "")], &["--all"]).silent().out;
    assert!(straight.len() > 100_000);
    let shown = show(&world, &[("CONVO_PAGER", "false")], &["--all"]).silent();
    assert_eq!(shown.out, straight);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pager_that_cannot_start_at_the_end_starts_at_the_top() {
    let world = filled(30).await;
    let busybox = "if [ \"$1\" = --version ]; then
            echo \"less: unrecognized option '--version'\" >&2; echo 'BusyBox v1.35.0' >&2; exit 1
        fi
        echo \"$*\" > seen; cat > /dev/null";
    let less = script(&world, "less", busybox);
    assert_eq!(show(&world, &[("CONVO_PAGER", &less)], &[]).silent().out, "");
    assert_eq!(seen(&world).as_deref(), Some("-R\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_not_paged() {
    let world = filled(0).await;
    let pager = script(&world, "pager", "cat > seen");
    let done = show(&world, &[("CONVO_PAGER", &pager)], &[]).exits(3).reports("not found");
    assert_eq!((done.out.as_str(), seen(&world)), ("", None));
}
