use super::Encoding::{Gsm7, Ucs2};
use super::*;
use proptest::prelude::*;

/// The GSM 7-bit default alphabet as 3GPP TS 23.038 prints it: bits b7 to b5 of the code across,
/// b4 to b1 down. Row 11 of column 1 is ESC, which leads to the extension table.
const DEFAULT_ALPHABET: [[char; 8]; 16] = [
    ['@', 'Δ', ' ', '0', '¡', 'P', '¿', 'p'],
    ['£', '_', '!', '1', 'A', 'Q', 'a', 'q'],
    ['$', 'Φ', '"', '2', 'B', 'R', 'b', 'r'],
    ['¥', 'Γ', '#', '3', 'C', 'S', 'c', 's'],
    ['è', 'Λ', '¤', '4', 'D', 'T', 'd', 't'],
    ['é', 'Ω', '%', '5', 'E', 'U', 'e', 'u'],
    ['ù', 'Π', '&', '6', 'F', 'V', 'f', 'v'],
    ['ì', 'Ψ', '\'', '7', 'G', 'W', 'g', 'w'],
    ['ò', 'Σ', '(', '8', 'H', 'X', 'h', 'x'],
    ['Ç', 'Θ', ')', '9', 'I', 'Y', 'i', 'y'],
    ['\n', 'Ξ', '*', ':', 'J', 'Z', 'j', 'z'],
    ['Ø', ESC, '+', ';', 'K', 'Ä', 'k', 'ä'],
    ['ø', 'Æ', ',', '<', 'L', 'Ö', 'l', 'ö'],
    ['\r', 'æ', '-', '=', 'M', 'Ñ', 'm', 'ñ'],
    ['Å', 'ß', '.', '>', 'N', 'Ü', 'n', 'ü'],
    ['å', 'É', '/', '?', 'O', '§', 'o', 'à'],
];
const ESC: char = '\u{1B}';
/// The extension table, in the order of the codes that follow the ESC.
const EXTENSION: [char; 10] = ['\u{C}', '^', '{', '}', '\\', '[', '~', ']', '|', '€'];

fn size(text: &str) -> (Encoding, u32, u32) {
    let size = Segments::for_text(text);
    (size.encoding, size.segments, size.units)
}

#[test]
fn every_character_has_its_size_from_the_tables_of_the_standard() {
    let mut septets = std::collections::HashMap::new();
    let default = DEFAULT_ALPHABET.into_iter().flatten().filter(|c| *c != ESC);
    septets.extend(default.map(|c| (c, 1)));
    septets.extend(EXTENSION.map(|c| (c, 2)));
    assert_eq!(septets.len(), 127 + 10, "no character stands twice");
    for c in '\0'..=char::MAX {
        let expected = match septets.get(&c) {
            Some(units) => (Gsm7, 1, *units),
            None if c <= '\u{FFFF}' => (Ucs2, 1, 1),
            None => (Ucs2, 1, 2),
        };
        assert_eq!(size(c.encode_utf8(&mut [0; 4])), expected, "U+{:04X}", u32::from(c));
    }
}

#[test]
fn the_limits_are_where_the_standard_puts_them() {
    assert_eq!(size(""), (Gsm7, 0, 0));
    assert_eq!(size("Hello"), (Gsm7, 1, 5));
    assert_eq!(size(&"a".repeat(160)), (Gsm7, 1, 160));
    assert_eq!(size(&"a".repeat(161)), (Gsm7, 2, 161));
    assert_eq!(size(&"a".repeat(1530)), (Gsm7, 10, 1530));
    assert_eq!(size(&"a".repeat(1531)), (Gsm7, 11, 1531));
    assert_eq!(size("€[]"), (Gsm7, 1, 6));
    assert_eq!(size("a\r\n\u{C}"), (Gsm7, 1, 5));
    assert_eq!(size(&"ж".repeat(70)), (Ucs2, 1, 70));
    assert_eq!(size(&"ж".repeat(71)), (Ucs2, 2, 71));
    assert_eq!(size(&"ж".repeat(670)), (Ucs2, 10, 670));
    assert_eq!(size("😀"), (Ucs2, 1, 2));
    assert_eq!(size("“Hi”"), (Ucs2, 1, 4));
    assert_eq!(size(&format!("{}ç", "a".repeat(70))), (Ucs2, 2, 71));
}

#[test]
fn no_character_is_split_over_two_segments() {
    let around = |before: &str, c: &str, after: &str, count: usize| {
        size(&format!("{}{c}{}", before.repeat(count), after.repeat(count)))
    };
    assert_eq!(around("a", "€", "a", 151), (Gsm7, 2, 304));
    assert_eq!(around("a", "€", "a", 152), (Gsm7, 3, 306), "152 + (2 + 151) + 1");
    assert_eq!(around("ж", "😀", "ж", 65), (Ucs2, 2, 132));
    assert_eq!(around("ж", "😀", "ж", 66), (Ucs2, 3, 134), "66 + (2 + 65) + 1");
    // There is no border within a segment that is sent alone.
    assert_eq!(size(&format!("{}€aaaaaa", "a".repeat(152))), (Gsm7, 1, 160));
    assert_eq!(size(&format!("{}😀жж", "ж".repeat(66))), (Ucs2, 1, 70));
    // 66 characters of one unit, then pairs: 33 fit each further segment and leave one unit.
    assert_eq!(size(&format!("{}{}", "ж".repeat(66), "😀".repeat(302))), (Ucs2, 11, 670));
}

#[test]
fn the_reason_for_ucs2_is_named() {
    let outside = |text: &str| Segments::for_sms(text).map_err(|error| error.outside_gsm7);
    assert_eq!(outside(&"é".repeat(1_530)).map(|size| size.encoding), Ok(Gsm7));
    assert_eq!(outside(&"é".repeat(1_531)), Err(None));
    assert_eq!(outside(&format!("{}’“", "a".repeat(669))), Err(Some('’')));
    assert_eq!(outside(&format!("{}’", "a".repeat(1_530))), Err(Some('’')));
}

#[test]
fn a_text_that_is_too_long_is_not_read_to_its_end() {
    let outside = |text: &str| Segments::for_sms(text).expect_err("too long").outside_gsm7;
    assert_eq!(outside(&format!("{}’", "a".repeat(1_531))), None);
    assert_eq!(outside(&format!("{}’", "€".repeat(766))), None);
}

/// Telnyx's limit is on units; within it, convo leaves the decision to Telnyx.
#[test]
fn only_what_telnyx_certainly_refuses_is_refused() {
    let is_refused = |text: &str| Segments::for_sms(text).is_err();
    assert!(!is_refused(&"😀".repeat(331)), "662 units, in 11 segments of whole pairs");
    assert!(!is_refused(&"😀".repeat(335)) && is_refused(&"😀".repeat(336)));
    assert!(!is_refused(&"€".repeat(765)) && is_refused(&"€".repeat(766)));
}

#[test]
fn an_mms_is_one_part() {
    let size = Segments { encoding: Gsm7, segments: 1, units: 2_000 };
    assert_eq!(Segments::for_mms(&"a".repeat(2_000)), size);
    assert_eq!(Segments::for_mms(""), Segments { units: 0, ..size });
}

proptest! {
    #[test]
    fn every_text_fits_into_its_segments(text in "\\PC{1,400}") {
        let size = Segments::for_text(&text);
        let (single, multi) = if size.encoding == Gsm7 { (160, 153) } else { (70, 67) };
        if size.encoding == Ucs2 {
            prop_assert_eq!(size.units as usize, text.encode_utf16().count());
        }
        let least = if size.units <= single { 1 } else { size.units.div_ceil(multi) };
        // A pair that must stay together may push one unit into the next segment.
        prop_assert!(size.segments >= least && size.segments <= least + 1, "{size:?}");
    }

    #[test]
    fn exactly_what_has_too_many_units_is_too_long(
        text in "(a{0,800}|€{0,400}|a{1400,1600}|[a€]{700,1000})(|ж|[ж😀]{0,400})",
    ) {
        let (size, sms) = (Segments::for_text(&text), Segments::for_sms(&text));
        let most = if size.encoding == Gsm7 { 1_530 } else { 670 };
        prop_assert_eq!(sms.ok(), (size.units <= most).then_some(size));
    }
}
