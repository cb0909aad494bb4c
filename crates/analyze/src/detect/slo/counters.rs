//! Which series an objective counts, and by how much they rise.

use std::collections::BTreeMap;

use regex_lite::Regex;
use types::slo::{Indicator, LabelMatcher, LabelOperator, Part, Selector, Slo, whole_pattern};
use types::{Registry, SeriesDef, SeriesId, SeriesKind, Tenant};

use crate::detect::rises::{Rise, Rises};

/// Series of all objectives together, and of one.
const MOST_SERIES: usize = 50_000;
const MOST_OF_ONE: u32 = 10_000;

/// What the increase of a series says about an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    /// Slot of the objective.
    pub slot: u32,
    /// What an event counts as bad, and as any.
    pub bad: i8,
    pub total: i8,
}

/// The counters of all objectives.
#[derive(Default)]
pub(super) struct Counters {
    rises: Rises,
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
            let Some(row) = self.rises.row_of(number as u32, MOST_SERIES) else {
                self.left_out.extend(roles.iter().map(|role| role.slot));
                continue;
            };
            self.roles.push((row, roles));
            self.roles_of[number] = self.roles.len() as u32;
        }
        if is_first {
            let roles_of = &self.roles_of;
            self.rises.keep(|series| roles_of.get(series as usize).is_some_and(|roles| *roles > 0));
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

    /// Takes a point in; the rise since the last one, and what it says.
    pub fn rise(&mut self, series: SeriesId, kind: SeriesKind, time: i64, value: f64) -> Option<(Rise, &[Role])> {
        let (row, roles) = self.roles.get((*self.roles_of.get(series.0 as usize)?).checked_sub(1)? as usize)?;
        Some((self.rises.rise(*row, series.0, kind, time, value)?, roles.as_slice()))
    }

    /// Whether a series is counted at all.
    pub fn has_role(&self, series: SeriesId) -> bool {
        self.roles_of.get(series.0 as usize).is_some_and(|number| *number > 0)
    }

    pub fn save(&mut self, all: bool, pages: &mut view::Pages) {
        self.rises.save(all, pages);
    }

    pub fn load(&mut self, pages: &view::Pages) -> Result<(), String> {
        self.rises.load(pages)
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
