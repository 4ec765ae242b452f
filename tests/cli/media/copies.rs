//! Media leave with an export and with a backup, come back with a restored one, and are pruned.

use std::fs;
use std::path::PathBuf;

use super::{CONTACT, Keeping, MediaAnswer, PNG};
use crate::on_both_databases;
use crate::support::{TestDatabase, execute, wait_until};

/// A text with two files, of which the second is another text's, too, and one that is not kept.
async fn kept(db: TestDatabase) -> (Keeping, String, String) {
    let keeping = Keeping::with(db, |home| home.set("CONVO_MEDIA_MAX", "1KiB"));
    let picture = keeping.host.serve("/a.png", MediaAnswer::File(PNG.to_vec()));
    let note = keeping.host.serve("/b", MediaAnswer::File(b"a note".to_vec()));
    let large = keeping.host.serve("/c", MediaAnswer::File(vec![7; 2_000]));
    let first = keeping.hear("first", &[picture, note.clone()]).await;
    let second = keeping.hear("second", &[note, large]).await;
    wait_until("the files to be fetched", || {
        let states: Vec<_> = [&first, &second].map(|id| keeping.media(id)).concat();
        states.iter().all(|file| file["state"] != "waiting")
    });
    (keeping, first, second)
}

/// The names of the files in a directory and those below.
fn names(directory: PathBuf) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => names.extend(self::names(entry.path())),
            false => names.push(entry.file_name().into_string().expect("a name")),
        }
    }
    names.sort();
    names
}

async fn an_export_saves_the_files_of_its_messages(db: TestDatabase) {
    let (keeping, first, second) = kept(db).await;
    let (home, url) = (&keeping.home, keeping.server.url());
    let mut expected =
        vec![format!("{first}-1.png"), format!("{first}-2.bin"), format!("{second}-1.bin")];
    expected.sort();
    let whole = home.run(&["export"]).silent().out;
    for (directory, remote) in [("here", &[][..]), ("there", &["--server", &url])] {
        let export = [&["export", "--media", directory][..], remote].concat();
        assert_eq!(home.run(&export).silent().out, whole, "{directory}");
        assert_eq!(names(home.file(directory)), expected, "{directory}");
        let picture = home.file(directory).join(format!("{first}-1.png"));
        assert_eq!(fs::read(&picture).expect("the picture"), PNG);
        // What is there is not saved again.
        fs::write(&picture, "changed").expect("written");
        home.run(&export).silent();
        assert_eq!(fs::read(&picture).expect("the picture"), b"changed");
    }
    let of_one = ["export", "--contact", CONTACT, "--format", "text", "--media", "text"];
    assert!(home.run(&of_one).silent().out.contains("first"));
    assert_eq!(names(home.file("text")), expected);
    // A file that should be there is missed, and the export is whole.
    fs::remove_file(&keeping.files()[0]).expect("removed");
    let done = home.run(&["export", "--media", "less"]);
    assert_eq!(done.out, whole);
    done.exits(5).reports("not saved").reports("the export itself is complete");
}

async fn a_backup_takes_media_along_and_they_come_back(db: TestDatabase) {
    let (keeping, first, _) = kept(db).await;
    let home = &keeping.home;
    let backup = ["backup", "a.db", "--media", "saved", "--json"];
    let made = home.run(&backup).silent().json();
    let counts = |json: &serde_json::Value| {
        ["copied", "known", "missing", "bytes"].map(|name| json["media"][name].as_u64())
    };
    assert_eq!(counts(&made), [Some(2), Some(0), Some(0), Some(PNG.len() as u64 + 6)]);
    assert_eq!(names(home.file("saved")), names(home.file("media")));
    assert_eq!(counts(&home.run(&backup).silent().json()), [Some(0), Some(2), Some(0), Some(0)]);

    let elsewhere = [("CONVO_MEDIA", "elsewhere")];
    let restore = ["restore", "a.db", "--to", "sqlite:///b.db", "--media"];
    home.run_with(&[("CONVO_MEDIA", "off")], &[&restore[..], &["saved"]].concat())
        .exits(4)
        .reports("media are not kept here");
    home.run_with(&elsewhere, &[&restore[..], &["nowhere"]].concat())
        .exits(2)
        .reports("not a directory");
    let done = home.run_with(&elsewhere, &[&restore[..], &["saved"]].concat()).exits(0);
    assert!(done.err.contains("copied 2 media files"), "{}", done.err);
    let restored = [elsewhere[0], ("DATABASE_URL", "sqlite:///b.db")];
    let shown = home.run_with(&restored, &["media", &first, "1", "--out", "picture.png"]);
    shown.silent();
    assert_eq!(fs::read(home.file("picture.png")).expect("the picture"), PNG);

    // Of a damaged file, and of one that is away, it is said that they are missing.
    let files = keeping.files();
    fs::write(&files[0], "damaged").expect("written");
    fs::remove_file(&files[1]).expect("removed");
    let made = home.run(&["backup", "b-too.db", "--media", "new", "--json"]).silent().json();
    assert_eq!(counts(&made), [Some(0), Some(0), Some(2), Some(0)]);
}

async fn what_is_too_old_is_pruned(db: TestDatabase) {
    let (keeping, first, second) = kept(db).await;
    let aged = "UPDATE media SET created_at = 0 WHERE message_id IN \
                (SELECT id FROM messages WHERE body = 'first')";
    execute(&keeping.db.url, aged).await;
    let Keeping { home, server, .. } = keeping;
    let keep = [("CONVO_KEEP_MEDIA", "1y")];
    let pruned = |args: &[&str]| home.run_with(&keep, args).silent().json()["media"].clone();
    assert_eq!(home.run(&["prune", "--dry-run", "--json"]).json()["media"], 0, "kept for ever");
    assert_eq!(pruned(&["prune", "--dry-run", "--json"]), 2);
    assert_eq!(names(home.file("media")).len(), 2, "nothing has changed");
    assert_eq!(server.stop(), 0);
    assert_eq!(pruned(&["prune", "--json"]), 2);
    assert_eq!(names(home.file("media")).len(), 1, "a newer message has the other file, too");
    let state = |id: &str| home.run(&["media", id, "--json"]).silent().json()[0]["state"].clone();
    assert_eq!((state(&first), state(&second)), ("gone".into(), "kept".into()));
}

on_both_databases! {
    an_export_saves_the_files_of_its_messages,
    a_backup_takes_media_along_and_they_come_back,
    what_is_too_old_is_pruned,
}
