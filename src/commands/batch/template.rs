//! The text of a batch with its columns: `Hi {name}`. A brace is written twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;

/// A text with places for the values of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<TemplatePiece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    /// The name of a column, in lower case.
    Column(String),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// `invalid_request` for a brace without its partner.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let name = rest.split_once('}').filter(|_| brace == "{");
            let (name, after) = name.ok_or_else(|| unpaired(brace))?;
            let name = super::column_name(name);
            if name.is_empty() || name.contains('{') {
                return Err(unpaired(brace));
            }
            pieces.push(TemplatePiece::Text(std::mem::take(&mut plain)));
            pieces.push(TemplatePiece::Column(name));
            rest = after;
        }
        plain.push_str(rest);
        pieces.push(TemplatePiece::Text(plain));
        Ok(Self(pieces))
    }

    /// The columns that it names, in their order.
    pub(super) fn columns(&self) -> BTreeSet<&str> {
        let columns = self.0.iter().filter_map(|piece| match piece {
            TemplatePiece::Column(name) => Some(name.as_str()),
            TemplatePiece::Text(_) => None,
        });
        columns.collect()
    }

    /// The text for a row.
    ///
    /// # Errors
    /// What is wrong with the row: a column that it does not have, or has no value for.
    pub(super) fn fill(&self, row: &BTreeMap<String, String>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                TemplatePiece::Text(plain) => text.push_str(plain),
                TemplatePiece::Column(name) => match row.get(name) {
                    Some(value) if !value.trim().is_empty() => text.push_str(value),
                    Some(_) => return Err(format!("the column {name} is empty")),
                    None => return Err(format!("there is no column {name}")),
                },
            }
        }
        Ok(text)
    }
}

fn unpaired(brace: &str) -> Error {
    Error::invalid(format!("the template has a '{brace}' without its partner"))
        .hint("a column is written {name}; a brace that is meant as one is written twice: {{ or }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, row: &[(&str, &str)]) -> Result<String, String> {
        let row = row.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Template::parse(template).expect("a template").fill(&row.collect())
    }

    #[test]
    fn columns_are_filled_in_and_double_braces_stay_one() {
        let row = [("name", "Ada {x}"), ("order", "17")];
        for (template, text) in [
            ("Hi {name}, {order} is ready", "Hi Ada {x}, 17 is ready"),
            ("{ Name }{name}", "Ada {x}Ada {x}"),
            ("no column", "no column"),
            ("{{name}} }}{{", "{name} }{"),
            ("{{{name}}}", "{Ada {x}}"),
            ("", ""),
        ] {
            assert_eq!(filled(template, &row).as_deref(), Ok(text), "{template}");
        }
        let template = Template::parse("{b}{a}{b}").expect("a template");
        assert_eq!(template.columns().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_a_row_lacks_is_named() {
        assert_eq!(filled("{a}", &[("a", " ")]), Err("the column a is empty".to_owned()));
        assert_eq!(filled("{b}", &[("a", "x")]), Err("there is no column b".to_owned()));
    }

    #[test]
    fn a_brace_needs_its_partner() {
        for bad in ["{", "}", "Hi {name", "Hi name}", "{}", "{a{b}", "{ }"] {
            let error = Template::parse(bad).expect_err(bad);
            assert_eq!(error.exit_code(), 2, "{bad}");
        }
    }
}
