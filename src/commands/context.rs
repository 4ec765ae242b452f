//! What a command needs to run: the settings, the terminal, the backend.

use std::path::PathBuf;

use super::print::{PrintError, finish, finish_write};
use crate::backend::Backend;
use crate::cli::{GlobalArgs, PrintArgs};
use crate::clock;
use crate::config::{Config, Flags, Source};
use crate::error::{Code, Error};
use crate::logging;
use crate::output::pager::{Screen, Start};
use crate::output::{Format, Style, TerminalInfo, Zone};
use crate::runtime;
use crate::store::Purpose;

#[derive(Clone)]
pub(super) struct Context {
    pub config: Config,
    pub terminal: TerminalInfo,
    /// The working directory, where relative paths in arguments start.
    pub directory: PathBuf,
    global: GlobalArgs,
    /// Whether errors are printed as JSON.
    json: bool,
}

impl Context {
    /// Reads the settings, of which `flags` override some.
    pub(super) fn new(global: GlobalArgs, flags: Flags, json: bool) -> Result<Self, Error> {
        let source = Source::read();
        let terminal = TerminalInfo::gather(|name| source.terminal(name));
        let directory = source.directory();
        Ok(Self { config: Config::new(flags, source)?, terminal, directory, global, json })
    }

    /// The same with other settings.
    pub(super) fn with_config(&self, config: Config) -> Self {
        Self { config, ..self.clone() }
    }

    /// How to print, in the requested format if there is one.
    pub(super) fn style(&self, format: Option<Format>) -> Style {
        let zone = if self.global.utc { Zone::UTC } else { Zone::Local };
        let shows_times =
            format.map_or(self.terminal.stdout_is_terminal, |format| format == Format::Table);
        if zone == Zone::Local && shows_times {
            self.terminal.warn_of_unknown_zone();
        }
        let style = self.terminal.style(format, self.global.color, zone, clock::now());
        Style { target: self.config.target(), ..style }
    }

    pub(super) async fn backend(&self, purpose: Purpose) -> Result<Backend, Error> {
        Backend::open(&self.config, purpose).await
    }

    /// Opens the database so that the search index and the sums of messages can be brought up to date; if
    /// it cannot be changed, only to read.
    pub(super) async fn backend_to_catch_up(&self) -> Result<Backend, Error> {
        match self.backend(Purpose::Change).await {
            Err(error) if error.code() == Code::DatabaseNotReady => {
                self.backend(Purpose::Read).await.map_err(|_| error)
            }
            opened => opened,
        }
    }

    /// Runs a command's work on this thread, with the log of a command.
    pub(super) fn block_on(
        &self,
        work: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        logging::start_command(self.config.log()?.as_deref(), self.json)?;
        runtime::for_command()?.block_on(work)
    }

    /// Runs a command that reads conversations and prints them, in a pager if they are longer than
    /// the screen.
    pub(super) fn print(
        &self,
        args: &PrintArgs,
        start: Start,
        command: impl AsyncFnOnce(&Backend, &mut Screen, &Style) -> Result<(), PrintError>,
    ) -> Result<(), Error> {
        self.print_from(async || self.backend(Purpose::Read).await, args, start, command)
    }

    /// The same from a backend that is opened otherwise.
    pub(super) fn print_from(
        &self,
        open: impl AsyncFnOnce() -> Result<Backend, Error>,
        args: &PrintArgs,
        start: Start,
        command: impl AsyncFnOnce(&Backend, &mut Screen, &Style) -> Result<(), PrintError>,
    ) -> Result<(), Error> {
        let style = self.style(args.format());
        let pager = self.terminal.pager(&style).filter(|_| !args.no_pager);
        self.block_on(async {
            let backend = open().await?;
            let mut screen = Screen::new(pager, start);
            let printed = command(&backend, &mut screen, &style).await;
            // Not open any longer than needed: a person may read in the pager for hours.
            backend.close().await;
            let closed = finish_write(screen.close());
            finish(printed).and(closed)
        })
    }
}
