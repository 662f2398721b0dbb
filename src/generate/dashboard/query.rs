//! What is asked of a metric, by its type and its name: the rate of a counter, quantiles of a histogram, how long ago a time
//! is, and the value of all else.

use prometheus::proto::{MetricFamily, MetricType};

use super::layout::Unit;

/// `(expression, legend)`; `together` when other metrics stand in the same panel.
pub(super) fn queries(family: &MetricFamily, together: bool) -> Vec<(String, String)> {
    let name = family.name();
    let labels = labels(family);
    let word = short(name);
    let legend = match (labels.as_slice(), together) {
        ([], _) => word,
        (labels, false) => braces(labels),
        (labels, true) => format!("{word} {}", braces(labels)),
    };
    // By instance where each process has its own: collectors, of which one may be in trouble among thousands.
    let by = labels.join(", ");
    let over = |what: String| if by.is_empty() { format!("sum({what})") } else { format!("sum by ({by}) ({what})") };
    match family.get_field_type() {
        MetricType::COUNTER => vec![(over(format!("rate({name}[$__rate_interval])")), legend)],
        MetricType::HISTOGRAM => [0.5, 0.99]
            .map(|quantile| {
                let rate = format!("sum by (le) (rate({name}_bucket[$__rate_interval]))");
                (format!("histogram_quantile({quantile}, {rate})"), format!("{legend} p{}", quantile * 100.0))
            })
            .to_vec(),
        _ if name.ends_with("_not_after_timestamp_seconds") => vec![(format!("{name} - time()"), legend)],
        _ if name.ends_with("_timestamp_seconds") => {
            let by = if by.is_empty() { String::new() } else { format!(" by ({by})") };
            vec![(format!("time() - max{by} ({name})"), legend)]
        }
        // Of many clocks the worst is of interest, whichever way it is off.
        _ if name.ends_with("_clock_offset_seconds") => {
            let by = if by.is_empty() { String::new() } else { format!(" by ({by})") };
            vec![(format!("max{by} (abs({name}))"), legend)]
        }
        _ if name == "kubewitness_build_info" => vec![(format!("count by (version) ({name})"), legend)],
        _ => vec![(over(name.to_owned()), legend)],
    }
}

pub(super) fn unit_of(family: &MetricFamily) -> Unit {
    let name = family.name();
    let counts = family.get_field_type() == MetricType::COUNTER;
    match name.trim_end_matches("_total") {
        name if name.ends_with("_seconds") => Unit::Seconds,
        name if name.ends_with("_bytes") && counts => Unit::BytesPerSecond,
        name if name.ends_with("_bytes") => Unit::Bytes,
        _ if counts => Unit::PerSecond,
        _ => Unit::Count,
    }
}

/// Names of the labels, each once.
pub fn labels(family: &MetricFamily) -> Vec<String> {
    let pairs = family.get_metric().iter().flat_map(|metric| metric.get_label());
    let mut labels: Vec<String> = pairs.map(|label| label.name().to_owned()).collect();
    labels.sort();
    labels.dedup();
    labels
}

/// `{{a}} {{b}}`, as Grafana fills legends in.
fn braces(labels: &[String]) -> String {
    labels.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ")
}

fn short(name: &str) -> String {
    let name = name.trim_end_matches("_total").trim_end_matches("_seconds").trim_end_matches("_timestamp");
    let part = ["kubewitness_collector_", "kubewitness_ingest_", "kubewitness_store_", "kubewitness_pipeline_"];
    let part = part.iter().find_map(|prefix| name.strip_prefix(prefix)).or(name.strip_prefix("kubewitness_cluster_"));
    part.unwrap_or(name).replace('_', " ")
}
