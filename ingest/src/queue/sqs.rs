//! Amazon SQS, standard and FIFO, over its API.
//!
//! In: a client and the queue's URL. Out: what [`Queue`] promises. Every call has time limits of its own: an answer to a
//! long poll may take as long as the poll, and the HTTP read limit is longer than the longest of them. Deletes and
//! extensions go out in batches of ten, a few at a time; an entry that failed comes back with its code, and where a whole
//! batch failed beside others that did not, so do all of its entries. The SDK retries what is transient before an error
//! comes out.
//!
//! Bad input: a message without receipt cannot be worked off or given back and is left to its lease, with a warning; a body
//! over the limit of `notification` is cut just past it, so that it is refused there and never held whole.

mod failure;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client,
    config::{self, timeout::TimeoutConfig},
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName, QueueAttributeName,
    },
};
use futures::{StreamExt, stream};

use self::failure::{QueueFailure, is_final, kind_of};
use super::{
    Depth, Failed, LONGEST_LEASE, MOST_MESSAGES, Message, Queue, QueueError, QueueErrorKind, Receipt, Redrive,
};
use crate::notification::MAX_BODY_BYTES;

/// The longest poll that SQS takes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long an answer may take beyond the poll.
const MARGIN: Duration = Duration::from_secs(10);
/// How long any other call may take: once, and with the SDK's own retries.
const ATTEMPT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(40);
/// Entries of one batch call.
const BATCH: usize = 10;
/// Batch calls at the same time.
const BATCHES: usize = 4;

/// One SQS queue. A clone is the same queue.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    url: Arc<str>,
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue").field("url", &self.url).finish_non_exhaustive()
    }
}

impl SqsQueue {
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into().into() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn error(&self, asked: &str, kind: QueueErrorKind) -> QueueError {
        QueueError { place: format!("{}: {asked}", self.url), kind }
    }

    async fn attributes(
        &self,
        names: &[QueueAttributeName],
    ) -> Result<HashMap<QueueAttributeName, String>, QueueError> {
        let asked = self.client.get_queue_attributes().queue_url(&*self.url);
        let asked = asked.set_attribute_names(Some(names.to_vec())).customize().config_override(limits(ATTEMPT));
        let answer = asked.send().await.map_err(|error| self.error("GetQueueAttributes", kind_of(&error)))?;
        Ok(answer.attributes.unwrap_or_default())
    }

    /// Works off the receipts in batches and gathers what failed. An error only where every batch failed.
    async fn in_batches<'a, F>(
        &self,
        asked: &str,
        receipts: &'a [Receipt],
        call: impl Fn(&'a [Receipt]) -> F,
    ) -> Result<Vec<Failed>, QueueError>
    where
        F: Future<Output = Result<Vec<Failed>, QueueFailure>>,
    {
        let mut calls = Vec::new();
        for batch in receipts.chunks(BATCH) {
            let answer = call(batch);
            calls.push(async move { (batch, answer.await) });
        }
        let mut answers = stream::iter(calls).buffer_unordered(BATCHES);
        let (mut failed, mut lost, mut answered) = (Vec::new(), None, false);
        while let Some((batch, answer)) = answers.next().await {
            match answer {
                Ok(entries) => {
                    answered = true;
                    failed.extend(entries);
                }
                Err(failure) => {
                    let entry = |receipt: &Receipt| Failed {
                        receipt: receipt.clone(),
                        code: failure.code.clone(),
                        is_final: !failure.kind.is_transient(),
                    };
                    failed.extend(batch.iter().map(entry));
                    lost = Some(failure);
                }
            }
        }
        match lost {
            Some(failure) if !answered => Err(self.error(asked, failure.kind)),
            _ => Ok(failed),
        }
    }
}

impl Queue for SqsQueue {
    async fn receive(&self, most: usize, wait: Duration, lease: Duration) -> Result<Vec<Message>, QueueError> {
        let asked = self
            .client
            .receive_message()
            .queue_url(&*self.url)
            .max_number_of_messages(most.clamp(1, MOST_MESSAGES) as i32)
            .wait_time_seconds(seconds(wait, LONGEST_WAIT))
            .visibility_timeout(seconds(lease, LONGEST_LEASE))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .customize()
            .config_override(limits(wait.min(LONGEST_WAIT) + MARGIN));
        let answer = asked.send().await.map_err(|error| self.error("ReceiveMessage", kind_of(&error)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Failed>, QueueError> {
        let lease = seconds(lease, LONGEST_LEASE);
        self.in_batches("ChangeMessageVisibilityBatch", receipts, |batch| async move {
            let entries = batch.iter().enumerate().map(|(index, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&receipt.0)
                    .visibility_timeout(lease)
                    .build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>().map_err(QueueFailure::not_built)?;
            let asked = self.client.change_message_visibility_batch().queue_url(&*self.url);
            let asked = asked.set_entries(Some(entries)).customize().config_override(limits(ATTEMPT));
            let answer = asked.send().await.map_err(|error| QueueFailure::of(&error))?;
            let done: Vec<&str> = answer.successful.iter().map(|entry| entry.id.as_str()).collect();
            Ok(failed(batch, &done, &answer.failed))
        })
        .await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Failed>, QueueError> {
        self.in_batches("DeleteMessageBatch", receipts, |batch| async move {
            let entries = batch.iter().enumerate().map(|(index, receipt)| {
                DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(&receipt.0).build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>().map_err(QueueFailure::not_built)?;
            let asked = self.client.delete_message_batch().queue_url(&*self.url);
            let asked = asked.set_entries(Some(entries)).customize().config_override(limits(ATTEMPT));
            let answer = asked.send().await.map_err(|error| QueueFailure::of(&error))?;
            let done: Vec<&str> = answer.successful.iter().map(|entry| entry.id.as_str()).collect();
            Ok(failed(batch, &done, &answer.failed))
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let [visible, in_flight, delayed] = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let names = [visible.clone(), in_flight.clone(), delayed.clone()];
        let attributes = self.attributes(&names).await?;
        let count = |name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default();
        Ok(Depth { visible: count(visible), in_flight: count(in_flight), delayed: count(delayed) })
    }

    async fn redrive(&self) -> Result<Redrive, QueueError> {
        let asked = [QueueAttributeName::RedrivePolicy, QueueAttributeName::MessageRetentionPeriod];
        let attributes = self.attributes(&asked).await?;
        let retention = attributes.get(&QueueAttributeName::MessageRetentionPeriod);
        let retention = retention.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy).filter(|policy| !policy.trim().is_empty());
        let Some(policy) = policy else {
            return Ok(Redrive { retention, ..Redrive::default() });
        };
        let redrive = read_redrive(policy).ok_or_else(|| {
            let message = "the redrive policy has no deadLetterTargetArn or no maxReceiveCount".to_owned();
            self.error("GetQueueAttributes", QueueErrorKind::Refused { code: "RedrivePolicy".to_owned(), message })
        })?;
        Ok(Redrive { retention, ..redrive })
    }
}

/// Whole seconds, rounded up so that a short wait or lease is not none at all.
fn seconds(length: Duration, longest: Duration) -> i32 {
    let seconds = length.min(longest).as_millis().div_ceil(1000);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Time limits of one call, whatever the client came with. The read limit is one constant: the SDK keeps connections per
/// limit, and a pool for each length of wait would never reuse them.
fn limits(attempt: Duration) -> config::Builder {
    let limits = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(LONGEST_WAIT + MARGIN)
        .operation_attempt_timeout(attempt)
        .operation_timeout(CALL.max(attempt * 2));
    config::Builder::new().timeout_config(limits.build())
}

fn message(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let id = message.message_id.unwrap_or_default();
    let Some(receipt) = message.receipt_handle else {
        tracing::warn!(message_id = %id, "a message without receipt handle is left to its lease");
        return None;
    };
    let attributes = message.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|text| text.parse::<i64>().ok());
    let receive_count = number(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = number(MessageSystemAttributeName::SentTimestamp);
    Some(Message {
        id,
        receipt: Receipt(receipt),
        body: bounded(message.body.unwrap_or_default()),
        receive_count: receive_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1).max(1),
        sent_at: sent_at.and_then(|millis| millis.checked_mul(1000)),
    })
}

/// A body that is too long to be read, cut so that it still is.
fn bounded(mut body: String) -> String {
    if body.len() > MAX_BODY_BYTES {
        let mut end = MAX_BODY_BYTES + 1;
        while !body.is_char_boundary(end) {
            end += 1;
        }
        body.truncate(end);
        body.shrink_to_fit();
    }
    body
}

/// The entries of a batch that did not succeed: those that SQS named, and those that it did not answer for.
fn failed(batch: &[Receipt], done: &[&str], refused: &[BatchResultErrorEntry]) -> Vec<Failed> {
    let entries = batch.iter().enumerate().filter_map(|(index, receipt)| {
        let id = index.to_string();
        let (code, is_final) = match refused.iter().find(|entry| entry.id == id) {
            Some(entry) => (entry.code.clone(), is_final(&entry.code, entry.sender_fault)),
            None if done.contains(&id.as_str()) => return None,
            None => ("NotAnswered".to_owned(), false),
        };
        Some(Failed { receipt: receipt.clone(), code, is_final })
    });
    entries.collect()
}

/// `{"deadLetterTargetArn":"arn:…","maxReceiveCount":"5"}`; the count may be a number or a text.
fn read_redrive(policy: &str) -> Option<Redrive> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let queue = policy.get("deadLetterTargetArn")?.as_str()?;
    let count = policy.get("maxReceiveCount")?;
    let count = count.as_u64().or_else(|| count.as_str()?.trim().parse().ok())?;
    Some(Redrive {
        max_receive_count: Some(u32::try_from(count).unwrap_or(u32::MAX)),
        dead_letter_queue: Some(queue.to_owned()),
        retention: None,
    })
}
