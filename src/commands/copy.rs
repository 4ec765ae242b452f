//! `convo copy`: everything from one database into another.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;

use super::Stop;
use crate::cli::CopyArgs;
use crate::config::Config;
use crate::error::Error;
use crate::output::json;
use crate::store::Location;
use crate::store::copy::{self, Copied, Progress, Released, Stage};

/// How often the bar is drawn, times a second.
const FRAMES: u8 = 10;

/// Copies, or gives a copy up. The tables are told on `out`, once both databases are the same; one
/// line for people on `talk`.
///
/// # Errors
/// When one of the databases is not fit for it or fails, or both differ in the end.
pub async fn run(
    args: &CopyArgs,
    config: &Config,
    directory: &Path,
    out: &mut impl Write,
    talk: &mut impl Write,
) -> Result<(), Error> {
    let from = Location::parse(&args.from, directory)?;
    if args.release {
        let released = copy::release(&from).await?;
        let _ = writeln!(talk, "{}", told(&from, &released));
        return Ok(());
    }
    let to = match &args.to {
        Some(to) => Location::parse(to, directory)?,
        None => config.database.clone(),
    };
    let since = Instant::now();
    let bar = Bar::new(io::stderr().is_terminal());
    let copied = copy::copy(&from, &to, &mut |progress| bar.show(progress)).await;
    bar.clear();
    let tables = copied?;
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let summary = Summary { from: &from, to: &to, rows, seconds: since.elapsed(), tables: &tables };
    let printed = if args.json { json::write_line(out, &summary) } else { print(out, &tables) };
    super::settle(printed.and_then(|()| out.flush()).map_err(Stop::from))?;
    if !args.json {
        let _ = writeln!(
            talk,
            "copied {rows} rows in {:.1} s and compared them; {from} takes no more changes: \
             set DATABASE_URL to {to}",
            summary.seconds.as_secs_f64()
        );
    }
    Ok(())
}

/// What a program is told.
#[derive(Serialize)]
struct Summary<'a> {
    #[serde(serialize_with = "shown")]
    from: &'a Location,
    #[serde(serialize_with = "shown")]
    to: &'a Location,
    rows: u64,
    #[serde(serialize_with = "seconds")]
    seconds: Duration,
    tables: &'a [Copied],
}

/// Without a password.
fn shown<S: serde::Serializer>(location: &&Location, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(location)
}

fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((time.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

fn print(out: &mut impl Write, tables: &[Copied]) -> io::Result<()> {
    tables
        .iter()
        .try_for_each(|table| writeln!(out, "{}\t{}\t{}", table.table, table.rows, table.sha256))
}

fn told(location: &Location, released: &Released) -> String {
    match released {
        Released::NotHeld => format!("{location} was not held"),
        Released::Unfinished(other) => {
            format!(
                "{location} takes changes again; what is in {other} so far is to be thrown away"
            )
        }
        Released::Copied(other) => format!(
            "{location} takes changes again, as {other} does: from now on each has what the other \
             does not"
        ),
    }
}

/// A bar for a person, and nothing for anybody else.
struct Bar(ProgressBar);

impl Bar {
    fn new(is_watched: bool) -> Self {
        let target = match is_watched {
            true => ProgressDrawTarget::stderr_with_hz(FRAMES),
            false => ProgressDrawTarget::hidden(),
        };
        let template = "{msg} {wide_bar} {human_pos}/{human_len} rows, {rate}/s, {eta} left";
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
        };
        let style = ProgressStyle::with_template(template).map(|s| s.with_key("rate", rate));
        let bar = ProgressBar::with_draw_target(Some(0), target);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn show(&self, progress: Progress) {
        match progress {
            Progress::Begin(stage, rows) => {
                self.0.reset();
                self.0.set_length(rows);
                self.0.set_message(match stage {
                    Stage::Copy => "copying",
                    Stage::Verify => "comparing",
                });
            }
            Progress::Rows(rows) => self.0.inc(rows),
        }
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
