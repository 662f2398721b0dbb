//! Where the language differs from the reference implementation on purpose: what is listed still differs, and only that.

use kubewitness::ruleset::expr::{Shown, deviations};
use serde_json::Value;

use super::{
    generate::dice::Dice,
    generated::answers,
    worlds::{Kind, Outcome, World},
};

/// Whether a difference is a listed one, by the expression and what both say of it.
pub fn listed(expression: &str, ours: &Outcome, theirs: &Outcome) -> bool {
    let names = |parts: &[&str]| parts.iter().any(|part| expression.contains(part));
    let (is_refused, is_refused_there) = (matches!(ours, Outcome::Refused(_)), matches!(theirs, Outcome::Refused(_)));
    // One type for a list of optionals and null: what is refused is what is done with it as if it were of the other.
    if is_refused != is_refused_there && names(&["null"]) && names(&["optional.", ".?", "[?", "optMap(", "optFlatMap("])
    {
        let ((Outcome::Refused(why), _) | (_, Outcome::Refused(why))) = (ours, theirs) else { return false };
        return why.contains("null") || why.contains("optional");
    }
    match (ours, theirs) {
        (Outcome::Failed(kind, ours), Outcome::Failed(theirs, said)) => {
            // What is no list where one is wanted: cel-go catches its own panic.
            let panic = said.starts_with("internal error: interface conversion: ");
            // No order of NaN, no address in a text: errors of a value here, of its type there.
            let of_type =
                ours == "NaN has no order" || ours.ends_with("is not an IP address") || ours.ends_with("is not a CIDR");
            // Parts of a number or of null: their keys are missing there.
            let of_key = ours.starts_with("no such overload: (") || ours.starts_with("no such overload: null_type.");
            panic
                || *kind == Kind::BadArgument && *theirs == Kind::NoSuchOverload && of_type
                || *kind == Kind::NoSuchOverload && *theirs == Kind::NoSuchKey && of_key
                || ours == "no such overload: duration(int)" && said.starts_with("type conversion error from 'int'")
        }
        (Outcome::Failed(_, ours), Outcome::Value(_)) => {
            let search = names(&["ndexOf("]) && ours.ends_with("is out of range");
            search || ours.ends_with("occurs twice")
        }
        (Outcome::Refused(ours), Outcome::Value(_)) => ours.contains("`duration` does not take (int)"),
        // Whatever fails first there: the literal fails whenever it is reached.
        (Outcome::Refused(ours), Outcome::Failed(..)) => {
            let literal = [
                "is not an IP address",
                "is not a CIDR",
                "is not allowed",
                "is neither a name nor an offset",
                "%s takes anything",
            ];
            ours.contains("`duration` does not take (int)") || literal.iter().any(|words| ours.contains(words))
        }
        (Outcome::Value(ours), Outcome::Failed(_, theirs)) => {
            let index = theirs.starts_with("no such key") && ours.to_string().contains("{\"optional\":null}");
            let overload = theirs.strip_prefix("no such overload: ").unwrap_or_default();
            let of_list =
                ["min(list", "max(list", "sum(list", "sort(list", "isSorted(list", "math.@max(list", "math.@min(list"];
            let guessed = of_list.iter().any(|call| overload.starts_with(call))
                || !overload.is_empty() && names(&["alue(", "optMap(", "optFlatMap("]);
            let unequal = theirs == "no such overload" && names(&["ip(", "cidr(", "url("]);
            index || guessed || unequal || theirs.contains(NO_OPTIONAL) || theirs.contains("hash of unhashable")
        }
        (_, Outcome::Refused(theirs)) => {
            // The text of the global `matches` taken for its pattern, and `cel.bind` of a type.
            theirs.contains("invalid matches argument") || theirs.contains("reference to undefined type")
        }
        (Outcome::Value(ours), Outcome::Value(theirs)) => {
            let chosen = names(&[" ? ", "optMap(", "optFlatMap(", "filter(", "map(", "transform"]);
            let wrong_verb = theirs.to_string().contains("%!");
            theirs.to_string().contains(NO_OPTIONAL) || wrong_verb || chosen && flat(ours) == flat(theirs)
        }
    }
}

/// What cel-go says of an address in an optional in an optional.
const NO_OPTIONAL: &str = "unsupported conversion to ref.Val";

/// The value without optionals around a value, and with names for types.
fn flat(value: &Value) -> Value {
    match value {
        Value::Object(members) => match (members.get("optional"), members.get("type")) {
            (Some(inner @ Value::Object(_)), _) => flat(inner),
            (Some(Value::Null), _) => serde_json::json!({"null": true}),
            (_, Some(name)) => serde_json::json!({"string": name}),
            _ => members.iter().map(|(kind, inner)| (kind.clone(), flat(inner))).collect(),
        },
        Value::Array(elements) => elements.iter().map(flat).collect(),
        other => other.clone(),
    }
}

/// An outcome as the table tells it.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(_) => "refused".into(),
        Outcome::Failed(..) => "error".into(),
        Outcome::Value(tagged) => match tagged.as_object().and_then(|o| o.iter().next()) {
            Some((kind, Value::Array(entries))) if kind == "map" => {
                let entry = |e: &Value| format!("\"{}\":{}", bare(&e[0]), printed(&e[1]));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
            }
            _ => printed(tagged),
        },
    }
}

fn printed(tagged: &Value) -> String {
    let text = bare(tagged);
    match (tagged.get("string"), tagged.get("double")) {
        (Some(_), _) => format!("{text:?}"),
        (_, Some(_)) => format!("{:?}", f64::from_bits(u64::from_str_radix(&text, 16).unwrap())),
        _ => text,
    }
}

fn bare(tagged: &Value) -> String {
    match tagged.as_object().and_then(|o| o.values().next()) {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    }
}

#[test]
fn every_listed_deviation_is_one() {
    let world = World::of_bindings("deviations".into(), &mut Dice::new(1));
    let examples: Vec<Shown> = deviations().iter().flat_map(|deviation| deviation.shown).copied().collect();
    let asked: Vec<(&World<'_>, &str)> = examples.iter().map(|example| (&world, example.expression)).collect();
    let mut wrong = vec![];
    for (shown, found) in examples.iter().zip(answers(&asked)) {
        let (ours, theirs) = found.expect("within the budget");
        if (told(&ours).as_str(), told(&theirs).as_str()) != (shown.ours, shown.theirs) {
            wrong.push(format!("{shown:?}\n    ours:   {ours:?}\n    oracle: {theirs:?}"));
        }
        if ours.agrees(&theirs) {
            wrong.push(format!("{shown:?}: both say the same\n    {ours:?}\n    {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "the table of deviations is not true:\n{}", wrong.join("\n"));
    assert!(examples.len() > 10);
}
