//! The example of the documentation does what it says.

use crate::mariadb::Place;
use crate::order_mail::Order;
use crate::order_mail::run;

fn wanted() -> [Order; 2] {
    ["Ada", "Ben"].map(|customer| Order { customer: customer.into(), mailed: 1 })
}

#[tokio::test]
async fn each_order_is_mailed_once_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());

    assert_eq!(run(&url).await.unwrap(), wanted());
    assert_eq!(run(&url).await.unwrap(), wanted());
}

#[tokio::test]
async fn each_order_is_mailed_once_on_a_server() {
    let place = Place::new(mysql_async::IsolationLevel::RepeatableRead).await;

    assert_eq!(run(&place.url).await.unwrap(), wanted());
    assert_eq!(run(&place.url).await.unwrap(), wanted());
}
