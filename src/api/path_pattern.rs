//! Paths of a LogSource: absolute, with `*`, `?` and `[…]` within one segment. Collectors expand them, the controller asks
//! whether a file that a collector names is one of them; both use this.

use glob::{MatchOptions, Pattern};

/// As a shell does, but for names that begin with a dot: logs are matched whatever they are called.
pub const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A path with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Pattern);

/// Why a path can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("{0}: must be absolute")]
    Relative(String),
    #[error("{0}: must not have `..` or `.` as a segment")]
    Dots(String),
    #[error("{0}: `**` is not supported: name each directory, with `*` for one segment")]
    Recursive(String),
    #[error("{path}: character {at}: {problem}")]
    Wildcard { path: String, at: usize, problem: &'static str },
}

impl PathPattern {
    pub fn parse(path: &str) -> Result<PathPattern, BadPath> {
        if !path.starts_with('/') {
            return Err(BadPath::Relative(path.to_owned()));
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(BadPath::Dots(path.to_owned()));
        }
        if path.contains("**") {
            return Err(BadPath::Recursive(path.to_owned()));
        }
        Pattern::new(path).map(PathPattern).map_err(|error| BadPath::Wildcard {
            path: path.to_owned(),
            at: error.pos + 1,
            problem: error.msg,
        })
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// True when `path`, as a collector names it, is meant. One with `..` never is.
    pub fn matches(&self, path: &str) -> bool {
        !path.split('/').any(|segment| matches!(segment, "." | "..")) && self.0.matches_with(path, OPTIONS)
    }

    /// The directories before the first wildcard: what a symbolic link may not lead out of.
    pub fn base(&self) -> &str {
        let path = self.as_str();
        let end = path.find(['*', '?', '[']).unwrap_or(path.len());
        let fixed = path.get(..end).unwrap_or(path);
        fixed.rsplit_once('/').map_or("/", |(base, _)| if base.is_empty() { "/" } else { base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_a_segment() {
        let pattern = PathPattern::parse("/var/log/pods/*/nginx-[0-9]/?.log").unwrap();
        assert_eq!(pattern.base(), "/var/log/pods");
        assert!(pattern.matches("/var/log/pods/a_b_c/nginx-1/0.log"));
        for other in
            ["/var/log/pods/a/b/nginx-1/0.log", "/var/log/pods/../nginx-1/0.log", "/var/log/pods/a/nginx-x/0.log"]
        {
            assert!(!pattern.matches(other), "{other}");
        }
        assert_eq!(PathPattern::parse("/syslog").unwrap().base(), "/");
    }

    #[test]
    fn what_is_wrong_with_a_path_is_said() {
        for (path, problem) in [
            ("var/log/x", "must be absolute"),
            ("/var/../etc/x", "`..`"),
            ("/var/**/x", "`**`"),
            ("/var/[x", "character 6"),
        ] {
            let error = PathPattern::parse(path).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(problem), "{error}");
        }
    }
}
