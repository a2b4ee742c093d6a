//! Starting while the store is away.

use crate::faulty::Fault;
use crate::shed::Live;
use crate::shed::Shed;
use crate::shed::fine;
use crate::shed::task;
use crate::shed::until;

#[tokio::test]
async fn a_node_that_starts_while_its_store_is_away_starts_when_it_is_back() {
    let mut shed = Shed::new();
    let id = shed.add(task("fine")).await;
    shed.store.cut(true);
    let node = Live::start(shed.node("anna").handler("fine", fine));
    until("it asks again", async || shed.store.calls("prepare") > 1).await;

    assert!(!node.handle.is_ready() && !node.handle.prepared().is_cancelled());
    assert_eq!(shed.store.calls("claim") + shed.store.calls("keep"), 0, "it asks nothing else");
    shed.store.cut(false);

    assert_eq!(shed.started(&id).await, "anna");
    assert!(node.handle.prepared().is_cancelled());
    assert!(node.drain().await.is_clean());
}

#[tokio::test]
async fn a_node_that_waits_for_its_store_can_be_told_to_leave() {
    let shed = Shed::new();
    shed.store.plan("prepare", Fault::Request, usize::MAX);
    for by_handle in [false, true] {
        let node = Live::start(shed.node("anna").handler("fine", fine));
        let asked = shed.store.calls("prepare");
        until("it asks", async || shed.store.calls("prepare") > asked).await;

        if by_handle {
            node.handle.drain();
        } else {
            node.shut_down();
        }

        let handle = node.handle.clone();
        assert!(node.left().await.is_clean());
        assert!(handle.status().draining && !handle.prepared().is_cancelled());
    }
    assert_eq!(shed.store.calls("keep"), 0);
}
