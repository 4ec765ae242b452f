//! One run of the program: arguments and settings in, an exit code out.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::backend::Backend;
use crate::cli::{self, Cli, Command, GlobalArgs, PrintArgs, Refusal, RetryArgs, SendArgs};
use crate::client::Client;
use crate::clock;
use crate::commands::{
    self, copy, generate, list, migrate, openapi, retry, sandbox, send, serve, settle, show,
    signals,
};
use crate::complete;
use crate::config::{Config, Flags, Source};
use crate::error::Error;
use crate::logging;
use crate::output::pager::{Pager, Screen, Start};
use crate::output::{self, Facts, Format, Look, Zone};
use crate::store::Purpose;
use crate::systemd;
use crate::threading::no_api_key;

/// Runs one command line, the program's name first. Prints every failure once, on standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    match complete::answered(&args) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    }
    let cli = match cli::parse(args) {
        Ok(cli) => cli,
        Err(Refusal::Show(help)) => {
            let printed = commands::printed(help.print());
            return match (help.use_stderr(), printed) {
                (true, _) => ExitCode::from(2),
                (false, Ok(())) => ExitCode::SUCCESS,
                (false, Err(error)) => tell(&error, false),
            };
        }
        Err(Refusal::Usage { error, json }) => return tell(&error, json),
    };
    let json = cli.json_errors();
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(&error, json),
    }
}

fn tell(error: &Error, json: bool) -> ExitCode {
    // Standard error may be closed; then nobody is left to tell.
    let _ = output::error::print(&mut io::stderr().lock(), error, json);
    ExitCode::from(error.exit_code())
}

/// What a command finds when it starts.
struct Context {
    config: Config,
    facts: Facts,
    global: GlobalArgs,
    /// Where relative paths of arguments start.
    directory: PathBuf,
}

impl Context {
    fn new(global: GlobalArgs, flags: Flags) -> Result<Self, Error> {
        let source = Source::read()?;
        let facts = Facts::gather(|name| source.terminal(name));
        let flags = Flags { sandbox: global.sandbox, server: global.server.clone(), ..flags };
        let directory = source.directory();
        Ok(Self { config: Config::resolve(&flags, &source)?, facts, global, directory })
    }

    fn look(&self, asked: Option<Format>) -> Look {
        let zone = if self.global.utc { Zone::UTC } else { Zone::Local };
        let look = self.facts.look(asked, self.global.color, zone, clock::now());
        Look { sandbox: self.global.sandbox, ..look }
    }

    /// The pager for what is printed so, unless it is not wanted.
    fn pager(&self, args: &PrintArgs, look: &Look) -> Option<Pager> {
        self.facts.pager(look).filter(|_| !args.no_pager)
    }

    async fn backend(&self, purpose: Purpose) -> Result<Backend, Error> {
        backend(&self.config, purpose).await
    }
}

/// The threads, where the settings say they are.
pub(crate) async fn backend(config: &Config, purpose: Purpose) -> Result<Backend, Error> {
    match &config.server {
        Some(server) => {
            let token = config.api_tokens.first().map(|token| &token.secret);
            Client::new(server, token).map(Backend::Remote)
        }
        None => serve::open(config, purpose).await.map(Backend::Local),
    }
}

fn execute(cli: Cli) -> Result<(), Error> {
    let json = cli.json_errors();
    let global = cli.global;
    match cli.command {
        Command::Generate(args) => generate::run(&args.dir),
        Command::Openapi => openapi::run(&mut io::stdout()),
        Command::Serve(args) => {
            let context = Context::new(global, Flags { listen: args.listen, ..Flags::default() })?;
            let _log = logging::start_server(&context.config)?;
            let inherited = if context.config.has_sockets { systemd::inherited()? } else { None };
            let runtime = server_runtime()?;
            let ended = runtime.block_on(serve::run(context.config, inherited, &mut io::stdout()));
            // What still looks up a name somewhere must not hold up the end.
            runtime.shutdown_background();
            ended
        }
        Command::Sandbox(args) => {
            let context = Context::new(global, Flags::default())?;
            let _log = logging::start_server(&context.config)?;
            server_runtime()?.block_on(sandbox::run(args, &mut io::stdout()))
        }
        Command::Migrate => {
            let context = command(global, json)?;
            command_runtime()?.block_on(migrate::run(&context.config, &mut io::stderr()))
        }
        Command::Copy(args) => {
            let context = command(global, json)?;
            let (config, directory) = (&context.config, &context.directory);
            let (mut out, mut talk) = (stdout(), io::stderr());
            command_runtime()?.block_on(copy::run(&args, config, directory, &mut out, &mut talk))
        }
        Command::List(args) => {
            let context = command(global, json)?;
            let look = context.look(args.print.asked());
            let pager = context.pager(&args.print, &look);
            command_runtime()?.block_on(reading(&context, pager, Start::Top, async |from, to| {
                list::run(&args, from, to, &look).await
            }))
        }
        Command::Show(args) => {
            let context = command(global, json)?;
            let look = context.look(args.print.asked());
            let pager = context.pager(&args.print, &look);
            command_runtime()?.block_on(reading(&context, pager, Start::End, async |from, to| {
                show::run(&args, from, to, &look).await
            }))
        }
        Command::Send(args) => send(global, &args),
        Command::Retry(args) => retry(global, &args),
        Command::Settle => {
            let context = command(global, json)?;
            command_runtime()?.block_on(async {
                let threads = serve::open(&context.config, Purpose::Change).await?;
                let ended = settle::run(&threads, &mut stdout()).await;
                threads.close().await;
                ended
            })
        }
    }
}

/// Runs a command that reads threads and prints them for whoever looks.
async fn reading(
    context: &Context,
    pager: Option<Pager>,
    start: Start,
    command: impl AsyncFnOnce(&Backend, &mut Screen) -> Result<(), Error>,
) -> Result<(), Error> {
    let backend = context.backend(Purpose::Read).await?;
    let mut screen = Screen::new(pager, start);
    let ended = command(&backend, &mut screen).await;
    // Nobody's database stays open while a person reads.
    backend.close().await;
    let closed = commands::printed(screen.close());
    ended.and(closed)
}

fn send(global: GlobalArgs, args: &SendArgs) -> Result<(), Error> {
    let context = command(global, args.json)?;
    let look = context.look(args.json.then_some(Format::Json));
    // Standard input is read to its end before anything that must not wait.
    let request = send::request(args, io::stdin().lock(), &context.facts, look.now)?;
    let config = &context.config;
    if config.server.is_none() && !config.sandbox && !args.dry_run && config.api_key.is_none() {
        // Before a database is made for it.
        return Err(no_api_key());
    }
    let purpose = if args.dry_run { Purpose::Read } else { Purpose::Write };
    command_runtime()?.block_on(async {
        let backend = context.backend(purpose).await?;
        heed_interrupt(&backend);
        let (mut out, mut talk) = (stdout(), io::stderr());
        let ended = send::run(args, &request, &backend, &mut out, &mut talk, &look).await;
        backend.close().await;
        ended
    })
}

fn retry(global: GlobalArgs, args: &RetryArgs) -> Result<(), Error> {
    let context = command(global, args.json)?;
    let look = context.look(args.json.then_some(Format::Json));
    command_runtime()?.block_on(async {
        let backend = context.backend(Purpose::Change).await?;
        heed_interrupt(&backend);
        let ended = retry::run(args, &backend, &mut stdout(), &mut io::stderr(), &look).await;
        backend.close().await;
        ended
    })
}

/// Lets a person's Ctrl-C end what is being sent, not the program: the outcome is recorded.
fn heed_interrupt(backend: &Backend) {
    let interrupt = backend.interrupt();
    tokio::spawn(async move {
        signals::next().await;
        interrupt.cancel();
    });
}

fn command(global: GlobalArgs, json: bool) -> Result<Context, Error> {
    let context = Context::new(global, Flags::default())?;
    logging::start_command(&context.config, json)?;
    Ok(context)
}

/// Records are written in pieces; the terminal or pipe gets them in blocks.
fn stdout() -> impl Write {
    io::BufWriter::new(io::stdout())
}

/// A short command needs no threads of its own.
pub(crate) fn command_runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_all().build().map_err(|_| Error::internal())
}

fn server_runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread().enable_all().build().map_err(|_| Error::internal())
}
