//! Writing the user's own file of settings: values are replaced in place, and everything else stays.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::dotenv::assigned_name;
use super::file;
use crate::error::{Code, Error};

/// Writes settings into a file of settings, which may exist, and makes it readable by its owner alone.
/// The file is replaced as a whole: it is never half written.
///
/// # Errors
/// `not_configured` if it cannot be written, or if a value cannot be in such a file.
pub(super) fn write(path: &Path, values: &[(&str, &str)]) -> Result<(), Error> {
    let cannot = |error: &io::Error| {
        let what = format!("cannot write {}: {error}", path.display());
        Error::new(Code::NotConfigured, what).hint("check the directory and its permissions")
    };
    let earlier = match path.symlink_metadata() {
        Ok(_) => file::read_settings(path).map_err(|error| {
            Error::new(Code::NotConfigured, error.describe(path)).hint(error.hint)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(cannot(&error)),
    };
    let earlier = String::from_utf8(earlier).map_err(|_| {
        let what = format!("cannot change {}: it is not UTF-8", path.display());
        Error::new(Code::NotConfigured, what).hint("save the file as UTF-8")
    })?;
    let text = changed(&earlier, values)?;
    // What a symbolic link leads to is replaced, not the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    replace(&target, &text).map_err(|error| cannot(&error))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let temporary = temporary(path);
    // What an earlier run left, which was killed.
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let replaced = written.and_then(|()| std::fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    replaced?;
    // The new name, too, is to survive a power failure.
    File::open(directory)?.sync_all()
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// The text with these values: a line that sets one is replaced where it is, further ones are left out,
/// and what is new comes at the end.
fn changed(earlier: &str, values: &[(&str, &str)]) -> Result<String, Error> {
    let mut text = String::new();
    let mut left: Vec<_> = values.to_vec();
    for line in earlier.trim_start_matches('\u{feff}').lines() {
        let name = assigned_name(line);
        let is_set = |(known, _): &&(&str, &str)| Some(*known) == name.as_deref();
        match values.iter().find(is_set) {
            None => text.push_str(line),
            Some((name, value)) => {
                let Some(at) = left.iter().position(|(known, _)| known == name) else { continue };
                left.remove(at);
                text.push_str(&assignment(name, value)?);
            }
        }
        text.push('\n');
    }
    for (name, value) in left {
        text.push_str(&assignment(name, value)?);
        text.push('\n');
    }
    Ok(text)
}

/// A line that sets a value to exactly this, for every program that reads such files.
fn assignment(name: &str, value: &str) -> Result<String, Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-_./:,=@".contains(c);
    if value.chars().all(is_plain) {
        return Ok(format!("{name}={value}"));
    }
    if value.contains(['\'', '\n', '\r', '\0']) {
        let what = format!("{name} contains characters that a settings file cannot hold");
        return Err(Error::new(Code::NotConfigured, what).hint("copy the value again"));
    }
    Ok(format!("{name}='{value}'"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::dotenv;

    #[test]
    fn values_are_replaced_in_place_and_the_rest_stays() {
        let earlier = "# mine\nOTHER=1\nexport TELNYX_API_KEY=old\nTELNYX_PHONE_NUMBER=\n\n\
                       # TELNYX_API_KEY=example\nTELNYX_API_KEY=older\nLAST=x";
        let values = [("TELNYX_API_KEY", "KEY01$x"), ("TELNYX_PUBLIC_KEY", "a+b/c=")];
        let text = changed(earlier, &values).expect("good values");
        assert_eq!(
            text,
            "# mine\nOTHER=1\nTELNYX_API_KEY='KEY01$x'\nTELNYX_PHONE_NUMBER=\n\n\
             # TELNYX_API_KEY=example\nLAST=x\nTELNYX_PUBLIC_KEY=a+b/c=\n"
        );
        let read = dotenv::parse(text.as_bytes()).expect("a good file");
        assert_eq!(read["TELNYX_API_KEY"], "KEY01$x");
        assert_eq!(read["TELNYX_PUBLIC_KEY"], "a+b/c=");
        assert!(changed("", &[("TELNYX_API_KEY", "a'b")]).is_err());
    }

    #[test]
    fn the_file_is_private_and_replaced_as_a_whole() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("config/convo/env");
        write(&path, &[("TELNYX_API_KEY", "one")]).expect("written");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("one"))), (0o600, 0o700));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("changed");
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        write(&link, &[("TELNYX_API_KEY", "two")]).expect("written");
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "TELNYX_API_KEY=two\n");
        assert_eq!(mode(&path), 0o600);
        let others = std::fs::read_dir(path.parent().expect("one")).expect("there").count();
        assert_eq!(others, 1, "no temporary file is left");
    }
}
