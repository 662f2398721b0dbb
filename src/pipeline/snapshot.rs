//! The state of a pipeline at one place of the log, to go on from there instead of from the log's beginning. Taking it
//! shares what is large, so that the pipeline goes on at once; writing it out is for another thread. In: a pipeline. Out:
//! lines of JSON, and from these an equal pipeline: what it is given next makes the same alerts.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, BufRead, Read, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Pipeline, PipelineConfig, RuleActivity,
    budget::{Budgets, BudgetsPart},
};
use crate::{
    alert::{Alert, AlertId, AlertPart},
    api::RuleSpec,
    correlate,
    enrich::{InventoryPart, KeptInventory},
    record::{RecordId, RuleId, Seq},
    ruleset::{
        CompiledRule,
        compile::{RuleSource, compile},
    },
};

/// Of the lines below: a build writes its own version, and reads it and those before in which only what may be left out is
/// missing. State of another is made anew from the log.
///
/// 3: how long a window stays that was late, and what rules lost. 2: as it was before.
const VERSION: u32 = 3;
const OLDEST: u32 = 2;
/// Longest line that is read, in bytes: an alert with its evidence has far less.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("its version is {found}, this build reads {OLDEST} to {VERSION}")]
    Version { found: u32 },
    #[error("line {line}: {source}")]
    Line { line: u64, source: serde_json::Error },
    #[error("line {line}: over {MAX_LINE} bytes")]
    TooLong { line: u64 },
    #[error("line {line}: {what}")]
    Wrong { line: u64, what: &'static str },
    #[error("rule {rule}: this build refuses it: {problem}")]
    Rule { rule: RuleId, problem: String },
    #[error("it ends after {lines} lines, before its end")]
    Cut { lines: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    seq: Seq,
}

/// A rule that evaluates, or one that only alerts or windows speak of still. Others name it by its place among the rules.
#[derive(Debug, Serialize, Deserialize)]
struct RulePart {
    id: RuleId,
    generation: i64,
    evaluates: bool,
    spec: Arc<RuleSpec>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Head(Head),
    Rule(RulePart),
    Activity(RuleId, RuleActivity),
    Budgets(BudgetsPart),
    Inventory(InventoryPart),
    State(correlate::Part),
    Alert(AlertPart),
    Forgotten(AlertId),
    /// How many lines stand before it: what has no such line was cut.
    End(u64),
}

/// A pipeline's state after the record `seq`.
pub struct Snapshot {
    pub seq: Seq,
    rules: BTreeMap<RuleId, Arc<CompiledRule>>,
    activity: BTreeMap<RuleId, RuleActivity>,
    budgets: BudgetsPart,
    inventory: KeptInventory,
    correlator: correlate::Kept,
    alerts: Vec<Arc<Alert>>,
    forgotten: BTreeSet<AlertId>,
}

/// The rules of a snapshot by their places.
#[derive(Default)]
struct Places {
    places: HashMap<(RuleId, i64, RecordId), u32>,
    rules: Vec<Arc<CompiledRule>>,
}

impl Places {
    /// The place of a rule that has one.
    fn known(&self, rule: &CompiledRule) -> u32 {
        self.places.get(&(rule.id.clone(), rule.generation, rule.digest)).copied().unwrap_or(u32::MAX)
    }

    fn of(&mut self, rule: &Arc<CompiledRule>) -> u32 {
        let next = self.rules.len() as u32;
        *self.places.entry((rule.id.clone(), rule.generation, rule.digest)).or_insert_with(|| {
            self.rules.push(rule.clone());
            next
        })
    }
}

impl Pipeline {
    /// The state after the record `seq`, which is the last one that was pushed.
    pub fn snapshot(&self, seq: Seq) -> Snapshot {
        Snapshot {
            seq,
            rules: self.rules.clone(),
            activity: self.activity.clone(),
            budgets: self.budgets.part(),
            inventory: self.inventory.keep(),
            correlator: self.correlator.keep(),
            alerts: self.book.shared(),
            forgotten: self.went.iter().cloned().collect(),
        }
    }

    /// The pipeline of a snapshot, and the record after which it stands. Its alerts count as not changed.
    pub fn restore(config: PipelineConfig, input: impl BufRead) -> Result<(Pipeline, Seq), SnapshotError> {
        Restoring { pipeline: Pipeline::new(config), rules: Vec::new(), seq: 0 }.read(input)
    }
}

impl Snapshot {
    /// Writes it as lines of JSON: the head, rules, inventory, state and alerts, and the end.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut places = Places::default();
        let speaking = self.alerts.iter().map(|alert| &alert.rule);
        for rule in self.rules.values().chain(speaking).chain(self.correlator.rules()) {
            places.of(rule);
        }
        let mut lines = Lines { out, count: 0 };
        lines.put(&Line::Head(Head { version: VERSION, seq: self.seq }))?;
        for rule in &places.rules {
            let evaluates = self.rules.get(&rule.id).is_some_and(|r| Arc::ptr_eq(r, rule));
            let (id, spec) = (rule.id.clone(), rule.spec.clone());
            lines.put(&Line::Rule(RulePart { id, generation: rule.generation, evaluates, spec }))?;
        }
        for (rule, activity) in &self.activity {
            lines.put(&Line::Activity(rule.clone(), *activity))?;
        }
        lines.put(&Line::Budgets(self.budgets.clone()))?;
        for part in self.inventory.parts() {
            lines.put(&Line::Inventory(part))?;
        }
        for part in self.correlator.parts(|rule| places.known(rule)) {
            lines.put(&Line::State(part))?;
        }
        for alert in &self.alerts {
            lines.put(&Line::Alert(alert.part(places.known(&alert.rule))))?;
        }
        for id in &self.forgotten {
            lines.put(&Line::Forgotten(id.clone()))?;
        }
        let count = lines.count;
        lines.put(&Line::End(count))
    }
}

struct Lines<'a, W> {
    out: &'a mut W,
    count: u64,
}

impl<W: Write> Lines<'_, W> {
    fn put(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, line)?;
        self.count += 1;
        self.out.write_all(b"\n")
    }
}

struct Restoring {
    pipeline: Pipeline,
    rules: Vec<Arc<CompiledRule>>,
    seq: Seq,
}

impl Restoring {
    fn read(mut self, mut input: impl BufRead) -> Result<(Pipeline, Seq), SnapshotError> {
        let (mut text, mut lines) = (Vec::new(), 0);
        loop {
            text.clear();
            let read = Read::by_ref(&mut input).take(MAX_LINE).read_until(b'\n', &mut text)?;
            match text.last() {
                Some(b'\n') => {}
                Some(_) if read as u64 == MAX_LINE => return Err(SnapshotError::TooLong { line: lines + 1 }),
                Some(_) | None => return Err(SnapshotError::Cut { lines }),
            }
            let line =
                serde_json::from_slice(&text).map_err(|source| SnapshotError::Line { line: lines + 1, source })?;
            match line {
                Line::End(count) if count == lines => return Ok((self.pipeline, self.seq)),
                Line::End(_) => return Err(SnapshotError::Cut { lines }),
                line => self.take(line, lines + 1)?,
            }
            lines += 1;
        }
    }

    fn take(&mut self, line: Line, number: u64) -> Result<(), SnapshotError> {
        let wrong = |what| SnapshotError::Wrong { line: number, what };
        let pipeline = &mut self.pipeline;
        if (number == 1) != matches!(line, Line::Head(_)) {
            return Err(wrong("its first line alone is a head"));
        }
        match line {
            Line::Head(head) if !(OLDEST..=VERSION).contains(&head.version) => {
                return Err(SnapshotError::Version { found: head.version });
            }
            Line::Head(head) => self.seq = head.seq,
            Line::Rule(part) => self.rule(part)?,
            Line::Activity(rule, activity) => drop(pipeline.activity.insert(rule, activity)),
            Line::Budgets(part) => {
                pipeline.budgets = Budgets::of_part(part);
                pipeline.swap();
            }
            Line::Inventory(part) => pipeline.inventory.put(part),
            Line::State(part) => {
                let rules = &self.rules;
                pipeline.correlator.put(part, |place| rules.get(place as usize)).map_err(wrong)?;
            }
            Line::Alert(part) => {
                let rule = self.rules.get(part.rule as usize).cloned().ok_or_else(|| wrong("no such rule"))?;
                let alert = Alert::of_part(part, rule).ok_or_else(|| wrong("an alert without an episode"))?;
                pipeline.book.put(alert);
            }
            Line::Forgotten(id) => pipeline.forget(id),
            Line::End(_) => {}
        }
        Ok(())
    }

    fn rule(&mut self, part: RulePart) -> Result<(), SnapshotError> {
        let source = RuleSource { id: part.id, generation: part.generation, spec: Arc::unwrap_or_clone(part.spec) };
        let compiled = compile(&source);
        let rule = compiled.map_err(|error| SnapshotError::Rule { rule: source.id, problem: error.to_string() })?;
        let rule = Arc::new(rule);
        self.rules.push(rule.clone());
        if part.evaluates {
            self.pipeline.rules.insert(rule.id.clone(), rule);
        }
        Ok(())
    }
}
