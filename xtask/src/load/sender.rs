//! Keep-alive HTTP/1.1 to a loopback server, one connection a shard.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, bail};

/// A prebuilt request body.
pub struct Request {
    /// Points, lines or spans in it.
    pub items: u64,
    /// Compressed as the headers say.
    pub body: Vec<u8>,
}

/// What came of it.
#[derive(Default)]
pub struct Sent {
    /// Acknowledged with 2xx.
    pub items: u64,
    /// Half of all requests took at most this.
    pub p50_ms: f64,
    /// 99 % took at most this.
    pub p99_ms: f64,
}

/// Sends each shard over a connection of its own, all at once; any answer but 2xx is an error.
pub fn send(listen: &str, path: &str, headers: &str, shards: &[Vec<Request>]) -> Result<Sent> {
    send_as("POST", listen, path, headers, shards)
}

/// As [`send`], with another method.
pub fn send_as(method: &str, listen: &str, path: &str, headers: &str, shards: &[Vec<Request>]) -> Result<Sent> {
    if !listen.starts_with("127.0.0.1:") {
        bail!("load goes to loopback only, not to {listen}");
    }
    let results: Vec<Result<(u64, Vec<f64>)>> = std::thread::scope(|scope| {
        let shards: Vec<_> =
            shards.iter().map(|s| scope.spawn(move || send_shard(method, listen, path, headers, s))).collect();
        shards.into_iter().map(|s| s.join().unwrap_or_else(|_| bail!("a sender broke"))).collect()
    });
    let mut sent = Sent::default();
    let mut all_ms = Vec::new();
    for result in results {
        let (items, times) = result?;
        sent.items += items;
        all_ms.extend(times);
    }
    all_ms.sort_by(f64::total_cmp);
    let at = |q: f64| all_ms.get((all_ms.len().saturating_sub(1) as f64 * q) as usize).copied().unwrap_or(0.0);
    (sent.p50_ms, sent.p99_ms) = (at(0.5), at(0.99));
    Ok(sent)
}

/// Sends one after another until the connection breaks or `stop`, from request `*next` on, which is left at the first
/// request without an answer. Returns the acknowledged items; an answer other than 2xx is an error.
pub fn send_until_cut(
    listen: &str,
    path: &str,
    headers: &str,
    requests: &[Request],
    next: &mut usize,
    stop: &AtomicBool,
) -> Result<u64> {
    let mut items = 0;
    let Ok(stream) = TcpStream::connect(listen) else { return Ok(0) };
    stream.set_nodelay(true)?;
    let mut connection = BufReader::new(stream);
    while let Some(request) = requests.get(*next).filter(|_| !stop.load(Ordering::Relaxed)) {
        // A broken connection is what the caller is after; what was not answered was not acknowledged.
        let Ok((code, answer)) = exchange("POST", &mut connection, listen, path, headers, &request.body) else { break };
        if !(200..300).contains(&code) {
            bail!("{path} answered {code}: {}", String::from_utf8_lossy(&answer));
        }
        items += request.items;
        *next += 1;
    }
    Ok(items)
}

/// One request on a connection of its own.
pub fn ask(listen: &str, path: &str, headers: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    exchange("POST", &mut BufReader::new(TcpStream::connect(listen)?), listen, path, headers, body)
}

fn exchange(
    method: &str,
    connection: &mut BufReader<TcpStream>,
    listen: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Result<(u16, Vec<u8>)> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {listen}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    // Small requests go at once, as HTTP clients send them: one that comes in two pieces wakes the server twice.
    if body.len() <= 64 << 10 {
        connection.get_mut().write_all(&[head.as_bytes(), body].concat())?;
    } else {
        connection.get_mut().write_all(head.as_bytes())?;
        connection.get_mut().write_all(body)?;
    }
    read_answer(connection)
}

fn send_shard(method: &str, listen: &str, path: &str, headers: &str, requests: &[Request]) -> Result<(u64, Vec<f64>)> {
    let stream = TcpStream::connect(listen)?;
    stream.set_nodelay(true)?;
    let mut connection = BufReader::new(stream);
    let mut times = Vec::with_capacity(requests.len());
    let mut items = 0;
    for request in requests {
        let began = Instant::now();
        let (code, answer) = exchange(method, &mut connection, listen, path, headers, &request.body)?;
        if !(200..300).contains(&code) {
            bail!("{path} answered {code}: {}", String::from_utf8_lossy(&answer));
        }
        items += request.items;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok((items, times))
}

fn read_answer(connection: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>)> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let code = line
        .split_whitespace()
        .nth(1)
        .and_then(|c| c.parse().ok())
        .with_context(|| format!("not an answer: {line:?}"))?;
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((code, body))
}
