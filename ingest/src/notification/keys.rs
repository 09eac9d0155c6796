//! Object keys as notifications write them, and the names that become part of a ledger key.
//!
//! In: text from a message. Out: the key as it stands in the bucket, or what is wrong with it, in words that follow the
//! place. An escape that is none (`%zz`, a `%` at the end) stays as it stands, as in S3's own console and SDKs; bytes that
//! are no UTF-8 after decoding are refused, since no S3 key holds them. Control characters are kept: they are legal in
//! keys, and whoever prints a key escapes it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// The longest key that S3 takes, in bytes of UTF-8.
const MAX_KEY_BYTES: usize = 1024;
/// The longest bucket name (buckets from before 2018 in us-east-1).
const MAX_BUCKET_BYTES: usize = 255;
/// The longest account, region and event id of an EventBridge envelope that is taken.
const MAX_NAME_BYTES: usize = 64;

/// What S3 writes as `%XX` in the keys of its notifications: all but letters, digits and these.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// Undoes the form-url-encoding of S3's event notifications: `+` is a space, `%2B` a plus. `None` where no UTF-8 comes out.
pub fn decode_key(encoded: &str) -> Option<String> {
    let spaced = encoded.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(|key| key.into_owned())
}

/// Writes a key as S3's event notifications do.
pub fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED).to_string().replace(' ', "+")
}

/// Refuses what cannot be a key.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("is empty".to_owned());
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(format!("has {} bytes; a key has at most {MAX_KEY_BYTES}", key.len()));
    }
    Ok(())
}

/// Refuses what cannot be a bucket's name: with a `/` in it, two objects could share one ledger key.
pub(super) fn check_bucket(bucket: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !bucket.is_empty() && bucket.len() <= MAX_BUCKET_BYTES && bucket.bytes().all(legal) {
        return Ok(());
    }
    Err(format!("is {}; the name of a bucket is expected", quoted(bucket)))
}

/// True for what may stand between the slashes of `eventbridge://ACCOUNT/REGION/ID`.
pub(super) fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(legal)
}

/// Foreign text for a fault: in quotes, without control characters, at most sixty characters of it.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_decoded_as_forms_are() {
        for (encoded, key) in [
            ("a/b.json.gz", "a/b.json.gz"),
            ("my+file%3Da.json.gz", "my file=a.json.gz"),
            ("one%2Btwo", "one+two"),
            ("Happy%20Face.jpg", "Happy Face.jpg"),
            ("AWSLogs%2F1%2Fx", "AWSLogs/1/x"),
            ("%D8%B9%d8%B1", "عر"),
            ("nul%00and%0Aline", "nul\0and\nline"),
            // What is no escape stays.
            ("100%", "100%"),
            ("50%zz", "50%zz"),
            ("%2", "%2"),
        ] {
            assert_eq!(decode_key(encoded).as_deref(), Some(key), "{encoded}");
        }
        assert_eq!(decode_key("%ff%fe"), None);
        assert_eq!(decode_key("ok%C3"), None);
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        assert_eq!(encode_key("a b+c=d/é*.gz"), "a+b%2Bc%3Dd/%C3%A9*.gz");
    }

    #[test]
    fn what_cannot_be_a_key_or_a_bucket_is_refused() {
        assert!(check_key("").is_err());
        assert!(check_key(&"k".repeat(1024)).is_ok());
        assert!(check_key(&"é".repeat(513)).is_err());
        for bucket in ["", "a/b", "a b", "a\nb", "s3://x", &"b".repeat(256)] {
            assert!(check_bucket(bucket).is_err(), "{bucket:?}");
        }
        assert!(check_bucket("My_old.Bucket-1").is_ok());
    }

    #[test]
    fn quoted_text_is_short_and_plain() {
        assert_eq!(quoted("a\u{1b}[31m\"b"), r#""a\u{1b}[31m\"b""#);
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 63);
    }

    proptest! {
        #[test]
        fn a_key_survives_the_round_trip(key in any::<String>()) {
            prop_assert_eq!(decode_key(&encode_key(&key)), Some(key));
        }
    }
}
