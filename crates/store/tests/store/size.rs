//! How much a sample costs once it is settled, with the data of a monitored fleet: ten metrics a host at 15 s.

use types::{Batch, SECOND};

use crate::{
    fleet,
    world::{Folder, Random, START, number},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_a_fleet_settles_below_1_9_bytes() {
    const HOSTS: usize = 200;
    const STEPS: i64 = 480;
    let folder = Folder::new();
    let store = folder.open().await;
    let mut random = Random(7);
    let mut unit = move || random.next(1 << 53) as f64 / (1u64 << 53) as f64;
    let mut values: Vec<[f64; 10]> = (0..HOSTS).map(fleet::first).collect();
    let ids = fleet::define(&mut store.directory().write(), HOSTS);
    let mut sum = 0.0;
    for step in 0..STEPS {
        for hosts in (0..HOSTS).collect::<Vec<_>>().chunks(100) {
            let mut batch = Batch::default();
            for &host in hosts {
                for metric in 0..10 {
                    let value = fleet::next(&mut unit, metric, values[host][metric]);
                    values[host][metric] = value;
                    sum += value;
                    batch.samples.push(ids[host * 10 + metric], START + step * 15 * SECOND, value);
                }
            }
            store.append(batch, None).await.unwrap();
        }
        if step % 160 == 159 {
            store.seal_now().await.unwrap();
        }
    }
    let rows = (HOSTS * 10) as f64 * STEPS as f64;
    let bytes = |folder: &Folder| {
        folder.files("data", "parquet").iter().map(|f| std::fs::metadata(f).unwrap().len()).sum::<u64>() as f64
    };
    let sealed = bytes(&folder) / rows;
    store.compact_now().await.unwrap();
    let merged = bytes(&folder) / rows;
    eprintln!("{sealed:.3} bytes a sample sealed, {merged:.3} merged");
    assert!(sealed < 2.1 && merged < 1.9, "{sealed} sealed, {merged} merged");
    assert_eq!(number(&store, "SELECT count(*) FROM samples").await, rows);
    let stored = number(&store, "SELECT sum(value) FROM samples").await;
    assert!((stored - sum).abs() <= sum.abs() * 1e-9, "{stored} instead of {sum}");
}
