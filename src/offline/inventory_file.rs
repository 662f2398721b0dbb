//! `--inventory FILE`: what the cluster looks like. In: our own short form, as rules' tests have it, or what kubectl prints. Out:
//! inventory records that stand from the beginning of time.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    api::rule_test::TestInventory,
    cluster::inventory,
    enrich::Inventory,
    pipeline::rule_test,
    record::{InventoryChange, Payload, Record, RecordId, RedactionFacts},
};

/// Larger files are no inventory: Kubernetes is tested up to 150,000 pods, of about 4 KiB each as JSON.
const MAX_FILE: u64 = 1 << 30;

#[derive(Debug, thiserror::Error)]
pub enum InventoryFileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: larger than 1 GiB: that is no inventory", path.display())]
    TooLarge { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Yaml { path: PathBuf, source: Box<serde_saphyr::Error> },
    #[error("{}: {place}: {source}", path.display())]
    Object { path: PathBuf, place: String, source: serde_json::Error },
    #[error("{}: {place}: a {kind} is neither a Node nor a Pod nor a list of them", path.display())]
    Kind { path: PathBuf, place: String, kind: String },
    #[error("{}: names no node and no pod: it has `nodes` and `pods`, or is what `kubectl get nodes,pods -A -o json` prints", path.display())]
    Empty { path: PathBuf },
}

/// What events are joined with: the nodes and pods of a file, or nothing without one.
pub fn joined(path: Option<&Path>) -> Result<Inventory, InventoryFileError> {
    let mut inventory = Inventory::default();
    for record in path.map(read).transpose()?.unwrap_or_default() {
        if let Payload::Inventory(change) = &record.payload {
            inventory.apply(change, record.received_at);
        }
    }
    Ok(inventory)
}

/// The records of an inventory file.
pub fn read(path: &Path) -> Result<Vec<Record>, InventoryFileError> {
    let io = |source| InventoryFileError::Io { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(io)?.len() > MAX_FILE {
        return Err(InventoryFileError::TooLarge { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    // JSON is YAML, but its own parser is several times as fast.
    let documents: Vec<Value> = match serde_json::from_str(&text) {
        Ok(value) => vec![value],
        Err(_) => serde_saphyr::from_multiple(&text)
            .map_err(|source| InventoryFileError::Yaml { path: path.to_owned(), source: Box::new(source) })?,
    };
    let mut changes = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        collect(path, format!("document {}", index + 1), document, &mut changes)?;
    }
    if changes.is_empty() {
        return Err(InventoryFileError::Empty { path: path.to_owned() });
    }
    Ok(changes.into_iter().map(record).collect())
}

fn record(change: InventoryChange) -> Record {
    Record {
        id: RecordId([0; 16]),
        received_at: Timestamp::UNIX_EPOCH,
        origin: None,
        facts: RedactionFacts::default(),
        payload: Payload::Inventory(change),
    }
}

fn collect(
    path: &Path,
    place: String,
    mut value: Value,
    changes: &mut Vec<InventoryChange>,
) -> Result<(), InventoryFileError> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "" => {
            let inventory: TestInventory = parse(path, &place, value)?;
            changes.extend(rule_test::inventory_changes(&inventory));
        }
        "Node" => {
            changes.extend(inventory::node_facts(&parse::<Node>(path, &place, value)?).map(InventoryChange::Node))
        }
        "Pod" => changes.extend(inventory::pod_facts(&parse::<Pod>(path, &place, value)?).map(InventoryChange::Pod)),
        "List" | "NodeList" | "PodList" => {
            let items = value.get_mut("items").map(Value::take).unwrap_or_default();
            let Value::Array(items) = items else { return Ok(()) };
            for (index, mut item) in items.into_iter().enumerate() {
                // The items of a typed list don't say what they are.
                if let (Some(of), Some(fields)) =
                    (kind.strip_suffix("List").filter(|k| !k.is_empty()), item.as_object_mut())
                {
                    fields.entry("kind").or_insert_with(|| of.into());
                }
                collect(path, format!("item {}", index + 1), item, changes)?;
            }
        }
        _ => return Err(InventoryFileError::Kind { path: path.to_owned(), place, kind }),
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(path: &Path, place: &str, value: Value) -> Result<T, InventoryFileError> {
    serde_json::from_value(value).map_err(|source| InventoryFileError::Object {
        path: path.to_owned(),
        place: place.to_owned(),
        source,
    })
}
