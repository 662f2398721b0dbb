//! The real controllers of cert-manager (`tests/testbed/cert-manager`) and what the chart gives them: our server shows what they issue, and
//! follows when they renew it.

use super::super::own::Own;
use super::SOON;
use crate::charts::{CHARTS, template, values::objects};
use crate::support::{NAMESPACE, Process, cert_manager, wait_until};
use std::path::Path;

const SERVER: &str = "kubewitness-server";

fn install(own: &mut Own) -> Process {
    let built = cert_manager().unwrap();
    let admin = own.cluster.kubectl();
    let definitions = built.join("crds").display().to_string();
    admin.run(&["apply", "--server-side", "-f", &definitions]).success().unwrap();
    admin.run(&["wait", "--for=condition=Established", "-f", &definitions]).success().unwrap();
    let kubeconfig = format!("KUBECONFIG={}", own.cluster.kubeconfig().display());
    let program = built.join("cert-manager").display().to_string();
    own.cluster.spawn("cert-manager", Path::new("/usr/bin/env"), &[kubeconfig, program]).unwrap()
}

/// As `cmctl renew` does it.
fn renew(own: &Own, certificate: &str) {
    let condition = r#"[{"op": "add", "path": "/status/conditions/-", "value": {"type": "Issuing", "status": "True",
        "reason": "ManuallyTriggered", "message": "a test asks for it"}}]"#;
    let patch = ["patch", "certificate", certificate, "-n", NAMESPACE, "--subresource=status", "--type=json", "-p"];
    own.cluster.kubectl().run(&[&patch[..], &[condition]].concat()).success().unwrap();
}

#[test]
fn what_cert_manager_issues_for_the_chart_is_shown_and_its_renewal_is_taken_up() {
    let mut own = Own::start();
    own.stop();
    let cert_manager = install(&mut own);
    let flags = "tls.certManager.enabled=true,tls.names={localhost,127.0.0.1},collector.namespace=nodes";
    let shown = ["--show-only", "templates/rbac.yaml", "--show-only", "templates/certmanager.yaml"];
    let rendered = template(CHARTS[0], &[&["--set", flags][..], &shown].concat()).unwrap();
    let admin = own.cluster.kubectl();
    // The bindings stay ours: the account has another name here.
    for object in objects(&rendered) {
        if ["Role", "Issuer", "Certificate"].contains(&object["kind"].as_str().unwrap()) {
            admin.stdin(object.to_string()).run(&["apply", "-f", "-"]).success().unwrap();
        }
    }
    let ready = ["wait", "--for=condition=Ready", "certificate", SERVER, "-n", NAMESPACE, "--timeout=60s"];
    admin.run(&ready).success().unwrap_or_else(|error| panic!("{error}: {}", cert_manager.log_tail()));
    own.replace_argument("--tls-secret=kubewitness-tls", "--tls-secret=kubewitness-server");
    own.spawn();
    own.wait_ready();
    let issued = own.secret(SERVER);
    assert_eq!(issued.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
    wait_until("its authority is published", SOON, || {
        [NAMESPACE, "nodes"].iter().all(|place| own.bundle(place).trim() == issued["ca.crt"].trim()).then_some(())
    })
    .unwrap();
    let token = own.issue("testbed", "cp-1");
    let bearer = format!("Bearer {token}");
    assert_eq!(own.post(&own.bundle("nodes"), Some(&bearer), &[]).unwrap(), 200);

    let before = own.shown();
    renew(&own, SERVER);
    wait_until("the renewed certificate is shown", SOON, || (own.shown() != before).then_some(()))
        .unwrap_or_else(|error| panic!("{error}: {}", own.controller.log_tail()));
    let renewed = own.secret(SERVER);
    assert_ne!(renewed["tls.crt"], issued["tls.crt"]);
    assert_ne!(renewed["tls.key"], issued["tls.key"], "rotationPolicy: Always");
    assert_eq!(own.post(&own.bundle("nodes"), Some(&bearer), &[]).unwrap(), 200);
    own.stop();
    assert!(!own.controller.log().contains("is forbidden"), "{}", own.controller.log_tail());
}
