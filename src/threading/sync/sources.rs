//! What a sync does with what each source lists. Everything goes through the door of a webhook.

use futures_util::future::join_all;

use super::pacer::RequestKind;
use super::pass::SourceRange;
use super::run::{SyncRun, before};
use crate::clock;
use crate::domain::{Direction, EventOutcome, PhoneNumber, SourceReport, SyncSource, Timestamp};
use crate::error::{Code, Error};
use crate::store::model::OptOutChange;
use crate::store::settle::read::{StaleQuery, Unsettled};
use crate::telnyx::event::{Content, Event, Payload};
use crate::telnyx::fetch::Fetched;
use crate::telnyx::lists::{self, DetailRecord, FailedDelivery, ListPage, ListedOptOut, NotAList};
use crate::threading::receive;
use crate::threading::settle::RETENTION_SECONDS;

/// The size of a page. Telnyx's records have at most 50; a delivery repeats every answer it got.
const PAGE: u64 = 50;
/// Opt-outs are short.
const OPT_OUTS_PAGE: u64 = 250;
/// How many messages to look up are read at once.
const LOOKUPS: u64 = 50;

/// What became of the items of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageCounts {
    pub(super) listed: u64,
    pub(super) found: u64,
    pub(super) recent: u64,
    pub(super) gone: u64,
}

/// A page that was read, and whatever it lists stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadPage {
    pub(super) counts: PageCounts,
    /// Whether it is the last one of its slice.
    pub(super) is_last: bool,
    /// When it was read, by Telnyx's clock.
    pub(super) at: Option<Timestamp>,
    /// How many items its slice has.
    pub(super) total: Option<u64>,
}

/// A slice of time, whose end may be open.
type Slice = (Timestamp, Option<Timestamp>);

pub(super) fn range(source: SyncSource) -> SourceRange {
    match source {
        SyncSource::OptOuts => SourceRange::ALL,
        _ => SourceRange::TEN_DAYS,
    }
}

/// Reads a page, and stores what it lists.
pub(super) async fn read_page(
    run: &mut SyncRun<'_>,
    source: SyncSource,
    slice: Slice,
    page: u64,
) -> Result<ReadPage, Error> {
    match source {
        SyncSource::Deliveries => deliveries(run, slice, page).await,
        SyncSource::Records => records(run, slice, page).await,
        SyncSource::OptOuts | SyncSource::Outbound => opt_outs(run, slice, page).await,
    }
}

async fn deliveries(
    run: &mut SyncRun<'_>,
    (from, to): Slice,
    page: u64,
) -> Result<ReadPage, Error> {
    let mut query = paged(page, PAGE);
    query.push(("filter[status][eq]", "failed".to_owned()));
    query.push(("filter[started_at][gte]", from.to_string()));
    query.extend(to.map(|to| ("filter[started_at][lte]", to.to_string())));
    let fetched = list(run, RequestKind::Other, "webhook_deliveries", &query).await?;
    let listed = lists::deliveries(&fetched.body).map_err(unreadable)?;
    let mut read = read(&fetched, &listed, page, PAGE);
    let ours = ours(run, listed.items).await?;
    let keys =
        ours.iter().map(|one| (one.event.occurred_at, one.event.id.as_deref().unwrap_or("")));
    let known = run.conversations.store.known_events(keys).await?;
    let new = (0..).zip(ours).filter(|(place, _)| !known.contains(place)).map(|(_, one)| one);
    let new: Vec<_> = new.collect();
    if run.request.dry_run {
        read.counts.found = new.len() as u64;
        return Ok(read);
    }
    let conversations = run.conversations;
    let stored =
        new.into_iter().map(|one| async move { conversations.recover(one.event, &one.body).await });
    for outcome in join_all(stored).await {
        read.counts.found += u64::from(is_news(outcome?));
    }
    Ok(read)
}

/// Those of some events that are about our numbers or our messages: an account may have others, whose
/// webhooks go elsewhere.
async fn ours(run: &SyncRun<'_>, all: Vec<FailedDelivery>) -> Result<Vec<FailedDelivery>, Error> {
    let reported = all.iter().filter_map(|one| match &one.event.content {
        Content::Report(payload) => Some(payload.id.as_str()),
        _ => None,
    });
    let known = run.conversations.store.known_messages(Direction::Outbound, reported).await?;
    let is_ours = |one: &FailedDelivery| match &one.event.content {
        Content::Inbound(payload) => concerns(run, payload.to.iter().map(|to| &to.number)),
        Content::Report(payload) => {
            payload.tag.is_some()
                || known.contains(&payload.id)
                || concerns(run, payload.from.iter())
        }
        Content::Other => false,
    };
    Ok(all.into_iter().filter(is_ours).collect())
}

/// Whether one of some numbers is ours; every one is where none are configured.
fn concerns<'a>(run: &SyncRun<'_>, mut numbers: impl Iterator<Item = &'a PhoneNumber>) -> bool {
    let ours = &run.conversations.numbers;
    ours.is_empty() || numbers.any(|number| ours.iter().any(|own| is_same(own, number)))
}

/// Whether two numbers are one: whether Telnyx's records have the plus sign is not documented.
fn is_same(own: &PhoneNumber, listed: &PhoneNumber) -> bool {
    own.as_str().trim_start_matches('+') == listed.as_str().trim_start_matches('+')
}

async fn records(run: &mut SyncRun<'_>, (from, to): Slice, page: u64) -> Result<ReadPage, Error> {
    let mut query = paged(page, PAGE);
    query.push(("filter[record_type]", "messaging".to_owned()));
    query.push(("filter[created_at][gte]", from.to_string()));
    query.extend(to.map(|to| ("filter[created_at][lt]", to.to_string())));
    query.push(("sort", "created_at".to_owned()));
    let fetched = list(run, RequestKind::Records, "detail_records", &query).await?;
    let listed = lists::records(&fetched.body).map_err(unreadable)?;
    let mut read = read(&fetched, &listed, page, PAGE);
    let now = fetched.at.unwrap_or_else(clock::now);
    let recent_from = before(now, run.grace_seconds());
    // What would be removed again is not fetched.
    let oldest = run.conversations.oldest_message();
    let is_kept =
        |record: &DetailRecord| record.created_at >= oldest || record.created_at.is_none();
    let listed = listed.items.into_iter().filter(is_kept).collect();
    for record in unknown(run, listed).await? {
        if record.created_at.is_some_and(|at| at > recent_from) {
            read.counts.recent += 1;
        } else if run.request.dry_run {
            read.counts.found += 1;
        } else {
            match fetch(run, &record.id).await? {
                Some(outcome) => read.counts.found += u64::from(is_news(outcome)),
                None => read.counts.gone += 1,
            }
        }
    }
    Ok(read)
}

/// Those of some records that are from or to our numbers and whose messages are not stored.
async fn unknown(
    run: &SyncRun<'_>,
    records: Vec<DetailRecord>,
) -> Result<Vec<DetailRecord>, Error> {
    let mut unknown = Vec::new();
    for direction in [Direction::Inbound, Direction::Outbound] {
        let ours: Vec<_> = records
            .iter()
            .filter(|record| record.direction == direction)
            .filter(|record| match direction {
                Direction::Inbound => concerns(run, record.to.iter()),
                Direction::Outbound => concerns(run, record.from.iter()),
            })
            .collect();
        if ours.is_empty() {
            continue;
        }
        let ids = ours.iter().map(|record| record.id.as_str());
        let known = run.conversations.store.known_messages(direction, ids).await?;
        unknown.extend(ours.into_iter().filter(|record| !known.contains(&record.id)).cloned());
    }
    Ok(unknown)
}

/// Fetches a message and stores it. `None` if Telnyx no longer has it.
async fn fetch(run: &mut SyncRun<'_>, id: &str) -> Result<Option<EventOutcome>, Error> {
    let Some((event, body)) = look_up(run, id).await? else { return Ok(None) };
    run.conversations.recover(event, &body).await.map(Some)
}

/// Looks up a message, as an event.
async fn look_up(run: &mut SyncRun<'_>, id: &str) -> Result<Option<(Event, Vec<u8>)>, Error> {
    let fetched = run.pacer.get(RequestKind::Other, &["messages", id], &[]).await?;
    let Some(Fetched { body, .. }) = fetched else { return Ok(None) };
    match lists::event_of_message(&body, receive::fetched_id) {
        Ok((event, body)) if payload(&event).is_some_and(|payload| payload.id == id) => {
            Ok(Some((event, body)))
        }
        _ => {
            tracing::warn!(telnyx_message_id = id, "Telnyx's answer has no such message");
            Ok(None)
        }
    }
}

fn payload(event: &Event) -> Option<&Payload> {
    match &event.content {
        Content::Inbound(payload) | Content::Report(payload) => Some(payload),
        Content::Other => None,
    }
}

/// Looks up the outbound messages whose status has not changed for a while, until none is due.
pub(super) async fn look_up_outbound(
    run: &mut SyncRun<'_>,
    found: &mut SourceReport,
) -> Result<(), Error> {
    let now = clock::now();
    let due = before(now, run.grace_seconds());
    let created_after = run.request.since.unwrap_or(before(now, RETENTION_SECONDS));
    found.since = Some(created_after);
    let query = StaleQuery {
        base_url: run.telnyx.base_url(),
        open_before: due,
        in_transit_before: due,
        created_after,
        foreign: true,
        limit: LOOKUPS,
    };
    loop {
        // Each is due later once it was looked up.
        let stale = run.conversations.store.stale(query).await?;
        let is_last = stale.len() < LOOKUPS as usize || run.request.dry_run;
        for one in stale {
            found.listed += 1;
            if !run.request.dry_run {
                look_up_one(run, &one, found).await?;
            }
        }
        run.tell(found, None);
        if is_last {
            return Ok(());
        }
    }
}

async fn look_up_one(
    run: &mut SyncRun<'_>,
    stale: &Unsettled,
    found: &mut SourceReport,
) -> Result<(), Error> {
    let now = clock::now();
    let message = &stale.message;
    let Some(telnyx_id) = &message.telnyx_message_id else { return Ok(()) };
    if !run.conversations.lease_look_up(stale, now).await? {
        return Ok(());
    }
    let Some((event, _)) = look_up(run, telnyx_id).await? else {
        found.gone += 1;
        return Ok(());
    };
    let payload = payload(&event).cloned();
    let report = payload.and_then(|payload| receive::report_from_lookup(payload, now));
    let Some(mut report) = report else { return Ok(()) };
    report.recovered = true;
    let writer = run.conversations.store.writer()?;
    let status = writer.record_lookup(message.id, report).await?;
    found.found += u64::from(status != message.status);
    Ok(())
}

async fn opt_outs(run: &mut SyncRun<'_>, (from, to): Slice, page: u64) -> Result<ReadPage, Error> {
    let mut query = paged(page, OPT_OUTS_PAGE);
    query.push(("created_at[gte]", from.to_string()));
    query.extend(to.map(|to| ("created_at[lte]", to.to_string())));
    let fetched = list(run, RequestKind::Other, "messaging_optouts", &query).await?;
    let listed = lists::opt_outs(&fetched.body).map_err(unreadable)?;
    let mut read = read(&fetched, &listed, page, OPT_OUTS_PAGE);
    let ours = &run.conversations.numbers;
    let blocks: Vec<_> = listed.items.iter().filter_map(|one| block(one, ours)).collect();
    let keys = blocks.iter().map(|(contact, change)| (contact, change.decided_at));
    let known = run.conversations.store.known_opt_outs(keys).await?;
    let new = (0..).zip(blocks).filter(|(place, _)| !known.contains(place)).map(|(_, one)| one);
    let new: Vec<_> = new.collect();
    read.counts.found = new.len() as u64;
    if !new.is_empty() && !run.request.dry_run {
        run.conversations.store.writer()?.recover_opt_outs(new).await?;
    }
    Ok(read)
}

/// The contact that has set a block on a number of ours, and what that changes. Without its time nothing
/// can be decided: the contact may have opted in since.
fn block(listed: &ListedOptOut, ours: &[PhoneNumber]) -> Option<(PhoneNumber, OptOutChange)> {
    let ListedOptOut { from, to, profile, created_at } = listed;
    let decided_at = Some((*created_at)?);
    let (own, contact) = match from {
        // Which way round is only told by an example.
        Some(from) if ours.contains(to) && !ours.contains(from) => (Some(to), from),
        from => (from.as_ref(), to),
    };
    let is_redacted = contact.as_str().contains('*');
    let is_ours = ours.is_empty() || own.is_none_or(|own| ours.contains(own));
    let change = OptOutChange {
        opted_out: true,
        decided_at,
        learned_at: clock::now(),
        number: own.cloned(),
        profile: profile.clone(),
    };
    (is_ours && !is_redacted).then(|| (contact.clone(), change))
}

fn paged(page: u64, size: u64) -> Vec<(&'static str, String)> {
    vec![("page[number]", page.to_string()), ("page[size]", size.to_string())]
}

/// Reads a page of a list.
async fn list(
    run: &mut SyncRun<'_>,
    kind: RequestKind,
    path: &str,
    query: &[(&str, String)],
) -> Result<Fetched, Error> {
    let missing = || Error::new(Code::TelnyxRefused, format!("Telnyx does not show /{path}"));
    run.pacer.get(kind, &[path], query).await?.ok_or_else(missing)
}

fn read<T>(fetched: &Fetched, listed: &ListPage<T>, page: u64, size: u64) -> ReadPage {
    let counts = PageCounts { listed: listed.listed as u64, ..PageCounts::default() };
    let is_last = match listed.pages {
        _ if listed.listed == 0 => true,
        Some(pages) => page >= pages,
        None => (listed.listed as u64) < size,
    };
    ReadPage { counts, is_last, at: fetched.at, total: listed.results }
}

fn is_news(outcome: EventOutcome) -> bool {
    matches!(outcome, EventOutcome::Stored | EventOutcome::Updated)
}

fn unreadable(NotAList: NotAList) -> Error {
    Error::new(Code::TelnyxUnreachable, "Telnyx's answer is not a list")
        .hint("the next sync tries again")
}
