//! What the indices are asked: the messages that have all of some words.
//!
//! The words of a long text are spread over several rows. Such rows are found by any of the words, and
//! the text is then looked at.

use sea_orm::DatabaseBackend;

use super::{IN_PARTS, conversation_word};
use crate::domain::search::Pattern;

/// An expression of FTS5 or a `tsquery`, for some patterns and perhaps only one conversation. A word has
/// no character that either of them would have to escape.
pub(super) fn expression(
    patterns: &[&Pattern],
    conversation: Option<i64>,
    backend: DatabaseBackend,
) -> String {
    let syntax = Syntax::for_backend(backend);
    let is_long = |pattern: &&&Pattern| !is_short(pattern);
    let mut kept: Vec<_> = patterns.iter().filter(is_long).copied().collect();
    if kept.is_empty() && conversation.is_none() {
        kept = patterns.to_vec();
    }
    let words: Vec<_> = kept.into_iter().map(|pattern| syntax.pattern(pattern)).collect();
    let mut text = words.join(syntax.and);
    if words.len() > 1 {
        let (in_parts, any) = (syntax.word(IN_PARTS), words.join(syntax.or));
        text = format!("(({text}){}({in_parts}{}({any})))", syntax.or, syntax.and);
    }
    let conversation = conversation.map(|key| syntax.word(&conversation_word(key)));
    let all = conversation.into_iter().chain([text]).filter(|text| !text.is_empty());
    all.collect::<Vec<_>>().join(syntax.and)
}

/// Whether an index finds all messages only by beginnings of words.
pub(super) fn has_only_prefixes(patterns: &[&Pattern]) -> bool {
    patterns.iter().all(|pattern| matches!(pattern, Pattern::Prefix(_)))
}

/// Whether a pattern stands for so many words that an index, which would collect the messages of all of
/// them, is asked for it only where there is nothing else. The texts are looked at anyway.
fn is_short(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Prefix(word) if word.chars().count() < SHORT_PREFIX)
}

/// The characters of a prefix that stands for few words.
const SHORT_PREFIX: usize = 3;

struct Syntax {
    quote: char,
    prefix: &'static str,
    and: &'static str,
    or: &'static str,
}

impl Syntax {
    fn for_backend(backend: DatabaseBackend) -> Self {
        match backend {
            DatabaseBackend::Sqlite => Self { quote: '"', prefix: " *", and: " AND ", or: " OR " },
            _ => Self { quote: '\'', prefix: ":*", and: " & ", or: " | " },
        }
    }

    fn word(&self, word: &str) -> String {
        format!("{0}{word}{0}", self.quote)
    }

    fn pattern(&self, pattern: &Pattern) -> String {
        match pattern {
            Pattern::Word(word) => self.word(word),
            Pattern::Prefix(word) => format!("{}{}", self.word(word), self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_must_be_there_but_for_long_texts() {
        let (red, wine) = (Pattern::Word("red".into()), Pattern::Prefix("win".into()));
        let both = |patterns: &[&Pattern], conversation| {
            [DatabaseBackend::Sqlite, DatabaseBackend::Postgres]
                .map(|backend| expression(patterns, conversation, backend))
        };
        assert_eq!(both(&[&red], None), ["\"red\"", "'red'"]);
        assert_eq!(
            both(&[&wine], Some(7)),
            ["\"\u{e000}7\" AND \"win\" *", "'\u{e000}7' & 'win':*"]
        );
        let short = Pattern::Prefix("w".into());
        assert_eq!(both(&[&red, &short], None), ["\"red\"", "'red'"]);
        assert_eq!(both(&[&short], Some(7)), ["\"\u{e000}7\"", "'\u{e000}7'"]);
        assert_eq!(both(&[&short], None), ["\"w\" *", "'w':*"]);
        assert_eq!(
            both(&[&red, &wine], None),
            [
                "((\"red\" AND \"win\" *) OR (\"\u{e001}\" AND (\"red\" OR \"win\" *)))",
                "(('red' & 'win':*) | ('\u{e001}' & ('red' | 'win':*)))"
            ]
        );
    }
}
