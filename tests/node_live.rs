//! The scenes on a real node, in their order.

mod attack;
mod bed;
mod docs;
mod faults;
mod install;

use bed::Bed;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Play = fn(&mut attack::Scene);

const ATTACKS: [(&str, Play); 5] = [
    ("a person enters a pod", |scene| scene.person_enters_pod()),
    ("a person starts a privileged pod", |scene| scene.person_starts_privileged_pod()),
    ("an exploit, then the pod's own token", |scene| scene.exploit_and_then_the_pod_s_own_token()),
    ("a guessed password, then secrets", |scene| scene.guessed_password_and_then_the_cluster_s_secrets()),
    ("an account on the node after an exec", |scene| scene.account_on_the_node_after_exec()),
];

const FAULTS: [(&str, Play); 9] = [
    ("helm test", |scene| install::helm_test(scene.bed)),
    ("the controller's pod is deleted", |scene| faults::controller_s_pod_is_deleted(scene)),
    ("certificates change", |scene| faults::certificates_change(scene)),
    ("the controller is away for long", |scene| faults::controller_is_away_for_long(scene)),
    ("upgrade and rollback", |scene| faults::chart_is_upgraded_and_rolled_back(scene)),
    ("by the Service's fixed address", |scene| faults::api_server_sends_to(scene, "https://10.96.0.60:9443")),
    ("by the port of the node", |scene| faults::api_server_sends_to(scene, "https://127.0.0.1:30943")),
    ("uninstalled and installed again", |scene| faults::chart_is_uninstalled_and_installed_again(scene)),
    ("everything is in the record once", |scene| faults::everything_is_in_the_record_once(scene)),
];

#[test]
fn a_cluster_is_watched_from_helm_install_through_attacks_and_faults() {
    let bed = Bed::start();
    install::charts(&bed);
    install::api_server(&bed, "--relay");
    let mut scene = attack::Scene::set(&bed);
    // A scene that fails does not hide what the others show.
    let mut failed = Vec::new();
    for (name, play) in ATTACKS.iter().chain(&FAULTS) {
        bed.tell(&format!("-- {name}"));
        if catch_unwind(AssertUnwindSafe(|| play(&mut scene))).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}; what went wrong stands above");
}

#[test]
#[ignore = "for people to look at: make demo NODE=1"]
fn demo() {
    let bed = Bed::start();
    install::charts(&bed);
    install::api_server(&bed, "--relay");
    let mut scene = attack::Scene::set(&bed);
    for (name, play) in ATTACKS {
        bed.tell(&format!("-- {name}"));
        play(&mut scene);
    }
    for words in ["get pods -A", "get securityalerts -A"] {
        println!("\n$ kubectl {words}\n{}", bed.kubectl(words));
    }
}
