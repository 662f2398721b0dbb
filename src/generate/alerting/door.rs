//! What ingest refuses, and what it needs to stay open.

use super::{Alert, Step::*, Urgency};

pub(super) const ALERTS: &[Alert] = &[
    Alert {
        name: "KubewitnessIngestRefuses",
        expr: "increase(kubewitness_ingest_requests_total{code=~\"500|503\"}[2m]) > 0",
        hold: "3m",
        urgency: Urgency::Critical,
        summary: "Ingest answers {{ $labels.code }}: what is sent can't be stored",
        meaning: "For over three minutes requests were answered 500 or 503, since the store could not take them in time.",
        impact: "API servers try again for some 80 seconds and then drop the events. Collectors keep theirs.",
        diagnose: &[
            Ask("sum by (reason) (rate(kubewitness_store_append_refused_total[5m]))"),
            Ask("histogram_quantile(0.99, sum by (le) (rate(kubewitness_store_commit_seconds_bucket[5m])))"),
            Ask("rate(kubewitness_ingest_body_bytes_total[5m])"),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=15m | grep -E 'store|redaction|token'"),
        ],
        mend: "`failed`: the disk, see [KubewitnessStoreWritesFail](KubewitnessStoreWritesFail.md). `busy` or `slow`: more comes than the \
               disk commits: a faster volume, or an audit policy that leaves out what no rule asks for. Neither: the API server can't be \
               asked about tokens, see [KubewitnessTokenReviewsFail](KubewitnessTokenReviewsFail.md).",
    },
    Alert {
        name: "KubewitnessCredentialsRefused",
        expr: "increase(kubewitness_ingest_auth_failures_total[10m]) > 10",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "Ingest refuses credentials: {{ $labels.reason }}",
        meaning: "Over ten requests in ten minutes to the audit path had no credential, an unknown one, or one of another API server.",
        impact: "If it is an API server of ours, its events are lost. If not, somebody tries to forge events.",
        diagnose: &[
            Ask("sum by (reason) (increase(kubewitness_ingest_auth_failures_total[1h]))"),
            Ask("time() - kubewitness_ingest_apiserver_last_event_timestamp_seconds"),
            Run(
                "kubectl get secret -n kubewitness kubewitness-ingest-credentials -o jsonpath='{.data.credentials\\.yaml}' | base64 -d",
            ),
        ],
        mend: "An API server that is silent at the same time has a wrong credential: issue one by `kubewitness webhook-config` (only hashes \
               are in the Secret). OtherPath: its URL names another API server than its credential. None is silent: find out who else \
               reaches port 9443, and close the NetworkPolicy to all but the API servers.",
    },
    Alert {
        name: "KubewitnessCollectorTokensRefused",
        expr: "increase(kubewitness_ingest_collectors_denied_total[10m]) > 10",
        hold: "5m",
        urgency: Urgency::Warning,
        summary: "Tokens of collectors are refused: {{ $labels.reason }}",
        meaning: "Over ten requests in ten minutes came with a token that is not that of a collector of ours.",
        impact: "Lines of those nodes wait in their files and spools. Or somebody tries tokens.",
        diagnose: &[
            Ask("sum by (reason) (increase(kubewitness_ingest_collectors_denied_total[1h]))"),
            Ask("kubewitness_ingest_nodes"),
            Run(
                "kubectl get daemonset -n kubewitness kubewitness-collector -o jsonpath='{.spec.template.spec.serviceAccountName}'",
            ),
        ],
        mend: "OtherAccount: give the collectors' account by `--collector-service-account`. OtherAudience: the projected token must be for \
               `kubewitness.io/collector`. Expired: the node's clock. NotReviewed: see \
               [KubewitnessTokenReviewsFail](KubewitnessTokenReviewsFail.md).",
    },
    Alert {
        name: "KubewitnessTokenReviewsFail",
        expr: "increase(kubewitness_ingest_token_reviews_total{outcome=\"Failed\"}[10m]) > 0",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "The API server does not answer questions about tokens of collectors",
        meaning: "TokenReviews failed for ten minutes: the API server is away or overloaded, or the controller may not ask.",
        impact: "Collectors that are not known yet wait; answers are kept for a minute only.",
        diagnose: &[
            Run(
                "kubectl auth can-i create tokenreviews.authentication.k8s.io --as=system:serviceaccount:kubewitness:kubewitness-controller",
            ),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=15m | grep 'a collector waits'"),
        ],
        mend: "`no`: the ClusterRole or its binding was changed; `helm upgrade` with the same values puts it back. Else mend the API server.",
    },
    Alert {
        name: "KubewitnessEventsQuarantined",
        expr: "increase(kubewitness_ingest_events_quarantined_total[10m]) > 0",
        hold: "0m",
        urgency: Urgency::Warning,
        summary: "Events could not be read: {{ $labels.reason }}",
        meaning: "Events came with a good credential and could not be read: no JSON (Syntax), nested too deep (Depth), no audit event \
                  (NotAnEvent), or too large even without bodies (Oversize). Their size, a keyed hash and the error are kept, not their bytes.",
        impact: "Rules have not seen these events. API servers write none like that: somebody else has the credential, a proxy cuts \
                 bodies, or somebody makes requests that blind an auditor.",
        diagnose: &[
            Ask("sum by (reason) (increase(kubewitness_ingest_events_quarantined_total[1h]))"),
            Ask("increase(kubewitness_ingest_events_oversize_total[1h])"),
        ],
        mend: "Find what is between the API server and us. For Oversize and Depth look in the API server's own audit log for requests of \
               that time with huge or deep bodies, and at who made them.",
    },
    Alert {
        name: "KubewitnessCertificateExpires",
        expr: "(kubewitness_ingest_certificate_not_after_timestamp_seconds > 0) - time() < 1209600",
        hold: "10m",
        urgency: Urgency::Critical,
        summary: "The certificate of ingest ends in {{ $value | humanizeDuration }}",
        meaning: "The certificate that ingest shows has less than 14 days left. One that the controller makes is renewed when it has \
                  30 days left, so renewal fails; one of your own was not renewed.",
        impact: "After its end no API server and no collector can send.",
        diagnose: &[
            Ask("kubewitness_ingest_certificate_not_after_timestamp_seconds - time()"),
            Ask("increase(kubewitness_ingest_reload_failures_total[1h])"),
            Run(
                "kubectl get secret -n kubewitness kubewitness-tls -o jsonpath='{.data.tls\\.crt}' | base64 -d | openssl x509 -noout -enddate -issuer",
            ),
            Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=24h | grep -i certificate"),
        ],
        mend: "Of the controller's making: it must be able to patch Secret `kubewitness-tls`; `helm upgrade` with the same values puts its \
               Role back. Of cert-manager's: `kubectl describe certificate -n kubewitness`. A renewed one is taken without a restart.",
    },
    Alert {
        name: "KubewitnessAuthorityExpires",
        expr: "(kubewitness_cluster_ca_not_after_timestamp_seconds > 0) - time() < 15552000",
        hold: "10m",
        urgency: Urgency::Warning,
        summary: "The authority of ingest's certificate ends in {{ $value | humanizeDuration }}",
        meaning: "The authority that signs the certificate of ingest has less than 180 days left, and no new one took its place.",
        impact: "After its end no API server and no collector can send.",
        diagnose: &[
            Ask("kubewitness_cluster_ca_not_after_timestamp_seconds - time()"),
            Run(
                "kubectl get configmap -n kubewitness kubewitness-ca -o jsonpath='{.data.ca\\.crt}' | openssl x509 -noout -subject -enddate",
            ),
            Run(
                "kubectl logs -n kubewitness kubewitness-controller-0 --since=24h | grep -i -E 'certificate|authority'",
            ),
        ],
        mend: "The controller makes a new one and publishes both in ConfigMap `kubewitness-ca`: it must be able to patch that and Secret \
               `kubewitness-tls`. API servers must be given the new bundle before the old authority ends: run `kubewitness webhook-config` \
               for each.",
    },
    Alert {
        name: "KubewitnessConfigurationNotTaken",
        expr: "increase(kubewitness_ingest_reload_failures_total[15m]) > 0",
        hold: "5m",
        urgency: Urgency::Warning,
        summary: "Changed certificates or credentials are not usable",
        meaning: "Certificates or credentials were changed to something that can't be used. The last good ones stay in use.",
        impact: "New credentials are refused; a certificate that was to be renewed runs out. After a restart the controller would not start.",
        diagnose: &[Run("kubectl logs -n kubewitness kubewitness-controller-0 --since=1h | grep 'not usable'")],
        mend: "The log line names the file or Secret, and the place in it. Correct it; it is taken within seconds.",
    },
    Alert {
        name: "KubewitnessConnectionsRefused",
        expr: "increase(kubewitness_ingest_connections_refused_total{reason=~\"Limit|Handshake\"}[10m]) > 10",
        hold: "5m",
        urgency: Urgency::Warning,
        summary: "Connections to ingest come to nothing: {{ $labels.reason }}",
        meaning: "Limit: there are too many connections. Handshake: the other side does not take our certificate, or speaks no TLS.",
        impact: "Senders that meet it deliver nothing.",
        diagnose: &[
            Ask("kubewitness_ingest_connections"),
            Ask("sum by (reason) (increase(kubewitness_ingest_connections_refused_total[1h]))"),
            Run(
                "kubectl get configmap -n kubewitness kubewitness-ca -o jsonpath='{.data.ca\\.crt}' | openssl x509 -noout -subject -enddate",
            ),
        ],
        mend: "Handshake while an API server is silent: give it the CA of ConfigMap `kubewitness-ca` anew. While none is: a port scanner or \
               a probe of a load balancer; keep it out by NetworkPolicy. Limit: the same, or a proxy that opens one connection a request.",
    },
];
