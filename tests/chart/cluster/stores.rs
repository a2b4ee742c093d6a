//! Releases on other stores than a Redis of the user's.

use std::process::Command;

use serde_json::json;

use crate::helm::chart;
use crate::helm::run;
use crate::mariadb_server::MariadbServer;
use crate::podman::done;

use super::Cluster;
use super::NAMESPACE;
use super::RELEASE;
use super::installs::HANDLER;
use super::installs::IMPATIENCE;
use super::installs::LAG;
use super::installs::runs_a_task;
use super::objects::Key;
use super::protobuf::base64;
use super::proxy::forward;

/// The hook makes the tables before the first pod looks for them; without it no pod gets ready.
#[tokio::test(flavor = "multi_thread")]
async fn on_mariadb_the_migration_comes_first() {
    let mut cluster = Cluster::start(LAG).await;
    let server = MariadbServer::start(&[]);
    let gateway = cluster.kubelet.gateway;
    cluster.tasks.spawn(forward(gateway, server.port()));
    let url = server.url().replace("127.0.0.1", &gateway.to_string());
    let secret = json!({"data": {"store": base64(url.as_bytes())}});
    cluster.objects.with(|kept| kept.put(&Key::new("secrets", NAMESPACE, "mariadb"), secret));
    let values = format!(
        "store.existingSecret=mariadb,auth.existingSecret=tokens,test.tokenSecret=client,{HANDLER}"
    );

    let image = format!("image.repository=localhost/{},image.tag=v1", cluster.kubelet.run);
    let without = format!("{values},{image},migration.enabled=false");
    let chart = chart();
    let args = ["install", RELEASE, chart.to_str().unwrap(), "--set", &without, "--wait"];
    let args = [&args[..], &["--timeout", IMPATIENCE]].concat();
    let (is_content, said) = cluster.try_helm("helm4", &args).await;
    assert!(!is_content, "{said}");
    assert!(cluster.ready().is_empty());
    cluster.helm("helm4", &["uninstall", RELEASE, "--wait", "--timeout", "90s"]).await;

    cluster.release("helm4", "install", "v1", &values).await;
    runs_a_task(&cluster, "first").await;
    let tested = cluster.helm("helm4", &["test", RELEASE]).await;
    assert!(tested.contains("Succeeded"), "{tested}");
    cluster.release("helm4", "upgrade", "v2", &values).await;
    cluster.settled().await;
    runs_a_task(&cluster, "second").await;
}

/// Redis as this machine has it, with its libraries.
const REDIS: &str = r#"
mkdir root
for file in $(command -v redis-server) $(ldd "$(command -v redis-server)" | grep -o '/[^ ]*'); do
    mkdir -p "root$(dirname "$file")"
    cp -L "$file" "root$file"
done
printf 'FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin\n' >Containerfile
"#;

#[tokio::test(flavor = "multi_thread")]
async fn with_a_redis_of_its_own_it_works_and_passes_its_test() {
    let cluster = Cluster::start(LAG).await;
    let dir = tempfile::TempDir::new().unwrap();
    let (content, said) = run(Command::new("sh").args(["-euc", REDIS]).current_dir(&dir));
    assert!(content, "{said}");
    let image = format!("localhost/{}:redis", cluster.kubelet.run);
    done(&["build", "--quiet", "-t", &image, dir.path().to_str().unwrap()]);
    let values =
        format!("devRedis.enabled=true,devRedis.image={image},auth.insecure=true,{HANDLER}");

    cluster.release("helm4", "install", "v1", &values).await;

    assert_eq!(cluster.ready().len(), 2);
    runs_a_task(&cluster, "first").await;
    let tested = cluster.helm("helm4", &["test", RELEASE]).await;
    assert!(tested.contains("Succeeded"), "{tested}");
}
