//! `convo send --edit`: the text is written in an editor.

use std::os::unix::fs::PermissionsExt;

use crate::support::{CONTACT, Done, FakeServer, Home, OnTerminal, Reply, is_id};

/// A home whose sends are accepted, with an editor that runs this script on its file.
async fn with_editor(script: &str) -> (Home, FakeServer) {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url());
    let editor = home.write("my editor", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&editor, PermissionsExt::from_mode(0o755)).expect("executable");
    home.write("tmp/.keep", "");
    let directory = home.file("tmp").display().to_string();
    let command = format!("'{}' --wait", editor.display());
    (home.set("TMPDIR", directory).set("EDITOR", command), telnyx)
}

#[track_caller]
fn edit(home: &Home, args: &[&str]) -> Done {
    let command = home.command(&[&["send"], args, &["--edit"]].concat());
    OnTerminal::typed(command, 80, 24, "").wait()
}

/// The files that editors have left.
fn left(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.file("tmp")).expect("a directory");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("UTF-8")
    };
    entries.map(name).filter(|name| name != ".keep").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_is_written_in_an_editor() {
    let script = "echo \"$1\" > seen; stat -c %a \"$2\" >> seen; cat \"$2\" >> seen
                  printf 'Dear Ada,\\nyes.\\n' > \"$2\"";
    let (home, telnyx) = with_editor(script).await;
    let done = edit(&home, &[CONTACT, "a draft"]).exits(0);
    assert!(done.out.lines().any(is_id), "{}", done.out);
    assert_eq!(telnyx.requests()[0].json()["text"], "Dear Ada,\nyes.");
    let seen = std::fs::read_to_string(home.file("seen")).expect("it ran");
    assert_eq!(seen, "--wait\n600\na draft\n");
    assert_eq!(left(&home), [""; 0]);
    // VISUAL is stronger.
    let home = home.set("VISUAL", "sh -c 'echo Visual > \"$0\"'");
    edit(&home, &[CONTACT]).exits(0);
    assert_eq!(telnyx.requests()[1].json()["text"], "Visual");
    assert_eq!(left(&home), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_without_a_text_or_a_terminal() {
    for (script, exit) in [("true", 2), ("echo ' ' > \"$2\"", 2), ("echo Hi > \"$2\"; exit 3", 2)] {
        let (home, telnyx) = with_editor(script).await;
        edit(&home, &[CONTACT]).exits(exit);
        assert_eq!((telnyx.offers().len(), left(&home)), (0, vec![]), "{script}");
    }
    let (home, telnyx) = with_editor("echo ran > seen; echo Hi > \"$2\"").await;
    home.run(&["send", CONTACT, "--edit"]).exits(2).reports("needs a terminal");
    home.pipe("Hi", &["send", CONTACT, "-", "--edit"]).exits(2).reports("needs a terminal");
    // What is wrong is said before anything is written.
    edit(&home, &["2125551234"]).exits(2);
    assert!(!home.files().contains(&"seen".to_owned()));
    let home = home.set("VISUAL", "/nowhere/editor");
    let done = edit(&home, &[CONTACT]).exits(4);
    assert!(done.out.contains("set VISUAL or EDITOR"), "{}", done.out);
    assert_eq!(telnyx.offers().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_not_sent_is_kept() {
    let (home, _telnyx) = with_editor("echo 'Long thoughts' > \"$2\"").await;
    let home = home.without("TELNYX_BASE_URL").set("TELNYX_BASE_URL", "http://127.0.0.1:9/v2");
    home.write("tmp/.keep", "");
    let directory = home.file("tmp").display().to_string();
    let home = home.set("TMPDIR", directory);
    let editor = "sh -c 'echo \"Long thoughts\" > \"$0\"'";
    let home = home.set("VISUAL", editor);
    let done = edit(&home, &[CONTACT]).exits(5);
    let files = left(&home);
    assert_eq!(files.len(), 1, "{}", done.out);
    assert!(
        done.out.contains(&format!(
            "the text is kept in {}",
            home.file("tmp").join(&files[0]).display()
        ))
    );
    let kept = std::fs::read_to_string(home.file("tmp").join(&files[0])).expect("kept");
    assert_eq!(kept, "Long thoughts\n");
}
