//! JSON text -> a tree whose texts are places in it. In: the text of a body, which serde_json reads and bounds. Out: nodes
//! that make no copy of a text but of one with escapes, several times as fast to make as serde_json's own tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// Any other number.
    Double(f64),
    Text(Part),
    List(Vec<Node>),
    /// Sorted by key; of a key that occurs twice, the last.
    Object(Vec<(Part, Node)>),
}

/// A text, as a place in the whole or, where that has escapes, as its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Within { start: u32, end: u32 },
    Own(Box<str>),
}

impl Part {
    fn of<'p>(&'p self, whole: &'p str) -> &'p str {
        match self {
            // It was found there, so that the place exists.
            Part::Within { start, end } => whole.get(*start as usize..*end as usize).unwrap_or_default(),
            Part::Own(text) => text,
        }
    }

    fn within(whole: &str, part: &str) -> Part {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        match (u32::try_from(start), u32::try_from(start.saturating_add(part.len()))) {
            (Ok(start), Ok(end)) if end as usize <= whole.len() => Part::Within { start, end },
            _ => Part::Own(part.into()),
        }
    }
}

/// The tree of a JSON text; the error is serde_json's, also for a nesting over its limit of 128.
pub fn read(text: &str) -> serde_json::Result<Node> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Reader { whole: text }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(node)
}

#[derive(Clone, Copy)]
struct Reader<'w> {
    whole: &'w str,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A key of an object.
struct Key<'w>(Reader<'w>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Part, E> {
        Ok(Part::within(self.0.whole, text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Part, E> {
        Ok(Part::Own(text.into()))
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Node, E> {
        Ok(Node::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Node, E> {
        Ok(Node::Int(int))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Node, E> {
        Ok(i64::try_from(int).map_or(Node::Double(int as f64), Node::Int))
    }

    fn visit_f64<E>(self, double: f64) -> Result<Node, E> {
        Ok(Node::Double(double))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node, E> {
        Ok(Node::Text(Part::within(self.whole, text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(Part::Own(text.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element_seed(self)? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(Part, Node)> = Vec::new();
        while let Some(key) = map.next_key_seed(Key(self))? {
            entries.push((key, map.next_value_seed(self)?));
        }
        entries.sort_by(|(a, _), (b, _)| a.of(self.whole).cmp(b.of(self.whole)));
        entries.dedup_by(|later, earlier| {
            let same = later.0.of(self.whole) == earlier.0.of(self.whole);
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Ok(Node::Object(entries))
    }
}

/// A node in its text.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    /// By reference, to be small.
    pub(super) whole: &'a &'a str,
    pub(super) node: &'a Node,
}

impl<'a> Json<'a> {
    pub fn node(self) -> &'a Node {
        self.node
    }

    /// The text of one that is a text.
    pub fn text(self) -> Option<&'a str> {
        match self.node {
            Node::Text(part) => Some(part.of(self.whole)),
            _ => None,
        }
    }

    /// How many elements or entries it has; none for what is neither a list nor an object.
    pub fn len(self) -> usize {
        match self.node {
            Node::List(list) => list.len(),
            Node::Object(entries) => entries.len(),
            _ => 0,
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// An element of a list.
    pub fn at(self, index: usize) -> Option<Json<'a>> {
        match self.node {
            Node::List(list) => list.get(index).map(|node| Json { node, ..self }),
            _ => None,
        }
    }

    /// What an object has under a key.
    pub fn get(self, key: &str) -> Option<Json<'a>> {
        let Node::Object(entries) = self.node else { return None };
        let place = entries.binary_search_by(|(part, _)| part.of(self.whole).cmp(key)).ok()?;
        entries.get(place).map(|(_, node)| Json { node, ..self })
    }

    /// Keys and values of an object, by key.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        let entries = match self.node {
            Node::Object(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |(key, node)| (key.of(self.whole), Json { node, ..self }))
    }

    /// As serde_json has it.
    pub fn to_value(self) -> serde_json::Value {
        match self.node {
            Node::Null => serde_json::Value::Null,
            Node::Bool(bool) => (*bool).into(),
            Node::Int(int) => (*int).into(),
            Node::Double(double) => (*double).into(),
            Node::Text(part) => part.of(self.whole).into(),
            Node::List(list) => list.iter().map(|node| Json { node, ..self }.to_value()).collect(),
            Node::Object(_) => self.entries().map(|(key, value)| (key.to_owned(), value.to_value())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Json, Node, read};

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|b| b.to_string()),
            any::<i64>().prop_map(|i| i.to_string()),
            (-1e9f64..1e9).prop_map(|d| format!("{d:?}")),
            "[a-b\"\\\\\u{e9}\n]{0,4}".prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just(r#""\u0061\/""#.to_owned()),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            // Few keys, so that some occur twice.
            let key = prop_oneof![Just(r#""a""#), Just(r#""\u0061""#), Just(r#""b""#), Just(r#""""#)];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|all| format!("[{}]", all.join(", "))),
                prop::collection::vec((key, inner), 0..5).prop_map(|all| {
                    let entries: Vec<String> = all.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                    format!("{{{}}}", entries.join(","))
                }),
            ]
        })
    }

    fn whole<'a>(text: &'a &'a str, node: &'a Node) -> Json<'a> {
        Json { whole: text, node }
    }

    proptest! {
        #[test]
        fn the_tree_is_that_of_serde_json(text in any_json()) {
            let node = read(&text).unwrap();
            let expected: Value = serde_json::from_str(&text).unwrap();
            let (text, node) = (&text.as_str(), &node);
            prop_assert_eq!(whole(text, node).to_value(), expected.clone());
            if let Some(object) = expected.as_object() {
                for key in ["a", "b", "", "c"] {
                    let got = whole(text, node).get(key).map(Json::to_value);
                    prop_assert_eq!(got.as_ref(), object.get(key));
                }
            }
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_an_error() {
        for text in ["", "{", "[1,]", "{} {}", "nul", r#"{"a" 1}"#, "01"] {
            assert!(read(text).is_err(), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(127)).is_ok() && read(&nested(128)).is_err());
    }

    #[test]
    fn a_number_that_no_int_holds_is_a_double() {
        assert_eq!(read("9223372036854775807").unwrap(), Node::Int(i64::MAX));
        assert_eq!(read("9223372036854775808").unwrap(), Node::Double(9_223_372_036_854_775_808.0));
        assert_eq!(read("1.0").unwrap(), Node::Double(1.0));
    }
}
