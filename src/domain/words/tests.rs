use proptest::prelude::*;

use super::*;

fn found(text: &str) -> String {
    words(text).into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

#[test]
fn words_are_compared_without_case_width_and_accents() {
    for (text, expected) in [
        ("Hello, WORLD!", "hello world"),
        ("Café CAFE\u{301} naïve", "cafe cafe naive"),
        ("Straße STRASSE", "strasse strasse"),
        ("Ｆｕｌｌ １２３", "full 123"),
        ("ﬁne ㎏ ½ x²", "fine kg 1 2 x2"),
        ("ΟΔΟΣ οδός", "οδοσ οδοσ"),
        ("ЁЛКА елка", "елка елка"),
        ("שָׁלוֹם שלום", "שלום שלום"),
        ("مُحَمَّد محمد", "محمد محمد"),
        ("pay\u{ad}pal pay\u{200b}pal", "paypal paypal"),
        ("can't l’été A-42", "can t l ete a 42"),
        ("हिन्दी", "हिन्दी"),
        ("", ""),
        (" \n.,!?-€$%", ""),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn scripts_without_spaces_become_pairs() {
    for (text, expected) in [
        ("日本語", "日本 本語 語"),
        ("本", "本"),
        ("東京2026年", "東京 京 2026 年"),
        ("ひらがな カタカナー", "ひら らが がな な カタ タカ カナ ナー ー"),
        ("ｶﾞｲﾄﾞ", "ガイ イド ド"),
        ("안녕하세요", "안녕 녕하 하세 세요 요"),
        ("กินข้าว", "กิน นข้ ข้า าว ว"),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn an_emoji_is_a_word_whatever_its_details() {
    assert_eq!(found("👍🏽 ❤\u{fe0f}☺"), "👍 ❤ ☺");
    assert_eq!(found("ok👩\u{200d}🚀ok"), "ok 👩 🚀 ok");
    assert_eq!(found("🇩🇪🇫🇷"), "🇩🇪 🇫🇷");
    assert_eq!(found("1\u{fe0f}\u{20e3}"), "1");
}

#[test]
fn addresses_and_numbers_are_found_in_part_and_as_a_whole() {
    assert_eq!(found("ada@example.com"), "ada example com");
    assert_eq!(
        found("+1 (212) 555-1234!"),
        "1 212 555 1234 1212555 12125551234 2125551234 5551234"
    );
    assert_eq!(found("12125551234"), "12125551234");
    assert_eq!(found("3.14, 1234567"), "3 14 1234567");
    let numbers = ["+1 (212) 555-1234", "212.555.1234", "5551234", "2026-11-30"];
    let digits = ["12125551234", "2125551234", "5551234", "20261130"];
    assert_eq!(numbers.map(as_number), digits.map(|digits| Some(digits.to_owned())));
    assert_eq!(
        ["555", "call 5551234", "12345678901234567", ""].map(as_number),
        [const { None }; 4]
    );
}

#[test]
fn a_word_knows_where_it_is() {
    let text = "Ö 日本 x";
    let places: Vec<_> = words(text)
        .into_iter()
        .map(|word| (word.place, text[word.range.clone()].to_owned(), word.head_end))
        .collect();
    let expected = [(0, "Ö", 2), (1, "日本", 6), (2, "本", 9), (3, "x", 11)];
    assert_eq!(places, expected.map(|(place, text, end)| (place, text.to_owned(), end)));
}

#[test]
fn a_long_word_is_cut_between_characters() {
    let long = words(&"ж".repeat(300));
    assert_eq!(long[0].text, "ж".repeat(127));
    assert_eq!(long[0].range, 0..600);
}

proptest! {
    #[test]
    fn words_can_be_indexed(text in any::<String>()) {
        for word in words(&text) {
            prop_assert!(!word.text.is_empty() && word.text.len() <= LONGEST_WORD);
            let is_kept = |c: char| !c.is_ascii() || c.is_ascii_lowercase() || c.is_ascii_digit();
            prop_assert!(word.text.chars().all(is_kept), "{:?}", word.text);
            prop_assert!(!word.text.contains(char::is_whitespace), "{:?}", word.text);
            prop_assert!(text.get(word.range.clone()).is_some_and(|part| !part.is_empty()));
            prop_assert!(word.range.contains(&(word.head_end - 1)));
        }
    }

    /// What was found in a text is found by it again.
    #[test]
    fn a_word_is_its_own_word(text in "[a-zA-Z0-9àÉßﬁÅΣЖ日本กิน안 👍+.-]{0,40}") {
        for word in words(&text) {
            let again = words(&word.text);
            prop_assert_eq!(&again[0].text, &word.text);
        }
    }

    #[test]
    fn upper_and_lower_case_are_the_same(text in "[a-zßàéÅσςжё ]{0,30}") {
        prop_assert_eq!(found(&text.to_uppercase()), found(&text));
    }
}
