//! Forgetting a contact: its mark, and removing what is about it in small steps.

mod feed;
mod mark;
mod marked;
mod marks;
mod webhooks;

pub(crate) use mark::NewestMark;
pub(super) use mark::{find, has_marks};
pub(crate) use marked::AllMarks;
pub(super) use marks::import;
pub(crate) use marks::{BeginForget, Begun};
