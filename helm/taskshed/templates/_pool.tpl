{{- /* What a pool has: its own values over those of the chart. As YAML, for fromYaml. */}}
{{- define "taskshed.pool" -}}
{{- $keys := list "image" "replicas" "queues" "strictQueues" "concurrency" "leader" "run" "env" "envFrom" "volumes" "volumeMounts" "resources" "autoscaling" "keda" "podDisruptionBudget" "topologySpread" "podLabels" "podAnnotations" "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- $pool := dict }}
{{- range $key := $keys }}
{{- $_ := set $pool $key (get $.root.Values $key) }}
{{- end }}
{{- $own := .own | default dict }}
{{- if hasKey $own "image" }}
{{- /* A digest names one image: it does not outlive another repository or tag. */}}
{{- $_ := set $pool "image" (omit $pool.image "digest") }}
{{- end }}
{{- $pool = mergeOverwrite (deepCopy $pool) $own }}
{{- if eq (toString $pool.replicas) "auto" }}
{{- $_ := set $pool "replicas" (ternary 1 2 .root.Values.store.embedded) }}
{{- end }}
{{- toYaml $pool }}
{{- end }}

{{- define "taskshed.poolFullname" -}}
{{- $fullname := include "taskshed.fullname" .root }}
{{- eq .name "default" | ternary $fullname (printf "%s-%s" $fullname .name) }}
{{- end }}

{{- define "taskshed.poolSelector" -}}
{{ include "taskshed.selector" .root }}
app.kubernetes.io/component: node
taskshed/pool: {{ .name }}
{{- end }}

{{- /*
Seconds from SIGTERM to SIGKILL. A node serves for the shutdown delay and, meanwhile, drains: its work ends within
the drain timeout and 6 s. 4 s are for a slow machine.
*/}}
{{- define "taskshed.graceSeconds" -}}
{{- add 4 (max (int .Values.node.shutdownDelaySeconds) (add 6 (int .Values.node.drainTimeoutSeconds))) }}
{{- end }}

{{- define "taskshed.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  {{- if .root.Values.tls.existingSecret }}
  scheme: HTTPS
  {{- end }}
{{- end }}

{{- define "taskshed.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "taskshed.poolSelector" $ | nindent 6 }}
  {{- if semverCompare ">=1.27.0-0" $.root.Capabilities.KubeVersion.Version }}
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}

{{- /* On which machines a pod may run: for pools, and for pods of the release by the values that all pools have. */}}
{{- define "taskshed.placement" -}}
{{- $given := dict }}
{{- range $key := list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $key }}
{{- $_ := set $given $key . }}
{{- end }}
{{- end }}
{{- if $given }}{{ toYaml $given }}{{ end }}
{{- end }}

{{- define "taskshed.nodeEnv" -}}
- name: TASKSHED_CONFIG
  value: /etc/taskshed/taskshed.toml
{{ include "taskshed.storeEnv" .root }}
{{- with .root.Values.auth.existingSecret }}
- name: TASKSHED_TOKENS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.root.Values.auth.key }}
{{- end }}
- name: TASKSHED_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: TASKSHED_QUEUES
  value: {{ join "," .pool.queues | quote }}
- name: TASKSHED_STRICT_QUEUES
  value: {{ .pool.strictQueues | quote }}
- name: TASKSHED_CONCURRENCY
  value: {{ int .pool.concurrency | quote }}
- name: TASKSHED_LEADER
  value: {{ .pool.leader | quote }}
- name: TASKSHED_RUN
  value: {{ .pool.run | quote }}
{{- with .pool.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "taskshed.nodeContainer" -}}
name: taskshed
image: {{ include "taskshed.image" (dict "image" .pool.image "version" .root.Chart.AppVersion) }}
imagePullPolicy: {{ .pool.image.pullPolicy }}
command: [/usr/bin/taskshed]
args: [node]
env:
  {{- include "taskshed.nodeEnv" . | nindent 2 }}
{{- with .pool.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: http
    containerPort: 8090
# A store that is away makes a pod unready; only an API that does not answer at all makes it start anew.
startupProbe:
  {{- include "taskshed.probe" (dict "path" "/healthz" "root" .root) | nindent 2 }}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  {{- include "taskshed.probe" (dict "path" "/healthz" "root" .root) | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- include "taskshed.probe" (dict "path" "/readyz" "root" .root) | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- with .pool.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "taskshed.containerSecurity" . | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/taskshed
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if .root.Values.store.embedded }}
  - name: data
    mountPath: /var/lib/taskshed
  {{- end }}
  {{- if .root.Values.tls.existingSecret }}
  - name: tls
    mountPath: /etc/taskshed-tls
    readOnly: true
  {{- end }}
  {{- with .pool.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "taskshed.podTemplate" -}}
metadata:
  labels:
    {{- include "taskshed.poolSelector" . | nindent 4 }}
    {{- with .pool.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    taskshed/config: {{ regexReplaceAll "(?m)^revision = .*$" (include "taskshed.toml" .root) "" | sha256sum | quote }}
    {{- with .pool.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "taskshed.fullname" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- /*
  What a command leaves behind becomes a child of PID 1 when the command ends, and a node, which is no init, would keep it as a
  zombie for good. So PID 1 is the pause container, which reaps. The kubelet signals a container's first process by its own
  number, so SIGTERM reaches the node as before; the restricted level allows it; and no other container is there to be seen.
  */}}
  shareProcessNamespace: true
  terminationGracePeriodSeconds: {{ include "taskshed.graceSeconds" .root }}
  securityContext:
    {{- include "taskshed.podSecurity" . | nindent 4 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "taskshed.placement" .pool }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if and .pool.topologySpread (not .root.Values.store.embedded) }}
  topologySpreadConstraints:
    {{- include "taskshed.spread" . | nindent 4 }}
  {{- end }}
  containers:
    -
      {{- include "taskshed.nodeContainer" . | nindent 6 }}
  volumes:
    - name: config
      configMap:
        name: {{ include "taskshed.fullname" .root }}
    - name: tmp
      emptyDir: {}
    {{- if .root.Values.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ .root.Values.tls.existingSecret }}
        defaultMode: 288 # 0440; YAML reads that in two ways
    {{- end }}
    {{- with .pool.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
