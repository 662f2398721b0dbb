//! The architecture as tests: imports point down, the pure ranks stay pure, every file is compiled, files and functions
//! are small. Each check is a function from text to violations, printed as `path:line: what`; `checks` proves that each
//! can fail.

mod checks;
mod rules;
mod source;

use std::{collections::BTreeMap, fmt, fs, path::Path};

use rules::{Arrow, BANNED, EDGE, MODULES, Module, PURE, TELEMETRY};
use source::Source;

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 60;
/// `src/a/b/c.rs` is as deep as it gets.
const MAX_DIRECTORIES: usize = 2;

/// Files by path, such as `src/ruleset/expr.rs`.
type Files = BTreeMap<String, String>;

#[derive(Debug, PartialEq)]
struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// One compiled file.
struct Unit {
    path: String,
    /// Its module path; empty for `lib.rs` and `main.rs`.
    module: Vec<String>,
    source: Source,
}

fn read_files(directory: &str) -> Files {
    fn collect(at: &Path, root: &Path, files: &mut Files) {
        for entry in fs::read_dir(at).unwrap_or_else(|e| panic!("{}: {e}", at.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, files);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Files::new();
    collect(&root.join(directory), root, &mut files);
    assert!(!files.is_empty(), "no Rust file below {directory}");
    files
}

fn assert_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Follows `mod name;` from `lib.rs` and `main.rs`. Every other file is an orphan: nothing compiles it.
fn reachable(files: &Files) -> (Vec<Unit>, Vec<Violation>) {
    let mut units = Vec::new();
    let mut violations = Vec::new();
    let mut open: Vec<(String, Vec<String>, bool)> =
        ["src/lib.rs", "src/main.rs"].map(|path| (path.to_owned(), Vec::new(), false)).into();
    while let Some((path, module, in_test)) = open.pop() {
        let Some(text) = files.get(&path) else { continue };
        let source = Source::read(text, &module, in_test);
        for declared in &source.declarations {
            let child = format!("src/{}.rs", declared.module.join("/"));
            if files.contains_key(&child) {
                open.push((child, declared.module.clone(), declared.in_test));
            } else {
                let what = format!("declares a module that is not at {child}");
                violations.push(Violation { path: path.clone(), line: declared.line, what });
            }
        }
        units.push(Unit { path, module, source });
    }
    for path in files.keys() {
        let what = if !units.iter().any(|unit| unit.path == *path) {
            "no `mod` line leads to this file".to_owned()
        } else if path.matches('/').count() > MAX_DIRECTORIES + 1 {
            format!("lies more than {MAX_DIRECTORIES} directories below src")
        } else {
            continue;
        };
        violations.push(Violation { path: path.clone(), line: 1, what });
    }
    (units, violations)
}

/// The binaries of tests: of `make test`, and of `make test-node`.
const BINARIES: [&str; 2] = ["it", "node"];

/// Files directly below `tests` that no test binary holds: their tests never run.
fn left_out(files: &Files) -> Vec<Violation> {
    let texts = BINARIES.iter().filter_map(|name| files.get(&format!("tests/{name}.rs")));
    let roots: Vec<_> = texts.map(|text| Source::read(text, &[], true)).collect();
    let is_declared = |name: &str| {
        let mut declared = roots.iter().flat_map(|root| &root.declarations);
        BINARIES.contains(&name) || declared.any(|declared| declared.module == [name])
    };
    let direct = files.keys().filter_map(|path| Some((path, path.strip_prefix("tests/")?.strip_suffix(".rs")?)));
    direct
        .filter(|(_, name)| !name.contains('/') && !is_declared(name))
        .map(|(path, _)| Violation {
            path: path.clone(),
            line: 1,
            what: "no `mod` line in tests/it.rs or node.rs".to_owned(),
        })
        .collect()
}

fn module_of(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.name == name)
}

/// True when a module may name `target`, an absolute path of this crate. Its tests may use anything of their rank, such as
/// the fixtures of the stage before, and nothing above.
fn may_import(from: &Module, target: &[String], in_test: bool) -> bool {
    let Some(to) = target.first().and_then(|name| module_of(name)) else { return false };
    let below = target.get(1..).unwrap_or_default();
    let listed = from.arrows.iter().any(|arrow| match *arrow {
        Arrow::To(name) => name == to.name,
        Arrow::TypesOf(name) => name == to.name && below.iter().any(|s| s.starts_with(char::is_uppercase)),
        Arrow::Below(path) => path.split("::").eq(target.iter().take(path.split("::").count())),
    });
    let lower = match from.rank {
        EDGE => to.rank == 0 || to.name == TELEMETRY,
        rank => to.rank < rank,
    };
    from.name == to.name || lower || listed || (in_test && to.rank <= from.rank)
}

/// Imports that point up, or sideways where no arrow is.
fn imports(unit: &Unit) -> Vec<Violation> {
    let violation = |line, what| Violation { path: unit.path.clone(), line, what };
    let Some(name) = unit.module.first() else { return Vec::new() }; // lib.rs and main.rs stand above all ranks
    let Some(from) = module_of(name) else {
        return vec![violation(
            1,
            format!("module {name} has no rank: add it to MODULES in tests/architecture/rules.rs"),
        )];
    };
    let mut violations = Vec::new();
    for path in &unit.source.paths {
        let Some(target) = path.absolute() else { continue };
        if !may_import(from, &target, path.in_test) {
            let what = format!("{name} (rank {}) may not import crate::{}", from.rank, target.join("::"));
            violations.push(violation(path.line, what));
        }
    }
    violations
}

/// Names that would make ranks 0 to 2 impure. Tests may use them.
fn impurities(unit: &Unit) -> Vec<Violation> {
    let Some(module) = unit.module.first().and_then(|name| module_of(name)) else { return Vec::new() };
    if module.rank > PURE {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for path in unit.source.paths.iter().filter(|path| !path.in_test) {
        for banned in BANNED.iter().filter(|banned| banned.except != Some(unit.path.as_str())) {
            if path.segments.windows(banned.segments.len()).any(|window| window == banned.segments) {
                let what = format!("{} in rank {}: {}", banned.segments.join("::"), module.rank, banned.reason);
                violations.push(Violation { path: unit.path.clone(), line: path.line, what });
            }
        }
    }
    violations
}

/// True for each line that is neither blank nor a comment.
fn code_lines(text: &str) -> Vec<bool> {
    let mut in_comment = false;
    text.lines()
        .map(str::trim)
        .map(|line| {
            let opens = line.starts_with("/*");
            let is_code = !(in_comment || opens || line.is_empty() || line.starts_with("//"));
            in_comment = (in_comment || opens) && !line.contains("*/");
            is_code
        })
        .collect()
}

/// Files over 500 code lines, not counting an inline test module.
fn long_file(path: &str, text: &str) -> Option<Violation> {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let count = code_lines(before_tests).into_iter().filter(|&is_code| is_code).count();
    let what = format!("{count} code lines; a file has at most {MAX_FILE_LINES}");
    (count > MAX_FILE_LINES).then(|| Violation { path: path.to_owned(), line: 1, what })
}

/// Functions over 60 code lines. Tests may hold longer tables.
fn long_functions(unit: &Unit, text: &str) -> Vec<Violation> {
    let is_code = code_lines(text);
    let mut violations = Vec::new();
    for function in unit.source.functions.iter().filter(|function| !function.in_test) {
        let lines = is_code.get(function.first_line - 1..function.last_line).unwrap_or_default();
        let count = lines.iter().filter(|&&is_code| is_code).count();
        if count > MAX_FUNCTION_LINES {
            let what =
                format!("fn {} has {count} code lines; a function has at most {MAX_FUNCTION_LINES}", function.name);
            violations.push(Violation { path: unit.path.clone(), line: function.first_line, what });
        }
    }
    violations
}

#[test]
fn every_file_is_compiled() {
    assert_none(&reachable(&read_files("src")).1);
    assert_none(&left_out(&read_files("tests")));
}

#[test]
fn imports_point_down() {
    let (units, _) = reachable(&read_files("src"));
    assert_none(&units.iter().flat_map(imports).collect::<Vec<_>>());
}

#[test]
fn ranks_0_to_2_are_pure() {
    let (units, _) = reachable(&read_files("src"));
    assert_none(&units.iter().flat_map(impurities).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_are_small() {
    let mut files = read_files("src");
    let (units, _) = reachable(&files);
    let functions = units.iter().flat_map(|unit| long_functions(unit, &files[&unit.path]));
    let mut violations: Vec<Violation> = functions.collect();
    files.append(&mut read_files("tests"));
    violations.extend(files.iter().filter_map(|(path, text)| long_file(path, text)));
    assert_none(&violations);
}
