{{- /* A value as TOML, on one line. Numbers of values are floating for helm, whole ones must not be for TOML. */}}
{{- define "taskshed.tomlValue" -}}
{{- if kindIs "map" . -}}
{ {{ range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ toJson $key }} = {{ include "taskshed.tomlValue" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "taskshed.tomlValue" $item }}{{ end }}]
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ toJson . }}
{{- end }}
{{- end }}

{{- /*
`taskshed.toml`. Text is written as JSON, which TOML reads alike. What differs from pool to pool stands in the
environment of its pods, which beats the file.
*/}}
{{- define "taskshed.toml" -}}
namespace = {{ toJson .Values.store.namespace }}
durability = {{ toJson .Values.store.durability }}
keep_cancelled = {{ toJson .Values.store.keepCancelled }}
keep_expired = {{ toJson .Values.store.keepExpired }}
keep_dead = {{ toJson .Values.store.keepDead }}
log = {{ toJson .Values.node.log }}
log_format = {{ toJson .Values.node.logFormat }}

[node]
listen = {{ printf "%s:8090" .Values.node.listenAddress | toJson }}
insecure = {{ .Values.auth.insecure }}
lease = {{ toJson .Values.node.lease }}
drain_timeout = "{{ int .Values.node.drainTimeoutSeconds }}s"
shutdown_delay = "{{ int .Values.node.shutdownDelaySeconds }}s"
default_timeout = {{ toJson .Values.node.defaultTimeout }}
wake = {{ toJson .Values.node.wake }}
{{- if .Values.tls.existingSecret }}
tls_cert = "/etc/taskshed-tls/tls.crt"
tls_key = "/etc/taskshed-tls/tls.key"
{{- end }}
{{- range $callback, $handler := .Values.handlers }}

[handlers.{{ toJson $callback }}]
{{- range $key, $value := $handler }}
{{ $key }} = {{ include "taskshed.tomlValue" $value }}
{{- end }}
{{- end }}

# The schedules of a later release win while pods of both run, also after a rollback; what it has not is removed.
[schedules]
revision = {{ .Release.Revision }}
{{- range $name, $schedule := .Values.schedules }}

[schedules.{{ toJson $name }}]
{{- range $key, $value := $schedule }}
{{ $key }} = {{ include "taskshed.tomlValue" $value }}
{{- end }}
{{- end }}
{{- with .Values.extraConfig }}

{{ . }}
{{- end }}
{{ end }}
