//! A field of an audit event that somebody misspelt, or called as rules do. In: its path. Out: the field that he may have meant.

use crate::{event::schema, ruleset::expr::nearest};

/// Empty when nothing is near.
pub fn of(unknown: &str) -> String {
    let paths: Vec<&str> = schema::FIELDS.iter().filter_map(|field| field.path.strip_prefix("audit.")).collect();
    let (parent, last) = unknown.rsplit_once('.').unwrap_or(("", unknown));
    let inside = |path: &&str| path.rsplit_once('.').map_or("", |(parent, _)| parent) == parent;
    let siblings = || paths.iter().copied().filter(inside);
    let name = |path: &str| path.rsplit_once('.').map_or(0, |(parent, _)| parent.len() + 1);
    let longer = siblings().find(|path| path.get(name(path)..).is_some_and(|own| own.ends_with(last)));
    let meant = longer.or_else(|| nearest(unknown, siblings())).or_else(|| nearest(unknown, paths.iter().copied()));
    meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_field_that_was_meant_is_named() {
        for (unknown, meant) in [
            ("user.name", "; did you mean user.username?"),
            ("objectRef.resorce", "; did you mean objectRef.resource?"),
            ("requestUri", "; did you mean requestURI?"),
            ("flavour", ""),
        ] {
            assert_eq!(of(unknown), meant, "{unknown}");
        }
    }
}
