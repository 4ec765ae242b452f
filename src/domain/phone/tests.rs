use super::*;
use proptest::prelude::*;

#[test]
fn usual_notations_are_parsed() {
    for (typed, kept) in [
        ("+12125551234", "+12125551234"),
        ("+1 (212) 555-1234", "+12125551234"),
        (" +1.212.555.1234 ", "+12125551234"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+49\u{a0}30\u{2011}901820", "+4930901820"),
        ("72975", "72975"),
        ("729 756", "729756"),
        ("7726", "7726"),
        ("\u{2068}+1 212 555 1234\u{2069}", "+12125551234"),
        ("\u{202a}+1\u{200b}212\u{200e}555\u{2212}1234\u{202c}\u{feff}", "+12125551234"),
        ("＋８１ ３（１２３４）５６７８", "+81312345678"),
        ("+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", "+966501234567"),
    ] {
        assert_eq!(PhoneNumber::parse(typed).map(|n| n.0), Ok(kept.to_owned()), "{typed}");
    }
}

#[test]
fn a_missing_country_code_gets_a_proposal() {
    for (typed, meant) in [
        ("2125551234", "+12125551234"),
        ("(212) 555-1234", "+12125551234"),
        ("12125551234", "+12125551234"),
        ("0044 20 7946 0958", "+442079460958"),
        ("011442079460958", "+442079460958"),
        ("442079460958", "+442079460958"),
    ] {
        let error = PhoneNumber::parse(typed).expect_err(typed);
        assert!(error.hint().ends_with(meant), "{typed}: {}", error.hint());
    }
}

#[test]
fn other_text_is_refused() {
    for typed in [
        "",
        " ",
        "+",
        "+12",
        "+1234567890123456",
        "+0123456789",
        "hello",
        "12",
        "5551234",
        "++1212",
        "+1212555123a",
        "+1 212 555 1234 x5",
        "+1212\u{0}5551234",
    ] {
        assert!(PhoneNumber::parse(typed).is_err(), "{typed:?}");
    }
}

#[test]
fn senders_may_be_words() {
    assert!(PhoneNumber::parse_sender("ACME 24").is_ok());
    assert!(PhoneNumber::parse_sender("+15551234567").is_ok());
    for typed in ["ACME-Support", "ACME Support Line", "Æ", "2125551234"] {
        assert!(PhoneNumber::parse_sender(typed).is_err(), "{typed}");
    }
}

#[test]
fn an_address_from_a_webhook_is_kept_whatever_its_format() {
    let kept = |raw| PhoneNumber::from_wire(raw).map(|n| n.0);
    assert_eq!(kept("+1 212 555 1234").as_deref(), Some("+12125551234"));
    assert_eq!(kept("+12345678901234567890").as_deref(), Some("+12345678901234567890"));
    assert_eq!(kept("2125551234").as_deref(), Some("2125551234"));
    assert_eq!(kept("  "), None);
    assert_eq!(kept("+1212\u{0}").as_deref(), Some("+1212\u{fffd}"));
    let bounce = format!("bounce+{}@mail.example.com", "x".repeat(50));
    assert_eq!(kept(&bounce).as_deref(), Some(bounce.as_str()));
    let (long, longer) = ("é".repeat(2_000), format!("{}x", "é".repeat(2_000)));
    assert!(kept(&long).is_some_and(|kept| kept.len() <= LONGEST_ADDRESS));
    assert_ne!(kept(&long), kept(&longer));
}

#[test]
fn masking_shows_two_digits() {
    let number = PhoneNumber::parse("+12125551234").expect("a number");
    assert_eq!(number.masked(), "+*********34");
}

proptest! {
    #[test]
    fn no_input_causes_a_panic(typed in "\\PC{0,40}") {
        if let Ok(number) = PhoneNumber::parse(&typed) {
            prop_assert_eq!(PhoneNumber::parse(number.as_str()), Ok(number));
        }
    }

    #[test]
    fn e164_is_its_own_normal_form(digits in "[1-9][0-9]{6,14}") {
        let number = format!("+{digits}");
        prop_assert_eq!(PhoneNumber::parse(&number).map(|n| n.0), Ok(number));
    }
}
