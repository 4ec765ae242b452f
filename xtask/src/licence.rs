//! Which licences of an SPDX expression apply, and which files hold their texts.

/// Chosen where a package offers them, the first one first: the text of Apache-2.0 is the same for
/// all packages, while every copy of the MIT licence has its own copyright line.
const PREFERRED: [&str; 2] = ["Apache-2.0", "MIT"];

/// One licence for each part joined by AND. `None` if the expression nests deeper than that.
pub(crate) fn applicable(expression: &str) -> Option<Vec<String>> {
    // Old manifests separate alternatives by a slash.
    let expression = expression.replace(" / ", "/").replace('/', " OR ");
    let parts: Vec<_> = expression.split(" AND ").collect();
    let alone = parts.len() == 1;
    parts.into_iter().map(|part| choose(part, alone)).collect()
}

fn choose(part: &str, alone: bool) -> Option<String> {
    let inner = part.strip_prefix('(').and_then(|part| part.strip_suffix(')'));
    let choice = inner.unwrap_or(part);
    let ambiguous = choice.contains(" OR ") && inner.is_none() && !alone;
    if choice.contains(['(', ')']) || ambiguous {
        return None;
    }
    let offered: Vec<_> = choice.split(" OR ").collect();
    let preferred = PREFERRED.into_iter().find(|licence| offered.contains(licence));
    preferred.or_else(|| offered.first().copied()).map(str::to_owned)
}

/// Whether the file of this name, in lower case, is a licence text.
pub(crate) fn is_text(file: &str) -> bool {
    ["license", "licence", "copying"].iter().any(|start| file.starts_with(start))
        && !is_notice(file)
}

/// Whether it is named after this licence: `license-mit`.
pub(crate) fn is_text_of(licence: &str, file: &str) -> bool {
    let family = licence.split('-').next().unwrap_or(licence).to_lowercase();
    is_text(file) && file.contains(&family)
}

/// Whether it is a notice that Apache-2.0 requires to be passed on, or covers code from others.
pub(crate) fn is_notice(file: &str) -> bool {
    file.starts_with("notice") || file.contains("third-party")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_licence_applies_of_each_part_of_an_expression() {
        for (expression, licences) in [
            ("MIT", Some(vec!["MIT"])),
            ("MIT OR Apache-2.0", Some(vec!["Apache-2.0"])),
            ("MIT/Apache-2.0", Some(vec!["Apache-2.0"])),
            ("Apache-2.0 / MIT", Some(vec!["Apache-2.0"])),
            ("Unlicense OR MIT", Some(vec!["MIT"])),
            ("Zlib", Some(vec!["Zlib"])),
            ("Apache-2.0 AND ISC", Some(vec!["Apache-2.0", "ISC"])),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(vec!["Apache-2.0", "Unicode-3.0"])),
            ("MIT OR Apache-2.0 AND ISC", None),
            ("MIT OR (Apache-2.0 AND ISC)", None),
        ] {
            let licences = licences.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(applicable(expression), licences, "{expression}");
        }
    }

    #[test]
    fn files_are_known_by_their_names() {
        assert!(is_text("license.txt") && is_text("copying") && !is_text("readme.md"));
        assert!(is_text_of("MIT-0", "license-mit") && is_text_of("BSD-3-Clause", "license_bsd"));
        assert!(!is_text_of("MIT", "license-apache"));
        assert!(is_notice("notice.md") && is_notice("license-third-party"));
        assert!(!is_notice("license") && !is_text("license-third-party"));
    }
}
