//! How times, ARNs, counts and durations are printed: terminal, page and message all call this.
//!
//! In: values of the model, text that an attacker wrote. Out: short text without control characters.

use crate::time::{self, DAY, HOUR, Micros, SECOND};

/// Text that is safe to print on a terminal: control characters and direction overrides become `\u{…}`.
pub fn terminal_safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let hostile = character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if hostile {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The part of a principal that a person reads: `role/app/payments-api`, `user/kim`, `root`, `service:rds.amazonaws.com`.
pub fn principal_short(principal_id: &str) -> String {
    match crate::arn::Arn::parse(principal_id) {
        Some(arn) => terminal_safe(arn.resource),
        None => terminal_safe(principal_id),
    }
}

/// The part of a secret's id that a person reads: its name.
pub fn secret_short(secret_id: &str) -> String {
    if let Some(name) = crate::arn::secret_name(secret_id) {
        return terminal_safe(name);
    }
    match crate::arn::Arn::parse(secret_id) {
        Some(arn) if arn.service == "ssm" => {
            terminal_safe(arn.resource.strip_prefix("parameter").unwrap_or(arn.resource))
        }
        Some(arn) => terminal_safe(arn.resource),
        None => terminal_safe(secret_id),
    }
}

/// `2026-08-01 12:34Z`.
pub fn moment(at: Micros) -> String {
    let text = time::to_rfc3339(at);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute}Z"),
        _ => text,
    }
}

/// A length of time in its two largest units that matter: `47 min`, `3 h 20 min`, `12 days`.
pub fn duration(length: Micros) -> String {
    let length = length.abs();
    match length {
        _ if length >= 2 * DAY => format!("{} days", length / DAY),
        _ if length >= HOUR => {
            let minutes = (length % HOUR) / (60 * SECOND);
            if minutes == 0 { format!("{} h", length / HOUR) } else { format!("{} h {minutes} min", length / HOUR) }
        }
        _ if length >= 60 * SECOND => format!("{} min", length / (60 * SECOND)),
        _ => format!("{} s", length / SECOND),
    }
}

/// `1,234,567`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `78.3 MiB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_for_people() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(-12), "-12");
        assert_eq!(bytes(82_100_000), "78.3 MiB");
        assert_eq!(duration(47 * 60 * SECOND), "47 min");
        assert_eq!(duration(12 * DAY), "12 days");
        assert_eq!(secret_short("arn:aws:ssm:us-east-1:111122223333:parameter/app/key"), "/app/key");
        assert_eq!(principal_short("arn:aws:iam::111122223333:role/app/api"), "role/app/api");
        assert_eq!(moment(0), "1970-01-01 00:00Z");
    }

    #[test]
    fn hostile_text_cannot_move_the_cursor() {
        assert_eq!(terminal_safe("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
    }
}
