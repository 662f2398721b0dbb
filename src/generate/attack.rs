//! MITRE ATT&CK, version 17, as far as the shipped rules and the page on their coverage need it: names of techniques, and the
//! matrix for containers. Ids and names are facts; what a technique is stands on MITRE's own pages, which are linked.

/// Id and name of every technique that a shipped rule names or the matrix has.
#[rustfmt::skip] // a table reads best as one
const NAMES: &[(&str, &str)] = &[
    ("T1005", "Data from Local System"),
    ("T1021.004", "Remote Services: SSH"),
    ("T1036", "Masquerading"),
    ("T1036.005", "Masquerading: Match Legitimate Resource Name or Location"),
    ("T1046", "Network Service Discovery"),
    ("T1053", "Scheduled Task/Job"),
    ("T1053.007", "Scheduled Task/Job: Container Orchestration Job"),
    ("T1059.004", "Command and Scripting Interpreter: Unix Shell"),
    ("T1068", "Exploitation for Privilege Escalation"),
    ("T1069", "Permission Groups Discovery"),
    ("T1069.003", "Permission Groups Discovery: Cloud Groups"),
    ("T1070", "Indicator Removal"),
    ("T1078", "Valid Accounts"),
    ("T1078.001", "Valid Accounts: Default Accounts"),
    ("T1078.003", "Valid Accounts: Local Accounts"),
    ("T1078.004", "Valid Accounts: Cloud Accounts"),
    ("T1098", "Account Manipulation"),
    ("T1098.001", "Account Manipulation: Additional Cloud Credentials"),
    ("T1098.006", "Account Manipulation: Additional Container Cluster Roles"),
    ("T1098.007", "Account Manipulation: Additional Local or Domain Groups"),
    ("T1105", "Ingress Tool Transfer"),
    ("T1110", "Brute Force"),
    ("T1110.001", "Brute Force: Password Guessing"),
    ("T1110.003", "Brute Force: Password Spraying"),
    ("T1133", "External Remote Services"),
    ("T1136", "Create Account"),
    ("T1136.001", "Create Account: Local Account"),
    ("T1190", "Exploit Public-Facing Application"),
    ("T1204", "User Execution"),
    ("T1204.003", "User Execution: Malicious Image"),
    ("T1222", "File and Directory Permissions Modification"),
    ("T1485", "Data Destruction"),
    ("T1489", "Service Stop"),
    ("T1490", "Inhibit System Recovery"),
    ("T1496", "Resource Hijacking"),
    ("T1496.001", "Resource Hijacking: Compute Hijacking"),
    ("T1498", "Network Denial of Service"),
    ("T1499", "Endpoint Denial of Service"),
    ("T1525", "Implant Internal Image"),
    ("T1528", "Steal Application Access Token"),
    ("T1543", "Create or Modify System Process"),
    ("T1543.005", "Create or Modify System Process: Container Service"),
    ("T1546", "Event Triggered Execution"),
    ("T1548.003", "Abuse Elevation Control Mechanism: Sudo and Sudo Caching"),
    ("T1550", "Use Alternate Authentication Material"),
    ("T1550.001", "Use Alternate Authentication Material: Application Access Token"),
    ("T1552", "Unsecured Credentials"),
    ("T1552.001", "Unsecured Credentials: Credentials In Files"),
    ("T1552.005", "Unsecured Credentials: Cloud Instance Metadata API"),
    ("T1552.007", "Unsecured Credentials: Container API"),
    ("T1556", "Modify Authentication Process"),
    ("T1557", "Adversary-in-the-Middle"),
    ("T1562", "Impair Defenses"),
    ("T1562.001", "Impair Defenses: Disable or Modify Tools"),
    ("T1562.004", "Impair Defenses: Disable or Modify System Firewall"),
    ("T1562.006", "Impair Defenses: Indicator Blocking"),
    ("T1565.002", "Data Manipulation: Transmitted Data Manipulation"),
    ("T1567.004", "Exfiltration Over Web Service: Exfiltration Over Webhook"),
    ("T1572", "Protocol Tunneling"),
    ("T1595", "Active Scanning"),
    ("T1595.002", "Active Scanning: Vulnerability Scanning"),
    ("T1609", "Container Administration Command"),
    ("T1610", "Deploy Container"),
    ("T1611", "Escape to Host"),
    ("T1612", "Build Image on Host"),
    ("T1613", "Container and Resource Discovery"),
];

/// Tactics of the matrix for containers, each with its techniques.
#[rustfmt::skip]
pub const CONTAINERS: &[(&str, &[&str])] = &[
    ("Initial Access", &["T1190", "T1133", "T1078"]),
    ("Execution", &["T1609", "T1610", "T1053", "T1204"]),
    ("Persistence", &["T1098", "T1136", "T1543", "T1133", "T1525", "T1053", "T1078"]),
    ("Privilege Escalation", &["T1098", "T1543", "T1611", "T1068", "T1053", "T1078"]),
    ("Defense Evasion", &["T1612", "T1610", "T1562", "T1070", "T1036", "T1550", "T1078"]),
    ("Credential Access", &["T1110", "T1528", "T1552"]),
    ("Discovery", &["T1613", "T1046", "T1069"]),
    ("Lateral Movement", &["T1550"]),
    ("Impact", &["T1485", "T1499", "T1490", "T1498", "T1496"]),
];

/// The name of a technique; `None` for one that the table lacks.
pub fn name(id: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

/// A technique with its name, as a link to MITRE's page.
pub fn link(id: &str) -> String {
    let name = name(id).unwrap_or_default();
    format!("[{id}](https://attack.mitre.org/techniques/{}/) {name}", id.replace('.', "/"))
}

/// True when `id` is the technique or one of its sub-techniques.
pub fn is_within(id: &str, technique: &str) -> bool {
    id.strip_prefix(technique).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_unique_and_cover_the_matrix() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (tactic, techniques) in CONTAINERS {
            for id in *techniques {
                assert!(name(id).is_some(), "{tactic}: {id}");
            }
        }
    }

    #[test]
    fn a_sub_technique_is_within_its_technique() {
        assert!(is_within("T1078", "T1078") && is_within("T1078.001", "T1078"));
        assert!(!is_within("T1078", "T1078.001") && !is_within("T10781", "T1078"));
        assert!(link("T1098.006").starts_with("[T1098.006](https://attack.mitre.org/techniques/T1098/006/) Account"));
    }
}
