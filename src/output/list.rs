//! The list of conversations.

use std::io::{self, Write};

use super::Style;
use super::pages::{ClosingTexts, PageTable, Pages};
use super::table::Layout;
use crate::domain::{Conversation, Listing};

const TEXTS: ClosingTexts = ClosingTexts {
    empty: "No conversations yet.",
    more: "Only the most recently active are shown; --all shows every conversation.",
};

/// Prints conversations.
pub type List<'a, W> = Pages<'a, W, ConversationTable>;

/// The columns, which the first page decides.
#[derive(Debug, Default)]
pub struct ConversationTable(Option<Layout>);

impl<'a, W: Write> List<'a, W> {
    /// A printer for a listing: its filters and order decide the closing texts.
    pub fn for_listing(listing: &Listing, out: &'a mut W, style: &Style) -> Self {
        let mut texts = TEXTS;
        if !listing.is_whole() {
            texts.empty = "No conversation matches.";
        }
        if listing.reverse {
            texts.more =
                "Only the least recently active are shown; --all shows every conversation.";
        }
        Self::with_texts(texts, out, style)
    }

    /// A printer for all conversations.
    pub fn new(out: &'a mut W, style: &Style) -> Self {
        Self::with_texts(TEXTS, out, style)
    }
}

impl PageTable for ConversationTable {
    type Row = Conversation;

    fn rows(
        &mut self,
        out: &mut impl Write,
        page: &[Conversation],
        style: &Style,
    ) -> io::Result<()> {
        let headed = self.0.is_none();
        let layout = self.0.get_or_insert_with(|| Layout::for_page(page, style));
        layout.lines(page, style, headed).iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::escape::drives;
    use super::super::samples::{answered, conversation, style, time};
    use super::super::width::columns;
    use super::super::{Format, Glyphs};
    use super::*;
    use crate::domain::Status;
    use proptest::prelude::*;

    fn printed(style: &Style, pages: &[&[Conversation]], more: bool) -> String {
        let mut out = Vec::new();
        let mut list = List::new(&mut out, style);
        for page in pages {
            list.page(page).expect("a vector takes all");
        }
        list.finish(more).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    fn conversations() -> Vec<Conversation> {
        let mut stopped = conversation("STOP");
        stopped.opted_out_at = Some(time("2026-06-17T12:00:00Z"));
        stopped.last_message_at = time("2026-06-17T12:00:00Z");
        let mut photo = conversation("");
        photo.last_message_at = time("2025-11-02T12:00:00Z");
        photo.message_count = 1_234;
        if let Some(last) = &mut photo.last_message {
            last.media_count = 2;
        }
        vec![
            conversation("Hi, is anyone there?\nI have a question about the invoice of last week"),
            answered(
                "+4930901820",
                "日本語のテキストはとても長いので切られます",
                Status::Delivered,
            ),
            answered("72975", "Yes please", Status::DeliveryFailed),
            answered("+447700900123", "Did you get my note?", Status::DeliveryUnconfirmed),
            stopped,
            photo,
        ]
    }

    #[test]
    fn a_wide_window_shows_everything() {
        assert_eq!(printed(&style(Format::Table, 120, false), &[&conversations()], false), WIDE);
    }

    #[test]
    fn a_usual_window_cuts_the_text() {
        assert_eq!(printed(&style(Format::Table, 80, false), &[&conversations()], true), USUAL);
    }

    #[test]
    fn a_narrow_window_keeps_who_when_and_what() {
        assert_eq!(printed(&style(Format::Table, 40, false), &[&conversations()], false), NARROW);
    }

    #[test]
    fn the_narrowest_window_shows_every_row_and_the_beginning_of_its_text() {
        let all = conversations();
        for width in 30..=60 {
            let shown = printed(&style(Format::Table, width, false), &[&all], false);
            let lines: Vec<_> = shown.lines().collect();
            assert_eq!(lines.len(), all.len() + 1, "{width}: {shown}");
            assert!(lines.iter().all(|line| columns(line) <= width), "{width}: {shown}");
            for (line, start) in lines.iter().zip(["LAST M", "Hi", "日", "Yes", "Did", "[out] "]) {
                assert!(line.contains(start), "{width}: {start} is missing in {shown}");
            }
        }
    }

    #[test]
    fn colour_changes_no_word() {
        let plain = printed(&style(Format::Table, 80, false), &[&conversations()], true);
        let colored = printed(&style(Format::Table, 80, true), &[&conversations()], true);
        assert!(colored.contains("\x1b[31mundelivered\x1b[0m"), "{colored:?}");
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
    }

    #[test]
    fn unread_messages_are_counted_beside_the_contact() {
        let mut some = conversation("Hi");
        some.unread_count = 3;
        let mut many = answered("a.very.long.name@example.com", "Hi", Status::Delivered);
        many.unread_count = 1_234;
        let page = [conversation("Hi"), some, many];
        let rich = style(Format::Table, 80, false);
        let plain = Style { glyphs: Glyphs::PLAIN, ..rich.clone() };
        let contacts = |style: &Style| -> Vec<String> {
            let table = printed(style, &[&page], false);
            let row = |line: &str| line.split("  ").nth(1).unwrap_or_default().to_owned();
            table.lines().skip(1).map(row).collect()
        };
        assert_eq!(contacts(&rich), ["+12125551234", "+12125551234 ●3", "a.very.long.nam… ●99+"]);
        assert_eq!(contacts(&plain), ["+12125551234", "+12125551234 *3", "a.very.long.n... *99+"]);
    }

    #[test]
    fn later_pages_keep_the_columns_of_the_first() {
        let all = conversations();
        let whole = printed(&style(Format::Table, 80, false), &[&all], false);
        let paged = printed(&style(Format::Table, 80, false), &[&all[..4], &all[4..]], false);
        assert_eq!(whole.lines().count(), paged.lines().count());
        assert_eq!(whole.lines().last(), paged.lines().last());
    }

    #[test]
    fn an_empty_list_says_so_to_a_person_only() {
        let empty = |format| printed(&style(format, 80, false), &[&[]], false);
        assert_eq!(empty(Format::Table), "No conversations yet.\n");
        assert_eq!(empty(Format::Lines), "");
        assert_eq!(empty(Format::Ids), "");
        assert_eq!(empty(Format::Json), "[]\n");
        assert!(empty(Format::Csv).starts_with("id,contact_number,"));
    }

    #[test]
    fn json_reads_back_whole_across_pages() {
        let all = conversations();
        let text = printed(&style(Format::Json, 80, false), &[&all[..2], &[], &all[2..]], false);
        let back: Vec<Conversation> = serde_json::from_str(&text).expect("an array of threads");
        assert_eq!(back, all);
    }

    proptest! {
        #[test]
        fn whatever_was_written_a_row_is_one_harmless_line(
            body in any::<String>(), width in 40_usize..=250, color: bool,
        ) {
            let page = [conversation(&body), answered("+1\u{202e}👍🏽", &body, Status::Queued)];
            let shown = printed(&style(Format::Table, width, color), &[&page], false);
            let plain = anstream::adapter::strip_str(&shown).to_string();
            prop_assert_eq!(plain.lines().count(), 3, "{}", shown);
            for line in plain.lines() {
                prop_assert!(!line.contains(drives), "{line:?}");
                prop_assert!(columns(line) <= width, "{} > {width}: {line:?}", columns(line));
            }
            if !color {
                prop_assert_eq!(plain, shown);
            }
        }
    }

    const WIDE: &str = "\
ID        CONTACT        MSGS  WHEN         STATUS       LAST MESSAGE
e6f70819  +12125551234      4  3 min ago    received     ← Hi, is anyone there?\\nI have a question about the invoice of…
e6f70819  +4930901820       4  3 min ago    delivered    → 日本語のテキストはとても長いので切られます
e6f70819  72975             4  3 min ago    undelivered  → Yes please
e6f70819  +447700900123     4  3 min ago    unconfirmed  → Did you get my note?
e6f70819  +12125551234      4  yesterday    received     [opted out] ← STOP
e6f70819  +12125551234   1234  2 Nov 2025   received     ← [2 files]
";
    const USUAL: &str = "\
ID        CONTACT        MSGS  WHEN         STATUS       LAST MESSAGE
e6f70819  +12125551234      4  3 min ago    received     ← Hi, is anyone there?…
e6f70819  +4930901820       4  3 min ago    delivered    → 日本語のテキストはと…
e6f70819  72975             4  3 min ago    undelivered  → Yes please
e6f70819  +447700900123     4  3 min ago    unconfirmed  → Did you get my note?
e6f70819  +12125551234      4  yesterday    received     [opted out] ← STOP
e6f70819  +12125551234   1234  2 Nov 2025   received     ← [2 files]
Only the most recently active are shown; --all shows every conversation.
";
    const NARROW: &str = "\
CONTACT        WHEN         LAST MESSAGE
+12125551234   3 min ago    ← Hi, is an…
+4930901820    3 min ago    → 日本語の…
72975          3 min ago    → ✗ Yes ple…
+447700900123  3 min ago    → Did you g…
+12125551234   yesterday    [out] ← STOP
+12125551234   2 Nov 2025   ← [2 files]
";
}
