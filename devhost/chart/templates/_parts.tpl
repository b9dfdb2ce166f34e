{{/* Labels every object of a release carries. */}}
{{- define "engine.labels" -}}
app: vcluster
release: {{ .Release.Name | quote }}
chart: "vcluster-{{ .Chart.Version }}"
heritage: {{ .Release.Service | quote }}
{{- end }}

{{- define "engine.selector" -}}
app: vcluster
release: {{ .Release.Name | quote }}
{{- end }}

{{- define "engine.etcd.selector" -}}
app: vcluster-etcd
release: {{ .Release.Name | quote }}
{{- end }}

{{/* Annotations of an object: the release's own first, then those of the object (a list of maps). */}}
{{- define "engine.annotations" -}}
{{- $all := dict -}}
{{- range . }}{{- $all = mergeOverwrite $all (deepCopy (. | default dict)) -}}{{- end -}}
{{- with $all }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "engine.etcd" -}}
{{- if .Values.controlPlane.backingStore.etcd.deploy.enabled }}true{{ end -}}
{{- end }}

{{/* A claim of the engine's own: the embedded database lives on it; a deployed etcd has its own claims instead. */}}
{{- define "engine.claim" -}}
{{- $wanted := .Values.controlPlane.statefulSet.persistence.volumeClaim.enabled | toString -}}
{{- if eq $wanted "true" }}true{{ else if and (eq $wanted "auto") (not (include "engine.etcd" .)) }}true{{ end -}}
{{- end }}

{{- define "engine.kind" -}}
{{- if include "engine.claim" . }}StatefulSet{{ else }}Deployment{{ end -}}
{{- end }}

{{- define "engine.account" -}}
{{- .Values.controlPlane.advanced.serviceAccount.name | default (printf "vc-%s" .Release.Name) -}}
{{- end }}

{{- define "engine.image" -}}
{{- printf "%s/%s:%s" .registry .repository .tag -}}
{{- end }}

{{/* Scheduling keys that hold something, of the engine's or etcd's pod. */}}
{{- define "engine.scheduling" -}}
{{- range $key := list "nodeSelector" "affinity" "tolerations" "topologySpreadConstraints" "priorityClassName" }}
{{- with index $ $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A volumeClaimTemplate called data. */}}
{{- define "engine.claimTemplate" -}}
- metadata:
    name: data
  spec:
    accessModes: {{ toJson .accessModes }}
    {{- with .storageClass }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources:
      requests:
        storage: {{ .size | quote }}
{{- end }}

{{/* Probes of the engine's proxy. */}}
{{- define "engine.probe" -}}
httpGet: {path: {{ .path }}, port: 8443, scheme: HTTPS}
failureThreshold: {{ .failures }}
periodSeconds: {{ .period }}
timeoutSeconds: 3
{{- end }}

{{/* Stores at most one; a deployed etcd and the embedded database exclude each other. */}}
{{- define "engine.check" -}}
{{- if and .Values.controlPlane.backingStore.database.embedded.enabled (include "engine.etcd" .) -}}
{{- fail "controlPlane.backingStore: at most one store may be enabled" -}}
{{- end -}}
{{- end }}
