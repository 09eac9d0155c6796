//! CloudTrail objects whose rows are known before anybody reads them.
//!
//! [`Corpus::made`] writes them by hand: the reference is what was written, found without any code of Keytrail.
//! [`Corpus::simulated`] takes what `keytrail simulate` wrote: the reference is a count by Python over the same files, and
//! a lake filled by `keytrail ingest FOLDER`.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// One row, as it must be there exactly once: account, event id, secret id.
pub(crate) type RowKey = (String, String, String);

/// One object of a trail's bucket.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    /// Empty until it was put somewhere.
    pub(crate) etag: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: Vec<RowKey>,
    pub(crate) records: u64,
}

/// Objects and what must come of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corpus {
    pub(crate) objects: Vec<Object>,
}

/// What hand-made objects are like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) objects: usize,
    /// Secret reads in one object; as many records again have nothing to do with secrets.
    pub(crate) reads: usize,
    /// Before `AWSLogs/`, with its `/`; may hold anything that S3 allows.
    pub(crate) prefix: String,
    pub(crate) accounts: Vec<String>,
    pub(crate) regions: Vec<String>,
    /// Days of November 2026 that the objects are spread over.
    pub(crate) days: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            objects: 24,
            reads: 3,
            prefix: String::new(),
            accounts: vec!["111122223333".to_owned(), "444455556666".to_owned()],
            regions: vec!["us-east-1".to_owned(), "eu-west-1".to_owned()],
            days: 3,
        }
    }
}

impl Shape {
    pub(crate) fn objects(count: usize) -> Self {
        Self { objects: count, ..Self::default() }
    }
}

impl Corpus {
    pub(crate) fn made(seed: u64, shape: &Shape) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let objects = (0..shape.objects).map(|index| object(&mut random, shape, index)).collect();
        Self { objects }
    }

    /// The rows that must be there, each once.
    pub(crate) fn rows(&self) -> BTreeSet<RowKey> {
        self.objects.iter().flat_map(|object| object.rows.iter().cloned()).collect()
    }

    pub(crate) fn records(&self) -> u64 {
        self.objects.iter().map(|object| object.records).sum()
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.objects.iter().map(|object| (object.key.as_str(), object.bytes.as_slice()))
    }
}

/// Every file below a folder as (path relative to it with `/`, bytes), in order; for what `keytrail simulate` wrote.
pub(crate) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let key = path.strip_prefix(folder).expect("it is inside").to_str().expect("UTF-8").to_owned();
                found.push((key, fs::read(&path).expect("a file")));
            }
        }
    }
    found.sort();
    found
}

fn object(random: &mut ChaCha8Rng, shape: &Shape, index: usize) -> Object {
    let account = &shape.accounts[index % shape.accounts.len()];
    let region = &shape.regions[(index / shape.accounts.len()) % shape.regions.len()];
    let day = 1 + u32::try_from(index).expect("few objects") % shape.days;
    let minute = random.random_range(0..1_440);
    let mut rows = Vec::new();
    let mut records = Vec::new();
    for number in 0..shape.reads {
        let at = format!("2026-11-{day:02}T{:02}:{:02}:{:02}Z", minute / 60, minute % 60, number % 60);
        let secret = random.random_range(0..40);
        let arn = format!("arn:aws:secretsmanager:{region}:{account}:secret:service-{secret}/token-Ab{secret:04}");
        let id = uuid(random);
        records.push(read(account, region, &at, &arn, &id, random.random_range(0..12)));
        records.push(unrelated(account, region, &at, &uuid(random)));
        rows.push((account.clone(), id, arn));
    }
    let unique: String = (0..16).map(|_| char::from(b'a' + random.random_range(0..26))).collect();
    let key = format!(
        "{}AWSLogs/o-exampleorg/{account}/CloudTrail/{region}/2026/11/{day:02}/{account}_CloudTrail_{region}_202611{day:02}T{:02}{:02}Z_{unique}.json.gz",
        shape.prefix,
        minute / 60,
        minute % 60
    );
    let bytes = gzip(json!({ "Records": records }).to_string().as_bytes());
    Object { key, etag: String::new(), bytes, rows, records: records.len() as u64 }
}

/// A read of one secret by a role's session.
pub(crate) fn read(account: &str, region: &str, at: &str, secret_arn: &str, event_id: &str, role: u32) -> Value {
    let role_id = format!("AROAEXAMPLE{role:010}");
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("{role_id}:session"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/service-{role}/session"),
            "accountId": account,
            "accessKeyId": format!("ASIAEXAMPLE{role:09}"),
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": role_id,
                    "arn": format!("arn:aws:iam::{account}:role/service-{role}"),
                    "accountId": account,
                    "userName": format!("service-{role}"),
                },
                "attributes": {"creationDate": at, "mfaAuthenticated": "false"},
            },
        },
        "eventTime": at,
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "GetSecretValue",
        "awsRegion": region,
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-sdk-rust/1.3.7 os/linux lang/rust/1.85.0",
        "requestParameters": {"secretId": secret_arn},
        "responseElements": null,
        "requestID": event_id,
        "eventID": event_id,
        "readOnly": true,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    })
}

fn unrelated(account: &str, region: &str, at: &str, event_id: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"},
        "eventTime": at,
        "eventSource": "ec2.amazonaws.com",
        "eventName": "DescribeInstances",
        "awsRegion": region,
        "sourceIPAddress": "autoscaling.amazonaws.com",
        "userAgent": "autoscaling.amazonaws.com",
        "requestParameters": {"filterSet": {}},
        "responseElements": null,
        "requestID": event_id,
        "eventID": event_id,
        "readOnly": true,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    })
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A version 4 UUID from the seed.
pub(crate) fn uuid(random: &mut ChaCha8Rng) -> String {
    let bits: u128 = (random.random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    let part = |from: usize, to: usize| text.get(from..to).expect("hexadecimal digits").to_owned();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
