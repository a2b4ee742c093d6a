{{- /* What values.schema.json cannot refuse, because it takes two values to see it. */}}
{{- define "taskshed.checks" -}}
{{- $leaders := 0 }}
{{- $lasting := 0 }}
{{- $always := 0 }}
{{- range $name, $own := .Values.pools }}
{{- $pool := include "taskshed.pool" (dict "root" $ "own" $own) | fromYaml }}
{{- if $pool.leader }}{{ $leaders = add1 $leaders }}{{ end }}
{{- if and $pool.autoscaling.enabled $pool.keda.enabled }}
{{- fail (printf "pools.%s: autoscaling and keda would pull at the same pods; enable one of them" $name) }}
{{- end }}
{{- if and $pool.autoscaling.enabled (gt (int $pool.autoscaling.minReplicas) (int $pool.autoscaling.maxReplicas)) }}
{{- fail (printf "pools.%s: autoscaling.minReplicas is above maxReplicas" $name) }}
{{- end }}
{{- if and $pool.autoscaling.enabled (not (dig "requests" "cpu" "" $pool.resources)) }}
{{- fail (printf "pools.%s: autoscaling needs resources.requests.cpu, of which it takes a share" $name) }}
{{- end }}
{{- if $pool.keda.enabled }}
{{- if gt (int $pool.keda.minReplicas) (int $pool.keda.maxReplicas) }}
{{- fail (printf "pools.%s: keda.minReplicas is above maxReplicas" $name) }}
{{- end }}
{{- if not (or $.Values.auth.insecure $pool.keda.tokenSecret) }}
{{- fail (printf "pools.%s: keda asks the API, so it needs keda.tokenSecret with a token of the role read" $name) }}
{{- end }}
{{- if not (or ($.Capabilities.APIVersions.Has "keda.sh/v1alpha1") ($.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject")) }}
{{- fail (printf "pools.%s: keda.enabled needs KEDA in the cluster (keda.sh/v1alpha1)" $name) }}
{{- end }}
{{- end }}
{{- if and $.Values.store.embedded (or (ne (int $pool.replicas) 1) $pool.autoscaling.enabled $pool.keda.enabled) }}
{{- fail (printf "pools.%s: store.embedded is one pod with a file: one replica, without scaling" $name) }}
{{- end }}
{{- $fewest := int $pool.replicas }}
{{- if $pool.keda.enabled }}{{ $fewest = int $pool.keda.minReplicas }}{{ end }}
{{- if $pool.autoscaling.enabled }}{{ $fewest = int $pool.autoscaling.minReplicas }}{{ end }}
{{- if gt $fewest 0 }}
{{- $always = add1 $always }}
{{- if $pool.leader }}{{ $lasting = add1 $lasting }}{{ end }}
{{- end }}
{{- end }}
{{- range $part, $kind := dict "serviceMonitor" "ServiceMonitor" "rules" "PrometheusRule" }}
{{- $has := or ($.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind)) }}
{{- if and (get $.Values.metrics $part).enabled (not $has) }}
{{- fail (printf "metrics.%s.enabled needs the Prometheus operator in the cluster (monitoring.coreos.com/v1)" $part) }}
{{- end }}
{{- end }}
{{- if not .Values.pools }}
{{- fail "pools: there must be one" }}
{{- end }}
{{- if and .Values.store.embedded (gt (len .Values.pools) 1) }}
{{- fail "store.embedded is one pod with a file: there can be one pool only" }}
{{- end }}
{{- if eq $leaders 0 }}
{{- fail "pools: none stands for leader, so nobody would take back what dead pods held; set leader=true for one" }}
{{- end }}
{{- if and (eq $always 0) (gt (len .Values.pools) 0) (gt $leaders 0) }}
{{- range $name, $own := .Values.pools }}
{{- $pool := include "taskshed.pool" (dict "root" $ "own" $own) | fromYaml }}
{{- if $pool.keda.enabled }}
{{- fail "keda.minReplicas=0 for all pools: nobody would be there to be asked how many tasks are due" }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq $lasting 0 }}
{{- fail "pools: none that always has a pod stands for leader, so nobody would take back what dead pods held; give one with leader=true replicas, autoscaling.minReplicas or keda.minReplicas above 0" }}
{{- end }}
{{- end }}
