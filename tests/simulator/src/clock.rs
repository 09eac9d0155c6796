//! Seconds since the epoch, and the forms AWS writes them in. Pure arithmetic: no clock is ever read.

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 86_400;

/// A civil UTC time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

/// Days to civil date, after Howard Hinnant's `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
pub(crate) fn civil(at: i64) -> Civil {
    let (days, rest) = (at.div_euclid(DAY) + 719_468, at.rem_euclid(DAY));
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: of_year - (153 * shifted + 2) / 5 + 1,
        hour: rest / HOUR,
        minute: rest % HOUR / MINUTE,
        second: rest % MINUTE,
    }
}

fn push_number(out: &mut String, number: i64, width: u32) {
    for place in (0..width).rev() {
        out.push(char::from(b'0' + (number / 10_i64.pow(place) % 10) as u8));
    }
}

/// Appends `2026-08-01T09:30:00Z`.
pub(crate) fn push_rfc3339(out: &mut String, at: i64) {
    let time = civil(at);
    push_number(out, time.year, 4);
    for (mark, number) in [('-', time.month), ('-', time.day), ('T', time.hour), (':', time.minute), (':', time.second)]
    {
        out.push(mark);
        push_number(out, number, 2);
    }
    out.push('Z');
}

pub(crate) fn rfc3339(at: i64) -> String {
    let mut out = String::with_capacity(20);
    push_rfc3339(&mut out, at);
    out
}

/// `Aug 1, 2026, 9:30:00 AM`: how services print times inside parameters and responses.
pub(crate) fn locale_time(at: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = civil(at);
    let hour = if time.hour % 12 == 0 { 12 } else { time.hour % 12 };
    format!(
        "{} {}, {}, {hour}:{:02}:{:02} {}",
        MONTHS[(time.month - 1) as usize],
        time.day,
        time.year,
        time.minute,
        time.second,
        if time.hour < 12 { "AM" } else { "PM" }
    )
}

/// Monday is 0.
pub(crate) fn weekday(at: i64) -> i64 {
    (at.div_euclid(DAY) + 3).rem_euclid(7)
}
