//! What is served over HTTP.
//!
//! ```text
//! request ── host check ── route ──▶ operations: /healthz  the process answers
//!                                                /readyz   it can do its work, check by check
//!                                                /metrics  Prometheus text
//!         ◀── security headers on every answer
//! ```
//!
//! In: an address and an [`Operations`] to ask. Out: a [`Server`] that answers until its token is cancelled.
//!
//! Invariants: it changes nothing and tells no secret; it is bound to the address it was given and no other; on a loopback
//! address it answers only to names of this machine, so that no page of another site can reach it by a name it owns.

mod error;
mod host;
mod operations;
mod security_headers;
mod server;

pub use self::{
    error::{ServeError, ServeErrorKind},
    operations::{Check, Operations, Readiness},
    server::Server,
};
