//! Services and where they lead. A pod that is ready is led to at once; one that leaves or is not ready any
//! more is led to for a while longer, as in a real cluster, where the news takes its time to each machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::cluster::objects::Kept;
use crate::cluster::objects::Key;
use crate::cluster::objects::is_leaving;
use crate::cluster::objects::is_ready;
use crate::cluster::objects::selects;

/// When a pod at an address is no more led to by a service.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Where all services are.
    gateway: Ipv4Addr,
    lag: Duration,
    ends: BTreeMap<(Key, String), Duration>,
}

impl Routes {
    /// Routes that go on for `lag` after a pod should not be led to any more.
    pub(crate) fn new(gateway: Ipv4Addr, lag: Duration) -> Self {
        Self { gateway, lag, ends: BTreeMap::new() }
    }

    pub(super) fn step(&mut self, kept: &mut Kept, now: Duration) {
        for (key, service) in kept.list("services", None) {
            kept.change(&key, |changed| changed["spec"]["clusterIP"] = json!(self.gateway));
            let pods = ready_pods(kept, &key.namespace, &service["spec"]["selector"]);
            let endpoints = Key::new("endpoints", &key.namespace, &key.name);
            let known = kept.get(&endpoints).map(|object| addresses(object).to_vec());
            let mut next: Vec<Value> = pods
                .iter()
                .map(|pod| json!({"ip": pod["status"]["podIP"], "port": port(pod, &service)}))
                .collect();
            for address in known.into_iter().flatten() {
                let place = (key.clone(), address["ip"].as_str().unwrap().to_owned());
                if next.contains(&address) {
                    self.ends.remove(&place);
                } else if now < *self.ends.entry(place).or_insert(now + self.lag) {
                    next.push(address);
                }
            }
            next.sort_by_key(Value::to_string);
            kept.put(&endpoints, endpoints_of(&service, &next));
        }
        let services = kept.list("services", None);
        for (key, _) in kept.list("endpoints", None) {
            if !services.iter().any(|(service, _)| service.name == key.name) {
                kept.forget(&key);
            }
        }
    }
}

fn endpoints_of(service: &Value, addresses: &[Value]) -> Value {
    json!({
        "metadata": {"labels": service["metadata"]["labels"]},
        "subsets": [{"addresses": addresses}],
    })
}

/// Where a service leads.
pub(crate) fn addresses(endpoints: &Value) -> &[Value] {
    let addresses = endpoints.pointer("/subsets/0/addresses").and_then(Value::as_array);
    addresses.map_or(&[], Vec::as_slice)
}

fn ready_pods(kept: &Kept, namespace: &str, selector: &Value) -> Vec<Value> {
    let pods = kept.list("pods", Some(namespace)).into_iter().map(|(_, pod)| pod);
    pods.filter(|pod| selects(selector, &pod["metadata"]["labels"]))
        .filter(|pod| is_ready(pod) && !is_leaving(pod))
        .collect()
}

/// The number of the port that a service means by a name.
fn port(pod: &Value, service: &Value) -> Value {
    let target = &service["spec"]["ports"][0]["targetPort"];
    let ports = pod["spec"]["containers"][0]["ports"].as_array().into_iter().flatten();
    let mut named = ports.filter(|port| port["name"] == *target);
    named.next().map_or_else(|| target.clone(), |port| port["containerPort"].clone())
}
