//! Secrets that people and programs write into free text, and where they stand.
//!
//! In: decoded text that an attacker or a careless caller may have written. Out: the same text, with what looks like
//! secret material replaced by [`MARK`]; borrowed when there is nothing to replace.
//!
//! Deliberately conservative: a secret's *name* must survive. Taken out are STS session tokens (by how they begin), `key=value` and
//! `"key":"value"` where the key bears a secret, AWS's `Value '…' at 'key'` validation messages, and, only in free text
//! (error messages, user agents), forty characters that look like an AWS secret key.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use memchr::memmem::Finder;

/// What stands in place of a value.
pub(super) const MARK: &str = "[REDACTED]";

/// How STS session tokens begin.
const TOKENS: &[&str] = &["IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz", "FwoDYXdz", "FQoDYXdz", "AQoDYXdz"];

/// Keys that bear a secret, without case, `-` and `_`.
const KEYS: &[&str] = &[
    "accesstoken",
    "apikey",
    "apikeyvalue",
    "assertion",
    "authorization",
    "authtoken",
    "bearertoken",
    "clientsecret",
    "continuationtoken",
    "cookie",
    "federationtoken",
    "idtoken",
    "keymaterial",
    "nexttoken",
    "pagetoken",
    "paginationtoken",
    "parametervalue",
    "passphrase",
    "passwd",
    "password",
    "plaintext",
    "privatekey",
    "proxyauthorization",
    "pwd",
    "refreshtoken",
    "rotationtoken",
    "samlassertion",
    "secret",
    "secretaccesskey",
    "secretbinary",
    "secretkey",
    "secretstring",
    "secretvalue",
    "securitytoken",
    "sessiontoken",
    "setcookie",
    "signintoken",
    "token",
    "tokencode",
    "tokenvalue",
    "value",
    "webidentitytoken",
    "xamzsecuritytoken",
    "xapikey",
];

/// A key that ends so bears a secret (`masterUserPassword`, `aws_secret_access_key`).
const ENDS: &[&str] =
    &["password", "passphrase", "secretaccesskey", "sessiontoken", "secretkey", "privatekey", "xapikey"];

/// Does a member of that name bear a secret?
pub(super) fn is_secret_key(key: &str) -> bool {
    if !may_end_a_key(key.as_bytes()) {
        return false;
    }
    // The longest key is short; of a longer one only the end matters.
    let mut plain = [0_u8; 48];
    let mut length = 0;
    let tail = key.as_bytes().get(key.len().saturating_sub(plain.len())..).unwrap_or_default();
    for (place, byte) in plain.iter_mut().zip(tail.iter().filter(|byte| !matches!(byte, b'-' | b'_'))) {
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = plain.get(..length).unwrap_or_default();
    KEYS.binary_search_by(|key| key.as_bytes().cmp(plain)).is_ok()
        || ENDS.iter().any(|end| plain.ends_with(end.as_bytes()))
}

/// The last letters of every key in [`KEYS`] and [`ENDS`]: most members of a record are told apart by these.
fn may_end_a_key(key: &[u8]) -> bool {
    let [rest @ .., first, second, last] = key else { return false };
    match (first | 0x20, second | 0x20, last | 0x20) {
        (b'i', b'o', b'n') => matches!(rest.last(), Some(b't' | b'T' | b'-' | b'_')),
        (b'a', b'r', b'y')
        | (b'a', b's', b'e')
        | (b'e', b'x', b't')
        | (b'i', b'a', b'l')
        | (b'i', b'n', b'g')
        | (b'k', b'e', b'n' | b'y')
        | (b'k', b'i', b'e')
        | (b'l', b'u', b'e')
        | (b'o', b'd', b'e')
        | (b'o', b'r', b'd')
        | (b'p' | b's', b'w', b'd')
        | (b'r', b'e', b't') => true,
        _ => [first, second, last].iter().any(|byte| matches!(byte, b'-' | b'_')),
    }
}

/// What a text is for: the more it may be a name, the less is taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// An id or a name, which rows are joined by: only session tokens are taken out.
    Name,
    /// Any member of a record.
    Value,
    /// Prose, in which no name stands alone: error messages, user agents.
    Prose,
}

/// Takes secrets out of text.
pub(super) fn text(text: &str, sort: Sort) -> Cow<'_, str> {
    let mut found = Vec::new();
    session_tokens(text, &mut found);
    if sort != Sort::Name && memchr::memchr2(b'=', b':', text.as_bytes()).is_some() {
        assignments(text, &mut found);
    }
    if sort == Sort::Prose {
        validation_values(text, &mut found);
        secret_keys(text, &mut found);
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        if range.start >= at {
            clean.push_str(text.get(at..range.start).unwrap_or_default());
            clean.push_str(MARK);
        }
        at = at.max(range.end);
    }
    clean.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(clean)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'%' | b'_' | b'-')
}

/// Where the run of bytes that begins at `start` ends.
fn run(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len())
}

/// What every one of [`TOKENS`] holds one of.
static IN_TOKENS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new("YXdz"), Finder::new("IQoJ")]);

/// A quick no: can the text hold a session token?
pub(super) fn may_hold_token(text: &[u8]) -> bool {
    IN_TOKENS.iter().any(|part| part.find(text).is_some())
}

fn session_tokens(text: &str, found: &mut Vec<Range<usize>>) {
    if text.len() < 12 || !may_hold_token(text.as_bytes()) {
        return;
    }
    for token in TOKENS {
        let mut past = 0;
        for (start, _) in text.match_indices(token) {
            if start >= past {
                past = run(text.as_bytes(), start, is_token_byte);
                found.push(start..past);
            }
        }
    }
}

/// `key=value`, `key="value"`, `"key":"value"`, and `key: value` for keys that cannot be a name's last word.
fn assignments(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut past = 0;
    for at in memchr::memchr2_iter(b'=', b':', bytes) {
        if at < past {
            continue;
        }
        if let Some(value) = assigns_secret(bytes, at).then(|| assigned(bytes, at + 1)).flatten() {
            past = value.end;
            found.push(value);
        }
    }
}

/// Does the sign (`:` or `=`) at this place stand behind a key or a word that bears a secret, as the key of a member or in an
/// assignment?
pub(super) fn assigns_secret(text: &[u8], at: usize) -> bool {
    let is_colon = text.get(at) == Some(&b':');
    word_before(text.get(..at).unwrap_or_default())
        // `/app/password:3` is a parameter's selector, not an assignment.
        .is_some_and(|(word, is_quoted)| (!is_colon || is_quoted || is_header(word)) && is_secret_key(word))
}

/// The last word before a sign, and whether it was quoted; `None` where it cannot bear a secret.
fn word_before(before: &[u8]) -> Option<(&str, bool)> {
    let before = before.trim_ascii_end();
    let (before, is_quoted) = match before {
        [rest @ .., b'\\', b'"' | b'\''] | [rest @ .., b'"' | b'\''] => (rest, true),
        _ => (before, false),
    };
    if !may_end_a_key(before) {
        return None;
    }
    let word_at = before.iter().rposition(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
    let word = before.get(word_at.map_or(0, |at| at + 1)..)?;
    Some((std::str::from_utf8(word).ok()?, is_quoted))
}

fn is_header(word: &str) -> bool {
    // The shortest of them has seven letters; most words before a colon are parts of an ARN.
    word.len() >= 7
        && ["secretaccesskey", "sessiontoken", "xapikey", "authorization", "securitytoken"].iter().any(|key| {
            let mut plain =
                word.bytes().filter(|byte| !matches!(byte, b'-' | b'_')).map(|byte| byte.to_ascii_lowercase());
            let same = key.bytes().all(|byte| plain.next() == Some(byte));
            same && plain.next().is_none()
        })
}

/// The value that begins at or after `start`.
fn assigned(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let mut start = run(bytes, start, |byte| byte == b' ');
    if bytes.get(start) == Some(&b'\\') {
        start += 1;
    }
    let range = match bytes.get(start)? {
        quote @ (b'"' | b'\'') => {
            let quote = *quote;
            start..(run(bytes, start + 1, |byte| byte != quote) + 1).min(bytes.len())
        }
        _ => {
            let mut end = run(bytes, start, is_unquoted);
            let scheme = bytes.get(start..end).unwrap_or_default();
            if scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"basic") {
                end = run(bytes, end + 1, is_unquoted);
            }
            start..end
        }
    };
    let value = bytes.get(range.clone()).unwrap_or_default();
    (!value.is_empty() && !value.starts_with(MARK.as_bytes())).then_some(range)
}

fn is_unquoted(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !matches!(byte, b',' | b';' | b'&' | b'"' | b'\'' | b')' | b'}')
}

/// `1 validation error detected: Value 'hunter2' at 'value' failed to satisfy constraint`.
fn validation_values(text: &str, found: &mut Vec<Range<usize>>) {
    const OPEN: &str = "Value '";
    const MIDDLE: &str = "' at '";
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find(OPEN)) {
        let start = at + open + OPEN.len();
        let Some(length) = text.get(start..).and_then(|rest| rest.find(MIDDLE)) else { return };
        at = start + length + MIDDLE.len();
        let place = text.get(at..).and_then(|rest| rest.split('\'').next()).unwrap_or_default();
        let member = place.rsplit('.').next().unwrap_or_default();
        if length > 0 && is_secret_key(member) {
            found.push(start..start + length);
        }
    }
}

/// Forty characters of base64 that change between upper case, lower case and digits as often as chance does: names in
/// camel case change about half as often, and hashes have no upper case.
fn secret_keys(text: &str, found: &mut Vec<Range<usize>>) {
    const LENGTH: usize = 40;
    const CHANGES: usize = 20;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = run(bytes, at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'));
        let word = bytes.get(at..end).unwrap_or_default();
        if word.len() == LENGTH && !word.contains(&b'-') && !word.contains(&b'_') {
            let changes = word.windows(2).filter(|pair| matches!(pair, [a, b] if class(*a) != class(*b))).count();
            let has = |wanted| word.iter().any(|byte| class(*byte) == wanted);
            if changes >= CHANGES && has(0) && has(1) && has(2) {
                found.push(at..end);
            }
        }
        at = end + 1;
    }
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_sorted() {
        assert!(KEYS.is_sorted());
        assert!(KEYS.iter().chain(ENDS).all(|key| may_end_a_key(key.as_bytes()) && is_secret_key(key)));
    }

    #[test]
    fn knows_the_keys_that_bear_secrets() {
        for key in [
            "p-w-d",
            "authorizat-ion",
            "TOK_EN",
            "sessionToken",
            "SecretAccessKey",
            "x-api-key",
            "masterUserPassword",
            "nextToken",
            "VALUE",
            "apiKey",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "clientRequestToken",
            "secretId",
            "accessKeyId",
            "apiKeyId",
            "values",
            "keyId",
            "passwordResetRequired",
            "",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn takes_secrets_out_of_text() {
        for (dirty, clean) in [
            ("token FwoGZXIvYXdzEJr//////abc123== used", "token [REDACTED] used"),
            ("password=hunter2&x=1", "password=[REDACTED]&x=1"),
            (r#"{"secretAccessKey":"abc","a":"b"}"#, r#"{"secretAccessKey":[REDACTED],"a":"b"}"#),
            (r#"{\"password\": \"abc\"}"#, r#"{\"password\": \[REDACTED]}"#),
            ("aws_secret_access_key = abc", "aws_secret_access_key = [REDACTED]"),
            ("Authorization: Bearer abc.def, then", "Authorization: [REDACTED], then"),
            ("Value 'hunter2' at 'value' failed", "Value '[REDACTED]' at 'value' failed"),
            ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY here", "key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY here"),
            ("key 8fJ2kQ9xLm4Zr7Tb1Vn6Wc3Yd5Hs0Gp+Ae/Ui2oK here", "key [REDACTED] here"),
        ] {
            assert_eq!(text(dirty, Sort::Prose), clean);
        }
    }

    #[test]
    fn repetition_costs_no_more_than_its_length() {
        for part in ["IQoJb3JpZ2lu", "token=", "Value '", "Value 'a' at 'b", "token='", "\"token\":"] {
            let long = part.repeat(1_000_000 / part.len());
            assert!(text(&long, Sort::Prose).len() <= long.len() * 2, "{part}");
        }
    }

    #[test]
    fn names_survive() {
        for name in [
            "/app/password:3",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-password-AbCdEf",
            "MyStackProdDatabaseSecretRotate4E5F6A7B",
            "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef",
            "Value 'app/db' at 'secretId' failed to satisfy constraint",
            "0123456789abcdef0123456789abcdef01234567",
        ] {
            assert_eq!(text(name, Sort::Prose), name);
        }
    }
}
