//! History read again: everything once, in the order in which it was learned, hot and sealed alike.

use types::{Batch, SECOND, Time};

use crate::world::{Folder, START, sample_batch, text_batch};

fn rows(batches: &[Batch]) -> [usize; 4] {
    let sum = |of: fn(&Batch) -> usize| batches.iter().map(of).sum();
    [sum(|b| b.samples.len()), sum(|b| b.records.len()), sum(|b| b.spans.len()), sum(|b| b.events.len())]
}

fn all(store: &bellwether_store::Store, from: Time, to: Time) -> Vec<Batch> {
    let mut past = store.past(from, to);
    let mut found = Vec::new();
    let mut last = from;
    while let Some(stretch) = past.next_stretch().unwrap() {
        assert!(stretch.to > last && stretch.batches.iter().all(|b| b.learned < stretch.to));
        last = stretch.to;
        found.extend(stretch.batches);
    }
    assert_eq!(last, to);
    assert!(found.windows(2).all(|pair| pair[0].learned <= pair[1].learned));
    found
}

#[tokio::test]
async fn what_was_stored_comes_back_as_it_was_learned() {
    let folder = Folder::new();
    let store = folder.open().await;
    for step in 0..20 {
        store.append(Batch { backfill: true, ..sample_batch(&store, 8, step) }, None).await.unwrap();
        store.append(Batch { backfill: true, ..text_batch(&store, step * 15) }, None).await.unwrap();
    }
    let to = Time(START + 20 * 15 * SECOND);
    let hot = all(&store, Time(START), to);
    assert_eq!(rows(&hot)[0], 160);
    assert!(rows(&hot)[1..].iter().all(|n| *n >= 20), "{:?}", rows(&hot));
    store.seal_now().await.unwrap();
    let sealed = all(&store, Time(START), to);
    assert_eq!(rows(&hot), rows(&sealed));
    let sums = |batches: &[Batch]| -> f64 { batches.iter().flat_map(|b| &b.samples.value).sum() };
    assert_eq!(sums(&hot), sums(&sealed));
    assert_eq!(sealed[0].records.body.get(0), hot[0].records.body.get(0));
    assert_eq!(sealed[0].records.trace_id, hot[0].records.trace_id);

    let half = all(&store, Time(START), Time(START + 10 * 15 * SECOND));
    assert_eq!(rows(&half)[0], 80);
    assert!(all(&store, to, Time(to.0 + SECOND)).is_empty());
    // The end may lie within a second.
    let last = START + 19 * 15 * SECOND;
    assert_eq!(rows(&all(&store, Time(last), Time(last + 1)))[0], 8);
}
