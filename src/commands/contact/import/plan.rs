//! What a file asks for, taken together: each number once.

use std::collections::HashMap;

use super::entry::ImportEntry;
use crate::domain::{ContactName, PhoneNumber};
use crate::error::Error;

/// The most numbers of one file: they are in memory together.
const MOST_NUMBERS: usize = 100_000;

/// A number and what it is to be named.
#[derive(Clone, Debug)]
pub(super) struct PlannedName {
    /// The line of the file.
    pub(super) line: u64,
    pub(super) number: PhoneNumber,
    pub(super) name: ContactName,
}

/// All that a file asks for.
#[derive(Debug, Default)]
pub(super) struct ImportPlan {
    pub(super) names: Vec<PlannedName>,
    /// What cannot be done, with the line.
    pub(super) refused: Vec<(u64, String)>,
    /// Where in `names` a number is.
    places: HashMap<PhoneNumber, usize>,
    is_too_long: bool,
}

impl ImportPlan {
    /// Adds what a file says. Of several names for one number, the first counts.
    pub(super) fn add(&mut self, ImportEntry { line, named }: ImportEntry) {
        if self.names.len() + self.refused.len() >= MOST_NUMBERS {
            self.is_too_long = true;
            return;
        }
        let (number, name) = match named {
            Ok(named) => named,
            Err(why) => return self.refused.push((line, why)),
        };
        match self.places.get(&number).map(|place| &self.names[*place]) {
            None => {
                self.places.insert(number.clone(), self.names.len());
                self.names.push(PlannedName { line, number, name });
            }
            Some(first) if first.name == name => {}
            Some(first) => {
                let (name, before) = (name.as_str(), first.name.as_str());
                let why =
                    format!("{number} cannot be '{name}': it is '{before}' in line {}", first.line);
                self.refused.push((line, why));
            }
        }
    }

    /// Checks that it has all that the file has.
    ///
    /// # Errors
    /// `invalid_request`.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_too_long {
            let what = format!("the file has more than {MOST_NUMBERS} numbers");
            return Err(Error::invalid(what).hint("split it"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_names_counts() {
        let mut plan = ImportPlan::default();
        for (line, name) in [(2, "Ada"), (3, "Ada"), (4, "Bob")] {
            plan.add(ImportEntry::new(line, "+1 212 555-1234", name));
        }
        plan.add(ImportEntry::new(5, "2125551234", "Eve"));
        assert_eq!(plan.names.len(), 1);
        assert_eq!(plan.names[0].name.as_str(), "Ada");
        let refused: Vec<_> = plan.refused.iter().map(|(line, _)| *line).collect();
        assert_eq!(refused, [4, 5]);
        assert_eq!(plan.refused[0].1, "+12125551234 cannot be 'Bob': it is 'Ada' in line 2");
    }
}
