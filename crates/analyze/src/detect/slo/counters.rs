//! Which series an objective counts, and by how much they rise.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};
use regex_lite::Regex;
use types::slo::{Indicator, LabelMatcher, LabelOperator, Part, Selector, Slo, whole_pattern};
use types::{Registry, SeriesDef, SeriesId, SeriesKind, Tenant};
use view::Column;

/// Series of all objectives together, and of one.
const MOST_SERIES: usize = 50_000;
const MOST_OF_ONE: u32 = 10_000;
/// Marks a row that no series has.
const FREE: u32 = u32::MAX;
/// A rise beyond this is no count.
const MOST_RISE: f64 = 1e15;

/// What the increase of a series says about an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    /// Slot of the objective.
    pub slot: u32,
    /// What an event counts as bad, and as any.
    pub bad: i8,
    pub total: i8,
}

/// The last point of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Last {
    series: u32,
    /// 1 where a point was seen.
    seen: u32,
    time: i64,
    value: f64,
}

/// A rise of a counter over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rise {
    /// Where the stretch begins; the point's own time where that is not known.
    pub from: i64,
    pub by: f64,
}

/// The counters of all objectives.
#[derive(Default)]
pub(super) struct Counters {
    lasts: Column<Last>,
    /// Row by series; follows from the rows.
    rows: BTreeMap<u32, u32>,
    free: Vec<u32>,
    /// By tenant and metric.
    wanted: BTreeMap<Tenant, BTreeMap<String, Vec<Wanted>>>,
    /// Number of its roles by series, 0 for none; how far the registry was looked through is its length.
    roles_of: Vec<u32>,
    roles: Vec<(u32, Vec<Role>)>,
    of_slot: BTreeMap<u32, u32>,
    /// Slots that have more series than they may.
    pub left_out: Vec<u32>,
}

struct Wanted {
    role: Role,
    matchers: Vec<(LabelMatcher, Option<Regex>)>,
}

impl Counters {
    /// Which counters are counted from now on: the objectives with their slots.
    pub fn want<'a>(&mut self, slos: impl Iterator<Item = (u32, &'a Slo)>) {
        self.wanted.clear();
        self.roles_of.clear();
        self.roles.clear();
        self.of_slot.clear();
        for (slot, slo) in slos {
            let Indicator::Ratio { part, total } = &slo.indicator else { continue };
            let (selector, of_part, of_total) = match part {
                Part::Bad(bad) => (bad, (1, 0), (0, 1)),
                Part::Good(good) => (good, (-1, 0), (1, 1)),
            };
            for (selector, (bad, total)) in [(selector, of_part), (total, of_total)] {
                let wanted = Wanted { role: Role { slot, bad, total }, matchers: compiled(selector) };
                let of_tenant = self.wanted.entry(slo.tenant.clone()).or_default();
                of_tenant.entry(selector.metric.clone()).or_default().push(wanted);
            }
        }
    }

    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Looks at the series that are new in the registry; `named` hears which slot a series belongs to.
    pub fn learn(&mut self, registry: &Registry, mut named: impl FnMut(u32, &SeriesDef)) {
        if self.is_idle() {
            return;
        }
        let all = registry.all_series();
        let is_first = self.roles_of.is_empty();
        for (number, def) in all.iter().enumerate().skip(self.roles_of.len()) {
            let roles = self.roles_of_series(def);
            self.roles_of.push(0);
            if roles.is_empty() {
                continue;
            }
            roles.iter().for_each(|role| named(role.slot, def));
            let Some(row) = self.row_of(number as u32) else {
                self.left_out.extend(roles.iter().map(|role| role.slot));
                continue;
            };
            self.roles.push((row, roles));
            self.roles_of[number] = self.roles.len() as u32;
        }
        if is_first {
            self.forget_others();
        }
    }

    fn roles_of_series(&mut self, def: &SeriesDef) -> Vec<Role> {
        if def.kind == SeriesKind::Derived {
            return Vec::new();
        }
        let of_tenant = self.wanted.get(&def.tenant);
        let Some(wanted) = of_tenant.and_then(|metrics| metrics.get(&*def.metric)) else { return Vec::new() };
        let mut roles: Vec<Role> = wanted.iter().filter(|w| fits(&w.matchers, def)).map(|w| w.role).collect();
        let of_slot = &mut self.of_slot;
        let left_out = &mut self.left_out;
        roles.retain(|role| {
            let count = of_slot.entry(role.slot).or_default();
            *count += 1;
            if *count > MOST_OF_ONE {
                left_out.push(role.slot);
            }
            *count <= MOST_OF_ONE
        });
        roles
    }

    fn row_of(&mut self, series: u32) -> Option<u32> {
        if let Some(row) = self.rows.get(&series) {
            return Some(*row);
        }
        let row = match self.free.pop() {
            Some(row) => row,
            None if self.lasts.len() < MOST_SERIES => self.lasts.len() as u32,
            None => return None,
        };
        *self.lasts.row(row as usize) = Last { series, ..Last::default() };
        self.rows.insert(series, row);
        Some(row)
    }

    /// Frees the rows of series that no objective counts any more.
    fn forget_others(&mut self) {
        let roles_of = &self.roles_of;
        let gone: Vec<(u32, u32)> = self
            .rows
            .iter()
            .filter(|(s, _)| roles_of.get(**s as usize).is_none_or(|r| *r == 0))
            .map(|(s, r)| (*s, *r))
            .collect();
        for (series, row) in gone {
            self.rows.remove(&series);
            *self.lasts.row(row as usize) = Last { series: FREE, ..Last::default() };
            self.free.push(row);
        }
    }

    /// Takes a point in; the rise since the last one, and what it says.
    pub fn rise(&mut self, series: SeriesId, kind: SeriesKind, time: i64, value: f64) -> Option<(Rise, &[Role])> {
        let (row, roles) = self.roles.get((*self.roles_of.get(series.0 as usize)?).checked_sub(1)? as usize)?;
        if !value.is_finite() || value < 0.0 {
            return None;
        }
        let last = self.lasts.row(*row as usize);
        if last.seen == 1 && time <= last.time {
            return None;
        }
        let before = std::mem::replace(last, Last { series: series.0, seen: 1, time, value });
        let from = if before.seen == 1 { before.time } else { time };
        let by = match (kind, before.seen) {
            (SeriesKind::Delta, _) => value,
            (_, 0) => return None,
            // It began anew: what it shows came since.
            _ if value < before.value => value,
            _ => value - before.value,
        };
        (by > 0.0 && by <= MOST_RISE).then_some((Rise { from, by }, roles.as_slice()))
    }

    /// Whether a series is counted at all.
    pub fn has_role(&self, series: SeriesId) -> bool {
        self.roles_of.get(series.0 as usize).is_some_and(|number| *number > 0)
    }

    pub fn save(&mut self, all: bool, pages: &mut view::Pages) {
        self.lasts.save("last", all, pages);
    }

    pub fn load(&mut self, pages: &view::Pages) -> Result<(), String> {
        self.lasts.load("last", pages)?;
        for row in 0..self.lasts.len() {
            match self.lasts.peek(row).map(|last| last.series) {
                None | Some(FREE) => self.free.push(row as u32),
                Some(series) => {
                    self.rows.insert(series, row as u32);
                }
            }
        }
        Ok(())
    }
}

fn compiled(selector: &Selector) -> Vec<(LabelMatcher, Option<Regex>)> {
    let regex = |m: &LabelMatcher| match m.operator {
        LabelOperator::Is | LabelOperator::IsNot => None,
        LabelOperator::Fits | LabelOperator::FitsNot => Regex::new(&whole_pattern(&m.value)).ok(),
    };
    selector.matchers.iter().map(|m| (m.clone(), regex(m))).collect()
}

/// Whether all conditions fit. A pattern that cannot be read fits nothing.
fn fits(matchers: &[(LabelMatcher, Option<Regex>)], def: &SeriesDef) -> bool {
    matchers.iter().all(|(matcher, regex)| {
        let value = def.labels.get(&matcher.label).unwrap_or("");
        match matcher.operator {
            LabelOperator::Is => value == matcher.value,
            LabelOperator::IsNot => value != matcher.value,
            LabelOperator::Fits => regex.as_ref().is_some_and(|r| r.is_match(value)),
            LabelOperator::FitsNot => regex.as_ref().is_some_and(|r| !r.is_match(value)),
        }
    })
}
