//! `absent` of an expected alert. In: the alerts of a test and its records. Out: which of the fields that a test names are set in
//! some event of each alert.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::Pipeline, Failed};
use crate::{
    alert::{Alert, AlertId},
    api::rule_test::ExpectedAlert,
    enrich::enrich,
    event::{
        Event,
        schema::{FIELDS, Field, FieldValue},
    },
    record::Record,
};

/// Of each alert, the fields that some event of it has set; only fields that the test names.
pub struct SetFields(BTreeMap<AlertId, BTreeSet<&'static str>>);

impl SetFields {
    /// Whether no event of `alert` has a field that `wanted` wants absent.
    pub fn allow(&self, wanted: &ExpectedAlert, alert: &Alert) -> bool {
        let set = self.0.get(&alert.id);
        !wanted.absent.iter().any(|path| set.is_some_and(|set| set.contains(path.as_str())))
    }

    /// As a part of the alert, where there is anything to say.
    pub fn shown(&self, alert: &Alert) -> String {
        let set: Vec<&str> = self.0.get(&alert.id).into_iter().flatten().copied().collect();
        if set.is_empty() { String::new() } else { format!(", not absent: [{}]", set.join(", ")) }
    }
}

/// `records` have the numbers 1, 2, … in the alerts.
pub fn set_fields(
    expected: &[ExpectedAlert],
    found: &[&Alert],
    pipeline: &Pipeline,
    records: &[Record],
) -> Result<SetFields, Failed> {
    let mut fields = BTreeMap::new();
    for path in expected.iter().flat_map(|alert| &alert.absent) {
        let field = FIELDS.iter().find(|field| field.path == path);
        let field: &Field = field.ok_or_else(|| Failed::Field { name: path.clone() })?;
        fields.insert(field.path, field);
    }
    let mut set = BTreeMap::new();
    for alert in found.iter().filter(|_| !fields.is_empty()) {
        let of_alert: &mut BTreeSet<&'static str> = set.entry(alert.id.clone()).or_default();
        for seq in alert.contributions() {
            let record = usize::try_from(*seq).ok().and_then(|seq| records.get(seq.checked_sub(1)?));
            let Some(mut event) = record.and_then(|record| pipeline.normaliser.event(record)) else { continue };
            enrich(&mut event, &pipeline.inventory);
            of_alert.extend(fields.values().filter(|field| is_set(field, &event)).map(|field| field.path));
        }
    }
    Ok(SetFields(set))
}

fn is_set(field: &Field, event: &Event<'_>) -> bool {
    match (field.get)(event) {
        FieldValue::Str(text) => !text.is_empty(),
        FieldValue::Int(number) => number != 0,
        FieldValue::Bool(truth) => truth,
        FieldValue::Timestamp(_) => true,
        FieldValue::NoTimestamp => false,
        FieldValue::Strings(list) => !list.is_empty(),
        FieldValue::OwnedStrings(list) => !list.is_empty(),
        FieldValue::StaticStrings(list) => !list.is_empty(),
        FieldValue::StringMap(map) => !map.is_empty(),
        FieldValue::StringPairs(pairs) => !pairs.is_empty(),
        FieldValue::StringsPairs(pairs) => !pairs.is_empty(),
        FieldValue::Json(fields) => fields.is_some(),
        FieldValue::Body(body) => body.is_some(),
    }
}
