//! The README, held against the program: its commands are run, its tables compared.

mod commands;
mod markdown;
mod play;
mod tables;
