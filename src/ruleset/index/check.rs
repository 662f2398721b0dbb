//! A term that is looked at for what is triggered alone: its tests are made on the value, one after another.

use std::borrow::Cow;

use super::{
    condition::{Subject, Term, Test},
    lookup::Lookup,
    pattern::fold,
};
use crate::{
    api::rule::Stage,
    event::{
        Event,
        audit::ObjectRef,
        schema::{self, Field, FieldValue},
    },
};

/// More tests than that are looked up instead of tried.
const TRIED: usize = 8;

/// A stage that is the defining one of its request.
pub(super) const DEFINING: u8 = 0;

pub(super) fn stage_code(stage: Stage) -> u8 {
    match stage {
        Stage::RequestReceived => 1,
        Stage::ResponseStarted => 2,
        Stage::ResponseComplete => 3,
        Stage::Panic => 4,
    }
}

/// What a subject is in an event.
#[derive(Debug)]
pub(super) struct Reader {
    pub subject: Subject,
    field: Option<&'static Field>,
    text: Option<TextOf>,
}

type TextOf = for<'a> fn(&'a Event<'a>) -> &'a str;

/// Fields that are read for nearly every event. What the schema's own getter gives travels through memory, which takes as long
/// as all else that is done with it.
const OFTEN: [(&str, TextOf); 7] = [
    ("audit.objectRef.apiGroup", |e| object(e).map_or("", |object| &object.api_group)),
    ("audit.objectRef.namespace", |e| object(e).map_or("", |object| &object.namespace)),
    ("audit.objectRef.resource", |e| object(e).map_or("", |object| &object.resource)),
    ("audit.objectRef.subresource", |e| object(e).map_or("", |object| &object.subresource)),
    ("audit.verb", |e| e.audit.as_deref().map_or("", |audit| &audit.verb)),
    ("source.ip", |e| &e.source_ip),
    ("user.name", |e| &e.user.name),
];

fn object<'a>(event: &'a Event<'a>) -> Option<&'a ObjectRef<'a>> {
    event.audit.as_deref().and_then(|audit| audit.object_ref.as_ref())
}

/// One value of a subject.
pub(super) enum Read<'a> {
    Text(&'a str),
    Int(i64),
    Code(u8),
}

impl Reader {
    pub fn new(subject: &Subject) -> Reader {
        let text = match subject {
            Subject::Field(path) => OFTEN.iter().find(|(often, _)| often == path).map(|(_, text)| *text),
            _ => None,
        };
        Reader { subject: subject.clone(), field: subject.path().and_then(schema::lookup), text }
    }

    /// Calls `found` with each value: one, or those of a list.
    #[inline]
    pub fn each(&self, event: &Event<'_>, tenant: Option<&str>, mut found: impl FnMut(Read<'_>)) {
        if let Some(text) = self.text {
            return found(Read::Text(text(event)));
        }
        let Some(field) = self.field else {
            match (&self.subject, &event.audit) {
                (Subject::Tenant, _) => tenant.into_iter().for_each(|namespace| found(Read::Text(namespace))),
                (Subject::Stage, Some(audit)) => {
                    found(Read::Code(stage_code(audit.stage)));
                    if audit.is_defining_stage() {
                        found(Read::Code(DEFINING));
                    }
                }
                // What has no stage is not chosen by it.
                (Subject::Stage, None) => (0..=stage_code(Stage::Panic)).for_each(|code| found(Read::Code(code))),
                _ => {}
            }
            return;
        };
        match &self.subject {
            Subject::Present(_) => found(Read::Code(u8::from((field.is_there)(event)))),
            Subject::Body(_, keys) => {
                let FieldValue::Body(Some(body)) = (field.get)(event) else { return };
                let at = keys.iter().try_fold(body, |at, key| at.get(key));
                at.and_then(|at| at.text()).into_iter().for_each(|text| found(Read::Text(text)));
            }
            Subject::Lower(_) => each(field, event, |read| match read {
                Read::Text(text) => found(Read::Text(&lower(text))),
                other => found(other),
            }),
            Subject::Folded(_) => each(field, event, |read| match read {
                Read::Text(text) => found(Read::Text(&fold(text))),
                other => found(other),
            }),
            _ => each(field, event, found),
        }
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

#[inline]
fn each(field: &Field, event: &Event<'_>, mut found: impl FnMut(Read<'_>)) {
    match (field.get)(event) {
        FieldValue::Str(text) => found(Read::Text(text)),
        FieldValue::Int(int) => found(Read::Int(int)),
        FieldValue::Bool(bool) => found(Read::Code(u8::from(bool))),
        FieldValue::Strings(list) => list.iter().for_each(|text| found(Read::Text(text.as_str()))),
        FieldValue::OwnedStrings(list) => list.iter().for_each(|text| found(Read::Text(text))),
        FieldValue::StaticStrings(list) => list.iter().for_each(|text| found(Read::Text(text))),
        FieldValue::Timestamp(_)
        | FieldValue::NoTimestamp
        | FieldValue::StringMap(_)
        | FieldValue::StringPairs(_)
        | FieldValue::StringsPairs(_)
        | FieldValue::Json(_)
        | FieldValue::Body(_) => {}
    }
}

/// Tests of which one has to hold.
#[derive(Debug)]
enum Tests {
    Tried(Box<[Test]>),
    Looked(Box<Lookup>),
}

impl Tests {
    fn new(tests: &[Test]) -> Option<Tests> {
        match tests.len() {
            0 => None,
            1..=TRIED => Some(Tests::Tried(tests.into())),
            _ => Some(Tests::Looked(Box::new(Lookup::new(tests)))),
        }
    }

    #[inline]
    fn hold(&self, read: &Read<'_>) -> bool {
        match self {
            Tests::Tried(tests) => tests.iter().any(|test| holds(test, read)),
            Tests::Looked(lookup) => {
                let mut any = false;
                lookup.read(read, |_| any = true);
                any
            }
        }
    }

    fn memory(&self) -> usize {
        match self {
            Tests::Tried(tests) => size_of_val(&**tests),
            Tests::Looked(lookup) => size_of::<Lookup>() + lookup.memory(),
        }
    }
}

fn holds(test: &Test, read: &Read<'_>) -> bool {
    match (test, read) {
        (Test::Equal(asked), Read::Text(text)) => **asked == **text,
        (Test::Prefix(asked), Read::Text(text)) => text.starts_with(&**asked),
        (Test::Suffix(asked), Read::Text(text)) => text.ends_with(&**asked),
        (Test::Contains(asked), Read::Text(text)) => text.contains(&**asked),
        (Test::Within(network), Read::Text(text)) => {
            text.parse().is_ok_and(|ip: std::net::IpAddr| network.contains(&ip))
        }
        (Test::Range(first, last), Read::Int(int)) => (first..=last).contains(&int),
        (Test::Code(asked), Read::Code(code)) => asked == code,
        _ => false,
    }
}

/// A term, ready to be asked.
#[derive(Debug)]
pub(super) struct Check {
    reader: Reader,
    any: Option<Tests>,
    none: Option<Tests>,
}

impl Check {
    pub fn new(term: &Term) -> Check {
        Check { reader: Reader::new(&term.subject), any: Tests::new(&term.any), none: Tests::new(&term.none) }
    }

    pub fn holds(&self, event: &Event<'_>, tenant: Option<&str>) -> bool {
        let (mut any, mut none) = (self.any.is_none(), true);
        self.reader.each(event, tenant, |read| {
            any = any || self.any.as_ref().is_some_and(|tests| tests.hold(&read));
            none = none && !self.none.as_ref().is_some_and(|tests| tests.hold(&read));
        });
        any && none
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        self.any.iter().chain(&self.none).map(Tests::memory).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::OFTEN;
    use crate::event::schema::{self, FieldType};

    #[test]
    fn what_is_read_often_is_a_text_of_the_schema() {
        for (path, _) in OFTEN {
            assert_eq!(schema::lookup(path).map(|field| field.type_), Some(FieldType::String), "{path}");
        }
    }
}
