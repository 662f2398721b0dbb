//! Where the language differs from the reference implementation on purpose: what is listed still differs, and only that.

use kubewitness::ruleset::expr::{Shown, deviations};
use serde_json::Value;

use super::{
    generate::dice::Dice,
    generated::differences,
    worlds::{Outcome, World},
};

/// Whether a difference is a listed one, by what both say.
pub fn listed(expression: &str, ours: &Outcome, theirs: &Outcome) -> bool {
    match (ours, theirs) {
        // One key twice in a literal, and a search beyond the text.
        (Outcome::Failed(ours), Outcome::Value(_)) => {
            let search = expression.contains("ndexOf(") && ours.ends_with("is out of range");
            search || ours.ends_with("occurs twice")
        }
        // The duration of a number.
        (Outcome::Refused(ours), Outcome::Failed(_)) => ours.contains("`duration` does not take (int)"),
        // An optional in an optional, and a type of elements that cel-go had guessed.
        (Outcome::Value(_), Outcome::Failed(theirs)) => {
            theirs.contains("unsupported conversion to ref.Val")
                || theirs.contains("no such overload: string(net.")
                || ["min", "max", "sum", "sort", "isSorted"]
                    .iter()
                    .any(|name| theirs.contains(&format!("no such overload: {name}(list)")))
        }
        // The text of the global `matches` taken for its pattern, and `cel.bind` of a type.
        (_, Outcome::Refused(theirs)) => {
            theirs.contains("invalid matches argument") || theirs.contains("reference to undefined type")
        }
        (Outcome::Value(ours), Outcome::Value(theirs)) => {
            flat(ours) == flat(theirs) || theirs.to_string().contains("unsupported conversion to ref.Val")
        }
        _ => false,
    }
}

/// The value with one optional for optionals within each other, and names for types.
fn flat(value: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get("optional") {
            Some(inner) if inner.get("optional").is_some() => flat(inner),
            _ => {
                let of = |kind: &String| if kind == "type" { "string".to_owned() } else { kind.clone() };
                members.iter().map(|(kind, inner)| (of(kind), flat(inner))).collect()
            }
        },
        Value::Array(elements) => elements.iter().map(flat).collect(),
        other => other.clone(),
    }
}

/// An outcome as the table tells it.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(_) => "refused".into(),
        Outcome::Failed(_) => "error".into(),
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
    for (shown, found) in examples.iter().zip(differences(&asked)) {
        let (ours, theirs, _) = found.expect("within the budget");
        if (told(&ours).as_str(), told(&theirs).as_str()) != (shown.ours, shown.theirs) {
            wrong.push(format!("{shown:?}\n    ours:   {ours:?}\n    oracle: {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "the table of deviations is not true:\n{}", wrong.join("\n"));
    assert!(examples.len() > 10);
}
