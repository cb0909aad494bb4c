//! Items in parallel, each with the CPU time it cost.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::{Problem, Run};

impl Run<'_> {
    /// Does `work` for each item on all cores; results come in the order of the items, with CPU seconds. The first
    /// problem in that order ends it.
    pub fn each<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T, Problem> + Sync,
    ) -> Result<Vec<(T, f64)>, Problem> {
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<(T, f64), Problem>>>> = items.iter().map(|_| Mutex::new(None)).collect();
        (self.progress)(0, items.len());
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(items.len().max(1));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(i) else { break };
                        let start = cpu_time::ThreadTime::now();
                        let result = work(item).map(|value| (value, start.elapsed().as_secs_f64()));
                        *results[i].lock() = Some(result);
                        (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
                    }
                });
            }
        });
        results.into_iter().filter_map(Mutex::into_inner).collect()
    }
}

/// CPU seconds of this thread that `work` takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu_time::ThreadTime::now();
    let value = work();
    (value, start.elapsed().as_secs_f64())
}
