{{- /* Names and labels. A name leaves room for what is added to it: 63 letters are allowed. */}}
{{- define "taskshed.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 36 | trimSuffix "-" }}
{{- end }}

{{- define "taskshed.selector" -}}
app.kubernetes.io/name: taskshed
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "taskshed.labels" -}}
{{ include "taskshed.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "taskshed.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end }}
{{- end }}

{{- define "taskshed.url" -}}
{{ ternary "https" "http" (ne .Values.tls.existingSecret "") }}://{{ include "taskshed.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end }}

{{- /* The restricted level of the pod security standards, for every container of the chart. */}}
{{- define "taskshed.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "taskshed.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Where tasks live. The URL of a store holds a password, so it comes from a Secret of yours. */}}
{{- define "taskshed.storeEnv" -}}
- name: TASKSHED_STORE
{{- if .Values.store.embedded }}
  value: sqlite:/var/lib/taskshed/taskshed.db
{{- else if .Values.devRedis.enabled }}
  value: redis://{{ include "taskshed.fullname" . }}-redis:6379/0
{{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.store.existingSecret }}
      key: {{ .Values.store.key }}
{{- end }}
- name: TASKSHED_NAMESPACE
  value: {{ .Values.store.namespace | quote }}
{{- end }}
