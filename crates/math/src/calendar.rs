//! Days that are not like other days of the week.
//!
//! A small table of public holidays that many countries keep, on which offices, shops and the load they make often look
//! like a Sunday. Nobody says which of them a series keeps, so who asks must take either look, of the weekday or of a
//! Sunday, as usual on such a day. Days are those of UTC.
//!
//! Easter is computed by the anonymous Gregorian algorithm (Meeus, "Astronomical Algorithms", 1991).

/// Days since 1970-01-01 of a Sunday.
const SUNDAY: i64 = 3;
const DAY_NS: i64 = 86_400_000_000_000;

/// Month, day and name.
const FIXED: [(u32, u32, &str); 10] = [
    (1, 1, "New Year's Day"),
    (1, 6, "Epiphany"),
    (5, 1, "Labour Day"),
    (7, 4, "Independence Day"),
    (10, 3, "Unity Day"),
    (11, 1, "All Saints' Day"),
    (12, 24, "Christmas Eve"),
    (12, 25, "Christmas Day"),
    (12, 26, "the day after Christmas"),
    (12, 31, "New Year's Eve"),
];

/// Days after Easter Sunday, and name.
const AROUND_EASTER: [(i64, &str); 4] =
    [(-2, "Good Friday"), (1, "Easter Monday"), (39, "Ascension Day"), (50, "Whit Monday")];

/// The holiday that a day (number since 1970-01-01, UTC) is, if it is one.
pub fn holiday(day: i64) -> Option<&'static str> {
    let (year, month, date) = civil(day)?;
    let fixed = FIXED.iter().find(|(m, d, _)| (*m, *d) == (month, date)).map(|f| f.2);
    let moving = || {
        let after = day - easter(year);
        AROUND_EASTER.iter().find(|(d, _)| *d == after).map(|m| m.1)
    };
    fixed.or_else(moving).or_else(|| thanksgiving(day, month, date))
}

/// The same time of day on the Sunday before, ns: what a holiday looks like.
pub fn as_sunday(time_ns: i64) -> i64 {
    let day = time_ns.div_euclid(DAY_NS);
    time_ns.saturating_sub((day - SUNDAY).rem_euclid(7) * DAY_NS)
}

/// The holiday at a time in ns.
pub fn holiday_at(time_ns: i64) -> Option<&'static str> {
    holiday(time_ns.div_euclid(DAY_NS))
}

/// The fourth Thursday of November and the Friday after it.
fn thanksgiving(day: i64, month: u32, date: u32) -> Option<&'static str> {
    let weekday = (day - SUNDAY).rem_euclid(7);
    match (month, weekday) {
        (11, 4) if (22..=28).contains(&date) => Some("Thanksgiving"),
        (11, 5) if (23..=29).contains(&date) => Some("the day after Thanksgiving"),
        _ => None,
    }
}

/// Year, month and day of the month (Hinnant, "chrono-compatible low-level date algorithms"); none outside of the years
/// 1 to 9999.
fn civil(day: i64) -> Option<(i64, u32, u32)> {
    let shifted = day.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (1..=9999).contains(&year).then_some((year, month as u32, date as u32))
}

/// Days since 1970-01-01 of the Easter Sunday of a year.
fn easter(year: i64) -> i64 {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let month = (h + l - 7 * m + 114) / 31;
    let date = (h + l - 7 * m + 114) % 31 + 1;
    days(year, month, date)
}

/// Days since 1970-01-01 of a date from March on.
fn days(year: i64, month: i64, date: i64) -> i64 {
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month - 3) + 2) / 5 + date - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holidays_fall_where_calendars_print_them() {
        let printed = [
            ((2024, 3, 29), "Good Friday"),
            ((2025, 4, 21), "Easter Monday"),
            ((2026, 4, 3), "Good Friday"),
            ((2026, 5, 14), "Ascension Day"),
            ((2026, 5, 25), "Whit Monday"),
            ((2026, 11, 26), "Thanksgiving"),
            ((2024, 11, 29), "the day after Thanksgiving"),
            ((2030, 12, 25), "Christmas Day"),
        ];
        for ((year, month, date), name) in printed {
            assert_eq!(holiday(days(year, month, date)), Some(name), "{year}-{month}-{date}");
        }
        let year: usize = (days(2026, 3, 1)..days(2027, 3, 1)).filter(|d| holiday(*d).is_some()).count();
        assert_eq!(year, FIXED.len() + AROUND_EASTER.len() + 2);
        for odd in [i64::MIN, i64::MAX, -10_000_000_000, 10_000_000_000] {
            assert_eq!(holiday(odd), None);
            as_sunday(odd);
        }
    }

    #[test]
    fn a_holiday_looks_like_the_sunday_before() {
        let friday = days(2026, 4, 3) * DAY_NS + 7;
        assert_eq!(as_sunday(friday), days(2026, 3, 29) * DAY_NS + 7);
        let sunday = days(2026, 3, 29) * DAY_NS;
        assert_eq!(as_sunday(sunday), sunday);
    }
}
