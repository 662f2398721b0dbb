//! What is known of an event: of each quantity, which values are still possible. In: comparisons with literals. Out:
//! whether any value is left. It may leave too many, never too few.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::{event::schema, ruleset::expr::Value};

/// A literal that a quantity is compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Literal {
    Text(String),
    Int(i64),
    Bool(bool),
}

impl Literal {
    pub fn of(value: &Value) -> Option<Literal> {
        match value {
            Value::Str(text) => Some(Literal::Text(text.as_str().to_owned())),
            Value::Int(i) => Some(Literal::Int(*i)),
            Value::Bool(b) => Some(Literal::Bool(*b)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Literal::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
            Literal::Int(i) => i.to_string(),
            Literal::Bool(b) => b.to_string(),
        }
    }
}

/// A test of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
    Matches,
}

impl TextTest {
    pub fn of(function: &str) -> Option<TextTest> {
        match function {
            "startsWith" => Some(TextTest::StartsWith),
            "endsWith" => Some(TextTest::EndsWith),
            "contains" => Some(TextTest::Contains),
            "matches" => Some(TextTest::Matches),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            TextTest::StartsWith => "startsWith",
            TextTest::EndsWith => "endsWith",
            TextTest::Contains => "contains",
            TextTest::Matches => "matches",
        }
    }

    /// `None` for a pattern that does not compile.
    fn holds(self, text: &str, argument: &str) -> Option<bool> {
        Some(match self {
            TextTest::StartsWith => text.starts_with(argument),
            TextTest::EndsWith => text.ends_with(argument),
            TextTest::Contains => text.contains(argument),
            TextTest::Matches => Regex::new(argument).ok()?.is_match(text),
        })
    }
}

/// The possible values of one quantity.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// `None`: any.
    allowed: Option<BTreeSet<Literal>>,
    excluded: BTreeSet<Literal>,
    low: Option<i64>,
    high: Option<i64>,
    tests: Vec<(TextTest, String, bool)>,
    /// The conditions that made it so, for messages.
    said: Vec<String>,
}

impl Domain {
    /// Every value that the quantity of this name can have at all.
    fn of(name: &str) -> Domain {
        let values = schema::lookup(name).map_or(&[][..], |field| field.values);
        let allowed: BTreeSet<Literal> = values.iter().map(|v| Literal::Text((*v).to_owned())).collect();
        // Status codes of HTTP end at 599 (RFC 9110, section 15), and none yet is 0.
        let is_status = matches!(name, "audit.responseStatus.code" | "http.response.status_code");
        let (low, high) = if is_status { (Some(0), Some(599)) } else { (None, None) };
        Domain { allowed: (!allowed.is_empty()).then_some(allowed), low, high, ..Domain::default() }
    }

    fn say(&mut self, condition: String) {
        if !self.said.contains(&condition) && self.said.len() < 6 {
            self.said.push(condition);
        }
    }

    pub fn restrict(&mut self, values: BTreeSet<Literal>) {
        let shown: Vec<String> = values.iter().take(4).map(Literal::show).collect();
        self.say(match shown.as_slice() {
            [one] => format!("== {one}"),
            several => format!("in [{}{}]", several.join(", "), if values.len() > 4 { ", …" } else { "" }),
        });
        self.allowed = Some(match self.allowed.take() {
            Some(before) => before.intersection(&values).cloned().collect(),
            None => values,
        });
    }

    pub fn exclude(&mut self, values: BTreeSet<Literal>) {
        for value in values {
            self.say(format!("!= {}", value.show()));
            self.excluded.insert(value);
        }
    }

    /// At least `low` and at most `high`.
    pub fn bound(&mut self, low: Option<i64>, high: Option<i64>) {
        if let Some(low) = low {
            self.say(format!(">= {low}"));
            self.low = self.low.max(Some(low));
        }
        if let Some(high) = high {
            self.say(format!("<= {high}"));
            self.high = Some(self.high.map_or(high, |before| before.min(high)));
        }
    }

    pub fn test(&mut self, test: TextTest, argument: &str, holds: bool) {
        self.say(format!("{}{}({argument:?})", if holds { "" } else { "not " }, test.name()));
        self.tests.push((test, argument.to_owned(), holds));
    }

    /// Both at once.
    pub fn meet(&mut self, other: &Domain) {
        if let Some(values) = &other.allowed {
            let allowed = self.allowed.take();
            self.allowed = Some(allowed.map_or(values.clone(), |a| a.intersection(values).cloned().collect()));
        }
        self.excluded.extend(other.excluded.iter().cloned());
        self.low = self.low.max(other.low);
        self.high = [self.high, other.high].into_iter().flatten().min();
        self.tests.extend(other.tests.iter().cloned());
    }

    pub fn accepts(&self, value: &Literal) -> bool {
        let listed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(value));
        let in_range = match value {
            Literal::Int(i) => self.low.is_none_or(|low| *i >= low) && self.high.is_none_or(|high| *i <= high),
            Literal::Text(_) | Literal::Bool(_) => true,
        };
        let tested = match value {
            Literal::Text(text) => {
                self.tests.iter().all(|(test, argument, holds)| test.holds(text, argument).is_none_or(|b| b == *holds))
            }
            Literal::Int(_) | Literal::Bool(_) => true,
        };
        listed && in_range && tested && !self.excluded.contains(value)
    }

    /// The values that are left, when they can be listed.
    pub fn values(&self) -> Option<Vec<&Literal>> {
        Some(self.allowed.as_ref()?.iter().filter(|value| self.accepts(value)).collect())
    }

    pub fn is_possible(&self) -> bool {
        if let Some(values) = self.values() {
            return !values.is_empty();
        }
        if let (Some(low), Some(high)) = (self.low, self.high)
            && (low > high || (low == high && !self.accepts(&Literal::Int(low))))
        {
            return false;
        }
        let both_bools = [true, false].iter().all(|b| self.excluded.contains(&Literal::Bool(*b)));
        !both_bools && self.tests.iter().all(|a| self.tests.iter().all(|b| go_together(a, b)))
    }

    /// What made it so, such as `== "get"`, for a message.
    pub fn conditions(&self) -> &[String] {
        &self.said
    }
}

/// False only when no text passes both tests.
fn go_together(a: &(TextTest, String, bool), b: &(TextTest, String, bool)) -> bool {
    let ((test, x, true), (other, y, holds)) = (a, b) else { return true };
    match (test, other, holds) {
        (TextTest::StartsWith, TextTest::StartsWith, true) => x.starts_with(y.as_str()) || y.starts_with(x.as_str()),
        (TextTest::EndsWith, TextTest::EndsWith, true) => x.ends_with(y.as_str()) || y.ends_with(x.as_str()),
        (TextTest::StartsWith, TextTest::StartsWith, false) => !x.starts_with(y.as_str()),
        (TextTest::EndsWith, TextTest::EndsWith, false) => !x.ends_with(y.as_str()),
        (_, TextTest::Contains, false) if *test != TextTest::Matches => !x.contains(y.as_str()),
        (TextTest::Matches, TextTest::Matches, false) => x != y,
        _ => true,
    }
}

/// What is known of one event.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    domains: BTreeMap<String, Domain>,
    /// Bodies that it must have.
    pub present: BTreeSet<&'static str>,
    /// Bodies that it can't have.
    pub absent: BTreeSet<&'static str>,
}

impl Facts {
    pub fn domain(&self, quantity: &str) -> Domain {
        self.domains.get(quantity).cloned().unwrap_or_else(|| Domain::of(quantity))
    }

    pub fn refine(&mut self, quantity: &str, by: impl FnOnce(&mut Domain)) {
        by(self.domains.entry(quantity.to_owned()).or_insert_with(|| Domain::of(quantity)));
    }

    /// A quantity for which no value is left.
    pub fn conflict(&self) -> Option<(&str, &Domain)> {
        self.domains.iter().find(|(_, domain)| !domain.is_possible()).map(|(name, domain)| (name.as_str(), domain))
    }
}
