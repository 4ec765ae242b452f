//! `convo doctor`: checks everything that a text passes on its way, and says how to mend what is wrong.

mod account;
mod checks;
mod database;
mod endpoint;
mod events;
mod finding;
mod server;
mod settings;
mod unit;

use std::io::{self, Write};

use clap::Args;

use super::context::Context;
use super::print::{finish_write, stdout};
use crate::cli::{BackendArgs, Group, HelpText, JsonArgs};
use crate::error::{Code, Error};
use crate::output::doctor::{FindingRow, table};
use crate::output::{Format, Style, json, rows};
use finding::{Finding, FindingVerdict};

pub(super) use endpoint::{is_public, shown, webhook_path};

/// Check settings, database, Telnyx and server, and say how to mend what is wrong
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    json: JsonArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo doctor
  convo doctor --sandbox
  convo doctor --json | jq -r '.[] | select(.verdict == \"failure\") | .mend'",
    description: "\
Checks, in this order: the settings, and where they come from; the database: whether it can be reached, \
its schema, whether commits are durable, a quick check for damage, free disk space, and file \
permissions; whether Telnyx accepts the API key; whether your numbers exist, can send and receive, and \
are on a messaging profile; the profile's webhook URL and API version; the public key; this machine's \
clock against Telnyx's; the last event and the last sync; forwarding; the server; and the systemd unit.

Whether the webhook URL leads to a server on this database is asked through that URL itself, so that \
tunnel, proxy and path are tested as Telnyx uses them. Only someone who can read the database can ask this, and \
only a server on the same database can answer it.

Nothing is changed, and nothing is sent to a phone. With a server given by --server or CONVO_SERVER, \
only the settings and that server are checked; run it on the server's machine for the rest.",
    output: "\
One check per line, its fields separated by TAB:

  check  verdict  seen  mend

verdict is ok, warning, failure or skipped. With --json, an array of objects with these fields, and \
with code where a check failed.

The exit code is 0 if no check failed; 4 if something has to be mended; 5 if something could not be \
reached; and 6 for anything else, such as damage or a refusal by Telnyx. Of several, 6 comes before 4, \
and 4 before 5.",
};

impl DoctorArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        context.block_on(examine(context, &style))
    }
}

/// Runs every check, prints the findings, and fails by the worst.
pub(super) async fn examine(context: &Context, style: &Style) -> Result<(), Error> {
    let findings = checks::all(&context.config, style).await;
    let mut out = stdout();
    finish_write(print(&mut out, &findings, style).and_then(|()| out.flush()))?;
    conclude(&findings)
}

fn print(out: &mut impl Write, findings: &[Finding], style: &Style) -> io::Result<()> {
    match style.format {
        Format::Json => {
            let mut array = json::Array::default();
            findings.iter().try_for_each(|finding| array.element(out, finding))?;
            array.finish(out)?;
            out.write_all(b"\n")
        }
        Format::Table => {
            let rows: Vec<_> = findings.iter().map(Finding::row).collect();
            table(out, &rows, style)
        }
        _ => {
            let row = |finding: &Finding| {
                let FindingRow { check, verdict, seen, mend, .. } = finding.row();
                [check, verdict, seen, mend].map(str::to_owned)
            };
            rows::lines(out, findings.iter().map(row))
        }
    }
}

/// The exit code by the worst finding.
fn conclude(findings: &[Finding]) -> Result<(), Error> {
    let failed: Vec<_> =
        findings.iter().filter(|finding| finding.verdict == FindingVerdict::Failure).collect();
    let rank = |exit: u8| match exit {
        4 => 1,
        5 => 0,
        _ => 2,
    };
    let codes = failed.iter().map(|finding| finding.code.unwrap_or(Code::CheckFailed));
    let Some(worst) = codes.max_by_key(|code| rank(code.exit_code())) else { return Ok(()) };
    let code = if matches!(worst.exit_code(), 4..=6) { worst } else { Code::CheckFailed };
    let names: Vec<_> = failed.iter().map(|finding| finding.check).collect();
    let what = match names.len() {
        1 => format!("a check failed: {}", names.concat()),
        count => format!("{count} checks failed: {}", names.join(", ")),
    };
    Err(Error::new(code, what).hint("each says above how to mend it; then run convo doctor again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(codes: &[Option<Code>]) -> u8 {
        let finding = |code: &Option<Code>| match code {
            Some(code) => Finding::failure("check", *code, "broken", "mend it"),
            None => Finding::warning("check", "odd", "look at it"),
        };
        let findings: Vec<_> = codes.iter().map(finding).collect();
        conclude(&findings).map_or_else(|error| error.exit_code(), |()| 0)
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let (mend, away) = (Some(Code::NotConfigured), Some(Code::TelnyxUnreachable));
        let (refused, odd) = (Some(Code::TelnyxRefused), Some(Code::InvalidRequest));
        assert_eq!(exit(&[]), 0);
        assert_eq!(exit(&[None, None]), 0);
        assert_eq!(exit(&[away, None]), 5);
        assert_eq!(exit(&[away, mend]), 4);
        assert_eq!(exit(&[mend, refused, away]), 6);
        assert_eq!(exit(&[mend, odd]), 6);
        assert_eq!(exit(&[Some(Code::DatabaseDamaged), mend]), 6);
    }
}
