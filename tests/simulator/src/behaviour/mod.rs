//! What the organisation does on ordinary days. Nothing here may alert: every ordinary pair of reader and secret is first seen
//! in the first twenty hours of the window, before any value changes, from an address that the policy allows.

mod builders;
mod ci;
mod humans;
mod lambdas;
mod lifecycle;
pub(crate) mod noise;
pub(crate) mod proxy;
pub(crate) mod rotation;
mod scheduled;
mod services;
mod sync;
mod terraform;
pub(crate) mod units;

pub(crate) use services::{read_all, read_secrets};

use crate::plan::Plan;

/// Plans all ordinary behaviour. `incidents` decides whether one role is deleted and made again on the way.
pub(crate) fn run(plan: &mut Plan<'_>, incidents: bool) {
    lifecycle::schedule(plan);
    rotation::schedule(plan);
    rotation::run(plan);
    lifecycle::run(plan);
    services::run(plan);
    units::run(plan);
    lambdas::run(plan);
    scheduled::run(plan, incidents);
    ci::run(plan);
    terraform::run(plan);
    sync::run(plan);
    humans::run(plan);
    builders::run(plan);
}
