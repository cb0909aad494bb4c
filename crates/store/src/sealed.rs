//! Sealed files: Parquet, one signal, tenant and day each, with a checksum for every block of 64 KiB.
//!
//! Records, spans and events are stored as their columns, in order of time. Samples are sorted by metric, series and
//! time, and their values are stored so that they compress: a value that is a short decimal (or a multiple of a power
//! of two) is an integer, the integer is stored as its difference to the one before of the same series, zigzag, split
//! by bytes; a value that is neither is stored as it is. Decoding gives back every bit, those of NaN included.
//!
//! | column of samples | meaning |
//! |---|---|
//! | `metric` | name, for readers other than this program |
//! | `series` | dense id |
//! | `time` | ns |
//! | `learned` | index in the table `bellwether.learned` of the file's metadata; 0: learned = time |
//! | `scale` | s > 0: value = integer / 10^s; s <= 0: value = integer * 2^-s |
//! | `step` | zigzag of the integer minus the one before in this series and row group; null: see `raw` |
//! | `raw` | the value itself; null: see `step` |

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
        RecordBatch, RecordBatchReader, StringArray, UInt8Array, UInt32Array,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, UInt32Type},
    error::ArrowError,
};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, RowGroupMetaData},
        properties::{EnabledStatistics, WriterProperties},
        reader::{ChunkReader, Length},
        statistics::Statistics,
    },
    schema::types::ColumnPath,
};
use types::{Batch, EntityKey, Registry, SeriesId, Tenant, Text};

use crate::hot::LateRows;

/// Bytes under one checksum.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// Rows of a row group of samples.
const SAMPLE_GROUP_ROWS: usize = 256 << 10;
/// Rows of a row group of the other signals.
const TEXT_GROUP_ROWS: usize = 64 << 10;
/// Key of the table of `learned` times in a file's metadata.
const LEARNED_KEY: &str = "bellwether.learned";

/// The four shapes that are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    #[default]
    Samples,
    Records,
    Spans,
    Events,
}

impl Signal {
    pub const ALL: [Signal; 4] = [Signal::Samples, Signal::Records, Signal::Spans, Signal::Events];

    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Samples => "samples",
            Signal::Records => "records",
            Signal::Spans => "spans",
            Signal::Events => "events",
        }
    }

    pub fn parse(text: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// When the rows of this shape in a batch happened.
    pub fn times(self, batch: &Batch) -> &[i64] {
        match self {
            Signal::Samples => &batch.samples.time,
            Signal::Records => &batch.records.time,
            Signal::Spans => &batch.spans.time,
            Signal::Events => &batch.events.time,
        }
    }
}

/// One sealed file, as the manifest knows it.
#[derive(Default, Debug)]
pub(crate) struct SealedFile {
    pub id: i64,
    pub signal: Signal,
    pub tenant: Tenant,
    /// Day of its rows, UTC, `2026-11-23`.
    pub date: String,
    /// Relative to the folder `data`.
    pub name: String,
    pub path: PathBuf,
    pub rows: u64,
    pub bytes: u64,
    pub time_min: i64,
    pub time_max: i64,
    /// First and last position of the log that it holds rows of.
    pub position_first: u64,
    pub position_last: u64,
    pub learned_max: i64,
    pub late: LateRows,
    /// CRC32C of each block.
    pub sums: Vec<u32>,
    /// Read once; a damaged footer is tried again each time.
    pub footer: OnceLock<Arc<Footer>>,
    /// Taken out of the manifest: the file is removed when the last reader is done with it.
    pub doomed: Doomed,
}

/// Removes a file when it is dropped, once it was told which.
#[derive(Default, Debug)]
pub(crate) struct Doomed(OnceLock<PathBuf>);

impl Drop for Doomed {
    fn drop(&mut self) {
        if let Some(path) = self.0.get() {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Footer {
    pub metadata: ArrowReaderMetadata,
    /// Times of learning; index 0 stands for the row's own time.
    learned: Vec<i64>,
}

/// Why a part of a file could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{file}: {what}")]
pub(crate) struct BadPart {
    pub file: String,
    pub what: String,
    pub rows: u64,
}

/// A sealed file opened for reading; every block read is checked.
pub(crate) struct Checked<'a> {
    file: File,
    meta: &'a SealedFile,
}

#[derive(Clone)]
struct CheckedReader {
    file: Arc<File>,
    sums: Arc<[u32]>,
    bytes: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("block {0} does not match its checksum")]
struct BadBlock(usize);

impl CheckedReader {
    fn block_range(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        if end > self.bytes {
            return Err(ParquetError::EOF(format!("asked for byte {end} of {}", self.bytes)));
        }
        let first = start as usize / BLOCK_BYTES;
        let aligned = (first * BLOCK_BYTES) as u64;
        let aligned_end = end.next_multiple_of(BLOCK_BYTES as u64).min(self.bytes);
        let mut bytes = vec![0u8; (aligned_end - aligned) as usize];
        self.file
            .read_exact_at(&mut bytes, aligned)
            .map_err(|e| ParquetError::General(format!("could not read the file: {e}")))?;
        for (n, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            if self.sums.get(first + n) != Some(&crc32c::crc32c(block)) {
                return Err(ParquetError::External(Box::new(BadBlock(first + n))));
            }
        }
        Ok(Bytes::from(bytes).slice((start - aligned) as usize..(end - aligned) as usize))
    }
}

impl Length for CheckedReader {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for CheckedReader {
    type T = BlockCursor;

    fn get_read(&self, start: u64) -> parquet::errors::Result<BlockCursor> {
        Ok(BlockCursor { reader: self.clone(), at: start, block: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.block_range(start, length)
    }
}

/// Reads on from an offset, one checked block at a time.
pub(crate) struct BlockCursor {
    reader: CheckedReader,
    at: u64,
    block: Bytes,
}

impl Read for BlockCursor {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.block.is_empty() {
            let end = (self.at + 1).next_multiple_of(BLOCK_BYTES as u64).min(self.reader.bytes);
            let length = end.saturating_sub(self.at) as usize;
            if length == 0 {
                return Ok(0);
            }
            self.block = self.reader.block_range(self.at, length).map_err(std::io::Error::other)?;
            self.at = end;
        }
        let n = out.len().min(self.block.len());
        out[..n].copy_from_slice(&self.block.split_to(n));
        Ok(n)
    }
}

impl<'a> Checked<'a> {
    pub fn open(meta: &'a SealedFile) -> Result<Checked<'a>, BadPart> {
        match File::open(&meta.path) {
            Ok(file) => Ok(Checked { file, meta }),
            Err(error) => Err(meta.bad(format!("could not be opened: {error}"), meta.rows)),
        }
    }

    fn reader(&self) -> Result<CheckedReader, BadPart> {
        let file = self.file.try_clone().map_err(|e| self.meta.bad(e.to_string(), self.meta.rows))?;
        Ok(CheckedReader { file: Arc::new(file), sums: self.meta.sums.as_slice().into(), bytes: self.meta.bytes })
    }

    pub fn footer(&self) -> Result<Arc<Footer>, BadPart> {
        if let Some(footer) = self.meta.footer.get() {
            return Ok(footer.clone());
        }
        let bad = |what: String| self.meta.bad(what, self.meta.rows);
        let metadata = ArrowReaderMetadata::load(&self.reader()?, ArrowReaderOptions::new());
        let metadata = metadata.map_err(|e| bad(format!("its footer is damaged: {e}")))?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let table = pairs.and_then(|p| p.iter().find(|p| p.key == LEARNED_KEY)).and_then(|p| p.value.as_deref());
        let learned = match table {
            Some(text) => decode_learned(text).ok_or_else(|| bad("its table of learned times is damaged".into()))?,
            None => vec![0],
        };
        let footer = Arc::new(Footer { metadata, learned });
        Ok(self.meta.footer.get_or_init(|| footer).clone())
    }

    /// One row group with the named columns, in the file's order of columns.
    pub fn group(&self, footer: &Footer, group: usize, columns: &[&str]) -> Result<RecordBatch, BadPart> {
        let rows = footer.metadata.metadata().row_group(group).num_rows() as u64;
        let bad = |what: String| self.meta.bad(format!("row group {group}: {what}"), rows);
        let schema = footer.metadata.parquet_schema();
        let mask = ProjectionMask::columns(schema, columns.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.reader()?, footer.metadata.clone())
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(rows as usize)
            .build()
            .map_err(|e| bad(e.to_string()))?;
        let schema = reader.schema();
        let batches: Result<Vec<RecordBatch>, ArrowError> = reader.collect();
        let batches = batches.map_err(|e| bad(e.to_string()))?;
        let batch = concat_batches(&schema, &batches).map_err(|e| bad(e.to_string()))?;
        if batch.num_rows() as u64 != rows {
            return Err(bad(format!("{} rows instead of {rows}", batch.num_rows())));
        }
        Ok(batch)
    }

    /// One row group of samples, decoded.
    pub fn samples(&self, footer: &Footer, group: usize, need: SampleColumns) -> Result<SampleRows, BadPart> {
        let mut columns = vec!["series", "time"];
        if need.learned {
            columns.push("learned");
        }
        if need.value {
            columns.extend(["scale", "step", "raw"]);
        }
        let batch = self.group(footer, group, &columns)?;
        let bad = || self.meta.bad(format!("row group {group} has not the columns of samples"), self.meta.rows);
        decode_samples(&batch, &footer.learned, need).ok_or_else(bad)
    }

    /// Reads everything once; for the offline check.
    pub fn blocks(&self) -> Vec<usize> {
        let Ok(reader) = self.reader() else { return vec![0] };
        let count = (self.meta.bytes as usize).div_ceil(BLOCK_BYTES);
        let length = |n: usize| BLOCK_BYTES.min(self.meta.bytes as usize - n * BLOCK_BYTES);
        (0..count).filter(|n| reader.block_range((n * BLOCK_BYTES) as u64, length(*n)).is_err()).collect()
    }
}

impl SealedFile {
    /// Lets the file be removed when nobody reads it any more.
    pub fn doom(&self) {
        let _ = self.doomed.0.set(self.path.clone());
    }

    fn bad(&self, what: String, rows: u64) -> BadPart {
        BadPart { file: self.name.clone(), what, rows }
    }
}

/// Smallest and largest value of a column in a row group; `None` where the file does not say.
pub(crate) fn int_range(group: &RowGroupMetaData, column: &str) -> Option<(i64, i64)> {
    let column = group.columns().iter().find(|c| c.column_path().string() == column)?;
    match column.statistics()? {
        Statistics::Int64(s) => Some((*s.min_opt()?, *s.max_opt()?)),
        Statistics::Int32(s) => Some((i64::from(*s.min_opt()?), i64::from(*s.max_opt()?))),
        _ => None,
    }
}

/// Smallest and largest text of a column in a row group.
pub(crate) fn text_range(group: &RowGroupMetaData, column: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let column = group.columns().iter().find(|c| c.column_path().string() == column)?;
    match column.statistics()? {
        Statistics::ByteArray(s) if s.min_is_exact() && s.max_is_exact() => {
            Some((s.min_opt()?.data().to_vec(), s.max_opt()?.data().to_vec()))
        }
        _ => None,
    }
}

// ---- samples

/// Which columns of samples a read needs beside series and time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SampleColumns {
    pub learned: bool,
    pub value: bool,
}

/// Decoded samples; columns that were not asked for are empty.
#[derive(Default, Debug, Clone)]
pub(crate) struct SampleRows {
    pub series: Vec<u32>,
    pub time: Vec<i64>,
    pub learned: Vec<i64>,
    pub value: Vec<f64>,
}

/// A part of what goes into a file of samples.
pub(crate) struct SampleSource<'a> {
    pub series: &'a [u32],
    pub time: &'a [i64],
    pub value: &'a [f64],
    pub learned: LearnedColumn<'a>,
}

pub(crate) enum LearnedColumn<'a> {
    /// All rows at once; `None`: each at its own time (history).
    Same(Option<i64>),
    Rows(&'a [i64]),
}

/// A file's bytes with what the manifest needs to know.
#[derive(Default, Debug)]
pub(crate) struct Encoded {
    pub bytes: Vec<u8>,
    pub rows: u64,
    pub time_min: i64,
    pub time_max: i64,
    /// Rows left out because the same series and time came again with another value.
    pub replaced: u64,
}

/// Sorts samples by metric, series and time in linear time (for rows in order), drops repeated ones, and encodes them.
/// Later sources win. Only rows with a time in `day` are taken.
pub(crate) fn encode_samples(
    sources: &[SampleSource<'_>],
    day: std::ops::Range<i64>,
    metrics: impl FnOnce(&[u32]) -> Vec<Arc<str>>,
) -> Result<Encoded, ParquetError> {
    let (order, metric_of) = series_in_order(sources, &day, metrics);
    let (mut rows, starts, table) = scatter(sources, &day, &order);
    let replaced = tidy_runs(&mut rows, &starts);
    write_samples(&rows.0, &rows.1, &metric_of, &table, replaced)
}

/// Distinct series by metric and id, and their metrics.
fn series_in_order(
    sources: &[SampleSource<'_>],
    day: &std::ops::Range<i64>,
    metrics: impl FnOnce(&[u32]) -> Vec<Arc<str>>,
) -> (Vec<(u32, usize)>, BTreeMap<u32, Arc<str>>) {
    let mut counts: Vec<usize> = Vec::new();
    for source in sources {
        for (series, time) in source.series.iter().zip(source.time) {
            if day.contains(time) {
                let at = *series as usize;
                if at >= counts.len() {
                    counts.resize(at + 1, 0);
                }
                counts[at] += 1;
            }
        }
    }
    let ids: Vec<u32> = (0..counts.len()).filter(|i| counts[*i] > 0).map(|i| i as u32).collect();
    let names = metrics(&ids);
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by(|a, b| names[*a].cmp(&names[*b]).then(ids[*a].cmp(&ids[*b])));
    let counted = order.iter().map(|i| (ids[*i], counts[ids[*i] as usize])).collect();
    (counted, ids.iter().copied().zip(names).collect())
}

/// Rows in order of series, each series' rows in order of arrival, with the start of each run.
fn scatter(
    sources: &[SampleSource<'_>],
    day: &std::ops::Range<i64>,
    order: &[(u32, usize)],
) -> ((SampleRows, Vec<u32>), Vec<usize>, Vec<i64>) {
    let total: usize = order.iter().map(|(_, n)| n).sum();
    let mut next = vec![0usize; order.iter().map(|(s, _)| *s as usize + 1).max().unwrap_or(0)];
    let mut starts = Vec::with_capacity(order.len() + 1);
    let mut at = 0;
    for (series, count) in order {
        next[*series as usize] = at;
        starts.push(at);
        at += count;
    }
    starts.push(total);
    let table = learned_table(sources);
    let mut rows =
        SampleRows { series: vec![0; total], time: vec![0; total], value: vec![0.0; total], learned: Vec::new() };
    let mut learned = vec![0u32; total];
    for source in sources {
        let mut index = 0;
        let mut indexed = None;
        for i in 0..source.series.len() {
            let (series, time) = (source.series[i], source.time[i]);
            if !day.contains(&time) {
                continue;
            }
            let when = match &source.learned {
                LearnedColumn::Same(when) => *when,
                LearnedColumn::Rows(all) => Some(all[i]).filter(|l| *l != time),
            };
            if indexed != Some(when) {
                index = when.map_or(0, |w| table.binary_search(&w).map_or(0, |n| n as u32 + 1));
                indexed = Some(when);
            }
            let slot = &mut next[series as usize];
            rows.series[*slot] = series;
            rows.time[*slot] = time;
            rows.value[*slot] = source.value[i];
            learned[*slot] = index;
            *slot += 1;
        }
    }
    ((rows, learned), starts, table)
}

fn learned_table(sources: &[SampleSource<'_>]) -> Vec<i64> {
    let mut table = Vec::new();
    for source in sources {
        match &source.learned {
            LearnedColumn::Same(when) => table.extend(*when),
            LearnedColumn::Rows(all) => {
                let before = table.len();
                table.extend(all.iter().zip(source.time).filter(|(l, t)| l != t).map(|(l, _)| *l));
                table[before..].sort_unstable();
                let mut kept = before;
                for i in before..table.len() {
                    if i == before || table[i] != table[kept - 1] {
                        table[kept] = table[i];
                        kept += 1;
                    }
                }
                table.truncate(kept);
            }
        }
    }
    table.sort_unstable();
    table.dedup();
    table
}

/// Puts each run in order of time and keeps the last of several rows of one time. Gives how many values were replaced.
fn tidy_runs(rows: &mut (SampleRows, Vec<u32>), starts: &[usize]) -> u64 {
    let (rows, learned) = (&mut rows.0, &mut rows.1);
    let mut replaced = 0;
    let mut kept = 0;
    for run in starts.windows(2) {
        let (start, end) = (run[0], run[1]);
        let in_order = rows.time[start..end].windows(2).all(|w| w[0] < w[1]);
        let mut order: Vec<usize> = Vec::new();
        if !in_order {
            order = (start..end).collect();
            order.sort_by_key(|i| rows.time[*i]);
            let mut last: Vec<usize> = Vec::with_capacity(order.len());
            for i in order {
                match last.last_mut() {
                    Some(previous) if rows.time[*previous] == rows.time[i] => {
                        replaced += u64::from(rows.value[*previous].to_bits() != rows.value[i].to_bits());
                        *previous = i;
                    }
                    _ => last.push(i),
                }
            }
            order = last;
            let picked: Vec<(i64, f64, u32)> =
                order.iter().map(|i| (rows.time[*i], rows.value[*i], learned[*i])).collect();
            for (i, (time, value, when)) in picked.into_iter().enumerate() {
                (rows.time[start + i], rows.value[start + i], learned[start + i]) = (time, value, when);
            }
        }
        let count = if in_order { end - start } else { order.len() };
        if kept != start {
            rows.series.copy_within(start..start + count, kept);
            rows.time.copy_within(start..start + count, kept);
            rows.value.copy_within(start..start + count, kept);
            learned.copy_within(start..start + count, kept);
        }
        kept += count;
    }
    rows.series.truncate(kept);
    rows.time.truncate(kept);
    rows.value.truncate(kept);
    learned.truncate(kept);
    replaced
}

fn sample_schema() -> SchemaRef {
    let metric = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("metric", metric, false),
        Field::new("series", DataType::UInt32, false),
        Field::new("time", DataType::Int64, false),
        Field::new("learned", DataType::Int32, false),
        Field::new("scale", DataType::Int32, false),
        Field::new("step", DataType::Int64, true),
        Field::new("raw", DataType::Float64, true),
    ]))
}

fn write_samples(
    rows: &SampleRows,
    learned: &[u32],
    metric_of: &BTreeMap<u32, Arc<str>>,
    table: &[i64],
    replaced: u64,
) -> Result<Encoded, ParquetError> {
    let split = |b: parquet::file::properties::WriterPropertiesBuilder, name: &str| {
        let path = ColumnPath::from(name);
        b.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
    };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(SAMPLE_GROUP_ROWS))
        .set_data_page_size_limit(4 << 20)
        .set_data_page_row_count_limit(SAMPLE_GROUP_ROWS)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![KeyValue::new(LEARNED_KEY.to_owned(), encode_learned(table))]))
        .set_column_dictionary_enabled(ColumnPath::from("time"), false)
        .set_column_encoding(ColumnPath::from("time"), Encoding::DELTA_BINARY_PACKED);
    for name in ["learned", "step", "raw"] {
        properties = split(properties, name);
    }
    let schema = sample_schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties.build()))?;
    let mut at = 0;
    while at < rows.series.len() {
        let end = (at + SAMPLE_GROUP_ROWS).min(rows.series.len());
        writer.write(&sample_group(rows, learned, metric_of, at..end, &schema)?)?;
        writer.flush()?;
        at = end;
    }
    let bytes = writer.into_inner()?;
    Ok(Encoded {
        bytes,
        rows: rows.series.len() as u64,
        time_min: rows.time.iter().copied().min().unwrap_or(0),
        time_max: rows.time.iter().copied().max().unwrap_or(0),
        replaced,
    })
}

fn sample_group(
    rows: &SampleRows,
    learned: &[u32],
    metric_of: &BTreeMap<u32, Arc<str>>,
    range: std::ops::Range<usize>,
    schema: &SchemaRef,
) -> Result<RecordBatch, ParquetError> {
    let n = range.len();
    let mut group = EncodedValues::with_capacity(n);
    let mut metrics: Vec<&str> = Vec::new();
    let mut metric_keys = Vec::with_capacity(n);
    // Learned is kept as the step from the row before of the same series, like the values.
    let mut learned_steps = Vec::with_capacity(n);
    let mut at = range.start;
    while at < range.end {
        let series = rows.series[at];
        let length = rows.series[at..range.end].iter().take_while(|s| **s == series).count();
        let metric = metric_of.get(&series).map_or("", |m| m);
        if metrics.last() != Some(&metric) {
            metrics.push(metric);
        }
        metric_keys.resize(metric_keys.len() + length, metrics.len() as i32 - 1);
        group.push_run(&rows.value[at..at + length]);
        let mut before = 0;
        for index in &learned[at..at + length] {
            learned_steps.push(zigzag32(*index as i32 - before));
            before = *index as i32;
        }
        at += length;
    }
    let metric = DictionaryArray::try_new(Int32Array::from(metric_keys), Arc::new(StringArray::from(metrics)))?;
    let nulls = |present: &[bool]| present.contains(&false).then(|| NullBuffer::from(present.to_vec()));
    let is_raw: Vec<bool> = group.is_step.iter().map(|s| !s).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(metric),
        Arc::new(UInt32Array::from(rows.series[range.clone()].to_vec())),
        Arc::new(Int64Array::from(rows.time[range].to_vec())),
        Arc::new(Int32Array::from(learned_steps)),
        Arc::new(Int32Array::from(group.scale)),
        Arc::new(Int64Array::new(group.step.into(), nulls(&group.is_step))),
        Arc::new(Float64Array::new(group.raw.into(), nulls(&is_raw))),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

struct EncodedValues {
    scale: Vec<i32>,
    step: Vec<i64>,
    raw: Vec<f64>,
    is_step: Vec<bool>,
}

const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The integer that gives back exactly these bits when divided by 10^scale.
fn decimal(value: f64, scale: usize) -> Option<i64> {
    let power = POWERS[scale];
    let rounded = (value * power).round_ties_even();
    let integer = rounded as i64;
    // By way of the integer, so that a negative zero is not one.
    let exact = rounded.abs() < EXACT && (integer as f64 / power).to_bits() == value.to_bits();
    exact.then_some(integer)
}

/// The smallest scale that all values of a run fit, but for a few that are stored raw; `None`: most do not fit.
fn choose_scale(values: &[f64]) -> Option<i32> {
    let mut scale = 0;
    let mut odd = 0;
    let allowed = values.len() / 16;
    let mut zeros = 53;
    for value in values {
        if !value.is_finite() {
            odd += 1;
        } else if let Some(integer) = decimal(*value, scale) {
            zeros = if integer == 0 { zeros } else { zeros.min(integer.trailing_zeros()) };
        } else {
            match (scale + 1..POWERS.len()).find(|s| decimal(*value, *s).is_some()) {
                Some(larger) => scale = larger,
                None => odd += 1,
            }
        }
        if odd > allowed.max(1) && odd * 16 > values.len() {
            return None;
        }
    }
    Some(if scale == 0 && zeros >= 2 { -(zeros.min(52) as i32) } else { scale as i32 })
}

impl EncodedValues {
    fn with_capacity(n: usize) -> EncodedValues {
        EncodedValues {
            scale: Vec::with_capacity(n),
            step: Vec::with_capacity(n),
            raw: Vec::with_capacity(n),
            is_step: Vec::with_capacity(n),
        }
    }

    fn push_run(&mut self, values: &[f64]) {
        let scale = choose_scale(values);
        self.scale.resize(self.scale.len() + values.len(), scale.unwrap_or(0));
        let mut before = 0i64;
        for value in values {
            let integer = match scale {
                None => None,
                Some(s) if s > 0 => decimal(*value, s as usize),
                Some(s) => decimal(*value, 0).filter(|i| i & ((1 << -s) - 1) == 0).map(|i| i >> -s),
            };
            let step = integer.map(|i| zigzag(i.wrapping_sub(before)));
            before = integer.unwrap_or(before);
            self.step.push(step.unwrap_or(0));
            self.raw.push(if step.is_some() { 0.0 } else { *value });
            self.is_step.push(step.is_some());
        }
    }
}

fn decode_samples(batch: &RecordBatch, table: &[i64], need: SampleColumns) -> Option<SampleRows> {
    let series = batch.column_by_name("series")?.as_primitive_opt::<UInt32Type>()?.values().to_vec();
    let time = batch.column_by_name("time")?.as_primitive_opt::<Int64Type>()?.values().to_vec();
    let mut rows = SampleRows { series, time, ..SampleRows::default() };
    let n = rows.series.len();
    if need.learned {
        let steps = batch.column_by_name("learned")?.as_primitive_opt::<Int32Type>()?.values();
        rows.learned.reserve(n);
        let mut index = 0i32;
        for i in 0..n {
            let first = i == 0 || rows.series[i] != rows.series[i - 1];
            index = if first { 0 } else { index }.wrapping_add(unzigzag32(steps[i]));
            rows.learned.push(if index == 0 { rows.time[i] } else { *table.get(index as usize)? });
        }
    }
    if need.value {
        let scale = batch.column_by_name("scale")?.as_primitive_opt::<Int32Type>()?.values();
        let step = batch.column_by_name("step")?.as_primitive_opt::<Int64Type>()?;
        let raw = batch.column_by_name("raw")?.as_primitive_opt::<Float64Type>()?;
        rows.value.reserve(n);
        let mut integer = 0i64;
        for i in 0..n {
            if i == 0 || rows.series[i] != rows.series[i - 1] {
                integer = 0;
            }
            if step.is_null(i) {
                rows.value.push(raw.value(i));
                continue;
            }
            integer = integer.wrapping_add(unzigzag(step.value(i)));
            rows.value.push(match scale[i] {
                s if s > 0 => integer as f64 / POWERS.get(s as usize)?,
                s => integer as f64 * (1u64 << (-s).min(63)) as f64,
            });
        }
    }
    Some(rows)
}

fn zigzag(value: i64) -> i64 {
    (value << 1) ^ (value >> 63)
}

fn unzigzag(value: i64) -> i64 {
    ((value as u64) >> 1) as i64 ^ -(value & 1)
}

fn zigzag32(value: i32) -> i32 {
    (value << 1) ^ (value >> 31)
}

fn unzigzag32(value: i32) -> i32 {
    ((value as u32) >> 1) as i32 ^ -(value & 1)
}

/// Differences as LEB128, in hexadecimal: text metadata takes only UTF-8.
fn encode_learned(table: &[i64]) -> String {
    let mut bytes = Vec::with_capacity(table.len() * 4);
    let mut before = 0i64;
    for when in table {
        let mut step = zigzag(when.wrapping_sub(before)) as u64;
        before = *when;
        while step >= 0x80 {
            bytes.push(step as u8 | 0x80);
            step >>= 7;
        }
        bytes.push(step as u8);
    }
    crate::metadata::hex(&bytes)
}

fn decode_learned(text: &str) -> Option<Vec<i64>> {
    let mut table = vec![0];
    let (mut before, mut step, mut shift) = (0i64, 0u64, 0);
    for pair in text.as_bytes().chunks(2) {
        let byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        step |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            before = before.wrapping_add(unzigzag(step as i64));
            table.push(before);
            (step, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(table)
}

// ---- records, spans, events

/// The stored columns of a signal other than samples.
pub(crate) fn storage_schema(signal: Signal) -> SchemaRef {
    let number = |name: &str, kind: DataType| Field::new(name, kind, false);
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let id = |name: &str, width| Field::new(name, DataType::FixedSizeBinary(width), false);
    let fields = match signal {
        Signal::Samples => return sample_schema(),
        Signal::Records => vec![
            number("time", DataType::Int64),
            number("learned", DataType::Int64),
            number("resource", DataType::UInt32),
            number("entity", DataType::UInt32),
            number("severity", DataType::UInt8),
            number("template", DataType::UInt32),
            text("body"),
            text("attributes"),
            id("trace_id", 16),
            id("span_id", 8),
        ],
        Signal::Spans => vec![
            number("time", DataType::Int64),
            number("learned", DataType::Int64),
            number("duration_ns", DataType::Int64),
            number("resource", DataType::UInt32),
            number("entity", DataType::UInt32),
            text("name"),
            number("kind", DataType::UInt8),
            number("status", DataType::UInt8),
            id("trace_id", 16),
            id("span_id", 8),
            id("parent_span_id", 8),
            text("attributes"),
        ],
        Signal::Events => vec![
            number("time", DataType::Int64),
            number("learned", DataType::Int64),
            number("entity", DataType::UInt32),
            text("kind"),
            text("attributes"),
        ],
    };
    Arc::new(Schema::new(fields))
}

/// A batch's rows of one signal as stored columns (all of them, by the names asked for).
pub(crate) fn hot_columns(signal: Signal, batch: &Batch, names: &[&str]) -> Result<RecordBatch, ArrowError> {
    let schema = storage_schema(signal);
    let times = signal.times(batch);
    let mut fields = Vec::with_capacity(names.len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(names.len());
    for field in schema.fields().iter().filter(|f| names.contains(&f.name().as_str())) {
        columns.push(hot_column(signal, batch, times, field.name())?);
        fields.push(field.clone());
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(times.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn hot_column(signal: Signal, batch: &Batch, times: &[i64], name: &str) -> Result<ArrayRef, ArrowError> {
    let (records, spans, events) = (&batch.records, &batch.spans, &batch.events);
    let ints = |v: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(v.to_vec())) };
    let bytes = |v: &[u8]| -> ArrayRef { Arc::new(UInt8Array::from(v.to_vec())) };
    let entities = |v: &[EntityKey]| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(v.iter().map(|e| e.0))) };
    Ok(match (signal, name) {
        (_, "time") => ints(times),
        (_, "learned") if batch.backfill => ints(times),
        (_, "learned") => Arc::new(Int64Array::from(vec![batch.learned.0; times.len()])),
        (Signal::Records, "resource") => Arc::new(UInt32Array::from_iter_values(records.resource.iter().map(|r| r.0))),
        (Signal::Records, "entity") => entities(&records.entity),
        (Signal::Records, "severity") => bytes(&records.severity),
        (Signal::Records, "template") => Arc::new(UInt32Array::from_iter_values(records.template.iter().map(|t| t.0))),
        (Signal::Records, "body") => text_array(&records.body)?,
        (Signal::Records, "attributes") => text_array(&records.attributes)?,
        (Signal::Records, "trace_id") => id_array(&records.trace_id)?,
        (Signal::Records, "span_id") => id_array(&records.span_id)?,
        (Signal::Spans, "duration_ns") => ints(&spans.duration_ns),
        (Signal::Spans, "resource") => Arc::new(UInt32Array::from_iter_values(spans.resource.iter().map(|r| r.0))),
        (Signal::Spans, "entity") => entities(&spans.entity),
        (Signal::Spans, "name") => text_array(&spans.name)?,
        (Signal::Spans, "kind") => bytes(&spans.kind),
        (Signal::Spans, "status") => bytes(&spans.status),
        (Signal::Spans, "trace_id") => id_array(&spans.trace_id)?,
        (Signal::Spans, "span_id") => id_array(&spans.span_id)?,
        (Signal::Spans, "parent_span_id") => id_array(&spans.parent_span_id)?,
        (Signal::Spans, "attributes") => text_array(&spans.attributes)?,
        (Signal::Events, "entity") => entities(&events.entity),
        (Signal::Events, "kind") => text_array(&events.kind)?,
        (Signal::Events, "attributes") => text_array(&events.attributes)?,
        _ => return Err(ArrowError::SchemaError(format!("{} has no column {name}", signal.as_str()))),
    })
}

fn text_array(text: &Text) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(text.offsets.clone()));
    match StringArray::try_new(offsets, text.bytes.clone().into(), None) {
        Ok(array) => Ok(Arc::new(array)),
        // Bytes that are not UTF-8 read as empty, as `Text::get` has it.
        Err(_) => Ok(Arc::new(StringArray::from_iter_values(text.iter()))),
    }
}

fn id_array<const N: usize>(ids: &[[u8; N]]) -> Result<ArrayRef, ArrowError> {
    let bytes: &[u8] = bytemuck::cast_slice(ids);
    Ok(Arc::new(FixedSizeBinaryArray::try_new(N as i32, bytes.to_vec().into(), None)?))
}

/// Rows of one signal and day, in order of time, encoded.
pub(crate) fn encode_rows(
    signal: Signal,
    parts: &[RecordBatch],
    day: std::ops::Range<i64>,
) -> Result<Encoded, ParquetError> {
    let schema = storage_schema(signal);
    let all = concat_batches(&schema, parts)?;
    let times = all.column(0).as_primitive::<Int64Type>().values();
    let mut order: Vec<u32> = (0..all.num_rows() as u32).filter(|i| day.contains(&times[*i as usize])).collect();
    order.sort_by_key(|i| times[*i as usize]);
    let rows = order.len();
    let ends = order.first().zip(order.last()).map_or((0, 0), |(a, b)| (times[*a as usize], times[*b as usize]));
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(TEXT_GROUP_ROWS))
        .set_offset_index_disabled(true);
    for name in ["time", "learned", "duration_ns"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["body", "trace_id", "span_id", "parent_span_id"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?;
    for chunk in order.chunks(TEXT_GROUP_ROWS) {
        writer.write(&take_record_batch(&all, &UInt32Array::from(chunk.to_vec()))?)?;
        writer.flush()?;
    }
    Ok(Encoded { bytes: writer.into_inner()?, rows: rows as u64, time_min: ends.0, time_max: ends.1, replaced: 0 })
}

/// Writes a file durably under a temporary name and then its own, and gives the checksums of its blocks.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<Vec<u32>> {
    let parent = path.parent().ok_or_else(|| std::io::Error::other("a sealed file needs a folder"))?;
    create_dirs(parent)?;
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    let written = std::io::Write::write_all(&mut file, bytes).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| std::fs::rename(&temporary, path)) {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    crate::append::sync_dir(parent)?;
    Ok(bytes.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect())
}

fn create_dirs(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dirs(parent)?;
    }
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    dir.parent().map_or(Ok(()), crate::append::sync_dir)
}

/// Metric names of series, for [`encode_samples`].
pub(crate) fn metric_names(registry: &Registry, series: &[u32]) -> Vec<Arc<str>> {
    let mut shared: std::collections::HashMap<&str, Arc<str>> = std::collections::HashMap::new();
    let metric = |s: &u32| registry.series_def(SeriesId(*s)).map_or("", |d| &*d.metric);
    series.iter().map(|s| shared.entry(metric(s)).or_insert_with_key(|m| Arc::from(*m)).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_bit_by_bit() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from(i) * 0.25 + 0.01).collect();
        values.extend([0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, 5e-324]);
        values.push(f64::from_bits(0x7ff0_0000_0000_0002));
        values.extend((0..50).map(|i| 4096.0 * f64::from(i * 7919 % 100)));
        values.extend((0..50).map(|i| 1.0 / f64::from(i + 3)));
        values.extend([1e15, 9e15, 1e16, 0.1 + 0.2, -1.005, 123_456.789]);
        for run in [1, 7, 50, values.len()] {
            let mut source = SampleRows::default();
            for (i, value) in values.iter().enumerate() {
                source.series.push((i / run) as u32);
                source.time.push(i as i64);
                source.value.push(*value);
            }
            let part = SampleSource {
                series: &source.series,
                time: &source.time,
                value: &source.value,
                learned: LearnedColumn::Same(Some(9)),
            };
            let names = |ids: &[u32]| ids.iter().map(|_| Arc::from("m")).collect();
            let encoded = encode_samples(&[part], 0..i64::MAX, names).unwrap();
            let back = read_back(encoded);
            assert_eq!(back.series, source.series);
            assert_eq!(back.time, source.time);
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back.value), bits(&source.value), "runs of {run}");
            assert!(back.learned.iter().all(|l| *l == 9));
        }
    }

    #[test]
    fn the_last_of_two_values_wins_and_equal_rows_are_one() {
        let (series, time) = ([1, 1, 1, 1, 0], [10, 20, 10, 20, 5]);
        let value = [1.0, 2.0, 1.0, 3.0, 9.0];
        let part = SampleSource { series: &series, time: &time, value: &value, learned: LearnedColumn::Same(None) };
        let encoded =
            encode_samples(&[part], 0..100, |ids| ids.iter().map(|i| Arc::from(format!("m{}", 9 - i))).collect());
        let encoded = encoded.unwrap();
        assert_eq!((encoded.rows, encoded.replaced), (3, 1));
        let back = read_back(encoded);
        assert_eq!((back.series, back.time), (vec![1, 1, 0], vec![10, 20, 5]));
        assert_eq!((back.value, back.learned), (vec![1.0, 3.0, 9.0], vec![10, 20, 5]));
    }

    fn read_back(encoded: Encoded) -> SampleRows {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.parquet");
        let sums = write_file(&path, &encoded.bytes).unwrap();
        let file = SealedFile { path, sums, bytes: encoded.bytes.len() as u64, ..SealedFile::default() };
        let checked = Checked::open(&file).unwrap();
        let footer = checked.footer().unwrap();
        checked.samples(&footer, 0, SampleColumns { learned: true, value: true }).unwrap()
    }
}
