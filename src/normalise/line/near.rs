//! When the lines of a file were written that nobody knows the receipt of. In: its lines in order, and when it is read. Out: their
//! times. A stamp without a year is of the year nearest to the line before, and never in the future.

use jiff::Timestamp;

use super::stamp_of;
use crate::record::Line;

/// What is known before the next line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// When the line before was written; for the first one, when the file is read.
    at: Timestamp,
    /// When the file is read.
    now: Timestamp,
}

impl Near {
    /// Before the first line of a file that is read at `now`. `ahead` are its first lines, as many as are at hand: where one of
    /// them is of a 29 February, the file is of about the latest that there was, or the lines before it would get another year.
    pub fn begin<'a>(now: Timestamp, ahead: impl IntoIterator<Item = &'a Line>) -> Near {
        let leap_day = ahead.into_iter().find_map(|line| {
            let (stamp, zone) = stamp_of(line);
            stamp.filter(|stamp| stamp.is_leap_day())?.resolve(&zone, now)
        });
        Near { at: leap_day.map_or(now, |written| written.at), now }
    }

    /// Behind a line, or another record, of this time.
    pub fn after(self, at: Timestamp) -> Near {
        Near { at, ..self }
    }

    /// When `line` was written: by its own stamp, or without one when the line before was. The next one is near to it.
    pub fn date(&mut self, line: &Line) -> Timestamp {
        let (stamp, zone) = stamp_of(line);
        if let Some(written) = stamp.and_then(|stamp| stamp.resolve_near(&zone, self.at, self.now)) {
            self.at = written.at;
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::rule::Source, normalise::line::tests::mk_line};

    /// The times of a file's lines, each `STAMP` alone, read at `now`.
    fn dates(now: &str, stamps: &[&str]) -> Vec<String> {
        let lines: Vec<Line> =
            stamps.iter().map(|stamp| mk_line(Source::Node, &format!("{stamp} n1 sshd[1]: x"))).collect();
        let mut near = Near::begin(now.parse().unwrap(), &lines);
        lines.iter().map(|line| near.date(line).to_string()).collect()
    }

    #[test]
    fn an_old_file_is_not_of_the_future() {
        let found = dates("2026-11-27T00:00:00Z", &["Feb 27 23:00:00", "Feb 28 00:00:00", "Dec  1 00:00:00"]);
        assert_eq!(found, ["2026-02-27T23:00:00Z", "2026-02-28T00:00:00Z", "2025-12-01T00:00:00Z"]);
    }

    #[test]
    fn a_file_over_new_year_goes_on_in_the_next() {
        let found = dates("2027-01-05T00:00:00Z", &["Dec 30 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00"]);
        assert_eq!(found, ["2026-12-30T00:00:00Z", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"]);
    }

    #[test]
    fn a_leap_day_names_the_year_of_the_lines_around_it() {
        let stamps = ["Feb 27 23:00:00", "Feb 28 23:59:00", "Feb 29 00:01:00", "Mar  1 00:01:00", "May 30 00:00:00"];
        let of_2024 = [
            "2024-02-27T23:00:00Z",
            "2024-02-28T23:59:00Z",
            "2024-02-29T00:01:00Z",
            "2024-03-01T00:01:00Z",
            "2024-05-30T00:00:00Z",
        ];
        for now in ["2024-06-01T00:00:00Z", "2025-01-01T00:00:00Z", "2026-11-27T00:00:00Z"] {
            assert_eq!(dates(now, &stamps), of_2024, "read at {now}");
        }
    }

    #[test]
    fn a_line_without_a_stamp_is_of_the_time_of_the_one_before() {
        let now: Timestamp = "2026-11-27T00:00:00Z".parse().unwrap();
        let mut near = Near::begin(now, []);
        let bare = mk_line(Source::Node, "sshd[1]: x");
        assert_eq!(near.date(&bare), now);
        near = near.after("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(near.date(&bare).to_string(), "2026-01-01T00:00:00Z");
    }
}
