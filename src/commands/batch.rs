//! `convo batch`: one text to many, each once, at a pace that Telnyx allows.

mod args;
mod checked;
mod hours;
mod outcome;
mod pace;
mod recipients;
mod report;
mod results;
mod rows;
mod run;
mod source;
mod summary;
mod template;
mod wait;

use std::collections::{BTreeSet, HashSet};
use std::io::{self, BufRead, Write};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::print::finish_write;
use super::signals;
use crate::backend::Backend;
use crate::domain::{BatchId, BatchInfo, BatchRecord, Fingerprint, PhoneNumber};
use crate::error::{Code, Error};
use crate::output::{Style, json, rows as table, send};
use crate::stdio;
use crate::store::Purpose;
pub(super) use args::BatchArgs;
use checked::{CheckedRow, RowPiece};
use outcome::RowOutcome;
use pace::{LanePacer, Rate};
use recipients::Recipients;
use report::Report;
use results::ResultDraft;
use rows::{RowPlan, RowReader};
use run::Run;
use source::BatchSource;
use summary::BatchSummary;
use template::Template;

/// How long `--wait` waits by default.
const WAIT: Duration = Duration::from_secs(60);

impl BatchArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        self.check_arguments(context)?;
        let template = self.text.as_deref().map(Template::parse).transpose()?;
        let id = self.id.as_deref().map(BatchId::parse).transpose()?;
        let from = self.from.as_deref().map(PhoneNumber::parse_sender).transpose()?;
        if !self.dry_run {
            super::send::check_settings(&context.config)?;
        }
        let text = self.text.as_deref().unwrap_or_default();
        let source = BatchSource::open(&self.file, &context.directory, text)?;
        let plan = RowPlan {
            id: id.unwrap_or_else(|| BatchId::of_content(source.content)),
            template,
            from: from.map(|from| from.to_string()),
            despite_send_limit: self.despite_send_limit,
        };
        let style = context.style(self.json.format());
        let purpose = if self.dry_run { Purpose::Read } else { Purpose::Write };
        context.block_on(async {
            let backend = context.backend(purpose).await?;
            let batch = OpenBatch { args: self, source, plan, style: &style, context };
            let ended = batch.run(&backend).await;
            if let (Some(path), true) = (backend.created_file(), ended.is_ok()) {
                // Perhaps another one was meant.
                say(&format!("{}\n", send::new_database(path)));
            }
            backend.close().await;
            ended
        })
    }
}

/// A row of a dry run.
#[derive(Serialize)]
struct PlannedRow<'a> {
    row: u64,
    key: &'a str,
    to: &'a str,
    state: &'static str,
    encoding: String,
    segments: u32,
}

/// A batch whose file is there and whose database is open.
struct OpenBatch<'a> {
    args: &'a BatchArgs,
    source: BatchSource,
    plan: RowPlan,
    style: &'a Style,
    context: &'a Context,
}

/// What a check has found out.
#[derive(Default)]
struct CheckFound {
    summary: BatchSummary,
    /// The rows that are to be sent, by their places.
    left: HashSet<Fingerprint>,
    /// Our numbers.
    numbers: Vec<PhoneNumber>,
    /// The numbers that the rows to be sent go out from, as far as that is known now.
    senders: BTreeSet<PhoneNumber>,
    batch: Option<BatchInfo>,
}

impl OpenBatch<'_> {
    async fn run(&self, backend: &Backend) -> Result<(), Error> {
        let path = self.args.result_path(self.context).filter(|_| !self.args.dry_run);
        let mut draft = ResultDraft::create(path)?;
        let mut report = Report::new(self.style);
        report.prints = false;
        let mut recipients = Recipients::new(backend);
        let found = self.check(&mut recipients, &mut draft, &mut report).await?;
        let pacer = LanePacer::new(self.args.rate);
        let senders: Vec<_> = found.senders.iter().cloned().collect();
        say(&found.summary.text(self.plan.id.as_str(), &senders, &pacer));
        if self.args.dry_run {
            return Ok(());
        }
        if found.summary.to_send > 0 && !self.args.yes && !is_sure(found.summary.to_send) {
            say("nothing was sent\n");
            return Ok(());
        }
        self.record(backend, &found, false).await?;
        report.prints = !self.args.wait;
        for row in draft.rows()? {
            report.print(&wait::readable(row)?);
        }
        report.file = draft.publish()?;
        self.send(recipients, found, pacer, report).await
    }

    /// Reads the whole file, and asks about every row.
    async fn check(
        &self,
        recipients: &mut Recipients<'_>,
        draft: &mut ResultDraft,
        report: &mut Report<'_>,
    ) -> Result<CheckFound, Error> {
        let mut reader = RowReader::new(&self.source, &self.plan)?;
        let mut found = CheckFound::default();
        while let Some(piece) = RowPiece::read(&mut reader, recipients, |_| true).await? {
            found.summary.add_bad(piece.bad);
            let (rows, check) =
                checked::check(&piece.rows, &self.plan.id, recipients.backend).await?;
            self.refuse_finished(check.batch.as_ref())?;
            found.numbers = check.numbers;
            found.batch = check.batch;
            found.summary.cost = check.cost;
            for checked in rows {
                let settled = RowOutcome::settled(&checked);
                found.summary.add(&checked, settled.as_ref());
                if self.args.dry_run {
                    self.print_planned(&checked)?;
                }
                match settled {
                    None => found.add(&checked),
                    Some(outcome) => {
                        draft.add(&outcome)?;
                        report.add(&outcome)?;
                    }
                }
            }
        }
        if let Some((lines, error)) = found.summary.objection() {
            say(&lines);
            return Err(error);
        }
        if found.summary.rows == 0 {
            return Err(Error::invalid("the file has no rows"));
        }
        if found.summary.to_send > 0 && found.senders.is_empty() {
            return Err(Error::new(Code::NotConfigured, "TELNYX_PHONE_NUMBER is not set")
                .hint("set it to the number that messages are sent from, or use --from"));
        }
        Ok(found)
    }

    fn refuse_finished(&self, batch: Option<&BatchInfo>) -> Result<(), Error> {
        let same = batch.filter(|batch| batch.content == self.source.content);
        let Some((batch, at)) = same.and_then(|batch| Some((batch, batch.finished_at?))) else {
            return Ok(());
        };
        let at = at.to_utc().format("%-d %b %Y, %H:%M UTC");
        let what = format!("this batch was finished on {at}; its --id is {}", batch.id);
        Err(Error::invalid(what).hint(
            "to send it once more, give another --id; a changed file sends what is new in it",
        ))
    }

    fn print_planned(&self, checked: &CheckedRow) -> Result<(), Error> {
        let CheckedRow { row, known } = checked;
        let planned = PlannedRow {
            row: row.line,
            key: &row.key,
            to: row.draft.to().as_str(),
            state: known.as_ref().map_or("double", |known| known.state.as_str()),
            encoding: row.draft.size().encoding.to_string(),
            segments: row.draft.size().segments,
        };
        let mut out = stdio::stdout();
        let written = match self.style.format.is_json() {
            true => json::write_line(&mut out, &planned),
            false => table::lines(
                &mut out,
                std::iter::once([
                    planned.row.to_string(),
                    planned.key.to_owned(),
                    planned.to.to_owned(),
                    planned.state.to_owned(),
                    planned.encoding,
                    planned.segments.to_string(),
                ]),
            ),
        };
        finish_write(written.and_then(|()| out.flush()))
    }

    async fn send(
        &self,
        recipients: Recipients<'_>,
        found: CheckFound,
        pacer: LanePacer,
        mut report: Report<'_>,
    ) -> Result<(), Error> {
        let backend = recipients.backend;
        let stop = stop_at_signal(backend.interrupt());
        let (to_send, decided) = (found.summary.to_send, report.decided());
        let rates = found.senders.iter().map(|number| pacer.rate_of(number));
        report.show_bar(to_send, Rate::sum(rates));
        let record = self.finished(&found);
        let mut reader = RowReader::new(&self.source, &self.plan)?;
        let mut run = Run {
            id: &self.plan.id,
            numbers: found.numbers,
            recipients,
            left: found.left,
            pacer,
            hours: self.args.between,
            is_utc: self.style.zone == crate::output::Zone::UTC,
            limit: self.args.limit.unwrap_or(u64::MAX),
            report,
            stop: stop.clone(),
            hold_until: Instant::now(),
            failure: None,
        };
        let sent = run.run(&mut reader).await;
        let Run { mut report, failure, .. } = run;
        report.hide_bar();
        sent?;
        let left = to_send.saturating_sub(report.decided() - decided);
        if left == 0 {
            backend.record_batch(&self.plan.id, &record).await?;
        }
        if self.args.wait
            && let Some(file) = report.file.take()
        {
            let timeout = self.args.timeout.unwrap_or(WAIT);
            report.file = Some(wait::wait(file, &mut report, backend, timeout, &stop).await?);
        }
        say(&format!("{}\n", report.sentence()));
        let interrupted = (stop.is_cancelled() && left > 0).then(interrupted);
        let ended = report::ended(&report, failure.or(interrupted), left);
        let go_on = format!("to go on: {}", self.args.command(&self.plan.id));
        if left > 0 && ended.is_ok() {
            let left = format!("{left} rows are left; {go_on}\n");
            say(&self.style.target.add_to(&left));
        }
        report.written()?;
        ended.map_err(|error| if left > 0 { error.hint(go_on) } else { error })
    }

    /// Records that sending begins.
    async fn record(
        &self,
        backend: &Backend,
        found: &CheckFound,
        finished: bool,
    ) -> Result<(), Error> {
        let record = BatchRecord { finished, ..self.finished(found) };
        backend.record_batch(&self.plan.id, &record).await.map(drop)
    }

    fn finished(&self, found: &CheckFound) -> BatchRecord {
        BatchRecord { content: self.source.content, rows: found.summary.rows, finished: true }
    }
}

impl CheckFound {
    /// Adds a row that is to be sent.
    fn add(&mut self, checked: &CheckedRow) {
        self.left.insert(checked.row.place);
        let sticky = checked.known.as_ref().and_then(|known| known.from.as_ref());
        match checked.row.draft.from().or(sticky) {
            Some(sender) => drop(self.senders.insert(sender.clone())),
            None => self.senders.extend(self.numbers.iter().cloned()),
        }
    }
}

/// At the first signal, what was begun ends; at the second, it is interrupted.
fn stop_at_signal(interrupt: CancellationToken) -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        signals::requested().await;
        stopped.cancel();
        signals::requested().await;
        interrupt.cancel();
    });
    stop
}

fn interrupted() -> Error {
    Error::new(Code::SendsStopped, "it was interrupted")
}

fn say(text: &str) {
    // A closed standard error is ignored.
    let _ = stdio::stderr().write_all(text.as_bytes());
}

/// Whether the person at the terminal says yes.
fn is_sure(texts: u64) -> bool {
    let noun = if texts == 1 { "text" } else { "texts" };
    say(&format!("Send {texts} {noun}? [y/N] "));
    let mut typed = String::new();
    let read = io::stdin().lock().read_line(&mut typed);
    let typed = typed.trim();
    read.is_ok() && (typed.eq_ignore_ascii_case("y") || typed.eq_ignore_ascii_case("yes"))
}

/// The name of a column as it is compared: letter case and blanks around it do not matter.
fn column_name(name: &str) -> String {
    name.trim().to_lowercase()
}
