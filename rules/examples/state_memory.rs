//! What the rules' state takes in memory, per million pairs (principal, secret).
//!
//! `cargo run --release -p keytrail -p keytrail-rules --example state_memory -- [PAIRS] [DAYS]` folds so many pairs
//! (300,000 by default) over so many days (90) and prints what the process has grown by, the snapshot's size and the
//! time. A debug build takes the same memory and more time.
//!
//! The fleet: a secret has three readers and a principal five secrets. Of ten pairs four are used on every day, three
//! once a week and three on one or two days in all; each principal has two networks and two agents, and a new access key
//! every day. One row stands for all of a pair's rows of one day: the others cost no memory.

use std::{error::Error, fs, io::Write, time::Instant};

use keytrail_model::{
    Micros,
    time::{DAY, HOUR, SECOND},
};
use keytrail_rules::state::{Row, State, Touched};

/// 2026-05-01T00:00:00Z.
const START: Micros = 1_777_593_600_000_000;
const SECRETS_PER_PRINCIPAL: usize = 5;
const READERS_PER_SECRET: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pairs: usize = arguments.next().map_or(Ok(300_000), |text| text.parse())?;
    let days: i64 = arguments.next().map_or(Ok(90), |text| text.parse())?;
    let before = resident()?;
    let begun = Instant::now();
    let mut state = State::default();
    let mut rows = 0_usize;
    for day in 0..days {
        for pair in (0..pairs).filter(|pair| is_used(*pair, day, days)) {
            fold(&mut state, pair, pairs, day);
            rows += 1;
        }
    }
    let folding = begun.elapsed();
    let grown = resident()?.saturating_sub(before);
    let begun = Instant::now();
    let snapshot = state.to_snapshot()?;
    let writing = begun.elapsed();
    let begun = Instant::now();
    let read = State::from_snapshot(&snapshot)?;
    let reading = begun.elapsed();
    let known = state.pair_count();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{known} pairs over {days} days, {rows} rows folded in {folding:.1?}")?;
    writeln!(out, "memory: {} MB, {} bytes a pair", grown / 1_000_000, grown / known.max(1))?;
    writeln!(out, "snapshot: {} MB, {} bytes a pair", snapshot.len() / 1_000_000, snapshot.len() / known.max(1))?;
    writeln!(out, "written in {writing:.1?}, read in {reading:.1?}, the same: {}", read == state)?;
    Ok(())
}

fn is_used(pair: usize, day: i64, days: i64) -> bool {
    let shift = i64::try_from(pair / 10).unwrap_or(0);
    match pair % 10 {
        0..4 => true,
        4..7 => (day + shift) % 7 == 0,
        7 => day == shift % days || day == (shift + 3) % days,
        _ => day == shift % days,
    }
}

fn fold(state: &mut State, pair: usize, pairs: usize, day: i64) {
    // Neighbouring pairs share a principal; a secret's readers are far apart.
    let principal = pair / SECRETS_PER_PRINCIPAL;
    let secret = pair % pairs.div_ceil(READERS_PER_SECRET).max(1);
    // A team has some twenty secrets; a principal is of the team whose secret it reads first.
    let first = principal * SECRETS_PER_PRINCIPAL % pairs.div_ceil(READERS_PER_SECRET).max(1);
    let (team, own_team) = (secret / 20, first / 20);
    let account = 111_122_223_333 + principal % 20;
    let principal_id = format!("arn:aws:iam::{account:012}:role/team-{own_team}/service-{principal}");
    let unique_id = format!("AROA{principal:017}");
    let secret_name = format!("team-{team}/database-{secret}/password");
    let secret_id = format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{secret_name}-AbCdEf");
    // Ids look random, as CloudTrail's do.
    let number = (u128::try_from(pair).unwrap_or(0) << 32 | u128::from(day.unsigned_abs()))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let text = format!("{number:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let event_id = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-");
    let hour = i64::try_from(pair % 9).unwrap_or(0) + 8;
    let network = if day % 7 == 0 { 1 } else { 0 };
    let source_ip = format!("10.{}.{}.7", (principal + network) % 200, principal % 250);
    let access_key_id = format!("ASIA{principal:010}{day:06}");
    let row = Row {
        event_id: &event_id,
        event_name: "GetSecretValue",
        action: "read",
        outcome: "ok",
        secret_resolution: "arn",
        principal_id: &principal_id,
        principal_kind: "role",
        account_id: "111122223333",
        region: "us-east-1",
        object_key: "key",
        shared_event_id: None,
        corrects_event_id: None,
        secret_id: Some(&secret_id),
        secret_name: Some(&secret_name),
        secret_kind: Some("secretsmanager"),
        secret_account: Some("111122223333"),
        secret_region: Some("us-east-1"),
        version_id: None,
        version_stage: None,
        version_evidence: None,
        principal_account: Some("111122223333"),
        principal_unique_id: Some(&unique_id),
        invoked_by: None,
        access_key_id: Some(&access_key_id),
        source_ip: Some(&source_ip),
        vpc_endpoint_id: None,
        user_agent_family: Some(if day % 10 == 0 { "aws-cli" } else { "boto3" }),
        event_at: START + day * DAY + hour * HOUR + i64::try_from(pair % 3_600).unwrap_or(0) * SECOND,
        record_index: 0,
        delivered_at: None,
        changed: false,
    };
    state.fold(&row, &mut Touched::default());
}

/// Bytes of memory that the process has filled, from Linux's own count; pages of the program file are not among them.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
