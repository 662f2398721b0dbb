{{/*
The pod template of collectors and of relays, which are collectors with a door of their own. root, component (collector or relay)
*/}}
{{- define "kubewitness.collectorPod" -}}
{{- $values := .root.Values.collector -}}
{{- $relay := eq .component "relay" -}}
metadata:
  labels:
    {{- include "kubewitness.podLabels" (mergeOverwrite (dict "own" $values.podLabels) .) | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: collector
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: kubewitness-collector
  automountServiceAccountToken: false
  {{- include "kubewitness.pod" .root | nindent 2 }}
  {{- with include "kubewitness.priority" (dict "root" .root "component" "collector" "own" $values.priorityClassName) }}
  {{- . | nindent 2 }}
  {{- end }}
  terminationGracePeriodSeconds: 30
  {{- if $relay }}
  # Where API servers in static pods reach it: on 127.0.0.1 of their node.
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  securityContext:
    seccompProfile: {type: RuntimeDefault}
    {{- with $values.seLinuxOptions }}
    seLinuxOptions:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  containers:
    - name: collector
      image: {{ include "kubewitness.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args:
        - collector
        - --controller=https://kubewitness.{{ .root.Release.Namespace }}.svc:9443
        - --controller-ca=/etc/kubewitness/ca/ca.crt
        - --token-file=/var/run/secrets/kubewitness.io/token
        - --state-dir=/var/lib/kubewitness-collector
        - --host-root=/host
        - --spool-max={{ $values.spoolMax }}
        {{- if $relay }}
        - --relay-listen=127.0.0.1:{{ .root.Values.relay.port }}
        - --relay-credentials=/etc/kubewitness/relay-credentials/credentials.yaml
        - --admin-listen={{ eq .root.Values.relay.adminHost "node" | ternary "$(NODE_IP)" .root.Values.relay.adminHost }}:{{ .root.Values.relay.adminPort }}
        {{- end }}
        {{- include "kubewitness.logArgs" .root | nindent 8 }}
        {{- with $values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- $ofNode := and $relay (eq .root.Values.relay.adminHost "node") }}
      {{- if or $ofNode $values.extraEnv }}
      env:
        {{- if $ofNode }}
        - {name: NODE_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
        {{- end }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- if or (not $relay) (include "kubewitness.relayShown" .root) }}
      ports:
        - {name: metrics, containerPort: {{ $relay | ternary .root.Values.relay.adminPort 8080 }}, protocol: TCP}
      {{- end }}
      {{- if $relay }}
      {{- $probes := include "kubewitness.probes" .root.Values.relay.adminPort | fromYaml }}
      {{- if hasPrefix "127." .root.Values.relay.adminHost }}
      {{- range $probes }}{{ $_ := set .httpGet "host" $.root.Values.relay.adminHost }}{{ end }}
      {{- end }}
      {{- toYaml $probes | nindent 6 }}
      {{- else }}
      {{- include "kubewitness.probes" "metrics" | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml ($relay | ternary .root.Values.relay.resources $values.resources) | nindent 8 }}
      securityContext:
        # The log files are root's. Of root's capabilities one is left: to read files whatever their mode.
        runAsUser: 0
        runAsGroup: 0
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL], add: [DAC_READ_SEARCH]}
      volumeMounts:
        - {name: state, mountPath: /var/lib/kubewitness-collector}
        - {name: token, mountPath: /var/run/secrets/kubewitness.io, readOnly: true}
        - {name: ca, mountPath: /etc/kubewitness/ca, readOnly: true}
        - {name: log, mountPath: /host/var/log, readOnly: true}
        {{- if $relay }}
        # What the relay took, which it reads again as a file of the node.
        - {name: state, mountPath: /host{{ $values.stateDir }}, readOnly: true}
        - {name: relay-credentials, mountPath: /etc/kubewitness/relay-credentials, readOnly: true}
        {{- end }}
        {{- range $i, $path := $values.hostPaths }}
        - {name: host-{{ $i }}, mountPath: /host{{ $path }}, readOnly: true}
        {{- end }}
  volumes:
    - {name: state, hostPath: {path: {{ $values.stateDir }}, type: DirectoryOrCreate}}
    - {name: log, hostPath: {path: /var/log, type: Directory}}
    - name: token
      projected:
        defaultMode: 0400
        sources:
          - serviceAccountToken: {audience: kubewitness.io/collector, expirationSeconds: 3600, path: token}
    # A directory, not a single file, so that a change of it arrives.
    - {name: ca, configMap: {name: kubewitness-ca}}
    {{- if $relay }}
    - {name: relay-credentials, secret: {secretName: kubewitness-relay-credentials, defaultMode: 0400}}
    {{- end }}
    {{- range $i, $path := $values.hostPaths }}
    - {name: host-{{ $i }}, hostPath: {path: {{ $path }}}}
    {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "kubewitness.collectorAffinity" . | fromYaml }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/*
The affinity that was asked for, and that relays run on control-plane nodes and collectors on the others: into each term, since
terms are alternatives.
*/}}
{{- define "kubewitness.collectorAffinity" -}}
{{- $affinity := deepCopy .root.Values.collector.affinity }}
{{- if .root.Values.relay.enabled }}
{{- $side := dict "key" .root.Values.relay.nodeLabel "operator" (eq .component "relay" | ternary "Exists" "DoesNotExist") }}
{{- $node := default (dict) $affinity.nodeAffinity }}
{{- $required := default (dict) $node.requiredDuringSchedulingIgnoredDuringExecution }}
{{- $terms := default (list (dict)) $required.nodeSelectorTerms }}
{{- range $terms }}
{{- $_ := set . "matchExpressions" (append (default (list) .matchExpressions) $side) }}
{{- end }}
{{- $_ := set $required "nodeSelectorTerms" $terms }}
{{- $_ := set $node "requiredDuringSchedulingIgnoredDuringExecution" $required }}
{{- $_ := set $affinity "nodeAffinity" $node }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}
