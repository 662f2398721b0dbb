//! Over what generated expressions are evaluated: events as they reach rules, and variables of any JSON. From a seed.

use jiff::Timestamp;
use kubewitness::{
    event::{Event, schema::FIELDS},
    normalise,
    record::{IdKey, Origin, Provenance, Record},
    redact,
    ruleset::expr::{Bindings, EvalError, Expected, Program, Steps, Variables},
};
use serde_json::{Value, json};

use super::{
    generate::{dice::Dice, types::Type},
    oracle::Request,
    values::{sorted, tag},
};

/// The kinds of errors that CEL's definition tells apart, and those of its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    NoSuchOverload,
    NoSuchKey,
    DivisionByZero,
    Overflow,
    IndexOutOfRange,
    /// An empty optional that is asked for its value.
    NoValue,
    /// A conversion that can't be, a pattern that can't be read: the argument is of the right type and no good.
    BadArgument,
}

impl Kind {
    fn of_ours(error: &EvalError) -> Kind {
        match error {
            EvalError::NoSuchKey(_) => Kind::NoSuchKey,
            EvalError::IndexOutOfRange(_) => Kind::IndexOutOfRange,
            EvalError::NoSuchOverload(_) => Kind::NoSuchOverload,
            EvalError::Overflow(_) => Kind::Overflow,
            EvalError::DivisionByZero => Kind::DivisionByZero,
            EvalError::NoValue => Kind::NoValue,
            EvalError::BadArgument(_) | EvalError::OverBudget => Kind::BadArgument,
        }
    }

    /// By the words of cel-go (common/types, ext) and of Kubernetes' libraries.
    pub fn of_theirs(message: &str) -> Kind {
        let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
        match message {
            _ if has(&[
                "no such overload",
                "unsupported index type",
                "is not optional",
                "unsupported comprehension range",
                "join: invalid input",
            ]) =>
            {
                Kind::NoSuchOverload
            }
            _ if has(&["no such key", "no such attribute"]) => Kind::NoSuchKey,
            _ if has(&["division by zero", "modulus by zero", "divide by zero"]) => Kind::DivisionByZero,
            _ if has(&["index out of bounds", "index out of range", "out of range in list"]) => Kind::IndexOutOfRange,
            _ if has(&["overflow"]) => Kind::Overflow,
            _ if has(&["optional.none() dereference"]) => Kind::NoValue,
            _ => Kind::BadArgument,
        }
    }
}

/// What became of an expression.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// By the compiler.
    Refused(String),
    /// By the evaluation.
    Failed(Kind, String),
    Value(Value),
}

impl Outcome {
    /// The same value, or the same kind of error.
    pub fn agrees(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Value(a), Outcome::Value(b)) => a == b,
            (Outcome::Refused(_), Outcome::Refused(_)) => true,
            (Outcome::Failed(a, _), Outcome::Failed(b, _)) => a == b,
            _ => false,
        }
    }
}

/// What expressions may name, and its values.
pub struct World<'e> {
    /// As the oracle knows it.
    pub name: String,
    event: Option<&'e Event<'e>>,
    bindings: Bindings,
    /// Variables with their types.
    pub variables: Vec<(String, Type)>,
    declared: Value,
    /// The tagged values of the variables that have one.
    pub bound: Value,
}

impl<'e> World<'e> {
    /// The fields of an event with their types. Enumerations are left out: a literal that such a field can't hold is
    /// refused here, which the reference implementation, not knowing of them, can't.
    pub fn of_event(name: String, event: &'e Event<'e>) -> World<'e> {
        let (mut variables, mut declared, mut bound) = (vec![], serde_json::Map::new(), serde_json::Map::new());
        for field in FIELDS.iter().filter(|f| f.values.is_empty()) {
            let program = Program::compile(field.path, Expected::Any, &Variables::default()).unwrap();
            declared.insert(field.path.into(), field.type_.as_str().into());
            variables.push((field.path.to_owned(), Type::parse(field.type_.as_str())));
            if let Ok(value) = program.eval(event, &mut Steps::default()) {
                bound.insert(field.path.into(), tag(&value));
            }
        }
        let (declared, bound) = (declared.into(), bound.into());
        World { name, event: Some(event), bindings: Bindings::default(), variables, declared, bound }
    }

    /// Variables as `kubewitness eval --bindings` takes them: all dynamic.
    pub fn of_bindings(name: String, dice: &mut Dice) -> World<'static> {
        let mut members = serde_json::Map::new();
        for variable in ["one", "two", "three", "four", "five", "six"] {
            members.insert(variable.into(), any_json(dice, 3));
        }
        members.insert("list0".into(), json!([any_json(dice, 2), any_json(dice, 2)]));
        members.insert("map0".into(), json!({"a": any_json(dice, 2), "key": any_json(dice, 2)}));
        let bindings = Bindings::from_json(&members);
        let (mut variables, mut declared, mut bound) = (vec![], serde_json::Map::new(), serde_json::Map::new());
        for name in members.keys() {
            let program = Program::compile_over(name, &bindings).unwrap();
            bound.insert(name.clone(), tag(&program.eval_over(&bindings, &mut Steps::default()).unwrap()));
            declared.insert(name.clone(), "dyn".into());
            variables.push((name.clone(), Type::Dyn));
        }
        World { name, event: None, bindings, variables, declared: declared.into(), bound: bound.into() }
    }

    /// `None` when the evaluation went over its budget, which the reference implementation has not.
    pub fn evaluate(&self, expression: &str) -> Option<Outcome> {
        let program = match self.event {
            Some(_) => Program::compile(expression, Expected::Any, &Variables::default()),
            None => Program::compile_over(expression, &self.bindings),
        };
        let program = match program {
            Ok(program) => program,
            Err(error) => return Some(Outcome::Refused(error.to_string().replace('\n', " "))),
        };
        let steps = &mut Steps::default();
        let value = match self.event {
            Some(event) => program.eval(event, steps),
            None => program.eval_over(&self.bindings, steps),
        };
        match value {
            Ok(value) => Some(Outcome::Value(sorted(&tag(&value)))),
            Err(EvalError::OverBudget) => None,
            Err(error) => Some(Outcome::Failed(Kind::of_ours(&error), error.to_string())),
        }
    }

    /// What tells the oracle of this world.
    pub fn declaration(&self) -> Request<'_> {
        Request { env: &self.name, declare: Some(&self.declared), expression: None, bindings: Some(&self.bound) }
    }

    pub fn request<'r>(&'r self, expression: &'r str) -> Request<'r> {
        Request { env: &self.name, declare: None, expression: Some(expression), bindings: None }
    }
}

/// Any JSON, of keys and texts that expressions name.
fn any_json(dice: &mut Dice, depth: usize) -> Value {
    const KEYS: &[&str] = &["a", "b", "key", "spec", "name", "x y", ""];
    match dice.below(if depth == 0 { 7 } else { 11 }) {
        0 => json!(null),
        1 => json!(dice.percent(50)),
        2 => json!(dice.pick(&[0, 1, -1, 7, 403, 9_007_199_254_740_993, i64::MAX, i64::MIN])),
        3 => json!(dice.pick(&[0.5, 1.0, -2.5, 1e21, 9_223_372_036_854_775_807.0])),
        4..=6 => json!(dice.pick(&["", "a", "abc", "10.0.0.1", "ñandú", "1h", "2026-01-02T03:04:05Z", "/p?a=1", "7"])),
        7 | 8 => (0..dice.below(4)).map(|_| any_json(dice, depth - 1)).collect(),
        _ => {
            let members = (0..dice.below(4)).map(|_| (dice.pick(KEYS).to_owned(), any_json(dice, depth - 1)));
            Value::Object(members.collect())
        }
    }
}

/// An audit event as the controller would have stored it.
pub fn any_record(dice: &mut Dice) -> Record {
    let verb = dice.pick(&["create", "get", "patch", "delete"]);
    let mut raw = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1",
        "stage": "ResponseComplete", "requestURI": dice.pick(&["/api/v1/namespaces/web/pods?dryRun=All", "/readyz"]),
        "verb": verb,
        "user": {"username": dice.pick(&["jane", "system:serviceaccount:web:app", ""]), "uid": "u-1",
            "groups": ["dev", "system:authenticated"], "extra": {"k": ["v1", "v2"]}},
        "sourceIPs": ["10.0.0.7", dice.pick(&["203.0.113.9", "2001:db8::1"])],
        "userAgent": dice.pick(&["kubectl/v1.34 (linux/amd64)", "", "ñ"]),
        "requestReceivedTimestamp": "2026-03-01T23:30:05.250000Z", "stageTimestamp": "2026-03-01T23:30:05.350000Z",
        "annotations": {"authorization.k8s.io/decision": dice.pick(&["forbid", "allow"])},
        "requestObject": {"kind": "Pod", "a": any_json(dice, 2), "key": any_json(dice, 1), "spec": {"hostNetwork": true,
            "nodeName": null, "priority": 5, "weight": 1.5,
            "containers": [{"name": "a", "image": "nginx"}, {"name": "b", "image": "busybox:1"}]}}
    });
    if dice.percent(70) {
        raw["objectRef"] = json!({"resource": "pods", "namespace": "web", "name": "p", "apiVersion": "v1"});
    }
    if dice.percent(70) {
        raw["responseStatus"] = json!({"code": dice.pick(&[200, 403]), "reason": "Forbidden", "message": "no"});
        raw["responseObject"] = any_json(dice, 2);
    }
    let bytes = raw.to_string();
    let outcome = redact::audit_event(redact::Input { bytes: bytes.as_bytes(), oversize: false });
    let origin = Origin { cluster: "c".into(), reporter: "r".into(), provenance: Provenance::AuditLog };
    let received = "2026-03-01T23:30:06Z".parse::<Timestamp>().unwrap();
    redact::record(outcome, bytes.as_bytes(), &origin, received, &IdKey::OFFLINE)
}

/// Paths into the bodies of events, which are dynamic.
pub fn paths() -> Vec<(String, Type)> {
    const PATHS: &[(&str, &str)] = &[
        ("audit.requestObject.a", "dyn"),
        ("audit.requestObject.spec.containers", "dyn"),
        ("audit.requestObject.spec.containers[0].image", "dyn"),
        ("audit.requestObject.spec.priority", "dyn"),
        ("audit.requestObject.spec.nodeName.x", "dyn"),
        ("has(audit.requestObject.spec.hostNetwork)", "bool"),
        ("has(audit.requestObject.spec.none)", "bool"),
        ("has(audit.responseObject.a)", "bool"),
        ("audit.requestObject.?spec.?containers[?0].?name", "optional(dyn)"),
        ("audit.requestObject.spec.?none", "optional(dyn)"),
        ("audit.annotations['authorization.k8s.io/decision']", "string"),
        ("audit.annotations[?'none'].orValue('')", "string"),
        ("audit.user.extra['k'][1]", "string"),
    ];
    PATHS.iter().map(|(path, type_)| ((*path).to_owned(), Type::parse(type_))).collect()
}

/// Events of normalised records, for as long as the records live.
pub fn events(records: &[Record]) -> Vec<Event<'_>> {
    records.iter().map(|record| normalise::event(record).expect("an audit record")).collect()
}
