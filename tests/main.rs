//! The integration suite: the real binary, real folders, independent readers.
//!
//! One binary, because each one that links the engine costs minutes. `harness` runs the program and finds the public
//! recordings; each other module is one promise or one part of the contract.

mod alerts_cli;
mod architecture;
mod cli;
mod crash;
mod demo;
mod harness;
mod independent_readers;
mod real_recordings;
mod simulated;
mod sinks;
mod worker;
