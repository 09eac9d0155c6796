//! What the lake itself tells of the pipe: who is silent, what is quarantined.
//!
//! In: a lake, and the moment that counts as now. Out: conditions. Numbers come from SQL over the lake's views
//! (`silences.sql`, `quarantine.sql`); what they mean is decided here, in plain Rust.
//!
//! Invariants: a place without a habit never counts as silent; an account all of whose places are silent is one
//! condition, and so are all accounts; text from keys and reasons is made safe and short.

use std::collections::BTreeMap;

use keytrail_lake::{Lake, datafusion::prelude::SessionContext, session::SessionSettings};
use keytrail_model::{
    Micros, Severity, display,
    time::{self, SECOND},
};
use serde_json::{Map, Value};

use super::{ACCOUNT_SILENT, Condition, LAKE_SILENT, QUARANTINE, REGION_SILENT, SystemError, SystemSettings};
use crate::{bind, columns, param::ParamValue};

/// The rules that [`lake_conditions`] looks at as a whole.
pub const LAKE_RULES: [&str; 4] = [REGION_SILENT, ACCOUNT_SILENT, LAKE_SILENT, QUARANTINE];

/// Those of them that a worker which is behind cannot check: it may raise them by the horizon, and must not close them by it,
/// because the horizon never tells that everything is silent.
pub const SILENCE_RULES: [&str; 3] = [REGION_SILENT, ACCOUNT_SILENT, LAKE_SILENT];

/// Conditions of one rule beyond this are left out: account ids come from object keys, and those from outside.
const MOST: usize = 500;
/// A silence this many times longer than any usual one is grave.
const GRAVE: f64 = 4.0;
const MINUTE: Micros = 60 * SECOND;

/// Which moment is "now".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveOrHorizon {
    /// The clock: for a worker that has read all there is to read. Sees that the whole lake is silent.
    Live(Micros),
    /// The lake's newest delivery: for judging files, and for a worker that is behind (see [`SILENCE_RULES`]).
    Horizon,
}

/// Every condition that the lake tells of.
///
/// # Errors
/// The lake cannot be asked.
pub async fn lake_conditions(
    lake: &Lake,
    session: &SessionSettings,
    now: LiveOrHorizon,
    settings: &SystemSettings,
) -> Result<Vec<Condition>, SystemError> {
    Ok(look(lake, session, now, settings).await?.map(|(_, conditions)| conditions).unwrap_or_default())
}

/// The same with the moment; `None` for a lake without any delivery.
pub(super) async fn look(
    lake: &Lake,
    session: &SessionSettings,
    now: LiveOrHorizon,
    settings: &SystemSettings,
) -> Result<Option<(Micros, Vec<Condition>)>, SystemError> {
    // Our own questions join small tables.
    let session = lake.session(&SessionSettings { prefer_hash_join: true, ..session.clone() }).await?;
    let now = match now {
        LiveOrHorizon::Live(now) => now,
        LiveOrHorizon::Horizon => {
            let rows = ask(&session, "horizon", "SELECT horizon_at FROM horizon", None).await?;
            // A key may claim a delivery that is still to come.
            match rows.first().and_then(|row| number(row, "horizon_at")) {
                Some(horizon) => horizon.min(time::now()),
                None => return Ok(None),
            }
        }
    };
    let silences = ask(&session, "silences", include_str!("silences.sql"), Some(now)).await?;
    let places: Vec<Place> = silences.iter().filter_map(|row| Place::of(row, settings)).collect();
    let mut conditions = silent(&places, now);
    let quarantined = ask(&session, "quarantine", include_str!("quarantine.sql"), None).await?;
    conditions.extend(quarantine(&quarantined));
    Ok(Some((now, conditions)))
}

async fn ask(
    session: &SessionContext,
    what: &'static str,
    sql: &str,
    now: Option<Micros>,
) -> Result<Vec<Map<String, Value>>, SystemError> {
    let params = now.map(|now| ("now".to_owned(), ParamValue::Moment(now))).into_iter().collect();
    let sql = bind::bind(sql, &params).map_err(|unbound| SystemError::Unbound { what, name: unbound.name })?;
    let failed = |source| SystemError::Query { what, source: Box::new(source) };
    let batches = session.sql(&sql).await.map_err(failed)?.collect().await.map_err(failed)?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(columns::rows(batch).map_err(|source| SystemError::Rows { what, source: Box::new(source) })?);
    }
    Ok(rows)
}

/// One account and region, as `silences.sql` tells of it.
#[derive(Clone, Debug)]
struct Place {
    account_id: String,
    region: String,
    silent_since: Micros,
    usual: Micros,
    object_count: i64,
    /// It has delivered enough for its silence to mean something.
    has_habit: bool,
    is_silent: bool,
    is_grave: bool,
}

impl Place {
    fn of(row: &Map<String, Value>, settings: &SystemSettings) -> Option<Self> {
        let float = |name: &str| row.get(name).and_then(Value::as_f64);
        let silent_minutes = float("silent_minutes")?;
        let usual_minutes = float("usual_minutes")?;
        let least = settings.silent_after as f64 / MINUTE as f64;
        let object_count = number(row, "object_count")?;
        let has_habit = object_count >= settings.min_objects;
        let is_usual = row.get("is_habit").and_then(Value::as_bool)?;
        Some(Self {
            account_id: text(row, "account_id")?,
            region: text(row, "region")?,
            silent_since: number(row, "silent_since")?,
            usual: (usual_minutes * MINUTE as f64) as Micros,
            object_count,
            has_habit,
            is_silent: has_habit && !is_usual && silent_minutes > least.max(usual_minutes),
            is_grave: silent_minutes > GRAVE * least.max(usual_minutes),
        })
    }
}

/// Silent regions, or their accounts where nothing else of these speaks, or the lake where no account does.
fn silent(places: &[Place], now: Micros) -> Vec<Condition> {
    let mut accounts: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
    for place in places {
        accounts.entry(&place.account_id).or_default().push(place);
    }
    let (mut regions, mut whole) = (Vec::new(), Vec::new());
    let mut somebody_speaks = false;
    for places in accounts.values() {
        let silent: Vec<&Place> = places.iter().copied().filter(|place| place.is_silent).collect();
        let since = silent.iter().map(|place| place.silent_since).max();
        // A place without a habit says nothing by its silence, but it speaks when it delivers.
        let speaks = |place: &&Place| {
            if place.has_habit { !place.is_silent } else { since.is_none_or(|since| place.silent_since > since) }
        };
        if silent.is_empty() || places.iter().any(speaks) {
            somebody_speaks |= places.iter().any(speaks);
            regions.extend(silent);
        } else {
            whole.push(silent);
        }
    }
    let mut conditions: Vec<Condition> = regions.into_iter().map(|place| region_silent(place, now)).collect();
    if whole.len() > 1 && conditions.is_empty() && !somebody_speaks {
        conditions.extend(lake_silent(&whole, now));
    } else {
        conditions.extend(whole.iter().filter_map(|places| account_silent(places, now)));
    }
    capped(conditions, "silent places")
}

fn region_silent(place: &Place, now: Micros) -> Condition {
    let name = format!("{}/{}", safe(&place.account_id), safe(&place.region));
    Condition {
        severity: if place.is_grave { Severity::High } else { Severity::Medium },
        title: format!("{name} is silent"),
        reason: format!(
            "{}, where {} objects came before and no silence is usually longer than {}; check that its trail still \
             logs and delivers there: `keytrail doctor` asks AWS.",
            nothing_since(&name, place.silent_since, now),
            display::count(place.object_count),
            display::duration(place.usual),
        ),
        account_id: Some(place.account_id.clone()),
        region: Some(place.region.clone()),
        ..lasting(REGION_SILENT, vec![place.account_id.clone(), place.region.clone()], place.silent_since)
    }
}

fn account_silent(places: &[&Place], now: Micros) -> Option<Condition> {
    let newest = places.iter().max_by_key(|place| place.silent_since)?;
    let usual = places.iter().map(|place| place.usual).min()?;
    let name = safe(&newest.account_id);
    let regions = match places {
        [one] => safe(&one.region),
        many => format!("all {} regions", many.len()),
    };
    Some(Condition {
        severity: Severity::High,
        title: format!("Account {name} is silent"),
        reason: format!(
            "{}, where no silence is usually longer than {}; check that the account's trail still logs, \
             that its bucket policy lets CloudTrail write, and that its notifications reach the queue: `keytrail doctor` \
             asks AWS.",
            nothing_since(&format!("account {name} ({regions})"), newest.silent_since, now),
            display::duration(usual),
        ),
        account_id: Some(newest.account_id.clone()),
        ..lasting(ACCOUNT_SILENT, vec![newest.account_id.clone()], newest.silent_since)
    })
}

fn lake_silent(accounts: &[Vec<&Place>], now: Micros) -> Option<Condition> {
    let all = || accounts.iter().flatten();
    let since = all().map(|place| place.silent_since).max()?;
    let usual = all().map(|place| place.usual).min()?;
    Some(Condition {
        severity: Severity::Critical,
        title: "Nothing arrives any more".to_owned(),
        reason: format!(
            "{}, where no silence is usually longer than {}; check what they share, which is the bucket's \
             notifications, the queue and this worker's permissions: `keytrail doctor` asks AWS, and `keytrail \
             reconcile` takes in what was delivered meanwhile.",
            nothing_since(&format!("any of {} accounts", accounts.len()), since, now),
            display::duration(usual),
        ),
        ..lasting(LAKE_SILENT, Vec::new(), since)
    })
}

fn nothing_since(name: &str, since: Micros, now: Micros) -> String {
    let length = display::duration(now.saturating_sub(since));
    format!("Nothing was delivered for {name} since {} ({length})", display::moment(since))
}

/// A condition that only lasts.
fn lasting(rule_id: &str, subject: Vec<String>, since: Micros) -> Condition {
    Condition {
        rule_id: rule_id.to_owned(),
        subject,
        since,
        happened_at: since,
        known_at: since,
        count: 1,
        severity: Severity::Medium,
        title: String::new(),
        reason: String::new(),
        account_id: None,
        region: None,
    }
}

/// One condition for each account and region with something in quarantine.
fn quarantine(rows: &[Map<String, Value>]) -> Vec<Condition> {
    let place = |row: &Map<String, Value>| (text(row, "account_id"), text(row, "region"));
    let conditions = rows.chunk_by(|one, other| place(one) == place(other)).filter_map(|rows| {
        let first = rows.first()?;
        let (account_id, region) = place(first);
        let (total, objects) = (number(first, "total_count")?, number(first, "object_count")?);
        let since = number(first, "since")?;
        let name = match (&account_id, &region) {
            (Some(account), Some(region)) => format!("{}/{}", safe(account), safe(region)),
            (Some(account), None) => safe(account),
            _ => "an unknown account".to_owned(),
        };
        let reasons: Vec<String> = rows
            .iter()
            .filter_map(|row| {
                let times = match number(row, "reason_count")? {
                    1 => String::new(),
                    many => format!(" ({} times)", display::count(many)),
                };
                Some(format!("{}{times}", safe(&text(row, "reason")?)))
            })
            .collect();
        Some(Condition {
            happened_at: number(first, "happened_at")?,
            known_at: number(first, "known_at")?,
            count: total,
            // A whole object is thousands of records that nobody has judged.
            severity: if objects > 0 { Severity::High } else { Severity::Medium },
            title: format!("{} from {name} cannot be read", things(objects, total - objects)),
            reason: format!(
                "{} from {name}, delivered since {}, are quarantined and not judged, where usually nothing is: {}; \
                 `keytrail quarantine list` names them, and `keytrail quarantine retry` reads them again once the cause is \
                 mended.",
                things(objects, total - objects),
                display::moment(since),
                reasons.join("; "),
            ),
            subject: vec![account_id.clone().unwrap_or_default(), region.clone().unwrap_or_default()],
            account_id,
            region,
            ..lasting(QUARANTINE, Vec::new(), since)
        })
    });
    capped(conditions.collect(), "quarantined places")
}

/// `2 objects and 31 records`.
fn things(objects: i64, records: i64) -> String {
    let counted = |number: i64, word: &str| match number {
        1 => format!("1 {word}"),
        many => format!("{} {word}s", display::count(many)),
    };
    match (objects, records) {
        (objects, 0) => counted(objects, "object"),
        (0, records) => counted(records, "record"),
        (objects, records) => format!("{} and {}", counted(objects, "object"), counted(records, "record")),
    }
}

fn capped(mut conditions: Vec<Condition>, what: &str) -> Vec<Condition> {
    if conditions.len() > MOST {
        tracing::warn!(count = conditions.len(), most = MOST, "too many {what} for one alert each");
        conditions.truncate(MOST);
    }
    conditions
}

fn safe(text: &str) -> String {
    display::terminal_safe(text)
}

fn text(row: &Map<String, Value>, name: &str) -> Option<String> {
    row.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(row: &Map<String, Value>, name: &str) -> Option<i64> {
    row.get(name).and_then(Value::as_i64)
}
