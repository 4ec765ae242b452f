//! The `Link` header to the next page.

use std::str::FromStr;

use http::header::HeaderValue;

/// A parameter of the target in `<…?name=VALUE&…>; rel="next"`. The target is a relative reference: its
/// path is that of the request.
pub(super) fn next<T: FromStr>(link: &HeaderValue, name: &str) -> Option<T> {
    let (target, _) = link.to_str().ok()?.strip_prefix('<')?.split_once('>')?;
    let (_, query) = target.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(found, value)| (found == name).then(|| value.parse().ok())?)
}
