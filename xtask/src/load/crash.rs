//! kill -9 at random moments while four senders write: what was acknowledged is there afterwards, and nothing twice.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};

use super::{
    Target, fresh, pause,
    sender::{Request, ask, send_until_cut},
    signals::{Shape, small_requests},
};
use crate::tools::step;

const SHAPES: [Shape; 4] = [Shape::RemoteWrite, Shape::OtlpMetrics, Shape::OtlpLogs, Shape::OtlpSpans];
/// More than a connection gets through in the longest time before a kill.
const REQUESTS_A_KILL: usize = 200;
/// A server must be ready again within this time.
const RESTART: Duration = Duration::from_secs(2);

/// One sender and what it knows.
struct Sender {
    shape: Shape,
    requests: Vec<Request>,
    /// First request that was not acknowledged: sent again after each restart, as real senders do.
    next: usize,
    acknowledged: u64,
}

/// Kills a server `times` times on one data folder. The error says what was lost or stored twice.
pub fn crash(times: usize) -> Result<()> {
    step("kill -9 during ingest");
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 | 1;
    eprintln!("   {times} kills, seed {seed}");
    let data = fresh("crash")?;
    let mut senders: Vec<Sender> = SHAPES
        .iter()
        .map(|shape| Sender {
            shape: *shape,
            requests: small_requests(*shape, times * REQUESTS_A_KILL),
            next: 0,
            acknowledged: 0,
        })
        .collect();
    let mut random = seed;
    for kill in 0..times {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut server = start(&data)?;
        let after_ms = 20 + (random >> 33) % 400;
        send_and_kill(&mut senders, &mut server, after_ms)?;
        drop_process(server);
        let server = start(&data)?;
        audit(&senders, &server, true).with_context(|| format!("after kill {kill}, {after_ms} ms into the writing"))?;
        drop_process(server);
    }
    // The requests that were cut off come once more; then everything was acknowledged once and is there once.
    let server = start(&data)?;
    for sender in &mut senders {
        let Some(request) = sender.requests.get(sender.next) else { continue };
        let (code, answer) = ask(&server.listen, sender.shape.path(), sender.shape.headers(), &request.body)?;
        if !(200..300).contains(&code) {
            bail!("{} answered {code}: {}", sender.shape.path(), String::from_utf8_lossy(&answer));
        }
        sender.acknowledged += request.items;
        sender.next += 1;
    }
    let counts = audit(&senders, &server, false)?;
    if senders.iter().any(|s| s.next == s.requests.len()) {
        bail!("the senders had nothing left to send: raise REQUESTS_A_KILL");
    }
    eprintln!("   acknowledged and stored: {counts:?}");
    Ok(())
}

fn start(data: &std::path::Path) -> Result<Target> {
    let server = Target::bellwether_on(PathBuf::from(data), &[], "bellwether")?;
    if server.started.elapsed() > RESTART {
        bail!("ready only after {:?}", server.started.elapsed());
    }
    Ok(server)
}

/// Ends the process with SIGKILL and leaves its data.
fn drop_process(mut server: Target) {
    let _ = server.child.kill();
    let _ = server.child.wait();
    // Its folder is needed again: `Target` would remove it.
    server.data = PathBuf::new();
}

fn send_and_kill(senders: &mut [Sender], server: &mut Target, after_ms: u64) -> Result<()> {
    let stop = AtomicBool::new(false);
    let listen = server.listen.clone();
    std::thread::scope(|scope| {
        let threads: Vec<_> = senders
            .iter_mut()
            .map(|sender| {
                let (listen, stop) = (&listen, &stop);
                scope.spawn(move || -> Result<()> {
                    let (path, headers) = (sender.shape.path(), sender.shape.headers());
                    let sent = send_until_cut(listen, path, headers, &sender.requests, &mut sender.next, stop)?;
                    sender.acknowledged += sent;
                    Ok(())
                })
            })
            .collect();
        pause(after_ms);
        let _ = server.child.kill();
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a sender broke"))??;
        }
        Ok(())
    })
}

/// Compares what is stored with what was acknowledged; `cut` allows one request a sender that had no answer.
fn audit(senders: &[Sender], server: &Target, cut: bool) -> Result<BTreeMap<&'static str, u64>> {
    let mut counts = BTreeMap::new();
    for table in ["samples", "records", "spans"] {
        let mine: Vec<&Sender> = senders.iter().filter(|s| table_of(s.shape) == table).collect();
        let acknowledged: u64 = mine.iter().map(|s| s.acknowledged).sum();
        let open: u64 = mine.iter().filter_map(|s| s.requests.get(s.next)).map(|r| r.items).sum();
        let stored = count(server, table)?;
        let most = if cut { acknowledged + open } else { acknowledged };
        if stored < acknowledged {
            bail!("{} of {acknowledged} acknowledged {table} are lost", acknowledged - stored);
        }
        if stored > most {
            bail!("{stored} {table} are stored, but only {most} were sent");
        }
        counts.insert(table, stored);
    }
    Ok(counts)
}

fn table_of(shape: Shape) -> &'static str {
    match shape {
        Shape::RemoteWrite | Shape::RemoteWriteSmall | Shape::OtlpMetrics => "samples",
        Shape::OtlpLogs => "records",
        Shape::OtlpSpans => "spans",
    }
}

fn count(server: &Target, table: &str) -> Result<u64> {
    // What the server says of itself and what it derives is not what was sent.
    let only = match table {
        "samples" => " WHERE tenant = 'default' AND metric NOT LIKE 'bellwether.%'",
        _ => " WHERE tenant = 'default'",
    };
    let query = format!("{{\"query\":\"SELECT count(*) FROM {table}{only}\"}}");
    let json = "Content-Type: application/json\r\n";
    let (code, answer) = ask(&server.listen, "/api/v1/sql", json, query.as_bytes())?;
    let text = String::from_utf8_lossy(&answer);
    let rows = text.split("\"rows\":[[").nth(1).and_then(|rest| rest.split(']').next());
    rows.and_then(|n| n.trim().parse().ok()).with_context(|| format!("SQL answered {code}: {text}"))
}
