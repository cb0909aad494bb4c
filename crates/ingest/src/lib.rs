//! Bytes to columns: what senders say becomes a [`types::Batch`] and a list of rejects.
//!
//! One [`Ingest`] serves all requests of a data folder. It is a value without IO and without a clock: the caller gives
//! the time of the request, its body (already inflated with [`decompress`]) and the tenant. Every decoder has the same
//! shape: `(&Request, body) -> Result<Decoded, BadRequest>`.
//!
//! - A body that cannot be read as a whole is a [`BadRequest`]; nothing of it is kept.
//! - A body that can be read gives what is good in it and a [`types::Reject`] for the rest: one bad series, record or
//!   span never spoils its neighbours, and each reject names the culprit and the limit that it broke.
//!
//! The hot path never builds protobuf structs. A borrowing reader walks the wire format; the identity of a series is
//! a 128-bit hash of its encoded labels, looked up in a process-local cache under one read lock a request. What the
//! cache does not know is checked against the [`Limits`], resolved to an entity and registered in the
//! [`types::Directory`] in a second pass under one write lock. So a series is validated once, not once a sample.
//!
//! Everything else has one place: `resolver` says which entity a sender is, `templates` gives log lines their
//! template, `otlp::json` turns OTLP/JSON into the protobuf form so that both have one decoder.

mod alerts;
mod cache;
mod cdevents;
pub mod changes;
mod cloudevents;
mod compress;
mod github;
mod gitlab;
mod histogram;
mod json_text;
mod limits;
pub mod openslo;
pub mod otlp;
mod outside;
mod personal;
mod remote_write;
pub mod resolver;
mod series;
pub mod signature;
mod templates;
pub mod topology;
mod wire;

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use types::{Batch, Directory, Reject, Tenant, Time};

pub use compress::{Compression, decompress};
pub use limits::Limits;
pub use outside::Places;
pub use personal::without_personal_data;
pub use resolver::{Alias, Resolution, Resolver};
pub use templates::Templates;

/// Turns request bodies into batches. Shared by all requests; every method takes `&self`.
pub struct Ingest {
    directory: Arc<Directory>,
    limits: Limits,
    seed: u64,
    resolver: RwLock<Arc<Resolver>>,
    series: RwLock<cache::SeriesCache>,
    resources: RwLock<cache::ResourceCache>,
    kinds: RwLock<series::Kinds>,
    templates: Templates,
    seen: Mutex<outside::Seen>,
}

/// Whose request it is and when it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose rows these become.
    pub tenant: Tenant,
    /// When the request came in; decides what lies in the future and stands in for times that were not given.
    pub now: Time,
    /// Marked as history: any time from 1970 to `now` + [`Limits::max_future_ns`] is taken, however old.
    pub backfill: bool,
}

impl Request {
    pub(crate) fn batch(&self) -> Batch {
        Batch { tenant: self.tenant.clone(), learned: self.now, backfill: self.backfill, ..Batch::default() }
    }
}

/// How an OTLP body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`, and gRPC.
    Protobuf,
    /// `application/json`.
    Json,
}

/// Which message a remote write body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteWriteVersion {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The rows that were taken. `learned` is the request's `now` until the store sets it.
    pub batch: Batch,
    /// What was not taken, with reasons.
    pub rejects: Vec<Reject>,
    /// How much of it was taken, in the sender's own items.
    pub written: Written,
    /// Ids of the changes or labels, in the order in which they were sent; empty for other signals.
    pub ids: Vec<String>,
    /// Keys under which the events of a webhook or CloudEvents are taken once; to be given to [`Ingest::taken`] when
    /// the batch is durable.
    pub once: Vec<u64>,
}

impl Decoded {
    /// Number of items (points, records, spans, events) that were not taken.
    pub fn rejected(&self) -> u64 {
        self.rejects.iter().map(|r| r.count).sum()
    }

    /// All reasons in one line, for `partial_success` and error bodies; empty where nothing was rejected.
    pub fn reasons(&self) -> String {
        self.rejects.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>().join("; ")
    }
}

/// Counts of items taken; remote write 2 wants them in its response headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples or OTLP number points.
    pub samples: u64,
    /// Histograms (native, explicit or exponential) and summaries; each becomes several rows.
    pub histograms: u64,
    /// Exemplars that came along. They are counted but not stored.
    pub exemplars: u64,
    /// Log records.
    pub records: u64,
    /// Spans.
    pub spans: u64,
    /// Changes and labels.
    pub events: u64,
    /// Events that had been taken before and are not taken again.
    pub repeated: u64,
    /// Secrets replaced in log lines and attributes, see [`Limits::mask_secrets`].
    pub masked: u64,
}

/// A request of which nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadRequest {
    /// Decides the status code.
    pub kind: BadKind,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Why a request was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKind {
    /// The bytes are not what they should be: 400, `INVALID_ARGUMENT`.
    Malformed,
    /// Over a size limit, before or after decompression: 413, `INVALID_ARGUMENT`.
    TooLarge,
    /// A content type or encoding that is not spoken here: 415, `UNIMPLEMENTED`.
    Unsupported,
    /// A signature or token is missing or wrong, or none is set for the sender: 401. Nothing of it is stored.
    Unauthenticated,
}

impl BadRequest {
    pub(crate) fn malformed(reason: impl Into<String>) -> BadRequest {
        BadRequest { kind: BadKind::Malformed, reason: reason.into() }
    }

    pub(crate) fn too_large(reason: impl Into<String>) -> BadRequest {
        BadRequest { kind: BadKind::TooLarge, reason: reason.into() }
    }
}

impl Ingest {
    /// A decoder over `directory`. Series kinds and log templates that the directory knows are taken up again, so
    /// that a restart goes on where it stopped. `seed` should be random per process: it keeps senders from building
    /// label sets that collide in the cache.
    pub fn new(directory: Arc<Directory>, limits: Limits, seed: u64) -> Ingest {
        let kinds = series::Kinds::from_registry(&directory.read());
        let templates = Templates::from_registry(&directory.read());
        Ingest {
            directory,
            seed,
            resolver: RwLock::new(Arc::new(Resolver::new(Vec::new()))),
            series: RwLock::new(cache::SeriesCache::new(limits.max_cached_series)),
            resources: RwLock::new(cache::ResourceCache::new(limits.max_cached_resources)),
            kinds: RwLock::new(kinds),
            templates,
            seen: Mutex::default(),
            limits,
        }
    }

    /// The tables that ids refer to.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The log template miner.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The resolver in force.
    pub fn resolver(&self) -> Arc<Resolver> {
        self.resolver.read().clone()
    }

    /// Replaces the alias table. Rows decoded from now on follow it by their own time; stored rows stay as they are.
    pub fn set_aliases(&self, aliases: Vec<Alias>) {
        *self.resolver.write() = Arc::new(Resolver::new(aliases));
        self.series.write().clear();
        self.resources.write().clear();
    }

    /// OTLP metrics (`ExportMetricsServiceRequest`).
    pub fn otlp_metrics(&self, request: &Request, body: &[u8], encoding: Encoding) -> Result<Decoded, BadRequest> {
        match encoding {
            Encoding::Protobuf => otlp::metrics::decode(self, request, body),
            Encoding::Json => {
                otlp::metrics::decode(self, request, &otlp::json::metrics_to_protobuf(body, &self.limits)?)
            }
        }
    }

    /// OTLP logs (`ExportLogsServiceRequest`). Templates are given here.
    pub fn otlp_logs(&self, request: &Request, body: &[u8], encoding: Encoding) -> Result<Decoded, BadRequest> {
        match encoding {
            Encoding::Protobuf => otlp::logs::decode(self, request, body),
            Encoding::Json => otlp::logs::decode(self, request, &otlp::json::logs_to_protobuf(body, &self.limits)?),
        }
    }

    /// OTLP traces (`ExportTraceServiceRequest`).
    pub fn otlp_traces(&self, request: &Request, body: &[u8], encoding: Encoding) -> Result<Decoded, BadRequest> {
        match encoding {
            Encoding::Protobuf => otlp::traces::decode(self, request, body),
            Encoding::Json => otlp::traces::decode(self, request, &otlp::json::traces_to_protobuf(body, &self.limits)?),
        }
    }

    /// Prometheus remote write, the body already out of its snappy block.
    pub fn remote_write(
        &self,
        request: &Request,
        body: &[u8],
        version: RemoteWriteVersion,
    ) -> Result<Decoded, BadRequest> {
        match version {
            RemoteWriteVersion::V1 => remote_write::decode_v1(self, request, body),
            RemoteWriteVersion::V2 => remote_write::decode_v2(self, request, body),
        }
    }

    /// `POST /api/v1/changes`: one change or a list of them.
    pub fn changes(&self, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
        changes::decode(self, request, body)
    }

    /// CloudEvents 1.0 over HTTP, one or many, of which CDEvents are understood. `header` gives the request's headers
    /// by their lower-case name.
    pub fn cloudevents(
        &self,
        request: &Request,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        places: &Places,
    ) -> Result<Decoded, BadRequest> {
        cloudevents::decode(self, request, header, body, places)
    }

    /// A webhook of GitHub, signed with one of `secrets`. Its signature is checked before anything else is done.
    pub fn github(
        &self,
        request: &Request,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        secrets: &[String],
        places: &Places,
    ) -> Result<Decoded, BadRequest> {
        github::decode(self, request, header, body, secrets, places)
    }

    /// A webhook of GitLab that carries one of `tokens`, which is checked before anything else is done.
    pub fn gitlab(
        &self,
        request: &Request,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        tokens: &[String],
        places: &Places,
    ) -> Result<Decoded, BadRequest> {
        gitlab::decode(self, request, header, body, tokens, places)
    }

    /// The file that says what of the map cannot be seen, see [`topology`]. What is wrong in it is told with lines.
    pub fn topology(&self, request: &Request, text: &str) -> Result<Decoded, Vec<topology::Problem>> {
        topology::decode(self, request, text)
    }

    /// Remembers that these events are durable: sent again, they are not taken again. Not to be called where storing
    /// failed, since the sender will try again.
    pub fn taken(&self, once: &[u64]) {
        self.seen.lock().add(once.iter().copied());
    }

    /// Remembers an event of an earlier run by its attributes as they are stored. To be called at the start with the
    /// events (`change.*` and `event.*`) of the last days, oldest first.
    pub fn recall(&self, attributes: &str) {
        self.seen.lock().recall(attributes);
    }

    /// An Alertmanager's webhook, version 4.
    pub fn alertmanager_webhook(&self, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
        alerts::decode_webhook(self, request, body)
    }

    /// `POST /api/v2/alerts`: alerts as a Prometheus sends them to an Alertmanager.
    pub fn alerts(&self, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
        alerts::decode_list(self, request, body)
    }

    /// `POST /api/v1/labels`: the true outcomes of predictions.
    pub fn labels(&self, request: &Request, body: &[u8]) -> Result<Decoded, BadRequest> {
        changes::decode_labels(self, request, body)
    }
}
