//! Puts spans together: a caller's span with the one it caused, a request with the calls made on its behalf.
//!
//! Rows are sorted by span id and found by bisection: no hashing, so the order of rows cannot show and no sender can
//! choose ids that make it slow.

use std::collections::BTreeMap;

use math::log_histogram::LogHistogram;

use super::book::{BUCKET_NS, Book, JOIN_BUCKETS, Row, Trace};

/// Internal spans walked up between a call and the request it belongs to.
const MAX_DEPTH: usize = 16;

/// What the spans of one bucket say together.
#[derive(Default)]
pub(super) struct Joined {
    pub nodes: BTreeMap<u32, OwnPart>,
    pub edges: BTreeMap<(u32, u32), Calls>,
}

/// Which part of a service's requests is its own doing.
#[derive(Default)]
pub(super) struct OwnPart {
    /// Failed requests looked at, and those of them without a failed call.
    pub looked: u32,
    pub own: u32,
    /// Time not spent waiting for calls, µs.
    pub self_latency: LogHistogram,
}

/// Calls on one edge.
#[derive(Default)]
pub(super) struct Calls {
    pub count: u32,
    pub errors: u32,
    pub latency: LogHistogram,
    pub failed_trace: Option<Trace>,
    pub slow_trace: Option<(u32, Trace)>,
}

/// A call seen from the request on whose behalf it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    owner: u32,
    start: i64,
    end: i64,
    error: u32,
}

/// Joins the spans that ended in `bucket` with those around it.
pub(super) fn join(book: &mut Book, bucket: i64) -> Joined {
    let shift = book.pending.get(&bucket).map_or(0, |p| p.shift);
    let weight = 1_u32 << shift.min(20);
    let mut rows: Vec<Row> =
        book.pending.range(bucket - JOIN_BUCKETS..=bucket + 1).flat_map(|(_, p)| p.rows.iter().copied()).collect();
    rows.sort_unstable();
    // A retried export brings the same span twice.
    rows.dedup();
    let spans = Spans::new(&rows);
    let mut joined = Joined::default();
    join_clients(book, &spans, bucket, weight, &mut joined);
    join_servers(&spans, bucket, weight, &mut joined);
    split_requests(book, &spans, bucket, weight, &mut joined);
    joined
}

/// Each client span that ended in the bucket is a call to the server span it caused, or else to the peer it names.
fn join_clients(book: &mut Book, spans: &Spans, bucket: i64, weight: u32, joined: &mut Joined) {
    for client in spans.rows.iter().filter(|r| r.kind == 3 && r.bucket() == bucket) {
        let server = spans.children(client.span).find(|r| r.is_entry() && r.trace == client.trace);
        let target = match server {
            Some(server) if server.node != client.node => {
                if client.peer > 0 {
                    book.learn_peer(client.peer - 1, server.node);
                }
                Some(server.node)
            }
            Some(_) => None,
            None if client.peer > 0 => book.peer_node(client.peer - 1),
            None => None,
        };
        if let Some(target) = target.filter(|t| *t != client.node) {
            joined.edges.entry((client.node, target)).or_default().count(client, weight);
        }
    }
}

/// Each server or consumer span whose cause is not a client span (a message, or a sender without client spans).
fn join_servers(spans: &Spans, bucket: i64, weight: u32, joined: &mut Joined) {
    for server in spans.rows.iter().filter(|r| r.is_entry() && r.bucket() == bucket && r.parent != 0) {
        let Some((_, caller)) = spans.find(server.parent, server.trace) else { continue };
        if caller.kind != 3 && caller.node != server.node {
            joined.edges.entry((caller.node, server.node)).or_default().count(server, weight);
        }
    }
}

/// For each request that ended in the bucket: did a call on its behalf fail, and how long did it not wait for calls.
fn split_requests(book: &Book, spans: &Spans, bucket: i64, weight: u32, joined: &mut Joined) {
    let is_request = |row: &Row| {
        let has_entry = book.nodes.get(row.node as usize).is_some_and(|n| n.has_entry);
        row.bucket() == bucket && if has_entry { row.is_entry() } else { row.parent == 0 }
    };
    let Some(from) = spans.rows.iter().filter(|r| is_request(r)).map(|r| r.start).min() else { return };
    let calls = spans.calls_since(from);
    for (i, row) in spans.rows.iter().enumerate().filter(|(_, r)| is_request(r)) {
        let first = calls.partition_point(|c| (c.owner as usize) < i);
        let mine = calls[first..].iter().take_while(|c| c.owner as usize == i);
        // A request that is itself a call (a load generator's root span) is all waiting.
        let is_call = row.kind == 3;
        let mut waited = if is_call { row.end - row.start } else { 0 };
        let (mut covered, mut failed_call, mut to_try_again) = (row.start, is_call, false);
        for call in mine {
            // What passes between a failed call and the next is the wait before trying again.
            if to_try_again && call.start > covered {
                waited += call.start.min(row.end) - covered;
                covered = call.start;
            }
            to_try_again = call.error > 0;
            failed_call |= to_try_again;
            // Calls are in order of their start: what was not covered yet is added.
            let (start, end) = (call.start.max(covered), call.end.min(row.end));
            waited += (end - start).max(0);
            covered = covered.max(end);
        }
        let part = joined.nodes.entry(row.node).or_default();
        part.self_latency.record_many(((row.end - row.start - waited).max(0) / 1000) as u64, weight);
        if row.error > 0 {
            part.looked = part.looked.saturating_add(weight);
            part.own = part.own.saturating_add(if failed_call { 0 } else { weight });
        }
    }
}

impl Row {
    fn bucket(&self) -> i64 {
        self.end.div_euclid(BUCKET_NS)
    }
}

impl Calls {
    fn count(&mut self, row: &Row, weight: u32) {
        let duration_us = ((row.end - row.start).max(0) / 1000).min(i64::from(u32::MAX)) as u32;
        self.count = self.count.saturating_add(weight);
        self.latency.record_many(u64::from(duration_us), weight);
        if row.error > 0 {
            self.errors = self.errors.saturating_add(weight);
            let trace = row.trace_id();
            self.failed_trace = Some(self.failed_trace.map_or(trace, |t| t.min(trace)));
        }
        self.slow_trace = self.slow_trace.max(Some((duration_us, row.trace_id())));
    }
}

/// Rows in order of span id, and their numbers in order of parent.
struct Spans<'a> {
    rows: &'a [Row],
    by_parent: Vec<(u64, u32)>,
}

impl<'a> Spans<'a> {
    fn new(rows: &'a [Row]) -> Spans<'a> {
        let mut by_parent: Vec<(u64, u32)> =
            rows.iter().enumerate().filter(|(_, r)| r.parent != 0).map(|(i, r)| (r.parent, i as u32)).collect();
        by_parent.sort_unstable();
        Spans { rows, by_parent }
    }

    fn find(&self, span: u64, trace: u64) -> Option<(usize, &'a Row)> {
        let first = self.rows.partition_point(|r| r.span < span);
        let same = self.rows[first..].iter().take_while(|r| r.span == span);
        same.enumerate().find(|(_, r)| r.trace == trace).map(|(i, r)| (first + i, r))
    }

    fn children(&self, span: u64) -> impl Iterator<Item = &'a Row> {
        let rows = self.rows;
        let first = self.by_parent.partition_point(|(parent, _)| *parent < span);
        self.by_parent[first..].iter().take_while(move |(p, _)| *p == span).map(move |(_, i)| &rows[*i as usize])
    }

    /// Calls that ended after `from`, in order of the requests that made them and of their start.
    fn calls_since(&self, from: i64) -> Vec<Call> {
        let mut calls = Vec::new();
        for row in self.rows.iter().filter(|r| r.end >= from && r.parent != 0) {
            let owner = match row.kind {
                3 => self.request_of(row.parent, row.trace, row.node),
                // A server span straight below another service's span: that service has no client spans.
                2 => match self.find(row.parent, row.trace) {
                    Some((_, p)) if p.kind != 3 && p.kind != 4 && p.node != row.node => {
                        self.request_of(row.parent, row.trace, p.node)
                    }
                    _ => None,
                },
                _ => None,
            };
            if let Some(owner) = owner {
                calls.push(Call { owner: owner as u32, start: row.start, end: row.end, error: row.error });
            }
        }
        calls.sort_unstable();
        calls
    }

    /// The request of `node` that a span belongs to, found by walking up within the service.
    fn request_of(&self, mut span: u64, trace: u64, node: u32) -> Option<usize> {
        for _ in 0..MAX_DEPTH {
            let (at, row) = self.find(span, trace).filter(|(_, r)| r.node == node)?;
            if row.is_entry() || row.parent == 0 {
                return Some(at);
            }
            span = row.parent;
        }
        None
    }
}
