//! Tells what a body is, opens its envelopes and gathers what they hold.
//!
//! In: a body. Out: its [`Notice`]. What cannot be understood is a fault at its place, and everything beside it is read all
//! the same. Invariants: an object that is announced twice (same bucket, key, version and ETag) is returned once; what an
//! envelope nests costs one copy per envelope, at most three; no text of the body gets into a word unquoted.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::{
    InlineEvent, MAX_BODY_BYTES, MAX_ENVELOPES, MAX_PARTS, MAX_WORDS, Notice, Shape,
    event_bridge::{self, Asks},
    keys::{check_bucket, check_key, quoted},
    members::{Elements, Members, elements, kind_of, or_body, text_of},
    s3::{self, Part},
};
use crate::objects::ObjectRef;

/// What CloudTrail sends to a topic when it is set up. It is no JSON.
const VALIDATION: &str = "CloudTrail validation message.";
const EXPECTED: &str = "an S3, SNS, CloudTrail or EventBridge notification is expected";

/// Every member that tells one shape from another, and all that is read of EventBridge's envelope.
const BODY: &[&str] = &[
    "Type",
    "Message",
    "TopicArn",
    "Records",
    "s3Bucket",
    "s3ObjectKey",
    "Event",
    "Bucket",
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "detail",
];
const SNS: &[&str] = &["Type", "Message", "TopicArn"];

/// Says what a body announces. See the module's documentation for the shapes.
pub fn read(body: &str) -> Notice {
    let mut reader = Reader::default();
    if body.len() > MAX_BODY_BYTES {
        reader.fault(format!("the body has {} bytes; at most {MAX_BODY_BYTES} are read", body.len()));
    } else {
        reader.message(body, "", 0);
    }
    reader.finish()
}

/// What makes two announcements one: bucket, key, version, ETag.
type Identity = (String, String, Option<String>, Option<String>);

#[derive(Default)]
struct Reader {
    shape: Option<Shape>,
    objects: Vec<ObjectRef>,
    left_alone: Vec<(ObjectRef, String)>,
    inline: Option<InlineEvent>,
    ignored: Words,
    faults: Words,
    seen: HashSet<Identity>,
    parts: usize,
}

impl Reader {
    /// One message: the body, or what `envelopes` envelopes held.
    fn message(&mut self, text: &str, place: &str, envelopes: usize) {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text == VALIDATION {
            self.recognised(Shape::CloudTrailValidation);
            self.ignored.add(format!("{} is CloudTrail's validation message", or_body(place)));
            return;
        }
        if !text.starts_with('{') {
            self.fault(format!("{} is {}: {}; {EXPECTED}", or_body(place), kind_of(text), quoted(text)));
            return;
        }
        if let Err(fault) = self.object(text, place, envelopes) {
            self.fault(fault);
        }
    }

    fn object(&mut self, text: &str, place: &str, envelopes: usize) -> Result<(), String> {
        let body = Members::of(text, place, BODY)?;
        if body.has("Type") {
            return self.sns(&body, envelopes);
        }
        if let Some(records) = body.get("Records") {
            return self.records(records, &body.place("Records"), envelopes);
        }
        if body.has("s3Bucket") || body.has("s3ObjectKey") {
            return self.cloudtrail_sns(&body);
        }
        if body.hint("Event").is_some_and(|event| event == "s3:TestEvent") {
            self.recognised(Shape::S3Test);
            let bucket = body.hint("Bucket").unwrap_or_default();
            self.ignored.add(format!("{} is S3's test message for bucket {}", or_body(place), quoted(&bucket)));
            return Ok(());
        }
        if body.has("detail-type") || (body.has("source") && body.has("detail")) {
            return self.event_bridge(text, place);
        }
        Err(format!("{} has {}; {EXPECTED}", or_body(place), body.describe()))
    }

    fn sns(&mut self, sns: &Members<'_>, envelopes: usize) -> Result<(), String> {
        let kind = sns.needed_text("Type")?;
        match &*kind {
            "Notification" => {
                let message = sns.needed_text("Message")?;
                self.open(&message, &sns.place("Message"), envelopes);
                Ok(())
            }
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                self.recognised(Shape::SubscriptionConfirmation);
                let topic = sns.hint("TopicArn").unwrap_or_default();
                self.ignored.add(format!(
                    "{} is SNS's {kind} of topic {}: its URL is never visited",
                    sns.place("Type"),
                    quoted(&topic)
                ));
                Ok(())
            }
            other => Err(format!("{} is {}; \"Notification\" is expected", sns.place("Type"), quoted(other))),
        }
    }

    /// The message in one more envelope.
    fn open(&mut self, text: &str, place: &str, envelopes: usize) {
        if envelopes >= MAX_ENVELOPES {
            self.fault(format!("{place} is wrapped more than {MAX_ENVELOPES} times"));
            return;
        }
        self.message(text, place, envelopes + 1);
    }

    fn records(&mut self, list: &RawValue, place: &str, envelopes: usize) -> Result<(), String> {
        let records = self.take(elements(list, place, MAX_PARTS - self.parts)?, place);
        if records.is_empty() {
            self.ignored.add(format!("{place} is empty"));
        }
        for (index, record) in records.into_iter().enumerate() {
            if let Err(fault) = self.record(record.get(), &format!("{place}[{index}]"), envelopes) {
                self.fault(fault);
            }
        }
        Ok(())
    }

    fn record(&mut self, text: &str, place: &str, envelopes: usize) -> Result<(), String> {
        let record = Members::of(text, place, &["s3", "eventSource", "eventName", "EventSource", "Sns", "body"])?;
        // Lambda's form of an SNS and of an SQS message; they reach a queue where a function's failed events are sent to it.
        if record.hint("EventSource").is_some_and(|source| source == "aws:sns") {
            let sns = record.needed_object("Sns", SNS)?;
            return self.sns(&sns, envelopes);
        }
        let source = record.hint("eventSource").unwrap_or_default();
        if source == "aws:sqs" {
            self.open(&record.needed_text("body")?, &record.place("body"), envelopes);
            return Ok(());
        }
        if source != "aws:s3" && !record.has("s3") {
            return Err(format!("{place} has {}; a record of an S3 event is expected", record.describe()));
        }
        self.recognised(Shape::S3);
        match s3::record(text, place)? {
            Part::Read(object) => self.read_object(object),
            Part::Ignore(words) => self.ignored.add(words),
        }
        Ok(())
    }

    /// CloudTrail's own notification. Its keys are plain.
    fn cloudtrail_sns(&mut self, body: &Members<'_>) -> Result<(), String> {
        self.recognised(Shape::CloudTrailSns);
        let bucket = body.needed_text("s3Bucket")?;
        check_bucket(&bucket).map_err(|wrong| format!("{} {wrong}", body.place("s3Bucket")))?;
        let place = body.place("s3ObjectKey");
        let keys = body.get("s3ObjectKey").ok_or_else(|| format!("{place} is missing"))?;
        if keys.get().starts_with('"') {
            let one = self.take(Elements { kept: vec![keys], count: 1 }, &place);
            return one.into_iter().try_for_each(|key| self.plain_key(&bucket, key, &place));
        }
        let keys = self.take(elements(keys, &place, MAX_PARTS - self.parts)?, &place);
        if keys.is_empty() {
            self.ignored.add(format!("{place} is empty"));
        }
        for (index, key) in keys.into_iter().enumerate() {
            if let Err(fault) = self.plain_key(&bucket, key, &format!("{place}[{index}]")) {
                self.fault(fault);
            }
        }
        Ok(())
    }

    fn plain_key(&mut self, bucket: &str, key: &RawValue, place: &str) -> Result<(), String> {
        let key = text_of(key, place)?.into_owned();
        check_key(&key).map_err(|wrong| format!("{place} {wrong}"))?;
        self.read_object(ObjectRef { bucket: bucket.to_owned(), key, ..ObjectRef::default() });
        Ok(())
    }

    fn event_bridge(&mut self, text: &str, place: &str) -> Result<(), String> {
        let envelope = Members::of(text, place, event_bridge::ENVELOPE)?;
        let (shape, asks) = event_bridge::event(text, &envelope)?;
        self.recognised(shape);
        match asks {
            Asks::Read(object) => self.read_object(object),
            Asks::LeaveAlone(object, reason) => {
                if self.is_new(&object) {
                    self.left_alone.push((object, reason));
                }
            }
            Asks::Ignore(words) => self.ignored.add(words),
            Asks::Inline(event) if self.inline.is_none() => self.inline = Some(event),
            Asks::Inline(event) if self.inline.as_ref() == Some(&event) => {}
            Asks::Inline(_) => {
                return Err(format!("{} is a second event in one message; one is read", or_body(place)));
            }
        }
        Ok(())
    }

    /// Counts the parts of a list against the body's limit. What is over it is a fault.
    fn take<'a>(&mut self, list: Elements<'a>, place: &str) -> Vec<&'a RawValue> {
        self.parts += list.kept.len();
        if list.kept.len() < list.count {
            let left = list.count - list.kept.len();
            self.fault(format!("{place} goes beyond the {MAX_PARTS} parts of a body that are read: {left} are left"));
        }
        list.kept
    }

    fn read_object(&mut self, object: ObjectRef) {
        if self.is_new(&object) {
            self.objects.push(object);
        }
    }

    fn is_new(&mut self, object: &ObjectRef) -> bool {
        self.seen.insert((object.bucket.clone(), object.key.clone(), object.version_id.clone(), object.etag.clone()))
    }

    fn recognised(&mut self, shape: Shape) {
        self.shape.get_or_insert(shape);
    }

    fn fault(&mut self, words: String) {
        self.faults.add(words);
    }

    fn finish(self) -> Notice {
        Notice {
            shape: self.shape.unwrap_or(Shape::Unknown),
            objects: self.objects,
            left_alone: self.left_alone,
            inline: self.inline,
            ignored: self.ignored.finish(),
            faults: self.faults.finish(),
        }
    }
}

/// Lines for people, so many of them at most.
#[derive(Default)]
struct Words {
    lines: Vec<String>,
    more: usize,
}

impl Words {
    fn add(&mut self, line: String) {
        if self.lines.len() < MAX_WORDS {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}
