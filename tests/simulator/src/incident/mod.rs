//! What must be found, and what looks like it: one file per rule or family of rules.
//!
//! Each incident is planted at a moment that follows from the seed, where the window is long enough for it, and labels the
//! events it consists of under every rule that must report them. Beside it stand look-alikes that must stay quiet.
//! Nothing in the events says which is which: users, roles, agents and addresses are of the same kinds. Rule 1 needs no planting
//! beyond the cast: see `plan/verdicts.rs`.

mod api;
mod bulk;
mod cross_account;
mod cross_service;
mod decoy;
mod decrypt;
mod denied;
mod destroyed;
mod dormant;
mod elsewhere;
mod habits;
mod human;
mod new_principal;
mod off_cidr;
mod path;
mod policy;
mod post_rotation;
mod privileged;
mod proxied;
mod rotation_life;
mod trail;

use crate::{
    behaviour::units,
    cast::{Style, Unit},
    identity::Caller,
    plan::Plan,
};

pub(crate) fn run(plan: &mut Plan<'_>) {
    new_principal::run(plan);
    off_cidr::run(plan);
    post_rotation::run(plan);
    cross_service::run(plan);
    bulk::run(plan);
    path::run(plan);
    privileged::run(plan);
    elsewhere::run(plan);
    habits::run(plan);
    human::run(plan);
    denied::run(plan);
    dormant::run(plan);
    decrypt::run(plan);
    proxied::run(plan);
    api::run(plan);
    cross_account::run(plan);
    policy::run(plan);
    destroyed::run(plan);
    rotation_life::run(plan);
    trail::run(plan);
    decoy::run(plan);
}

/// The session that a unit has at a moment: the newest of its role, else a new one.
fn session(plan: &mut Plan<'_>, unit: &Unit, at: i64) -> Caller {
    let role = if unit.style == Style::Function { format!("lambda-{}", unit.name) } else { unit.role_name() };
    match plan.session_of(&role, at) {
        Some(caller) if plan.cast.role(unit.place.account, "/", &role).account == caller.account() => caller,
        _ => units::session(plan, unit, 0, at),
    }
}
