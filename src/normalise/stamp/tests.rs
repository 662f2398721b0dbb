use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn resolved(stamp: &str, zone_name: &str, received: &str) -> Option<(Timestamp, bool)> {
    let (stamp, _) = rfc3164(stamp)?;
    stamp.resolve(&zone(Some(zone_name)), at(received)).map(|w| (w.at, w.ambiguous))
}

#[test]
fn a_year_that_is_left_out_is_the_latest_that_the_receipt_allows() {
    let cases = [
        ("now", "Nov 25 02:00:00", "2026-11-25T02:00:01Z", "2026-11-25T02:00:00Z"),
        ("one digit", "Nov  5 02:00:00", "2026-11-25T02:00:01Z", "2026-11-05T02:00:00Z"),
        ("December in January", "Dec 31 23:59:59", "2027-01-01T00:00:03Z", "2026-12-31T23:59:59Z"),
        ("January while it is still December here", "Jan  1 00:00:02", "2026-12-31T23:59:58Z", "2027-01-01T00:00:02Z"),
        ("a clock an hour ahead", "Nov 25 03:00:00", "2026-11-25T02:00:00Z", "2026-11-25T03:00:00Z"),
        ("over a day ahead", "Nov 27 03:00:00", "2026-11-25T02:00:00Z", "2025-11-27T03:00:00Z"),
        ("leap day", "Feb 29 12:00:00", "2024-02-29T12:00:05Z", "2024-02-29T12:00:00Z"),
        ("leap day received a year later", "Feb 29 12:00:00", "2025-03-01T12:00:05Z", "2024-02-29T12:00:00Z"),
        ("leap day before a leap year", "Feb 29 12:00:00", "2027-12-01T00:00:00Z", "2024-02-29T12:00:00Z"),
        ("leap day over 2100", "Feb 29 12:00:00", "2103-06-01T00:00:00Z", "2096-02-29T12:00:00Z"),
        ("leap second", "Dec 31 23:59:60", "2017-01-01T00:00:03Z", "2016-12-31T23:59:59Z"),
    ];
    for (name, stamp, received, expected) in cases {
        assert_eq!(resolved(stamp, "UTC", received), Some((at(expected), false)), "{name}");
    }
    assert_eq!(resolved("Feb 30 12:00:00", "UTC", "2026-03-01T00:00:00Z"), None);
}

#[test]
fn zones_apply_and_an_hour_that_comes_twice_is_the_first() {
    let cases = [
        ("winter", "Nov 25 02:00:00", "2026-11-25T01:00:00Z", "2026-11-25T01:00:00Z", false),
        ("summer", "Jul 25 02:00:00", "2026-07-25T00:00:00Z", "2026-07-25T00:00:00Z", false),
        ("twice", "Oct 25 02:30:00", "2026-10-25T01:30:10Z", "2026-10-25T00:30:00Z", true),
        ("never", "Mar 29 02:30:00", "2026-03-29T01:30:10Z", "2026-03-29T01:30:00Z", true),
        ("new year there", "Jan  1 00:10:00", "2026-12-31T23:10:01Z", "2026-12-31T23:10:00Z", false),
    ];
    for (name, stamp, received, expected, ambiguous) in cases {
        assert_eq!(resolved(stamp, "Europe/Berlin", received), Some((at(expected), ambiguous)), "{name}");
    }
    assert_eq!(
        resolved("Nov 25 02:00:00", "No/Such", "2026-11-25T02:00:00Z"),
        Some((at("2026-11-25T02:00:00Z"), false))
    );
}

#[test]
fn without_a_receipt_the_nearest_year_counts() {
    let near = |stamp: &str, near: &str| {
        let (stamp, _) = rfc3164(stamp).unwrap();
        stamp.resolve_near(&TimeZone::UTC, at(near), at("2027-06-01T00:00:00Z")).unwrap().at
    };
    assert_eq!(near("Jul  1 00:00:00", "2027-05-30T00:00:00Z"), at("2026-07-01T00:00:00Z"), "not in the future");
    assert_eq!(near("Nov 30 00:00:00", "2026-11-25T00:00:00Z"), at("2026-11-30T00:00:00Z"));
    assert_eq!(near("Jan  2 00:00:00", "2026-12-30T00:00:00Z"), at("2027-01-02T00:00:00Z"));
    assert_eq!(near("Dec 30 00:00:00", "2026-01-02T00:00:00Z"), at("2025-12-30T00:00:00Z"));
}

#[test]
fn stamps_of_other_formats_are_read() {
    let exact = |stamp: Option<Stamp>| match stamp {
        Some(Stamp::Exact(at, precision)) => Some((at, precision)),
        _ => None,
    };
    let micros = |text: &str| Some((at(text), Precision::Micros));
    let second = |text: &str| Some((at(text), Precision::Second));
    assert_eq!(exact(rfc3339("2026-11-25T02:02:24.164160+01:00")), micros("2026-11-25T01:02:24.16416Z"));
    assert_eq!(exact(rfc3339("2016-10-06T00:17:09.669794202Z")), micros("2016-10-06T00:17:09.669794202Z"));
    assert_eq!(exact(rfc3339("2026-11-25T02:02:24Z")), second("2026-11-25T02:02:24Z"));
    for wrong in ["2026-11-25", "2026-11-25T02:02:24", "2026-11-25 02:02:24Z", "", "x"] {
        assert_eq!(rfc3339(wrong), None, "{wrong}");
    }
    assert_eq!(exact(access("25/Nov/2026:02:02:56 -0330")), second("2026-11-25T05:32:56Z"));
    for wrong in ["25/Nov/2026:02:02:56", "25/Nov/2026", "31/Feb/2026:02:02:56 +0000", "1/1/1:1:1:1 +1"] {
        assert_eq!(access(wrong), None, "{wrong}");
    }
    let audit = audit("1364481363.243:24287").map(|(stamp, serial)| (exact(Some(stamp)), serial));
    assert_eq!(audit, Some((micros("2013-03-28T14:36:03.243Z"), "24287")));
    for wrong in
        ["Nov", "Nov x 02:00:00 h", "Nov 25 25:00:00 h", "Nov 32 02:00:00 h", "Növ 25 02:00:00", "Nov 25 02:00:00. h"]
    {
        assert_eq!(rfc3164(wrong), None, "{wrong}");
    }
}
