//! Globs: `glob_match`, and the same matcher for whoever else needs it.
//!
//! In: a pattern with `*` (any run of characters, `/` and `:` included) and `?` (one character), and a text. Out: whether
//! the whole text matches, case and all. There is no escaping and no other special character.
//!
//! Invariant: no recursion and no memory; the time is at most pattern length times text length, whatever the text.

use super::text::{Answer, Function, Kernel, Returns};

pub(super) static GLOB_MATCH: Function = Function {
    name: "glob_match",
    arguments: &[
        ("pattern", "text with `*` for any run of characters and `?` for one"),
        ("text", "what must match as a whole"),
    ],
    returns: Returns::Boolean,
    description: "True when the whole text matches the pattern. Case matters; `*` also crosses `/` and `:`. Null when either is null.",
    examples: &[
        ("glob_match('payments/*', 'payments/db/password')", "true"),
        ("glob_match('*:role/ci-??', 'arn:aws:iam::111122223333:role/ci-42')", "true"),
        ("glob_match('Payments/*', 'payments/db')", "false"),
        ("glob_match('payments', 'payments/db')", "false"),
    ],
    kernel,
};

fn kernel() -> Kernel {
    Box::new(|texts| {
        let [pattern, text] = texts else { return Ok(Answer::Null) };
        Ok(Answer::Boolean(glob_match(pattern, text)))
    })
}

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
