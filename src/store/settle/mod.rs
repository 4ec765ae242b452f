//! Settling in the database: finding what has been left open, and recording what became of it.

pub(crate) mod read;
pub(crate) mod write;

#[cfg(test)]
mod tests;
