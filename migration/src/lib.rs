//! The schema of convo's database, one migration a file.
