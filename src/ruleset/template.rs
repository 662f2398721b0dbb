//! The alert's summary: literal text with slots. Parsed and checked once; filled from a finding. `{key.NAME}` is a join
//! key, `{SELECTOR.count}` a number of events, `{SELECTOR.field}` a field of the newest event that the selector took in.
//! With one selector its name may be left out: `{user.name}`. `{{` and `}}` stand for braces. A rule of type NewValue has
//! `{new.value}`, `{new.known}` (how many values were known) and `{new.since}` (since when it learns).

use super::expr::nearest;

/// Capture slots of a NewValue finding, which no expression fills.
pub const NEW_VALUE: usize = usize::MAX;
pub const NEW_KNOWN: usize = usize::MAX - 1;
pub const NEW_SINCE: usize = usize::MAX - 2;

/// What a summary can name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Names of the `groupBy` keys, in order.
    pub keys: &'a [&'a str],
    pub selectors: &'a [&'a str],
    /// The rule is of type NewValue.
    pub new_value: bool,
}

/// A parsed summary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
    /// How many `Part::Capture` slots there are.
    pub slots: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// `{key.NAME}`: index into the rule's `key_names`.
    Key(usize),
    /// `{SELECTOR.count}`: how many contributing matches the selector has; index into the rule's selectors.
    Count(usize),
    /// `{SELECTOR.field}`: the value of capture slot `slot`, from the newest contributing match of that selector.
    Capture {
        selector: usize,
        slot: usize,
    },
    /// `{new.…}`: one of the slots `NEW_VALUE`, `NEW_KNOWN`, `NEW_SINCE`, of the newest new value.
    New(usize),
}

/// A capture slot that the compiler has to fill with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub selector: usize,
    pub slot: usize,
    pub expression: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{` at character {at} is never closed; write `{{{{` for a brace")]
    Unclosed { at: usize },
    #[error("`}}` at character {at} was never opened; write `}}}}` for a brace")]
    Unopened { at: usize },
    #[error("`{{}}` at character {at} is empty")]
    Empty { at: usize },
    #[error("`{{key.{name}}}` at character {at}: groupBy has no key of that name{}{}", list(.known), meant(.name, .known))]
    UnknownKey { at: usize, name: String, known: Vec<String> },
    #[error("`{{new.{name}}}` at character {at}: there are value, known and since")]
    UnknownNew { at: usize, name: String },
    #[error("`{{{slot}}}` at character {at} must begin with `key.` or with the name of a selector{}", list(.known))]
    UnknownSelector { at: usize, slot: String, known: Vec<String> },
}

fn meant(name: &str, known: &[String]) -> String {
    let meant = nearest(name, known.iter().map(String::as_str));
    meant.map(|meant| format!("; did you mean `{{key.{meant}}}`?")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

impl Template {
    /// Parses `text` for a rule with these names. The slots come back to be compiled.
    pub fn parse(text: &str, names: Names<'_>) -> Result<(Template, Vec<Slot>), TemplateError> {
        let mut template = Template::default();
        let mut slots = Vec::new();
        let mut literal = String::new();
        let mut chars = text.char_indices().enumerate().peekable();
        while let Some((at, (_, c))) = chars.next() {
            let doubled = chars.peek().is_some_and(|(_, (_, next))| *next == c);
            match c {
                '{' | '}' if doubled => {
                    literal.push(c);
                    chars.next();
                }
                '}' => return Err(TemplateError::Unopened { at }),
                '{' => {
                    let mut inner = String::new();
                    loop {
                        match chars.next() {
                            None => return Err(TemplateError::Unclosed { at }),
                            Some((_, (_, '}'))) => break,
                            Some((_, (_, c))) => inner.push(c),
                        }
                    }
                    if !literal.is_empty() {
                        template.parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    let part = template.part(inner.trim(), at, names, &mut slots)?;
                    template.parts.push(part);
                }
                _ => literal.push(c),
            }
        }
        if !literal.is_empty() {
            template.parts.push(Part::Text(literal));
        }
        Ok((template, slots))
    }

    fn part(
        &mut self,
        inner: &str,
        at: usize,
        Names { keys, selectors, new_value }: Names<'_>,
        slots: &mut Vec<Slot>,
    ) -> Result<Part, TemplateError> {
        if inner.is_empty() {
            return Err(TemplateError::Empty { at });
        }
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        if let Some(name) = inner.strip_prefix("key.") {
            return keys.iter().position(|k| *k == name).map(Part::Key).ok_or_else(|| TemplateError::UnknownKey {
                at,
                name: name.to_owned(),
                known: owned(keys),
            });
        }
        if let Some(name) = inner.strip_prefix("new.").filter(|_| new_value) {
            return match name {
                "value" => Ok(Part::New(NEW_VALUE)),
                "known" => Ok(Part::New(NEW_KNOWN)),
                "since" => Ok(Part::New(NEW_SINCE)),
                _ => Err(TemplateError::UnknownNew { at, name: name.to_owned() }),
            };
        }
        let named = inner
            .split_once('.')
            .and_then(|(head, rest)| selectors.iter().position(|s| *s == head).map(|selector| (selector, rest)));
        let (selector, expression) = match (named, selectors) {
            (Some(named), _) => named,
            (None, [_]) => (0, inner),
            (None, _) => {
                return Err(TemplateError::UnknownSelector { at, slot: inner.to_owned(), known: owned(selectors) });
            }
        };
        if expression == "count" {
            return Ok(Part::Count(selector));
        }
        let slot = self.slots;
        self.slots += 1;
        slots.push(Slot { selector, slot, expression: expression.to_owned() });
        Ok(Part::Capture { selector, slot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_splits_into_text_keys_counts_and_captures() {
        let (template, slots) = Template::parse(
            "{key.address} logged in to {key.node} as {accepted.user.name} after {failed.count} failures {{sic}}",
            Names { keys: &["address", "node"], selectors: &["failed", "accepted"], new_value: false },
        )
        .unwrap();
        assert_eq!(
            template.parts,
            [
                Part::Key(0),
                Part::Text(" logged in to ".into()),
                Part::Key(1),
                Part::Text(" as ".into()),
                Part::Capture { selector: 1, slot: 0 },
                Part::Text(" after ".into()),
                Part::Count(0),
                Part::Text(" failures {sic}".into()),
            ]
        );
        assert_eq!(slots, [Slot { selector: 1, slot: 0, expression: "user.name".into() }]);
    }

    #[test]
    fn one_selector_need_not_be_named() {
        let (template, slots) =
            Template::parse("{user.name} x{count}", Names { selectors: &["api"], ..Names::default() }).unwrap();
        assert_eq!(template.slots, 1);
        assert_eq!(slots[0].expression, "user.name");
        assert!(template.parts.contains(&Part::Count(0)));
    }

    #[test]
    fn a_rule_of_type_new_value_names_what_it_learned() {
        let names = Names { selectors: &["api"], new_value: true, ..Names::default() };
        let (template, slots) = Template::parse("{new.value} {new.known} {new.since}", names).unwrap();
        let new: Vec<&Part> = template.parts.iter().filter(|part| matches!(part, Part::New(_))).collect();
        assert_eq!(new, [&Part::New(NEW_VALUE), &Part::New(NEW_KNOWN), &Part::New(NEW_SINCE)]);
        assert!(slots.is_empty());
        let (_, slots) = Template::parse("{new.value}", Names { new_value: false, ..names }).unwrap();
        assert_eq!(slots[0].expression, "new.value", "an expression like any other elsewhere");
    }

    #[test]
    fn broken_summaries_name_the_place() {
        for (text, wanted) in [
            ("a {b", "character 2"),
            ("a } b", "character 2"),
            ("{}", "empty"),
            ("{key.nope}", "`{key.nope}` at character 0: groupBy has no key of that name (address)"),
            (
                "from {key.adress}",
                "at character 5: groupBy has no key of that name (address); did you mean `{key.address}`?",
            ),
            ("{nope.user.name}", "(one, two)"),
            ("{new.nope}", "since"),
        ] {
            let names = Names { keys: &["address"], selectors: &["one", "two"], new_value: true };
            let error = Template::parse(text, names).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
