//! Text that anybody may have written, made fit for a target.
//!
//! In: text of an alert, a limit. Out: text without control characters that is no longer than the limit, counted after
//! escaping; what is cut ends in `…`. Nothing here fails.

/// The sign of a cut.
const CUT: char = '…';

/// Whether a character steers whoever shows it instead of being shown: controls, direction overrides, invisible ones.
pub(crate) fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// One line: hostile characters gone, white space single, at most so many characters.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    // Whatever is cut off need not be looked at: one more than the limit tells that something is.
    let shown = text
        .split(|character: char| character.is_whitespace() || is_hostile(character))
        .filter(|word| !word.is_empty())
        .flat_map(|word| std::iter::once(' ').chain(word.chars()))
        .skip(1)
        .take(limit + 1)
        .collect::<String>();
    cut(&shown, limit)
}

/// At most so many characters.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain((limit > 0).then_some(CUT)).collect(),
    }
}

/// At most so many bytes, never half a character.
pub(crate) fn cut_bytes(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if kept.len() + character.len_utf8() + CUT.len_utf8() > limit {
            break;
        }
        kept.push(character);
    }
    if kept.len() + CUT.len_utf8() <= limit {
        kept.push(CUT);
    }
    kept
}

/// Each character as the target wants it, at most so many characters of result; no escape is cut in the middle.
pub(crate) fn escape_within(text: &str, limit: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let width = |character: char| escape(character).map_or(1, |escaped| escaped.chars().count());
    let fits = text.chars().map(width).sum::<usize>() <= limit;
    let room = if fits { limit } else { limit.saturating_sub(1) };
    let (mut result, mut used) = (String::new(), 0);
    for character in text.chars() {
        used += width(character);
        if used > room {
            break;
        }
        match escape(character) {
            Some(escaped) => result.push_str(escaped),
            None => result.push(character),
        }
    }
    if !fits && limit > 0 {
        result.push(CUT);
    }
    result
}

/// For HTML text and for attributes in double quotes.
pub(crate) fn html(text: &str) -> String {
    escape_within(text, usize::MAX, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

/// Printable ASCII, everything else as `?`.
pub(crate) fn ascii(text: &str, limit: usize) -> String {
    let plain: String = clean(text, usize::MAX - 1)
        .chars()
        .map(|it| if it.is_ascii_graphic() || it == ' ' { it } else { '?' })
        .collect();
    if plain.len() <= limit {
        plain
    } else {
        plain.chars().take(limit.saturating_sub(3)).chain("...".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_plain_line() {
        assert_eq!(clean("a\r\nSubject: b\u{1b}[2J\u{202e}c\u{200b}  d", 100), "a Subject: b [2J c d");
        assert_eq!(clean("\u{0}\n", 100), "");
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("abcd", 4), "abcd");
        assert_eq!(clean("abcd", 0), "");
        assert_eq!(ascii("naïve\nline", 100), "na?ve line");
        assert_eq!(ascii("abcdefgh", 6), "abc...");
    }

    #[test]
    fn no_character_and_no_escape_is_halved() {
        assert_eq!(cut_bytes("aéé", 5), "aéé");
        assert_eq!(cut_bytes("aééé", 6), "aé…");
        assert_eq!(cut_bytes("é", 1), "");
        let amp = |character| (character == '&').then_some("&amp;");
        assert_eq!(escape_within("a&b", 7, amp), "a&amp;b");
        assert_eq!(escape_within("a&b", 6, amp), "a…");
        assert_eq!(html("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }
}
