//! Parsers of argument values that several commands share.

pub(crate) use crate::config::host_and_port;
use crate::net::{RootUrl, UrlFault};

/// The URL of a web server, without a trailing slash. Anything but its form is checked, and put into
/// better words, by whoever connects to it.
pub(crate) fn web_address(text: &str) -> Result<String, String> {
    if RootUrl::parse(text) == Err(UrlFault::NotHttp) {
        return Err("write it with its scheme, for example http://127.0.0.1:5000".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// How many: at least one.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "give a whole number, 1 or more".to_owned())
}

/// A share, from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a share from 0 to 1, such as 0.3".to_owned())
}
