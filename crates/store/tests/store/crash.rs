//! The process is killed at random moments while it takes in, seals and merges.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bellwether_store::{SealPolicy, SqlLimits, SqlRequest, Store, StoreConfig};
use types::{Batch, SECOND, Tenant};

use crate::world::{Folder, Random, START, number, sample_batch, series, text_batch};

const FOLDER: &str = "BELLWETHER_TEST_CRASH_FOLDER";
const FIRST: &str = "BELLWETHER_TEST_CRASH_FIRST";
const WRITERS: i64 = 4;
const ROWS: usize = 5;

/// Not a test by itself: the process that is killed. Each writer appends and prints the number of what was
/// acknowledged.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let first: i64 = std::env::var(FIRST).unwrap().parse().unwrap();
    // The test harness has begun a line.
    std::io::stdout().write_all(b"\n").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let seal = SealPolicy { rows: 300, ..SealPolicy::default() };
        let config = StoreConfig { seal, reserve_bytes: 4096, segment_bytes: 40_000, ..StoreConfig::new(dir) };
        let store = Store::open(StoreConfig { keep_for_engine: false, ..config }).await.unwrap();
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.push(tokio::spawn(async move {
                for n in 0.. {
                    let id = first + n * WRITERS + writer;
                    store.append(numbered(&store, id), None).await.unwrap();
                    std::io::stdout().write_all(format!("{id}\n").as_bytes()).unwrap();
                }
            }));
        }
        let merging = store.clone();
        writers.push(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(30)).await;
                merging.seal_now().await.unwrap();
                merging.compact_now().await.unwrap();
            }
        }));
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// A batch that can be recognised: its number is in every row.
fn numbered(store: &Store, id: i64) -> Batch {
    let tenant = Tenant::default();
    let mut batch = text_batch(store, id);
    batch.samples = sample_batch(store, 0, 0).samples;
    for i in 0..ROWS {
        let id_of = series(store.directory(), &tenant, "numbers", "cart", &format!("{i}-{}", id % 7));
        batch.samples.push(id_of, START + id * SECOND, id as f64);
    }
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = Folder::new();
    let mut random = Random(5);
    let mut acknowledged = BTreeSet::new();
    let mut stored_before = 0;
    for round in 0..20 {
        let first = 1_000_000 * round;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            lines.map_while(Result::ok).filter_map(|l| l.trim().parse::<i64>().ok()).collect::<Vec<_>>()
        });
        tokio::time::sleep(Duration::from_millis(80 + random.next(400))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let acks = reader.join().unwrap();
        let begun = Instant::now();
        let store = folder.open().await;
        assert!(begun.elapsed() < Duration::from_secs(2), "ready after {:?}", begun.elapsed());
        assert!(store.damage().is_empty(), "{:?}", store.damage());
        let query = "SELECT value, count(*), count(DISTINCT series) FROM samples GROUP BY value".to_owned();
        let limits = SqlLimits { rows_max: 10_000_000, time_max: Duration::from_secs(60) };
        let answer = store.sql(SqlRequest { query, tenant: None, limits }).await.unwrap();
        assert!(answer.warnings.is_empty());
        let mut stored = BTreeSet::new();
        for row in &answer.rows {
            assert_eq!((row[1].as_u64(), row[2].as_u64()), (Some(ROWS as u64), Some(ROWS as u64)), "{row:?} is whole");
            stored.insert(row[0].as_f64().unwrap() as i64);
        }
        acknowledged.extend(acks.iter().copied());
        let missing: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(missing.is_empty(), "round {round}: acknowledged and lost: {missing:?}");
        let extra = stored.len() - stored_before - acks.len();
        assert!(extra <= WRITERS as usize, "round {round}: {extra} more than were in flight");
        stored_before = stored.len();
        let records = number(&store, "SELECT count(*) FROM records").await;
        let spans = number(&store, "SELECT count(*) FROM spans").await;
        assert_eq!((records, spans), (stored.len() as f64 * 3.0, stored.len() as f64 * 2.0));
        acknowledged = stored;
        store.close().await;
    }
    assert!(acknowledged.len() > 100, "only {} batches were written", acknowledged.len());
}
