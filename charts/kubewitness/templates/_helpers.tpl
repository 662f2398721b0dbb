{{/* Labels of every object. $: the root. component: what it is part of. */}}
{{- define "kubewitness.labels" -}}
app.kubernetes.io/name: kubewitness
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What a component's pods are selected by: fixed, since selectors can't be changed. */}}
{{- define "kubewitness.selector" -}}
app.kubernetes.io/name: kubewitness
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels of a component's pods: without versions, so that a chart that changes nothing of a pod restarts none. root, component, own */}}
{{- define "kubewitness.podLabels" -}}
{{- $ours := include "kubewitness.selector" .component | fromYaml }}
{{- $_ := set $ours "app.kubernetes.io/instance" .root.Release.Name }}
{{- toYaml (mergeOverwrite (dict) .root.Values.commonLabels (default (dict) .own) $ours) }}
{{- end }}

{{/* An object from a file of files/, with our labels, and annotations if any. root, file, annotations */}}
{{- define "kubewitness.object" -}}
{{- $object := .root.Files.Get .file | fromYaml }}
{{- $own := include "kubewitness.labels" (dict "root" .root) | fromYaml }}
{{- $_ := set $object.metadata "labels" (mergeOverwrite (dict) (default (dict) $object.metadata.labels) $own) }}
{{- with .annotations }}
{{- $_ := set $object.metadata "annotations" (mergeOverwrite (default (dict) $object.metadata.annotations) .) }}
{{- end }}
{{- toYaml $object }}
{{- end }}

{{- define "kubewitness.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "kubewitness.collectorNamespace" -}}
{{ default .Release.Namespace .Values.collector.namespace }}
{{- end }}

{{/* Whether collectors run in a namespace of their own: "true" or "". */}}
{{- define "kubewitness.apart" -}}
{{- if ne (include "kubewitness.collectorNamespace" .) .Release.Namespace }}true{{ end -}}
{{- end }}

{{/* Whether any pod runs under the collectors' account: "true" or "". */}}
{{- define "kubewitness.collects" -}}
{{- if or .Values.collector.enabled .Values.relay.enabled }}true{{ end -}}
{{- end }}

{{/* Whether relays serve metrics where Prometheus can ask: beyond the loopback. */}}
{{- define "kubewitness.relayShown" -}}
{{- $host := .Values.relay.adminHost }}
{{- if and .Values.relay.enabled (not (or (hasPrefix "127." $host) (eq $host "[::1]"))) }}true{{ end -}}
{{- end }}

{{/* Secret with the server's certificate: the controller's own, or one that somebody else makes and it follows. */}}
{{- define "kubewitness.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
kubewitness-server
{{- else -}}
{{ default "kubewitness-tls" .Values.tls.existingSecret }}
{{- end -}}
{{- end }}

{{/* What all pods have in common. */}}
{{- define "kubewitness.pod" -}}
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The priority class of a component, or nothing. root, component, own */}}
{{- define "kubewitness.priority" -}}
{{- if .own -}}
priorityClassName: {{ .own }}
{{- else if .root.Values.priorityClasses.create -}}
priorityClassName: kubewitness-{{ .component }}
{{- end }}
{{- end }}

{{/* The flags that every program takes. */}}
{{- define "kubewitness.logArgs" -}}
- --log={{ .Values.log.filter }}
- --log-format={{ .Values.log.format }}
{{- end }}

{{/* What the controller's certificate is for, as a list. */}}
{{- define "kubewitness.tlsNames" -}}
- kubewitness.{{ .Release.Namespace }}.svc
- kubewitness.{{ .Release.Namespace }}
- kubewitness
{{- with .Values.service.clusterIP }}
- {{ . | quote }}
{{- end }}
{{- if .Values.service.nodePort }}
- "127.0.0.1"
{{- end }}
{{- range .Values.tls.names }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Probes on the admin port, by its name or number. */}}
{{- define "kubewitness.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* Who may read metrics. */}}
{{- define "kubewitness.metricsPeers" -}}
{{- with .Values.networkPolicy.metricsFrom }}
{{- toYaml . }}
{{- else -}}
- namespaceSelector: {}
{{- end }}
{{- end }}

{{/* An object that the controller fills. root, kind, name, namespace */}}
{{- define "kubewitness.kept" }}
---
apiVersion: v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "kubewitness.labels" (dict "root" .root "component" "controller") | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
{{- end }}
