//! The engine as a checkpoint and back.
//!
//! One part for each analysis and one named `engine` with these pages: `loop` (cut, triggers, counters, changes, what
//! was said when), `findings`, `topology`, `pauses` (of edges of the map), `declared` (edges), `incidents`, `services`,
//! `tuning`, `desk` (alerts, silences, routes), `held` (rows of the future) and `waiting` (batches that some analysis
//! has yet to see). A page is written where its bytes changed since it was last written.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use incident::{Change, Grouper};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use types::{Batch, Edge, EdgeKind, EntityKey, Finding, FindingId, Stretch, Time, topology::EdgeKey};
use view::{Checkpoint, Pages};

use crate::{Counters, Engine, codec, desk::Desk, said::LastSaid, services::Services, tuning::Tuning};

/// Name of the engine's own part; no analysis may have it.
const PART: &str = "engine";
/// Raised when the bytes of the pages change meaning.
const SCHEMA: u32 = 1;

/// The page `loop`.
#[derive(Default, Serialize, Deserialize)]
struct Loop {
    slots: BTreeMap<String, SavedSlot>,
    first_recent: u64,
    said: BTreeMap<FindingId, LastSaid>,
    changes: Vec<Change>,
    counters: Counters,
}

#[derive(Default, Serialize, Deserialize)]
struct SavedSlot {
    last_run: Option<Time>,
    cursor: u64,
    due: Vec<Time>,
}

/// A finding whose floats are kept as bits: JSON would lose NaN, and the last digit of others.
#[derive(Serialize, Deserialize)]
struct SavedFinding {
    finding: Finding,
    bits: [u64; 4],
    band: Option<[u64; 3]>,
}

impl SavedFinding {
    fn new(finding: &Finding) -> SavedFinding {
        let bits = [finding.belief, finding.surprise, finding.impact, finding.observed].map(f64::to_bits);
        let band = finding.expected.map(|band| [band.mean, band.low, band.high].map(f64::to_bits));
        let plain =
            Finding { belief: 0.0, surprise: 0.0, impact: 0.0, observed: 0.0, expected: None, ..finding.clone() };
        SavedFinding { finding: plain, bits, band }
    }

    fn into_finding(self) -> Finding {
        let [belief, surprise, impact, observed] = self.bits.map(f64::from_bits);
        let expected = self.band.map(|bits| {
            let [mean, low, high] = bits.map(f64::from_bits);
            types::Band { mean, low, high }
        });
        Finding { belief, surprise, impact, observed, expected, ..self.finding }
    }
}

impl Engine {
    pub(crate) fn save(&mut self, all: bool) -> Checkpoint {
        let mut parts = BTreeMap::new();
        for slot in &mut self.slots {
            let mut pages = Pages::new();
            slot.state.save(all, &mut pages);
            if !pages.is_empty() {
                parts.insert(slot.analysis.name.to_owned(), (slot.state.schema(), pages));
            }
        }
        let mut own = self.own_pages();
        let hashes: BTreeMap<String, u64> = own.iter().map(|(name, bytes)| (name.clone(), hash(bytes))).collect();
        own.retain(|name, _| all || self.page_hashes.get(name) != hashes.get(name));
        self.page_hashes = hashes;
        parts.insert(PART.to_owned(), (SCHEMA, own));
        Checkpoint { cut: self.cut, parts }
    }

    pub(crate) fn load(&mut self, checkpoint: Checkpoint) {
        self.cut = checkpoint.cut;
        let mut parts = checkpoint.parts;
        let saved = match parts.remove(PART) {
            Some((SCHEMA, pages)) => self.load_own(&pages),
            Some((other, _)) => Err(format!("schema {other}, this program reads {SCHEMA}")),
            None => Err("is missing".to_owned()),
        };
        let saved = saved.unwrap_or_else(|e| {
            self.warnings.push(format!("the checkpoint's engine part cannot be used, starting it afresh: {e}"));
            Loop::default()
        });
        let end = self.first_recent + self.recent.len() as u64;
        for slot in &mut self.slots {
            let name = slot.analysis.name;
            // An analysis that is new here sees what comes from now on.
            slot.cursor = end;
            if let Some(known) = saved.slots.get(name) {
                slot.last_run = known.last_run;
                slot.cursor = known.cursor.min(end);
                slot.due = known.due.clone();
            }
            let Some((schema, pages)) = parts.get(name) else { continue };
            if let Err(e) = slot.state.load(*schema, pages) {
                self.warnings.push(format!("the state of {name} cannot be used, it learns afresh: {e}"));
                slot.state = (slot.analysis.new_state)(&slot.params);
            }
        }
    }

    fn own_pages(&self) -> Pages {
        let slot = |slot: &crate::Slot| {
            let saved = SavedSlot { last_run: slot.last_run, cursor: slot.cursor, due: slot.due.clone() };
            (slot.analysis.name.to_owned(), saved)
        };
        let page = Loop {
            slots: self.slots.iter().map(slot).collect(),
            first_recent: self.first_recent,
            said: self.said.clone(),
            changes: self.changes.clone(),
            counters: self.counters.clone(),
        };
        let findings: Vec<SavedFinding> = self.findings.iter().map(SavedFinding::new).collect();
        let topology: Vec<_> = self.topology.edges.iter().map(|((s, t, kind), edge)| (*s, *t, *kind, *edge)).collect();
        Pages::from([
            ("loop".to_owned(), to_json(&page)),
            ("findings".to_owned(), to_json(&findings)),
            ("topology".to_owned(), to_json(&topology)),
            ("pauses".to_owned(), to_json(&self.topology.pauses.iter().collect::<Vec<_>>())),
            ("declared".to_owned(), to_json(&self.topology.declared)),
            ("incidents".to_owned(), self.grouper.save()),
            ("services".to_owned(), self.services.save()),
            ("tuning".to_owned(), to_json(&self.tuning)),
            ("desk".to_owned(), to_json(&self.desk)),
            ("held".to_owned(), write_batches(&self.held.batches)),
            ("waiting".to_owned(), write_batches(&self.recent)),
        ])
    }

    fn load_own(&mut self, pages: &Pages) -> Result<Loop, String> {
        let saved: Loop = from_json(pages, "loop")?;
        let findings: Vec<SavedFinding> = from_json(pages, "findings")?;
        let topology: Vec<(EntityKey, EntityKey, EdgeKind, Edge)> = from_json(pages, "topology")?;
        let grouper = Grouper::load(self.grouper.config().clone(), page(pages, "incidents")?)?;
        let services = Services::load(page(pages, "services")?)?;
        // A checkpoint of a program that knew none of these has no such page.
        let tuning = if pages.contains_key("tuning") { from_json(pages, "tuning")? } else { Tuning::default() };
        let pauses: Vec<(EdgeKey, Vec<Stretch>)> =
            if pages.contains_key("pauses") { from_json(pages, "pauses")? } else { Vec::new() };
        let desk = if pages.contains_key("desk") { from_json(pages, "desk")? } else { Desk::default() };
        let held = read_batches(page(pages, "held")?).ok_or("page held is broken")?;
        let recent = read_batches(page(pages, "waiting")?).ok_or("page waiting is broken")?;
        for finding in findings.into_iter().map(SavedFinding::into_finding) {
            self.shelf.findings.insert(finding.id, Arc::new(finding.clone()));
            self.findings.say(finding);
        }
        let map = Arc::make_mut(&mut self.topology);
        map.edges = topology.into_iter().map(|(s, t, kind, edge)| ((s, t, kind), edge)).collect();
        map.pauses = pauses.into_iter().collect();
        map.declared = if pages.contains_key("declared") { from_json(pages, "declared")? } else { Default::default() };
        self.incidents = grouper.incidents().cloned().collect();
        self.shelf.incidents = self.incidents.iter().map(|i| (i.id.clone(), Arc::new(i.clone()))).collect();
        self.grouper = grouper;
        self.services = services;
        self.tuning = tuning;
        self.desk = desk;
        self.show_alerts();
        self.held.batches = held;
        self.recent = recent;
        self.first_recent = saved.first_recent;
        self.said = saved.said.clone();
        self.changes = saved.changes.clone();
        self.shelf.changes = Arc::new(self.changes.iter().rev().cloned().collect());
        self.counters = saved.counters.clone();
        Ok(saved)
    }
}

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn page<'a>(pages: &'a Pages, name: &str) -> Result<&'a [u8], String> {
    pages.get(name).map(Vec::as_slice).ok_or_else(|| format!("page {name} is missing"))
}

fn from_json<T: DeserializeOwned>(pages: &Pages, name: &str) -> Result<T, String> {
    serde_json::from_slice(page(pages, name)?).map_err(|e| format!("page {name}: {e}"))
}

fn write_batches(batches: &[Arc<Batch>]) -> Vec<u8> {
    let mut out = Vec::new();
    batches.iter().for_each(|batch| codec::write_batch(batch, &mut out));
    out
}

fn read_batches(mut bytes: &[u8]) -> Option<Vec<Arc<Batch>>> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        batches.push(Arc::new(codec::read_batch(&mut bytes)?));
    }
    Some(batches)
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
