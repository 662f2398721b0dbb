//! Reads the metadata of an audit event as redaction writes it, without a parser for all of JSON. In: its text up to where bodies
//! or the end begin. Out: the event, or nothing for a text with anything else in it: space, fields that nobody knows, floating
//! numbers. Such a text is read by serde, which gives the same for this one; a test holds the two together.

use serde::{Deserialize, de::value::BorrowedStrDeserializer};

use super::{
    Pairs, Text,
    audit::{AuditEvent, ObjectRef, ResponseStatus, UserInfo},
    micro_time,
};
use crate::api::rule::{AuditLevel, Stage};

/// The event of `text`, which begins with a bracket and ends behind a field.
pub fn read(text: &str) -> Option<AuditEvent<'_>> {
    let mut reader = Reader { text, at: 0 };
    let mut event = AuditEvent::of_stage(Stage::Panic);
    let mut has_stage = false;
    reader.take(b'{')?;
    reader.pairs(None, |reader, key| {
        match key {
            "level" => event.level = reader.word::<AuditLevel>()?,
            "auditID" => event.audit_id = reader.string()?,
            "stage" => (event.stage, has_stage) = (reader.word::<Stage>()?, true),
            "requestURI" => event.request_uri = reader.string()?,
            "verb" => event.verb = reader.string()?,
            "user" => event.user = reader.user()?,
            "impersonatedUser" => event.impersonated_user = Some(reader.user()?),
            "sourceIPs" => event.source_ips = reader.list()?,
            "userAgent" => event.user_agent = reader.string()?,
            "objectRef" => event.object_ref = Some(reader.object()?),
            "responseStatus" => event.response_status = Some(reader.status()?),
            "requestReceivedTimestamp" => {
                event.request_received_timestamp = Some(micro_time(reader.string()?.as_bytes())?);
            }
            "stageTimestamp" => event.stage_timestamp = Some(micro_time(reader.string()?.as_bytes())?),
            "annotations" => event.annotations = reader.map(Reader::string)?,
            _ => return None,
        }
        Some(())
    })?;
    has_stage.then_some(event)
}

/// Bytes before the first of these eight that is a quote, a backslash or a control character; 8 when none is.
fn unmarked(eight: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word;
    let marks =
        below(eight ^ (ONES * u64::from(b'"')), 1) | below(eight ^ (ONES * u64::from(b'\\')), 1) | below(eight, 0x20);
    (marks & (ONES << 7)).trailing_zeros() as usize / 8
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then_some(())?;
        self.at += 1;
        Some(())
    }

    /// A string as it stands, and whether it has escapes.
    fn raw(&mut self) -> Option<(&'a str, bool)> {
        self.take(b'"')?;
        let (start, mut is_escaped) = (self.at, false);
        loop {
            if let Some(eight) = self.text.as_bytes().get(self.at..).and_then(<[u8]>::first_chunk) {
                let before = unmarked(u64::from_le_bytes(*eight));
                self.at += before;
                if before == 8 {
                    continue;
                }
            }
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    self.at += 2;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        let text = self.text.get(start..self.at)?;
        self.at += 1;
        Some((text, is_escaped))
    }

    fn string(&mut self) -> Option<Text<'a>> {
        let start = self.at;
        match self.raw()? {
            (text, false) => Some(text.into()),
            (_, true) => serde_json::from_str::<String>(self.text.get(start..self.at)?).ok().map(Text::from),
        }
    }

    /// A name of an enumeration.
    fn word<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let (text, is_escaped) = self.raw()?;
        let text = (!is_escaped).then_some(text)?;
        T::deserialize(BorrowedStrDeserializer::<serde_json::Error>::new(text)).ok()
    }

    /// The pairs of an object up to `close`, or up to the end of the text; none twice.
    fn pairs(&mut self, close: Option<u8>, mut pair: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        let mut seen: smallvec::SmallVec<[&str; 16]> = smallvec::SmallVec::new();
        if self.peek() == close {
            self.at += usize::from(close.is_some());
            return Some(());
        }
        loop {
            let (key, is_escaped) = self.raw()?;
            (!is_escaped && !seen.contains(&key)).then_some(())?;
            seen.push(key);
            self.take(b':')?;
            pair(self, key)?;
            if self.peek() == close {
                self.at += usize::from(close.is_some());
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn list(&mut self) -> Option<Vec<Text<'a>>> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(items);
        }
        loop {
            items.push(self.string()?);
            if self.take(b']').is_some() {
                return Some(items);
            }
            self.take(b',')?;
        }
    }

    fn map<T>(&mut self, value: impl Fn(&mut Self) -> Option<T>) -> Option<Pairs<'a, T>> {
        self.take(b'{')?;
        let mut pairs = Vec::new();
        self.pairs(Some(b'}'), |reader, key| {
            pairs.push((Text::from(key), value(reader)?));
            Some(())
        })?;
        Some(pairs.into_iter().collect())
    }

    fn user(&mut self) -> Option<UserInfo<'a>> {
        let mut user = UserInfo::default();
        self.take(b'{')?;
        self.pairs(Some(b'}'), |reader, key| {
            match key {
                "username" => user.username = reader.string()?,
                "uid" => user.uid = reader.string()?,
                "groups" => user.groups = reader.list()?,
                "extra" => user.extra = reader.map(Reader::list)?,
                _ => return None,
            }
            Some(())
        })?;
        Some(user)
    }

    fn object(&mut self) -> Option<ObjectRef<'a>> {
        let mut object = ObjectRef::default();
        self.take(b'{')?;
        self.pairs(Some(b'}'), |reader, key| {
            let field = match key {
                "resource" => &mut object.resource,
                "namespace" => &mut object.namespace,
                "name" => &mut object.name,
                "uid" => &mut object.uid,
                "apiGroup" => &mut object.api_group,
                "apiVersion" => &mut object.api_version,
                "resourceVersion" => &mut object.resource_version,
                "subresource" => &mut object.subresource,
                _ => return None,
            };
            *field = reader.string()?;
            Some(())
        })?;
        Some(object)
    }

    fn status(&mut self) -> Option<ResponseStatus<'a>> {
        let mut status = ResponseStatus::default();
        self.take(b'{')?;
        self.pairs(Some(b'}'), |reader, key| {
            match key {
                "code" => status.code = reader.number()?,
                "status" => status.status = reader.string()?,
                "message" => status.message = reader.string()?,
                "reason" => status.reason = reader.string()?,
                // API servers write an empty one.
                "metadata" => {
                    reader.take(b'{')?;
                    reader.take(b'}')?;
                }
                _ => return None,
            }
            Some(())
        })?;
        Some(status)
    }

    /// A number as API servers write a status.
    fn number(&mut self) -> Option<i64> {
        let digits = self.text.as_bytes().iter().skip(self.at).take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let text = self.text.get(self.at..self.at + digits).filter(|text| !text.starts_with('0'))?;
        self.at += digits;
        matches!(self.peek()?, b',' | b'}').then_some(())?;
        text.parse().ok()
    }
}
