//! Tests of what no statement alone shows.

pub(super) mod recorder;

mod activity;
mod plans;
