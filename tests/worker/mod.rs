//! The worker against an emulator of AWS, with faults between them.
//!
//! After every suite the same holds (`outcome`): the rows are those of the reference, each once; every message is deleted
//! or in the dead-letter queue; the ledger's lines add up.

mod backfill;
mod backlog;
mod contract;
mod delivery;
mod faults;
mod in_process;
mod kills;
mod notifications;
mod operations;
mod outcome;
mod pair;
mod quarantine;
mod s3_lake;
mod shutdown;
mod simulated;
mod stage;
mod whole;
