{{- /* A length such as `1m30s` in milliseconds. */}}
{{- define "taskshed.milliseconds" -}}
{{- $units := dict "us" 0.001 "ms" 1.0 "s" 1000.0 "m" 60000.0 "h" 3600000.0 "d" 86400000.0 }}
{{- $total := 0.0 }}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 }}
{{- $total = addf $total (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-z]+" .))) }}
{{- end }}
{{- $total }}
{{- end }}

{{- /* A quantity such as `512Mi` as a number. */}}
{{- define "taskshed.amount" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 }}
{{- $unit := regexFind "[A-Za-z]+$" . }}
{{- mulf (regexFind "^[0-9.]+" . | float64) (ternary (get $units $unit) 1.0 (ne $unit "")) }}
{{- else -}}
{{- . }}
{{- end }}
{{- end }}

{{- /* A length that is outside of its range: where it stands, it, and the least and most of it in milliseconds. */}}
{{- define "taskshed.checkLength" -}}
{{- $length := include "taskshed.milliseconds" .length | float64 }}
{{- if or (lt $length .least) (gt $length .most) }}
{{- fail (printf "%s: %s is out of range, which is %s" .at .length .range) }}
{{- end }}
{{- end }}

{{- define "taskshed.checkLengths" -}}
{{- $century := 3162240000000.0 }}
{{- $positive := dict "least" 0.001 "most" $century "range" "above zero and within 100 years" }}
{{- include "taskshed.checkLength" (dict "at" "node.lease" "length" .Values.node.lease "least" 1000.0 "most" 600000.0 "range" "1s to 10m") }}
{{- include "taskshed.checkLength" (merge (dict "at" "node.defaultTimeout" "length" .Values.node.defaultTimeout) $positive) }}
{{- with trimPrefix "polling:" .Values.node.wake }}
{{- if ne . "event-driven" }}
{{- include "taskshed.checkLength" (dict "at" "node.wake" "length" . "least" 1.0 "most" $century "range" "1ms and more") }}
{{- end }}
{{- end }}
{{- range $key := list "keepCancelled" "keepExpired" "keepDead" }}
{{- include "taskshed.checkLength" (dict "at" (printf "store.%s" $key) "length" (get $.Values.store $key) "least" 0.0 "most" $century "range" "up to 100 years") }}
{{- end }}
{{- range $callback, $handler := .Values.handlers }}
{{- with $handler.timeout }}
{{- include "taskshed.checkLength" (merge (dict "at" (printf "handlers.%s.timeout" $callback) "length" .) $positive) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What makes a container that Kubernetes refuses: of a pool, or of hooks, which have the values of the chart. */}}
{{- define "taskshed.checkContainer" -}}
{{- $at := .at }}
{{- $names := dict }}
{{- range .of.env }}
{{- if hasKey $names .name }}
{{- fail (printf "%senv: %s is there twice" $at .name) }}
{{- end }}
{{- $_ := set $names .name true }}
{{- end }}
{{- $volumes := dict }}
{{- range .of.volumes }}
{{- if or (hasKey $volumes .name) (and $.embedded (eq .name "data")) }}
{{- fail (printf "%svolumes: %s is there twice" $at .name) }}
{{- end }}
{{- $_ := set $volumes .name true }}
{{- end }}
{{- range .of.volumeMounts }}
{{- if not (hasKey $volumes .name) }}
{{- fail (printf "%svolumeMounts: no volume is called %s" $at .name) }}
{{- end }}
{{- end }}
{{- range $what, $limit := dig "limits" dict .of.resources }}
{{- $request := dig "requests" $what nil $.of.resources }}
{{- if $request }}
{{- if gt (include "taskshed.amount" $request | float64) (include "taskshed.amount" $limit | float64) }}
{{- fail (printf "%sresources: more %s is requested than the limit allows" $at $what) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What values.schema.json cannot refuse, because it takes two values to see it, or arithmetic. */}}
{{- define "taskshed.checks" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "taskshed.fullname" .)) }}
{{- fail (printf "%s cannot be the name of a Service: begin with a letter, without dots, or set fullnameOverride" .Release.Name) }}
{{- end }}
{{- include "taskshed.checkLengths" . }}
{{- include "taskshed.checkContainer" (dict "at" "" "of" .Values "embedded" .Values.store.embedded) }}
{{- if and .Values.store.embedded (hasPrefix "replicated:" .Values.store.durability) }}
{{- fail "store.durability: the file of store.embedded has no replicas; use fsync" }}
{{- end }}
{{- if and .Values.devRedis.enabled (ne .Values.store.durability "memory") }}
{{- fail "store.durability: the Redis of devRedis.enabled keeps nothing but its memory" }}
{{- end }}
{{- if regexMatch "(?m)^\\s*\\[\\s*(node|schedules)\\s*\\]" .Values.extraConfig }}
{{- fail "extraConfig: [node] and [schedules] are in the file already; there are values for what stands in them" }}
{{- end }}
{{- $leaders := 0 }}
{{- $lasting := 0 }}
{{- $always := 0 }}
{{- range $name, $own := .Values.pools }}
{{- $pool := include "taskshed.pool" (dict "root" $ "own" $own) | fromYaml }}
{{- if $pool.leader }}{{ $leaders = add1 $leaders }}{{ end }}
{{- include "taskshed.checkContainer" (dict "at" (printf "pools.%s: " $name) "of" $pool "embedded" $.Values.store.embedded) }}
{{- if and $.Values.devRedis.enabled (eq $name "redis") }}
{{- fail "pools.redis: this is the name of the Redis of devRedis.enabled; call the pool otherwise" }}
{{- end }}
{{- $queues := dict }}
{{- range $pool.queues }}
{{- $queue := splitList "=" . | first }}
{{- if hasKey $queues $queue }}
{{- fail (printf "pools.%s: queues: %s is there twice" $name $queue) }}
{{- end }}
{{- $_ := set $queues $queue true }}
{{- end }}
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
