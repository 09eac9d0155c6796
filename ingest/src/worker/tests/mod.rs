//! The worker against a queue, buckets and a lake in memory, each of which can be told to fail.

mod basics;
mod chaos;
mod endings;
mod leases;
mod real_lake;
mod support;
mod troubles;
