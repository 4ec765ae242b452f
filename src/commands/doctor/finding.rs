//! What a check found.

use serde::Serialize;

use crate::error::{Code, Error};
use crate::output::doctor::{FindingRow, FindingTone};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FindingVerdict {
    Ok,
    Warning,
    Failure,
    /// It could not be made, or does not apply.
    Skipped,
}

/// What a check found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub check: &'static str,
    pub verdict: FindingVerdict,
    pub seen: String,
    /// What to do; `None` if there is nothing.
    pub mend: Option<String>,
    /// The kind of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self { check, verdict: FindingVerdict::Ok, seen: seen.into(), mend: None, code: None }
    }

    pub(super) fn skipped(check: &'static str, seen: impl Into<String>) -> Self {
        Self { verdict: FindingVerdict::Skipped, ..Self::ok(check, seen) }
    }

    pub(super) fn warning(
        check: &'static str,
        seen: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { verdict: FindingVerdict::Warning, mend: Some(mend.into()), ..Self::ok(check, seen) }
    }

    pub(super) fn failure(
        check: &'static str,
        code: Code,
        seen: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let warning = Self::warning(check, seen, mend);
        Self { verdict: FindingVerdict::Failure, code: Some(code), ..warning }
    }

    /// A failure with the words of an error.
    pub(super) fn from_error(check: &'static str, error: &Error) -> Self {
        let mend = error.hint_text().map(str::to_owned);
        let failure = Self::failure(check, error.code(), error.to_string(), String::new());
        Self { mend, ..failure }
    }

    /// As it is printed.
    pub(super) fn row(&self) -> FindingRow<'_> {
        let (verdict, tone) = match self.verdict {
            FindingVerdict::Ok => ("ok", FindingTone::Good),
            FindingVerdict::Warning => ("warning", FindingTone::Doubt),
            FindingVerdict::Failure => ("failure", FindingTone::Bad),
            FindingVerdict::Skipped => ("skipped", FindingTone::Quiet),
        };
        let mend = self.mend.as_deref().unwrap_or_default();
        FindingRow { check: self.check, verdict, tone, seen: &self.seen, mend }
    }
}
