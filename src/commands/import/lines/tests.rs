//! What a file of another kind, or half a file, is told.

use std::io::Cursor;

use super::*;

const HEADER: &str = r#"{"type":"convo_export","version":1,"sandbox":false}"#;

/// The batches of a text, and how it ended.
fn read(text: &str) -> (usize, Result<(), String>) {
    let input = Box::new(Cursor::new(text.to_owned().into_bytes()));
    let mut source = LineSource::new(input, None, Mode::Real);
    let mut batches = 0;
    loop {
        match source.next() {
            Ok(Some(_)) => batches += 1,
            Ok(None) => return (batches, Ok(())),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                return (batches, Err(error.to_string()));
            }
        }
    }
}

fn merged(id: u32) -> String {
    format!(
        r#"{{"type":"merged","id":"00000000-0000-0000-0000-{id:012}","survivor_id":"00000000-0000-0000-0000-000000000001"}}"#
    )
}

#[test]
fn whole_exports_are_read_one_after_the_other() {
    let end = |lines: u32| format!(r#"{{"type":"end","lines":{lines}}}"#);
    let one = format!("{HEADER}\n{}\n{}\n", merged(2), end(2));
    assert_eq!(read(&one), (1, Ok(())));
    assert_eq!(read(&format!("\u{feff}{one}\r\n{one}")), (1, Ok(())));
    assert_eq!(read(&format!("{HEADER}\n{}", end(1))), (0, Ok(())));
    // Blank lines say nothing, and do not count.
    assert_eq!(read(&format!("\n{}\n", one.replace('\n', "\n\n"))), (1, Ok(())));
    let all: String = (2..=1_001).map(|id| merged(id) + "\n").collect();
    assert_eq!(read(&format!("{HEADER}\n{all}{}", end(1_001))), (2, Ok(())));
}

#[test]
fn a_line_that_cannot_be_read_is_named_by_its_number() {
    let row = merged(2);
    for (text, batches, told) in [
        (String::new(), 0, "there is no export: the input is empty"),
        ("hello\n".to_owned(), 0, "line 1: this is not an export of convo"),
        (row.clone(), 0, "line 1: this is not an export of convo"),
        (
            format!("{HEADER}\n{row}\n"),
            1,
            "line 2: the export is cut off after this line: its last line is missing",
        ),
        (format!("{HEADER}\n{row}\n{}", &row[..30]), 1, "line 3: the line is cut off"),
        (
            format!("{HEADER}\n{row}\n{HEADER}\n"),
            1,
            "line 3: another export begins before this one ends",
        ),
        (
            format!("{HEADER}\n{row}\n{{\"type\":\"end\",\"lines\":7}}"),
            1,
            "line 3: the export had 7 lines, and here it has 2",
        ),
        (
            HEADER.replace("1,", "2,"),
            0,
            "line 1: version 2 of the format is of a newer convo, which this one cannot read",
        ),
        (HEADER.replace("false", "true"), 0, "line 1: this export is of a sandbox database"),
    ] {
        assert_eq!(read(&text), (batches, Err(told.to_owned())), "{text}");
    }
    for (line, word) in [
        (r#"{"type":"poem"}"#, "poem"),
        (r#"{"type":"merged","id":"x","survivor_id":"y"}"#, "UUID"),
        (r#"{"type":"end","lines":1,"later":true}"#, "later"),
        ("[]", "line 2"),
    ] {
        let (_, ended) = read(&format!("{HEADER}\n{line}\n"));
        let error = ended.expect_err(line);
        assert!(error.starts_with("line 2: ") && error.contains(word), "{error}");
    }
}
