//! Where in a bucket a prefix stands.
//!
//! In: a prefix that ends in `/` (or is empty). Out: its [`Place`] in `[prefix/]AWSLogs/[o-ORG/]ACCOUNT/CloudTrail/REGION/Y/M/D/`,
//! told by the last `AWSLogs` in it, since Control Tower repeats the organisation's id around that. No prefix is an error: what
//! is no place of a trail's tree is [`Level::Other`].

const TREE: &str = "AWSLogs";
const LEFT_ALONE: [&str; 4] =
    ["CloudTrail-Digest", "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail-Aggregated"];

/// A day as it stands in a key: sorts as it reads, `2026-08-01`.
pub(super) type Day = String;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// No `AWSLogs` in it.
    Above,
    /// Holds accounts, or an organisation.
    Accounts,
    Services,
    Regions,
    Years,
    /// Of a year.
    Months(String),
    /// Of a month, `2026-08`.
    Days(String),
    Day(Day),
    /// Digests and the like.
    LeftAlone,
    /// Another service's logs below an account.
    OtherService,
    /// Something else, also deeper than a day.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) region: Option<&'a str>,
    pub(super) level: Level,
}

impl<'a> Place<'a> {
    pub(super) fn of(prefix: &'a str) -> Self {
        let segments: Vec<&str> = prefix.split_terminator('/').collect();
        let nowhere = |level| Place { account: None, region: None, level };
        let Some(tree) = segments.iter().rposition(|segment| *segment == TREE) else {
            return nowhere(Level::Above);
        };
        let below: Vec<&str> =
            segments.into_iter().skip(tree + 1).skip_while(|segment| segment.starts_with("o-")).collect();
        let level = match below.as_slice() {
            [] => Level::Accounts,
            [_] => Level::Services,
            [_, service, ..] if LEFT_ALONE.contains(service) => Level::LeftAlone,
            [_, service] if !service.starts_with("CloudTrail") => Level::OtherService,
            [_, service, ..] if !service.starts_with("CloudTrail") => Level::Other,
            [_, _] => Level::Regions,
            [_, _, _] => Level::Years,
            [_, _, _, year] if is_number(year, 4) => Level::Months((*year).to_owned()),
            [_, _, _, year, month] if is_number(year, 4) && is_number(month, 2) => {
                Level::Days(format!("{year}-{month}"))
            }
            [_, _, _, year, month, day] if is_number(year, 4) && is_number(month, 2) && is_number(day, 2) => {
                Level::Day(format!("{year}-{month}-{day}"))
            }
            _ => Level::Other,
        };
        let is_trail = below.get(1).is_some_and(|service| service.starts_with("CloudTrail"));
        Place { account: below.first().copied(), region: below.get(2).copied().filter(|_| is_trail), level }
    }
}

/// Whether a folder above any tree may lead to one: partitions by date or by name do not.
pub(super) fn may_lead_to_a_tree(folder: &str) -> bool {
    let name = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_date = name.len() <= 4 && name.bytes().all(|byte| byte.is_ascii_digit());
    !is_date && !name.contains('=')
}

/// Whether a key is of a kind that is not read: by its folder, or in a flat heap by its name.
pub(super) fn is_left_alone(key: &str) -> bool {
    let mut segments = key.rsplit('/');
    let name = segments.next().unwrap_or_default();
    segments.any(|segment| LEFT_ALONE.contains(&segment)) || name.split('_').any(|part| LEFT_ALONE.contains(&part))
}

/// The folder that a key is in, with its `/`.
pub(super) fn folder_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| key.get(..=folder.len()).unwrap_or_default())
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_told() {
        let trail = "pre/fix/AWSLogs/o-abc/111122223333/CloudTrail/";
        for (prefix, level) in [
            (String::new(), Level::Above),
            ("logs/app/".to_owned(), Level::Above),
            ("AWSLogs/".to_owned(), Level::Accounts),
            ("o-abc/AWSLogs/o-abc/".to_owned(), Level::Accounts),
            ("AWSLogs/o-abc/o-abc/".to_owned(), Level::Accounts),
            ("AWSLogs/111122223333/".to_owned(), Level::Services),
            ("AWSLogs/111122223333/Config/".to_owned(), Level::OtherService),
            ("AWSLogs/111122223333/Config/us-east-1/".to_owned(), Level::Other),
            ("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/".to_owned(), Level::LeftAlone),
            (trail.to_owned(), Level::Regions),
            (format!("{trail}us-east-1/"), Level::Years),
            (format!("{trail}us-east-1/2026/"), Level::Months("2026".to_owned())),
            (format!("{trail}us-east-1/2026/08/"), Level::Days("2026-08".to_owned())),
            (format!("{trail}us-east-1/2026/08/01/"), Level::Day("2026-08-01".to_owned())),
            (format!("{trail}us-east-1/2026/8/"), Level::Other),
            (format!("{trail}us-east-1/2026/08/01/deeper/"), Level::Other),
        ] {
            assert_eq!(Place::of(&prefix).level, level, "{prefix}");
        }
        let day = format!("{trail}us-east-1/2026/08/01/");
        assert_eq!((Place::of(&day).account, Place::of(&day).region), (Some("111122223333"), Some("us-east-1")));
    }

    #[test]
    fn folders_and_names() {
        assert_eq!(folder_of("a/b/c"), "a/b/");
        assert_eq!(folder_of("é/x"), "é/");
        assert_eq!(folder_of("c"), "");
        assert!(may_lead_to_a_tree("x/111122223333/") && may_lead_to_a_tree("logs/"));
        assert!(!may_lead_to_a_tree("x/2026/") && !may_lead_to_a_tree("x/year=2026/"));
        assert!(is_left_alone("AWSLogs/1/CloudTrail-Digest/us-east-1/x.gz"));
        assert!(is_left_alone("heap/1_CloudTrail-Insight_us-east-1_20260801T1200Z_x.json.gz"));
        assert!(!is_left_alone("AWSLogs/1/CloudTrail/us-east-1/1_CloudTrail_us-east-1_x.gz"));
    }
}
