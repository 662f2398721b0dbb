//! Writes an event in the order of the text that it was read from, since a tree has its keys sorted. In: the redacted event and
//! its text. Out: canonical text. What redaction renamed comes last, and a text that is read otherwise than written (with
//! escaped keys, broken numbers) leaves some keys at the end: sorted there.

use serde_json::{Map, Value};

use super::BODY_MARK;

/// Deeper objects are written sorted.
const MAX_DEPTH: usize = 100;

/// The keys of an object in the order of the text, with what is below each.
#[derive(Default)]
struct Order(Vec<(String, Order)>);

/// The canonical text of `event`, which was read from `bytes`.
pub fn write(event: &Map<String, Value>, bytes: &[u8]) -> Result<String, serde_json::Error> {
    let text = String::from_utf8_lossy(bytes);
    let order = Reader { text: text.trim_start_matches('\u{feff}').as_bytes(), at: 0 }.value(0).unwrap_or_default();
    let mut out = String::with_capacity(bytes.len());
    let is_body = |key: &str| matches!(key, "requestObject" | "responseObject");
    let pairs = order.pairs(event);
    let (bodies, metadata): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _, _)| is_body(key));
    out.push('{');
    for (pairs, mark) in [(metadata, ","), (bodies, str::from_utf8(BODY_MARK).unwrap_or(","))] {
        for (key, value, below) in pairs {
            out.push_str(if out.len() > 1 { mark } else { "" });
            put_pair(key, value, below, &mut out)?;
        }
    }
    out.push('}');
    Ok(out)
}

fn put_pair(key: &str, value: &Value, below: &Order, out: &mut String) -> Result<(), serde_json::Error> {
    out.push_str(&serde_json::to_string(key)?);
    out.push(':');
    put(value, below, out)
}

fn put(value: &Value, order: &Order, out: &mut String) -> Result<(), serde_json::Error> {
    match value {
        Value::Object(map) => {
            out.push('{');
            for (place, (key, value, below)) in order.pairs(map).into_iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                put_pair(key, value, below, out)?;
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, value) in items.iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                // Items that redaction dropped move the later ones; such a list holds texts alone.
                let below = order.0.get(place).map_or(&NONE, |(_, below)| below);
                put(value, below, out)?;
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&serde_json::to_string(value)?);
        }
    }
    Ok(())
}

static NONE: Order = Order(Vec::new());

impl Order {
    fn pairs<'v>(&'v self, map: &'v Map<String, Value>) -> Vec<(&'v str, &'v Value, &'v Order)> {
        let places: std::collections::HashMap<&str, (usize, &Order)> =
            self.0.iter().enumerate().map(|(place, (key, below))| (key.as_str(), (place, below))).collect();
        let place = |key: &str| places.get(key).map_or(usize::MAX, |(place, _)| *place);
        let mut pairs: Vec<_> = map
            .iter()
            .map(|(key, value)| (key.as_str(), value, places.get(key.as_str()).map_or(&NONE, |(_, below)| *below)))
            .collect();
        pairs.sort_by(|(a, ..), (b, ..)| (place(a), a).cmp(&(place(b), b)));
        pairs
    }
}

/// Reads the order alone. An array is an object without keys. Gives up with what it has where the text is broken.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Option<Order> {
        let (is_object, close) = match self.peek()? {
            b'{' => (true, b'}'),
            b'[' => (false, b']'),
            b'"' => {
                self.string()?;
                return Some(Order::default());
            }
            _ => {
                while !matches!(self.text.get(self.at), None | Some(b',' | b'}' | b']')) {
                    self.at += 1;
                }
                return Some(Order::default());
            }
        };
        if depth >= MAX_DEPTH {
            self.skip()?;
            return Some(Order::default());
        }
        self.at += 1;
        let mut order = Order::default();
        loop {
            if self.peek()? == close {
                self.at += 1;
                return Some(order);
            }
            let mut key = String::new();
            if is_object {
                let start = self.at;
                self.string()?;
                key = serde_json::from_slice(self.text.get(start..self.at)?).unwrap_or_default();
                self.peek()?;
                self.at += 1;
            }
            order.0.push((key, self.value(depth + 1)?));
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Passes over a container without recursion.
    fn skip(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(());
            }
        }
    }
}
