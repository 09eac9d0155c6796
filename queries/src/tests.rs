//! The crate's promises on a small lake in memory.

mod errors;
mod fixture;
mod library;
mod limits;
