//! Telling people: the real program against real HTTP and SMTP servers and emulated AWS, with faults, kills and rivals.
//!
//! `receiver` is an HTTP server that keeps what it was sent and fails on demand; `stage` is a lake with alerts, a
//! configuration and that server. Alerts are written into the lake by the test: what a rule finds is tested elsewhere.

mod aws;
mod faults;
mod formats;
mod grouping;
mod kills;
mod mail;
mod receiver;
mod rivals;
mod running;
mod stage;
