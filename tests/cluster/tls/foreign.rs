//! A certificate that somebody else makes, as cert-manager does, under the Role that the chart renders for it: shown, published to
//! collectors, followed at its renewal, and never written.

use super::super::own::Own;
use super::super::seen::{audit_log, get, text};
use super::SOON;
use crate::charts::{CHARTS, template, values::objects};

use crate::support::{Authority, NAMESPACE, wait_until};
use serde_json::{Value, json};

const SECRET: &str = "our-certificate";

/// The Secret as cert-manager writes it.
fn write(own: &Own, authority: &Authority) {
    let made = authority.server(&["localhost", "127.0.0.1"]).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": NAMESPACE, "annotations": {"cert-manager.io/certificate-name": "kubewitness-server"}},
        "stringData": {"ca.crt": authority.pem(), "tls.crt": made.certificate_pem, "tls.key": made.key_pem},
    });
    own.cluster.kubectl().stdin(secret.to_string()).run(&["apply", "-f", "-"]).success().unwrap();
}

fn is_published(own: &Own, authority: &Authority) -> bool {
    [NAMESPACE, "nodes"].iter().all(|namespace| own.bundle(namespace).trim() == authority.pem().trim())
}

#[test]
fn a_certificate_of_cert_manager_is_shown_published_and_followed_and_never_written() {
    let mut own = Own::start();
    own.stop();
    let flags = ["--set", "tls.existingSecret=our-certificate", "--set", "collector.namespace=nodes"];
    let rendered = template(CHARTS[0], &[&flags[..], &["--show-only", "templates/rbac.yaml"]].concat()).unwrap();
    let admin = own.cluster.kubectl();
    // The bindings stay ours: the account has another name here.
    for role in objects(&rendered).into_iter().filter(|object| object["kind"] == "Role") {
        admin.stdin(role.to_string()).run(&["apply", "-f", "-"]).success().unwrap();
    }
    own.replace_argument("--tls-secret=kubewitness-tls", "--tls-secret=our-certificate");

    // cert-manager may come later than the controller.
    own.spawn();
    wait_until("the controller tells what is missing", SOON, || {
        own.controller.log().contains("Secret kubewitness/our-certificate does not exist").then_some(())
    })
    .unwrap();
    assert_eq!(get(own.admin_port, "/readyz").unwrap().code, 503);
    let first = Authority::new("company").unwrap();
    write(&own, &first);
    own.wait_ready();
    wait_until("the foreign authority is published", SOON, || is_published(&own, &first).then_some(())).unwrap();
    assert_eq!(own.post(&own.bundle("nodes"), None, &[]).unwrap(), 401, "collectors' handshake is good");
    let token = own.issue("testbed", "cp-1");

    let shown = own.shown();
    write(&own, &first);
    wait_until("the renewed certificate is shown", SOON, || (own.shown() != shown).then_some(())).unwrap();
    assert_eq!(own.post(first.pem(), Some(&format!("Bearer {token}")), &[]).unwrap(), 200);

    let second = Authority::new("company's next").unwrap();
    write(&own, &second);
    wait_until("the next authority is published", SOON, || is_published(&own, &second).then_some(())).unwrap();
    assert_eq!(own.post(second.pem(), Some(&format!("Bearer {token}")), &[]).unwrap(), 200);

    let annotate = ["annotate", "secret", SECRET, "-n", NAMESPACE, "kubewitness.io/rotate=leaf"];
    admin.run(&annotate).success().unwrap();
    wait_until("the controller tells that it is not its own", SOON, || {
        own.controller.log().contains("is renewed by whoever made it").then_some(())
    })
    .unwrap();
    own.stop();
    let asked: Vec<Value> = audit_log(&own.cluster)
        .into_iter()
        .filter(|event| text(event, "/user/username") == "system:serviceaccount:kubewitness:controller")
        .filter(|event| text(event, "/objectRef/name") == SECRET)
        .collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|event| ["list", "watch"].contains(&text(event, "/verb"))),
        "{asked:?}"
    );
    assert!(!own.controller.log().contains("is forbidden"), "{}", own.controller.log_tail());
}
