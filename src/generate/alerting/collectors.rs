//! Lines on their way from the nodes' files to the door.

use super::{Alert, Step::*, Urgency};

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubewitnessLinesLost",
        expr: "increase(kubewitness_collector_losses_total{reason=~\"Truncated|Gone|SpoolDamaged\"}[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "{{ $labels.instance }} lost lines of log files: {{ $labels.reason }}",
        meaning: "Bytes of a file went away before the collector read them. Truncated: the file was cut and no copy of it was found. Gone: \
                  it was removed or compressed. SpoolDamaged: the disk lost a batch that waited for the controller.",
        impact: "A gap in the record of that node. Truncating a log is also what an intruder does.",
        diagnose: &[
            Ask("increase(kubewitness_collector_lost_bytes_total[1h])"),
            Ask("kubewitness_collector_lag_bytes"),
            Run("kubectl logs -n kubewitness POD --since=1h | grep -E 'truncated|went|damaged'"),
        ],
        mend: "The log names the file. Where it is rotated by `copytruncate`, use `create` in its place, and let logrotate compress only \
               the second-newest (`delaycompress`). Where the collector was behind, see \
               [KubewitnessCollectorBehind](KubewitnessCollectorBehind.md). Where nobody rotated, somebody cut the file: look at the node.",
    },
    Alert {
        name: "KubewitnessLinesUnfit",
        expr: "increase(kubewitness_collector_losses_total{reason=~\"Oversized|Unreadable|Nul\"}[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "{{ $labels.instance }} can't read some lines: {{ $labels.reason }}",
        meaning: "Lines of a file are not what its LogSource says. Oversized: longer than a line may be, and cut. Unreadable: no audit \
                  event in an audit log. Nul: bytes that were never written, as after a power cut.",
        impact: "These lines, or the rest of them, are not in the record.",
        diagnose: &[Ask("increase(kubewitness_collector_lost_lines_total[1h])"), Run("kubectl get logsources -o wide")],
        mend: "Narrow the paths of the LogSource to files of its format. Nul bytes after a crash of the node need nothing.",
    },
    Alert {
        name: "KubewitnessLinesRefused",
        expr: "increase(kubewitness_collector_lines_refused_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "The controller does not take lines of {{ $labels.instance }}",
        meaning: "The controller answered that it never takes these lines, and the collector dropped them.",
        impact: "They are not in the record.",
        diagnose: &[
            Ask("sum by (reason) (increase(kubewitness_ingest_records_refused_total[1h]))"),
            Run("kubectl logs -n kubewitness POD --since=1h | grep 'does not take'"),
        ],
        mend: "OutOfScope: a LogSource was narrowed while lines of its files were under way; nothing is to be done. TooLong, Unreadable, \
               NoPosition, WrongContent: collector and controller are of different versions; bring both to the same one.",
    },
    Alert {
        name: "KubewitnessLinesForged",
        expr: "increase(kubewitness_ingest_records_refused_total{reason=\"OtherNode\"}[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "A collector's token was used to speak for another node",
        meaning: "Somebody with the token of a collector sent lines in the name of another node. Our collector never does.",
        impact: "The lines were refused. But a token of a collector is in foreign hands, and its node may be too.",
        diagnose: &[
            Ask("sum by (reason) (increase(kubewitness_ingest_records_refused_total[1h]))"),
            Run("kubectl get pods -n kubewitness -l app.kubernetes.io/component=collector -o wide"),
        ],
        mend: "Tokens are bound to pods: delete the collector's pod, and its token is worth nothing. Find the node by its audit trail: \
               who else used that pod's service account, and from where.",
    },
    Alert {
        name: "KubewitnessCollectorBehind",
        expr: "kubewitness_collector_lag_bytes > 67108864",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "{{ $labels.instance }} has {{ $value | humanize1024 }}B of log files still to read",
        meaning: "A collector has had over 64 MiB of files to read for ten minutes.",
        impact: "Alerts on this node come late. If rotation removes files before they are read, lines are lost.",
        diagnose: &[
            Ask("kubewitness_collector_lag_bytes"),
            Ask("rate(kubewitness_collector_bytes_read_total[5m])"),
            Ask("sum by (reason) (rate(kubewitness_collector_retries_total[5m]))"),
            Run("kubectl top pod -n kubewitness POD"),
        ],
        mend: "With retries, the controller is what is slow: see [KubewitnessIngestRefuses](KubewitnessIngestRefuses.md). Without, give the \
               collector more CPU. A source that nobody has rules for can be left out of its LogSource.",
    },
    Alert {
        name: "KubewitnessCollectorSpooling",
        expr: "kubewitness_collector_spool_bytes > 0",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "{{ $labels.instance }} can't reach the controller and spools to its disk",
        meaning: "A collector has had batches in its spool for ten minutes: the controller is away, or answers that it can't.",
        impact: "Nothing is lost while the spool has room (`--spool-max`), and after that while the log files are kept. Alerts come late.",
        diagnose: &[
            Ask("sum by (instance, reason) (rate(kubewitness_collector_retries_total[5m]))"),
            Run("kubectl get endpointslices -n kubewitness -l kubernetes.io/service-name=kubewitness"),
            Run("kubectl logs -n kubewitness POD --since=15m | grep -E 'again|away'"),
        ],
        mend: "The reason of the retries says what stands between: Connection or Timeout the network (NetworkPolicy, Service), Unauthorized \
               or Forbidden the token (see [KubewitnessCollectorTokensRefused](KubewitnessCollectorTokensRefused.md)), Unavailable the \
               controller itself.",
    },
    Alert {
        name: "KubewitnessCollectorDiskFails",
        expr: "increase(kubewitness_collector_checkpoint_errors_total[10m]) + increase(kubewitness_collector_spool_errors_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "{{ $labels.instance }} can't write its checkpoints or its spool",
        meaning: "The collector's own directory on the node refuses writes.",
        impact: "Without checkpoints nothing is lost, but reading stops when the controller is away, and after a restart lines are sent again.",
        diagnose: &[
            Ask("increase(kubewitness_collector_checkpoint_errors_total[1h])"),
            Run("kubectl logs -n kubewitness POD --since=1h | grep -E 'checkpoint|spool'"),
            Run("kubectl describe node NODE | grep -E 'DiskPressure|ReadonlyFilesystem'"),
        ],
        mend: "Make room on the node's disk, or bring it back from read-only. The collector goes on by itself.",
    },
    Alert {
        name: "KubewitnessFilesNotRead",
        expr: "kubewitness_collector_files_over_limit + kubewitness_collector_files_refused > 0 or increase(kubewitness_collector_file_errors_total[10m]) > 0",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "{{ $labels.instance }} does not read files that a LogSource names",
        meaning: "Files are named and not read: more than 1,000 of them, no regular files, links that lead out of their directory, or \
                  files that can't be opened.",
        impact: "What is in them is seen by no rule.",
        diagnose: &[
            Ask("kubewitness_collector_files_over_limit"),
            Ask("kubewitness_collector_files_refused"),
            Ask("increase(kubewitness_collector_file_errors_total[1h])"),
            Run("kubectl logs -n kubewitness POD --since=1h | grep -E 'file|path'"),
        ],
        mend: "Narrow the LogSource's paths. A link out of its directory is never followed, since who may write there could have any \
               file of the node read: name the target itself.",
    },
    Alert {
        name: "KubewitnessRelayRefuses",
        expr: "increase(kubewitness_collector_relay_refused_total{reason=~\"Full|Failing|Stalled\"}[5m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "The relay {{ $labels.instance }} can't keep audit events: {{ $labels.reason }}",
        meaning: "The relay of a control-plane node turned its API server away. Full: too much waits to be sent on. Failing: the node's disk \
                  is full or fails. Stalled: it does not answer in time.",
        impact: "The API server tries again for some 80 seconds and then drops the events.",
        diagnose: &[
            Ask("kubewitness_collector_relay_spool_bytes"),
            Ask("kubewitness_collector_relay_last_fsync_seconds"),
            Ask("kubewitness_collector_lag_bytes"),
            Run("kubectl logs -n kubewitness POD --since=15m"),
        ],
        mend: "Full: the controller has been away for long, or the LogSource of the relay is missing, so that nothing is sent on \
               (`kubectl get logsources`). Failing: make room on the node, or bring its disk back from read-only.",
    },
    Alert {
        name: "KubewitnessRelayCredentialsRefused",
        expr: "increase(kubewitness_collector_relay_auth_failures_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "The relay {{ $labels.instance }} refuses credentials: {{ $labels.reason }}",
        meaning: "Somebody on a control-plane node sent to the relay without a credential that it knows.",
        impact: "If it is the API server, its events are lost. If not, some process of that node tries to forge events.",
        diagnose: &[
            Ask("sum by (instance, reason) (increase(kubewitness_collector_relay_auth_failures_total[1h]))"),
            Run(
                "kubectl get secret -n kubewitness kubewitness-relay-credentials -o jsonpath='{.data.credentials\\.yaml}' | base64 -d",
            ),
        ],
        mend: "Give the API server a credential by `kubewitness webhook-config --relay`. It takes a minute until the relay's mount shows a \
               new one.",
    },
    Alert {
        name: "KubewitnessRelayEventsUnread",
        expr: "increase(kubewitness_collector_relay_events_quarantined_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "The relay {{ $labels.instance }} could not read events: {{ $labels.reason }}",
        meaning: "Events came to a relay with a good credential and could not be read: no JSON (Syntax), nested too deep (Depth), no audit \
                  event (NotAnEvent), or too large even without bodies (Oversize). The relay logs how many, with length and error of \
                  the first; it keeps nothing of them, and the controller never hears of them.",
        impact: "Rules have not seen these events, and the record has no trace of them. API servers write none like that: somebody else on \
                 the node has the credential, or somebody makes requests that blind an auditor.",
        diagnose: &[
            Ask("sum by (instance, reason) (increase(kubewitness_collector_relay_events_quarantined_total[1h]))"),
            Ask("increase(kubewitness_collector_relay_events_oversize_total[1h])"),
            Run("kubectl logs -n kubewitness POD --since=1h | grep 'could not be read'"),
        ],
        mend: "For Oversize and Depth look in the API server's own audit log for requests of that time with huge or deep bodies, and at who \
               made them. For the others find out which process of the node sends to the relay, and issue the credential anew.",
    },
    Alert {
        name: "KubewitnessRelayCredentialsNotTaken",
        expr: "increase(kubewitness_collector_relay_reload_failures_total[15m]) > 0",
        hold: "5m",
        urgency: Urgency::Warning,
        summary: "The relay {{ $labels.instance }} can't use its changed credentials",
        meaning: "Secret `kubewitness-relay-credentials` was changed to something that is no list of credentials. The last good ones stay \
                  in use.",
        impact: "New credentials are refused, and revoked ones are still good. After a restart that relay would not start, and its API \
                 server's events would be lost.",
        diagnose: &[
            Run("kubectl logs -n kubewitness POD --since=1h | grep 'not usable'"),
            Run(
                "kubectl get secret -n kubewitness kubewitness-relay-credentials -o jsonpath='{.data.credentials\\.yaml}' | base64 -d",
            ),
        ],
        mend: "The log line names the place in the file. Correct the Secret, by `kubewitness webhook-config --relay` where you can; the \
               kubelet shows it to the relay within 90 seconds.",
    },
];
