//! `namespace_of`: which group a secret's name puts it in.
//!
//! In: a secret's name or a parameter's path. Out: its first segment. A name of one segment is in no namespace.

use super::text::{Answer, Function, Kernel, Returns};

pub(super) static NAMESPACE_OF: Function = Function {
    name: "namespace_of",
    arguments: &[("name", "a secret's name or a parameter's path, such as `secret_name`")],
    returns: Returns::Text,
    description: "The namespace of a secret: what stands before the first `/` of its name, slashes at the beginning aside. \
                  Null when nothing stands behind it, for such a name is in no namespace.",
    examples: &[
        ("namespace_of('payments/db/password')", "'payments'"),
        ("namespace_of('/payments/db')", "'payments'"),
        ("namespace_of('/payments')", "NULL"),
        ("namespace_of('payments')", "NULL"),
        ("namespace_of(NULL)", "NULL"),
    ],
    takes_nulls: false,
    kernel,
};

/// The namespace of a name, as the SQL function of this name says.
pub fn namespace_of(name: &str) -> Option<&str> {
    let (namespace, rest) = name.trim_start_matches('/').split_once('/')?;
    (!rest.is_empty()).then_some(namespace)
}

fn kernel() -> Kernel {
    Box::new(|texts| {
        let namespace = texts.first().and_then(|name| namespace_of(name));
        Ok(namespace.map_or(Answer::Null, |namespace| Answer::Text(namespace.to_owned())))
    })
}
