//! What pods of nodes are, and what stands around them.

use serde_json::Value;
use serde_json::json;

use crate::fields::field;
use crate::helm::Objects;
use crate::helm::USUAL;
use crate::helm::rendered;
use crate::rendered::MATRIX;
use crate::rendered::objects_of;

/// Where the spec of a pod is in a workload.
const POD: &str = "/spec/template/spec";

/// A field of the pods of the first pool.
fn pod_field(made: &Objects, path: &str) -> Value {
    field(made.get("Deployment", "shed"), &format!("{POD}{path}")).clone()
}

/// A pod that starts has a minute; one whose store is away is not routed to, and is not started anew for it.
#[test]
fn probes_ask_what_they_should() {
    for (more, scheme) in [("", Value::Null), (",tls.existingSecret=t", "HTTPS".into())] {
        let made = rendered(&format!("{USUAL}{more}"));
        for (probe, path, period, failures) in [
            ("startupProbe", "/healthz", 1, 60),
            ("livenessProbe", "/healthz", 10, 6),
            ("readinessProbe", "/readyz", 2, 2),
        ] {
            let of = |name: &str| pod_field(&made, &format!("/containers/0/{probe}/{name}"));
            assert_eq!(of("httpGet/path"), path);
            assert_eq!(of("httpGet/port"), "http");
            assert_eq!(of("httpGet/scheme"), scheme);
            assert_eq!(
                (of("periodSeconds"), of("failureThreshold")),
                (period.into(), failures.into())
            );
            assert!(of("timeoutSeconds").as_u64().unwrap() >= 2);
        }
        assert_eq!(pod_field(&made, "/containers/0/ports/0/name"), "http");
        assert_eq!(pod_field(&made, "/containers/0/ports/0/containerPort"), 8090);
        assert!(pod_field(&made, "/containers/0/lifecycle").is_null(), "no hook is needed");
    }
}

/// Pods have no right in the cluster, and no token to ask for one.
#[test]
fn nobody_has_a_right_in_the_cluster() {
    for set in MATRIX {
        let made = objects_of(set);
        let kinds = made.0.iter().map(|object| object["kind"].as_str().unwrap());
        assert!(kinds.into_iter().all(|kind| !kind.contains("Role")), "{set}");
        for account in made.0.iter().filter(|object| object["kind"] == "ServiceAccount") {
            assert_eq!(*field(account, "/automountServiceAccountToken"), false, "{set}");
        }
        for pod in made.pods() {
            let account = crate::fields::of_pod(pod, "/serviceAccountName");
            let is_own =
                account.as_str().is_none_or(|name| made.find("ServiceAccount", name).is_some());
            assert!(is_own, "{set}: {account}");
        }
    }
}

#[test]
fn only_the_port_of_the_api_can_be_reached() {
    let made = rendered(USUAL);
    let policy = made.get("NetworkPolicy", "shed");
    let labels = field(made.get("Deployment", "shed"), "/spec/template/metadata/labels");

    let chosen = field(policy, "/spec/podSelector/matchLabels").as_object().unwrap();
    assert!(chosen.iter().all(|(label, value)| labels[label] == *value), "{chosen:?}");
    assert_eq!(*field(policy, "/spec/policyTypes"), json!(["Ingress"]));
    assert_eq!(
        *field(policy, "/spec/ingress/0/ports"),
        json!([{"port": "http", "protocol": "TCP"}])
    );
    assert_eq!(field(policy, "/spec/ingress").as_array().unwrap().len(), 1);
    assert!(field(policy, "/spec/ingress/0/from").is_null());
    assert!(field(policy, "/spec/egress").is_null());
    assert!(
        rendered(&format!("{USUAL},networkPolicy.enabled=false"))
            .find("NetworkPolicy", "shed")
            .is_none()
    );
}

/// Who is named may reach the API, and so may the test of the release, which nobody should have to name.
#[test]
fn those_who_are_named_and_the_test_reach_the_api() {
    let set = "networkPolicy.from[0].podSelector.matchLabels.app=web,\
               networkPolicy.egress[0].to[0].ipBlock.cidr=10.0.0.0/8";
    let made = rendered(&format!("{USUAL},{set}"));
    let policy = made.get("NetworkPolicy", "shed");

    assert_eq!(*field(policy, "/spec/policyTypes"), json!(["Ingress", "Egress"]));
    assert_eq!(
        *field(policy, "/spec/ingress/0/from/0/podSelector/matchLabels"),
        json!({"app": "web"})
    );
    let test = field(made.get("Pod", "shed-test"), "/metadata/labels");
    let admitted =
        field(policy, "/spec/ingress/0/from/1/podSelector/matchLabels").as_object().unwrap();
    assert!(admitted.len() == 3 && admitted.iter().all(|(label, value)| test[label] == *value));
    assert_eq!(*field(policy, "/spec/egress/0/to/0/ipBlock/cidr"), "10.0.0.0/8");
}

#[test]
fn budgets_and_scaling_are_as_the_values_say() {
    let set = "podDisruptionBudget.maxUnavailable=2,autoscaling.enabled=true,autoscaling.minReplicas=3,\
               autoscaling.maxReplicas=9,autoscaling.targetCPUPercent=50,autoscaling.stabilizationSeconds=60";
    let made = rendered(&format!("{USUAL},{set}"));
    let budget = made.get("PodDisruptionBudget", "shed");
    assert_eq!(*field(budget, "/spec/maxUnavailable"), 2);
    assert!(field(budget, "/spec/minAvailable").is_null());

    let scaler = made.get("HorizontalPodAutoscaler", "shed");
    for (path, value) in [
        ("/spec/scaleTargetRef/kind", json!("Deployment")),
        ("/spec/scaleTargetRef/name", json!("shed")),
        ("/spec/minReplicas", json!(3)),
        ("/spec/maxReplicas", json!(9)),
        ("/spec/metrics/0/resource/name", json!("cpu")),
        ("/spec/metrics/0/resource/target/averageUtilization", json!(50)),
        ("/spec/behavior/scaleDown/stabilizationWindowSeconds", json!(60)),
    ] {
        assert_eq!(*field(scaler, path), value, "{path}");
    }
    let none = rendered(&format!("{USUAL},podDisruptionBudget.enabled=false"));
    assert!(none.find("PodDisruptionBudget", "shed").is_none());
}

#[test]
fn pods_go_where_the_values_say() {
    let plain = rendered(USUAL);
    for path in ["/nodeSelector", "/tolerations", "/affinity", "/priorityClassName"] {
        assert!(pod_field(&plain, path).is_null(), "{path}");
    }
    let constraints = pod_field(&plain, "/topologySpreadConstraints");
    let keys = constraints.as_array().unwrap().iter().map(|each| each["topologyKey"].as_str());
    let keys: Vec<_> = keys.collect();
    assert_eq!(keys, [Some("kubernetes.io/hostname"), Some("topology.kubernetes.io/zone")]);
    assert_eq!(
        pod_field(&plain, "/topologySpreadConstraints/0/whenUnsatisfiable"),
        "ScheduleAnyway"
    );
    assert!(
        pod_field(
            &rendered(&format!("{USUAL},topologySpread=false")),
            "/topologySpreadConstraints"
        )
        .is_null()
    );

    let set = "nodeSelector.disk=fast,tolerations[0].key=own,tolerations[0].operator=Exists,\
               priorityClassName=high,affinity.nodeAffinity.x=y,podAnnotations.a=b,podLabels.c=d";
    let made = rendered(&format!("{USUAL},{set}"));
    assert_eq!(pod_field(&made, "/nodeSelector"), json!({"disk": "fast"}));
    assert_eq!(pod_field(&made, "/tolerations"), json!([{"key": "own", "operator": "Exists"}]));
    assert_eq!(pod_field(&made, "/priorityClassName"), "high");
    assert_eq!(pod_field(&made, "/affinity"), json!({"nodeAffinity": {"x": "y"}}));
    let metadata = |path: &str| {
        field(made.get("Deployment", "shed"), &format!("/spec/template/metadata/{path}")).clone()
    };
    assert_eq!((metadata("annotations/a"), metadata("labels/c")), ("b".into(), "d".into()));
}
