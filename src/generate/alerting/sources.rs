//! Whether everybody who should speak does.

use super::{Alert, Step::*, Urgency};

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubewitnessHeartbeat",
        expr: "min(kubewitness_pipeline_replayed) == 1 and on () (time() - max(kubewitness_ingest_last_event_timestamp_seconds) < 300)",
        hold: "0m",
        urgency: Urgency::None,
        summary: "kubewitness takes events and evaluates them",
        meaning: "Fires always while events arrive and are evaluated. It is the heartbeat of the whole way from the API server to \
                  Alertmanager: give it to a dead man's switch, which calls when it stops.",
        impact: "None while it fires. When it stops, nobody would be told of an attack.",
        diagnose: &[
            Run("kubectl get pods -n kubewitness -o wide"),
            Ask("time() - kubewitness_ingest_last_event_timestamp_seconds"),
            Ask("kubewitness_pipeline_replayed"),
        ],
        mend: "Route it to a receiver that expects it (`repeat_interval: 5m`), and to no person. When it stopped, look at \
               [KubewitnessControllerDown](KubewitnessControllerDown.md) and [KubewitnessApiServerSilent](KubewitnessApiServerSilent.md).",
    },
    Alert {
        name: "KubewitnessControllerDown",
        expr: "absent(kubewitness_store_bytes)",
        hold: "5m",
        urgency: Urgency::Critical,
        summary: "Prometheus has no metrics of the kubewitness controller",
        meaning: "Prometheus scrapes no controller: it does not run, or Prometheus can't reach it.",
        impact: "While it is down API servers keep events for some 80 seconds and then drop them, unless the relay or the audit log is \
                 read; collectors spool on their nodes. No alert is written.",
        diagnose: &[
            Run("kubectl get pods -n kubewitness -l app.kubernetes.io/component=controller -o wide"),
            Run("kubectl describe pod -n kubewitness kubewitness-controller-0"),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --previous --tail=50"),
            Run("kubectl get --raw /api/v1/namespaces/kubewitness/services/kubewitness-metrics:8080/proxy/readyz"),
        ],
        mend: "The last log line of a controller that ended names what it missed: its volume, its certificate, or another process on the \
               same directory. A Pending pod waits for its volume or node. If the pod is well, mend the scrape: the ServiceMonitor's labels \
               must be those that your Prometheus selects, and the NetworkPolicy must let it in.",
    },
    Alert {
        name: "KubewitnessApiServerSilent",
        expr: "time() - kubewitness_ingest_apiserver_last_event_timestamp_seconds > 600",
        hold: "5m",
        urgency: Urgency::Critical,
        summary: "No audit event of API server {{ $labels.cluster }}/{{ $labels.apiserver }} for over ten minutes",
        meaning: "An API server that has a credential, the controller's or a relay's, or sent events before, sends none. One at work has some each second, by the \
                  leases of its own controllers alone.",
        impact: "Requests to that API server are seen by no rule. It may be down, cut off, or somebody took its audit webhook away.",
        diagnose: &[
            Ask("time() - kubewitness_ingest_apiserver_last_event_timestamp_seconds"),
            Ask("sum by (reason) (rate(kubewitness_ingest_auth_failures_total[10m]))"),
            Ask("sum by (reason) (rate(kubewitness_ingest_connections_refused_total[10m]))"),
            Run("kubectl get pods -n kube-system -l component=kube-apiserver -o wide"),
            Run("kubectl logs -n kube-system kube-apiserver-NODE --since=15m | grep -i audit"),
        ],
        mend: "With the relay, look at the relay of that node first: [KubewitnessRelayRefuses](KubewitnessRelayRefuses.md). \
               Compare the flags of that API server with what `kubewitness webhook-config` printed. `x509` in its log: it trusts another CA \
               than the one in ConfigMap `kubewitness-ca`. 401 or 403: issue a credential anew. If nobody changed the flags on purpose, \
               treat it as an attack and look at the node. An API server that is gone for good: take its entry out of the credentials.",
    },
    Alert {
        name: "KubewitnessAuditEventsLost",
        expr: "increase(apiserver_audit_error_total{plugin=~\"buffered|webhook\"}[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Critical,
        summary: "API server {{ $labels.instance }} has dropped audit events",
        meaning: "The API server itself counts audit events that it could not deliver, and has dropped. Only it knows of them: what never \
                  arrives can't be counted here. Needs a scrape of the API servers.",
        impact: "A gap in the record. Rules have not seen these requests.",
        diagnose: &[
            Ask("increase(apiserver_audit_error_total[1h])"),
            Ask("sum by (code) (rate(kubewitness_ingest_requests_total[10m]))"),
            Ask("histogram_quantile(0.99, sum by (le) (rate(kubewitness_ingest_ack_seconds_bucket[10m])))"),
            Run("kubectl logs -n kube-system kube-apiserver-NODE --since=30m | grep -i audit"),
        ],
        mend: "If the controller was away, that is the gap: its length is in its log. If it answered 503, see \
               [KubewitnessIngestRefuses](KubewitnessIngestRefuses.md). `plugin=\"buffered\"` means that the API server's buffer ran over: \
               raise `--audit-webhook-batch-buffer-size`. To have no gaps, turn on the relay, or keep an audit log and name it in a \
               LogSource: what is in the log is then read from it.",
    },
    Alert {
        name: "KubewitnessApiServerClockWrong",
        expr: "kubewitness_ingest_apiserver_clock_offset_seconds > 2 or kubewitness_ingest_apiserver_clock_offset_seconds < -60",
        hold: "15m",
        urgency: Urgency::Warning,
        summary: "The clock of API server {{ $labels.cluster }}/{{ $labels.apiserver }} is {{ $value }} s off, or its events are late",
        meaning: "For a quarter of an hour its events were stamped over 2 s ahead of the controller's clock; or over a minute behind it, \
                  which may be the clock, or the way. Told of API servers that send to the controller themselves: one that sends by a relay, or \
                  whose audit log is read, has its node's clock, which \
                  [KubewitnessNodeClockWrong](KubewitnessNodeClockWrong.md) tells of.",
        impact: "Rules that join this API server with others see events in a wrong order: sequences are missed. Stamps over five minutes \
                 ahead are clamped; what is over five minutes behind counts as late.",
        diagnose: &[
            Ask("kubewitness_ingest_apiserver_clock_offset_seconds"),
            Ask("kubewitness_collector_clock_offset_seconds"),
            Ask("histogram_quantile(0.99, sum by (le) (rate(kubewitness_ingest_ack_seconds_bucket[10m])))"),
            Run("kubectl logs -n kube-system kube-apiserver-NODE --since=15m | grep -i audit"),
        ],
        mend: "Set the node's time service right (chrony, systemd-timesyncd). If all API servers are off by the same, it is the controller's \
               node. Behind with a right clock: `--audit-webhook-batch-max-wait` is long, or deliveries are tried again and again.",
    },
    Alert {
        name: "KubewitnessNodeClockWrong",
        expr: "abs(kubewitness_collector_clock_offset_seconds) > 2",
        hold: "15m",
        urgency: Urgency::Warning,
        summary: "The clock of the node of collector {{ $labels.instance }} is {{ $value }} s off",
        meaning: "For a quarter of an hour a node's clock has been over 2 s ahead of the controller's, or behind it. It is the clock of an API \
                  server whose relay runs there, too. Needs a scrape of the collectors, and of relays (`relay.adminHost` of the chart).",
        impact: "Lines, and relayed audit events, of this node are placed in a wrong order among events of others, so that sequences over both are missed.",
        diagnose: &[
            Ask("kubewitness_collector_clock_offset_seconds"),
            Ask("kubewitness_ingest_apiserver_clock_offset_seconds"),
            Run("kubectl get pods -n kubewitness -l app.kubernetes.io/component=collector -o wide"),
        ],
        mend: "Set the node's time service right (chrony, systemd-timesyncd). If all nodes are off by the same, it is the controller's node.",
    },
    Alert {
        name: "KubewitnessCollectorSilent",
        expr: "kubewitness_ingest_nodes{collector=\"Silent\"} > 0",
        hold: "5m",
        urgency: Urgency::Critical,
        summary: "{{ $value }} node(s) whose collector was there and is silent",
        meaning: "A collector asks every ten seconds what it is to read. Those of some nodes that still exist did so and have stopped for \
                  over five minutes.",
        impact: "Logs of these nodes are seen by no rule. What is still in the files, or in the spool, comes when the collector is back. \
                 Stopping a collector is a thing that an intruder does.",
        diagnose: &[
            Run("kubectl get pods -n kubewitness -l app.kubernetes.io/component=collector -o wide"),
            Run("kubectl get nodes"),
            Run("kubectl logs -n kubewitness POD --tail=50"),
            Ask("sum by (reason) (rate(kubewitness_ingest_collectors_denied_total[10m]))"),
        ],
        mend: "The node without a running pod is the one. A pod that runs and is not heard says why in its log: no route to the Service, a \
               CA that it does not trust, or a token that is not taken. A node that is down is silent too; delete it if it is gone.",
    },
    Alert {
        name: "KubewitnessNodeWithoutCollector",
        expr: "kubewitness_ingest_nodes{collector=\"Never\"} > 0 and ignoring (collector) kubewitness_ingest_nodes{collector=\"Heard\"} > 0",
        hold: "30m",
        urgency: Urgency::Warning,
        summary: "{{ $value }} node(s) have no collector",
        meaning: "Other nodes have a collector, and some have sent nothing since the controller started.",
        impact: "Logs of these nodes are seen by no rule.",
        diagnose: &[
            Run("kubectl get daemonset -n kubewitness kubewitness-collector"),
            Run("kubectl get nodes -o custom-columns=NODE:.metadata.name,TAINTS:.spec.taints[*].key"),
            Run("kubectl get events -n kubewitness --field-selector reason=FailedCreate"),
        ],
        mend: "A taint that the DaemonSet does not tolerate: add it to the chart's `collector.tolerations`. Refused by Pod Security: \
               the collector's namespace must be labelled `privileged`. If these nodes shall have none, silence this alert.",
    },
];
