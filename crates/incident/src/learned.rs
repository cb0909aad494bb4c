//! Which entities share causes although no map says so, or do not although they are neighbours.
//!
//! People say so when they join two incidents or split one; that counts at once, and the last word counts. And what
//! broke together again and again does: pairs of incidents that began within two minutes of one another
//! [`TOGETHER`] times, and in four of five incidents of the rarer one, are taken for one from then on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{EntityId, Tenant};

/// So many times together before a pair counts as related.
pub const TOGETHER: u32 = 5;
/// Most pairs and entities that are remembered.
const MOST: usize = 5_000;

/// What was learned. Part of the grouper's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// In order of names.
    pairs: Vec<Pair>,
    /// Incidents named after an entity.
    incidents: BTreeMap<Tenant, BTreeMap<EntityId, u32>>,
}

/// Two entities, the smaller name first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair {
    tenant: Tenant,
    a: EntityId,
    b: EntityId,
    /// Incidents of both that began together.
    together: u32,
    /// What people last said: they are one, they are two.
    said: Option<bool>,
}

impl Learned {
    /// Whether two entities share causes: `Some(true)`, `Some(false)`, or nothing is known.
    pub fn related(&self, tenant: &Tenant, x: &EntityId, y: &EntityId) -> Option<bool> {
        if self.pairs.is_empty() {
            return None;
        }
        let pair = &self.pairs[self.find(tenant, x, y).ok()?];
        pair.said.or_else(|| self.is_habit(pair).then_some(true))
    }

    /// Entities that are related to one by what was learned.
    pub fn near<'a>(&'a self, tenant: &'a Tenant, entity: &'a EntityId) -> impl Iterator<Item = &'a EntityId> {
        // Most pairs are no habit, which is seen without comparing names.
        let may_be = self.pairs.iter().filter(|pair| pair.said.unwrap_or(pair.together >= TOGETHER));
        let of_it = may_be.filter(move |p| p.tenant == *tenant && (p.a == *entity || p.b == *entity));
        of_it
            .filter(|pair| pair.said.unwrap_or_else(|| self.is_habit(pair)))
            .map(move |pair| if pair.a == *entity { &pair.b } else { &pair.a })
    }

    /// A person said whether two entities belong together.
    pub fn say(&mut self, tenant: &Tenant, x: &EntityId, y: &EntityId, together: bool) {
        if let Some(pair) = self.pair(tenant, x, y) {
            pair.said = Some(together);
        }
    }

    /// An incident was opened; `others` are those that began at the same time.
    pub fn opened<'a>(&mut self, tenant: &Tenant, entity: &EntityId, others: impl Iterator<Item = &'a EntityId>) {
        let counts = self.incidents.entry(tenant.clone()).or_default();
        if counts.len() < MOST || counts.contains_key(entity) {
            *counts.entry(entity.clone()).or_default() += 1;
        }
        for other in others {
            if let Some(pair) = self.pair(tenant, entity, other) {
                pair.together += 1;
            }
        }
    }

    fn is_habit(&self, pair: &Pair) -> bool {
        let count = |entity| self.incidents.get(&pair.tenant).and_then(|c| c.get(entity)).copied().unwrap_or(0);
        let rarer = count(&pair.a).min(count(&pair.b)).max(1);
        pair.together >= TOGETHER && pair.together * 5 >= rarer * 4
    }

    fn find(&self, tenant: &Tenant, x: &EntityId, y: &EntityId) -> Result<usize, usize> {
        let (a, b) = (x.min(y), x.max(y));
        self.pairs.binary_search_by(|pair| (&pair.tenant, &pair.a, &pair.b).cmp(&(tenant, a, b)))
    }

    fn pair(&mut self, tenant: &Tenant, x: &EntityId, y: &EntityId) -> Option<&mut Pair> {
        if x == y {
            return None;
        }
        let at = match self.find(tenant, x, y) {
            Ok(at) => at,
            Err(_) if self.pairs.len() >= MOST => return None,
            Err(at) => {
                let (a, b) = (x.min(y).clone(), x.max(y).clone());
                self.pairs.insert(at, Pair { tenant: tenant.clone(), a, b, together: 0, said: None });
                at
            }
        };
        self.pairs.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_together_five_times_is_related_unless_it_also_breaks_alone() {
        let tenant = Tenant::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| EntityId::parse(name).unwrap());
        let mut learned = Learned::default();
        for round in 1..=5 {
            assert_eq!(learned.related(&tenant, &a, &b), None, "round {round}");
            learned.opened(&tenant, &a, std::iter::empty());
            learned.opened(&tenant, &b, [&a].into_iter());
            for _ in 0..2 {
                learned.opened(&tenant, &c, std::iter::empty());
            }
        }
        assert_eq!(learned.related(&tenant, &b, &a), Some(true));
        assert_eq!(learned.near(&tenant, &a).collect::<Vec<_>>(), [&b]);
        (0..3).for_each(|_| learned.opened(&tenant, &a, std::iter::empty()));
        (0..3).for_each(|_| learned.opened(&tenant, &b, std::iter::empty()));
        assert_eq!(learned.related(&tenant, &a, &b), None, "each breaks alone often enough");
    }

    #[test]
    fn the_last_word_of_people_counts() {
        let tenant = Tenant::default();
        let [a, b] = ["a", "b"].map(|name| EntityId::parse(name).unwrap());
        let mut learned = Learned::default();
        learned.say(&tenant, &a, &b, true);
        assert_eq!(learned.related(&tenant, &b, &a), Some(true));
        learned.say(&tenant, &b, &a, false);
        assert_eq!(learned.related(&tenant, &a, &b), Some(false));
        assert_eq!(learned.near(&tenant, &a).count(), 0);
        assert_eq!(learned.related(&Tenant::new("other"), &a, &b), None);
    }
}
