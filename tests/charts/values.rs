//! What values may be, and what may not: by the schema and by the templates.

use super::{CHARTS, cases, template};
use crate::support::repository;
use serde_json::Value;
use std::collections::BTreeSet;

/// Objects of Kubernetes' own API in a value, which the API server judges: it refuses unknown fields of them (`--validate=strict`
/// in our tests, a warning or an error by kubectl and Helm). `global` is Helm's.
const KUBERNETES_OWN: [&str; 17] = [
    ".global",
    ".extraObjects[]",
    ".controller.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[]",
    ".controller.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]",
    ".controller.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[]",
    ".controller.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
    ".controller.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[]",
    ".controller.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
    ".controller.extraEnv[].valueFrom.*",
    ".collector.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[]",
    ".collector.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]",
    ".collector.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[]",
    ".collector.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
    ".collector.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[]",
    ".collector.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
    ".collector.extraEnv[].valueFrom.*",
    ".overrides", // names are the rules': the template refuses those of no rule
];

/// Maps whose keys are the user's.
const MAPS: [&str; 12] = [
    "Labels",
    "labels",
    "Annotations",
    "annotations",
    "nodeSelector",
    "requests",
    "limits",
    "matchLabels",
    "controlPlaneNodes",
    "commonLabels",
    "podLabels",
    "overrides",
];

/// Every object in a schema that takes other keys than it names, by its path.
fn open(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let is_object = match &schema["type"] {
        Value::String(kind) => kind == "object",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        _ => false,
    };
    let more = &schema["additionalProperties"];
    let is_map = more.is_object() && MAPS.iter().any(|name| path.ends_with(name));
    if is_object && *more != Value::Bool(false) && !is_map {
        found.insert(path.to_owned());
    }
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        open(below, &format!("{path}.{key}"), found);
    }
    open_if_there(&schema["items"], format!("{path}[]"), found);
    open_if_there(more, format!("{path}.*"), found);
}

fn open_if_there(schema: &Value, path: String, found: &mut BTreeSet<String>) {
    if schema.is_object() {
        open(schema, &path, found);
    }
}

#[test]
fn schemas_refuse_unknown_keys_at_every_level() {
    let is_kubernetes_own = |path: &String| {
        let above = path.rsplit_once('.').map(|(above, _)| format!("{above}.*")).unwrap_or_default();
        [path.as_str(), &above].iter().any(|path| KUBERNETES_OWN.contains(path))
    };
    for chart in CHARTS {
        let text = std::fs::read_to_string(repository(chart).join("values.schema.json")).unwrap();
        let mut found = BTreeSet::new();
        open(&serde_json::from_str(&text).unwrap(), "", &mut found);
        found.retain(|path| !is_kubernetes_own(path));
        assert!(found.is_empty(), "{chart} takes any key in {found:?}");
    }
}

/// A key that a schema names, or the documented default, has a row in the values file: else nobody knows of it.
#[test]
fn schemas_and_values_name_the_same_keys() {
    fn keys(value: &Value, schema: &Value, path: &str, only: &mut BTreeSet<String>) {
        let named: BTreeSet<&String> =
            schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key).collect();
        let given: BTreeSet<&String> = value.as_object().into_iter().flatten().map(|(key, _)| key).collect();
        // The keys of a map are the user's, and an empty one is a default that names none.
        if !given.is_empty() && !schema["additionalProperties"].is_object() {
            only.extend(named.symmetric_difference(&given).map(|key| format!("{path}.{key}")));
        }
        for key in named.intersection(&given) {
            keys(&value[*key], &schema["properties"][*key], &format!("{path}.{key}"), only);
        }
    }
    for chart in CHARTS {
        let read = |name: &str| std::fs::read_to_string(repository(chart).join(name)).unwrap();
        let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
        let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
        let mut only = BTreeSet::new();
        keys(&values, &schema, "", &mut only);
        only.retain(|path| path != ".global" && !path.ends_with(".resources.claims"));
        assert!(only.is_empty(), "{chart}: {only:?}");
    }
}

#[test]
fn runbooks_are_linked_where_the_user_keeps_them_and_else_in_this_repository() {
    let links = |more: &[&str]| {
        let flags = [&["--set", "prometheusRule.enabled=true"], more].concat();
        let text =
            template(CHARTS[0], &[&flags[..], &["--show-only", "templates/observability.yaml"]].concat()).unwrap();
        let [rule] = objects(&text).try_into().unwrap();
        let rules =
            rule["spec"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules
            .map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule["annotations"]["runbook_url"].clone()))
            .collect::<Vec<_>>()
    };
    let repository = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks");
    let own = "https://wiki.example.com/a/b";
    for (more, base) in [
        (&[][..], repository),
        (&["--set", "prometheusRule.runbookBaseURL=https://wiki.example.com/a/b"], own),
        (&["--set", "prometheusRule.runbookBaseURL=https://wiki.example.com/a/b/"], own),
    ] {
        let all = links(more);
        assert!(all.len() > 40, "{}", all.len());
        for (alert, url) in all {
            assert_eq!(url, format!("{base}/{alert}.md"));
        }
    }
}

/// The arguments of a workload's container.
fn arguments(objects: &[Value], kind: &str, name: &str) -> Vec<String> {
    let workload = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let all = &workload.unwrap()["spec"]["template"]["spec"]["containers"][0]["args"];
    all.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap().to_owned()).collect()
}

pub fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").map(|document| document.trim_start_matches("---\n"));
    let parsed = documents.map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    parsed.filter(|object| !object.is_null()).collect()
}

#[test]
fn a_flag_that_a_chart_gives_is_refused_in_extra_args_with_the_value_that_sets_it() {
    let rendered = objects(&template(CHARTS[0], &["--set", "relay.enabled=true"]).unwrap());
    for (key, kind, name, least) in [
        ("controller", "StatefulSet", "kubewitness-controller", 10),
        ("collector", "DaemonSet", "kubewitness-collector", 8),
        ("collector", "DaemonSet", "kubewitness-relay", 11),
    ] {
        let given = arguments(&rendered, kind, name);
        let flags: Vec<_> = given.iter().skip(1).map(|given| given.split('=').next().unwrap()).collect();
        assert!(flags.len() >= least && flags.iter().all(|flag| flag.starts_with("--")), "{flags:?}");
        for flag in flags {
            let refused = template(CHARTS[0], &["--set-json", &format!("{key}.extraArgs=[\"{flag}=x\"]")]).unwrap_err();
            assert!(
                refused.contains(&format!("{key}.extraArgs has {flag}, which this chart gives")),
                "{flag}: {refused}"
            );
        }
    }
    let twice = r#"controller.extraArgs=["--alert-writes=1","--alert-writes=2"]"#;
    let refused = template(CHARTS[0], &["--set-json", twice]).unwrap_err();
    assert!(refused.contains("controller.extraArgs has --alert-writes twice"), "{refused}");
}

#[test]
fn state_that_would_lie_in_a_read_only_mount_is_refused() {
    for (set, key) in [
        ("collector.stateDir=/var/log", "collector.stateDir /var/log and /var/log, which is mounted read-only"),
        ("collector.stateDir=/var/log/kubewitness/", "collector.stateDir /var/log/kubewitness/ and /var/log"),
        ("collector.stateDir=/var//log/kubewitness", "collector.stateDir /var//log/kubewitness and /var/log"),
        ("collector.stateDir=/var", "collector.stateDir /var and /var/log"),
        ("collector.stateDir=/", "/collector/stateDir"),
        ("collector.stateDir=/var/lib/../log/state", "collector.stateDir is /var/lib/../log/state: a path without"),
        ("collector.stateDir=/srv/logs/state,collector.hostPaths={/srv/logs}", "/srv/logs of collector.hostPaths"),
        ("collector.hostPaths={/var/lib}", "collector.stateDir /var/lib/kubewitness-collector and /var/lib of"),
        ("collector.hostPaths={/srv/a,/srv/a/}", "collector.hostPaths has /srv/a/, which is mounted already"),
        ("collector.hostPaths={/var/log/}", "collector.hostPaths has /var/log/, which is mounted already"),
    ] {
        let refused = template(CHARTS[0], &["--set", set]).unwrap_err();
        assert!(refused.contains(key), "{set}: {refused}");
    }
    for set in
        ["collector.stateDir=/var/logs", "collector.stateDir=/opt/state,collector.hostPaths={/var/log/pods,/opt/logs}"]
    {
        template(CHARTS[0], &["--set", set]).unwrap();
    }
}

#[test]
fn collectors_have_no_right_and_the_role_names_the_secret_in_use() {
    for (chart, values) in cases() {
        let rendered = objects(&template(chart, &["--values", values.to_str().unwrap()]).unwrap());
        for object in rendered.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("RoleBinding")) {
            let subjects = object["subjects"].as_array().unwrap();
            assert!(subjects.iter().all(|subject| subject["name"] != "kubewitness-collector"), "{object}");
        }
    }
    for (set, secret, verbs) in [
        ("rbac.aggregate=true", "kubewitness-tls", &["list", "patch", "watch"][..]),
        // Who makes them writes them.
        ("tls.existingSecret=our-certificate", "our-certificate", &["list", "watch"]),
        ("tls.certManager.enabled=true", "kubewitness-server", &["list", "watch"]),
    ] {
        let rendered = objects(&template(CHARTS[0], &["--set", set]).unwrap());
        let role = rendered
            .iter()
            .find(|object| object["kind"] == "Role" && object["metadata"]["name"] == "kubewitness-controller")
            .unwrap();
        let rules = role["rules"].as_array().unwrap();
        let others = ["kubewitness-ingest-credentials", "kubewitness-ca"];
        let of_tls: Vec<_> =
            rules.iter().filter(|rule| !others.iter().any(|n| rule["resourceNames"][0] == *n)).collect();
        assert_eq!(of_tls.len(), 1, "{role}");
        assert_eq!(of_tls[0]["resourceNames"], serde_json::json!([secret]), "{set}");
        assert_eq!(of_tls[0]["verbs"], serde_json::json!(verbs), "{set}");
        let flag = format!("--tls-secret={secret}");
        assert!(arguments(&rendered, "StatefulSet", "kubewitness-controller").contains(&flag), "{set}");
        let makes_own = rendered.iter().any(|o| o["kind"] == "Secret" && o["metadata"]["name"] == "kubewitness-tls");
        assert_eq!(makes_own, secret == "kubewitness-tls", "{set}");
    }
    let server = objects(&template(CHARTS[0], &["--set", "tls.certManager.enabled=true"]).unwrap());
    let made =
        server.iter().find(|o| o["kind"] == "Certificate" && o["metadata"]["name"] == "kubewitness-server").unwrap();
    assert_eq!(made["spec"]["secretName"], "kubewitness-server");
}

#[test]
fn relays_are_scraped_where_prometheus_can_reach_them_and_nowhere_else() {
    let of_relays = |set: &str| {
        let rendered = objects(&template(CHARTS[0], &["--set", &format!("relay.enabled=true,{set}")]).unwrap());
        let listens = arguments(&rendered, "DaemonSet", "kubewitness-relay");
        let listens = listens.iter().find_map(|flag| flag.strip_prefix("--admin-listen=")).unwrap().to_owned();
        let daemon_set =
            |object: &&Value| object["kind"] == "DaemonSet" && object["metadata"]["name"] == "kubewitness-relay";
        let container = &rendered.iter().find(daemon_set).unwrap()["spec"]["template"]["spec"]["containers"][0];
        let ports = container["ports"].clone();
        let env = container["env"].clone();
        let probed = container["livenessProbe"]["httpGet"]["host"].clone();
        let component = "app.kubernetes.io/component";
        let monitored = rendered.iter().any(|object| {
            object["kind"] == "ServiceMonitor" && object["spec"]["selector"]["matchLabels"][component] == "relay"
        });
        let served = rendered.iter().any(|object| {
            object["kind"] == "Service"
                && object["metadata"]["labels"][component] == "relay"
                && object["spec"]["selector"][component] == "relay"
        });
        (listens, ports, env, probed, monitored, served)
    };
    let null = Value::Null;
    let port = serde_json::json!([{"name": "metrics", "containerPort": 9445, "protocol": "TCP"}]);
    let address = serde_json::json!([{"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]);
    let local = ("127.0.0.1:9445".to_owned(), null.clone(), null.clone(), Value::from("127.0.0.1"), false, false);
    assert_eq!(of_relays("serviceMonitor.enabled=true"), local);
    let shown =
        |monitored| ("$(NODE_IP):9445".to_owned(), port.clone(), address.clone(), null.clone(), monitored, true);
    assert_eq!(of_relays("relay.adminHost=node"), shown(false));
    assert_eq!(of_relays("relay.adminHost=node,serviceMonitor.enabled=true"), shown(true));
}
