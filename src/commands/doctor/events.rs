//! What comes in and goes on: the public key, the last event, and forwarding.

use super::checks::{Installation, NO_DATABASE};
use super::finding::Finding;
use crate::domain::{Forward, ForwardState};
use crate::error::{Code, Error};
use crate::telnyx::signature::Verifier;

const PUBLIC_KEY: &str = "public_key";
const LAST_EVENT: &str = "last_event";
const LAST_SYNC: &str = "last_sync";
const FORWARDING: &str = "forwarding";
/// How far forwarding may be behind before it is told, and before it counts as out of reach.
const ODD_LAG: u64 = 60;
/// After this many intervals without a sync, a warning is given.
const MISSED_SYNCS: u32 = 3;
const LONG_LAG: u64 = 900;

/// Whether the configured public keys are well-formed, and one of them verified the last webhooks of the
/// newest event's type.
pub(super) async fn public_key(installation: &Installation<'_>) -> Finding {
    let keys = &installation.public_keys;
    if keys.is_empty() {
        let seen = "TELNYX_PUBLIC_KEY is not set: every webhook is refused";
        let mend =
            "copy it from the Telnyx portal (Keys & Credentials, Public Key), or run convo setup";
        return Finding::failure(PUBLIC_KEY, Code::NotConfigured, seen, mend);
    }
    let verifier = match Verifier::new(keys) {
        Ok(verifier) => verifier,
        Err(error) => return Finding::from_error(PUBLIC_KEY, &error),
    };
    let Some(conversations) = installation.conversations() else {
        return Finding::skipped(PUBLIC_KEY, format!("well-formed; {NO_DATABASE}"));
    };
    let (event, verified) = match conversations.last_event().await {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Finding::ok(PUBLIC_KEY, "well-formed; no webhook has arrived to verify it yet");
        }
        Err(error) => return Finding::from_error(PUBLIC_KEY, &error),
    };
    let kind = &event.event_type;
    let Some(verified) = verified else {
        let seen =
            format!("well-formed; no server of this version has verified a {kind} webhook yet");
        return Finding::ok(PUBLIC_KEY, seen);
    };
    let ago = installation.ago(verified.at);
    if verifier.keys().contains(&verified.public_key) {
        return Finding::ok(PUBLIC_KEY, format!("verified {kind} webhooks, {ago}"));
    }
    let seen = format!("the server verified {kind} webhooks with another key ({ago})");
    let mend = format!(
        "set TELNYX_PUBLIC_KEY here as for the server, to {}; or restart the server if it was changed",
        verified.public_key
    );
    Finding::failure(PUBLIC_KEY, Code::NotConfigured, seen, mend)
}

/// The last event, the last sync, and forwarding.
pub(super) async fn check(installation: &Installation<'_>) -> Vec<Finding> {
    vec![
        last_event(installation).await,
        last_sync(installation).await,
        forwarding(installation).await,
    ]
}

async fn last_event(installation: &Installation<'_>) -> Finding {
    let Some(conversations) = installation.conversations() else {
        return Finding::skipped(LAST_EVENT, NO_DATABASE);
    };
    match conversations.last_event().await {
        Ok(Some((event, _))) => {
            let ago = installation.ago(event.received_at);
            Finding::ok(LAST_EVENT, format!("{}, {ago}", event.event_type))
        }
        Ok(None) => {
            Finding::ok(LAST_EVENT, "none yet: text one of your numbers to see one come in")
        }
        Err(error) => Finding::from_error(LAST_EVENT, &error),
    }
}

async fn last_sync(installation: &Installation<'_>) -> Finding {
    let Some(conversations) = installation.conversations() else {
        return Finding::skipped(LAST_SYNC, NO_DATABASE);
    };
    let interval = match installation.config.policy() {
        Ok(policy) => policy.sync,
        Err(error) => return Finding::from_error(LAST_SYNC, &error),
    };
    let read = async {
        let failure = conversations.store().sync_progress().await?;
        let failure = failure.into_iter().find_map(|source| source.failure);
        Ok::<_, Error>((conversations.last_sync().await?, failure))
    };
    let (last, failure) = match read.await {
        Ok(read) => read,
        Err(error) => return Finding::from_error(LAST_SYNC, &error),
    };
    let seen = match last {
        Some(at) => installation.ago(at),
        None => "none has been complete yet".to_owned(),
    };
    let mend = installation.style.target.add_to("run convo sync to see what is in its way");
    if let Some((why, _)) = failure {
        return Finding::warning(LAST_SYNC, format!("{seen}; then it failed: {why}"), mend);
    }
    let longest = interval.map(|interval| interval * MISSED_SYNCS);
    let is_late =
        last.zip(longest).is_some_and(|(at, longest)| installation.style.now > at.plus(longest));
    match is_late {
        true => {
            let mend = "check that convo serve runs, which syncs by itself; or run convo sync";
            Finding::warning(LAST_SYNC, seen, installation.style.target.add_to(mend))
        }
        false => Finding::ok(LAST_SYNC, seen),
    }
}

async fn forwarding(installation: &Installation<'_>) -> Finding {
    let Some(forwarder) = &installation.forwarder else {
        return Finding::skipped(FORWARDING, NO_DATABASE);
    };
    match forwarder.list().await {
        Ok(all) => judge(&all, installation),
        Err(error) => Finding::from_error(FORWARDING, &error),
    }
}

/// The worst of what is configured here. What is not is forwarded by nobody, or by another server.
fn judge(all: &[Forward], installation: &Installation<'_>) -> Finding {
    let all: Vec<_> = all.iter().filter(|forward| forward.url.is_some()).collect();
    if all.is_empty() {
        return Finding::ok(FORWARDING, "not configured");
    }
    let seen = |forward: &Forward| {
        let behind = match forward.events_behind {
            0 => "nothing behind".to_owned(),
            events => format!("{events} events and {} s behind", forward.seconds_behind),
        };
        let error = forward.last_error.as_ref().filter(|_| forward.state != ForwardState::Active);
        let error = error.map(|error| format!(", {error}")).unwrap_or_default();
        format!("{} is {}, {behind}{error}", forward.name, forward.state.as_str())
    };
    let lag = |forward: &&&Forward| forward.seconds_behind;
    let target = &installation.style.target;
    if let Some(paused) = all.iter().find(|forward| forward.state == ForwardState::Paused) {
        let mend = format!("correct the receiver, then run convo forward enable {}", paused.name);
        let mend = target.add_to(&mend);
        return Finding::failure(FORWARDING, Code::NotConfigured, seen(paused), mend);
    }
    let failing =
        all.iter().filter(|forward| forward.state == ForwardState::Failing).max_by_key(lag);
    if let Some(failing) = failing {
        let mend = target.add_to(&format!(
            "check the receiver; convo forward test {} asks it for one event",
            failing.name
        ));
        return match failing.seconds_behind {
            LONG_LAG.. => {
                Finding::failure(FORWARDING, Code::ServerUnreachable, seen(failing), mend)
            }
            _ => Finding::warning(FORWARDING, seen(failing), mend),
        };
    }
    if let Some(slow) = all.iter().max_by_key(lag).filter(|slow| slow.seconds_behind > ODD_LAG) {
        let mend = "check that convo serve runs, and that the receiver answers fast enough";
        return Finding::warning(FORWARDING, seen(slow), mend);
    }
    if let Some(gap) = all.iter().find(|forward| !forward.given_up.is_empty()) {
        let mend = target.add_to(&format!("convo forward replay {} delivers it again", gap.name));
        return Finding::warning(FORWARDING, format!("{} has given up events", gap.name), mend);
    }
    Finding::ok(FORWARDING, all.iter().map(|forward| seen(forward)).collect::<Vec<_>>().join("; "))
}
