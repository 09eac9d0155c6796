//! The desk's objects: asked for, fetched, decoded, or found unreadable.
//!
//! Works are shared: messages that announce the same bytes (same key and ETag, or same version) wait for one work. Where a
//! notification pins nothing, it joins a work only as long as that work has not begun to read, because what it means may be
//! newer than what was read.
//!
//! What becomes of errors: see [`Desk::unread`]. Every ending is either durable for all waiting messages, or gives all of
//! them back.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use keytrail_model::{ObjectId, ObjectOutcome};
use tokio::time::Instant;

use super::{
    Desk,
    messages::Back,
    step::{Panicked, Step, StoreError, guarded},
};
use crate::{
    decode::{Decoded, unread},
    notification::InlineEvent,
    objects::{ObjectBytes, ObjectError, ObjectErrorKind, ObjectRef, ObjectStore, Response},
    pipeline::{Room, Store, is_damaged, panicked, quarantined},
    queue::Queue,
    worker::{
        events::{self, Why},
        inline,
        leases::MessageNo,
    },
};

/// Objects in one question to the ledger, and questions at the same time.
const ASK_MAX: usize = 500;
const ASKS: usize = 2;

pub(super) type WorkNo = u64;

/// What a message announces in one of its parts.
pub(super) enum Matter {
    Object(ObjectRef),
    LeftAlone(ObjectRef, String),
    Inline(InlineEvent),
}

/// What makes two announcements mean the same bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct WorkKey {
    key: String,
    etag: Option<String>,
    version_id: Option<String>,
}

/// One object under way.
pub(super) struct Work {
    key: WorkKey,
    /// The ledger's identity as far as it is known.
    pub(super) id: Option<ObjectId>,
    matter: Matter,
    pub(super) waiters: Vec<MessageNo>,
    /// Read, and waiting for the ledger's answer or for its turn to be decoded.
    pub(super) bytes: Option<(Vec<u8>, Room)>,
    /// The ledger's line for what was announced, where something else was found.
    pub(super) overwritten: Option<Box<Decoded>>,
    /// It was read a second time, because the first bytes could not be understood.
    reread: bool,
    /// Its lines are in a batch.
    pub(super) batched: bool,
}

impl WorkKey {
    fn of(matter: &Matter) -> Self {
        match matter {
            Matter::Object(object) | Matter::LeftAlone(object, _) => Self {
                key: object.ledger_key(),
                etag: object.etag.clone().filter(|etag| !etag.is_empty()),
                version_id: object.version_id.clone(),
            },
            Matter::Inline(event) => {
                Self { key: event.ledger_key.clone(), etag: Some(inline::VERSION.to_owned()), version_id: None }
            }
        }
    }

    /// False where it means "whatever is there now".
    fn is_pinned(&self) -> bool {
        self.etag.is_some() || self.version_id.is_some()
    }
}

impl<Q: Queue, O: ObjectStore, S: Store> Desk<Q, O, S> {
    /// Opens one part of a message, or joins it to work under way.
    pub(super) fn open_part(&mut self, no: MessageNo, matter: Matter) {
        let key = WorkKey::of(&matter);
        if let Some(work) = self.index.get(&key).and_then(|no| self.works.get_mut(no)) {
            work.waiters.push(no);
            return;
        }
        let work = self.next_work;
        self.next_work += 1;
        self.index.insert(key.clone(), work);
        let version = match &matter {
            Matter::LeftAlone(..) => Some(key.etag.clone().unwrap_or_default()),
            _ => key.etag.clone(),
        };
        let id = version.map(|version| ObjectId { key: key.key.clone(), version });
        let known_id = id.is_some();
        let waiters = vec![no];
        self.works.insert(
            work,
            Work { key, id, matter, waiters, bytes: None, overwritten: None, reread: false, batched: false },
        );
        if known_id {
            self.to_ask.push(work);
        } else {
            self.to_fetch.push_back(work);
        }
    }

    pub(super) fn start_asks(&mut self) {
        if self.ask_after.is_some_and(|after| after > Instant::now()) {
            return;
        }
        self.ask_after = None;
        while self.asking < ASKS && !self.to_ask.is_empty() {
            let rest = self.to_ask.split_off(self.to_ask.len().min(ASK_MAX));
            let works = std::mem::replace(&mut self.to_ask, rest);
            let ids: Vec<ObjectId> =
                works.iter().filter_map(|work| self.works.get(work)).filter_map(|work| work.id.clone()).collect();
            let store = self.tools.store.clone();
            self.asking += 1;
            self.steps.spawn(async move {
                let answer = match guarded(store.committed(&ids)).await {
                    Ok(Ok(known)) => Ok(known),
                    Ok(Err(error)) => Err(StoreError::from(error)),
                    Err(panicked) => Err(StoreError::from(panicked)),
                };
                Step::Asked { works, answer }
            });
        }
    }

    pub(super) fn asked(&mut self, works: Vec<WorkNo>, answer: Result<HashSet<ObjectId>, StoreError>) {
        self.asking -= 1;
        let known = match answer {
            Ok(known) => known,
            Err(error) => return self.not_answered(works, error),
        };
        self.ask_pause.reset();
        (self.ask_after, self.ask_failing_since) = (None, None);
        events::ledger_answered(&self.tools.watch);
        for no in works {
            let Some(work) = self.works.get(&no) else {
                continue;
            };
            match &work.id {
                Some(id) if known.contains(id) => {
                    events::known(&self.tools.watch, &id.key);
                    self.is_known(no);
                }
                _ => {
                    if !self.join_batch(no) {
                        self.is_new(no);
                    }
                }
            }
        }
    }

    /// The ledger cannot be asked: the same works are asked for again after a pause, for a while.
    fn not_answered(&mut self, works: Vec<WorkNo>, error: StoreError) {
        let now = Instant::now();
        let since = *self.ask_failing_since.get_or_insert(now);
        events::store_failed(&self.tools.watch, "ledger", &error.to_string(), 0);
        if now.duration_since(since) < self.tools.settings.commit_retry_for && self.closing.is_none() {
            self.to_ask.extend(works);
            self.ask_after = Some(now + self.ask_pause.pause());
            return;
        }
        self.ask_failing_since = None;
        for work in works {
            self.put_off(work, Why::Store);
        }
        self.batch_given_up("asking the ledger", error);
    }

    /// The ledger has it. If it was found in the place of something else, that is still to be told.
    fn is_known(&mut self, no: WorkNo) {
        match self.works.get_mut(&no).and_then(|work| work.overwritten.take()) {
            None => self.durable(no),
            Some(line) => self.add_to_batch(no, None, Some(line)),
        }
    }

    /// The ledger does not have it.
    fn is_new(&mut self, no: WorkNo) {
        let Some(work) = self.works.get_mut(&no) else {
            return;
        };
        match (&work.matter, &work.id) {
            (Matter::LeftAlone(object, reason), Some(id)) => {
                let size = object.size_bytes.and_then(|size| i64::try_from(size).ok()).unwrap_or_default();
                let line = unread(id, size, ObjectOutcome::Skipped(reason.clone()));
                self.add_to_batch(no, Some(Box::new(line)), None);
            }
            (Matter::Object(_), _) if work.bytes.is_none() => {
                if self.closing.is_some() {
                    self.abandon(no);
                } else {
                    self.to_fetch.push_back(no);
                }
            }
            _ => self.start_decode(no),
        }
    }

    pub(super) fn start_fetches(&mut self) {
        while self.fetching < self.tools.settings.fetches.max(1) && self.has_room() {
            let Some(no) = self.to_fetch.pop_front() else {
                return;
            };
            let Some(work) = self.works.get(&no) else {
                continue;
            };
            let Matter::Object(object) = &work.matter else {
                continue;
            };
            if !work.key.is_pinned() {
                self.index.remove(&work.key);
            }
            let (store, object, reading) = (self.tools.objects.clone(), object.clone(), self.reading.clone());
            self.fetching += 1;
            self.steps.spawn(async move {
                let result = guarded(reading.fetch(&store, &object)).await.unwrap_or_else(|panicked: Panicked| {
                    let kind = ObjectErrorKind::Unavailable(panicked.to_string());
                    Err(ObjectError { place: object.ledger_key(), kind })
                });
                Step::Fetched { work: no, result }
            });
        }
    }

    pub(super) fn fetched(&mut self, no: WorkNo, result: Result<(ObjectBytes, Room), ObjectError>) {
        self.fetching -= 1;
        let Some(work) = self.works.get_mut(&no) else {
            return;
        };
        let (object, room) = match result {
            Ok(read) => read,
            Err(error) => return self.unread(no, &error.kind),
        };
        let found = ObjectId { key: work.key.key.clone(), version: object.etag };
        work.bytes = Some((object.bytes, room));
        match work.id.replace(found.clone()) {
            // The ledger was asked before it was read.
            Some(announced) if announced == found => self.start_decode(no),
            Some(announced) => {
                let reason = format!("overwritten: announced as ETag {}, found {}", announced.version, found.version);
                work.overwritten = Some(Box::new(quarantined(&announced, None, reason)));
                self.to_ask.push(no);
            }
            None => self.to_ask.push(no),
        }
    }

    fn start_decode(&mut self, no: WorkNo) {
        let Some(work) = self.works.get_mut(&no) else {
            return;
        };
        let Some(id) = work.id.clone() else {
            return;
        };
        let is_inline = matches!(work.matter, Matter::Inline(_));
        let (bytes, delivered) = match &work.matter {
            Matter::Inline(event) => (event.json.clone().into_bytes(), None),
            _ => work.bytes.take().unwrap_or_default(),
        };
        let reading = self.reading.clone();
        self.decodes.spawn(async move {
            let decode = reading.decode(bytes, delivered, move |decoding, bytes| {
                if is_inline { inline::decode(decoding, &id, bytes) } else { decoding.decode(&id, bytes) }
            });
            let (decoded, room) = decode.await;
            Step::Decoded { work: no, decoded, room }
        });
    }

    pub(super) fn decoded(&mut self, no: WorkNo, decoded: Option<Box<Decoded>>) {
        let Some(work) = self.works.get_mut(&no) else {
            return;
        };
        let is_fetched = matches!(work.matter, Matter::Object(_));
        if is_fetched && !work.reread && decoded.as_deref().is_some_and(is_damaged) && self.closing.is_none() {
            work.reread = true;
            events::read_again(&self.tools.watch, &work.key.key);
            self.to_fetch.push_back(no);
            return;
        }
        let overwritten = work.overwritten.take();
        let Some(id) = &work.id else {
            return;
        };
        let decoded = decoded.unwrap_or_else(|| Box::new(panicked(id)));
        self.add_to_batch(no, Some(decoded), overwritten);
    }

    /// The object could not be read: put off while time or a person may help, else quarantined.
    fn unread(&mut self, no: WorkNo, kind: &ObjectErrorKind) {
        let Some(work) = self.works.get(&no) else {
            return;
        };
        let deliveries = self.deliveries(&work.waiters);
        let gives_up = deliveries >= self.tools.gives_up_at.load(Ordering::Relaxed);
        let put_off = kind.response() != Response::Quarantine && !gives_up;
        events::object_failed(&self.tools.watch, &work.key.key, kind, deliveries, put_off);
        if put_off {
            let settings = &self.tools.settings;
            let after = match kind.response() {
                Response::Wait => settings.wait_delay(deliveries),
                Response::Retry | Response::Quarantine => settings.retry_delay(deliveries),
            };
            return self.failed(no, Back { after, why: Why::Object });
        }
        let tries = if gives_up { format!(" (given up after {deliveries} deliveries)") } else { String::new() };
        let reason = format!("{}: {kind}{tries}", kind.as_str());
        let version = work.key.etag.clone().unwrap_or_default();
        let size = match &work.matter {
            Matter::Object(object) => object.size_bytes,
            _ => None,
        };
        let line = quarantined(&ObjectId { key: work.key.key.clone(), version }, size, reason);
        self.add_to_batch(no, Some(Box::new(line)), None);
    }

    /// Everything about the object is durable.
    pub(super) fn durable(&mut self, no: WorkNo) {
        for message in self.close_work(no) {
            self.part_done(message, None);
        }
    }

    /// The object is not done with: its messages go back.
    pub(super) fn failed(&mut self, no: WorkNo, back: Back) {
        for message in self.close_work(no) {
            self.part_done(message, Some(back));
        }
    }

    /// Put off for a reason that lies not in the object.
    pub(super) fn put_off(&mut self, no: WorkNo, why: Why) {
        let deliveries = self.works.get(&no).map_or(1, |work| self.deliveries(&work.waiters));
        let after = self.tools.settings.retry_delay(deliveries);
        self.failed(no, Back { after, why });
    }

    /// Given up because the worker ends.
    pub(super) fn abandon(&mut self, no: WorkNo) {
        if self.failure.is_some() {
            self.put_off(no, Why::Store);
        } else {
            self.failed(no, Back { after: Duration::ZERO, why: Why::Shutdown });
        }
    }

    /// Works of which nothing is in a batch.
    pub(super) fn unread_works(&self) -> Vec<WorkNo> {
        self.works.iter().filter(|(_, work)| !work.batched).map(|(no, _)| *no).collect()
    }

    fn close_work(&mut self, no: WorkNo) -> Vec<MessageNo> {
        let Some(work) = self.works.remove(&no) else {
            return Vec::new();
        };
        if self.index.get(&work.key) == Some(&no) {
            self.index.remove(&work.key);
        }
        work.waiters
    }
}
