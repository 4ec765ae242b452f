//! The TAB key: the committed bash completions in a real bash, asking the real program.

use convo::sandbox::Behaviour;

use crate::on_both_databases;
use crate::support::{
    CONTACT, Done, FakeServer, Home, OWN, OnTerminal, Reply, Running, TestDatabase, World,
    closed_address, inbound,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/convo.bash");

/// What bash offers behind a line; the last word is the one to complete.
#[track_caller]
fn tab(home: &Home, words: &[&str]) -> Vec<String> {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let (at, last) = (words.len() - 1, quoted.last().expect("a word"));
    let done = home.script(&format!(
        "set -u; source '{SCRIPT}'; COMP_WORDS=({words}); COMP_CWORD={at}; COMP_TYPE=9
        _clap_complete_convo convo {last} ''; printf '%s\\n' ${{COMPREPLY[@]+\"${{COMPREPLY[@]}}\"}}",
        words = quoted.join(" "),
    ));
    let offered = done.silent().out;
    offered.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

async fn contacts_ids_and_numbers_are_completed_from_the_database(db: TestDatabase) {
    let world = World::with(db, |home| home.set("CONVO_SEND_TIMEOUT", "1")).await;
    let evil = "$(touch hacked)";
    for (n, from) in [CONTACT, "+442079460958", "72975", "ACME", evil].iter().enumerate() {
        let body = inbound(&format!("e{n}"), &format!("m{n}"), from, "Hi");
        world.signer.post(&world.server, body).await;
    }
    let lost = Behaviour::Vanished.number();
    let message = world.home.run(&["send", lost, "Hi"]).exits(9).id().to_owned();
    let ids = |home: &Home, contact: &str| home.run(&["show", contact, "--json"]).json();
    let evil_id = ids(&world.home, evil)["id"].as_str().expect("an id").to_owned();
    let id = ids(&world.home, CONTACT)["id"].as_str().expect("an id").to_owned();
    let url = world.server.url();
    let away = Home::new().set("CONVO_SERVER", &url).set("TELNYX_PHONE_NUMBER", OWN);
    let typed = Home::new().set("TELNYX_PHONE_NUMBER", OWN);
    let dotenv = Home::new().set("TELNYX_PHONE_NUMBER", OWN);
    dotenv.write(".env", format!("CONVO_SERVER={url}\n"));
    for (home, lead) in [
        (&world.home, &["convo"][..]),
        (&away, &["convo"]),
        (&dotenv, &["convo"]),
        (&typed, &["convo", "--server", &url]),
    ] {
        let tab = |words: &[&str]| tab(home, &[lead, words].concat());
        assert_eq!(tab(&["show", "+44"]), ["+442079460958"]);
        assert_eq!(tab(&["show", "AC"]), ["ACME"]);
        assert_eq!(tab(&["send", "+1"]).len(), 2);
        let all = tab(&["show", ""]);
        for contact in [CONTACT, "+442079460958", "72975", "ACME", lost, &evil_id[28..]] {
            assert!(all.iter().any(|offered| offered == contact), "{contact}: {all:?}");
        }
        assert!(!all.iter().any(|offered| offered.contains("hacked")), "{all:?}");
        assert_eq!(tab(&["show", &evil_id[28..33]]), [&evil_id[28..]]);
        assert_eq!(tab(&["show", &id[..30]]), [id.as_str()]);
        assert_eq!(tab(&["show", "+1999"]), [""; 0]);
        assert_eq!(tab(&["send", CONTACT, "Hi", "--from", ""]), [OWN]);
        assert_eq!(tab(&["list", "--number", "+1"]), [OWN]);
        assert_eq!(tab(&["retry", &message[..4]]), [message.as_str()]);
        assert_eq!(
            tab(&["list", "--status", "sent,deliv"]),
            ["sent,delivery_unconfirmed", "sent,delivery_failed", "sent,delivered"]
        );
        assert_eq!(tab(&["sho"]), ["show"]);
        assert!(tab(&["show", "--hist"]) == ["--history"]);
    }
    assert!(!world.home.files().contains(&"hacked".to_owned()));
}

on_both_databases!(contacts_ids_and_numbers_are_completed_from_the_database);

/// As the shells ask that have no test here.
fn asked(home: &Home, shell: &str, words: &[&str]) -> Done {
    let mut command = home.command(&[&["--", "convo"], words].concat());
    command.env("CONVO_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    Running::start(command, None).wait()
}

#[test]
fn a_failing_completion_is_silent_and_changes_nothing() {
    let nobody = format!("http://{}", closed_address());
    let homes = [
        Home::new(),
        Home::new().set("DATABASE_URL", "mysql://me:hunter2@h/d"),
        Home::new().set("DATABASE_URL", nobody.replace("http:", "postgres:") + "/convo"),
        Home::new().set("CONVO_SERVER", &nobody),
        Home::new().set("CONVO_SERVER", "nonsense"),
        Home::new().set("CONVO_API_TOKEN_FILE", "nowhere"),
    ];
    for home in &homes {
        for words in [&["show", "+1"][..], &["retry", "01"], &["send", "+1"]] {
            assert_eq!(tab(home, &[&["convo"], words].concat()), [""; 0]);
            for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
                let done = asked(home, shell, words).silent();
                assert_eq!(done.out.trim(), "", "{shell} {words:?}");
            }
        }
        assert_eq!(home.files(), [""; 0], "nothing is made");
    }
    // A file of somebody else, and a database that waits for its migration, stay as they are.
    let home = Home::new();
    for bytes in [&b"not a database"[..], b""] {
        let file = home.write("conversations.db", bytes);
        assert_eq!(
            tab(&home, &["convo", "show", ""]).iter().filter(|w| !w.starts_with('-')).count(),
            0
        );
        assert_eq!(std::fs::read(&file).expect("the file"), bytes);
        assert_eq!(home.files(), ["conversations.db"]);
    }
    let done = Home::new().set("CONVO_COMPLETE", "tcsh").run(&[] as &[&str]).exits(2);
    assert!(done.err.contains("unknown shell `tcsh`"), "{}", done.err);
}

/// What a person gets who types a line and presses TAB: bash echoes the line as it then stands.
#[track_caller]
fn typed(home: &Home, lines: &[&str]) -> Vec<String> {
    let script = format!("PS1='> '; source '{SCRIPT}'; bind 'set bell-style none'\n");
    let keys: String = lines.iter().map(|line| format!("{line}\t\u{1}echo : \n")).collect();
    home.write("rc", script);
    let mut command = home.shell("exec bash --noprofile --rcfile rc -i");
    command.env("TERM", "dumb");
    let done = OnTerminal::typed(command, 200, 24, &format!("{keys}exit\n")).wait();
    let echoed = done.out.lines().filter_map(|line| line.strip_prefix(": "));
    echoed.map(str::to_owned).collect()
}

#[test]
fn words_with_colons_and_equal_signs_are_completed() {
    let home = Home::new().set("TELNYX_PHONE_NUMBER", OWN);
    let lines = [
        ("convo list --format=js", "convo list --format=json"),
        ("convo list --format=cs", "convo list --format=csv"),
        ("convo list --status=sent,unk", "convo list --status=sent,unknown"),
        ("convo --server http://127.0.0.1:1 lis", "convo --server http://127.0.0.1:1 list"),
        ("convo --server=http://127.0.0.1:1 sho", "convo --server=http://127.0.0.1:1 show"),
        (
            "convo list --server=http://127.0.0.1:1 --direction=in",
            "convo list --server=http://127.0.0.1:1 --direction=inbound",
        ),
        ("convo list --number=+1", "convo list --number=+15551234567"),
        ("convo completion ba", "convo completion bash"),
        ("convo help migr", "convo help migrate"),
        ("convo list --format=j", "convo list --format=json"),
    ];
    let typed = typed(&home, &lines.map(|(line, _)| line));
    let expected = lines.map(|(_, line)| line);
    assert_eq!(typed.iter().map(|line| line.trim_end()).collect::<Vec<_>>(), expected);
}

/// A name with blanks or an apostrophe is completed as one word, and a hostile one is not offered.
#[test]
fn names_are_completed_as_one_word() {
    let db = TestDatabase::sqlite();
    let home = Home::new().with_database(&db);
    home.run(&["migrate"]).exits(0);
    for (number, name) in [
        (CONTACT, "Ada O'Hara"),
        ("+442079460958", "Zo\u{eb} O'Neill"),
        ("+13125550001", "Bo$(touch hacked)"),
    ] {
        home.run(&["name", number, name]).exits(0);
    }
    let lines = ["convo show Ada", "convo show Ada\\ O", "convo show Zo", "convo show Bo"];
    let typed = typed(&home, &lines);
    let typed: Vec<_> = typed.iter().map(|line| line.trim_end()).collect();
    let expected = [
        "convo show Ada O'Hara",
        "convo show Ada O'Hara",
        "convo show Zo\u{eb} O'Neill",
        "convo show Bo",
    ];
    assert_eq!(typed, expected);
    assert!(!home.files().contains(&"hacked".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_exported_by_mistake_changes_no_command() {
    let telnyx = FakeServer::replying(&[Reply::Accept]).await;
    let home = Home::new().sending_to(&telnyx.base_url()).set("CONVO_COMPLETE", "bash");
    let words: [&[&str]; 3] = [
        &["send", CONTACT, "Hi"],
        &["send", "--", CONTACT, "-x"],
        &["--utc", "send", CONTACT, "a"],
    ];
    for args in words {
        home.run(args).exits(0).id();
    }
    assert_eq!(telnyx.offers().len(), 3);
    home.run(&["--help"]).silent();
}

#[test]
fn the_script_of_each_shell_is_printed() {
    let home = Home::new();
    for (shell, file) in [
        ("bash", "convo.bash"),
        ("zsh", "_convo"),
        ("fish", "convo.fish"),
        ("elvish", "convo.elv"),
        ("powershell", "_convo.ps1"),
    ] {
        let path = std::path::Path::new(SCRIPT).with_file_name(file);
        let committed = std::fs::read_to_string(path).expect("a committed script");
        assert_eq!(home.run(&["completion", shell]).silent().out, committed, "{shell}");
    }
    home.run(&["completion", "tcsh"]).exits(2).reports("tcsh");
    home.run(&["completion"]).exits(2).reports("<SHELL>");
    let help = home.run(&["completion", "--help"]).silent().out;
    for place in ["~/.bashrc", "fpath", ".config/fish", "rc.elv", "$PROFILE"] {
        assert!(help.contains(place), "{place}: {help}");
    }
    home.script("source <(convo completion bash); complete -p convo").silent();
}
