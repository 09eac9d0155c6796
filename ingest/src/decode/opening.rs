//! What a JSON object is, told from its own keys as far as needed.
//!
//! In: the offset of a `{`. Out: a [`Kind`], after looking at keys of that object only until one decides; values before
//! it are stepped over, not parsed. For a CloudTrail record this is nearly always the first key. Names of files decide
//! nothing. Broken text gives what the keys before the break said, else [`Kind::Other`].

use std::ops::Range;

use super::split::{ScanLimits, Scanned, scan_value};

/// What kind of object opens here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{"Records":[`: the offset just past the `[`.
    Wrapper(usize),
    Record,
    /// An EventBridge envelope with `detail`.
    EventBridge,
    /// A CloudWatch Logs subscription envelope with `logEvents`.
    LogsEnvelope,
    /// What a Lambda function is given for one: base64 in `awslogs.data`.
    LambdaLogs,
    Digest,
    AccessLog,
    Other,
}

/// Keys that only a CloudTrail record has at its top, and that access-log templates are unlikely to choose.
const RECORD_KEYS: [&[u8]; 14] = [
    b"eventVersion",
    b"userIdentity",
    b"eventSource",
    b"eventName",
    b"eventTime",
    b"awsRegion",
    b"eventID",
    b"eventType",
    b"eventCategory",
    b"requestParameters",
    b"responseElements",
    b"additionalEventData",
    b"recipientAccountId",
    b"managementEvent",
];

/// Keys of a record at its top, any of which may stand first.
const MORE_RECORD_KEYS: [&[u8]; 10] = [
    b"sourceIPAddress",
    b"userAgent",
    b"errorCode",
    b"errorMessage",
    b"requestID",
    b"readOnly",
    b"resources",
    b"sharedEventID",
    b"vpcEndpointId",
    b"tlsDetails",
];

/// Access-log keys seen in one object before it is taken for a line of such a log.
const ACCESS_LOG_KEYS: usize = 3;
/// Keys looked at before giving up.
const KEYS_MAX: usize = 64;

/// True for the names that a record may open with.
pub(super) fn is_record_key(key: &[u8]) -> bool {
    RECORD_KEYS.contains(&key) || MORE_RECORD_KEYS.contains(&key)
}

/// True for a key that makes the object a record by itself.
pub(super) fn decides_record(key: &[u8], is_log_key: &dyn Fn(&str) -> bool) -> bool {
    RECORD_KEYS.contains(&key) && !std::str::from_utf8(key).is_ok_and(is_log_key)
}

/// Tells what opens at `start`. `is_log_key` knows the keys of the access-log template in force.
pub(super) fn kind_at(text: &[u8], start: usize, limits: ScanLimits, is_log_key: &dyn Fn(&str) -> bool) -> Kind {
    let mut members = Members::new(text, start, limits);
    let mut log_keys = 0;
    for _ in 0..KEYS_MAX {
        let Some((key, value_at)) = members.next_key() else {
            break;
        };
        log_keys += usize::from(std::str::from_utf8(key).is_ok_and(is_log_key));
        match key {
            b"Records" if text.get(value_at) == Some(&b'[') => return Kind::Wrapper(value_at + 1),
            _ if decides_record(key, is_log_key) => return Kind::Record,
            b"detail-type" | b"detail" => return Kind::EventBridge,
            b"messageType" | b"logEvents" | b"subscriptionFilters" => return Kind::LogsEnvelope,
            b"awslogs" => return Kind::LambdaLogs,
            b"digestStartTime" | b"digestEndTime" | b"digestS3Object" | b"digestPublicKeyFingerprint" => {
                return Kind::Digest;
            }
            _ if log_keys >= ACCESS_LOG_KEYS => return Kind::AccessLog,
            _ => {}
        }
        if members.skip_value(value_at).is_none() {
            break;
        }
    }
    if log_keys > 0 { Kind::AccessLog } else { Kind::Other }
}

/// The members of one object, stepped through from its `{` without parsing their values.
pub(super) struct Members<'a> {
    text: &'a [u8],
    at: usize,
    limits: ScanLimits,
}

impl<'a> Members<'a> {
    /// `start` is the offset of the `{`.
    pub(super) fn new(text: &'a [u8], start: usize, limits: ScanLimits) -> Self {
        Self { text, at: start + 1, limits }
    }

    /// Goes on behind a value whose end is known.
    pub(super) fn resume(text: &'a [u8], at: usize, limits: ScanLimits) -> Self {
        Self { text, at, limits }
    }

    /// The next key as written between its quotes, and where its value starts; `None` at the end or where text is broken.
    pub(super) fn next_key(&mut self) -> Option<(&'a [u8], usize)> {
        let at = skip_blank(self.text, self.at, b",");
        if self.text.get(at) != Some(&b'"') {
            self.at = at;
            return None;
        }
        let end = string_end(self.text, at)?;
        let colon = skip_blank(self.text, end, b"");
        if self.text.get(colon) != Some(&b':') {
            return None;
        }
        Some((self.text.get(at + 1..end - 1)?, skip_blank(self.text, colon + 1, b"")))
    }

    /// Steps over the value that starts at `value_at` and tells where it stood.
    pub(super) fn skip_value(&mut self, value_at: usize) -> Option<Range<usize>> {
        let end = match self.text.get(value_at)? {
            b'{' | b'[' => match scan_value(self.text, value_at, self.limits) {
                Scanned::Complete(end) => end,
                _ => return None,
            },
            b'"' => string_end(self.text, value_at)?,
            _ => literal_end(self.text, value_at),
        };
        self.at = end;
        (end > value_at).then_some(value_at..end)
    }

    /// The offset of what stands next, blanks skipped: `}` where the object ends as it should.
    pub(super) fn position(&self) -> usize {
        skip_blank(self.text, self.at, b"")
    }
}

/// The offset of the first byte at or after `at` that is neither white space nor one of `also`.
pub(super) fn skip_blank(text: &[u8], at: usize, also: &[u8]) -> usize {
    text.get(at..)
        .unwrap_or_default()
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x1e) && !also.contains(byte))
        .map_or(text.len().max(at), |skipped| at + skipped)
}

/// The offset just past the string that opens at `at`.
pub(super) fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let found = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        from = found + 2;
    }
}

/// The offset just past a number, `true`, `false`, `null` or whatever stands there instead.
pub(super) fn literal_end(text: &[u8], at: usize) -> usize {
    text.get(at..)
        .unwrap_or_default()
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']' | b'{' | b'[' | b'"' | b' ' | b'\n' | b'\r' | b'\t'))
        .map_or(text.len(), |length| at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ScanLimits = ScanLimits { max_depth: 16, max_bytes: 1 << 20 };

    fn kind(text: &str) -> Kind {
        kind_at(text.as_bytes(), 0, LIMITS, &|key| matches!(key, "extId" | "api" | "stage" | "eventTime"))
    }

    #[test]
    fn the_deciding_key_may_stand_anywhere() {
        assert_eq!(kind(r#"{"Records":[]}"#), Kind::Wrapper(12));
        assert_eq!(kind(r#"{"x":{"Records":[1]},"y":"\"}{","Records" : [ ]}"#), Kind::Wrapper(45));
        assert_eq!(kind(r#"{"userAgent":"}","eventVersion":"1.08"}"#), Kind::Record);
        assert_eq!(kind(r#"{"version":"0","id":"x","resources":[],"detail-type":"y"}"#), Kind::EventBridge);
        assert_eq!(kind(r#"{"owner":"1","messageType":"DATA_MESSAGE"}"#), Kind::LogsEnvelope);
        assert_eq!(kind(r#"{"awslogs":{"data":""}}"#), Kind::LambdaLogs);
        assert_eq!(kind(r#"{"awsAccountId":"1","digestStartTime":"x"}"#), Kind::Digest);
        assert_eq!(kind(r#"{"v":1,"extId":"x"}"#), Kind::AccessLog);
        assert_eq!(kind(r#"{"eventTime":1,"extId":"x","api":"y"}"#), Kind::AccessLog);
        assert_eq!(kind(r#"{"Hello":"World"}"#), Kind::Other);
        assert_eq!(kind(r#"{"Records":{"a":1}}"#), Kind::Other);
        assert_eq!(kind("{"), Kind::Other);
        assert_eq!(kind(r#"{"a"#), Kind::Other);
        assert_eq!(kind(r#"{"a":[[[["#), Kind::Other);
    }
}
