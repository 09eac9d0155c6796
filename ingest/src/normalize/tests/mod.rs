//! What the module promises, on records in AWS's shapes, on real recordings, and on hostile text.

mod access_logs;
mod hostile;
mod identities;
mod parameters;
mod real;
mod secrets;
mod support;
