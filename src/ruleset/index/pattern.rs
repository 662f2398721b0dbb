//! A regex -> texts one of which is in whatever it matches, at the start when it is anchored there.

use std::{borrow::Cow, sync::Arc};

use regex_syntax::hir::{
    Class, Hir, HirKind, Look,
    literal::{ExtractKind, Extractor, Seq},
};

use super::condition::Test;

/// Most texts that a pattern is replaced by.
const TEXTS: usize = 32;

/// What a pattern can't match without.
pub(super) struct Needed {
    /// The texts are of the value as `fold` makes it.
    pub folded: bool,
    /// One of them holds.
    pub tests: Vec<Test>,
}

/// Tests of which one holds for every text that `pattern` matches; `None` when it may match without any text in common.
pub(super) fn needed(pattern: &str) -> Option<Needed> {
    let mut folded = false;
    let hir = fold_classes(regex_syntax::parse(pattern).ok()?, &mut folded);
    let text = |text: &str| if folded { fold(text).as_ref().into() } else { text.into() };
    Some(Needed { folded, tests: tests(&hir, text)? })
}

fn tests(hir: &Hir, text: impl Fn(&str) -> Arc<str>) -> Option<Vec<Test>> {
    let look = hir.properties();
    let mut extractor = Extractor::new();
    extractor.limit_total(TEXTS);
    let of = |texts: Vec<&str>, test: fn(Arc<str>) -> Test| texts.into_iter().map(|t| test(text(t))).collect();
    let prefixes = extractor.kind(ExtractKind::Prefix).extract(hir);
    if look.look_set_prefix().contains(Look::Start)
        && let Some(texts) = texts(&prefixes, |text, other| text.starts_with(other))
    {
        return Some(of(texts, Test::Prefix));
    }
    let suffixes = extractor.kind(ExtractKind::Suffix).extract(hir);
    if look.look_set_suffix().contains(Look::End)
        && let Some(texts) = texts(&suffixes, |text, other| text.ends_with(other))
    {
        return Some(of(texts, Test::Suffix));
    }
    let shortest = |seq: &Seq| seq.min_literal_len().unwrap_or(0);
    let longer = if shortest(&suffixes) > shortest(&prefixes) { &suffixes } else { &prefixes };
    let at_ends = texts(longer, |text, other| text.contains(other));
    // Of `[a-z]*dryRun=All[a-z]*`, what stands between says more than either end.
    let texts = [at_ends, within(hir)].into_iter().flatten().max_by_key(|texts| shortest_of(texts))?;
    Some(of(texts, Test::Contains))
}

/// Without case: letters of ASCII, and the two characters beyond it that a pattern takes for one.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return text.into();
    }
    text.chars().map(folded).collect()
}

fn folded(character: char) -> char {
    match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

/// `[Aa]` -> `a`; says whether there was one. Whatever `hir` matches, the result matches with these letters folded.
fn fold_classes(hir: Hir, found: &mut bool) -> Hir {
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => {
            let all = class.ranges().iter().flat_map(|range| (range.start()..=range.end()).take(4));
            let mut letters = all.map(folded).take(8);
            match letters.next() {
                Some(letter) if letter.is_ascii_lowercase() && letters.all(|other| other == letter) => {
                    *found = true;
                    Hir::literal(letter.to_string().into_bytes())
                }
                _ => Hir::class(Class::Unicode(class)),
            }
        }
        HirKind::Class(class) => Hir::class(class),
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(mut repeated) => {
            repeated.sub = Box::new(fold_classes(*repeated.sub, found));
            Hir::repetition(repeated)
        }
        HirKind::Capture(mut capture) => {
            capture.sub = Box::new(fold_classes(*capture.sub, found));
            Hir::capture(capture)
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(|part| fold_classes(part, found)).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(|part| fold_classes(part, found)).collect())
        }
    }
}

/// Texts one of which is somewhere in whatever `hir` matches: of the parts that it can't do without, those of the one that
/// says most.
fn within(hir: &Hir) -> Option<Vec<&str>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![str::from_utf8(&literal.0).ok()?]),
        HirKind::Capture(capture) => within(&capture.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => within(&repeated.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(within).max_by_key(|texts| shortest_of(texts)),
        HirKind::Alternation(parts) => {
            let all: Vec<&str> = parts.iter().map(within).collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
            (all.len() <= TEXTS).then_some(all)
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

fn shortest_of(texts: &[&str]) -> usize {
    texts.iter().map(|text| text.len()).min().unwrap_or(0)
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
    use proptest::prelude::*;
    use regex::Regex;

    use super::{Needed, Test, fold, needed};

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
            (
                "anchored before anything",
                "^[^?]*[?]([^&]*&)*dryRun=All(&|$)",
                Some(vec![part("&dryRun=All"), part("?dryRun=All")]),
            ),
            ("in between", "[a-z]*dryRun=All[a-z]*", Some(vec![part("dryRun=All")])),
            ("one of two in between", "a*(xyz|w+vu)+b*", Some(vec![part("xyz"), part("vu")])),
            ("perhaps in between", "a*(xyz)?b*", None),
            ("too many", "^[a-c][a-c][a-c]x", None),
        ];
        for (name, pattern, expected) in cases {
            let given = needed(pattern).map(|needed| needed.tests);
            if name == "too many" || name == "any character" {
                assert!(given.is_none_or(|tests| tests.len() <= super::TEXTS), "{name}");
            } else {
                assert_eq!(given, expected, "{name}: {pattern}");
            }
        }
    }

    #[test]
    fn a_pattern_without_case_gives_folded_texts() {
        let Needed { folded, tests } = needed("(?i)^(kubectl|python|Go-http)/").unwrap();
        let prefixes = ["kubectl/", "python/", "go-http/"].map(|text| Test::Prefix(text.into()));
        assert!(folded && prefixes.iter().all(|test| tests.contains(test)) && tests.len() == 3, "{tests:?}");
        assert!(!needed("^[Kk]ubectl[0-9]|^x").is_some_and(|needed| needed.folded && needed.tests.is_empty()));
        assert_eq!(fold("\u{212a}uBe\u{17f}"), "kubes");
    }

    proptest! {
        #[test]
        fn what_a_pattern_matches_has_one_of_the_texts(
            pattern in r"(\(\?i\))?\^?(k|s|K|S|\[ks\]|\[Kk\]|a\?|\(ab\|ks\)|\.|x\+|\(a\|b\)\*){1,5}\$?",
            text in "[kKsSabx\u{17f}\u{212a}]{0,8}",
        ) {
            if let (Some(needed), true) = (needed(&pattern), Regex::new(&pattern).unwrap().is_match(&text)) {
                let text = if needed.folded { fold(&text).into_owned() } else { text };
                let held = needed.tests.iter().any(|test| match test {
                    Test::Prefix(part) => text.starts_with(&**part),
                    Test::Suffix(part) => text.ends_with(&**part),
                    Test::Contains(part) => text.contains(&**part),
                    _ => false,
                });
                prop_assert!(held, "{} {:?} {:?}", pattern, text, needed.tests);
            }
        }
    }
}
