//! An event while its line is being read. In: what each reader finds. Out: one event with its time. A reader writes here
//! only when it has recognised all that it needs, so that one that gives up leaves nothing behind.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::{address, audit::MAX_AHEAD, stamp::Stamp};
use crate::{
    event::{Event, Outcome, Text, actions},
    record::Incomplete,
};

/// An event and the stamp of its line.
pub struct Draft<'a> {
    pub event: Event<'a>,
    pub stamp: Option<Stamp>,
}

impl<'a> Draft<'a> {
    /// What was recognised, by which format, and how ECS calls it.
    pub fn mark(
        &mut self,
        provider: &'static str,
        action: impl Into<Text<'a>>,
        category: &[&'static str],
        type_: &[&'static str],
        outcome: Outcome,
    ) {
        let action = action.into();
        debug_assert!(actions::is_made(provider, &action), "{action} of {provider} is not in event::actions");
        debug_assert!(
            actions::is_classed(provider, category, type_),
            "{category:?}, {type_:?} of {provider}: as above"
        );
        self.event.provider = provider;
        self.event.action = action;
        self.event.category = category.to_vec();
        self.event.type_ = type_.to_vec();
        self.event.outcome = outcome;
    }

    /// Something beyond the schema. An empty text is left out.
    pub fn note(&mut self, key: &str, value: impl Into<Value>) {
        debug_assert!(actions::is_noted(key), "fields.{key} is not in event::actions");
        let value = value.into();
        if value.as_str() == Some("") || value.is_null() {
            return;
        }
        if let Value::Object(fields) = self.event.fields.get_or_insert_with(|| Value::Object(serde_json::Map::new())) {
            fields.insert(key.to_owned(), value);
        }
    }

    /// The line reads in two ways: what is told of it may be what a stranger wrote into it.
    pub fn ambiguous(&mut self) {
        self.note("ambiguous", true);
        self.event.incomplete.push(Incomplete::Ambiguous.as_str());
    }

    /// Where a request came from. `address` is kept only when it is one.
    pub fn peer(&mut self, address: &'a str, port: u16) {
        self.event.source_ip = canonical(address);
        self.event.source_port = port;
    }

    /// Sets the time of the event from its stamp, if that can be. One too far ahead of receipt is clamped, as for audit.
    pub fn date(&mut self, stamp: Stamp, zone: &TimeZone) {
        let received = self.event.received;
        let Some(written) = stamp.resolve(zone, received) else { return };
        let latest = received.saturating_add(MAX_AHEAD).unwrap_or(received);
        self.event.clamped = written.at > latest;
        self.event.created = written.at.min(latest);
        self.event.precision = written.precision;
        if written.ambiguous {
            self.note("ambiguous_time", true);
        }
    }
}

/// The canonical form of an address; empty for what is none.
pub fn canonical(text: &str) -> Text<'_> {
    match address::parse(text).map(|address| address.to_string()) {
        Some(canonical) if canonical == text => text.into(),
        Some(canonical) => canonical.into(),
        None => Text::EMPTY,
    }
}

/// An address and port of the form `ADDRESS port PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<'a> {
    pub address: &'a str,
    pub port: u16,
}

fn is_address(text: &str) -> bool {
    address::parse(text).is_some() || text == "UNKNOWN"
}

/// `… ADDRESS port PORT` at the end of `text`, and what stands before the blank before it.
pub fn ending_peer(text: &str) -> Option<(&str, Peer<'_>)> {
    let (rest, port) = text.rsplit_once(" port ")?;
    let port = super::stamp::number(port)?;
    let (before, address) = rest.rsplit_once(' ').unwrap_or(("", rest));
    is_address(address).then_some((before, Peer { address, port }))
}

/// `ADDRESS port PORT` at the start of `text`, and what follows it.
pub fn leading_peer(text: &str) -> Option<(Peer<'_>, &str)> {
    let (address, rest) = text.split_once(" port ")?;
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (port, rest) = rest.split_at_checked(length)?;
    is_address(address).then_some(())?;
    Some((Peer { address, port: super::stamp::number(port)? }, rest))
}
