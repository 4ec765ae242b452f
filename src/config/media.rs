//! Where media are kept: `CONVO_MEDIA`, and what AWS's own settings say about a bucket.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::layers::Origin;
use super::{Config, values};
use crate::error::{Code, Error};
use crate::media::{BucketPlace, MediaPlace, MediaSettings};
use crate::secret::Secret;
use crate::store::Location;

const MEDIA: &str = "CONVO_MEDIA";
/// AWS's variables that say how to reach a bucket, beside the credentials.
const OPTIONS: &[&str] = &[
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_EC2_METADATA_DISABLED",
];
const CREDENTIALS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Names of the sections of AWS's files with their values.
type Profiles = HashMap<String, HashMap<String, String>>;

pub(super) fn settings(config: &Config) -> Result<MediaSettings, Error> {
    let usual = MediaSettings::default();
    let max_size = values::size(config, "CONVO_MEDIA_MAX", 1..=64 * 1024, usual.max_size)?;
    let keep = values::age(config, "CONVO_KEEP_MEDIA", usual.keep)?;
    Ok(MediaSettings { place: place(config)?, max_size, keep })
}

fn place(config: &Config) -> Result<MediaPlace, Error> {
    let Some(found) = config.find(MEDIA)? else { return Ok(beside(&config.database()?)) };
    let value = found.value.as_str();
    if value == "off" {
        return Ok(MediaPlace::Off);
    }
    if let Some(rest) = value.strip_prefix("s3://") {
        if let Origin::Dotenv(path) = &found.origin {
            let what = format!(
                "{MEDIA} is from {}, but the credentials for the bucket are not: they are not used \
                 for an address from a different source",
                path.display()
            );
            return Err(Error::new(Code::NotConfigured, what)
                .hint("put it into the environment or your own settings file"));
        }
        return bucket(config, rest).map(MediaPlace::S3);
    }
    if value.contains("://") {
        let what = format!("{MEDIA} names a store that convo does not support");
        return Err(Error::new(Code::NotConfigured, what)
            .hint("set it to a directory, to s3://BUCKET/PREFIX, or to off"));
    }
    Ok(MediaPlace::Directory(found.base.clone().unwrap_or_default().join(value)))
}

/// The directory beside a database; a database on a server has none.
fn beside(database: &Location) -> MediaPlace {
    let Some(file) = database.path() else { return MediaPlace::Off };
    let mut name = file.as_os_str().to_owned();
    name.push("-media");
    MediaPlace::Directory(PathBuf::from(name))
}

fn bucket(config: &Config, rest: &str) -> Result<BucketPlace, Error> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_name) {
        let what = format!("{MEDIA} does not name a bucket");
        return Err(Error::new(Code::NotConfigured, what).hint("write it as s3://BUCKET/PREFIX"));
    }
    let prefix = prefix.trim_matches('/').to_owned();
    Ok(BucketPlace { bucket: bucket.to_owned(), prefix, options: options(config) })
}

/// What AWS's tools would use: their variables, and for what those do not say the profile in their files.
fn options(config: &Config) -> Vec<(String, Secret)> {
    let variable = |name: &str| config.source.terminal(name).filter(|value| !value.is_empty());
    let found = |name: &&str| Some(((*name).to_owned(), Secret::new(variable(name)?)));
    let mut options: Vec<_> = OPTIONS.iter().filter_map(found).collect();
    let profile = profile(&variable);
    if variable(CREDENTIALS[0]).is_some() {
        options.extend(CREDENTIALS.iter().filter_map(found));
    } else {
        let names = CREDENTIALS.iter().zip([
            "aws_access_key_id",
            "aws_secret_access_key",
            "aws_session_token",
        ]);
        add(&mut options, &profile, names.map(|(name, key)| (*name, key)));
    }
    if !options.iter().any(|(name, _)| name.ends_with("REGION")) {
        add(&mut options, &profile, [("AWS_REGION", "region")]);
    }
    if !options.iter().any(|(name, _)| name.starts_with("AWS_ENDPOINT_URL")) {
        add(&mut options, &profile, [("AWS_ENDPOINT_URL", "endpoint_url")]);
    }
    options
}

fn add<'a>(
    options: &mut Vec<(String, Secret)>,
    profile: &HashMap<String, String>,
    names: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    for (name, key) in names {
        let value = profile.get(key).map(|value| (name.to_owned(), Secret::new(value)));
        options.extend(value);
    }
}

/// The profile in AWS's files of credentials and settings; the former is the stronger one.
fn profile(variable: &impl Fn(&str) -> Option<String>) -> HashMap<String, String> {
    let name = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let home = variable("HOME").map(PathBuf::from);
    let read = |named: &str, usual: &str| {
        let usual = home.as_ref().map(|home| home.join(".aws").join(usual));
        let path = variable(named).map(PathBuf::from).or(usual);
        path.map(|path| read_profiles(&path)).unwrap_or_default()
    };
    let mut settings = read("AWS_CONFIG_FILE", "config");
    let in_settings = settings.remove(&format!("profile {name}"));
    let mut profile = in_settings.or_else(|| settings.remove(&name)).unwrap_or_default();
    let mut credentials = read("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    profile.extend(credentials.remove(&name).unwrap_or_default());
    profile
}

/// A file that is missing or cannot be read has none, as for AWS's tools.
fn read_profiles(path: &Path) -> Profiles {
    parse_profiles(&std::fs::read_to_string(path).unwrap_or_default())
}

fn parse_profiles(text: &str) -> Profiles {
    let mut profiles = Profiles::new();
    let mut current = None;
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || is_nested {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            current = Some(name.split_whitespace().collect::<Vec<_>>().join(" "));
        } else if let (Some(section), Some((key, value))) = (&current, line.split_once('=')) {
            let section = profiles.entry(section.clone()).or_default();
            section.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    profiles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Source};

    fn found(variables: &[(&str, &str)]) -> Result<MediaPlace, Error> {
        let source = Source::for_test(variables);
        Config::new(Flags::default(), source).expect("settings").media().map(|media| media.place)
    }

    fn shown(variables: &[(&str, &str)]) -> String {
        found(variables).expect("a place").to_string()
    }

    #[test]
    fn media_are_kept_beside_the_database_unless_it_is_said_otherwise() {
        let file = ("DATABASE_URL", "sqlite:////var/lib/convo/convo.db");
        assert_eq!(shown(&[file]), "/var/lib/convo/convo.db-media");
        assert_eq!(shown(&[("DATABASE_URL", "postgresql://me@127.0.0.1/db")]), "off");
        assert_eq!(shown(&[file, ("CONVO_MEDIA", "off")]), "off");
        assert_eq!(shown(&[file, ("CONVO_MEDIA", "/srv/media")]), "/srv/media");
        assert_eq!(shown(&[file, ("CONVO_MEDIA", "s3://bucket/a/b/")]), "s3://bucket/a/b");
        for wrong in ["s3://", "s3://a", "s3://buck et", "https://bucket", "gs://bucket"] {
            let error = found(&[file, ("CONVO_MEDIA", wrong)]).expect_err(wrong);
            assert_eq!(error.code(), Code::NotConfigured, "{wrong}");
        }
    }

    #[test]
    fn a_bucket_is_reached_as_the_variables_of_aws_say() {
        let place = found(&[
            ("CONVO_MEDIA", "s3://bucket"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_REGION", "eu-central-1"),
        ]);
        let Ok(MediaPlace::S3(place)) = place else { panic!("a bucket") };
        let value = |name: &str| {
            let found = place.options.iter().find(|(found, _)| found == name);
            found.map(|(_, value)| value.expose())
        };
        assert_eq!(value("AWS_SECRET_ACCESS_KEY"), Some("hush"));
        assert_eq!(value("AWS_REGION"), Some("eu-central-1"));
        assert!(!format!("{:?}", MediaPlace::S3(place.clone())).contains("hush"));
    }

    #[test]
    fn the_files_of_aws_are_read_as_its_tools_read_them() {
        let text = "# mine\n[default]\naws_access_key_id = A\n\n[profile  work]\nregion=r\ns3 =\n  \
                    endpoint_url = nested\n; other\n";
        let profiles = parse_profiles(text);
        assert_eq!(profiles["default"]["aws_access_key_id"], "A");
        assert_eq!(profiles["profile work"]["region"], "r");
        assert!(!profiles["profile work"].contains_key("endpoint_url"));
    }
}
