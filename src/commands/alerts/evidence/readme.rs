//! The README of an evidence bundle: what is what, and how to judge it again.

use keytrail_model::{Alert, display, time};

use super::history::{Kept, Reproduced};

/// The text. What an attacker wrote is made safe, and stands in code so that no page takes it for markup.
pub(super) fn text(alert: &Alert, version: &str, kept: &Kept, reproduced: &Reproduced, data: &str) -> String {
    let code = |text: &str| format!("`{}`", display::terminal_safe(text).replace('`', "'"));
    let judged = match reproduced {
        Reproduced::Yes { others: 0 } => format!("It raises alert {} again.", alert.alert_id),
        Reproduced::Yes { others } => {
            format!(
                "It raises alert {} again, and {others} others of the same rule from the same records.",
                alert.alert_id
            )
        }
        Reproduced::No(why) => {
            format!("**It does not raise the alert again by itself:** {}", code(why))
        }
    };
    let versions = if alert.rule_version == version {
        format!("version {version}, which is the one that raised the alert")
    } else {
        format!(
            "version {version}; the alert was raised by version {}, which this program no longer has",
            alert.rule_version
        )
    };
    let cut = if kept.known > kept.records.len() + kept.foreign {
        format!(
            " The lake holds more of them than are kept ({} were looked at): the alert's own events, the first uses and the newest came first.",
            kept.known
        )
    } else {
        String::new()
    };
    let foreign = match kept.foreign {
        0 => String::new(),
        number => format!(" {number} records are not CloudTrail's (access logs) and are left out of the sample."),
    };
    let completed = match kept.completed {
        0 => String::new(),
        number => format!(
            " In {number} of them a secret was called by its name; the sample has the ARN that the lake knows instead. `events.json` has \
             the records as they came."
        ),
    };
    format!(
        "# Evidence for alert {id}\n\n\
         {title}\n\n{reason}\n\n\
         Rule {rule}, first event {first}, last event {last}, {count} events.\n\n\
         ## What is what\n\n\
         - `alert.json`: the alert as it stood when this was written, with its history.\n\
         - `events.json`: the events that it rests on, each with its object, its place in it and its record. Secret values never were in \
         it: they are left out when a record is read.\n\
         - `findings.json`: what the rule finds in each of these events, every column, and the conditions that were met.\n\
         - `coverage.json`: which hours of the trail were seen around it, and the gaps.\n\
         - `pack/{rule_id}/`: the rule, {versions}. `fires/evidence.json` is a sample made of {records} records: what the principal did \
         and what was done with the secrets up to the alert, with the configuration that the rule ran with.{cut}{foreign}{completed}\n\
         - `manifest.json`: the size and the SHA-256 of each file.\n\n\
         ## Judge it again\n\n\
         ```sh\nkeytrail rules test pack/{rule_id}\n```\n\n\
         {judged}\n\n\
         ## How complete the lake was\n\n{data}\n\nWritten at {now}.\n",
        id = alert.alert_id,
        title = code(&alert.title),
        reason = code(&alert.reason),
        rule = code(&alert.rule_id),
        rule_id = alert.rule_id,
        first = display::moment(alert.first_event_at),
        last = display::moment(alert.last_event_at),
        count = display::count(alert.event_count),
        records = kept.records.len(),
        data = code(data),
        now = time::to_rfc3339(time::now()),
    )
}
