//! A rule with its expressions parsed, each with the field that it stands in. In: a rule's source. Out: what the checks
//! walk. Nothing is type-checked here: the compiler has done that.

use std::collections::BTreeMap;

use crate::{
    api::{
        RuleSpec,
        rule::{Detection, DetectionType, Selector},
    },
    record::RuleId,
    ruleset::{
        compile::RuleSource,
        expr::view::{Ast, parse},
        template::{Names, Template},
    },
};

/// One expression of a rule.
pub struct Expression {
    /// Such as `spec.selectors[failed].where`.
    pub field: String,
    pub text: String,
    pub ast: Ast,
}

impl Expression {
    fn parse(field: String, text: &str) -> Option<Expression> {
        Some(Expression { field, text: text.to_owned(), ast: parse(text).ok()? })
    }
}

/// A selector with all that is computed from its events.
pub struct ParsedSelector<'a> {
    pub written: &'a Selector,
    pub condition: Expression,
    /// One per `groupBy` key.
    pub keys: Vec<Expression>,
    pub distinct: Option<Expression>,
    /// What the summary shows.
    pub captures: Vec<Expression>,
}

pub struct ParsedRule<'a> {
    pub id: &'a RuleId,
    pub spec: &'a RuleSpec,
    pub variables: BTreeMap<String, Expression>,
    pub selectors: Vec<ParsedSelector<'a>>,
}

impl<'a> ParsedRule<'a> {
    /// `None` when an expression does not parse.
    pub fn of(source: &'a RuleSource) -> Option<ParsedRule<'a>> {
        let spec = &source.spec;
        let mut variables = BTreeMap::new();
        for variable in &spec.variables {
            let field = format!("spec.variables[{}].expression", variable.name);
            variables.insert(variable.name.clone(), Expression::parse(field, &variable.expression)?);
        }
        let selectors = spec.selectors.iter().map(|s| selector(spec, s)).collect::<Option<Vec<_>>>()?;
        Some(ParsedRule { id: &source.id, spec, variables, selectors })
    }

    /// Indices of the selectors that the detection names.
    pub fn used_selectors(&self) -> Vec<usize> {
        let index = |name: &str| self.spec.selectors.iter().position(|s| s.name == name);
        let Detection { type_: _, threshold, sequence, absence, new_value: _ } = &self.spec.detection;
        if let Some(threshold) = threshold {
            return vec![threshold.selector.as_deref().and_then(index).unwrap_or(0)];
        }
        if let Some(sequence) = sequence {
            return sequence.steps.iter().filter_map(|step| index(&step.selector)).collect();
        }
        if let Some(absence) = absence {
            return absence.after.iter().chain([&absence.selector]).filter_map(|name| index(name)).collect();
        }
        (0..self.spec.selectors.len()).collect()
    }
}

fn selector<'a>(spec: &RuleSpec, selector: &'a Selector) -> Option<ParsedSelector<'a>> {
    let condition = Expression::parse(format!("spec.selectors[{}].where", selector.name), &selector.where_)?;
    let mut keys = Vec::new();
    for key in &spec.group_by {
        let own = key.from.iter().find(|from| from.selector == selector.name).map(|from| &from.value);
        keys.push(Expression::parse(format!("spec.groupBy[{}]", key.name), own.or(key.value.as_ref())?)?);
    }
    let threshold = spec.detection.threshold.as_ref();
    let counted = threshold.filter(|t| t.selector.as_ref().is_none_or(|name| *name == selector.name));
    let distinct = match (counted.and_then(|t| t.distinct.as_deref()), &spec.detection.new_value) {
        (Some(text), _) => Some(Expression::parse("spec.detection.threshold.distinct".to_owned(), text)?),
        (None, Some(new)) => Some(Expression::parse("spec.detection.newValue.value".to_owned(), &new.value)?),
        (None, None) => None,
    };
    Some(ParsedSelector { written: selector, condition, keys, distinct, captures: captures(spec, selector) })
}

fn captures(spec: &RuleSpec, selector: &Selector) -> Vec<Expression> {
    let keys: Vec<_> = spec.group_by.iter().map(|k| k.name.as_str()).collect();
    let names: Vec<_> = spec.selectors.iter().map(|s| s.name.as_str()).collect();
    let new_value = spec.detection.type_ == DetectionType::NewValue;
    let named = Names { keys: &keys, selectors: &names, new_value };
    let slots = Template::parse(&spec.alert.summary, named).map(|(_, slots)| slots).unwrap_or_default();
    let own = slots.iter().filter(|slot| names.get(slot.selector) == Some(&selector.name.as_str()));
    own.filter_map(|slot| Expression::parse(format!("spec.alert.summary {{{}}}", slot.expression), &slot.expression))
        .collect()
}
