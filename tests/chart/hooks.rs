//! Pods of a release that are there for a moment: the migration before it, and the test of it.

use crate::fields::of_pod;
use crate::helm::USUAL;
use crate::helm::rendered;

/// A store whose authority is mounted, or machines that not everybody may use, would else keep the release from
/// coming up.
#[test]
fn pods_of_hooks_reach_what_nodes_reach() {
    let set = format!(
        "{USUAL},test.tokenSecret=r,env[0].name=SSL_CERT_FILE,env[0].value=/ca/ca.crt,\
         envFrom[0].secretRef.name=e,volumes[0].name=ca,volumes[0].secret.secretName=ca,\
         volumeMounts[0].name=ca,volumeMounts[0].mountPath=/ca,nodeSelector.disk=fast,\
         tolerations[0].key=own,tolerations[0].operator=Exists,priorityClassName=high,\
         affinity.podAffinity.x=y"
    );
    let made = rendered(&set);
    let node = &made.get("Deployment", "shed")["spec"]["template"]["spec"];
    let job = &made.get("Job", "shed-migration")["spec"]["template"]["spec"];
    let test = &made.get("Pod", "shed-test")["spec"];

    for pod in [job, test] {
        for key in ["nodeSelector", "tolerations", "priorityClassName", "affinity"] {
            let path = format!("/{key}");
            assert!(!of_pod(node, &path).is_null(), "{key}");
            assert_eq!(of_pod(pod, &path), of_pod(node, &path), "{key}");
        }
        assert!(pod["volumes"].as_array().unwrap().iter().any(|volume| volume["name"] == "ca"));
        // The last one of the test looks over the store.
        let container = pod["containers"].as_array().unwrap().last().unwrap();
        let has = |list: &str, name: &str| {
            container[list].as_array().unwrap().iter().any(|one| one["name"] == name)
        };
        assert!(has("env", "SSL_CERT_FILE") && has("volumeMounts", "ca"), "{container}");
        assert_eq!(container["envFrom"], node["containers"][0]["envFrom"]);
    }
    assert_eq!(test["containers"].as_array().unwrap().len(), 2);
}

/// The certificate of the API is signed by an authority that no image knows.
#[test]
fn the_test_trusts_the_authority_of_the_certificate() {
    let pod = |more: &str| {
        let set = format!("{USUAL},test.tokenSecret=r,tls.existingSecret=t{more}");
        rendered(&set).get("Pod", "shed-test")["spec"].clone()
    };
    for (more, secret, key) in
        [("", "t", "ca.crt"), (",tls.caSecret=own,tls.caKey=root.pem", "own", "root.pem")]
    {
        let pod = pod(more);
        let api = &pod["containers"][0];
        let place = api["env"].as_array().unwrap().last().unwrap();
        assert_eq!((&place["name"], api["name"].as_str()), (&"SSL_CERT_FILE".into(), Some("api")));
        let (folder, file) = place["value"].as_str().unwrap().rsplit_once('/').unwrap();
        assert_eq!(api["volumeMounts"][0]["mountPath"], folder);
        let volume = &pod["volumes"][0];
        assert_eq!(volume["name"], api["volumeMounts"][0]["name"]);
        assert_eq!(volume["secret"]["secretName"], secret);
        assert_eq!(volume["secret"]["items"][0]["key"], key);
        assert_eq!(volume["secret"]["items"][0]["path"], file);
    }
    let public = pod(",tls.caKey=");
    assert!(of_pod(&public, "/containers/0/volumeMounts").is_null());
    assert!(of_pod(&public, "/volumes").is_null());
}

/// Helm gives up after 5 min unless told otherwise; a Job that ends before says why it failed.
#[test]
fn the_migration_ends_before_helm_gives_up() {
    let made = rendered(USUAL);
    let job = &made.get("Job", "shed-migration")["spec"];

    assert!(job["activeDeadlineSeconds"].as_u64().unwrap() < 300);
}
