//! Posting an event to a server on this machine, signed with a key for development.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::workbench::development_key;
use crate::cli::{DatabaseArgs, JsonArgs, LocalArgs};
use crate::client::{PostedWebhook, post_webhook};
use crate::clock;
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::config::{Config, Flags};
use crate::error::{Code, Error};
use crate::net::is_loopback_host;
use crate::output::{Format, escape, json};
use crate::sandbox::SigningKey;
use crate::stdio;
use crate::telnyx::event::Event;
use crate::telnyx::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// The longest part of a receiver's answer that is shown.
const LONGEST_SHOWN: usize = 200;

/// Where an event is posted, and with which signature.
#[derive(Args, Clone, Debug)]
pub(super) struct PostArgs {
    /// Post to this URL on this machine [default: convo's webhook, where CONVO_LISTEN says]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = local_url)]
    to: Option<Url>,
    /// Sign with the key in this file [default: sandbox.key, which the sandbox leaves]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    local: LocalArgs,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct PostedEvent<'a> {
    event_id: Option<&'a str>,
    event_type: &'a str,
    url: &'a str,
    status_code: u16,
    /// The answer, if it is JSON.
    answer: Option<Value>,
}

/// Parses the argument of `--to`.
fn local_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or("write it like http://127.0.0.1:8000/webhook")?;
    if !url.host().is_some_and(|host| is_loopback_host(&host)) {
        return Err("made-up events go to this machine only: localhost or 127.0.0.1".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave out the user name and the password".to_owned());
    }
    Ok(url)
}

impl PostArgs {
    pub(super) fn flags(&self) -> Flags {
        Flags { local: self.local.local, ..self.database.flags() }
    }

    /// The key that signs.
    pub(super) fn key(&self, context: &Context) -> Result<SigningKey, Error> {
        development_key(self.key_file.as_deref(), context)
    }

    /// Where to post.
    ///
    /// # Errors
    /// `not_configured` if the server is not to be reached on a loopback address.
    pub(super) fn url(&self, config: &Config) -> Result<Url, Error> {
        if let Some(url) = &self.to {
            return Ok(url.clone());
        }
        let listen = config.listen()?;
        let (host, port) = listen.rsplit_once(':').unwrap_or((&listen, "5000"));
        let host = match host {
            "0.0.0.0" | "" | "*" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        };
        local_url(&format!("http://{host}:{port}/webhooks/sms")).map_err(|_| {
            let what = format!("the server listens on {listen}, which is not a loopback address");
            Error::new(Code::NotConfigured, what).hint("name the URL with --to")
        })
    }

    /// Posts an event and prints the answer.
    ///
    /// # Errors
    /// There is no answer, or it is not 2xx.
    pub(super) async fn post(
        &self,
        body: Vec<u8>,
        url: &Url,
        key: &SigningKey,
    ) -> Result<(), Error> {
        let event = Event::parse(&body)
            .map_err(|error| Error::invalid(error.to_string()).hint("nothing was posted"))?;
        let posted = post_webhook(url, signed_headers(key, &body), body).await?;
        let answer: Option<Value> = serde_json::from_slice(&posted.body).ok();
        let word = answer.as_ref().and_then(|answer| answer.get("status")?.as_str());
        let word = word.filter(|_| posted.status.is_success());
        let word = word.map_or_else(|| posted.status.as_u16().to_string(), str::to_owned);
        let mut out = stdout();
        if self.json.format() == Some(Format::Json) {
            let result = PostedEvent {
                event_id: event.id.as_deref(),
                event_type: &event.event_type,
                url: url.as_str(),
                status_code: posted.status.as_u16(),
                answer,
            };
            finish_write(json::write_line(&mut out, &result).and_then(|()| out.flush()))?;
        } else {
            let line = writeln!(out, "{}", escape::field(&word)).and_then(|()| out.flush());
            finish_write(line)?;
            let id = event.id.unwrap_or_default();
            let told = format!("{} {id}: posted to {url}", event.event_type);
            let _ = writeln!(stdio::stderr(), "{}", escape::line(&told));
        }
        verdict(&posted, url, key)
    }
}

/// The two headers of a body that is signed now.
pub(super) fn signed_headers(key: &SigningKey, body: &[u8]) -> [(&'static str, String); 2] {
    let seconds = clock::now().as_micros().div_euclid(1_000_000);
    [(TIMESTAMP_HEADER, seconds.to_string()), (SIGNATURE_HEADER, key.sign(seconds, body))]
}

fn verdict(posted: &PostedWebhook, url: &Url, key: &SigningKey) -> Result<(), Error> {
    let status = posted.status;
    if status.is_success() {
        return Ok(());
    }
    let text: String =
        String::from_utf8_lossy(&posted.body).trim().chars().take(LONGEST_SHOWN).collect();
    let colon = if text.is_empty() { "" } else { ": " };
    let what = format!("{url} answered {}{colon}{text}", status.as_u16());
    if status.is_server_error() {
        return Err(Error::new(Code::ServerUnreachable, what)
            .hint("the event can be posted again: `convo webhook resend`"));
    }
    let error = Error::new(Code::ForwardRefused, what);
    Err(match status.as_u16() {
        401 | 403 => error.hint(format!(
            "a server believes this key with TELNYX_PUBLIC_KEY={}",
            key.public_key()
        )),
        300..=399 => error.hint("redirects are not followed; name the final URL with --to"),
        _ => error.hint("a receiver must answer 2xx"),
    })
}
