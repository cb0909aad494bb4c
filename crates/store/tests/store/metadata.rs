//! Journal, findings, incidents, edges, checkpoint, tokens, aliases.

use bellwether_store::{AliasRow, Commit, JournalFilter, StoredToken};
use serde_json::json;
use types::{EdgeKind, EntityId, JournalEntry, JournalKind, Position, Time};
use view::{Checkpoint, SeenEdge, StepCut};

use crate::world::{Folder, START, sql};

fn line(n: i64) -> JournalEntry {
    JournalEntry {
        at: Time(START + n),
        kind: if n % 2 == 0 { JournalKind::Finding } else { JournalKind::Verdict },
        subject: format!("inc-{}", n % 3),
        data: json!({"n": n, "belief": 0.5}),
        text: (n % 4 == 0).then(|| format!("said by ann, {n}")),
    }
}

/// Runs SQL on the folder's database behind the store's back.
async fn tamper(folder: &Folder, statement: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("metadata.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let done = sqlx::query(statement).execute(&pool).await.unwrap();
    assert!(done.rows_affected() > 0);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_verifies_and_survives_an_erasure() {
    let folder = Folder::new();
    let store = folder.open().await;
    for n in 0..10 {
        store.commit(Commit { journal: vec![line(2 * n), line(2 * n + 1)], ..Commit::default() }).await.unwrap();
    }
    let check = store.verify_journal().await.unwrap();
    assert_eq!((check.lines, &check.bad), (20, &None));
    assert_eq!(check.head, store.journal_head().await.unwrap());
    let rows = store.journal(JournalFilter { limit: 3, ..Default::default() }).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.seq).collect::<Vec<_>>(), [20, 19, 18]);
    let verdicts =
        JournalFilter { kind: Some(JournalKind::Verdict), subject: Some("inc-1".into()), ..Default::default() };
    assert_eq!(store.journal(verdicts).await.unwrap().len(), 4);
    assert!(store.erase_journal_text(1).await.unwrap());
    let first = store.journal(JournalFilter { before: Some(2), ..Default::default() }).await.unwrap().remove(0);
    assert_eq!((first.text, first.erased, first.data), (None, true, json!({"n": 0, "belief": 0.5})));
    assert_eq!(store.verify_journal().await.unwrap().bad, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_is_named_by_line() {
    for (statement, bad) in [
        ("UPDATE journal SET data = '{\"n\":8,\"belief\":0.9}' WHERE seq = 9", 9),
        ("UPDATE journal SET subject = 'inc-7' WHERE seq = 3", 3),
        ("DELETE FROM journal WHERE seq = 5", 5),
        ("UPDATE journal SET at = at + 1 WHERE seq = 20", 20),
        ("UPDATE journal_text SET text = 'said by bob' WHERE seq = 13", 13),
        ("INSERT INTO journal_text VALUES (2, x'00', 'added')", 2),
        ("UPDATE journal SET hash = prev WHERE seq = 4", 4),
    ] {
        let folder = Folder::new();
        let store = folder.open().await;
        let journal = (0..20).map(line).collect();
        store.commit(Commit { journal, ..Commit::default() }).await.unwrap();
        store.close().await;
        drop(store);
        tamper(&folder, statement).await;
        let check = folder.open().await.verify_journal().await.unwrap();
        assert_eq!(check.bad.as_ref().map(|b| b.0), Some(bad), "{statement}: {check:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_merge_pages_and_forget_their_cuts() {
    let folder = Folder::new();
    let store = folder.open().await;
    let cut = |step: u64| StepCut { step, now: Time(START + step as i64), position: Position(step * 10) };
    let page = |name: &str, byte: u8| (name.to_owned(), vec![byte; 3]);
    let checkpoint = |step, version, pages: Vec<(String, Vec<u8>)>| Checkpoint {
        cut: cut(step),
        parts: [("detect".to_owned(), (version, pages.into_iter().collect()))].into(),
    };
    let commit = |cuts: Vec<StepCut>, checkpoint| Commit { cuts, checkpoint, ..Commit::default() };
    store.commit(commit(vec![cut(1), cut(2)], Some(checkpoint(2, 1, vec![page("a", 1), page("b", 1)])))).await.unwrap();
    store.commit(commit(vec![cut(3)], Some(checkpoint(3, 1, vec![page("b", 2)])))).await.unwrap();
    store.commit(commit(vec![cut(4), cut(6)], None)).await.unwrap();
    drop(store);
    let store = folder.open().await;
    let recovered = store.recovered();
    assert_eq!(recovered.checkpoint, Some(checkpoint(3, 1, vec![page("a", 1), page("b", 2)])));
    assert_eq!(recovered.cuts, [cut(4), cut(6)]);
    // A new schema drops the old pages.
    store.commit(commit(vec![], Some(checkpoint(6, 2, vec![page("c", 3)])))).await.unwrap();
    drop(store);
    let recovered = folder.open().await.recovered();
    assert_eq!(recovered.checkpoint, Some(checkpoint(6, 2, vec![page("c", 3)])));
    assert_eq!(recovered.cuts, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_add_up_and_keep_their_names() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (cart, stock) = {
        let mut registry = store.directory().write();
        let name = |n| EntityId::new("service", "shop", n);
        (registry.entity(&name("cart")), registry.entity(&name("stock")))
    };
    let seen = |at, count| SeenEdge { source: cart, target: stock, kind: EdgeKind::Calls, at: Time(START + at), count };
    store.commit(Commit { edges: vec![seen(5, 2)], ..Commit::default() }).await.unwrap();
    store.commit(Commit { edges: vec![seen(3, 1), seen(9, 4)], ..Commit::default() }).await.unwrap();
    drop(store);
    let store = folder.open().await;
    let rows = sql(&store, "SELECT source, target, kind, count, last_seen FROM edges").await.rows;
    assert_eq!(
        rows,
        vec![vec![
            json!("service:shop/cart"),
            json!("service:shop/stock"),
            json!("calls"),
            json!(7),
            json!("2026-11-23T10:00:00.000000009Z")
        ]]
    );
    let topology = store.topology().await.unwrap();
    assert_eq!(topology.edges.values().next().unwrap().first_seen, Time(START + 3));
    let registry = store.directory().read();
    assert_eq!(registry.entities().len(), 2, "definitions were made durable with the commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_aliases_and_settings_are_kept() {
    let folder = Folder::new();
    let store = folder.open().await;
    let token = StoredToken {
        id: "t1".into(),
        name: "ci".into(),
        digest: vec![1, 2],
        scopes: "ingest".into(),
        tenant: None,
        created_at: Time(START),
        expires_at: Some(Time(START + 9)),
        revoked_at: None,
    };
    store.put_token(token.clone()).await.unwrap();
    let entity = |n| EntityId::new("service", "shop", n);
    let alias = |to, from| AliasRow {
        name: entity("old"),
        entity: entity(to),
        valid_from: Time(from),
        valid_to: None,
        learned: Time(from),
    };
    store.add_alias(alias("a", 1)).await.unwrap();
    store.add_alias(alias("b", 5)).await.unwrap();
    store.put_setting("theme", "dark").await.unwrap();
    drop(store);
    let store = folder.open().await;
    assert_eq!(store.tokens().await.unwrap(), [token]);
    let aliases = store.aliases().await.unwrap();
    assert_eq!((aliases[0].valid_to, aliases[1].valid_to), (Some(Time(5)), None));
    assert_eq!(store.setting("theme").await.unwrap().as_deref(), Some("dark"));
    assert!(store.delete_token("t1").await.unwrap());
    assert!(!store.delete_token("t1").await.unwrap());
}
