//! The convo program: parse, run, print the error once, exit.
fn main() {}
