//! Bits that flip, tails that tear, disks that fail and fill.

use std::{
    io::{Error, ErrorKind as IoKind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bellwether_store::{Commit, ErrorKind, Store, StoreConfig};
use types::{JournalEntry, JournalKind, Time};

use crate::world::{Folder, Random, START, copy_folder, number, sample_batch, sql, text_batch};

async fn read_only(dir: &Path) -> Store {
    Store::open(StoreConfig { read_only: true, ..StoreConfig::new(dir) }).await.unwrap()
}

const COUNT: &str = "SELECT count(*) FROM samples";

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_torn_at_any_byte_loses_only_what_was_not_committed() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut ends = Vec::new();
    for step in 0..5 {
        store.append(sample_batch(&store, 1, step), None).await.unwrap();
        ends.push(store.status().log_bytes as usize);
    }
    store.close().await;
    drop(store);
    let segment = folder.files("wal", "wal").remove(0);
    let whole = std::fs::read(&segment).unwrap();
    assert_eq!(whole.len(), ends[4]);
    for cut in ends[2]..=whole.len() {
        std::fs::write(&segment, &whole[..cut]).unwrap();
        // A group ends in two commits of 80 bytes; one is enough.
        let expected = ends.iter().filter(|end| cut + 80 >= **end).count();
        let store = read_only(folder.path()).await;
        assert_eq!(store.last_position().0, expected as u64, "cut at {cut}");
        assert!(store.damage().is_empty(), "cut at {cut}: a torn tail is no damage");
        drop(store);
        if cut % 37 == 0 {
            let store = folder.open().await;
            let appended = store.append(sample_batch(&store, 1, 9), None).await.unwrap();
            assert!(appended.position.0 > expected as u64);
            store.close().await;
            drop(store);
            let store = folder.open().await;
            assert_eq!(number(&store, COUNT).await, expected as f64 + 1.0, "cut at {cut} and written on");
            store.close().await;
            drop(store);
            for path in folder.files("wal", "wal").iter().filter(|p| **p != segment) {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_the_log_costs_one_batch_at_most_and_is_reported() {
    const BATCHES: i64 = 12;
    const ROWS: f64 = 6.0;
    let folder = Folder::new();
    let store = folder.open().await;
    for step in 0..BATCHES {
        store.append(sample_batch(&store, ROWS as usize, step), None).await.unwrap();
    }
    store.close().await;
    drop(store);
    let segment = folder.files("wal", "wal").remove(0);
    let whole = std::fs::read(&segment).unwrap();
    let total = BATCHES as f64 * ROWS;
    let named = "SELECT count(*) FROM samples WHERE metric IN ('cpu_seconds_total', 'requests_total')
                 AND label(labels, 'host') LIKE 'h%' AND entity LIKE 'service:shop/%'";
    let (mut intact, mut lost) = (0, 0);
    for at in (0..whole.len()).step_by(5) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&segment, &bytes).unwrap();
        let store = read_only(folder.path()).await;
        let rows = number(&store, COUNT).await;
        assert!(rows == total || rows == total - ROWS, "byte {at}: {rows} of {total} rows");
        assert_eq!(number(&store, named).await, rows, "byte {at}: names are intact");
        assert!(!store.damage().is_empty() || rows == total, "byte {at}: rows were lost silently");
        if rows < total {
            lost += 1;
        } else {
            intact += 1;
        }
        if let Some(damage) = store.damage().iter().find(|d| d.rows.is_some()) {
            assert_eq!(damage.rows, Some(ROWS as u64));
            assert!(damage.from.unwrap() >= Time(START), "{damage}");
        }
    }
    assert!(intact > 20 && lost > 20, "{intact} intact, {lost} lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_flipped_in_a_sealed_file_never_changes_a_number_silently() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut random = Random(11);
    for step in 0..60 {
        let mut batch = sample_batch(&store, 800, step);
        for value in &mut batch.samples.value {
            *value = random.next(1 << 50) as f64 / 1e15;
        }
        store.append(batch, None).await.unwrap();
        store.append(text_batch(&store, step), None).await.unwrap();
        if step == 30 {
            store.seal_now().await.unwrap();
        }
    }
    store.seal_now().await.unwrap();
    store.close().await;
    drop(store);
    let queries = [
        "SELECT count(*), sum(CAST(value * 1e12 AS BIGINT)), sum(series), max(time), max(learned) FROM samples",
        "SELECT count(*), max(body), min(trace_id), count(attributes) FROM records",
        "SELECT count(*), sum(duration_ns) FROM spans",
        "SELECT count(*), max(kind) FROM events",
    ];
    let store = read_only(folder.path()).await;
    let mut truth = Vec::new();
    for query in queries {
        truth.push(sql(&store, query).await);
    }
    drop(store);
    assert!(Store::scrub(folder.path(), Box::new(|_, _| {})).await.unwrap().is_clean());
    let files = folder.files("data", "parquet");
    let sizes: Vec<u64> = files.iter().map(|f| std::fs::metadata(f).unwrap().len()).collect();
    assert!(sizes.iter().max().unwrap() > &100_000, "more than one block: {sizes:?}");
    let (mut warned, mut partial) = (0, 0);
    for round in 0..200 {
        // Small files as often as large ones: their footers matter too.
        let file = &files[round % files.len()];
        let whole = std::fs::read(file).unwrap();
        let mut bytes = whole.clone();
        let at = random.next(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.next(8);
        std::fs::write(file, &bytes).unwrap();
        let store = read_only(folder.path()).await;
        for (query, truth) in queries.iter().zip(&truth) {
            let answer = sql(&store, query).await;
            if answer.warnings.is_empty() {
                assert_eq!(answer.rows, truth.rows, "{query}: silently wrong at {at} of {}", file.display());
            } else {
                warned += 1;
                partial += usize::from(answer.rows[0][0] != serde_json::json!(0));
                assert!(answer.warnings[0].contains("quarantined"), "{:?}", answer.warnings);
            }
        }
        drop(store);
        let report = Store::scrub(folder.path(), Box::new(|_, _| {})).await.unwrap();
        assert_eq!(report.faults.len(), 1, "{report:?}");
        std::fs::write(file, &whole).unwrap();
    }
    assert!(warned >= 80 && partial > 0, "{warned} warned, {partial} of them with what could be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_that_is_cut_or_gone_is_quarantined() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.append(sample_batch(&store, 50, 0), None).await.unwrap();
    store.seal_now().await.unwrap();
    store.append(sample_batch(&store, 50, 1), None).await.unwrap();
    store.close().await;
    drop(store);
    let file = folder.files("data", "parquet").remove(0);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let store = folder.open().await;
    let answer = sql(&store, "SELECT sum(value) FROM samples").await;
    assert_eq!(answer.warnings.len(), 1);
    assert_eq!(number(&store, "SELECT count(value) FROM samples").await, 50.0);
    drop(store);
    std::fs::remove_file(&file).unwrap();
    let store = folder.open().await;
    assert_eq!(store.damage().len(), 1);
    assert_eq!(sql(&store, "SELECT sum(value) FROM samples").await.warnings.len(), 1);
}

fn failing(config: &mut StoreConfig, step: &'static str, error: IoKind) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(false));
    let switch = on.clone();
    config.fault =
        Some(Arc::new(move |at| (at == step && switch.load(Ordering::SeqCst)).then(|| Error::new(error, "no luck"))));
    on
}

async fn wait_until_open(store: &Store) -> Duration {
    let begun = Instant::now();
    while store.status().unavailable.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(5), "not back after 5 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_acknowledges_nothing_and_is_not_tried_again_on_the_same_file() {
    let folder = Folder::new();
    let mut config = folder.config();
    let fault = failing(&mut config, "log sync", IoKind::Other);
    let store = Store::open(config).await.unwrap();
    store.append(sample_batch(&store, 4, 0), None).await.unwrap();
    fault.store(true, Ordering::SeqCst);
    let error = store.append(sample_batch(&store, 4, 1), Some(5)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    fault.store(false, Ordering::SeqCst);
    assert_eq!(number(&store, COUNT).await, 4.0, "what is not acknowledged is not shown");
    wait_until_open(&store).await;
    // The sender tries again: it is stored now, although the bytes of the first try may lie on disk.
    let again = store.append(sample_batch(&store, 4, 1), Some(5)).await.unwrap();
    assert!(!again.repeated);
    assert_eq!(folder.files("wal", "wal").len(), 2, "a fresh segment");
    store.append(sample_batch(&store, 4, 2), None).await.unwrap();
    let mut positions: Vec<u64> = store.tail(Default::default()).drain().iter().map(|(p, _)| p.0).collect();
    store.close().await;
    drop(store);
    let store = folder.open().await;
    assert_eq!(number(&store, COUNT).await, 12.0);
    let after: Vec<u64> = store.tail(Default::default()).drain().iter().map(|(p, _)| p.0).collect();
    assert_eq!(after, positions, "a replay sees what live saw");
    positions.dedup();
    assert_eq!(positions.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_keeps_reading_and_recovers() {
    let folder = Folder::new();
    let mut config = folder.config();
    let full = Arc::new(AtomicBool::new(false));
    let tried = Arc::new(AtomicUsize::new(0));
    let (switch, count) = (full.clone(), tried.clone());
    config.fault = Some(Arc::new(move |_| {
        let hit = switch.load(Ordering::SeqCst);
        count.fetch_add(usize::from(hit), Ordering::SeqCst);
        hit.then(|| Error::new(IoKind::StorageFull, "no space left"))
    }));
    let store = Store::open(config).await.unwrap();
    store.append(sample_batch(&store, 4, 0), None).await.unwrap();
    full.store(true, Ordering::SeqCst);
    for step in 1..4 {
        let error = store.append(sample_batch(&store, 4, step), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(store.seal_now().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(number(&store, COUNT).await, 4.0);
    let line = JournalEntry {
        at: Time(START),
        kind: JournalKind::Access,
        subject: "t".into(),
        data: serde_json::json!({}),
        text: None,
    };
    store.commit(Commit { journal: vec![line], ..Commit::default() }).await.unwrap();
    assert!(!folder.path().join("reserve").exists(), "the reserve was given to the metadata");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(tried.load(Ordering::SeqCst) > 2, "it tries by itself");
    full.store(false, Ordering::SeqCst);
    wait_until_open(&store).await;
    store.append(sample_batch(&store, 4, 4), None).await.unwrap();
    assert!(folder.path().join("reserve").exists());
    store.close().await;
    drop(store);
    assert_eq!(number(&folder.open().await, COUNT).await, 8.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_really_full_disk_behaves_the_same() {
    let folder = Folder::new();
    let dir = folder.path().join("small");
    std::fs::create_dir(&dir).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
        .arg(&dir)
        .status()
        .is_ok_and(|s| s.success());
    if !mounted {
        eprintln!("SKIPPED: a small tmpfs can be mounted only by root");
        return;
    }
    let data = dir.join("data");
    let config = StoreConfig { upkeep: false, reserve_bytes: 1 << 20, ..StoreConfig::new(&data) };
    let store = Store::open(config.clone()).await.unwrap();
    std::fs::write(dir.join("ballast"), vec![7u8; 3 << 20]).unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        let batch = sample_batch(&store, 2000, acknowledged);
        match store.append(batch, None).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "8 MiB never got full");
    };
    assert_eq!(refused.kind, ErrorKind::Unavailable, "{refused}");
    assert_eq!(number(&store, COUNT).await, acknowledged as f64 * 2000.0);
    let line = JournalEntry {
        at: Time(START),
        kind: JournalKind::Access,
        subject: "t".into(),
        data: serde_json::json!({}),
        text: None,
    };
    store.commit(Commit { journal: vec![line], ..Commit::default() }).await.unwrap();
    std::fs::remove_file(dir.join("ballast")).unwrap();
    let took = wait_until_open(&store).await;
    assert!(took < Duration::from_secs(5));
    store.append(sample_batch(&store, 2000, acknowledged), None).await.unwrap();
    store.close().await;
    drop(store);
    let store = Store::open(config).await.unwrap();
    assert_eq!(number(&store, COUNT).await, (acknowledged + 1) as f64 * 2000.0);
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    drop(store);
    let _ = std::process::Command::new("umount").arg("-l").arg(&dir).status();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_seal_changes_nothing() {
    let folder = Folder::new();
    let mut config = folder.config();
    let fault = failing(&mut config, "seal", IoKind::StorageFull);
    let store = Store::open(config).await.unwrap();
    store.append(sample_batch(&store, 4, 0), None).await.unwrap();
    fault.store(true, Ordering::SeqCst);
    assert!(store.seal_now().await.is_err());
    assert_eq!(number(&store, COUNT).await, 4.0);
    assert!(folder.files("data", "parquet").is_empty());
    let copy = Folder::new();
    copy_folder(folder.path(), copy.path());
    assert_eq!(number(&copy.open().await, COUNT).await, 4.0);
    fault.store(false, Ordering::SeqCst);
    store.seal_now().await.unwrap();
    assert_eq!(number(&store, COUNT).await, 4.0);
}
