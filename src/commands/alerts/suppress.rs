//! `keytrail alerts suppress`, `suppressions` and `unsuppress`.
//!
//! In: matchers, an owner, a reason and an end. Out: a row in the suppressions' log, and standing open alerts that it covers
//! under it. Before that it is shown what it would have covered in the last 30 days of the lake; where true positives are among that,
//! nothing is made without `--yes`.

use std::collections::BTreeMap;

use anyhow::Result;
use keytrail_alerts::{
    Act, Change, fingerprint, lifecycle,
    suppress::{covers, parse_network},
};
use keytrail_lake::Lake;
use keytrail_model::{
    Alert, AlertState, Matcher, Micros, Severity, Suppression, Verdict, display,
    time::{self, DAY},
};
use keytrail_rules::param::parse_duration;
use serde_json::{Value, json};

use super::{actor, one, usage};
use crate::{
    args::{FormatArg, Global, SuppressArgs},
    commands::table::{self, Column},
    exit_code::{ExitCode, Failure},
    output::Output,
};

/// Longest life of a suppression: who still needs it then says so again.
const LONGEST: Micros = 90 * DAY;
/// What the preview looks back on.
const LOOK_BACK: Micros = 30 * DAY;
/// Covered true positives that are named before the rest is counted.
const NAMED: usize = 10;

pub(super) async fn make(lake: &Lake, args: &SuppressArgs, global: &Global, output: Output) -> Result<ExitCode> {
    let alerts = lake.alerts().await?;
    let suppression = suppression(args, &alerts)?;
    let covered = Covered::of(&suppression, &alerts);
    let as_json = matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson));
    if !as_json {
        covered.tell(output)?;
    }
    let refused = covered.true_positives.len();
    let is_made = !args.preview && (refused == 0 || args.yes);
    let mut standing = Vec::new();
    if is_made {
        lake.append_suppressions(std::slice::from_ref(&suppression)).await?;
        standing = cover_standing(lake, &suppression).await?;
    }
    if as_json {
        let mut value = covered.as_json();
        value["suppression"] = self::as_json(&suppression);
        value["made"] = json!(is_made);
        value["standing"] = json!(standing);
        output.line(value.to_string())?;
    }
    match (args.preview, is_made) {
        (true, _) => output.say("nothing was made: --preview"),
        (_, true) if !as_json => {
            output.line(format!(
                "{} holds until {}: {}",
                suppression.suppression_id,
                display::moment(suppression.expires_at),
                matchers(&suppression.matcher)
            ))?;
            if !standing.is_empty() {
                output.line(format!(
                    "{} standing alerts are suppressed now: {}",
                    standing.len(),
                    standing.join(", ")
                ))?;
            }
        }
        (_, true) => {}
        (_, false) => {
            return Err(Failure::new(
                ExitCode::Usage,
                format!("nothing was made: it would have silenced {refused} true positives"),
            )
            .hint("choose narrower matchers, or say --yes if that is meant")
            .into());
        }
    }
    Ok(ExitCode::Ok)
}

/// Checks what was typed.
fn suppression(args: &SuppressArgs, alerts: &[Alert]) -> Result<Suppression, Failure> {
    let now = time::now();
    let matcher = matcher(args, alerts)?;
    let needed = |value: &Option<String>, flag: &str, what: &str| match value.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ if args.preview => Ok(String::new()),
        _ => Err(usage(format!("{flag} is missing: {what}"))),
    };
    let owner = needed(&args.owner, "--owner", "who answers for it")?;
    let reason = needed(&args.reason, "--reason", "why these findings need not be told")?;
    let expires_at = expiry(args, now)?;
    let created_by = actor(args.by.as_deref());
    let given = [&matcher.rule, &matcher.principal, &matcher.secret, &matcher.network, &matcher.account];
    let key: Vec<String> = given
        .into_iter()
        .map(|part| part.clone().unwrap_or_default())
        .chain([created_by.clone(), now.to_string()])
        .collect();
    let id: String = fingerprint("suppression", &key).chars().take(10).collect();
    Ok(Suppression {
        suppression_id: format!("s-{id}"),
        matcher,
        owner,
        reason,
        created_at: now,
        created_by,
        expires_at,
        ended_at: None,
        ended_by: None,
    })
}

fn matcher(args: &SuppressArgs, alerts: &[Alert]) -> Result<Matcher, Failure> {
    let mut matcher = Matcher {
        rule: args.rule.clone(),
        principal: args.principal.clone(),
        secret: args.secret.clone(),
        network: args.network.clone(),
        account: args.account.clone(),
    };
    if let Some(id) = &args.from_alert {
        let alert = one(alerts, id)?;
        let only_secret = match alert.secret_ids.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        matcher.rule = matcher.rule.or_else(|| Some(alert.rule_id.clone()));
        matcher.principal = matcher.principal.or_else(|| alert.principal_id.clone());
        matcher.secret = matcher.secret.or(only_secret);
        matcher.account = matcher.account.or_else(|| alert.account_id.clone());
    }
    let given = [&matcher.rule, &matcher.principal, &matcher.secret, &matcher.network, &matcher.account];
    if given.iter().all(|it| it.is_none()) {
        return Err(usage("say what to suppress: --rule, --principal, --secret, --network, --account or --from-alert"));
    }
    if given.iter().all(|it| it.as_deref().is_none_or(|glob| glob.chars().all(|sign| sign == '*'))) {
        return Err(usage("this would silence everything; name a rule, principal, secret, network or account"));
    }
    if let Some(network) = &matcher.network
        && parse_network(network).is_none()
    {
        return Err(usage(format!("--network: `{network}` is not a network; write `203.0.113.0/24` or one address")));
    }
    if let Some(account) = &matcher.account
        && !(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(usage(format!("--account: `{account}` is not an account's id of 12 digits")));
    }
    Ok(matcher)
}

fn expiry(args: &SuppressArgs, now: Micros) -> Result<Micros, Failure> {
    let expires_at = match (&args.lasting, &args.until) {
        (Some(text), _) => parse_duration(text)
            .map(|length| now.saturating_add(length))
            .ok_or_else(|| usage(format!("--for: `{text}` is not a length of time such as `14d`")))?,
        (None, Some(text)) => time::parse_human(text)
            .ok_or_else(|| usage(format!("--until: `{text}` is no time; write `2026-08-01` or RFC 3339")))?,
        (None, None) if args.preview => now + DAY,
        (None, None) => return Err(usage("--for or --until is missing: every suppression ends by itself")),
    };
    if expires_at <= now {
        return Err(usage("it would have ended already"));
    }
    if expires_at - now > LONGEST {
        return Err(usage(format!(
            "a suppression lasts at most {} days; make it again if it is still needed then",
            LONGEST / DAY
        )));
    }
    Ok(expires_at)
}

/// Open alerts that the new suppression covers go under it. Acknowledged ones stay: somebody looks after them.
async fn cover_standing(lake: &Lake, suppression: &Suppression) -> Result<Vec<String>> {
    let changed = lake
        .change_alerts(|standing: &[Alert]| -> Result<Vec<Alert>, Failure> {
            let act = Act {
                by: suppression.created_by.clone(),
                note: Some(suppression.reason.clone()),
                at: suppression.created_at,
            };
            let open = standing.iter().filter(|alert| alert.state == AlertState::Open && covers(suppression, alert));
            open.map(|alert| lifecycle::apply(alert, Change::Suppress(suppression.suppression_id.clone()), &act))
                .collect::<Result<_, _>>()
                .map_err(usage)
        })
        .await??;
    Ok(changed.into_iter().map(|alert| alert.alert_id).collect())
}

/// What a suppression would have covered.
struct Covered<'a> {
    from: Micros,
    until: Micros,
    /// By rule: how many of each verdict; no verdict is `not judged`.
    rules: BTreeMap<&'a str, BTreeMap<&'static str, usize>>,
    true_positives: Vec<&'a Alert>,
    severe: usize,
    total: usize,
}

impl<'a> Covered<'a> {
    /// Of the 30 days that end with the newest alert, or now where that is later than a day ago: a lake of old data has its own end.
    fn of(suppression: &Suppression, alerts: &'a [Alert]) -> Self {
        let newest = alerts.iter().map(|alert| alert.last_event_at).max().unwrap_or(0);
        let until = if time::now() - newest > LOOK_BACK { newest } else { time::now() };
        let mut covered = Self {
            from: until - LOOK_BACK,
            until,
            rules: BTreeMap::new(),
            true_positives: Vec::new(),
            severe: 0,
            total: 0,
        };
        let recent = alerts.iter().filter(|alert| (covered.from..=until).contains(&alert.last_event_at));
        for alert in recent.filter(|alert| covers(suppression, alert)) {
            let verdict = alert.verdict.map_or("not judged", Verdict::as_str);
            *covered.rules.entry(&alert.rule_id).or_default().entry(verdict).or_default() += 1;
            covered.total += 1;
            covered.severe += usize::from(alert.severity >= Severity::High);
            if alert.verdict == Some(Verdict::TruePositive) {
                covered.true_positives.push(alert);
            }
        }
        covered
    }

    fn tell(&self, output: Output) -> Result<()> {
        let span = format!("between {} and {}", display::moment(self.from), display::moment(self.until));
        output.line(match self.total {
            0 => format!("It would have covered no alert {span}."),
            1 => format!("It would have covered 1 alert {span}, {} of them high or critical:", self.severe),
            many => format!("It would have covered {many} alerts {span}, {} of them high or critical:", self.severe),
        })?;
        for (rule, verdicts) in &self.rules {
            let counts: Vec<String> = verdicts.iter().map(|(verdict, number)| format!("{number} {verdict}")).collect();
            output.line(format!("  {rule}: {}", counts.join(", ")))?;
        }
        if !self.true_positives.is_empty() {
            output.line(format!("\nWARNING: {} of them were TRUE POSITIVES:", self.true_positives.len()))?;
            for alert in self.true_positives.iter().take(NAMED) {
                output.line(format!("  {}  {}", alert.alert_id, display::terminal_safe(&alert.reason)))?;
            }
            if self.true_positives.len() > NAMED {
                output.line(format!("  and {} more", self.true_positives.len() - NAMED))?;
            }
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        json!({
            "from": time::to_rfc3339(self.from), "until": time::to_rfc3339(self.until), "covered": self.total,
            "high_or_critical": self.severe, "by_rule": self.rules,
            "true_positives": self.true_positives.iter().map(|alert| &alert.alert_id).collect::<Vec<_>>(),
        })
    }
}

pub(super) async fn list(lake: &Lake, all: bool, global: &Global, output: Output) -> Result<()> {
    let now = time::now();
    let mut suppressions = lake.suppressions().await?;
    suppressions.retain(|suppression| all || suppression.is_active(now));
    suppressions.sort_by_key(|suppression| (!suppression.is_active(now), suppression.expires_at));
    let columns = [
        Column::new("id", |it: &Suppression| it.suppression_id.clone()),
        Column::new("state", |it| match (it.ended_at, it.is_active(time::now())) {
            (Some(_), _) => "ended".to_owned(),
            (None, true) => "active".to_owned(),
            (None, false) => "ran out".to_owned(),
        }),
        Column::new("until", |it| display::moment(it.ended_at.unwrap_or(it.expires_at))),
        Column::new("owner", |it| display::terminal_safe(&it.owner)),
        Column::new("what", |it| matchers(&it.matcher)),
        Column::new("reason", |it| display::terminal_safe(&it.reason)),
    ];
    table::print(&suppressions, &columns, as_json, global.format, output)
}

pub(super) async fn end(lake: &Lake, id: &str, by: Option<&str>, output: Output) -> Result<()> {
    let now = time::now();
    let suppressions = lake.suppressions().await?;
    let hits: Vec<&Suppression> = suppressions.iter().filter(|it| it.suppression_id.starts_with(id.trim())).collect();
    let found = match hits.as_slice() {
        [one] => *one,
        [] => {
            return Err(Failure::new(ExitCode::NotFound, format!("there is no suppression `{id}`"))
                .hint("`keytrail alerts suppressions --all` shows every id")
                .into());
        }
        many => return Err(usage(format!("`{id}` may mean {} suppressions; give more of the id", many.len())).into()),
    };
    if !found.is_active(now) {
        return Err(usage(format!("{} does not hold any more", found.suppression_id)).into());
    }
    let ended = Suppression { ended_at: Some(now), ended_by: Some(actor(by)), ..found.clone() };
    lake.append_suppressions(std::slice::from_ref(&ended)).await?;
    let alerts = lake.alerts().await?;
    let under = |alert: &&Alert| {
        alert.state == AlertState::Suppressed && alert.suppressed_by.as_ref() == Some(&found.suppression_id)
    };
    output.line(format!("{} has ended", found.suppression_id))?;
    match alerts.iter().filter(under).count() {
        0 => {}
        number => output.line(format!("{number} alerts stay suppressed and open with their next finding"))?,
    }
    Ok(())
}

fn matchers(matcher: &Matcher) -> String {
    let parts = [
        ("rule", &matcher.rule),
        ("principal", &matcher.principal),
        ("secret", &matcher.secret),
        ("network", &matcher.network),
        ("account", &matcher.account),
    ];
    let given = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    display::terminal_safe(&given.collect::<Vec<_>>().join(", "))
}

/// The columns of the view `suppressions`.
pub(super) fn as_json(it: &Suppression) -> Value {
    json!({
        "suppression_id": it.suppression_id, "rule": it.matcher.rule, "principal": it.matcher.principal,
        "secret": it.matcher.secret, "network": it.matcher.network, "account": it.matcher.account,
        "owner": it.owner, "reason": it.reason, "created_at": time::to_rfc3339(it.created_at),
        "created_by": it.created_by, "expires_at": time::to_rfc3339(it.expires_at),
        "ended_at": it.ended_at.map(time::to_rfc3339), "ended_by": it.ended_by,
        "is_active": it.is_active(time::now()),
    })
}
