//! The packs that are built into the program: one list of their files.
//!
//! A test compares it with the folders, so that a file that is not listed here is noticed.

use std::collections::BTreeMap;

use crate::{error::RuleError, pack::Pack};

type Files = (&'static str, &'static [(&'static str, &'static str)]);

macro_rules! pack {
    ($id:literal: $($file:literal)+) => {
        ($id, &[$(($file, include_str!(concat!("../pack/", $id, "/", $file)))),+])
    };
}

static PACKS: &[Files] = &[
    pack!("new_principal":
        "rule.toml"
        "detect.sql"
        "guide.md"
        "fires/first_read_after_learning.json"
        "fires/new_role_reads_twelve_secrets.json"
        "fires/parameters_in_one_call.json"
        "fires/path_read_as_a_whole.json"
        "fires/recreated_role.json"
        "fires/user_with_long_term_key.json"
        "quiet/batch_and_evidence_of_a_known_reader.json"
        "quiet/configured_upkeep.json"
        "quiet/denied.json"
        "quiet/first_rotation.json"
        "quiet/known_reader_returns.json"
        "quiet/new_session_of_a_known_role.json"
        "quiet/service_acting_for_a_known_role.json"
        "quiet/while_learning.json"
    ),
    pack!("off_cidr_use":
        "rule.toml"
        "detect.sql"
        "guide.md"
        "fires/another_endpoint.json"
        "fires/outside_ipv4.json"
        "fires/outside_ipv6.json"
        "fires/refused_attempt.json"
        "fires/two_secrets_one_place.json"
        "quiet/allowed_endpoint.json"
        "quiet/another_secret.json"
        "quiet/attempts_switched_off.json"
        "quiet/first_match_decides.json"
        "quiet/inside.json"
        "quiet/no_policy.json"
        "quiet/service_on_behalf.json"
    ),
    pack!("post_rotation_access":
        "rule.toml"
        "detect.sql"
        "guide.md"
        "stale.sql"
        "fires/explicit_old_version.json"
        "fires/kms_proves_the_old_version.json"
        "fires/new_reader_after_rotation.json"
        "fires/previous_stage.json"
        "fires/rotation_failed.json"
        "fires/rotation_never_finished.json"
        "quiet/everybody_moved_on.json"
        "quiet/finished_in_time.json"
        "quiet/first_readers_of_a_rotated_new_secret.json"
        "quiet/new_reader_long_after.json"
        "quiet/rolled_back.json"
        "quiet/rotation_function.json"
        "quiet/within_the_grace_period.json"
    ),
    pack!("unused_secret":
        "rule.toml"
        "detect.sql"
        "guide.md"
        "verdict.sql"
        "fires/a_person_read_it_once.json"
        "fires/never_read.json"
        "fires/no_longer_read.json"
        "fires/only_its_rotation_function.json"
        "fires/parameter.json"
        "quiet/deleted.json"
        "quiet/gap_in_the_logs.json"
        "quiet/path_read.json"
        "quiet/replica_is_used.json"
        "quiet/short_history.json"
        "quiet/start_time_reader.json"
        "quiet/sync_agent_only.json"
        "quiet/used.json"
        "quiet/young.json"
    ),
];

/// Every built-in pack.
pub(crate) fn packs() -> Vec<Result<Pack, RuleError>> {
    PACKS
        .iter()
        .map(|(id, files)| {
            let files: BTreeMap<String, String> =
                files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            Pack::from_files(id, &files, true)
        })
        .collect()
}
