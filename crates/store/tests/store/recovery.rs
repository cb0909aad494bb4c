//! Opening again, repeats, the live loop's tail, retention, two processes, newer versions.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use bellwether_store::{Commit, ErrorKind, Store, StoreConfig};
use types::{DAY, HOUR, MINUTE, Position, SECOND, Time};
use view::{Checkpoint, StepCut};

use crate::world::{Folder, START, number, sample_batch, sql, text_batch};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_opening_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    for step in 0..10 {
        store.append(sample_batch(&store, 6, step), None).await.unwrap();
        store.append(text_batch(&store, step), None).await.unwrap();
        if step == 4 {
            store.seal_now().await.unwrap();
        }
    }
    let query = "SELECT time, learned, metric, entity, labels, value FROM samples ORDER BY time, series";
    let before = sql(&store, query).await;
    let series = store.directory().read().all_series().to_vec();
    store.close().await;
    drop(store);
    let store = folder.open().await;
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    assert_eq!(sql(&store, query).await, before);
    assert_eq!(store.directory().read().all_series(), series);
    assert_eq!(store.last_position(), Position(20));
    let next = store.append(sample_batch(&store, 6, 10), None).await.unwrap();
    assert_eq!(next.position, Position(21));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_again_is_acknowledged_and_not_stored() {
    let folder = Folder::new();
    let now = Arc::new(AtomicI64::new(START));
    let open = || {
        let clock = now.clone();
        let mut config = folder.config();
        config.clock = Arc::new(move || Time(clock.load(Ordering::Relaxed)));
        config.segment_bytes = 1;
        config.keep_for_engine = false;
        Store::open(config)
    };
    let store = open().await.unwrap();
    let first = store.append(text_batch(&store, 0), Some(77)).await.unwrap();
    let again = store.append(text_batch(&store, 0), Some(77)).await.unwrap();
    assert!(again.repeated && again.position == first.position);
    let other = store.append(text_batch(&store, 1), Some(78)).await.unwrap();
    assert!(!other.repeated);
    drop(store);
    let store = open().await.unwrap();
    assert!(store.append(text_batch(&store, 0), Some(77)).await.unwrap().repeated, "after a restart");
    store.append(text_batch(&store, 2), None).await.unwrap();
    store.seal_now().await.unwrap();
    assert!(folder.files("wal", "wal").len() <= 2, "sealed segments are gone");
    drop(store);
    let store = open().await.unwrap();
    assert!(store.append(text_batch(&store, 0), Some(77)).await.unwrap().repeated, "after its segment is gone");
    now.fetch_add(11 * MINUTE, Ordering::Relaxed);
    assert!(!store.append(text_batch(&store, 0), Some(77)).await.unwrap().repeated, "after the window");
    assert_eq!(number(&store, "SELECT count(*) FROM records").await, 12.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_gives_every_batch_once_and_in_order() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut tail = store.tail(Position(0));
    for step in 0..30 {
        store.append(sample_batch(&store, 3, step), None).await.unwrap();
        if step % 10 == 5 {
            store.seal_now().await.unwrap();
        }
    }
    let mut positions = Vec::new();
    loop {
        let batches = tail.drain();
        if batches.is_empty() {
            break;
        }
        for (position, batch) in batches {
            assert_eq!(batch.samples.value[0], (position.0 - 1) as f64);
            positions.push(position.0);
        }
    }
    assert_eq!(positions, (1..=30).collect::<Vec<_>>());
    drop((tail, store));
    let store = folder.open().await;
    let mut tail = store.tail(Position(12));
    tail.changed().await;
    let first: Vec<u64> = tail.drain().iter().map(|(p, _)| p.0).collect();
    assert_eq!(first[0], 13, "kept for the engine although sealed");
    let waiting = store.clone();
    while !tail.drain().is_empty() {}
    let appended = tokio::spawn(async move {
        let batch = sample_batch(&waiting, 3, 31);
        waiting.append(batch, None).await.unwrap()
    });
    tail.changed().await;
    assert_eq!(tail.drain()[0].0, appended.await.unwrap().position);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_kept_back_to_the_checkpoint() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.segment_bytes = 1;
    let store = Store::open(config.clone()).await.unwrap();
    for step in 0..10 {
        store.append(sample_batch(&store, 3, step), None).await.unwrap();
    }
    store.seal_now().await.unwrap();
    assert_eq!(folder.files("wal", "wal").len(), 10);
    let cut = StepCut { step: 1, now: Time(START), position: Position(6) };
    let checkpoint = Checkpoint { cut, ..Checkpoint::default() };
    store.commit(Commit { cuts: vec![cut], checkpoint: Some(checkpoint), ..Commit::default() }).await.unwrap();
    store.append(sample_batch(&store, 3, 10), None).await.unwrap();
    store.seal_now().await.unwrap();
    assert_eq!(folder.files("wal", "wal").len(), 5);
    drop(store);
    let store = Store::open(config).await.unwrap();
    assert_eq!(store.recovered().checkpoint.map(|c| c.cut), Some(cut));
    let positions: Vec<u64> = store.tail(Position(6)).drain().iter().map(|(p, _)| p.0).collect();
    assert_eq!(positions, [7, 8, 9, 10, 11]);
    assert_eq!(number(&store, "SELECT count(*) FROM samples").await, 33.0);
    let labels = sql(&store, "SELECT labels FROM samples WHERE series = 2 LIMIT 1").await;
    assert_eq!(labels.rows[0][0], serde_json::json!({"host": "h2"}), "definitions outlive their segments");
}

#[tokio::test(flavor = "multi_thread")]
async fn learned_never_falls_even_when_the_clock_does() {
    let folder = Folder::new();
    let now = Arc::new(AtomicI64::new(START));
    let clock = now.clone();
    let mut config = folder.config();
    config.clock = Arc::new(move || Time(clock.load(Ordering::Relaxed)));
    let store = Store::open(config).await.unwrap();
    let mut before = Time(0);
    for (step, moved) in [0, HOUR, -HOUR, 5 * SECOND].into_iter().enumerate() {
        now.fetch_add(moved, Ordering::Relaxed);
        let appended = store.append(sample_batch(&store, 1, step as i64), None).await.unwrap();
        assert!(appended.learned >= before);
        before = appended.learned;
    }
    assert_eq!(before, Time(START + HOUR));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_go_and_young_ones_stay() {
    let folder = Folder::new();
    let store = folder.open().await;
    for day in 0..4 {
        store.append(sample_batch(&store, 2, day * 4 * 60 * 24), None).await.unwrap();
    }
    store.seal_now().await.unwrap();
    assert_eq!(folder.files("data", "parquet").len(), 4, "one file a day");
    assert_eq!(store.expire(Time(START + 32 * DAY)).await.unwrap(), 2);
    assert_eq!(folder.files("data", "parquet").len(), 2);
    assert_eq!(number(&store, "SELECT count(*) FROM samples").await, 4.0);
    drop(store);
    assert_eq!(number(&folder.open().await, "SELECT count(*) FROM samples").await, 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_owner_and_readers_only_without_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.append(sample_batch(&store, 2, 0), None).await.unwrap();
    let error = Store::open(folder.config()).await.err().unwrap();
    assert!(error.kind == ErrorKind::Setup && error.to_string().contains("in use"), "{error}");
    let read_only = StoreConfig { read_only: true, ..folder.config() };
    let error = Store::open(read_only.clone()).await.err().unwrap();
    assert!(error.to_string().contains("--url"), "{error}");
    store.close().await;
    drop(store);
    let reader = Store::open(read_only.clone()).await.unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM samples").await, 2.0);
    let error = reader.append(sample_batch(&reader, 2, 1), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Setup);
    drop(reader);
    let nowhere = StoreConfig { dir: folder.path().join("nowhere"), ..read_only };
    let error = Store::open(nowhere).await.err().unwrap();
    assert!(error.to_string().contains("no data folder"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_newer_version_is_refused_unchanged() {
    let folder = Folder::new();
    drop(folder.open().await);
    std::fs::write(folder.path().join("format"), "bellwether data 99\n").unwrap();
    let error = Store::open(folder.config()).await.err().unwrap();
    assert!(error.kind == ErrorKind::Setup && error.to_string().contains("version 99"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.path().join("format")).unwrap(), "bellwether data 99\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_seal_or_merge_left_is_removed() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.append(sample_batch(&store, 2, 0), None).await.unwrap();
    store.seal_now().await.unwrap();
    drop(store);
    let sealed = folder.files("data", "parquet").remove(0);
    std::fs::copy(&sealed, sealed.with_file_name("orphan.parquet")).unwrap();
    std::fs::write(sealed.with_extension("tmp"), "half a file").unwrap();
    let store = folder.open().await;
    assert_eq!(number(&store, "SELECT count(*) FROM samples").await, 2.0);
    assert_eq!(folder.files("data", "parquet"), [sealed]);
    assert!(folder.files("data", "tmp").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_opens_fast() {
    let folder = Folder::new();
    let begun = std::time::Instant::now();
    let store = folder.open().await;
    assert!(begun.elapsed().as_millis() < 500, "{:?}", begun.elapsed());
    assert_eq!(store.recovered().cuts, []);
}
