//! The three questions: key, public key, number. Each answer is tried before the next question.

use super::say;
use super::terminal::Prompt;
use crate::backend::open::connect_telnyx;
use crate::config::Config;
use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::secret::Secret;
use crate::telnyx::account::{AccountNumber, AccountNumbers};
use crate::telnyx::client::TelnyxClient;
use crate::telnyx::signature::Verifier;
use crate::threading::{Policy, no_api_key};

const API_KEY: &str = "TELNYX_API_KEY";
const PUBLIC_KEY: &str = "TELNYX_PUBLIC_KEY";
const NUMBER: &str = "TELNYX_PHONE_NUMBER";
/// How many numbers are listed to choose from.
const MOST_LISTED: usize = 30;

/// What was answered.
pub(super) struct SetupAnswers {
    /// Telnyx, by the key that was tried.
    pub telnyx: TelnyxClient,
    /// The number that was chosen.
    pub number: AccountNumber,
    /// The settings to write.
    pub changed: Vec<(&'static str, Secret)>,
}

impl SetupAnswers {
    /// Writes what has changed to the user's settings file.
    pub(super) fn write(&self, config: &Config) -> Result<(), Error> {
        let values: Vec<_> =
            self.changed.iter().map(|(name, value)| (*name, value.expose())).collect();
        if values.is_empty() { Ok(()) } else { config.write_user_file(&values) }
    }
}

/// Asks all of them.
pub(super) async fn ask(config: &Config, prompt: &mut Prompt) -> Result<SetupAnswers, Error> {
    let mut changed = Vec::new();
    let (telnyx, account, typed) = api_key(config, prompt).await?;
    changed.extend(typed.map(|key| (API_KEY, key)));
    changed.extend(public_key(config, prompt)?.map(|key| (PUBLIC_KEY, key)));
    let (number, typed) = number(config, prompt, account)?;
    changed.extend(typed.map(|number| (NUMBER, number)));
    Ok(SetupAnswers { telnyx, number, changed })
}

/// Asks until Telnyx accepts a key.
async fn api_key(
    config: &Config,
    prompt: &mut Prompt,
) -> Result<(TelnyxClient, AccountNumbers, Option<Secret>), Error> {
    say("\n1. An API key: Keys & Credentials > API Keys. It is not shown as you type.");
    let known = config.telnyx().ok().and_then(|access| access.api_key);
    loop {
        let typed = prompt.secret(&question("API key", known.is_some()))?;
        let (access, typed) = match (typed.is_empty(), &known) {
            (true, None) => continue,
            (true, Some(_)) => (config.telnyx()?, None),
            (false, _) => {
                let key = Secret::new(typed);
                (config.telnyx_for_typed_key(key.clone())?, Some(key))
            }
        };
        let connected = connect_telnyx(&access, Policy::default().timeout);
        let tried = match connected.and_then(|telnyx| telnyx.ok_or_else(no_api_key)) {
            Ok(telnyx) => telnyx.numbers().await.map(|account| (telnyx, account)),
            Err(error) => Err(error),
        };
        match tried {
            Ok((telnyx, account)) => {
                say("   Telnyx accepts it.");
                return Ok((telnyx, account, typed));
            }
            // Another answer does not help if Telnyx cannot be asked.
            Err(error) if error.exit_code() == 5 => return Err(error),
            Err(error) => complain(&error),
        }
    }
}

/// Asks until the answer is well-formed.
fn public_key(config: &Config, prompt: &mut Prompt) -> Result<Option<Secret>, Error> {
    say(
        "\n2. The public key, which proves that a webhook is from Telnyx: Keys & Credentials > Public \
         Key. It has 44 characters and ends with '='.",
    );
    let known = config.public_keys().unwrap_or_default();
    let has_good_key = !known.is_empty() && Verifier::new(&known).is_ok();
    loop {
        let typed = prompt.line(&question("Public key", has_good_key))?;
        if typed.is_empty() {
            if has_good_key {
                return Ok(None);
            }
            continue;
        }
        match Verifier::new(std::slice::from_ref(&typed)) {
            Ok(_) => return Ok(Some(Secret::new(typed))),
            Err(error) => complain(&error),
        }
    }
}

/// Asks which of the account's numbers to use.
fn number(
    config: &Config,
    prompt: &mut Prompt,
    account: AccountNumbers,
) -> Result<(AccountNumber, Option<Secret>), Error> {
    let AccountNumbers { numbers, .. } = account;
    if numbers.is_empty() {
        return Err(Error::new(Code::NotConfigured, "the account has no numbers")
            .hint("get one in the Telnyx portal (Numbers), and run convo setup again"));
    }
    say("\n3. The number to send from, of those of the account:");
    for (at, number) in numbers.iter().take(MOST_LISTED).enumerate() {
        say(&format!("   {:>2}  {}{}", at + 1, number.number, remark(number)));
    }
    if numbers.len() > MOST_LISTED {
        say(&format!("   and {} more, which can be typed", numbers.len() - MOST_LISTED));
    }
    let known = config.numbers().unwrap_or_default().into_iter().next();
    let kept = known
        .and_then(|known| numbers.iter().find(|number| number.number == known.as_str()).cloned());
    loop {
        let typed = prompt.line(&question("Number", kept.is_some()))?;
        match (typed.is_empty(), &kept) {
            (true, Some(kept)) => return Ok((kept.clone(), None)),
            (true, None) => continue,
            (false, _) => {}
        }
        match chosen(&typed, &numbers) {
            Some(number) => {
                let value = Secret::new(number.number.clone());
                return Ok((number.clone(), Some(value)));
            }
            None => say("   Type one of the numbers, or its place in the list."),
        }
    }
}

/// The number that is meant by its place in the list, or by itself in any usual notation.
fn chosen<'a>(typed: &str, numbers: &'a [AccountNumber]) -> Option<&'a AccountNumber> {
    let by_place = typed.parse::<usize>().ok().and_then(|place| numbers.get(place.checked_sub(1)?));
    by_place.or_else(|| {
        let typed = PhoneNumber::parse(typed).ok()?;
        numbers.iter().find(|number| number.number == typed.as_str())
    })
}

/// What is wrong with a number.
fn remark(number: &AccountNumber) -> &'static str {
    match (number.is_enabled, &number.profile_id) {
        (Some(false), _) => "  (cannot send or receive texts)",
        (_, None) => "  (not on a messaging profile)",
        _ => "",
    }
}

fn question(what: &str, is_known: bool) -> String {
    let keep = if is_known { " [Enter keeps the present one]" } else { "" };
    format!("   {what}{keep}: ")
}

fn complain(error: &Error) {
    say(&format!("   {error}."));
    if let Some(hint) = error.hint_text() {
        say(&format!("   {hint}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_chosen_by_place_or_by_itself() {
        let number = |text: &str| AccountNumber {
            number: text.to_owned(),
            profile_id: None,
            is_enabled: None,
        };
        let numbers = [number("+12025550100"), number("+12025550101")];
        let chosen = |typed| chosen(typed, &numbers).map(|number| number.number.as_str());
        assert_eq!(chosen("1"), Some("+12025550100"));
        assert_eq!(chosen("2"), Some("+12025550101"));
        assert_eq!(chosen("+1 (202) 555-0101"), Some("+12025550101"));
        for wrong in ["0", "3", "x", "+12025550102", "99999999999999999999"] {
            assert_eq!(chosen(wrong), None, "{wrong}");
        }
    }
}
