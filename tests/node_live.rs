//! The scenes on a real node, in their order.

mod attack;
mod bed;
mod faults;
mod install;

use bed::Bed;

#[test]
fn a_cluster_is_watched_from_helm_install_through_attacks_and_faults() {
    let bed = Bed::start();
    install::charts(&bed);
    install::api_server(&bed);
    let mut scene = attack::Scene::set(&bed);
    scene.person_enters_pod();
    scene.person_starts_privileged_pod();
    scene.exploit_and_then_the_pod_s_own_token();
    scene.guessed_password_and_then_the_cluster_s_secrets();
    scene.account_on_the_node_after_exec();
    faults::controller_s_pod_is_deleted(&scene);
    faults::certificates_change(&scene);
    faults::controller_is_away_for_long(&scene);
    faults::chart_is_upgraded_and_rolled_back(&scene);
    faults::everything_is_in_the_record_once(&scene);
}
