//! Forgetting a contact: everything that is about it goes, and only a mark stays, so that nothing older
//! comes back.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Conversations;
use super::receive::told_time;
use crate::clock;
use crate::domain::{
    ForgetReceipt, ForgottenMarks, PhoneNumber, Selector, StoredEventCursor, Timestamp,
    conversation,
};
use crate::error::{Code, Error};
use crate::store::forget::{AllMarks, BeginForget, Begun, NewestMark};
use crate::store::model::{Change, NewEvent, NewReport};
use crate::telnyx::mention;

/// How long it may take until a server notices that another process has forgotten a contact.
const NOTICE: Duration = Duration::from_secs(1);
/// For how long after a mark older texts may still be stored by other processes: until they notice it, and
/// until what they had looked at before is written or given up, which takes a webhook 2 s at most.
const UNNOTICED: Duration = Duration::from_secs(3);
/// For how long Telnyx reports on a message at most, and then some.
const REPORT_SECONDS: i64 = 11 * 24 * 3_600;
/// How many webhooks are looked at together.
const LOOK: u64 = 500;
/// The pause between two steps of a server: webhooks come first.
const STEP_PAUSE: Duration = Duration::from_millis(5);

/// The newest mark, and when it was read. Most databases have none.
#[derive(Debug, Default)]
pub(super) struct MarkMemory(Mutex<Option<(Instant, Option<NewestMark>)>>);

impl MarkMemory {
    fn get(&self) -> Option<Option<NewestMark>> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, newest) = memory.as_ref()?;
        (since.elapsed() < NOTICE).then(|| newest.clone())
    }

    fn set(&self, newest: Option<NewestMark>) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *memory = Some((Instant::now(), newest));
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Conversations {
    /// Removes everything that is about a contact, or only counts it.
    ///
    /// # Errors
    /// `conversation_not_found` if nothing is stored about it; `contact_busy` while one of its messages is
    /// undecided; `ambiguous_name` if only a part of a name or id is given, or several have the name.
    pub async fn forget(&self, selector: &Selector, is_dry: bool) -> Result<ForgetReceipt, Error> {
        let contact = self.whole_contact(selector).await?.as_str().to_owned();
        let at = clock::now();
        let begun = match is_dry {
            true => self.store.look_before_forget(&contact).await?,
            false => {
                let begin = BeginForget { contact: contact.clone(), at: Some(at) };
                self.store.begin_forget(begin).await?
            }
        };
        self.marks.clear();
        let (conversation, opted_out, named) = match begun {
            Begun::Unknown => return Err(conversation::not_found()),
            Begun::Undecided(count) => return Err(busy(count)),
            Begun::Known { conversation, opted_out, named } => (conversation, opted_out, named),
        };
        let mut key = conversation.map(|(key, _)| key);
        if !is_dry {
            tokio::time::sleep(UNNOTICED).await;
            // An older text may have begun one meanwhile.
            if key.is_none()
                && let Begun::Known { conversation: Some((new, _)), .. } =
                    self.store.look_before_forget(&contact).await?
            {
                key = Some(new);
            }
        }
        let webhooks = self.forget_webhooks(is_dry, |body, received_at| {
            mention::is_about(body, &contact)
                && (received_at <= at || told_time(body, received_at) <= at)
        });
        let webhooks = webhooks.await?;
        let feed_entries = self.forget_feed(&contact, key, is_dry).await?;
        let messages = match key {
            Some(key) => self.forget_messages(key, at, is_dry).await?,
            None => 0,
        };
        Ok(ForgetReceipt {
            contact_number: PhoneNumber::from_stored(contact),
            conversation_id: conversation.map(|(_, id)| id),
            dry_run: is_dry,
            forgotten_at: at,
            messages,
            webhooks,
            feed_entries,
            opted_out,
            named,
        })
    }

    /// The marks of all contacts that were forgotten, with their key.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn forgotten(&self) -> Result<ForgottenMarks, Error> {
        self.store.forgotten_marks().await
    }

    async fn forget_webhooks(
        &self,
        is_dry: bool,
        is_about: impl Fn(&[u8], Timestamp) -> bool,
    ) -> Result<u64, Error> {
        let (mut removed, mut before) = (0, None);
        loop {
            let keys = self.store.event_keys(before.as_ref(), None, LOOK).await?;
            let Some(last) = keys.last() else { return Ok(removed) };
            before = Some(last.cursor.clone());
            let mut about: Vec<StoredEventCursor> = Vec::new();
            let mut rest = &keys[..];
            while !rest.is_empty() {
                let bodies = self.store.event_bodies(rest).await?;
                for (key, body) in rest.iter().zip(&bodies) {
                    if body.as_ref().is_some_and(|body| is_about(body, key.received_at)) {
                        about.push(key.cursor.clone());
                    }
                }
                rest = &rest[bodies.len().clamp(1, rest.len())..];
                tokio::task::yield_now().await;
            }
            removed += about.len() as u64;
            if !is_dry {
                self.store.remove_webhooks_at(about).await?;
            }
        }
    }

    async fn forget_feed(
        &self,
        contact: &str,
        conversation: Option<i64>,
        is_dry: bool,
    ) -> Result<u64, Error> {
        let messages = match conversation {
            Some(key) => self.store.message_ids(key).await?,
            None => HashSet::new(),
        };
        let (mut blanked, mut after) = (0, i64::MIN);
        while let Some(page) = self.store.feed_about(contact, &messages, after).await? {
            after = page.last;
            blanked += page.count;
            if !is_dry {
                self.store.blank_feed(page).await?;
            }
        }
        Ok(blanked)
    }

    async fn forget_messages(
        &self,
        conversation: i64,
        at: Timestamp,
        is_dry: bool,
    ) -> Result<u64, Error> {
        let after = Timestamp::from_micros(at.as_micros() + 1);
        if is_dry {
            return Ok(self.store.count_old_messages(conversation, after).await?.0);
        }
        self.remove_messages(conversation, after, false).await
    }

    async fn remove_messages(
        &self,
        conversation: i64,
        after: Timestamp,
        with_undecided: bool,
    ) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let step = self.store.remove_old_messages(conversation, after, with_undecided).await?;
            let (messages, is_gone) = step;
            removed += messages;
            if messages == 0 || is_gone {
                return Ok(removed);
            }
            tokio::time::sleep(STEP_PAUSE).await;
        }
    }

    /// Removes what an old database still has of contacts whose marks it was given, from before they were
    /// forgotten.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn forget_marked(&self) -> Result<(), Error> {
        let Some(marks) = self.store.all_marks().await? else { return Ok(()) };
        let is_about = |body: &[u8], received_at| {
            let is_before =
                |contact: &str| marks.time_of(contact).is_some_and(|at| received_at <= at);
            mention::parties(body).iter().any(|contact| is_before(contact))
        };
        self.forget_webhooks(false, is_about).await?;
        let mut after = i64::MIN;
        loop {
            let page = self.store.contacts_after(after).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            for (conversation, contact) in page {
                let Some(at) = marks.time_of(&contact) else { continue };
                let until = Timestamp::from_micros(at.as_micros() + 1);
                self.remove_messages(conversation, until, true).await?;
            }
        }
        self.drop_marked_opt_outs(&marks).await?;
        self.drop_marked_names(&marks).await
    }

    async fn drop_marked_opt_outs(&self, marks: &AllMarks) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let page = self.store.opt_outs_after(&after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for contact in page {
                if let Some(at) = marks.time_of(&contact) {
                    self.store.drop_opt_out(contact, at).await?;
                }
            }
        }
    }

    async fn drop_marked_names(&self, marks: &AllMarks) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let page = self.store.named_after(&after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for contact in page {
                if let Some(at) = marks.time_of(&contact) {
                    self.store.drop_name(contact, at).await?;
                }
            }
        }
    }

    /// Whether an event is about a contact that was forgotten, from before that.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(super) async fn is_forgotten(&self, event: &NewEvent) -> Result<bool, Error> {
        let newest = match self.marks.get() {
            Some(newest) => newest,
            None => {
                let newest = self.store.newest_mark().await?;
                self.marks.set(newest.clone());
                newest
            }
        };
        let Some(newest) = newest else { return Ok(false) };
        match &event.change {
            Change::Message(message, _) if message.created_at <= newest.at => {
                let contact = message.contact().as_str();
                let at = self.store.forgotten_at(&newest.key, contact).await?;
                Ok(at.is_some_and(|at| message.created_at <= at))
            }
            Change::Report(report)
                if event.received_at <= newest.at.plus_seconds(REPORT_SECONDS) =>
            {
                self.is_forgotten_report(&newest, report).await
            }
            _ => Ok(false),
        }
    }

    /// Whether a report is about a message that was removed with its contact.
    async fn is_forgotten_report(
        &self,
        newest: &NewestMark,
        report: &NewReport,
    ) -> Result<bool, Error> {
        for recipient in &report.recipients {
            let at = self.store.forgotten_at(&newest.key, &recipient.number).await?;
            let Some(at) = at else { continue };
            if self.store.has_message(&report.telnyx_message_id, report.tag).await? {
                return Ok(false);
            }
            // A message of ours that is not there was removed; one of another program is as old as it says.
            let sent_at = report.facts.sent_at.unwrap_or(report.occurred_at);
            return Ok(report.tag.is_some() || sent_at <= at);
        }
        Ok(false)
    }
}

fn busy(count: u64) -> Error {
    let what = match count {
        1 => "a message to this contact is pending, unknown or scheduled".to_owned(),
        count => format!("{count} messages to this contact are pending, unknown or scheduled"),
    };
    Error::new(Code::ContactBusy, what)
        .hint("cancel what is scheduled with `convo cancel`, and wait until the others are settled")
}
