//! `convo media`: the media files of a message: listing them, writing them to files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::ValueHint;
use serde::Serialize;
use uuid::Uuid;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::backend::media::{MediaBackend, OpenMedium};
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs};
use crate::domain::media::{file_name, medium_not_found};
use crate::domain::{Media, MediaState, Message};
use crate::error::{Code, Error};
use crate::output::{Format, Style, json, rows};

/// List and save the media files of a message
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct MediaArgs {
    /// The message's id
    #[arg(value_parser = cli::message_id)]
    message: Uuid,
    /// Only this file of the message, counted from 1
    #[arg(value_name = "N", value_parser = number)]
    number: Option<usize>,
    /// Write to this file, into this directory, or with - to standard output
    #[arg(long, value_name = "FILE|DIR|-", value_hint = ValueHint::AnyPath, conflicts_with = "json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo media 0190a1b2-c3d4-7000-8000-5e6f70819203
  convo media 0190a1b2-c3d4-7000-8000-5e6f70819203 1 --out photo.jpg
  convo media 0190a1b2-c3d4-7000-8000-5e6f70819203 --out ~/pictures/
  convo media 0190a1b2-c3d4-7000-8000-5e6f70819203 | wc -c",
    description: "\
convo serve fetches the media of inbound messages and keeps them where CONVO_MEDIA says. The state of \
each is waiting (not fetched yet), kept, too_large (larger than CONVO_MEDIA_MAX), refused (its link \
leads to an address that is not public) or gone (its link expired, or it is no longer kept).

On a terminal, the files are listed. In a pipe, the content of the only file is written, or of file N. \
--out writes it to a file, which is replaced; or all files of the message into an existing directory.",
    output: "\
The content, byte for byte. With a directory, the path of each file that was written, one a line. With \
--json, a list of objects as in the REST API. The exit code is 3 if a file is not kept, 5 if it has not \
been fetched yet.",
};

/// A file in the list.
#[derive(Serialize)]
struct ListedMedium<'a> {
    number: usize,
    #[serde(flatten)]
    medium: &'a Media,
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "count files from 1".to_owned())
}

impl MediaArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        context.block_on(async {
            let backend = MediaBackend::open(&context.config).await?;
            let ended = self.act(&backend, context, &style).await;
            backend.close().await;
            ended
        })
    }

    async fn act(
        &self,
        backend: &MediaBackend,
        context: &Context,
        style: &Style,
    ) -> Result<(), Error> {
        let message = backend.message(self.message).await?;
        let wanted = self.wanted(&message)?;
        let is_dash = self.out.as_deref() == Some(Path::new("-"));
        match &self.out {
            None if self.json.json || context.terminal.stdout_is_terminal => {
                finish_write(list(&mut stdout(), &message, &wanted, style))
            }
            Some(path) if !is_dash && is_directory(path) => {
                let mut paths = Vec::new();
                for number in wanted {
                    paths.push(save_into(path, backend, self.message, number).await?);
                }
                finish_write(print_paths(&paths))
            }
            Some(path) if !is_dash => {
                let medium = backend.medium(self.message, only(&wanted)?).await?;
                save(path, medium).await
            }
            _ => copy_out(backend.medium(self.message, only(&wanted)?).await?).await,
        }
    }

    /// The numbers of the files that are meant.
    fn wanted(&self, message: &Message) -> Result<Vec<usize>, Error> {
        let count = message.media.len();
        match self.number {
            Some(number) if number > count => Err(medium_not_found(number)),
            Some(number) => Ok(vec![number]),
            None if count == 0 => {
                Err(Error::new(Code::MediaNotFound, "the message has no media files"))
            }
            None => Ok((1..=count).collect()),
        }
    }
}

fn only(wanted: &[usize]) -> Result<usize, Error> {
    match wanted {
        [number] => Ok(*number),
        _ => Err(Error::invalid(format!("the message has {} media files", wanted.len())).hint(
            "add the number of the one you want, or write them into a directory with --out DIR",
        )),
    }
}

/// Whether a path is meant as a directory.
fn is_directory(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn list(
    out: &mut impl Write,
    message: &Message,
    wanted: &[usize],
    style: &Style,
) -> io::Result<()> {
    let listed = wanted.iter().filter_map(|number| {
        Some(ListedMedium { number: *number, medium: message.media.get(number - 1)? })
    });
    let listed: Vec<_> = listed.collect();
    if style.format == Format::Json {
        json::write(out, &listed)?;
    } else {
        let rows: Vec<_> = listed.iter().map(row).collect();
        rows::table(out, ["N", "STATE", "TYPE", "BYTES", "URL"], &rows, style)?;
    }
    out.flush()
}

fn row(listed: &ListedMedium<'_>) -> [String; 5] {
    let ListedMedium { number, medium } = listed;
    [
        number.to_string(),
        medium.state.map_or("-", MediaState::as_str).to_owned(),
        medium.content_type.clone().unwrap_or_else(|| "-".to_owned()),
        medium.size.map_or_else(|| "-".to_owned(), |size| size.to_string()),
        medium.url.clone(),
    ]
}

fn print_paths(paths: &[PathBuf]) -> io::Result<()> {
    let mut out = stdout();
    for path in paths {
        out.write_all(path.as_os_str().as_encoded_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

async fn copy_out(mut medium: OpenMedium) -> Result<(), Error> {
    let mut out = stdout();
    while let Some(part) = medium.part().await? {
        if let Err(error) = out.write_all(&part) {
            return finish_write(Err(error));
        }
    }
    finish_write(out.flush())
}

/// Saves a file of a message into a directory, named by both.
pub(super) async fn save_into(
    directory: &Path,
    backend: &MediaBackend,
    message: Uuid,
    number: usize,
) -> Result<PathBuf, Error> {
    let medium = backend.medium(message, number).await?;
    let path = directory.join(file_name(message, number, &medium.content_type));
    save(&path, medium).await?;
    Ok(path)
}

/// Writes a file whole or not at all, readable by its owner alone.
async fn save(path: &Path, mut medium: OpenMedium) -> Result<(), Error> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let failed = |error: io::Error| {
        let what = format!("cannot write {}: {error}", path.display());
        Error::invalid(what)
            .hint("give --out a file or an existing directory that you may write to")
    };
    let mut file = create(&part).map_err(failed)?;
    let written = async {
        while let Some(part) = medium.part().await? {
            file.write_all(&part).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        fs::rename(&part, path).map_err(failed)
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
