//! `glob_match`: [`keytrail_model::glob`] as a function of SQL.

pub use keytrail_model::glob::glob_match;

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
    takes_nulls: false,
    kernel,
};

fn kernel() -> Kernel {
    Box::new(|texts| {
        let [pattern, text] = texts else { return Ok(Answer::Null) };
        Ok(Answer::Boolean(glob_match(pattern, text)))
    })
}
