//! What is written to the API server and read from it.

use super::{Alert, Step::*, Urgency};

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubewitnessAlertWritesFail",
        expr: "increase(kubewitness_cluster_alert_write_errors_total[10m]) > 0",
        hold: "10m",
        urgency: Urgency::Critical,
        summary: "SecurityAlerts can't be written",
        meaning: "Writes of SecurityAlert objects have failed for ten minutes. They are tried again.",
        impact: "Attacks are found, and nobody sees them in the cluster. The record has them.",
        diagnose: &[
            Run(
                "kubectl auth can-i create securityalerts.kubewitness.io -A --as=system:serviceaccount:kubewitness:kubewitness-controller",
            ),
            Run("kubectl get crd securityalerts.kubewitness.io"),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=15m | grep 'alert not'"),
        ],
        mend: "The log line has the API server's answer. Forbidden: `helm upgrade` with the same values puts the roles back. Not found: the \
               CRD, or the namespace of a tenant's alert. Quota: raise the object quota of that namespace.",
    },
    Alert {
        name: "KubewitnessAlertWritesThrottled",
        expr: "increase(kubewitness_cluster_alert_writes_deferred_total[10m]) > 0",
        hold: "15m",
        urgency: Urgency::Warning,
        summary: "Alerts wait for the write budget",
        meaning: "More alerts change than `--alert-writes` lets through; for a quarter of an hour some had to wait.",
        impact: "Alerts below High come late; Critical and High have a budget of their own.",
        diagnose: &[
            Ask("rate(kubewitness_cluster_alert_writes_total[5m])"),
            Ask("rate(kubewitness_cluster_alert_writes_deferred_total[5m])"),
            Run("kubectl get securityalerts -A --no-headers | awk '{print $4}' | sort | uniq -c | sort -rn | head"),
        ],
        mend: "A loud rule is most often the cause: mend it, or suspend it. If all of them are wanted, raise `--alert-writes`.",
    },
    Alert {
        name: "KubewitnessAlertLimitReached",
        expr: "kubewitness_cluster_alert_limit_reached == 1",
        hold: "5m",
        urgency: Urgency::Critical,
        summary: "New alerts get no object: the limit is reached",
        meaning: "There are `--max-alerts` SecurityAlert objects and each is worth more than the new ones.",
        impact: "New alerts are in the record only. Resolved and less severe objects have already given way.",
        diagnose: &[
            Ask("kubewitness_cluster_alerts"),
            Ask("increase(kubewitness_cluster_alerts_suppressed_total[1h])"),
            Run("kubectl get securityalerts -A --no-headers | awk '{print $4}' | sort | uniq -c | sort -rn | head"),
        ],
        mend: "Find the rule that makes most of them, and group it by fewer keys. If all are wanted, raise `--max-alerts`: an object takes \
               a few KiB in etcd. A flood may be there to hide something: look at the most severe first.",
    },
    Alert {
        name: "KubewitnessAlertsDeleted",
        expr: "increase(kubewitness_cluster_alerts_restored_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "Somebody deletes SecurityAlerts",
        meaning: "Alert objects that are not resolved were deleted by somebody else, and were written again.",
        impact: "None on the alerts: they come back with their triage. Who deletes alerts may have something to hide.",
        diagnose: &[
            Ask("increase(kubewitness_cluster_alerts_restored_total[1h])"),
            Run("kubectl get securityalerts -A -o wide"),
        ],
        mend: "Find in the audit log who did it (verb `delete`, resource `securityalerts`). Tell people to use `spec.triage` instead, and \
               take the right to delete away.",
    },
    Alert {
        name: "KubewitnessWatchesBreak",
        expr: "increase(kubewitness_cluster_watch_errors_total[15m]) > 5",
        hold: "5m",
        urgency: Urgency::Warning,
        summary: "The watch of {{ $labels.kind }} breaks again and again",
        meaning: "A watch on the API server broke over five times in a quarter of an hour. Each time it is started again.",
        impact: "New pods, nodes, rules or log sources are known late, or not at all.",
        diagnose: &[
            Ask("sum by (kind) (increase(kubewitness_cluster_watch_errors_total[1h]))"),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=15m | grep 'watch broke'"),
            Run("kubectl get crd -o name | grep kubewitness.io"),
        ],
        mend: "Forbidden: `helm upgrade` with the same values puts the roles back. Not found: a CRD is missing. Else mend the API server.",
    },
    Alert {
        name: "KubewitnessRulesNotRead",
        expr: "kubewitness_cluster_rules_read == 0",
        hold: "15m",
        urgency: Urgency::Critical,
        summary: "The controller can't list the rules",
        meaning: "Since its start the controller has not been able to read all rules.",
        impact: "Rules that the record knows are at work; newer edits are not.",
        diagnose: &[
            Ask("sum by (kind) (increase(kubewitness_cluster_watch_errors_total[1h]))"),
            Run(
                "kubectl auth can-i list clustersecurityrules.kubewitness.io --as=system:serviceaccount:kubewitness:kubewitness-controller",
            ),
            Run("kubectl get clustersecurityrules --request-timeout=10s"),
        ],
        mend: "As for [KubewitnessWatchesBreak](KubewitnessWatchesBreak.md).",
    },
    Alert {
        name: "KubewitnessStatusWritesFail",
        expr: "increase(kubewitness_cluster_status_write_errors_total[15m]) > 0",
        hold: "15m",
        urgency: Urgency::Warning,
        summary: "Statuses of rules and log sources can't be written",
        meaning: "Writes of statuses have failed for a quarter of an hour. They are tried again.",
        impact: "What `kubectl get` shows of rules and log sources is old. They work all the same.",
        diagnose: &[
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=30m | grep 'status not written'"),
            Run(
                "kubectl auth can-i patch clustersecurityrules.kubewitness.io --subresource=status --as=system:serviceaccount:kubewitness:kubewitness-controller",
            ),
        ],
        mend: "As for [KubewitnessWatchesBreak](KubewitnessWatchesBreak.md).",
    },
    Alert {
        name: "KubewitnessLogSourcesNotReady",
        expr: "kubewitness_cluster_log_sources{ready=\"false\"} > 0",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "{{ $value }} log source(s) can't be used",
        meaning: "Some LogSources are refused: a path, a time zone or a format that can't be.",
        impact: "The files that they name are not read.",
        diagnose: &[
            Run("kubectl get logsources"),
            Run("kubectl get logsource NAME -o jsonpath='{.status.conditions[0].message}'"),
        ],
        mend: "The message names the place. Correct it; collectors are told within ten seconds.",
    },
];
