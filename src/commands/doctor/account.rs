//! The account at Telnyx: the key, the numbers, and the messaging profiles that they are on.

use super::checks::Installation;
use super::finding::Finding;
use crate::domain::PhoneNumber;
use crate::error::{Code, Error};
use crate::telnyx::account::{AccountNumber, AccountNumbers, MessagingProfile};
use crate::telnyx::client::TelnyxClient;
use crate::threading::no_api_key;

const API_KEY: &str = "api_key";
const NUMBERS: &str = "numbers";
const PROFILE: &str = "profile";
const CLOCK: &str = "clock";
const UNKNOWN: &str = "Telnyx could not be asked";
/// How far the clock may be off before it is told, and before webhooks are refused.
const ODD_SKEW: u64 = 30;
const FATAL_SKEW: u64 = 240;

/// What was found about the account.
pub(super) struct Account {
    pub findings: Vec<Finding>,
    /// The profiles of the numbers; empty if they are not known.
    pub profiles: Vec<MessagingProfile>,
    /// How far this machine's clock is ahead of Telnyx's.
    pub skew_seconds: Option<i64>,
}

pub(super) async fn check(
    installation: &Installation<'_>,
    telnyx: Result<Option<TelnyxClient>, Error>,
) -> Account {
    let telnyx = match telnyx.and_then(|telnyx| telnyx.ok_or_else(no_api_key)) {
        Ok(telnyx) => telnyx,
        Err(error) => return unknown(&error),
    };
    let account = match telnyx.numbers().await {
        Ok(account) => account,
        Err(error) => return unknown(&error),
    };
    let mut findings = vec![
        Finding::ok(API_KEY, format!("accepted by {}", telnyx.base_url())),
        numbers(&installation.numbers, &account),
    ];
    let (profile, profiles) = profiles(&telnyx, &installation.numbers, &account).await;
    findings.push(profile);
    Account { findings, profiles, skew_seconds: account.skew_seconds }
}

fn unknown(error: &Error) -> Account {
    let findings = vec![
        Finding::from_error(API_KEY, error),
        Finding::skipped(NUMBERS, UNKNOWN),
        Finding::skipped(PROFILE, UNKNOWN),
    ];
    Account { findings, profiles: Vec::new(), skew_seconds: None }
}

/// Whether Telnyx lists a sender as a number: short codes and names are not.
fn is_listed(number: &PhoneNumber) -> bool {
    number.as_str().starts_with('+')
}

fn find<'a>(number: &PhoneNumber, account: &'a AccountNumbers) -> Option<&'a AccountNumber> {
    account.numbers.iter().find(|known| known.number == number.as_str())
}

/// Whether each configured number is the account's, can send and receive, and is on a profile.
fn numbers(configured: &[PhoneNumber], account: &AccountNumbers) -> Finding {
    if configured.is_empty() {
        let seen = "TELNYX_PHONE_NUMBER is not set";
        let mend = "set it to a number of the account, or run convo setup";
        return Finding::failure(NUMBERS, Code::NotConfigured, seen, mend);
    }
    let mut faults = Vec::new();
    for number in configured.iter().filter(|number| is_listed(number)) {
        match find(number, account) {
            None if account.is_complete => faults.push(format!("{number} is not the account's")),
            None => faults.push(format!("{number} is not among the first 10,000 numbers")),
            Some(found) if found.is_enabled == Some(false) => {
                faults.push(format!("{number} cannot send or receive texts"));
            }
            Some(found) if found.profile_id.is_none() => {
                faults.push(format!("{number} is not assigned to a messaging profile"));
            }
            Some(_) => {}
        }
    }
    if !faults.is_empty() {
        let mend = "correct TELNYX_PHONE_NUMBER, or enable messaging for the number and assign it to a \
                    messaging profile in the Telnyx portal";
        return Finding::failure(NUMBERS, Code::NotConfigured, faults.join("; "), mend);
    }
    let checked: Vec<_> = configured.iter().filter(|number| is_listed(number)).collect();
    let list = |numbers: &[&PhoneNumber]| {
        numbers.iter().map(|number| number.as_str()).collect::<Vec<_>>().join(", ")
    };
    let others: Vec<_> = configured.iter().filter(|number| !is_listed(number)).collect();
    match (checked.is_empty(), others.is_empty()) {
        (true, _) => {
            Finding::skipped(NUMBERS, format!("Telnyx does not list {} as numbers", list(&others)))
        }
        (_, true) => Finding::ok(NUMBERS, format!("{}: enabled, on a profile", list(&checked))),
        _ => Finding::ok(
            NUMBERS,
            format!("{}: enabled, on a profile; not checked: {}", list(&checked), list(&others)),
        ),
    }
}

/// The profiles of the configured numbers, and whether they can be used.
async fn profiles(
    telnyx: &TelnyxClient,
    configured: &[PhoneNumber],
    account: &AccountNumbers,
) -> (Finding, Vec<MessagingProfile>) {
    let found = configured.iter().filter_map(|number| find(number, account));
    let mut ids: Vec<_> = found.filter_map(|number| number.profile_id.as_deref()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut profiles = Vec::new();
    for id in ids {
        match telnyx.profile(id).await {
            Ok(profile) => profiles.push(profile),
            Err(error) => return (Finding::from_error(PROFILE, &error), profiles),
        }
    }
    (judge(&profiles), profiles)
}

fn judge(profiles: &[MessagingProfile]) -> Finding {
    let names = |profiles: &[&MessagingProfile]| {
        profiles.iter().map(|profile| format!("'{}'", profile.name)).collect::<Vec<_>>().join(", ")
    };
    let disabled: Vec<_> = profiles.iter().filter(|profile| !profile.is_enabled).collect();
    if !disabled.is_empty() {
        let seen = format!("{} is disabled", names(&disabled));
        let mend = "enable the messaging profile in the Telnyx portal";
        return Finding::failure(PROFILE, Code::NotConfigured, seen, mend);
    }
    match profiles.is_empty() {
        true => Finding::skipped(PROFILE, "no number is assigned to a messaging profile"),
        false => Finding::ok(PROFILE, names(&profiles.iter().collect::<Vec<_>>())),
    }
}

/// This machine's clock against Telnyx's.
pub(super) fn clock(skew_seconds: Option<i64>) -> Finding {
    let Some(skew) = skew_seconds else { return Finding::skipped(CLOCK, UNKNOWN) };
    let distance = skew.unsigned_abs();
    let seen = match skew {
        0 => "agrees with Telnyx's to the second".to_owned(),
        1.. => format!("{distance} s ahead of Telnyx's"),
        _ => format!("{distance} s behind Telnyx's"),
    };
    let mend = "set the clock, and keep it set (NTP): webhooks more than 300 s off are refused";
    match distance {
        distance if distance >= FATAL_SKEW => {
            Finding::failure(CLOCK, Code::NotConfigured, seen, mend)
        }
        distance if distance >= ODD_SKEW => Finding::warning(CLOCK, seen, mend),
        _ => Finding::ok(CLOCK, seen),
    }
}
