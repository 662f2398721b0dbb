//! RE2 syntax (github.com/google/re2/wiki/Syntax, as Go's regexp/syntax reads it) -> the syntax of the regex crate, so that a
//! pattern means the same here as in the reference implementation. In: a pattern. Out: the translated one, or what is wrong
//! with it. `\d`, `\w`, `\s` and `\b` are ASCII; set operations and nesting in classes are no syntax but characters.

/// Most repetitions, and product of nested ones, that RE2 takes.
const REPEATS: u32 = 1000;

const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\f\r ";
const WORD: &str = "0-9A-Za-z_";
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Translates `pattern`.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translation = Translation { rest: pattern, out: String::new(), groups: vec![1], item: None };
    while let Some(c) = translation.next() {
        translation.part(c)?;
    }
    if translation.groups.len() > 1 {
        return Err("unclosed group".into());
    }
    Ok(translation.out)
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
    /// The largest product of repetitions in each open group, the outermost first.
    groups: Vec<u32>,
    /// What a repetition applies to: `None` when there is nothing, else the product of repetitions in it, and whether it
    /// is a repetition itself.
    item: Option<(u32, bool)>,
}

impl<'p> Translation<'p> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, c: char) {
        escape(&mut self.out, c);
        self.item = Some((1, false));
    }

    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
        self.item = Some((1, false));
    }

    fn part(&mut self, c: char) -> Result<(), String> {
        match c {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => {
                self.out.push('|');
                self.item = None;
            }
            '[' => self.class()?,
            '*' | '+' | '?' => self.repeat(&c.to_string(), 1)?,
            '{' => match self.counts()? {
                Some((text, most)) => self.repeat(&text, most)?,
                None => self.literal('{'),
            },
            '.' | '^' | '$' => self.raw(&c.to_string()),
            '\\' => self.escaped()?,
            other => self.literal(other),
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), String> {
        if !self.eat("?") {
            return self.group("(?:");
        }
        if self.eat("P<") || self.eat("<") {
            let (name, rest) = self.rest.split_once('>').ok_or("a group's name without an end")?;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(word) {
                return Err(format!("invalid group name `{name}`"));
            }
            // Go takes a name twice; nothing here asks for groups, so they lose their names.
            self.rest = rest;
            return self.group("(?:");
        }
        let end = self.rest.find([':', ')']).ok_or("unclosed group")?;
        let (flags, rest) = self.rest.split_at(end);
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let known = |c: char| matches!(c, 'i' | 'm' | 's' | 'U');
        let empty_off = flags.contains('-') && off.is_empty();
        if !on.chars().all(known) || !off.chars().all(known) || empty_off {
            return Err(format!("no such group or flags `(?{flags}`"));
        }
        self.rest = rest;
        if self.eat(":") {
            return self.group(&format!("(?{flags}:"));
        }
        self.eat(")");
        if flags.is_empty() {
            return Err("no such group or flags `(?)`".into());
        }
        self.out.push_str(&format!("(?{flags})"));
        // RE2 lets a repetition after it apply to what stands before; nobody means that.
        self.item = None;
        Ok(())
    }

    fn group(&mut self, opening: &str) -> Result<(), String> {
        self.out.push_str(opening);
        self.groups.push(1);
        self.item = None;
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        if self.groups.len() < 2 {
            return Err("unopened group".into());
        }
        let product = self.groups.pop().unwrap_or(1);
        self.out.push(')');
        self.count(product);
        self.item = Some((product, false));
        Ok(())
    }

    fn count(&mut self, product: u32) {
        if let Some(largest) = self.groups.last_mut() {
            *largest = (*largest).max(product);
        }
    }

    /// `{n}`, `{n,}`, `{n,m}` after the brace, and the number to which it may grow; `None` when it is none and so text.
    fn counts(&mut self) -> Result<Option<(String, u32)>, String> {
        let Some((inside, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let plain = |text: &str| number(text) && (text.len() == 1 || !text.starts_with('0'));
        if !plain(least) || !(most.is_empty() || plain(most)) {
            return Ok(None);
        }
        let value = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= REPEATS);
        let too_many = || format!("`{{{inside}}}` repeats more than {REPEATS} times");
        let from = value(least).ok_or_else(too_many)?;
        let to = if most.is_empty() { from } else { value(most).ok_or_else(too_many)? };
        if to < from {
            return Err(format!("`{{{inside}}}` ends before it begins"));
        }
        self.rest = rest;
        Ok(Some((format!("{{{inside}}}"), to.max(from))))
    }

    fn repeat(&mut self, operator: &str, times: u32) -> Result<(), String> {
        let (product, repeated) = self.item.ok_or_else(|| format!("`{operator}` has nothing to repeat"))?;
        if repeated {
            return Err(format!("`{operator}` repeats a repetition; use a group"));
        }
        let product = product.saturating_mul(times.max(1));
        if product > REPEATS {
            return Err(format!("nested repetitions of more than {REPEATS}"));
        }
        self.out.push_str(operator);
        if self.eat("?") {
            self.out.push('?');
        }
        self.count(product);
        self.item = Some((product, true));
        Ok(())
    }

    /// What stands after a backslash, outside of a class.
    fn escaped(&mut self) -> Result<(), String> {
        match self.rest.chars().next() {
            Some('Q') => {
                self.eat("Q");
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                quoted.chars().for_each(|c| self.literal(c));
                self.rest = rest;
            }
            Some('A') if self.eat("A") => self.raw(r"\A"),
            Some('z') if self.eat("z") => self.raw(r"\z"),
            Some('b') if self.eat("b") => self.raw(r"(?-u:\b)"),
            Some('B') if self.eat("B") => self.raw(r"(?-u:\B)"),
            _ => match self.class_escape()? {
                Some(class) => self.raw(&format!("[{class}]")),
                None => {
                    let c = self.character_escape()?;
                    self.literal(c);
                }
            },
        }
        Ok(())
    }

    /// `\d`, `\pL` and the like after the backslash, as the inside of a class.
    fn class_escape(&mut self) -> Result<Option<String>, String> {
        let Some(c) = self.rest.chars().next() else { return Err("it ends in a backslash".into()) };
        let perl = match c.to_ascii_lowercase() {
            'd' => DIGIT,
            's' => SPACE,
            'w' => WORD,
            'p' => {
                self.next();
                return self.unicode(c == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(if c.is_ascii_uppercase() { format!("[^{perl}]") } else { perl.to_owned() }))
    }

    /// The class after `\p` or `\P`.
    fn unicode(&mut self, mut negated: bool) -> Result<String, String> {
        let name = if self.eat("{") {
            let (name, rest) = self.rest.split_once('}').ok_or("a character class `\\p{` without an end")?;
            self.rest = rest;
            name.to_owned()
        } else {
            self.next().ok_or("`\\p` without a class")?.to_string()
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name.to_owned()
            }
            None => name,
        };
        let p = if negated { "\\P" } else { "\\p" };
        let word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        [format!("{p}{{gc={name}}}"), format!("{p}{{sc={name}}}")]
            .into_iter()
            .find(|class| word && regex::Regex::new(class).is_ok())
            .ok_or_else(|| format!("no such character class `\\p{{{name}}}`"))
    }

    /// One character after a backslash.
    fn character_escape(&mut self) -> Result<char, String> {
        let Some(c) = self.next() else { return Err("it ends in a backslash".into()) };
        Ok(match c {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hexadecimal()?,
            '0'..='7' => self.octal(c)?,
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => other,
            other => return Err(format!("no such escape `\\{other}`")),
        })
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let digits = if self.eat("{") {
            let (digits, rest) = self.rest.split_once('}').ok_or("`\\x{` without an end")?;
            self.rest = rest;
            digits
        } else {
            let (digits, rest) = self.rest.split_at_checked(2).ok_or("`\\x` needs two digits")?;
            self.rest = rest;
            digits
        };
        let code = Some(digits)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, 16).ok());
        code.and_then(char::from_u32).ok_or_else(|| format!("`\\x` with {digits:?} is no character"))
    }

    /// One to three octal digits; a single one that is not 0 would be a back reference.
    fn octal(&mut self, first: char) -> Result<char, String> {
        let more = self.rest.bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
        if first != '0' && more == 0 {
            return Err(format!("`\\{first}`: back references are not supported"));
        }
        let (digits, rest) = self.rest.split_at(more);
        self.rest = rest;
        let code = u32::from_str_radix(&format!("{first}{digits}"), 8).ok().and_then(char::from_u32);
        code.ok_or_else(|| "no such octal escape".into())
    }

    fn class(&mut self) -> Result<(), String> {
        let mut inside = String::new();
        let negated = self.eat("^");
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.rest.is_empty() {
                return Err("unclosed character class".into());
            }
            if self.posix(&mut inside)? {
                continue;
            }
            if let Some(after) = self.rest.strip_prefix('\\') {
                let before = std::mem::replace(&mut self.rest, after);
                if let Some(class) = self.class_escape()? {
                    inside.push_str(&class);
                    continue;
                }
                self.rest = before;
            }
            let low = self.class_character()?;
            let ranged = self.rest.strip_prefix('-').filter(|rest| !rest.is_empty() && !rest.starts_with(']'));
            let high = match ranged {
                Some(rest) => {
                    self.rest = rest;
                    self.class_character()?
                }
                None => low,
            };
            if high < low {
                return Err(format!("the range `{low}-{high}` ends before it begins"));
            }
            escape(&mut inside, low);
            if high > low {
                inside.push('-');
                escape(&mut inside, high);
            }
        }
        self.eat("]");
        self.raw(&format!("[{}{inside}]", if negated { "^" } else { "" }));
        Ok(())
    }

    /// `[:alpha:]` within a class.
    fn posix(&mut self, inside: &mut String) -> Result<bool, String> {
        let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return Ok(false);
        };
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("no such character class `[:{name}:]`"));
        }
        inside.push_str(&format!("[:{name}:]"));
        self.rest = rest;
        Ok(true)
    }

    fn class_character(&mut self) -> Result<char, String> {
        match self.next() {
            None => Err("unclosed character class".into()),
            Some('\\') => self.character_escape(),
            Some(c) => Ok(c),
        }
    }
}

fn escape(out: &mut String, c: char) {
    if c.is_ascii_punctuation() || c.is_control() || c == ' ' {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    } else {
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        // Pattern, text, the part that it finds.
        let table = [
            (r"\d+", "٣4", Some("4")),
            (r"\w+", "é_a", Some("_a")),
            (r"\s", "\u{a0}\u{b}x", None),
            (r"\bb", "éb", Some("b")),
            (r"[\D]", "1x", Some("x")),
            (r"[a&&b]+", "a&b", Some("a&b")),
            (r"[+--z]+", "-z", Some("-z")),
            (r"[a~~b]", "~", Some("~")),
            (r"[[a]]", "[]", Some("[]")),
            (r"[]a]+", "]a", Some("]a")),
            (r"[^]a]", "]b", Some("b")),
            (r"[[:alpha:]-]+", "a-1", Some("a-")),
            (r"\Qa.b*\E+", "a.b**", Some("a.b**")),
            (r"a{,2}", "a{,2}", Some("a{,2}")),
            (r"a{2", "a{2", Some("a{2")),
            (r"{", "{", Some("{")),
            (r"\101\x42\x{43}", "ABC", Some("ABC")),
            (r"(?i)straSSe", "STRASSE", Some("STRASSE")),
            (r"(?P<y>a)(?<z>b)", "ab", Some("ab")),
            (r"(?P<y>a)(?P<y>b)", "ab", Some("ab")),
            (r"\pL\p{Greek}\P{Lu}\p{^Lu}", "aαbc", Some("aαbc")),
            (r"\<\_\-", "<_-", Some("<_-")),
            (r"(?s).", "\n", Some("\n")),
            (r"a b#", "a b#", Some("a b#")),
            (r"(?U)a+", "aaa", Some("a")),
            (r"a+?", "aaa", Some("a")),
        ];
        let mut wrong = vec![];
        for (pattern, text, expected) in table {
            let translated = translate(pattern);
            let found = translated.as_ref().map_err(String::clone).and_then(|p| {
                regex::Regex::new(p).map(|r| r.find(text).map(|m| m.as_str())).map_err(|e| e.to_string())
            });
            if found != Ok(expected) {
                wrong.push(format!("{pattern}: {found:?}, not {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "(",
            ")",
            "a**",
            "a+*",
            "a{2}{3}",
            "*",
            "a|*",
            "(?i)*",
            "a{1001}",
            "(a{100}){100}",
            "a{3,2}",
            r"\1",
            r"\8",
            r"\é",
            "[b-a]",
            "[a",
            "[[:foo:]]",
            r"\p{Nope}",
            "(?x)a",
            "(?u)a",
            "(?=a)",
            "(?<>x)",
            r"\Z",
            r"\C",
            r"[a-\d]",
            r"\x{110000}",
            "\\",
            "(?",
            r"\k",
            "(?-)a",
            "(?)",
        ] {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}
