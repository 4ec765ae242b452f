//! Whether a database is real or a sandbox.

/// What a database was created for. Each mode refuses databases of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Real messages.
    Real,
    /// Simulated messages.
    Sandbox,
}

impl Mode {
    /// The value stored in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Sandbox => "sandbox",
        }
    }
}
