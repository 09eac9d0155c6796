//! Tests of the whole crate: the ledger against the labels here, the written tree in `tests/tree.rs`.

mod ledger;
mod tree;
