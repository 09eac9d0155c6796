//! What an object's key tells about it: account, region, delivery time and kind.
//!
//! In: a key or path as it stands in the bucket or on disk. Out: hints. The key is only ever a hint: what an object
//! holds is decided by its bytes, except that the folders of digests, insights, network-activity events and roll-ups
//! say that it is to be left alone. A key that tells nothing gives an empty [`KeyHints`].
//!
//! Keys are matched from their last `AWSLogs/` segment (Control Tower repeats the organisation's id around it) and from the file's
//! name, so a copied folder or a flat heap of files still tells.

use keytrail_model::{Micros, time};

/// What a CloudTrail folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    Digest,
    Insight,
    NetworkActivity,
    Aggregated,
}

/// What the key of an object tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyHints {
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub delivered_at: Option<Micros>,
    pub(super) folder: Option<Folder>,
}

impl KeyHints {
    /// Reads a key; never fails.
    pub fn of(key: &str) -> Self {
        let segments: Vec<&str> = key.split(['/', '\\']).collect();
        let name = segments.last().copied().unwrap_or_default();
        let name = name.split_once('.').map_or(name, |(stem, _extension)| stem);
        let mut hints = Self { folder: segments.iter().find_map(|segment| folder(segment)), ..Self::default() };
        hints.read_tree(&segments);
        hints.read_name(name);
        hints
    }

    /// `AWSLogs/[o-ORG/]ACCOUNT/CloudTrail…/REGION/…`.
    fn read_tree(&mut self, segments: &[&str]) {
        let Some(logs) = segments.iter().rposition(|segment| *segment == "AWSLogs") else {
            return;
        };
        let mut rest = segments.iter().skip(logs + 1).skip_while(|segment| segment.starts_with("o-"));
        let (account, service, region) = (rest.next(), rest.next(), rest.next());
        if let (Some(account), Some(service), Some(region)) = (account, service, region)
            && service.starts_with("CloudTrail")
        {
            self.account_id = Some((*account).to_owned());
            self.region = is_region(region).then(|| (*region).to_owned());
        }
    }

    /// `ACCOUNT_CloudTrail_REGION_STAMP_UNIQUE.json.gz`, with `-` for `_` or without the last part in some copies, or a
    /// Firehose name with its own kind of stamp.
    fn read_name(&mut self, name: &str) {
        if let Some((account, rest)) = name.split_once('_')
            && rest.starts_with("CloudTrail")
        {
            self.folder = self.folder.or_else(|| rest.split_once('_').and_then(|(service, _)| folder(service)));
            self.account_id.get_or_insert_with(|| account.to_owned());
            if self.region.is_none() {
                self.region =
                    rest.split('_').skip(1).map(without_stamp).find(|part| is_region(part)).map(str::to_owned);
            }
        }
        self.delivered_at = name.split(['_', '-']).find_map(cloudtrail_stamp).or_else(|| firehose_stamp(name));
    }
}

fn folder(segment: &str) -> Option<Folder> {
    match segment {
        "CloudTrail-Digest" => Some(Folder::Digest),
        "CloudTrail-Insight" => Some(Folder::Insight),
        "CloudTrail-NetworkActivity" => Some(Folder::NetworkActivity),
        "CloudTrail-Aggregated" => Some(Folder::Aggregated),
        _ => None,
    }
}

/// The region of `us-east-1-20200930T2300`, a form seen in copies.
fn without_stamp(part: &str) -> &str {
    match part.rsplit_once('-') {
        Some((region, stamp)) if cloudtrail_stamp(stamp).is_some() => region,
        _ => part,
    }
}

/// Letters, digits and dashes that end in a digit: regions are not a closed list, and copies are anonymised.
fn is_region(text: &str) -> bool {
    text.len() <= 32
        && text.contains('-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `YYYYMMDDTHHmm`, perhaps with seconds, perhaps with a `Z` (which the unique part may follow without a separator).
fn cloudtrail_stamp(part: &str) -> Option<Micros> {
    let (day, rest) = part.split_once('T')?;
    let (clock, tail) = rest.split_once('Z').unwrap_or((rest, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if day.len() != 8 || !matches!(clock.len(), 4 | 6) || !numeric(day) || !numeric(clock) {
        return None;
    }
    let unique = tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    unique.then(|| time::parse_delivery_stamp(&format!("{day}T{clock}"))).flatten()
}

/// `…-YYYY-MM-DD-HH-MM-SS-…` as in `<stream>-<version>-2026-08-01-12-00-05-<uuid>`.
fn firehose_stamp(name: &str) -> Option<Micros> {
    let parts: Vec<&str> = name.split('-').collect();
    parts.windows(6).find_map(|window| {
        let [year, month, day, hour, minute, second] = window else {
            return None;
        };
        let right = year.len() == 4
            && [month, day, hour, minute, second].iter().all(|part| part.len() == 2)
            && window.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        right.then(|| time::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))).flatten()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(key: &str) -> (Option<String>, Option<String>, Option<String>) {
        let hints = KeyHints::of(key);
        (hints.account_id, hints.region, hints.delivered_at.map(time::to_rfc3339))
    }

    fn all(account: &str, region: &str, at: &str) -> (Option<String>, Option<String>, Option<String>) {
        (Some(account.to_owned()), Some(region.to_owned()), Some(at.to_owned()))
    }

    #[test]
    fn every_form_of_a_trail_key() {
        let wanted = all("111122223333", "us-east-1", "2026-08-01T12:05:00Z");
        for key in [
            "AWSLogs/111122223333/CloudTrail/us-east-1/2026/08/01/111122223333_CloudTrail_us-east-1_20260801T1205Z_AbCdEfGhIjKlMnOp.json.gz",
            "s3://b/pre/fix/AWSLogs/o-abc123/111122223333/CloudTrail/us-east-1/2026/08/01/111122223333_CloudTrail_us-east-1_20260801T1205Z_AbCdEfGhIjKlMnOp.json.gz",
            "o-abc123/AWSLogs/o-abc123/111122223333/CloudTrail/us-east-1/2026/08/01/111122223333_CloudTrail_us-east-1_20260801T1205Z_AbCdEfGhIjKlMnOp.json.gz",
            "AWSLogs/o-abcd/111122223333/CloudTrail/us-east-1/2026/08/01/111122223333_CloudTrail_us-east-1-20260801T1205.json",
            "111122223333_CloudTrail_us-east-1_20260801T1205ZAbCdEfGhIjKlMnOp.json.gz",
            "heap/111122223333_CloudTrail_us-east-1_20260801T1205Z_x.json",
            "heap/111122223333_CloudTrail_us-east-1-20260801T1205.json",
        ] {
            assert_eq!(told(key), wanted, "{key}");
        }
        assert_eq!(told("x/AWSLogs/o-1/not-a-number/CloudTrail/eu-west-1/f.json").0.as_deref(), Some("not-a-number"));
        assert_eq!(told("some/file.json"), (None, None, None));
    }

    #[test]
    fn firehose_names_carry_their_time() {
        let key = "2026/08/01/12/amazon-apigateway-logs-1-2026-08-01-12-34-56-0a1b2c3d-0000-4000-8000-0123456789ab";
        assert_eq!(told(key).2.as_deref(), Some("2026-08-01T12:34:56Z"));
    }

    #[test]
    fn folders_that_hold_something_else() {
        let key = |folder: &str| format!("AWSLogs/111122223333/{folder}/us-east-1/2026/08/01/x.json.gz");
        assert_eq!(KeyHints::of(&key("CloudTrail-Digest")).folder, Some(Folder::Digest));
        assert_eq!(KeyHints::of(&key("CloudTrail-Insight")).folder, Some(Folder::Insight));
        assert_eq!(KeyHints::of(&key("CloudTrail-NetworkActivity")).folder, Some(Folder::NetworkActivity));
        assert_eq!(KeyHints::of(&key("CloudTrail-Aggregated")).folder, Some(Folder::Aggregated));
        assert_eq!(KeyHints::of(&key("CloudTrail")).folder, None);
        let flat = "111122223333_CloudTrail-Digest_us-east-1_trail_us-east-1_20260801T120500Z.json.gz";
        assert_eq!(KeyHints::of(flat).folder, Some(Folder::Digest));
        assert_eq!(told(flat), all("111122223333", "us-east-1", "2026-08-01T12:05:00Z"));
    }

    proptest! {
        #[test]
        fn no_key_panics(key in "([a-zA-Z0-9_/TZé.-]|AWSLogs/|CloudTrail|20260801T1205Z){0,40}") {
            let _hints = KeyHints::of(&key);
        }
    }
}
