//! What must be found, and what looks like it: one file per rule. Each incident is planted only where the window is long enough
//! for it, and labels the events it consists of. Rule 1 needs no planting beyond the cast: see `plan/verdicts.rs`.

mod new_principal;
mod off_cidr;
mod post_rotation;

use crate::plan::Plan;

pub(crate) fn run(plan: &mut Plan<'_>) {
    new_principal::run(plan);
    off_cidr::run(plan);
    post_rotation::run(plan);
}
