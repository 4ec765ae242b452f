//! The units are valid for systemd, and the service is well confined.

use std::path::{Path, PathBuf};
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn analyze(args: &[&str]) -> String {
    let run = Command::new("systemd-analyze").args(args).env("LC_ALL", "C").output();
    let run = run.expect("systemd-analyze is installed; scripts/with-servers does that");
    let output = [run.stdout, run.stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(run.status.success(), "{output}");
    output
}

const UNITS: [&str; 4] =
    ["convo.service", "convo.socket", "convo-backup.service", "convo-backup.timer"];

#[test]
fn the_units_are_valid() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in UNITS {
        let text = std::fs::read_to_string(unit(name)).expect(name);
        // Neither the program nor its manual is installed here.
        let text =
            text.replace("ExecStart=convo", concat!("ExecStart=", env!("CARGO_BIN_EXE_convo")));
        let text = text.replace("Documentation=man:convo-serve(1)\n", "");
        let text = text.replace("Documentation=man:convo-backup(1)\n", "");
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let path = |name| dir.path().join(name).display().to_string();
    let paths = UNITS.map(path);
    let output = analyze(&[&["verify"], &paths.each_ref().map(String::as_str)[..]].concat());
    assert!(!output.contains("convo"), "{output}");
}

#[test]
fn the_exposure_of_the_services_is_below_2() {
    for name in ["convo.service", "convo-backup.service"] {
        let unit = unit(name).display().to_string();
        let args = ["security", "--offline=true", "--no-pager", "--threshold=20", &unit];
        let output = analyze(&args);
        let level = output.lines().last().and_then(|line| line.split(": ").nth(1));
        let level = level.and_then(|level| level.split(' ').next());
        let level: f32 = level.and_then(|level| level.parse().ok()).expect(&output);
        assert!(level < 2.0, "{output}");
    }
}
