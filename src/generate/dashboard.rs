//! The Grafana dashboard: which metrics stand together is a small table; queries, legends and words come from the metrics
//! themselves. A metric that no panel names has one of its own in the last row.

mod layout;
mod query;

use prometheus::proto::MetricFamily;
use serde_json::{Value, json};

use layout::{ROWS, Unit};
pub(super) use query::labels;

/// Grafana's grid has 24 columns; three panels stand beside each other.
const WIDTH: usize = 8;
const HEIGHT: usize = 7;

/// A panel before it has a place.
struct Panel {
    title: String,
    unit: Unit,
    families: Vec<MetricFamily>,
}

/// The JSON model of the dashboard, for an import or a ConfigMap. Every panel has its metrics' HELP as description.
pub fn dashboard(families: &[MetricFamily]) -> String {
    let find = |name: &&str| families.iter().find(|family| family.name() == *name).cloned();
    let mut panels = Vec::new();
    let mut grid = Grid::default();
    for (row, row_panels) in ROWS {
        let row_panels = row_panels.iter().map(|(title, unit, metrics)| Panel {
            title: (*title).to_owned(),
            unit: *unit,
            families: metrics.iter().filter_map(find).collect(),
        });
        grid.row(&mut panels, row, row_panels);
    }
    let named: Vec<&str> = layout::named().collect();
    let others = families.iter().filter(|family| !named.contains(&family.name()));
    let others = others.map(|family| Panel {
        title: family.name().trim_start_matches("kubewitness_").replace('_', " "),
        unit: query::unit_of(family),
        families: vec![family.clone()],
    });
    grid.row(&mut panels, "More", others);
    let model = json!({
        "uid": "kubewitness",
        "title": "kubewitness",
        "tags": ["kubewitness", "security"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "current": {}, "hide": 0,
        }]},
        "annotations": {"list": []},
        "panels": panels,
    });
    format!("{model:#}\n")
}

#[derive(Default)]
struct Grid {
    y: usize,
    id: usize,
}

impl Grid {
    fn row(&mut self, into: &mut Vec<Value>, title: &str, panels: impl Iterator<Item = Panel>) {
        let header = json!({
            "id": self.next_id(), "type": "row", "title": title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": self.y, "w": 24, "h": 1},
        });
        self.y += 1;
        let mut count = 0;
        let first = into.len();
        into.push(header);
        for panel in panels {
            let place = json!({
                "x": count % 3 * WIDTH, "y": self.y + count / 3 * HEIGHT, "w": WIDTH, "h": HEIGHT,
            });
            count += 1;
            into.push(self.panel(&panel, place));
        }
        if count == 0 {
            into.truncate(first);
            return;
        }
        self.y += count.div_ceil(3) * HEIGHT;
    }

    fn next_id(&mut self) -> usize {
        self.id += 1;
        self.id
    }

    fn panel(&mut self, panel: &Panel, place: Value) -> Value {
        let source = json!({"type": "prometheus", "uid": "${datasource}"});
        let queries = panel.families.iter().flat_map(|family| query::queries(family, panel.families.len() > 1));
        let targets = queries.zip('A'..='Z').map(|((expr, legend), id)| {
            json!({"refId": id.to_string(), "datasource": source, "expr": expr, "legendFormat": legend})
        });
        let targets: Vec<Value> = targets.collect();
        let help: Vec<_> =
            panel.families.iter().map(|family| format!("`{}`: {}", family.name(), family.help())).collect();
        json!({
            "id": self.next_id(), "type": "timeseries", "title": panel.title, "description": help.join("\n\n"),
            "datasource": source, "gridPos": place, "targets": targets,
            "fieldConfig": {"defaults": {"unit": panel.unit.as_grafana(), "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        })
    }
}
