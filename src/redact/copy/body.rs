//! `redact::body` over the places of a text. In: a body and where it stands. Out: what of it is cut out. Whoever changes one
//! changes both.

use super::{Copy, Path};
use crate::redact::{
    body::{Resource, is_secret_path},
    command::{after_short_flags, is_secret_flag},
    key::{Class, Word},
    names,
    tape::{Kind, Node, flag},
};

/// What the keys of an object say of the values beside them.
#[derive(Default)]
struct Sense {
    has_value: bool,
    has_message: bool,
    kind: Option<u32>,
    names: [Option<u32>; 2],
    field: Option<u32>,
}

impl Copy<'_> {
    /// A request's or answer's body. JSON patches go the slow way.
    pub fn body(&mut self, at: u32, resource: Resource, path: &Path<'_>) -> Option<()> {
        match (resource, self.node(at)?.kind) {
            (_, Kind::Array) => None,
            (Resource::Other, _) => self.walk(at, path),
            (Resource::Secret | Resource::ConfigMap, Kind::Object) => self.secret_object(at, resource, path),
            (Resource::Secret | Resource::ConfigMap, _) => self.hide(at, path),
        }
    }

    fn secret_object(&mut self, object: u32, resource: Resource, path: &Path<'_>) -> Option<()> {
        let node = self.node(object)?;
        let mut next = object + 1;
        while let Some((key, name, value, held)) = self.pair(node, next) {
            next = held.next;
            let path = &path.key(key);
            match (name.class.word, held.kind) {
                _ if name.class.contents() => self.hide_values(value, path)?,
                (Word::Items | Word::Rows, Kind::Array) => self.secret_objects(value, resource, path)?,
                (Word::Object, Kind::Object) => self.secret_object(value, resource, path)?,
                (Word::Metadata, _) => self.metadata(value, resource, path)?,
                _ if name.class.harmless() => self.walk(value, path)?,
                _ => self.hide(value, path)?,
            }
        }
        Some(())
    }

    fn secret_objects(&mut self, array: u32, resource: Resource, path: &Path<'_>) -> Option<()> {
        let node = self.node(array)?;
        let (mut next, mut index) = (array + 1, 0);
        while next < node.next {
            let item = self.node(next)?;
            match item.kind {
                Kind::Object => self.secret_object(next, resource, &path.index(index))?,
                _ => self.hide(next, &path.index(index))?,
            }
            (next, index) = (item.next, index + 1);
        }
        Some(())
    }

    fn metadata(&mut self, value: u32, resource: Resource, path: &Path<'_>) -> Option<()> {
        if resource == Resource::Secret
            && let Some((key, annotations)) = self.get(value, b"annotations")
        {
            self.hide_values(annotations, &path.key(key))?;
        }
        self.walk(value, path)
    }

    fn hide_values(&mut self, value: u32, path: &Path<'_>) -> Option<()> {
        let node = self.node(value)?;
        if node.kind != Kind::Object {
            return self.hide(value, path);
        }
        let mut next = value + 1;
        while let Some((key, _, value, held)) = self.pair(node, next) {
            next = held.next;
            self.hide(value, &path.key(key))?;
        }
        Some(())
    }

    /// Hides secrets anywhere below a value.
    pub fn walk(&mut self, at: u32, path: &Path<'_>) -> Option<()> {
        let node = self.node(at)?;
        match node.kind {
            Kind::Object | Kind::Array if node.flags & flag::BUSY == 0 => Some(()),
            Kind::Object => self.object(at, path, |_| true),
            Kind::Array => self.array(at, node, path),
            Kind::String => self.look(node),
            Kind::Known | Kind::Number | Kind::Bool | Kind::Null | Kind::Hidden => Some(()),
        }
    }

    /// The fields of an object that `takes` takes.
    pub fn object(&mut self, object: u32, path: &Path<'_>, takes: impl Fn(Class) -> bool) -> Option<()> {
        let node = self.node(object)?;
        let sense = self.sense(object, node, &takes);
        let text = |at: Option<u32>| at.and_then(|at| self.string(self.node(at)?));
        let kind = text(sense.kind).unwrap_or_default();
        let (resource, is_list) = (Resource::of_kind(&kind), kind.ends_with("List"));
        let is_secret = |at: &Option<u32>| text(*at).is_some_and(|name| names::is_secret(&name));
        let named_secret = sense.has_value && sense.names.iter().any(is_secret);
        let about_secret = sense.has_message && text(sense.field).is_some_and(|field| is_secret_path(&field));
        let is_resource = resource != Resource::Other;
        let mut next = object + 1;
        while let Some((key, name, value, held)) = self.pair(node, next) {
            next = held.next;
            if !takes(name.class) {
                continue;
            }
            let path = &path.key(key);
            let is_text = matches!(held.kind, Kind::String | Kind::Hidden);
            match name.class.word {
                Word::Value | Word::Default if named_secret && (is_text || held.kind == Kind::Number) => {
                    self.hide(value, path)?;
                }
                Word::Message if about_secret && is_text => self.hide(value, path)?,
                Word::Contents | Word::StringData if is_resource => self.hide_values(value, path)?,
                Word::Metadata if is_resource && !is_list => self.metadata(value, resource, path)?,
                Word::Items if is_resource && is_list && held.kind == Kind::Array => {
                    self.secret_objects(value, resource, path)?;
                }
                _ => self.field(name.class, value, path)?,
            }
        }
        Some(())
    }

    fn sense(&self, object: u32, node: Node, takes: &impl Fn(Class) -> bool) -> Sense {
        let mut sense = Sense::default();
        let mut next = object + 1;
        while let Some((_, name, value, held)) = self.pair(node, next) {
            next = held.next;
            let place = match name.class.word {
                // What is hidden already needs no reason.
                Word::Value | Word::Default => {
                    sense.has_value |= matches!(held.kind, Kind::String | Kind::Number);
                    continue;
                }
                Word::Message => {
                    sense.has_message = true;
                    continue;
                }
                Word::Kind => &mut sense.kind,
                Word::Name => &mut sense.names[0],
                Word::Key => &mut sense.names[1],
                Word::Field => &mut sense.field,
                _ => continue,
            };
            *place = takes(name.class).then_some(value);
        }
        sense
    }

    /// A value under its name.
    fn field(&mut self, name: Class, value: u32, path: &Path<'_>) -> Option<()> {
        if name.word == Word::Applied {
            return self.hide(value, path);
        }
        if name.environment() {
            self.environment(value, path)?;
        }
        if name.word == Word::StringData {
            return self.hide_values(value, path);
        }
        let node = self.node(value)?;
        match node.kind {
            Kind::Object => {
                if name.word == Word::Template
                    && let Some((key, contents)) = self.get(value, b"data")
                {
                    self.hide_values(contents, &path.key(key))?;
                }
                if name.secret() {
                    self.hide_contents(value, node, path)?;
                }
                self.walk(value, path)
            }
            Kind::String if name.secret() || name.key() => {
                let text = self.string(node)?;
                match &*text {
                    "true" | "false" => Some(()),
                    _ if name.secret() || names::is_key_material(&text) => self.hide(value, path),
                    _ => self.walk(value, path),
                }
            }
            Kind::Number if name.secret() && name.password() => self.hide(value, path),
            Kind::Array if name.secret() => {
                let (mut next, mut index) = (value + 1, 0);
                while next < node.next {
                    let item = self.node(next)?;
                    match item.kind {
                        Kind::String => self.hide(next, &path.index(index))?,
                        _ => self.walk(next, &path.index(index))?,
                    }
                    (next, index) = (item.next, index + 1);
                }
                Some(())
            }
            Kind::String | Kind::Number | Kind::Array | Kind::Known | Kind::Bool | Kind::Null | Kind::Hidden => {
                self.walk(value, path)
            }
        }
    }

    fn hide_contents(&mut self, object: u32, node: Node, path: &Path<'_>) -> Option<()> {
        let mut next = object + 1;
        while let Some((key, name, value, held)) = self.pair(node, next) {
            next = held.next;
            if name.class.content() && held.kind == Kind::String {
                self.hide(value, &path.key(key))?;
            }
        }
        Some(())
    }

    fn environment(&mut self, value: u32, path: &Path<'_>) -> Option<()> {
        let node = self.node(value)?;
        if node.kind == Kind::Array {
            let (mut next, mut index) = (value + 1, 0);
            while next < node.next {
                self.environment_entry(next, &path.index(index))?;
                (next, index) = (self.node(next)?.next, index + 1);
            }
        } else if node.kind == Kind::Object {
            let mut next = value + 1;
            while let Some((key, _, value, held)) = self.pair(node, next) {
                next = held.next;
                match held.kind {
                    Kind::String | Kind::Number => self.hide(value, &path.key(key))?,
                    Kind::Object => self.environment_entry(value, &path.key(key))?,
                    // A known object has no `value`.
                    Kind::Hidden | Kind::Null | Kind::Bool | Kind::Array | Kind::Known => {}
                }
            }
        }
        Some(())
    }

    fn environment_entry(&mut self, entry: u32, path: &Path<'_>) -> Option<()> {
        if let Some((key, value)) = self.get(entry, b"value") {
            return self.hide(value, &path.key(key));
        }
        if self.string(self.node(entry)?).is_some_and(|text| text.contains('=')) {
            return self.hide(entry, path);
        }
        Some(())
    }

    fn array(&mut self, array: u32, node: Node, path: &Path<'_>) -> Option<()> {
        let short = if self.may_have_short_flags(array, node)? { self.short_flags(array, node)? } else { Vec::new() };
        let mut after_flag = false;
        let (mut next, mut index) = (array + 1, 0);
        while next < node.next {
            let item = self.node(next)?;
            let is_text = item.kind == Kind::String;
            let begins_as_flag = is_text && matches!(self.raw(item).first(), Some(b'-' | b'\\'));
            let (is_flag, is_long) = if begins_as_flag {
                let text = self.string(item)?;
                (is_secret_flag(&text), text.starts_with("--"))
            } else {
                (false, false)
            };
            let path = &path.index(index);
            match after_flag && is_text && !is_long || short.contains(&index) {
                true => self.hide(next, path)?,
                false => self.walk(next, path)?,
            }
            after_flag = is_flag;
            (next, index) = (item.next, index + 1);
        }
        Some(())
    }

    fn may_have_short_flags(&self, array: u32, node: Node) -> Option<bool> {
        let mut next = array + 1;
        while next < node.next {
            let item = self.node(next)?;
            if item.kind == Kind::String {
                let raw = self.raw(item);
                if item.flags & (flag::PROGRAM | flag::ODD | flag::HIGH) != 0 || raw.ends_with(b"-u") {
                    return Some(true);
                }
            }
            next = item.next;
        }
        Some(false)
    }

    fn short_flags(&self, array: u32, node: Node) -> Option<Vec<usize>> {
        let mut arguments = Vec::new();
        let mut next = array + 1;
        while next < node.next {
            let item = self.node(next)?;
            arguments.push(match item.kind {
                Kind::String | Kind::Hidden => self.string(item)?,
                Kind::Object | Kind::Array | Kind::Known | Kind::Number | Kind::Bool | Kind::Null => "".into(),
            });
            next = item.next;
        }
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        Some(after_short_flags(&arguments).into_iter().collect())
    }
}
