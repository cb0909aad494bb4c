//! The bytes on disk of the write-ahead log and the definition files. Everything little-endian.
//!
//! A file is a row of frames. A frame is a header of 80 bytes and a payload:
//!
//! ```text
//!  0 u32  magic "BWFR"            24 u32  payload length           64 u32  CRC32C of the payload
//!  4 u8   version, now 1          28 u32  rows                     68 u32  length before LZ4 (flag 1)
//!  5 u8   kind                    32 i64  first time in it, ns     72 u32  0
//!  6 u16  flags: 1 LZ4, 2 backfill 40 i64 last time in it, ns      76 u32  CRC32C of bytes 0..76
//!  8 u64  sequence                48 u128 hash of the request, 0 none
//! 16 i64  learned, ns
//! ```
//!
//! The header has its own checksum, so that a reader that lost its place finds the next frame, and can say how many rows
//! of which time a damaged payload held. A group is written at once: definitions, data, the definitions again, and two
//! commit frames, so that one flipped bit costs at most one data frame. Only frames before the last commit of a segment
//! count.

use types::{
    Batch, EntityId, EntityKey, Events, LabelSet, Position, Records, Registry, ResourceDef, ResourceId, Samples,
    SeriesDef, SeriesId, SeriesKind, Spans, TemplateDef, TemplateId, Tenant, Text, Time,
};

/// Version of the whole data folder, in the file `format`.
pub const FOLDER_VERSION: u32 = 1;
/// Length of a frame's header, bytes.
pub const HEADER_BYTES: usize = 80;

const MAGIC: u32 = u32::from_le_bytes(*b"BWFR");
const FRAME_VERSION: u8 = 1;
const PAYLOAD_VERSION: u8 = 1;
const FLAG_LZ4: u16 = 1;
const FLAG_BACKFILL: u16 = 2;
/// No payload is longer: a length beyond it is damage, not data.
const MAX_PAYLOAD: u32 = 1 << 30;

const _: () = assert!(cfg!(target_endian = "little"), "columns are written as they lie in memory");

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// One batch.
    Data = 1,
    /// Definitions of dense ids.
    Definitions = 2,
    /// Everything before it in this segment counts; `sequence` is the last position.
    Commit = 3,
    /// Positions `sequence..=learned` were written to an earlier segment but never acknowledged: they do not count.
    Void = 4,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it holds.
    pub kind: FrameKind,
    /// See the module's table.
    pub flags: u16,
    /// Position of the batch (data), last position (commit).
    pub sequence: u64,
    /// When the batch was accepted, ns.
    pub learned: i64,
    /// Bytes after the header.
    pub payload_bytes: u32,
    /// Rows of all shapes.
    pub rows: u32,
    /// First time of its rows, ns.
    pub time_min: i64,
    /// Last time of its rows, ns.
    pub time_max: i64,
    /// Hash of the request that it came in; 0 none.
    pub request_hash: u128,
    /// CRC32C.
    pub payload_crc: u32,
    /// Length before compression.
    pub plain_bytes: u32,
}

impl FrameHeader {
    fn empty(kind: FrameKind, sequence: u64) -> FrameHeader {
        FrameHeader {
            kind,
            flags: 0,
            sequence,
            learned: 0,
            payload_bytes: 0,
            rows: 0,
            time_min: 0,
            time_max: 0,
            request_hash: 0,
            payload_crc: crc32c::crc32c(&[]),
            plain_bytes: 0,
        }
    }

    /// The 80 bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0u8; HEADER_BYTES];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &MAGIC.to_le_bytes());
        put(4, &[FRAME_VERSION, self.kind as u8]);
        put(6, &self.flags.to_le_bytes());
        put(8, &self.sequence.to_le_bytes());
        put(16, &self.learned.to_le_bytes());
        put(24, &self.payload_bytes.to_le_bytes());
        put(28, &self.rows.to_le_bytes());
        put(32, &self.time_min.to_le_bytes());
        put(40, &self.time_max.to_le_bytes());
        put(48, &self.request_hash.to_le_bytes());
        put(64, &self.payload_crc.to_le_bytes());
        put(68, &self.plain_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` where the bytes are not an intact one.
    pub fn from_bytes(bytes: &[u8]) -> Option<FrameHeader> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let mut read = Reader(bytes);
        if read.u32()? != MAGIC || crc32c::crc32c(&bytes[..HEADER_BYTES - 4]).to_le_bytes() != bytes[HEADER_BYTES - 4..]
        {
            return None;
        }
        let (version, kind) = (read.u8()?, read.u8()?);
        let kind = match kind {
            1 => FrameKind::Data,
            2 => FrameKind::Definitions,
            3 => FrameKind::Commit,
            4 => FrameKind::Void,
            _ => return None,
        };
        let header = FrameHeader {
            kind,
            flags: u16::from_le_bytes(read.array()?),
            sequence: read.u64()?,
            learned: read.i64()?,
            payload_bytes: read.u32()?,
            rows: read.u32()?,
            time_min: read.i64()?,
            time_max: read.i64()?,
            request_hash: u128::from_le_bytes(read.array()?),
            payload_crc: read.u32()?,
            plain_bytes: read.u32()?,
        };
        (version == FRAME_VERSION && header.payload_bytes <= MAX_PAYLOAD).then_some(header)
    }

    /// Whether the batch was marked as history.
    pub fn is_backfill(&self) -> bool {
        self.flags & FLAG_BACKFILL != 0
    }
}

/// A payload ready to be framed.
#[derive(Debug)]
pub struct Frame {
    /// Complete but for what the writer sets under the log's order: sequence and learned.
    pub header: FrameHeader,
    /// As it goes to disk.
    pub payload: Vec<u8>,
}

impl Frame {
    fn new(kind: FrameKind, plain: Vec<u8>, compress: bool) -> Frame {
        let plain_bytes = plain.len() as u32;
        let packed = if compress { lz4_flex::block::compress(&plain) } else { Vec::new() };
        let worth = compress && packed.len() < plain.len();
        let payload = if worth { packed } else { plain };
        let mut header = FrameHeader::empty(kind, 0);
        header.flags = if worth { FLAG_LZ4 } else { 0 };
        header.payload_bytes = payload.len() as u32;
        header.plain_bytes = plain_bytes;
        header.payload_crc = crc32c::crc32c(&payload);
        Frame { header, payload }
    }

    /// A data frame of a batch.
    pub fn of_batch(batch: &Batch, request_hash: Option<u128>) -> Frame {
        let mut plain = Vec::with_capacity(batch.samples.len() * 12 + batch.records.body.bytes.len() + 1024);
        write_batch(batch, &mut plain);
        let text_rows = batch.records.len() + batch.spans.len() + batch.events.len();
        let mut frame = Frame::new(FrameKind::Data, plain, text_rows > 4);
        let (min, max) = time_range(batch);
        frame.header.rows = batch.rows() as u32;
        frame.header.time_min = min;
        frame.header.time_max = max;
        frame.header.request_hash = request_hash.unwrap_or(0);
        if batch.backfill {
            frame.header.flags |= FLAG_BACKFILL;
        }
        frame
    }

    /// A definitions frame.
    pub fn of_definitions(plain: Vec<u8>) -> Frame {
        Frame::new(FrameKind::Definitions, plain, true)
    }

    /// A commit frame for everything up to `last`.
    pub fn commit(last: Position) -> [u8; HEADER_BYTES] {
        FrameHeader::empty(FrameKind::Commit, last.0).to_bytes()
    }

    /// A frame that says that `first..=last` do not count.
    pub fn void(first: u64, last: u64) -> [u8; HEADER_BYTES] {
        FrameHeader { learned: last as i64, ..FrameHeader::empty(FrameKind::Void, first) }.to_bytes()
    }

    /// Appends header and payload to a group.
    pub fn write_to(&self, group: &mut Vec<u8>) {
        group.extend_from_slice(&self.header.to_bytes());
        group.extend_from_slice(&self.payload);
    }
}

/// The payload as it was before compression; `None` where it is damaged.
pub fn plain_payload<'a>(header: &FrameHeader, payload: &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
    if crc32c::crc32c(payload) != header.payload_crc {
        return None;
    }
    if header.flags & FLAG_LZ4 == 0 {
        return Some(payload.into());
    }
    if header.plain_bytes > MAX_PAYLOAD {
        return None;
    }
    lz4_flex::block::decompress(payload, header.plain_bytes as usize).ok().map(Into::into)
}

/// One thing found while walking over a file's bytes.
#[derive(Debug)]
pub enum Found<'a> {
    /// An intact header with its payload (not yet checked, see [`plain_payload`]).
    Frame(FrameHeader, &'a [u8]),
    /// Bytes that are no frame; the next one was found behind them.
    Garbage {
        /// How many.
        bytes: usize,
    },
    /// The file ends within a frame.
    Torn {
        /// How many bytes are left over.
        bytes: usize,
    },
}

/// Walks over the frames of a file with the offset where each starts, finding its place again after damage.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = (usize, Found<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        if let Some(header) = FrameHeader::from_bytes(rest) {
            let end = HEADER_BYTES + header.payload_bytes as usize;
            if let Some(payload) = rest.get(HEADER_BYTES..end) {
                at = start + end;
                return Some((start, Found::Frame(header, payload)));
            }
        }
        match next_header(&rest[1..]) {
            Some(skip) => {
                at = start + 1 + skip;
                Some((start, Found::Garbage { bytes: 1 + skip }))
            }
            None => {
                at = bytes.len();
                Some((start, Found::Torn { bytes: rest.len() }))
            }
        }
    })
}

fn next_header(bytes: &[u8]) -> Option<usize> {
    let magic = MAGIC.to_le_bytes();
    (0..bytes.len().saturating_sub(HEADER_BYTES - 1)).find(|&at| {
        bytes[at] == magic[0] && bytes[at..].starts_with(&magic) && FrameHeader::from_bytes(&bytes[at..]).is_some()
    })
}

/// First and last time of all rows of a batch, ns; zeros where it is empty.
pub fn time_range(batch: &Batch) -> (i64, i64) {
    let columns = [&batch.samples.time, &batch.records.time, &batch.spans.time, &batch.events.time];
    let all = || columns.iter().flat_map(|c| c.iter().copied());
    (all().min().unwrap_or(0), all().max().unwrap_or(0))
}

// ---- batches

fn write_batch(batch: &Batch, out: &mut Vec<u8>) {
    out.push(PAYLOAD_VERSION);
    put_text(out, batch.tenant.as_str());
    let (samples, records, spans, events) = (&batch.samples, &batch.records, &batch.spans, &batch.events);
    put_u32(out, samples.len() as u32);
    if !samples.is_empty() {
        out.extend_from_slice(bytemuck::cast_slice(&samples.series));
        put_times(out, &samples.time);
        out.extend_from_slice(bytemuck::cast_slice(&samples.value));
    }
    put_u32(out, records.len() as u32);
    if !records.is_empty() {
        put_times(out, &records.time);
        out.extend_from_slice(bytemuck::cast_slice(&records.resource));
        put_entities(out, &records.entity);
        out.extend_from_slice(&records.severity);
        out.extend_from_slice(bytemuck::cast_slice(&records.template));
        put_column(out, &records.body);
        put_column(out, &records.attributes);
        out.extend_from_slice(bytemuck::cast_slice(&records.trace_id));
        out.extend_from_slice(bytemuck::cast_slice(&records.span_id));
    }
    put_u32(out, spans.len() as u32);
    if !spans.is_empty() {
        put_times(out, &spans.time);
        out.extend_from_slice(bytemuck::cast_slice(&spans.duration_ns));
        out.extend_from_slice(bytemuck::cast_slice(&spans.resource));
        put_entities(out, &spans.entity);
        put_column(out, &spans.name);
        out.extend_from_slice(&spans.kind);
        out.extend_from_slice(&spans.status);
        out.extend_from_slice(bytemuck::cast_slice(&spans.trace_id));
        out.extend_from_slice(bytemuck::cast_slice(&spans.span_id));
        out.extend_from_slice(bytemuck::cast_slice(&spans.parent_span_id));
        put_column(out, &spans.attributes);
    }
    put_u32(out, events.len() as u32);
    if !events.is_empty() {
        put_times(out, &events.time);
        put_entities(out, &events.entity);
        put_column(out, &events.kind);
        put_column(out, &events.attributes);
    }
}

/// Reads a batch back; `None` where the bytes are not one. `learned` and `backfill` come from the header.
pub fn read_batch(header: &FrameHeader, plain: &[u8]) -> Option<Batch> {
    let mut read = Reader(plain);
    if read.u8()? != PAYLOAD_VERSION {
        return None;
    }
    let mut batch = Batch {
        tenant: Tenant::new(read.text()?),
        learned: Time(header.learned),
        backfill: header.is_backfill(),
        ..Batch::default()
    };
    let n = read.u32()? as usize;
    if n > 0 {
        batch.samples = Samples { series: read.pods::<SeriesId>(n)?, time: read.times(n)?, value: read.pods(n)? };
    }
    let n = read.u32()? as usize;
    if n > 0 {
        batch.records = Records {
            time: read.times(n)?,
            resource: read.pods::<ResourceId>(n)?,
            entity: read.entities(n)?,
            severity: read.pods(n)?,
            template: read.pods::<TemplateId>(n)?,
            body: read.column(n)?,
            attributes: read.column(n)?,
            trace_id: read.pods(n)?,
            span_id: read.pods(n)?,
        };
    }
    let n = read.u32()? as usize;
    if n > 0 {
        batch.spans = Spans {
            time: read.times(n)?,
            duration_ns: read.pods(n)?,
            resource: read.pods::<ResourceId>(n)?,
            entity: read.entities(n)?,
            name: read.column(n)?,
            kind: read.pods(n)?,
            status: read.pods(n)?,
            trace_id: read.pods(n)?,
            span_id: read.pods(n)?,
            parent_span_id: read.pods(n)?,
            attributes: read.column(n)?,
        };
    }
    let n = read.u32()? as usize;
    if n > 0 {
        batch.events = Events {
            time: read.times(n)?,
            entity: read.entities(n)?,
            kind: read.column(n)?,
            attributes: read.column(n)?,
        };
    }
    read.0.is_empty().then_some(batch)
}

// ---- definitions

/// How many definitions of each sort are already written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Entities.
    pub entities: usize,
    /// Resources.
    pub resources: usize,
    /// Series.
    pub series: usize,
    /// Entries of the template log.
    pub templates: usize,
}

impl Watermark {
    /// Everything that a registry holds.
    pub fn of(registry: &Registry) -> Watermark {
        Watermark {
            entities: registry.entities().len(),
            resources: registry.resources().len(),
            series: registry.all_series().len(),
            templates: registry.template_log().len(),
        }
    }
}

/// The definitions after a watermark, `None` where there is none, and the watermark behind them.
pub fn write_definitions(registry: &Registry, done: Watermark) -> (Option<Vec<u8>>, Watermark) {
    let now = Watermark::of(registry);
    if now == done {
        return (None, now);
    }
    let mut out = vec![PAYLOAD_VERSION];
    put_u32(&mut out, done.entities as u32);
    put_u32(&mut out, (now.entities - done.entities) as u32);
    for entity in &registry.entities()[done.entities..] {
        put_text(&mut out, entity.as_str());
    }
    put_u32(&mut out, done.resources as u32);
    put_u32(&mut out, (now.resources - done.resources) as u32);
    for def in &registry.resources()[done.resources..] {
        put_text(&mut out, def.tenant.as_str());
        put_u32(&mut out, def.entity.0);
        put_bytes(&mut out, def.attributes.as_bytes());
    }
    put_u32(&mut out, done.series as u32);
    put_u32(&mut out, (now.series - done.series) as u32);
    for def in &registry.all_series()[done.series..] {
        put_text(&mut out, def.tenant.as_str());
        put_text(&mut out, &def.metric);
        put_u32(&mut out, def.entity.0);
        put_bytes(&mut out, def.labels.as_bytes());
        out.push(def.kind as u8);
        put_text(&mut out, &def.unit);
    }
    let mut templates: Vec<TemplateId> = registry.template_log()[done.templates..].to_vec();
    templates.sort_unstable();
    templates.dedup();
    put_u32(&mut out, templates.len() as u32);
    for id in templates {
        put_u32(&mut out, id.0);
        put_text(&mut out, registry.template_def(id).map_or("", |t| &t.text));
    }
    (Some(out), now)
}

/// Takes definitions into a registry. Ids that lie between what is there and what comes were lost: they are filled with
/// entries named `lost`, so that later ids keep their meaning. `None` where the bytes are not definitions.
pub fn read_definitions(plain: &[u8], registry: &mut Registry) -> Option<()> {
    let mut read = Reader(plain);
    if read.u8()? != PAYLOAD_VERSION {
        return None;
    }
    let (first, count) = (read.u32()?, read.u32()?);
    fill_entities(registry, first);
    for id in first..first.checked_add(count)? {
        let text = read.text()?;
        if id as usize == registry.entities().len() {
            registry.entity(&EntityId::parse(text).unwrap_or_else(|| lost_entity(id)));
            fill_entities(registry, id + 1);
        }
    }
    let (first, count) = (read.u32()?, read.u32()?);
    fill_resources(registry, first);
    for id in first..first.checked_add(count)? {
        let tenant = Tenant::new(read.text()?);
        let entity = EntityKey(read.u32()?);
        let attributes = LabelSet::from_bytes(read.bytes()?)?;
        if id as usize == registry.resources().len() {
            registry.resource(ResourceDef { tenant, entity, attributes });
            fill_resources(registry, id + 1);
        }
    }
    let (first, count) = (read.u32()?, read.u32()?);
    fill_series(registry, first);
    for id in first..first.checked_add(count)? {
        let def = SeriesDef {
            tenant: Tenant::new(read.text()?),
            metric: read.text()?.into(),
            entity: EntityKey(read.u32()?),
            labels: LabelSet::from_bytes(read.bytes()?)?,
            kind: series_kind(read.u8()?),
            unit: read.text()?.into(),
        };
        if id as usize == registry.all_series().len() {
            registry.series(def);
            fill_series(registry, id + 1);
        }
    }
    for _ in 0..read.u32()? {
        let id = TemplateId(read.u32()?);
        let text = read.text()?;
        registry.template(TemplateDef { id, text: text.into() });
    }
    Some(())
}

/// Gives every id that a batch uses an entry, where its definition was lost.
pub fn fill_ids(registry: &mut Registry, batch: &Batch) {
    let entity = batch.records.entity.iter().chain(&batch.spans.entity).chain(&batch.events.entity).max();
    let resource = batch.records.resource.iter().chain(&batch.spans.resource).max();
    fill_entities(registry, entity.map_or(0, |e| e.0.saturating_add(1)));
    fill_resources(registry, resource.map_or(0, |r| r.0.saturating_add(1)));
    fill_series(registry, batch.samples.series.iter().max().map_or(0, |s| s.0.saturating_add(1)));
}

/// More ids than these are not filled in: only damage could ask for them.
const MAX_FILL: u32 = 1 << 26;

fn fill_entities(registry: &mut Registry, up_to: u32) {
    while (registry.entities().len() as u32) < up_to.min(MAX_FILL) {
        let id = registry.entities().len() as u32;
        registry.entity(&lost_entity(id));
    }
}

fn fill_resources(registry: &mut Registry, up_to: u32) {
    while (registry.resources().len() as u32) < up_to.min(MAX_FILL) {
        let id = registry.resources().len().to_string();
        let attributes = LabelSet::pack(&mut vec![("lost", id.as_str())]);
        registry.resource(ResourceDef { tenant: Tenant::default(), entity: EntityKey(0), attributes });
    }
}

fn fill_series(registry: &mut Registry, up_to: u32) {
    while (registry.all_series().len() as u32) < up_to.min(MAX_FILL) {
        let id = registry.all_series().len().to_string();
        let labels = LabelSet::pack(&mut vec![("lost", id.as_str())]);
        registry.series(SeriesDef {
            tenant: Tenant::default(),
            metric: "lost".into(),
            entity: EntityKey(0),
            labels,
            kind: SeriesKind::Gauge,
            unit: "".into(),
        });
    }
}

fn lost_entity(id: u32) -> EntityId {
    EntityId::new("lost", "lost", &id.to_string())
}

fn series_kind(byte: u8) -> SeriesKind {
    match byte {
        1 => SeriesKind::Counter,
        2 => SeriesKind::Delta,
        3 => SeriesKind::Derived,
        _ => SeriesKind::Gauge,
    }
}

// ---- primitives

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// A scrape gives all its rows one time: that takes nine bytes instead of eight a row.
fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    let first = times.first().copied().unwrap_or(0);
    if times.iter().all(|t| *t == first) {
        out.push(0);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    out.push(1);
    out.extend_from_slice(bytemuck::cast_slice(times));
}

fn put_entities(out: &mut Vec<u8>, entities: &[EntityKey]) {
    for entity in entities {
        put_u32(out, entity.0);
    }
}

fn put_column(out: &mut Vec<u8>, column: &Text) {
    for pair in column.offsets.windows(2) {
        put_u32(out, (pair[1] - pair[0]) as u32);
    }
    put_bytes(out, &column.bytes);
}

/// Reads from the front of a slice; every method gives `None` at its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(part)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|b| b[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn pods<T: bytemuck::Pod>(&mut self, n: usize) -> Option<Vec<T>> {
        let bytes = self.take(n.checked_mul(size_of::<T>())?)?;
        let mut column = vec![T::zeroed(); n];
        bytemuck::cast_slice_mut::<T, u8>(&mut column).copy_from_slice(bytes);
        Some(column)
    }

    fn times(&mut self, n: usize) -> Option<Vec<i64>> {
        match self.u8()? {
            // The rows behind a constant time are at least a byte each, so damage cannot ask for more than that.
            0 => {
                let time = self.i64()?;
                (n <= self.0.len()).then(|| vec![time; n])
            }
            1 => self.pods(n),
            _ => None,
        }
    }

    fn entities(&mut self, n: usize) -> Option<Vec<EntityKey>> {
        Some(self.pods::<u32>(n)?.into_iter().map(EntityKey).collect())
    }

    fn column(&mut self, n: usize) -> Option<Text> {
        let lengths = self.pods::<u32>(n)?;
        let bytes = self.bytes()?.to_vec();
        let mut offsets = Vec::with_capacity(n + 1);
        offsets.push(0i32);
        let mut end = 0i32;
        for length in lengths {
            end = end.checked_add(i32::try_from(length).ok()?)?;
            offsets.push(end);
        }
        (end as usize == bytes.len()).then_some(Text { offsets, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_batch() -> Batch {
        let mut batch = Batch { learned: Time(77), ..Batch::default() };
        batch.samples.push(SeriesId(3), 10, 1.5);
        batch.samples.push(SeriesId(4), 10, f64::from_bits(0x7ff0_0000_0000_0002));
        batch.events.push(11, EntityKey(2), "change.deployment", r#"{"version":"2"}"#);
        let records = &mut batch.records;
        for (i, line) in ["one ß", "", "three"].iter().enumerate() {
            records.time.push(20 + i as i64);
            records.resource.push(ResourceId(1));
            records.entity.push(EntityKey(1));
            records.severity.push(9);
            records.template.push(TemplateId(i as u32));
            records.body.push(line);
            records.attributes.push("");
            records.trace_id.push([i as u8; 16]);
            records.span_id.push([i as u8; 8]);
        }
        batch
    }

    #[test]
    fn a_batch_round_trips_with_its_bit_patterns() {
        let batch = sample_batch();
        let mut frame = Frame::of_batch(&batch, Some(5));
        frame.header.learned = 77;
        let mut bytes = Vec::new();
        frame.write_to(&mut bytes);
        let Some((0, Found::Frame(header, payload))) = frames(&bytes).next() else { panic!("no frame") };
        assert_eq!((header.rows, header.time_min, header.time_max, header.request_hash), (6, 10, 22, 5));
        let plain = plain_payload(&header, payload).unwrap();
        let back = read_batch(&header, &plain).unwrap();
        assert_eq!(back.samples.value[1].to_bits(), batch.samples.value[1].to_bits());
        assert_eq!(back.records, batch.records);
        assert_eq!(back.events, batch.events);
    }

    #[test]
    fn no_cut_of_a_payload_is_read_as_a_batch() {
        let batch = sample_batch();
        let mut plain = Vec::new();
        write_batch(&batch, &mut plain);
        let header = FrameHeader::empty(FrameKind::Data, 1);
        for end in 0..plain.len() {
            assert!(read_batch(&header, &plain[..end]).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn the_place_is_found_again_behind_garbage() {
        let mut bytes = b"noise BWFR noise".to_vec();
        bytes.extend_from_slice(&Frame::commit(Position(9)));
        let found: Vec<_> = frames(&bytes).collect();
        assert!(matches!(found[0].1, Found::Garbage { bytes: 16 }));
        assert!(matches!(found[1].1, Found::Frame(h, _) if h.sequence == 9));
    }

    #[test]
    fn lost_definitions_leave_later_ids_in_place() {
        let mut all = Registry::default();
        let names = ["a", "b", "c"].map(|n| EntityId::new("service", "shop", n));
        let first = all.entity(&names[0]);
        let (_, mark) = write_definitions(&all, Watermark::default());
        let def = |metric: &str, entity| SeriesDef {
            tenant: Tenant::default(),
            metric: metric.into(),
            entity,
            labels: LabelSet::default(),
            kind: SeriesKind::Counter,
            unit: "s".into(),
        };
        all.series(def("x", first));
        all.entity(&names[1]);
        let (_, mark) = write_definitions(&all, Watermark { entities: mark.entities + 1, series: 1, ..mark });
        let third = all.entity(&names[2]);
        let series = all.series(def("y", third));
        all.template(TemplateDef { id: TemplateId(1), text: "t <*>".into() });
        let (bytes, _) = write_definitions(&all, mark);
        let mut back = Registry::default();
        read_definitions(&bytes.unwrap(), &mut back).unwrap();
        assert_eq!(back.entity_id(third), Some(&names[2]));
        assert_eq!(back.series_def(series), all.series_def(series));
        assert_eq!(&*back.template_def(TemplateId(1)).unwrap().text, "t <*>");
    }
}
