//! Telnyx's side of the wire. Its JSON stops here: past this module there are only convo's types.

pub mod client;
pub mod event;
mod read;
pub mod signature;
mod together;
