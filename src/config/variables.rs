//! The environment variables that convo reads, with the meaning that the manual pages print.

use super::{DATABASE_FILE, LISTEN};
use crate::telnyx::BaseUrl;

/// An environment variable, which may also be set in a file of settings.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value where nothing sets it.
    pub default: Option<&'static str>,
    /// What it sets, in full sentences.
    pub meaning: &'static str,
    /// Whether a file may hold the value: `NAME_FILE` then is its path.
    pub is_secret: bool,
    /// What of its value may be shown.
    pub visibility: Visibility,
}

/// What of a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// All of it.
    Public,
    /// Everything but the password: it is a URL.
    WithoutPassword,
    /// Nothing.
    Hidden,
}

const fn setting(name: &'static str, meaning: &'static str) -> Variable {
    let visibility = Visibility::Public;
    Variable { name, default: None, meaning, is_secret: false, visibility }
}

const fn secret(name: &'static str, meaning: &'static str) -> Variable {
    Variable { is_secret: true, visibility: Visibility::Hidden, ..setting(name, meaning) }
}

impl Variable {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn url(self) -> Self {
        Self { visibility: Visibility::WithoutPassword, ..self }
    }

    const fn public(self) -> Self {
        Self { visibility: Visibility::Public, ..self }
    }
}

/// All variables. Anything else in a file of settings is ignored.
pub const VARIABLES: &[Variable] = &[
    secret("TELNYX_API_KEY", "The API key for Telnyx. Required to send."),
    secret(
        "TELNYX_PUBLIC_KEY",
        "The public key that verifies webhooks; several, separated by commas, during a key rotation. \
         Required to receive.",
    ).public(),
    setting(
        "TELNYX_PHONE_NUMBER",
        "Your numbers, separated by commas. The first one is the default sender.",
    ),
    setting(
        "TELNYX_BASE_URL",
        "The URL of another Telnyx API, such as a simulated one: https, or http on this machine.",
    ).or(BaseUrl::TELNYX).url(),
    secret(
        "DATABASE_URL",
        "The database: sqlite:///PATH or postgresql://USER@HOST/NAME. By default \
         sqlite:///conversations.db, which is in the working directory.",
    ).or(DATABASE_FILE).url(),
    setting("CONVO_LISTEN", "The address on which convo serve listens. By default 127.0.0.1:5000.").or(LISTEN),
    setting("CONVO_SERVER", "The convo server to ask instead of opening the database.").url(),
    secret(
        "CONVO_API_TOKEN",
        "The token for the REST API. A server accepts several, separated by commas; a client uses the \
         first.",
    ),
    secret(
        "CONVO_FORWARD_URL",
        "The URL to which convo serve posts every event; several as NAME=URL, separated by spaces: https, \
         or http on this machine.",
    ),
    secret(
        "CONVO_FORWARD_SECRET",
        "The secret that signs forwarded events, as in Standard Webhooks: whsec_ and base64. Several, \
         separated by commas, during a rotation. NAME=SECRET is for one name.",
    ),
    setting(
        "CONVO_FORWARD_FILTER",
        "Which events to forward, as in the query of /events, such as kind=message&direction=inbound. \
         NAME:FILTER is for one name.",
    ),
    setting(
        "CONVO_MEDIA",
        "Where convo serve keeps the media of inbound messages: a directory, s3://BUCKET/PREFIX, or off. By \
         default a directory beside an SQLite file, its name with -media; with PostgreSQL off.",
    ),
    setting(
        "CONVO_MEDIA_MAX",
        "The size of the largest media file that is kept: up to 64MiB. By default 10MiB.",
    ).or("10MiB"),
    setting(
        "CONVO_LOG",
        "The log filter: error, warn, info, debug or trace. By default info for servers.",
    ),
    setting("CONVO_SEND_TIMEOUT", "The seconds a send may take: 1 to 30. By default 30.").or("30"),
    setting(
        "CONVO_TAG",
        "Whether messages are tagged with their id, so that delivery reports can be matched to them: on \
         (the default) or off.",
    ).or("on"),
    setting(
        "CONVO_SETTLE_WINDOW",
        "How old, in seconds, a message of unknown outcome may be to be retried automatically. By \
         default 600; 0 turns this off.",
    ).or("600"),
    setting(
        "CONVO_REPLY_LIMIT",
        "How many automatic answers (in_reply_to) a contact may get within an hour: 0 to 1000. By \
         default 20; 0 refuses all.",
    ).or("20"),
    setting(
        "CONVO_SEND_LIMIT",
        "How many texts a contact may get within an hour: 0 to 100000, or off. By default 60; 0 refuses \
         all that do not say --despite-send-limit.",
    ).or("60"),
    setting(
        "CONVO_MAX_CONNECTIONS",
        "The number of requests that convo serve serves at the same time. By default 512; further ones \
         are answered 503.",
    ).or("512"),
    setting(
        "CONVO_MAX_STREAMS",
        "The number of clients that may follow the feed at the same time, over event streams or by \
         waiting for events. By default 1024; further ones are answered 503.",
    ).or("1024"),
    setting("CONVO_MAX_SENDS", "The number of messages sent at the same time. By default 64.").or("64"),
    setting("CONVO_MAX_BODY", "The size of the largest request body. By default 1MiB.").or("1MiB"),
    setting(
        "CONVO_QUEUE",
        "The number of webhooks that may wait to be committed. By default 1024.",
    ).or("1024"),
    setting(
        "CONVO_KEEP_FEED",
        "How long convo serve keeps the feed, so that a client can go on where it stopped: an age with \
         its unit, such as 12h, 90d or 2y, or forever. By default 30d.",
    ).or("30d"),
    setting(
        "CONVO_SYNC",
        "How often convo serve fetches from Telnyx what no webhook has brought: a time from 1m to 1d with \
         its unit, or off. By default 10m, and once at its start.",
    ).or("10m"),
    setting(
        "CONVO_KEEP_WEBHOOKS",
        "How long webhooks are kept as they came: an age with its unit, such as 90d or 2y, or forever. \
         By default 90d.",
    ).or("90d"),
    setting(
        "CONVO_KEEP_MESSAGES",
        "How long messages are kept: an age with its unit, such as 90d or 2y, or forever, the default.",
    ).or("forever"),
    setting(
        "CONVO_KEEP_MEDIA",
        "How long convo serve keeps media files: an age with its unit, such as 12h, 90d or 2y, or forever. By \
         default forever.",
    ).or("forever"),
    setting(
        "CONVO_REQUEST_TIMEOUT",
        "The seconds a request may take to arrive, and a client to accept the next part of a response. \
         By default 30.",
    ).or("30"),
    setting(
        "CONVO_WEBHOOK_TIMEOUT",
        "The seconds before a webhook that is not yet committed is answered with 503, so that Telnyx \
         redelivers it. By default 1.5.",
    ).or("1.5"),
    setting("CONVO_KEEP_ALIVE", "The seconds an idle connection stays open. By default 75.").or("75"),
    setting(
        "CONVO_START_TIMEOUT",
        "The seconds convo serve waits for PostgreSQL at startup. By default 60.",
    ).or("60"),
    setting(
        "CONVO_DRAIN",
        "The seconds convo serve keeps serving after SIGTERM, so that load balancers notice. By default \
         3.",
    ).or("3"),
    setting(
        "CONVO_SHUTDOWN_TIMEOUT",
        "The seconds a shutdown may take, including the drain. By default 10.",
    ).or("10"),
];

/// Whether a variable's value may be in a file.
pub(super) fn is_secret(name: &str) -> bool {
    VARIABLES.iter().any(|variable| variable.is_secret && variable.name == name)
}

/// Whether convo reads a variable of this name.
pub(super) fn is_ours(name: &str) -> bool {
    VARIABLES.iter().any(|variable| variable.name == name)
        || name.strip_suffix("_FILE").is_some_and(is_secret)
}
