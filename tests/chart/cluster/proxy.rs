//! Leads connections to services: each new one to the next pod that the service leads to. One that stands
//! stays where it is until an end closes it, as in a real cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;

use super::control::addresses;
use super::objects::Key;
use super::objects::Objects;

/// How long a connection to a pod may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Listens for each service at its port of the gateway, until nobody waits for it any more.
pub(crate) async fn lead(objects: Arc<Objects>, gateway: Ipv4Addr) {
    let mut changes = objects.changes();
    let (mut listening, mut known) = (JoinSet::new(), BTreeMap::<Key, AbortHandle>::new());
    loop {
        changes.mark_unchanged();
        let services = objects.with(|kept| kept.list("services", None));
        known.retain(|key, listener| {
            let is_there = services.iter().any(|(service, _)| service == key);
            if !is_there {
                listener.abort();
            }
            is_there
        });
        for (key, service) in services {
            let port =
                u16::try_from(service["spec"]["ports"][0]["port"].as_u64().unwrap()).unwrap();
            let objects = Arc::clone(&objects);
            known
                .entry(key.clone())
                .or_insert_with(|| listening.spawn(listen(objects, key, (gateway, port))));
        }
        changes.changed().await.unwrap();
    }
}

async fn listen(objects: Arc<Objects>, service: Key, at: (Ipv4Addr, u16)) {
    let listener = TcpListener::bind(at).await.unwrap();
    let endpoints = Key { plural: "endpoints", ..service };
    let mut connections = JoinSet::new();
    for turn in 0.. {
        let (client, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let pod = objects.with(|kept| {
            let pods = kept.get(&endpoints).map_or(&[][..], addresses);
            let pod = pods.get(turn % pods.len().max(1))?;
            Some((pod["ip"].as_str()?.to_owned(), u16::try_from(pod["port"].as_u64()?).ok()?))
        });
        // Without a pod the connection is closed, which the client sees.
        if let Some(pod) = pod {
            connections.spawn(relay(client, pod));
        }
    }
}

/// Lets pods reach a server of this machine that listens on the loopback, at its port of the gateway.
pub(crate) async fn forward(gateway: Ipv4Addr, port: u16) {
    let listener = TcpListener::bind((gateway, port)).await.unwrap();
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        connections.spawn(relay(client, ("127.0.0.1".to_owned(), port)));
    }
}

async fn relay(mut client: TcpStream, pod: (String, u16)) {
    let pod = tokio::select! {
        pod = TcpStream::connect(pod) => pod,
        () = SystemClock.sleep(CONNECT_WITHIN) => return,
    };
    if let Ok(mut pod) = pod {
        let _only_slower_without = (pod.set_nodelay(true), client.set_nodelay(true));
        // However it ends, both ends see it.
        drop(tokio::io::copy_bidirectional(&mut client, &mut pod).await);
    }
}
