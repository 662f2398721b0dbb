//! The table of actions and fields against what the recordings of real daemons come to: each parser gives what the table says
//! of it, and the normaliser names all that the table says.

use std::{collections::BTreeSet, fs, path::Path};

use kubewitness::event::actions::{OF_ANY_LINE, PARSERS};

use super::scenes::{Seen, scenes};

/// What the table does not say of an event.
fn unlisted(seen: &Seen) -> Option<String> {
    let (provider, action) = (seen.get("event.provider"), seen.get("event.action"));
    let parser = PARSERS.iter().find(|parser| parser.provider == provider);
    let actions = parser.map_or(&[][..], |parser| parser.actions);
    let fields = parser.map_or(&[][..], |parser| parser.fields);
    let is_known = |key: &str| fields.contains(&key) || OF_ANY_LINE.contains(&key);
    let keys = seen.fields.keys().filter_map(|path| path.strip_prefix("fields."));
    let odd: Vec<&str> = keys.filter(|key| !is_known(key)).collect();
    let classed = |path: &str, listed: &[&str]| {
        seen.get(path).split(',').filter(|value| !value.is_empty()).all(|value| listed.contains(&value))
    };
    let is_classed = classed("event.category", parser.map_or(&[][..], |parser| parser.categories))
        && classed("event.type", parser.map_or(&[][..], |parser| parser.types));
    let is_listed = is_classed && provider.is_empty() && action.is_empty() || actions.contains(&action);
    (!is_listed || !odd.is_empty()).then(|| format!("{provider} {action} {odd:?} of {:?}", seen.text))
}

#[test]
fn recorded_lines_come_to_what_the_table_of_actions_says() {
    let (mut wrong, mut met) = (BTreeSet::new(), BTreeSet::new());
    for scene in scenes() {
        for variant in scene.variants() {
            for seen in scene.events(&variant) {
                wrong.extend(unlisted(&seen));
                met.insert(seen.get("event.action").to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().take(20).collect::<Vec<_>>().join("\n"));
    assert!(met.len() > 30, "{met:?}");
}

#[test]
fn every_listed_action_and_field_is_named_by_the_normaliser() {
    let mut code = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/normalise");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let names = PARSERS.iter().flat_map(|parser| parser.actions.iter().chain(parser.fields).chain([&parser.provider]));
    let missing: Vec<&&str> = names.chain(OF_ANY_LINE).filter(|name| !code.contains(&format!("\"{name}\""))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
