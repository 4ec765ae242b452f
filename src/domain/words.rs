//! The words of a text: what a search finds it by, on every database alike.
//!
//! A word is a run of letters and digits, without regard to case, width and accents (compatibility
//! decomposition, full case folding, optional marks removed). Scripts that are written without spaces
//! between words (Chinese, Japanese, Thai and their like, and Korean, whose words take endings) become
//! overlapping pairs of characters, so that any part of a text is found. An emoji or another symbol is a
//! word of its own. Everything else separates words: an address such as `ada@example.com` is three words
//! in a row, and is found as such.
//!
//! A number that is written in groups, such as `+1 (212) 555-1234`, is also a word as a whole, and so is
//! each of its parts that is long enough for a phone number.

use std::ops::Range;

use caseless::Caseless;
use icu_properties::props::{
    DefaultIgnorableCodePoint, EmojiModifier, ExtendedPictographic, GeneralCategory,
    GeneralCategoryGroup, RegionalIndicator, Script,
};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// The most bytes of a word; a longer one is cut. PostgreSQL takes up to 2,046 of them.
pub const LONGEST_WORD: usize = 255;
/// How many digits a number in groups has that is also one word.
const NUMBER_DIGITS: Range<usize> = 7..16;
/// The most numbers in groups of one text: a long table of figures has no more of them.
const MOST_NUMBERS: usize = 1_000;

/// A word and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word as it is indexed. It has no space and no ASCII punctuation.
    pub text: String,
    /// The bytes of the original text that it stands for.
    pub range: Range<usize>,
    /// The end of its first character, if it is a pair; else the end of the range.
    pub head_end: usize,
    /// Its place in the sequence of words. A number in groups has the place of its first group.
    pub place: usize,
    /// What kind of word it is.
    pub kind: WordKind,
}

/// The kinds of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordKind {
    /// A run of letters and digits.
    Plain,
    /// Two characters of a script without spaces.
    Pair,
    /// The last character of a run of such a script.
    Last,
    /// An emoji or another symbol.
    Symbol,
    /// A number as a whole that is written in groups.
    Number,
}

/// The words of a text, in order; the numbers in groups come last.
#[must_use]
pub fn words(text: &str) -> Vec<Word> {
    let mut splitter = Splitter::default();
    for (start, cluster) in text.grapheme_indices(true) {
        splitter.cluster(cluster, start..start + cluster.len());
    }
    splitter.end_run();
    let mut words = splitter.words;
    let numbers = numbers(text, &words);
    words.extend(numbers);
    words
}

/// The digits of a text that is nothing but a number, in whichever groups: a phone number as people
/// write it.
#[must_use]
pub fn as_number(text: &str) -> Option<String> {
    let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '+' || separates_groups(c));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (is_number && NUMBER_DIGITS.contains(&digits.len())).then_some(digits)
}

/// What one character is for a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Pair,
    Symbol,
    Mark,
    Break,
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Plain } else { Class::Break };
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    if GeneralCategoryGroup::Mark.contains(category) {
        return Class::Mark;
    }
    let is_symbol = category == GeneralCategory::OtherSymbol
        || CodePointSetData::new::<ExtendedPictographic>().contains(c);
    if CodePointSetData::new::<EmojiModifier>().contains(c) {
        Class::Break
    } else if is_symbol {
        Class::Symbol
    } else if !GeneralCategoryGroup::Letter.contains(category)
        && !GeneralCategoryGroup::Number.contains(category)
    {
        Class::Break
    } else if is_unspaced(c) {
        Class::Pair
    } else {
        Class::Plain
    }
}

/// Whether a letter is of a script in which spaces do not separate words, or endings are part of them.
fn is_unspaced(c: char) -> bool {
    // The mark of a long vowel belongs to both Japanese syllabaries.
    c == '\u{30fc}'
        || matches!(
            CodePointMapData::<Script>::new().get(c),
            Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Bopomofo
                | Script::Hangul
                | Script::Yi
                | Script::Thai
                | Script::Lao
                | Script::Khmer
                | Script::Myanmar
                | Script::Tibetan
                | Script::Javanese
        )
}

/// Whether a text is as good without the character: a mark in a script whose marks are optional, or a
/// character without a meaning of its own. The marks of other scripts are vowels.
fn is_ignored(c: char) -> bool {
    if c.is_ascii() || matches!(c, '\u{3099}' | '\u{309a}') {
        return false;
    }
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return true;
    }
    class(c) == Class::Mark
        && matches!(
            CodePointMapData::<Script>::new().get(c),
            Script::Inherited
                | Script::Common
                | Script::Latin
                | Script::Greek
                | Script::Cyrillic
                | Script::Hebrew
                | Script::Arabic
                | Script::Syriac
        )
}

/// A grapheme cluster in the form in which words are compared.
fn fold(cluster: &str) -> String {
    let once: String = cluster.nfkd().default_case_fold().collect();
    // Folding the case can compose again, and decomposing can uncover another capital letter.
    let twice = once.nfkd().default_case_fold().nfkd();
    twice.filter(|c| !is_ignored(*c)).nfc().collect()
}

/// Splits a text into words, one grapheme cluster after the other.
#[derive(Default)]
struct Splitter {
    words: Vec<Word>,
    place: usize,
    /// The plain word that has begun.
    plain: Option<Word>,
    /// The run of characters of scripts without spaces that has begun, each with its marks.
    run: Vec<(String, Range<usize>)>,
}

impl Splitter {
    fn cluster(&mut self, cluster: &str, range: Range<usize>) {
        if let [byte] = *cluster.as_bytes() {
            // Most text is ASCII.
            return match byte.is_ascii_alphanumeric() {
                true => self.plain(byte.to_ascii_lowercase().into(), range),
                false => self.end_run(),
            };
        }
        if is_flag(cluster) {
            self.end_run();
            return self.push(cluster.to_owned(), range.clone(), range.end, WordKind::Symbol);
        }
        for c in fold(cluster).chars() {
            match class(c) {
                Class::Plain => self.plain(c, range.clone()),
                Class::Pair => {
                    self.end_plain();
                    self.run.push((c.to_string(), range.clone()));
                }
                Class::Symbol => {
                    self.end_run();
                    self.push(c.to_string(), range.clone(), range.end, WordKind::Symbol);
                }
                Class::Mark => self.mark(c, &range),
                Class::Break => self.end_run(),
            }
        }
    }

    fn plain(&mut self, c: char, range: Range<usize>) {
        self.end_pairs();
        let place = self.place;
        let word = self.plain.get_or_insert_with(|| Word {
            text: String::new(),
            range: range.clone(),
            head_end: range.end,
            place,
            kind: WordKind::Plain,
        });
        word.text.push(c);
        word.range.end = range.end;
        word.head_end = range.end;
    }

    /// A mark belongs to the letter before it.
    fn mark(&mut self, c: char, range: &Range<usize>) {
        if let Some((letter, _)) = self.run.last_mut() {
            letter.push(c);
        } else if self.plain.is_some() {
            self.plain(c, range.clone());
        }
    }

    fn end_run(&mut self) {
        self.end_plain();
        self.end_pairs();
    }

    fn end_plain(&mut self) {
        if let Some(word) = self.plain.take() {
            self.push(word.text, word.range, word.head_end, WordKind::Plain);
        }
    }

    fn end_pairs(&mut self) {
        let run = std::mem::take(&mut self.run);
        for pair in run.windows(2) {
            let [(first, head), (second, tail)] = pair else { continue };
            let range = head.start..tail.end;
            self.push(format!("{first}{second}"), range, head.end, WordKind::Pair);
        }
        if let Some((last, range)) = run.into_iter().next_back() {
            let end = range.end;
            self.push(last, range, end, WordKind::Last);
        }
    }

    fn push(&mut self, mut text: String, range: Range<usize>, head_end: usize, kind: WordKind) {
        cut(&mut text);
        self.words.push(Word { text, range, head_end, place: self.place, kind });
        self.place += 1;
    }
}

/// Whether a grapheme cluster is the flag of a country: two letters that only have a meaning together.
fn is_flag(cluster: &str) -> bool {
    let indicators = CodePointSetData::new::<RegionalIndicator>();
    cluster.chars().all(|c| indicators.contains(c))
}

/// Cuts a word to its longest form.
pub(crate) fn cut(word: &mut String) {
    word.truncate(word.floor_char_boundary(LONGEST_WORD));
}

/// The numbers that are written in groups: every sequence of groups with as many digits as a phone number
/// has.
fn numbers(text: &str, words: &[Word]) -> Vec<Word> {
    let is_group = |word: &Word| word.text.bytes().all(|byte| byte.is_ascii_digit());
    let continues = |before: &Word, after: &Word| {
        let between = text.get(before.range.end..after.range.start).unwrap_or(" , ");
        is_group(after) && (1..=3).contains(&between.len()) && between.chars().all(separates_groups)
    };
    let mut numbers = Vec::new();
    for (at, first) in words.iter().enumerate().filter(|(_, word)| is_group(word)) {
        if numbers.len() >= MOST_NUMBERS {
            break;
        }
        let mut digits = first.text.clone();
        for pair in words[at..].windows(2) {
            let [before, after] = pair else { break };
            if !continues(before, after) || digits.len() + after.text.len() >= NUMBER_DIGITS.end {
                break;
            }
            digits.push_str(&after.text);
            if NUMBER_DIGITS.contains(&digits.len()) {
                numbers.push(Word {
                    text: digits.clone(),
                    range: first.range.start..after.range.end,
                    head_end: after.range.end,
                    place: first.place,
                    kind: WordKind::Number,
                });
            }
        }
    }
    numbers
}

/// Whether the groups of a phone number may have the character between them.
fn separates_groups(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '-' | '\u{2011}' | '.' | '/' | '(' | ')')
}

#[cfg(test)]
mod tests;
