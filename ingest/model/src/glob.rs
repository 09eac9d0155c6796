//! Globs: whether a whole text matches a pattern.
//!
//! In: a pattern with `*` (any run of characters, `/` and `:` included) and `?` (one character), and a text. Out: whether
//! the whole text matches, case and all. There is no escaping and no other special character.
//!
//! Invariant: no recursion and no memory; the time is at most pattern length times text length, whatever the text.

/// Whether the whole of `text` matches `pattern`; see the module's words.
pub fn glob_match(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stood, and how far it has reached: only the last one ever needs to reach further.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += width(*byte);
            }
            Some(expected) if expected == byte => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, reached)) => {
                    *reached += text.get(*reached).map_or(1, |byte| width(*byte));
                    p = *at + 1;
                    t = *reached;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// Bytes of the character that this byte begins.
const fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}
