//! What a simulated world showed.

use std::fmt::Write;

use serde::Serialize;
use types::EntityId;

use crate::FaultKind;

/// What became of one fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// What went wrong.
    pub kind: FaultKind,
    /// Where.
    pub entity: EntityId,
    /// When, seconds after the world's beginning.
    pub at_s: i64,
    /// After how many seconds an incident opened; none where none did before two minutes after the fault's end.
    pub found_after_s: Option<i64>,
    /// Place of the true entity among the causes two minutes into the fault: 1 is first, 0 not named.
    pub named_rank_2min: usize,
    /// Whether the kind of that cause was right.
    pub kind_ok_2min: bool,
    /// The same at the fault's end.
    pub named_rank: usize,
    /// The same at the fault's end.
    pub kind_ok: bool,
    /// Whether the incident was undecided at the fault's end.
    pub undecided: bool,
    /// Incidents that it made; 1 is right.
    pub incidents: usize,
    /// Title of the first of them.
    pub title: String,
    /// Its best three causes at last.
    pub causes: Vec<String>,
}

/// What a world showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimReport {
    /// The world's seed.
    pub seed: u64,
    /// How long it lived.
    pub minutes: u32,
    /// How many services it had.
    pub services: usize,
    /// In the order in which they came.
    pub faults: Vec<FaultReport>,
    /// Incidents that no fault explains: when, which, what they said.
    pub false_incidents: Vec<String>,
    /// Harmless deployments that were blamed: which, by which incident, after how long, with which causes.
    pub blamed: Vec<String>,
    /// Over all journal lines: the same seed and program give the same.
    pub journal_digest: String,
    /// Rows that the engine took in.
    pub rows: u64,
}

impl SimReport {
    /// Faults that an incident found within two minutes.
    pub fn found_in_time(&self) -> usize {
        self.faults.iter().filter(|f| f.found_after_s.is_some_and(|s| s <= 120)).count()
    }

    /// Faults whose true place stood first among the causes after two minutes.
    pub fn named_first_in_time(&self) -> usize {
        self.faults.iter().filter(|f| f.named_rank_2min == 1).count()
    }

    /// Faults whose true place stood first, with a right kind, at the fault's end.
    pub fn named_first(&self) -> usize {
        self.faults.iter().filter(|f| f.named_rank == 1 && f.kind_ok).count()
    }

    /// Pairs of faults at once of which each had an incident that named it first, with a right kind, at its end; and
    /// how many pairs there were.
    pub fn pairs_apart(&self) -> (usize, usize) {
        let pairs: Vec<&[FaultReport]> = self.faults.windows(2).filter(|two| two[0].at_s == two[1].at_s).collect();
        let is_named = |fault: &FaultReport| fault.named_rank == 1 && fault.kind_ok;
        (pairs.iter().filter(|pair| pair.iter().all(is_named)).count(), pairs.len())
    }

    /// The report as text for people.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "seed {}: {} services, {} min, {} rows, journal {}",
            self.seed, self.services, self.minutes, self.rows, self.journal_digest
        );
        if !self.faults.is_empty() {
            let _ = writeln!(
                out,
                "{:>6}  {:<16} {:<26} {:>6}  {:>9} {:>9}  incident",
                "at s", "fault", "where", "found", "at 2 min", "at end"
            );
        }
        for fault in &self.faults {
            let found = fault.found_after_s.map_or("never".to_owned(), |s| format!("{s} s"));
            let place = |rank: usize, kind_ok: bool| match (rank, kind_ok) {
                (0, _) => "not named".to_owned(),
                (rank, true) => format!("#{rank}"),
                (rank, false) => format!("#{rank} kind?"),
            };
            let split = if fault.incidents > 1 { format!(" ({} incidents)", fault.incidents) } else { String::new() };
            let _ = writeln!(
                out,
                "{:>6}  {:<16} {:<26} {:>6}  {:>9} {:>9}  {}{split} [{}]",
                fault.at_s,
                format!("{:?}", fault.kind),
                fault.entity.as_str(),
                found,
                place(fault.named_rank_2min, fault.kind_ok_2min),
                place(fault.named_rank, fault.kind_ok),
                fault.title,
                fault.causes.join(", "),
            );
        }
        for line in &self.false_incidents {
            let _ = writeln!(out, "false: {line}");
        }
        for line in &self.blamed {
            let _ = writeln!(out, "blamed without fault: {line}");
        }
        let all = self.faults.len();
        let _ = writeln!(
            out,
            "found within 2 min {}/{all}, named first within 2 min {}/{all}, named first with the right kind at the end {}/{all}, false incidents {}",
            self.found_in_time(),
            self.named_first_in_time(),
            self.named_first(),
            self.false_incidents.len()
        );
        if let (apart, pairs @ 1..) = self.pairs_apart() {
            let _ = writeln!(out, "both of a pair named {apart}/{pairs}, blamed without fault {}", self.blamed.len());
        }
        out
    }
}
