//! The SQL functions that Keytrail adds: networks, globs, ARNs, names, JSON.
//!
//! In: text columns, any of which an attacker may have written. Out: booleans, numbers and text. Each function is one
//! row of [`FUNCTIONS`]: its name, arguments, result, documentation (the reference page and `SHOW FUNCTIONS` are made
//! from it) and the kernel that judges one row.
//!
//! Invariants: pure and immutable; null in gives null out, except where a function says otherwise; text from the log never makes a query fail (each function
//! says what it gives instead), while a mistake of the query's author (a CIDR or a part's name that does not exist)
//! is an error that names it.

mod arn;
mod class;
mod glob;
mod json;
mod name;
mod network;
mod text;

use deltalake::datafusion::{logical_expr::ScalarUDF, prelude::SessionContext};

pub use class::ReaderClasses;
pub use glob::glob_match;
pub use name::namespace_of;
pub use network::{is_cidr, network_of};
pub use text::{Function, Returns};

/// Every function, in the order of the reference page.
pub static FUNCTIONS: &[&Function] = &[
    &network::CIDR_CONTAINS,
    &network::IP_FAMILY,
    &network::IS_PRIVATE_IP,
    &network::NETWORK_OF,
    &glob::GLOB_MATCH,
    &arn::ARN_PART,
    &name::NAMESPACE_OF,
    &json::JSON_GET,
];

/// Adds every function to the session; `reader_class` is the one that knows the configuration.
pub fn register(session: &SessionContext, classes: ReaderClasses) {
    for function in FUNCTIONS {
        session.register_udf(ScalarUDF::new_from_impl(text::TextUdf::new(function)));
    }
    session.register_udf(ScalarUDF::new_from_impl(class::ReaderClassUdf::new(classes)));
}

/// The documentation of every function, `reader_class` included.
pub fn documented() -> Vec<&'static Function> {
    FUNCTIONS.iter().copied().chain([&class::READER_CLASS]).collect()
}

#[cfg(test)]
mod tests;
