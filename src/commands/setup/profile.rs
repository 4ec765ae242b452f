//! The offer to point the number's messaging profile at the server.

use url::Url;

use super::questions::SetupAnswers;
use super::say;
use super::terminal::Prompt;
use crate::commands::doctor::{is_public, shown, webhook_path};
use crate::error::Error;
use crate::output::escape;
use crate::telnyx::BaseUrl;
use crate::telnyx::account::MessagingProfile;

/// Offers to set the webhook URL and the API version. A failure ends nothing: convo doctor tells the rest.
pub(super) async fn offer(answers: &SetupAnswers, prompt: &mut Prompt) -> Result<(), Error> {
    let Some(id) = &answers.number.profile_id else {
        say(
            "\nThe number is not assigned to a messaging profile: assign it to one in the Telnyx portal.",
        );
        return Ok(());
    };
    let profile = match answers.telnyx.profile(id).await {
        Ok(profile) => profile,
        Err(error) => {
            say(&format!("\nThe messaging profile cannot be read: {error}."));
            return Ok(());
        }
    };
    let present = address(&profile);
    say(&format!(
        "\nTelnyx posts what comes in to the webhook URL of the messaging profile '{}', at present: \
         {present}",
        profile.name
    ));
    say(
        "Where can Telnyx reach convo serve? For example https://convo.example.com; Enter leaves it.",
    );
    let is_simulated = BaseUrl::parse(answers.telnyx.base_url()).is_ok_and(|url| url.is_loopback());
    let url = url(prompt, is_simulated)?;
    let Some(question) = question(&profile, url.as_ref()) else { return Ok(()) };
    if !prompt.is_yes(&question)? {
        say("Nothing was changed at Telnyx.");
        return Ok(());
    }
    match answers.telnyx.set_webhook(id, url.as_ref().map(Url::as_str)).await {
        Ok(profile) => say(&format!(
            "The webhook URL of '{}' is now {}, with API version {}.",
            profile.name,
            address(&profile),
            profile.webhook_version.as_deref().unwrap_or("unknown"),
        )),
        Err(error) => say(&format!("Telnyx did not change it: {error}.")),
    }
    Ok(())
}

/// The webhook URL of a profile, as it may be shown.
fn address(profile: &MessagingProfile) -> String {
    match profile.webhook_url.as_deref().map(Url::parse) {
        Some(Ok(url)) => shown(&url).to_string(),
        Some(Err(_)) => "what is not a URL".to_owned(),
        None => "none".to_owned(),
    }
}

/// Asks until the answer is a URL that Telnyx can reach, or empty.
fn url(prompt: &mut Prompt, is_simulated: bool) -> Result<Option<Url>, Error> {
    loop {
        let typed = prompt.line("URL of the server: ")?;
        if typed.is_empty() {
            return Ok(None);
        }
        let Ok(url) = Url::parse(&typed) else {
            say("That is not a URL: write it with https://.");
            continue;
        };
        let is_good = url.scheme() == "https" && is_public(&url)
            || is_simulated && matches!(url.scheme(), "http" | "https");
        if is_good && url.username().is_empty() && url.password().is_none() {
            return Ok(Some(webhook_path(url)));
        }
        say(
            "Telnyx needs a public address with https://, such as that of a tunnel (ngrok http 5000).",
        );
    }
}

/// What would change; `None` if nothing would.
fn question(profile: &MessagingProfile, url: Option<&Url>) -> Option<String> {
    let name = escape::line(&profile.name);
    let is_new = |url: &&Url| profile.webhook_url.as_deref() != Some(url.as_str());
    match (url.filter(is_new), profile.has_our_version()) {
        (None, true) => None,
        (None, false) => Some(format!("Set the webhook API version of '{name}' to 2?")),
        (Some(url), true) => Some(format!("Set the webhook URL of '{name}' to {url}?")),
        (Some(url), false) => {
            Some(format!("Set the webhook URL of '{name}' to {url}, and its API version to 2?"))
        }
    }
}
