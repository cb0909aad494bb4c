//! Who wrote a line: dense numbers for the entities that an analysis keeps state of.

use std::collections::BTreeMap;

use types::{Batch, EntityId, Registry, Tenant};

/// Numbers from 0 in order of first sight.
#[derive(Default)]
pub(crate) struct Senders {
    by_name: BTreeMap<(Tenant, EntityId), u32>,
    /// A cache that follows from the registry.
    by_resource: Vec<Option<u32>>,
}

impl Senders {
    /// The number of the sender of record `i`; a new one is given the next number and passed to `add`. `None` where
    /// there are `most` already, or nobody knows the sender.
    pub(crate) fn of_record(
        &mut self,
        registry: &Registry,
        batch: &Batch,
        i: usize,
        most: usize,
        add: impl FnOnce(Tenant, EntityId),
    ) -> Option<usize> {
        let resource = batch.records.resource[i];
        let at = resource.0 as usize;
        if let Some(Some(known)) = self.by_resource.get(at) {
            return Some(*known as usize);
        }
        let entity = registry.entity_id(batch.records.entity[i])?.clone();
        let name = (batch.tenant.clone(), entity);
        let number = match self.by_name.get(&name) {
            Some(number) => *number,
            None if self.by_name.len() >= most => return None,
            None => {
                add(name.0.clone(), name.1.clone());
                self.put(name.0, name.1)
            }
        };
        if registry.resource_def(resource).is_some() {
            if at >= self.by_resource.len() {
                self.by_resource.resize(at + 1, None);
            }
            self.by_resource[at] = Some(number);
        }
        Some(number as usize)
    }

    /// Gives a sender the next number: in the order in which the state was saved.
    pub(crate) fn put(&mut self, tenant: Tenant, entity: EntityId) -> u32 {
        let number = self.by_name.len() as u32;
        self.by_name.insert((tenant, entity), number);
        number
    }
}
