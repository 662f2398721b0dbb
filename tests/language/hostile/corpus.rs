//! Sources that nobody means well with: the worst that we could think of. `make bench` times them too, so this file needs
//! nothing beside it.

fn nested(n: usize, open: &str, middle: &str, close: &str) -> String {
    format!("{}{middle}{}", open.repeat(n), close.repeat(n))
}

/// What opens, stands in the middle and closes.
pub const NESTS: &[(&str, &str, &str)] = &[
    ("(", "1", ")"),
    ("[", "", "]"),
    ("{1:", "1", "}"),
    ("!", "true", ""),
    ("- ", "1", ""),
    ("-", "1", ""),
    ("true?1:", "1", ""),
    ("(", "true", "?true:false)"),
    ("int(", "1", ")"),
    ("dyn(", "1", ")"),
    ("a[", "0", "]"),
    ("a[?", "0", "]"),
    ("optional.of(", "1", ")"),
    ("[1].all(x,", "true", ")"),
    ("[1].map(x,", "x", ")"),
    ("[1].transformMap(k,v,", "v", ")"),
    ("cel.bind(x,1,", "x", ")"),
    ("cel.bind(x,[x,x],", "x", ")"),
    ("cel.bind(x,", "1", ",x)"),
    ("has(", "a.b", ")"),
    ("optional.of(1).optMap(x,", "x", ")"),
    ("sets.contains([],", "[]", ")"),
    ("'%s'.format([", "1", "])"),
    ("math.greatest(1,2,", "3", ")"),
    ("1+(", "1", ")"),
    ("1==(", "1", ")"),
    ("A{a:", "1", "}"),
    ("``", "a", "``"),
    ("r'", "(", "'"),
];

/// What can be repeated behind an operand.
pub const CHAINS: &[&str] = &[
    "+1",
    "-1",
    "==1",
    "<1",
    "&&true",
    "||true",
    "||audit.verb=='a'",
    " in [1]",
    ".a",
    ".?a",
    "[0]",
    "[?0]",
    ".trim()",
    ".size()",
    ".map(x,x)",
    ".filter(x,true)",
    ".replace('a','aaaaaaaa')",
    ".split('')",
    ".reverse()",
    ".orValue(1)",
    "?1:2",
    ".matches('a')",
    ",",
    " ",
    "//\n",
    "+'a'",
    "+[1]",
    "+b'\\xff'",
];

pub const PATTERNS: &[&str] = &[
    "(a{1000}){1000}",
    "(((a{30}){30}){30}){30}",
    r"(\\w{500}){500}",
    r"\\pL{999}",
    "(?i)[a-z]{1000}",
    "(a|aa)+$",
    "(a*)*b",
    "((((((((((((((((((((a))))))))))))))))))))",
    "(x+x+)+y",
    r"[\\p{Greek}\\p{Lu}]{400}",
    "((a{1,100}){1,100}){1,100}",
    "|||||||||||",
    "(?:a?){1000}a{1000}",
    "[^\\u0000]{1000}",
];

/// Searches of texts that are long, or many, for patterns whose states they multiply; and what else is dear at each step.
fn searches() -> Vec<String> {
    let text: String = (0u32..1000).map(|n| if (n * n / 7 + n / 3) % 2 == 0 { 'a' } else { 'b' }).collect();
    let long = format!(
        "'{text}'.replace('a','aab').replace('b','abbab').replace('b','abbab').replace('a','abbab').replace('b','abbab')"
    );
    let mut all = vec![];
    for pattern in
        ["[ab]*a[ab]{15}c", "[ab]*a[ab]{500}c", "(?:a?){400}a{400}c", "([ab]{1,30}){1,30}x", "c[ab]{200}a[ab]*"]
    {
        for search in ["matches", "find", "findAll"] {
            all.push(format!("'{text}'.{search}('{pattern}')"));
            all.push(format!("{long}.{search}('{pattern}')"));
            all.push(format!(
                "lists.range(20000).map(i,'{}'.{search}('{pattern}'))",
                text.chars().take(60).collect::<String>()
            ));
            all.push(format!("lists.range(20).map(i,'{text}'.{search}('{pattern}'+string(i)))"));
        }
    }
    all.push(format!("{long}.findAll('a[ab]*c|a')"));
    all.push(format!("{long}.split('').sort()"));
    all.push(format!("{long}.replace('ab','c').lastIndexOf('{}')", "a".repeat(900)));
    for call in [
        "'%e%e%e'.format([1e308,1e308,1e308])",
        "'%.1000f'.format([1e308])",
        "timestamp('2026-01-02T03:04:05.123456789+01:00')",
        "timestamp('2026-01-02T03:04:05.123456789'+'+01:00')",
        "duration('1h2m3s4ms5us6ns1h2m3s4ms5us6ns1h2m3s4ms5us6ns'+'1h')",
        "url('http://a/b?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')",
        "cidr('fe80::/10').containsIP('fe80::1')",
        "-i",
        "[i,i,i,i]",
        "{'a':i,'b':i}",
        "{string(i):i}",
    ] {
        all.push(format!("lists.range(24000).map(i,{call}).size()"));
        all.push(format!("lists.range(9000).map(i,{call}).size()"));
    }
    all.push("lists.range(30000).map(i,-i).sort().size()".to_owned());
    all.push("lists.range(12000).map(i,-i).sort().size()".to_owned());
    all.push("lists.range(6000).map(i,string(-i)).sort().distinct().size()".to_owned());
    all
}

/// Classes of characters: those of Unicode, which are many ranges, and those that become as many when case is ignored.
pub const CLASSES: &[&str] =
    &[r"\p{L}", r"\P{L}", r"[\p{L}\p{N}]", r"[^\pL\pM]", r"\p{Han}", r"\w", r"[^\w]", r"[^a]", r"[\x{80}-\x{10ffff}]"];

/// So many of a class, in as many patterns as an expression may have.
fn spread(class: &str, flags: &str, count: usize) -> String {
    let patterns = 16.min(count.max(1));
    let of = |n: usize| class.repeat((count + n) / patterns);
    let one = |n: usize| format!("audit.verb.matches(r'{flags}{}')", of(n));
    (0..patterns).map(one).collect::<Vec<_>>().join("||")
}

/// Classes of Unicode: at the bound of an expression (32) and of a pattern that is no literal (8), one less, one more, and as
/// many as a source has room for; each again and again in loops.
fn classes() -> Vec<String> {
    let mut all = vec![];
    for (class, flags) in CLASSES.iter().flat_map(|class| [(*class, ""), (*class, "(?i)")]) {
        for repeated in ["{2}", "{20}", "{300}", "*", "{1,99}"] {
            all.push(format!("audit.verb.matches(r'{flags}{class}{repeated}')"));
            all.push(format!("audit.verb.find(r'{flags}({class}{repeated}x)+')"));
        }
        let named = class.matches(r"\p").count() + class.matches(r"\P").count();
        let room = (4096 - 16 * 32) / class.len();
        for count in [31, 32, 33, 64, 160, room] {
            all.push(spread(class, flags, count / named.max(1)));
        }
        for count in [7, 8, 9, 900 / class.len()] {
            let many = class.repeat(count / named.max(1));
            for call in ["matches", "findAll"] {
                all.push(format!("lists.range(2000).map(i,'aé日'.{call}(r'{flags}{many}'+string(i))).size()"));
                all.push(format!("lists.range(40).map(i,'aé日'.{call}(r'{flags}({many})*'+string(i))).size()"));
            }
        }
    }
    all
}

/// The worst by hand.
pub fn worst() -> Vec<String> {
    let mut all =
        vec![String::new(), " ".repeat(4097), "\0".repeat(4096), "😀".repeat(1000), ",".repeat(1999), "'".repeat(4096)];
    for (open, middle, close) in NESTS {
        let one = open.len() + close.len();
        for most in [8, 15, 32, 64, (4096 - middle.len()) / one, 4000] {
            all.push(nested(most, open, middle, close));
        }
    }
    for link in CHAINS {
        for operand in ["1", "'aaaaaaaaaaaaaaaa'", "[1,2,3]", "a"] {
            for most in [400, 990, 4090 / link.len()] {
                all.push(format!("{operand}{}", link.repeat(most)));
            }
        }
    }
    for pattern in PATTERNS {
        all.push(format!("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches('{pattern}')"));
        let many: Vec<String> = (0..16).map(|n| format!("audit.verb.matches('{pattern}{n}')")).collect();
        all.push(many.join("||"));
        all.push(format!("[1,2,3].all(x, audit.verb.matches('{pattern}' + string(x)))"));
    }
    let hundred = format!("[{}]", vec!["1"; 100].join(","));
    // A zone that is looked up at each of many steps.
    all.push("lists.range(24000).map(i, event.created.getFullYear('America/New_York')).size() > 0".to_owned());
    all.extend(searches());
    all.extend(classes());
    all.push(format!("{hundred}.map(a,{hundred}.map(b,{hundred}.map(c,[a,b,c])))"));
    all.push(format!("{hundred}.transformMap(a,b,{hundred}.transformMap(c,d,'aaaaaaaa'))"));
    all.push((0..14).fold("[1]".to_owned(), |inner, _| format!("[{inner}].map(x, [x, x, x, x])[0]")));
    all.push((0..24).fold("'aaaaaaaa'".to_owned(), |inner, n| format!("cel.bind(v{n},{inner},v{n}+v{n})")));
    all.push((0..40).rev().fold("v0".to_owned(), |inner, n| {
        format!("cel.bind(v{n},optional.none().value(),[v{n}=={{v{}:v{}}},{inner}])", n + 1, n + 1)
    }));
    all.push(format!("lists.range({})", i64::MAX));
    all.push("lists.range(99999).map(x, lists.range(99999))".into());
    all.push(format!("'{}'.split('').map(x, '{}')", "a".repeat(1900), "b".repeat(1900)));
    all.push(format!("'%.{}f'.format([1.5])", u64::MAX));
    all.push("'%.999999999f%.999999999e'.format([1.5, 1.5])".into());
    all.push(format!("timestamp('{}')", "9".repeat(3000)));
    all.push(format!("duration('{}h')", "9".repeat(3000)));
    all.push(format!("{}.{}", "1".repeat(2000), "1".repeat(2000)));
    all.push(format!("1e{}", "9".repeat(4000)));
    all.push(format!("double('{}e-{}')", "1".repeat(2000), "9".repeat(1900)));
    all
}
