//! What the API takes in, it shows alike on every store.

use crate::life::fill;
use crate::shed::Shed;
use crate::stores::KINDS;

#[tokio::test]
async fn a_task_is_shown_alike_to_the_byte_by_every_store() {
    let mut model = Shed::of(KINDS[0]).await;
    fill(&mut model).await;
    let expected = model.shown().await;
    assert!(expected.len() > 70, "{}", expected.len());

    for kind in &KINDS[1..] {
        let mut shed = Shed::of(*kind).await;
        fill(&mut shed).await;
        let shown = shed.shown().await;
        for (id, task) in &expected {
            assert_eq!(shown.get(id), Some(task), "{id:?} on {kind:?}");
        }
        assert_eq!(shown.len(), expected.len(), "{kind:?}");
    }
}
