//! Explanations for people: aligned, with colours on a terminal. In: an explanation. Out: text.

use std::io::{self, Write};

use super::verdict::{Explanation, Head, RuleVerdict, SelectorVerdict};
use crate::ruleset::expr::trace::{Outcome, Part, Reading, Trace};

/// Columns of a condition, with its indentation; longer ones are cut.
const CONDITION: usize = 72;
/// Columns of a value.
const VALUE: usize = 48;
/// Of more rules than these, the ones that are far from matching take a line each.
const FEW: usize = 5;
/// From here on a rule that does not match is a near miss.
const NEAR: f64 = 0.5;

/// How to print.
pub struct Paint {
    colours: bool,
    verbose: bool,
}

/// SGR codes of ECMA-48.
#[derive(Clone, Copy)]
enum Colour {
    Green,
    Red,
    Yellow,
    Dim,
    Bold,
}

/// A line of a condition's tree.
struct Row {
    depth: usize,
    mark: Mark,
    text: String,
    /// Its text is not cut.
    whole: bool,
    note: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Held,
    Failed,
    Error,
    None,
}

impl Mark {
    fn of(outcome: &Outcome) -> Mark {
        match outcome {
            Outcome::Held => Mark::Held,
            Outcome::Failed => Mark::Failed,
            Outcome::Error(_) => Mark::Error,
            Outcome::Value(_) => Mark::None,
        }
    }
}

impl Paint {
    pub fn new(colours: bool, verbose: bool) -> Paint {
        Paint { colours, verbose }
    }

    fn colour(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Green => 32,
            Colour::Red => 31,
            Colour::Yellow => 33,
            Colour::Dim => 2,
            Colour::Bold => 1,
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn mark(&self, mark: Mark) -> String {
        match mark {
            Mark::Held => self.colour(Colour::Green, "✓"),
            Mark::Failed => self.colour(Colour::Red, "✗"),
            Mark::Error => self.colour(Colour::Yellow, "!"),
            Mark::None => self.colour(Colour::Dim, "·"),
        }
    }

    pub fn explanation(&self, explanation: &Explanation, out: &mut impl Write) -> io::Result<()> {
        self.head(&explanation.event, out)?;
        let rules = &explanation.rules;
        let width = rules.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or(0);
        // A rule that is told at length stands by itself.
        let mut at_length = true;
        for rule in rules {
            let brief = !self.verbose && rules.len() > FEW && !rule.matches && rule.closeness < NEAR;
            let tells = !brief && rule.excluded.is_none();
            if tells || at_length {
                writeln!(out)?;
            }
            at_length = tells;
            self.rule(rule, width, brief, out)?;
        }
        let matching = rules.iter().filter(|rule| rule.matches).count();
        let excluded = rules.iter().filter(|rule| rule.excluded.is_some()).count();
        let left_out = match excluded {
            0 => String::new(),
            1 => ", 1 does not look at it".to_owned(),
            more => format!(", {more} do not look at it"),
        };
        let match_ = if matching == 1 || rules.len() == 1 { "matches" } else { "match" };
        writeln!(out, "\n{matching} of {} {match_}{left_out}", many(rules.len(), "rule"))
    }

    fn head(&self, head: &Head, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.colour(Colour::Bold, &head.message))?;
        let mut facts = vec![head.created.to_string(), head.source.to_owned()];
        facts.extend([head.stage, head.level].iter().filter(|f| !f.is_empty()).map(|f| (*f).to_owned()));
        if !head.redacted.is_empty() {
            facts.push(format!("{} redacted", many(head.redacted.len(), "value")));
        }
        writeln!(out, "{}", self.colour(Colour::Dim, &facts.join("  ")))
    }

    fn rule(&self, rule: &RuleVerdict, width: usize, brief: bool, out: &mut impl Write) -> io::Result<()> {
        let (mark, said) = match (&rule.excluded, rule.matches) {
            (Some(why), _) => (Mark::None, why.clone()),
            (None, true) => (Mark::Held, "matches".to_owned()),
            (None, false) => (Mark::Failed, nearest(rule).map(|s| self.near(s, brief)).unwrap_or_default()),
        };
        let name = self.colour(Colour::Bold, &format!("{:<width$}", rule.rule));
        writeln!(out, "{} {name}  {:<13}  {said}", self.mark(mark), rule.severity)?;
        if brief || rule.excluded.is_some() {
            return Ok(());
        }
        for selector in &rule.selectors {
            self.selector(selector, rule, out)?;
        }
        Ok(())
    }

    /// How near a selector is; in brief with the first condition that fails.
    fn near(&self, selector: &SelectorVerdict, brief: bool) -> String {
        let (held, all) = selector.conditions();
        let hold = if all == 1 { "holds" } else { "hold" };
        let count = format!("{held} of {} {hold}", many(all, "condition"));
        let first = selector.condition.as_ref().filter(|_| brief).map(first_failing);
        match first {
            _ if held == all && all > 0 => format!("{count}, but a key is missing"),
            Some(trace) => {
                let note = note(trace);
                let note = if note.is_empty() { note } else { format!("  {}", self.colour(Colour::Dim, &note)) };
                format!("{count}; not {}{note}", cut(&trace.text, CONDITION / 2))
            }
            None => count,
        }
    }

    fn selector(&self, selector: &SelectorVerdict, of: &RuleVerdict, out: &mut impl Write) -> io::Result<()> {
        if let Some(why) = &selector.excluded {
            return writeln!(out, "  {} {}  {why}", self.mark(Mark::None), selector.selector);
        }
        if of.selectors.len() > 1 {
            let mark = self.mark(if selector.matches { Mark::Held } else { Mark::Failed });
            let brief = of.matches && !selector.matches && !self.verbose;
            let near = if brief { format!("  {}", self.near(selector, true)) } else { String::new() };
            writeln!(out, "  {mark} {}{near}", selector.selector)?;
            if brief {
                return Ok(());
            }
        }
        let mut tree = Tree { rows: Vec::new(), verbose: self.verbose };
        match &selector.condition {
            Some(Trace { part: Part::All, parts, .. }) => parts.iter().for_each(|part| tree.add(part, true, 2)),
            Some(trace) => tree.add(trace, true, 2),
            None => {}
        }
        self.rows(&tree.rows, out)?;
        if !selector.key.is_empty() {
            let shown: Vec<String> = selector.key.iter().map(|key| self.key(key)).collect();
            writeln!(out, "    {} {}", self.colour(Colour::Dim, "key"), shown.join(", "))?;
        }
        if !selector.needs.is_empty() {
            writeln!(out, "    {} {}", self.colour(Colour::Dim, "→"), selector.needs)?;
        }
        Ok(())
    }

    fn rows(&self, rows: &[Row], out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<(&Row, Vec<String>)> = rows.iter().map(|row| (row, self.lines(row))).collect();
        let columns =
            |row: &Row, line: Option<&String>| row.depth * 2 + 2 + line.map_or(0, |line| line.chars().count());
        let noted = rows.iter().filter(|(row, _)| !row.note.is_empty());
        let width = noted.map(|(row, lines)| columns(row, lines.first())).max().unwrap_or(0);
        for (row, lines) in &rows {
            let gap = " ".repeat(width.saturating_sub(columns(row, lines.first())) + 3);
            let note = if row.note.is_empty() { String::new() } else { gap + &self.note(row) };
            let indent = "  ".repeat(row.depth);
            for (index, line) in lines.iter().enumerate() {
                match index {
                    0 => writeln!(out, "{indent}{} {line}{note}", self.mark(row.mark))?,
                    _ => writeln!(out, "{indent}    {line}")?,
                }
            }
        }
        Ok(())
    }

    /// What failed is shown as a whole, over several lines where it must; what held is cut to one.
    fn lines(&self, row: &Row) -> Vec<String> {
        let columns = CONDITION.saturating_sub(row.depth * 2);
        if row.whole { wrapped(&row.text, columns) } else { vec![cut(&row.text, columns)] }
    }

    fn note(&self, row: &Row) -> String {
        let colour = match row.mark {
            Mark::Failed => Colour::Red,
            Mark::Error => Colour::Yellow,
            Mark::Held | Mark::None => Colour::Dim,
        };
        self.colour(colour, &row.note)
    }

    fn key(&self, key: &super::verdict::KeyValue) -> String {
        let value = key.value.as_ref().map_or(String::new(), |value| format!(" = {:?}", cut(value, VALUE)));
        match &key.problem {
            Some(problem) => format!("{}{value} ({})", key.name, self.colour(Colour::Red, problem)),
            None => format!("{}{value}", key.name),
        }
    }
}

/// The selector that comes nearest to a match.
fn nearest(rule: &RuleVerdict) -> Option<&SelectorVerdict> {
    let closeness = |s: &SelectorVerdict| s.condition.as_ref().map_or(-1.0, Trace::closeness);
    rule.selectors.iter().max_by(|a, b| closeness(a).total_cmp(&closeness(b)))
}

/// The first part that does not hold, as deep as conjunctions and variables go.
fn first_failing(trace: &Trace) -> &Trace {
    match trace.part {
        Part::All | Part::Variable => trace.parts.iter().find(|part| !part.held()).map_or(trace, first_failing),
        _ => trace,
    }
}

/// The lines of a condition. A part that came out as the condition needs it takes one line, unless all are asked for.
struct Tree {
    rows: Vec<Row>,
    verbose: bool,
}

impl Tree {
    /// `wanted`: what the part should come to, for the condition to hold.
    fn add(&mut self, trace: &Trace, wanted: bool, depth: usize) {
        let settled = trace.outcome == if wanted { Outcome::Held } else { Outcome::Failed };
        let leaf = trace.parts.is_empty() || (settled && !self.verbose);
        let heading = match trace.part {
            Part::All if !leaf => "all of",
            Part::Any if !leaf => "any of",
            Part::Not if !leaf => "not",
            Part::Choice if !leaf => "if, then or else",
            _ => &trace.text,
        };
        let text = heading.to_owned();
        // An element is a value, which may be of any length.
        let whole = (self.verbose || !settled) && trace.part != Part::Element;
        self.rows.push(Row { depth, mark: Mark::of(&trace.outcome), text, whole, note: note(trace) });
        if !leaf {
            self.parts(trace, wanted, depth + 1);
        }
    }

    fn parts(&mut self, trace: &Trace, wanted: bool, depth: usize) {
        let wanted = wanted ^ (trace.part == Part::Not);
        // One alternative that holds is why they hold, and the nearest one is what most likely was meant.
        let nearest = trace.parts.iter().map(Trace::closeness).fold(0.0, f64::max);
        for (index, part) in trace.parts.iter().enumerate() {
            match trace.part {
                Part::Any if !self.verbose && trace.held() && !part.held() => {}
                Part::Any if !self.verbose && !trace.held() && !part.parts.is_empty() && part.closeness() < nearest => {
                    let (held, all) = part.conditions();
                    let note = format!("{held} of {all} hold");
                    let text = part.text.clone();
                    self.rows.push(Row { depth, mark: Mark::of(&part.outcome), text, whole: false, note });
                }
                Part::Choice if index == 0 => self.add(part, part.held(), depth),
                _ => self.add(part, wanted, depth),
            }
        }
        if trace.more > 0 {
            let text = format!("{} more", many(trace.more, "element"));
            self.rows.push(Row { depth, mark: Mark::None, text, whole: true, note: String::new() });
        }
    }
}

/// The values that a condition read, and its error.
fn note(trace: &Trace) -> String {
    let shown = |reading: &Reading| reading.value.as_ref().map_or("missing".to_owned(), |value| cut(value, VALUE));
    let asks = ["has(", "!has("].iter().any(|asks| trace.text.starts_with(asks));
    let mut notes: Vec<String> = match trace.reads.as_slice() {
        // The error names the key, and what to write.
        [only] if only.value.is_none() && matches!(trace.outcome, Outcome::Error(_)) => Vec::new(),
        [only] if only.value.is_none() => vec!["is missing".to_owned()],
        [_] if asks => vec!["is there".to_owned()],
        [only] => vec![format!("is {}", shown(only))],
        several => several.iter().map(|reading| format!("{} is {}", reading.path, shown(reading))).collect(),
    };
    match &trace.outcome {
        Outcome::Error(why) if trace.parts.is_empty() => notes.push(why.clone()),
        Outcome::Value(value) => notes.push(format!("= {}", cut(value, VALUE))),
        Outcome::Error(_) | Outcome::Held | Outcome::Failed => {}
    }
    notes.join("; ")
}

/// `1 rule`, `2 rules`.
fn many(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Lines of at most so many columns, broken at spaces; the second and later ones leave room for more indentation.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let room = if lines.len() == 1 { columns } else { columns.saturating_sub(2) };
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}
