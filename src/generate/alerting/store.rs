//! The record on its disk.

use super::{Alert, Step::*, Urgency};

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubewitnessStoreWritesFail",
        expr: "increase(kubewitness_store_append_refused_total{reason=\"failed\"}[5m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "The record can't be written to disk",
        meaning: "Commits to the record fail: the disk is full, read-only or broken.",
        impact: "Nothing is acknowledged. API servers drop events after some 80 seconds; collectors keep theirs.",
        diagnose: &[
            Ask("kubewitness_store_disk_free_bytes"),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=15m | grep 'store'"),
            Run("kubectl get pvc -n kubewitness"),
        ],
        mend: "The log names the error of the operating system. No room: enlarge the volume, or lower `--retain-bytes` and restart. \
               Read-only or I/O errors: move the pod to a sound volume; see docs/operations.md for what a backup brings back.",
    },
    Alert {
        name: "KubewitnessStoreBusy",
        expr: "increase(kubewitness_store_append_refused_total{reason=~\"busy|slow\"}[5m]) > 0",
        hold: "5m",
        urgency: Urgency::Warning,
        summary: "The store turns senders away: {{ $labels.reason }}",
        meaning: "busy: the queue before the disk is full. slow: a commit took over five seconds.",
        impact: "Senders are told to come back; API servers do so for some 80 seconds.",
        diagnose: &[
            Ask("histogram_quantile(0.99, sum by (le) (rate(kubewitness_store_commit_seconds_bucket[5m])))"),
            Ask("rate(kubewitness_store_records_stored_total[5m])"),
            Run("kubectl top pod -n kubewitness kubewitness-controller-0"),
        ],
        mend: "A faster volume, more CPU (compression), or less to store: leave out of the audit policy what no rule asks for.",
    },
    Alert {
        name: "KubewitnessStoreSlow",
        expr: "histogram_quantile(0.99, sum by (le) (rate(kubewitness_store_commit_seconds_bucket[10m]))) > 1",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "One commit in a hundred takes over {{ $value | humanizeDuration }}",
        meaning: "The slowest hundredth of commits to disk took over a second, for ten minutes.",
        impact: "Answers to senders are late. At five seconds they are turned away.",
        diagnose: &[
            Ask("histogram_quantile(0.5, sum by (le) (rate(kubewitness_store_commit_seconds_bucket[10m])))"),
            Ask("rate(kubewitness_store_commit_seconds_count[10m])"),
        ],
        mend: "fsync is slow on this volume: network storage, or neighbours on the same disk. Use a local or faster StorageClass.",
    },
    Alert {
        name: "KubewitnessStoreDiskNearlyFull",
        expr: "kubewitness_store_disk_free_bytes < 0.1 * kubewitness_store_disk_bytes and kubewitness_store_disk_free_bytes < kubewitness_store_limit_bytes - kubewitness_store_bytes",
        hold: "10m",
        urgency: Urgency::Critical,
        summary: "The volume of the record has {{ $value | humanize1024 }}B left, and the record may still grow",
        meaning: "Less than a tenth of the volume is free, and the record may take more than that before its oldest part is dropped.",
        impact: "When it is full nothing is stored, and API servers drop events.",
        diagnose: &[
            Ask("kubewitness_store_limit_bytes - kubewitness_store_bytes"),
            Ask("kubewitness_store_disk_free_bytes / kubewitness_store_disk_bytes"),
            Run("kubectl get pvc -n kubewitness"),
        ],
        mend: "Enlarge the volume (`kubectl patch pvc` where the StorageClass allows it), or lower `--retain-bytes` to nine tenths of it.",
    },
    Alert {
        name: "KubewitnessRecordsDroppedUnread",
        expr: "increase(kubewitness_store_records_dropped_unread_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "Records were dropped before rules saw them",
        meaning: "The record reached its size and dropped its oldest part before the pipeline had read it.",
        impact: "Events were stored and are lost, and no rule has seen them.",
        diagnose: &[
            Ask("kubewitness_pipeline_lag_records"),
            Ask("kubewitness_store_bytes / kubewitness_store_limit_bytes"),
        ],
        mend: "Raise `--retain-bytes` now, and then find out why evaluation is so far behind: \
               [KubewitnessPipelineBehind](KubewitnessPipelineBehind.md).",
    },
    Alert {
        name: "KubewitnessRecordShort",
        expr: "increase(kubewitness_store_partitions_dropped_total[1d]) > 0 and time() - kubewitness_store_oldest_record_timestamp_seconds < 86400",
        hold: "1h",
        urgency: Urgency::Warning,
        summary: "The record goes back only {{ $value | humanizeDuration }}",
        meaning: "At its present size the record holds less than a day.",
        impact: "Windows over longer spans, investigations and replays lack what was dropped.",
        diagnose: &[
            Ask("time() - kubewitness_store_oldest_record_timestamp_seconds"),
            Ask("rate(kubewitness_store_records_stored_total[1h])"),
        ],
        mend: "Raise `--retain-bytes` and the volume. docs/operations.md says how many bytes an event takes.",
    },
    Alert {
        name: "KubewitnessStoreDamaged",
        expr: "kubewitness_store_blocks_corrupt_total > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "A part of the record is damaged and was skipped",
        meaning: "Blocks of the record don't read, or don't have the hash that their successor names: the disk damaged them, or somebody \
                  changed them.",
        impact: "What was in them is lost to rules and investigations. All else is still used.",
        diagnose: &[
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=24h | grep 'damaged and skipped'"),
            Run("kubectl get pod -n kubewitness kubewitness-controller-0 -o jsonpath='{.spec.nodeName}'"),
        ],
        mend: "The log names partition and place. Look for I/O errors on that node; if there are none, ask who can write to the volume. \
               The alert ends with a restart once the damaged part is no longer read.",
    },
    Alert {
        name: "KubewitnessInventoryOverflow",
        expr: "kubewitness_store_standing_overflow_total > 0 or kubewitness_cluster_inventory_overflow_total > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "The cluster has more objects than kubewitness keeps",
        meaning: "There are more pods, nodes or rules than the bounds of the inventory.",
        impact: "Events of the objects beyond have no pod, node or workload joined to them, so rules that ask for these miss them.",
        diagnose: &[Ask("kubewitness_cluster_inventory_objects"), Run("kubectl get pods -A --no-headers | wc -l")],
        mend: "Delete finished pods that nobody needs. If the cluster is that large, tell us: the bound is ours to raise.",
    },
];
