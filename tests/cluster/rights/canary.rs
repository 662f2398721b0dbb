//! The Role that `helm test` runs under, each verb of it taken away: the canary fails at what it needs the verb for, and says so. And no
//! Role of the charts is overlooked by these tests.

use super::SOON;
use crate::charts::{CHARTS, template, values::objects};
use crate::support::{ClusterOptions, NAMESPACE, WatchedCluster, kubewitness, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Output};

const ACCOUNT: &str = "kubewitness-canary";

fn roles(text: &str) -> Vec<Value> {
    let is_role = |object: &Value| ["Role", "ClusterRole"].contains(&object["kind"].as_str().unwrap_or_default());
    objects(text).into_iter().filter(is_role).collect()
}

/// The same role without each of its verbs in turn, with the verb and its resource.
fn without_each_verb(role: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (at, rule) in role["rules"].as_array().unwrap().iter().enumerate() {
        for verb in rule["verbs"].as_array().unwrap() {
            let mut without = role.clone();
            let rules = without["rules"].as_array_mut().unwrap();
            rules[at]["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
            if rules[at]["verbs"].as_array().unwrap().is_empty() {
                rules.remove(at);
            }
            let resource = rule["resources"][0].as_str().unwrap().to_owned();
            all.push((verb.as_str().unwrap().to_owned(), resource, without));
        }
    }
    all
}

#[test]
fn without_any_one_right_the_canary_fails_and_says_so() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let apply = |text: &str| drop(admin.stdin(text).run(&["apply", "-f", "-"]).success().unwrap());
    apply(&template(CHARTS[1], &["--show-only", "templates/canary.yaml"]).unwrap());
    let rendered = template(CHARTS[0], &["--show-only", "templates/tests/canary.yaml"]).unwrap();
    for object in objects(&rendered).iter().filter(|object| object["kind"] != "Pod") {
        apply(&object.to_string());
    }
    let kubeconfig = watched.service_account_kubeconfig(NAMESPACE, ACCOUNT).unwrap();
    let canary = |seconds: &str| -> Output {
        let mut command = Command::new(kubewitness().unwrap());
        command.env("KUBECONFIG", &kubeconfig).args(["canary", "--skip-line", "--timeout", seconds]).output().unwrap()
    };
    let whole = canary("120");
    assert!(whole.status.success(), "{whole:?}");
    let [role] = roles(&rendered).try_into().unwrap();
    let all = without_each_verb(&role);
    assert!(!all.is_empty(), "{role}");
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    for (verb, resource, without) in all {
        apply(&without.to_string());
        wait_until("the right is gone", SOON, || {
            let ask = ["auth", "can-i", &verb, &resource, "-n", NAMESPACE, &user];
            (admin.run(&ask).stdout.trim() == "no").then_some(())
        })
        .unwrap();
        let failed = canary("120");
        let said = String::from_utf8(failed.stderr).unwrap();
        assert!(!failed.status.success() && said.contains(&format!("cannot {verb} resource \"{resource}\"")), "{said}");
        apply(&role.to_string());
    }
}

/// Roles for people: what somebody who has them may do is tested as theirs (`tenants`, `triage`).
const OF_PEOPLE: [&str; 3] = ["kubewitness-view", "kubewitness-triage", "kubewitness-rule-author"];

#[test]
fn no_role_of_the_charts_has_rights_that_no_test_takes_away() {
    let relay = ["--set", "relay.enabled=true", "--set", "collector.namespace=nodes"];
    let names: BTreeSet<String> = [template(CHARTS[0], &relay), template(CHARTS[1], &[])]
        .iter()
        .flat_map(|text| roles(text.as_ref().unwrap()))
        .map(|role| role["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    let ours = ["kubewitness-controller", "kubewitness-controller-collectors", ACCOUNT];
    let known: BTreeSet<String> = ours.iter().chain(&OF_PEOPLE).map(|name| (*name).to_owned()).collect();
    assert_eq!(names, known);
}
