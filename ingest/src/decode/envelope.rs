//! The envelopes that records travel in: EventBridge, CloudWatch Logs, and what Lambda functions are handed.
//!
//! In: the text of one envelope. Out: borrowed views of it. Only the members that matter are looked at; unknown ones are
//! ignored. Bad input is serde's error, which tells line and column.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// An EventBridge event.
#[derive(Deserialize)]
pub(super) struct EventBridge<'a> {
    #[serde(borrow, rename = "detail-type")]
    pub(super) detail_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) account: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) region: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) detail: Option<&'a RawValue>,
}

/// A CloudWatch Logs subscription's batch.
#[derive(Deserialize)]
pub(super) struct LogsBatch<'a> {
    #[serde(borrow, rename = "messageType")]
    pub(super) message_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) owner: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "logStream")]
    pub(super) log_stream: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "logEvents", default)]
    pub(super) log_events: Vec<LogEvent<'a>>,
}

impl LogsBatch<'_> {
    /// A probe that CloudWatch Logs sends to see whether the destination can be reached.
    pub(super) fn is_probe(&self) -> bool {
        self.message_type.as_deref() == Some("CONTROL_MESSAGE")
    }
}

/// One message of a batch.
#[derive(Deserialize)]
pub(super) struct LogEvent<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
}

/// `{"awslogs":{"data":"…"}}`.
#[derive(Deserialize)]
pub(super) struct LambdaLogs<'a> {
    #[serde(borrow)]
    pub(super) awslogs: LambdaLogsData<'a>,
}

#[derive(Deserialize)]
pub(super) struct LambdaLogsData<'a> {
    #[serde(borrow)]
    pub(super) data: Cow<'a, str>,
}

/// What a record says of its own kind.
#[derive(Deserialize)]
pub(super) struct RecordKind<'a> {
    #[serde(borrow, rename = "eventCategory")]
    pub(super) category: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "eventSource")]
    pub(super) source: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "eventVersion")]
    pub(super) version: Option<Cow<'a, str>>,
}

/// Undoes base64 (RFC 4648, with or without padding; white space is skipped). `None` where the text is none.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in text.trim_end_matches(['=', '\n', '\r', ' ']).bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\n' | b'\r' | b' ' => continue,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    (bits != 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_standard_has_it() {
        for (text, plain) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9v\nYmFy", "foobar")]
        {
            assert_eq!(base64(text).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        assert_eq!(base64("-_8"), base64("+/8"));
        assert_eq!(base64("Zm9*"), None);
        assert_eq!(base64("Zm9vY"), None);
    }
}
