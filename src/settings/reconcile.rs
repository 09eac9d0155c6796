//! `[reconcile]` and `[coverage]`: what the bucket holds against what the ledger knows, and who has gone silent.

use super::{
    key::{Within, section},
    names::BucketPrefix,
    units::HumanDuration,
};

section! {
    /// What the buckets hold is compared with the ledger, and what no notification announced is taken in.
    struct ReconcileSection {
        /// The buckets, each with the prefix before `AWSLogs/`; without any, nothing is reconciled.
        buckets: Vec<BucketPrefix> = Vec::new();
        /// How often `keytrail run` does it.
        every: HumanDuration = HumanDuration::hours(1), Within(HumanDuration::minutes(1), HumanDuration::days(30));
        /// How far back each run looks; `keytrail reconcile --look-back` looks further.
        look_back: HumanDuration = HumanDuration::days(3), Within(HumanDuration::hours(1), HumanDuration::days(400));
        /// Objects younger than this are left to their notifications.
        grace: HumanDuration = HumanDuration::minutes(30), Within(HumanDuration::seconds(0), HumanDuration::days(1));
    }
}

section! {
    /// When silence becomes an alert.
    struct CoverageSection {
        /// An account's region that delivered steadily and then nothing for this long raises an alert; where its own cadence is slower, that counts.
        silent_after: HumanDuration = HumanDuration::hours(1), Within(HumanDuration::minutes(10), HumanDuration::days(30));
        /// A region that delivered fewer objects than this has no habit that silence could break.
        min_objects: u32 = 24, Within(2, 1_000_000);
    }
}
