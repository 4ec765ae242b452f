use proptest::prelude::*;

use super::*;
use crate::error::Code;

fn search(terms: &[&str], exclusions: &[&str]) -> MessageSearch {
    let parse = |terms: &[&str]| -> Vec<Term> {
        terms.iter().map(|term| Term::parse(term).expect("a term")).collect()
    };
    MessageSearch { terms: parse(terms), exclusions: parse(exclusions), ..MessageSearch::default() }
}

/// The marked parts of a text; `None` if it is not found.
fn marked(terms: &[&str], text: &str) -> Option<Vec<String>> {
    let marks = search(terms, &[]).find(text)?;
    Some(marks.into_iter().map(|mark| text[mark].to_owned()).collect())
}

#[test]
fn words_phrases_and_beginnings_are_found() {
    let text = "Good morning! The invoice no. 4711 of Café Müller is due.";
    for (terms, expected) in [
        (&["invoice"][..], Some(&["invoice"][..])),
        (&["INVOICE", "cafe"], Some(&["invoice", "Café"])),
        (&["good morning"], Some(&["Good morning"])),
        (&["morning good"], None),
        (&["invo"], None),
        (&["invo*"], Some(&["invoice"])),
        (&["cafe mul*"], Some(&["Café Müller"])),
        (&["no. 4711"], Some(&["no. 4711"])),
        (&["invoice", "missing"], None),
    ] {
        let expected: Option<Vec<_>> =
            expected.map(|marks| marks.iter().map(|mark| (*mark).to_owned()).collect());
        assert_eq!(marked(terms, text), expected, "{terms:?}");
    }
}

#[test]
fn any_part_of_a_text_without_spaces_is_found() {
    let text = "明日は日本語の勉強をします";
    for part in ["明", "本", "す", "日本", "日本語", "勉強をします", "語の"] {
        assert!(marked(&[part], text).is_some(), "{part}");
    }
    assert_eq!(marked(&["日本語"], text), Some(vec!["日本語".to_owned()]));
    assert_eq!(marked(&["本"], text), Some(vec!["本".to_owned()]));
    assert_eq!(marked(&["日本の"], text), None);
    assert_eq!(marked(&["日本 語"], "日本 語"), Some(vec!["日本 語".to_owned()]));
    assert_eq!(marked(&["ข้าว"], "กินข้าวแล้ว"), Some(vec!["ข้าว".to_owned()]));
    assert_eq!(marked(&["see 日本 now"], "see 日本 now"), Some(vec!["see 日本 now".to_owned()]));
}

#[test]
fn numbers_and_addresses_are_found_in_any_writing() {
    let written = ["+1 (212) 555-1234", "12125551234", "+12125551234"];
    for text in written {
        for query in written {
            assert!(marked(&[query], text).is_some(), "{query} in {text}");
        }
    }
    assert!(marked(&["555-1234"], "call (212) 555-1234 now").is_some());
    assert!(marked(&["212 555"], "call (212) 555-1234 now").is_some());
    let mail = "Write to ada.l@example.com.";
    for query in ["ada.l@example.com", "example.com", "example", "ada.l"] {
        assert!(marked(&[query], mail).is_some(), "{query}");
    }
    assert!(marked(&["l@example.org"], mail).is_none());
    assert!(marked(&["👍"], "fine 👍🏽").is_some());
}

#[test]
fn exclusions_exclude() {
    let has = |exclusion: &str| search(&["red"], &[exclusion]).find("red wine and bread").is_some();
    assert!(has("blue") && has("red bread") && has("win"));
    assert!(!has("wine") && !has("red wine") && !has("bre*"));
    let only = search(&[], &["red"]).check().map_err(|error| error.code());
    assert_eq!(only, Err(Code::InvalidRequest));
    assert!(MessageSearch::default().check().is_ok());
}

#[test]
fn a_query_reads_back_from_its_parameters() {
    let terms = parse_terms("one \"two  three\" fou* \"\" \" \" five").expect("terms");
    let shown: Vec<_> = terms.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["one", "\"two  three\"", "fou*", "five"]);
    assert_eq!(parse_terms(&shown.join(" ")).expect("terms"), terms);
    for bad in ["?!", "one \"...\"", "*", &"x".repeat(1_001)] {
        assert_eq!(parse_terms(bad).map_err(|error| error.code()), Err(Code::InvalidRequest));
    }
}

#[test]
fn a_snippet_shows_the_first_hit() {
    let text = format!("{}needle {}", "hay ".repeat(100), "straw ".repeat(100));
    let marks = search(&["needle"], &[]).find(&text).expect("found");
    let snippet = Snippet::new(&text, &marks);
    let [[start, end]] = *snippet.marks else { panic!("{snippet:?}") };
    let marked: String = snippet.text.chars().skip(start).take(end - start).collect();
    assert_eq!(marked, "needle");
    assert!(snippet.text.starts_with("…hay ") && snippet.text.ends_with('…'), "{snippet:?}");
    let short = Snippet::new("a needle", std::slice::from_ref(&(2..8)));
    assert_eq!(short, Snippet { text: "a needle".to_owned(), marks: vec![[2, 8]] });
}

#[test]
fn the_time_of_an_id_is_when_it_was_made() {
    let before = crate::clock::now().plus_seconds(-1);
    assert!((before..before.plus_seconds(5)).contains(&stored_at(Uuid::now_v7())));
}

proptest! {
    /// An index that knows only which words a text has finds every text that matches.
    #[test]
    fn whatever_matches_has_all_words(
        text in "[abAB日本語ก 1-2.👍é]{0,30}",
        query in "[abAB日本語ก 1-2.👍é]{1,6}[*]?",
    ) {
        let Ok(term) = Term::parse(&query) else { return Ok(()) };
        let search = MessageSearch { terms: vec![term], ..MessageSearch::default() };
        let words = words::words(&text);
        let has_all = search.patterns().iter().all(|pattern| {
            words.iter().any(|word| pattern.matches(&word.text))
        });
        let found = search.find(&text);
        prop_assert!(found.is_none() || has_all);
        if search.is_simple() {
            prop_assert_eq!(found.is_some(), has_all);
        }
        if let Some(marks) = found {
            let snippet = Snippet::new(&text, &marks);
            let length = snippet.text.chars().count();
            prop_assert!(snippet.marks.iter().all(|[start, end]| start < end && *end <= length));
        }
    }

    /// A text is found by itself, and by any part of it that ends where words end.
    #[test]
    fn a_text_is_found_by_itself(text in "[a-cé日本 👍,]{1,20}") {
        let Ok(term) = Term::parse(&text) else { return Ok(()) };
        let search = MessageSearch { terms: vec![term], ..MessageSearch::default() };
        prop_assert!(search.find(&text).is_some());
        let within = format!("x, {text}. y");
        prop_assert!(search.find(&within).is_some());
    }
}
