//! What the reference page of the rule language tells before its tables: prose, and examples with the values that its
//! author expects. A test holds each against the evaluator.

use super::examples::Example;

/// A chapter of the page.
pub struct Chapter {
    pub title: &'static str,
    /// Markdown.
    pub text: &'static str,
    pub examples: &'static [Example],
}

const fn e(expression: &'static str, value: &'static str) -> Example {
    Example(expression, value)
}

/// In the order of the page.
#[rustfmt::skip] // a table reads best as one
pub static CHAPTERS: &[Chapter] = &[
    Chapter {
        title: "Literals and types",
        text: "Every expression has a type, and a mistake in it is found when the rule is compiled: what can't be right is refused with its \
               place. `int` and `uint` have 64 bits, `double` is IEEE 754; they never mix by themselves, so convert one \
               (`double(1) + 0.5`). Only comparisons take numbers of different types. Text stands in single or double \
               quotes, or in three of them over several lines; behind `r` a backslash is just that, which suits patterns.",
        examples: &[
            e("true", "true"),
            e("42", "42"),
            e("0x1f", "31"),
            e("7u", "7"),
            e("1e3", "1000.0"),
            e("\"tab\\there\"", "\"tab\\there\""),
            e("r'\\d+'", "\"\\\\d+\""),
            e("b'abc'", "\"YWJj\""),
            e("null", "null"),
            e("[1, 2]", "[1,2]"),
            e("{'a': 1, 'b': 2}", "{\"a\":1,\"b\":2}"),
            e("timestamp('2026-03-01T22:15:04Z')", "\"2026-03-01T22:15:04Z\""),
            e("duration('1h30m')", "\"5400s\""),
            e("type(7u)", "\"uint\""),
            e("type(audit.requestObject.spec.containers)", "\"list\""),
            e("1 + 0.5", "error"),
            e("double(1) + 0.5", "1.5"),
            e("1 < 1.5", "true"),
        ],
    },
    Chapter {
        title: "Operators",
        text: "From the one that binds strongest. Operators of one line are read from left to right, except `? :`.\n\n\
               | | operators |\n|---|---|\n\
               | 1 | `a.b`  `a.?b`  `a[b]`  `a[?b]`  `f(a)`  `a.f(b)` |\n\
               | 2 | `!a`  `-a` |\n\
               | 3 | `a * b`  `a / b`  `a % b` |\n\
               | 4 | `a + b`  `a - b` |\n\
               | 5 | `a == b`  `a != b`  `a < b`  `a <= b`  `a > b`  `a >= b`  `a in b` |\n\
               | 6 | `a && b` |\n\
               | 7 | `a \\|\\| b` |\n\
               | 8 | `a ? b : c` |",
        examples: &[
            e("1 + 2 * 3", "7"),
            e("(1 + 2) * 3", "9"),
            e("7 - 2 - 1", "4"),
            e("7 / 2", "3"),
            e("7.0 / 2.0", "3.5"),
            e("1 / 0", "error"),
            e("true || false && false", "true"),
            e("!(1 == 2) && 'b' in ['a', 'b']", "true"),
            e("audit.verb in ['create', 'update', 'patch']", "true"),
            e("false ? 1 : true ? 2 : 3", "2"),
        ],
    },
    Chapter {
        title: "Fields",
        text: "[Event fields](event-fields.md) lists what an expression can name. A field of the schema is always there and has its type: \
               what the event does not have is `\"\"`, `0`, `false` or an empty list or map, and `has()` tells whether it is set. A name \
               that the schema does not have is refused, and so is a comparison with a value that the field can never hold.",
        examples: &[
            e("audit.verb", "\"create\""),
            e("user.name", "\"eve\""),
            e("source.ip", "\"203.0.113.9\""),
            e("source.claimed_ips", "[\"198.51.100.7\"]"),
            e("audit.impersonatedUser.username", "\"\""),
            e("has(audit.impersonatedUser.username)", "false"),
            e("'developers' in audit.user.groups", "true"),
            e("event.created.getHours('Europe/Berlin')", "23"),
            e("audit.vreb == 'create'", "error"),
            e("audit.responseStatus.code == '201'", "error"),
            e("audit.stage == 'Done'", "error"),
        ],
    },
    Chapter {
        title: "Bodies: dynamic values",
        text: "`audit.requestObject`, `audit.responseObject` and `fields` hold whatever JSON was sent: their type is `dyn`, checked when the \
               expression is evaluated. A key that is missing there, or in a map such as `audit.annotations`, is an **error**, and a \
               condition that ends in an error does not match. So read what may be missing with `.?key` or `[?key]`, which give an \
               *optional* (printed as `null` when it is empty), and end the chain with `.orValue(…)`; or test it with `has()`, which needs \
               all but the last key to be there. An event may lack the body itself, as one that is logged without: \
               `audit.?requestObject.?spec`.",
        examples: &[
            e("audit.requestObject.spec.hostNetwork", "true"),
            e("audit.requestObject.spec.hostPID", "error"),
            e("has(audit.requestObject.spec.hostPID)", "false"),
            e("audit.?requestObject.?spec.?hostPID.orValue(false)", "false"),
            e("audit.responseObject.?spec.?hostPID.orValue(false)", "error"),
            e("audit.?responseObject.?spec.?hostPID.orValue(false)", "false"),
            e("has(audit.requestObject.status.phase)", "error"),
            e("audit.requestObject.?status.?phase", "null"),
            e("audit.requestObject.?status.?phase.hasValue()", "false"),
            e("audit.requestObject.spec.containers[0].image", "\"docker.io/library/alpine:3.22\""),
            e("audit.requestObject.spec.containers[?9].?image.orValue('none')", "\"none\""),
            e("audit.annotations['authorization.k8s.io/decision']", "\"allow\""),
            e("audit.annotations['nope']", "error"),
            e("audit.annotations[?'nope'].orValue('')", "\"\""),
            e("'nope' in audit.annotations", "false"),
            e("has(audit.responseObject)", "false"),
            e("audit.requestObject.spec.hostNetwork == 'yes'", "false"),
            e("audit.requestObject.spec.hostNetwork + 1", "error"),
        ],
    },
    Chapter {
        title: "Errors in conditions",
        text: "`&&` and `||` don't care about the order of their sides: one that decides the result absorbs an error of the other. So do \
               `exists`, when one element holds, and `all`, when one fails. Everything else passes an error on, negations above all: \
               `x.key != 'a'` does **not** hold where `key` is missing. The linter warns of it, see `NegatedDynamic` below. Evaluations \
               that end in an error are counted in `kubewitness replay` and in the metrics, by rule.",
        examples: &[
            e("audit.requestObject.spec.hostPID || true", "true"),
            e("audit.requestObject.spec.hostPID && false", "false"),
            e("audit.requestObject.spec.hostPID && true", "error"),
            e("!audit.requestObject.spec.hostPID", "error"),
            e("audit.requestObject.spec.hostPID != true", "error"),
            e("audit.?requestObject.?spec.?hostPID.orValue(false) != true", "true"),
            e("audit.requestObject.spec.containers.exists(c, c.securityContext.privileged)", "true"),
            e("audit.requestObject.spec.containers.all(c, c.securityContext.privileged)", "error"),
            e("audit.requestObject.spec.containers.all(c, c.name == 'x' && c.nope)", "false"),
        ],
    },
    Chapter {
        title: "Macros",
        text: "A macro names each element of a list, or each key of a map, and evaluates its body for it. With two names it is index and \
               element, or key and value. `cel.bind` names a value once for an expression; `spec.variables` of a rule names one for all \
               of its expressions, which read it as `variables.NAME`.",
        examples: &[
            e("audit.requestObject.spec.containers.map(c, c.name)", "[\"shell\",\"proxy\"]"),
            e("audit.requestObject.spec.containers.filter(c, c.image.contains(':3')).size()", "1"),
            e("audit.requestObject.spec.containers.all(c, c.image != '')", "true"),
            e("audit.requestObject.spec.containers.exists(i, c, i > 0 && c.name == 'proxy')", "true"),
            e("audit.requestObject.metadata.labels.exists(k, v, k == 'app' && v == 'debug')", "true"),
            e("audit.user.groups.exists_one(g, g.startsWith('system:'))", "true"),
            e("cel.bind(spec, audit.requestObject.spec, spec.hostNetwork && spec.containers.size() == 2)", "true"),
        ],
    },
];
