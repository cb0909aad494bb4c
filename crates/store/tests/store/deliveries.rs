//! The outbox: once in, once out, and nothing forgotten across a crash.

use bellwether_store::{Commit, Delivery, DeliveryState, Store};
use types::{Incident, IncidentId, IncidentState, NoticeReason, SECOND, Severity, Tenant, Time};

use crate::world::{Folder, START};

fn delivery(n: i64, channel: &str) -> Delivery {
    let incident = Incident {
        id: IncidentId(format!("inc-{n}")),
        tenant: Tenant::default(),
        state: IncidentState::Open,
        severity: Severity::Major,
        priority: Default::default(),
        title: "pay: errors".into(),
        summary: String::new(),
        started_at: Time(START),
        opened_at: Time(START),
        resolved_at: None,
        actor: None,
        entities: Vec::new(),
        causes: Vec::new(),
        undecided: true,
        missing: Vec::new(),
        impact: Default::default(),
        timeline: Vec::new(),
        findings: Vec::new(),
    };
    Delivery {
        id: format!("inc-{n}-{channel}-1"),
        at: Time(START + n),
        route: "all".into(),
        channel: channel.into(),
        reason: NoticeReason::Opened,
        incident,
        state: DeliveryState::Due,
        attempts: 0,
        next_at: Time(START + n),
        outcome: String::new(),
        updated_at: Time(START + n),
        receipt: None,
    }
}

async fn decide(store: &Store, deliveries: Vec<Delivery>) {
    store.commit(Commit { deliveries, ..Commit::default() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_put_in_once_and_what_was_on_its_way_is_settled_after_a_crash() {
    let folder = Folder::new();
    let store = folder.open().await;
    let now = Time(START + 10 * SECOND);
    decide(&store, vec![delivery(1, "chat"), delivery(2, "pager"), delivery(3, "chat")]).await;
    let mut due = store.due_deliveries(now, 10).await.unwrap();
    assert_eq!(
        due.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(),
        ["inc-1-chat-1", "inc-2-pager-1", "inc-3-chat-1"]
    );
    assert!(store.due_deliveries(Time(START), 10).await.unwrap().is_empty(), "their time has not come");

    due[0].state = DeliveryState::Delivered;
    store.mark_delivery(&due[0]).await.unwrap();
    for on_its_way in &mut due[1..] {
        (on_its_way.state, on_its_way.attempts) = (DeliveryState::Sending, 1);
        store.mark_delivery(on_its_way).await.unwrap();
    }
    store.close().await;
    drop(store);

    let store = folder.open().await;
    decide(&store, vec![delivery(1, "chat")]).await;
    assert!(store.due_deliveries(now, 10).await.unwrap().is_empty(), "a decision that is known is not made again");
    assert_eq!(store.settle_deliveries(now, &["pager".to_owned()]).await.unwrap(), (1, 1));
    let due = store.due_deliveries(now, 10).await.unwrap();
    assert_eq!((due.len(), due[0].channel.as_str(), due[0].attempts), (1, "pager", 1));
    let of_third = store.deliveries(Some("inc-3"), 10).await.unwrap();
    assert_eq!(of_third[0].state, DeliveryState::Unknown);
    assert!(of_third[0].outcome.contains("may have arrived"));

    assert!(store.retry_delivery("inc-3-chat-1", now).await.unwrap());
    assert!(!store.retry_delivery("inc-1-chat-1", now).await.unwrap(), "what was delivered is not sent again");
    assert_eq!(store.due_deliveries(now, 10).await.unwrap().len(), 2);
    assert_eq!(store.forget_deliveries(Time(START + 100)).await.unwrap(), 1, "what is due stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_in_order_and_goes_on_in_its_thread() {
    let folder = Folder::new();
    let store = folder.open().await;
    let now = Time(START + 10 * SECOND);
    let mut second = delivery(1, "chat");
    (second.id, second.at, second.reason) = ("inc-1-chat-2".into(), Time(START + 2), NoticeReason::Cause);
    decide(&store, vec![delivery(1, "chat"), second]).await;
    let due = store.due_deliveries(now, 10).await.unwrap();
    assert_eq!(due.len(), 1, "the second waits for the first");
    let mut first = due.into_iter().next().unwrap();
    (first.state, first.receipt, first.updated_at) = (DeliveryState::Delivered, Some("thread 7".into()), now);
    store.mark_delivery(&first).await.unwrap();
    assert_eq!(store.due_deliveries(now, 10).await.unwrap()[0].id, "inc-1-chat-2");
    assert_eq!(store.receipt("inc-1", "chat").await.unwrap().as_deref(), Some("thread 7"));
    assert_eq!(store.receipt("inc-1", "pager").await.unwrap(), None);
    let mut last = store.due_deliveries(now, 10).await.unwrap().remove(0);
    (last.state, last.updated_at) = (DeliveryState::Delivered, now);
    store.mark_delivery(&last).await.unwrap();
    store.refresh_delivery("inc-1", "chat", now, now).await.unwrap();
    assert!(store.due_deliveries(now, 10).await.unwrap().is_empty(), "it was told just now");
    store.refresh_delivery("inc-1", "chat", now.plus(SECOND), now).await.unwrap();
    assert_eq!(store.due_deliveries(now, 10).await.unwrap()[0].id, "inc-1-chat-2", "the last is told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_the_version_before_is_migrated() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("metadata.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql("DROP TABLE deliveries; PRAGMA user_version = 1;").execute(&pool).await.unwrap();
    pool.close().await;
    let store = folder.open().await;
    decide(&store, vec![delivery(1, "chat")]).await;
    assert_eq!(store.deliveries(None, 10).await.unwrap().len(), 1);
}
