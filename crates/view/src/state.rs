//! State of an analysis as plain data: a fleet part and columns by dense id with dirty pages.
//!
//! A checkpoint writes only pages that changed. Saving and loading are exact: a restart changes no verdict.

use std::{any::Any, collections::BTreeMap};

use bytemuck::Pod;

/// Saved state: page name to bytes. Names are `fleet` or `COLUMN/NUMBER`, unique within one analysis.
pub type Pages = BTreeMap<String, Vec<u8>>;

/// What an analysis remembers. Its concrete type implements [`StateData`].
pub struct State(Box<dyn StateData>);

impl State {
    /// Wraps the concrete type.
    pub fn new<S: StateData>(data: S) -> State {
        State(Box::new(data))
    }

    /// The concrete type.
    ///
    /// # Panics
    /// Where `S` is not the type that the analysis' `new_state` made: a mistake in the analysis.
    pub fn get<S: StateData>(&mut self) -> &mut S {
        let any: &mut dyn Any = &mut *self.0;
        any.downcast_mut().expect("the state type that new_state made")
    }

    /// Schema version of what `save` writes.
    pub fn schema(&self) -> u32 {
        self.0.schema()
    }

    /// Writes what changed since the last call (`all`: everything) into `pages`.
    pub fn save(&mut self, all: bool, pages: &mut Pages) {
        self.0.save(all, pages);
    }

    /// Takes saved pages over. An error means the pages are of another schema or broken: refit.
    pub fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String> {
        self.0.load(schema, pages)
    }
}

/// What a state type must do to be a checkpoint.
pub trait StateData: Any + Send {
    /// Raised when the bytes change meaning.
    fn schema(&self) -> u32;
    /// See [`State::save`].
    fn save(&mut self, all: bool, pages: &mut Pages);
    /// See [`State::load`]; migrates older schemas it knows, refuses others.
    fn load(&mut self, schema: u32, pages: &Pages) -> Result<(), String>;
}

/// A state part that is small and saved whole, as JSON. Keep maps ordered (`BTreeMap`), so that equal states give
/// equal bytes.
#[derive(Clone, Debug, Default)]
pub struct Fleet<T>(pub T);

impl<T: serde::Serialize + serde::de::DeserializeOwned> Fleet<T> {
    /// The bytes of one page.
    pub fn to_bytes(&self) -> Vec<u8>
    where
        T: serde::Serialize,
    {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// Reads the page back.
    pub fn from_bytes(bytes: &[u8]) -> Result<Fleet<T>, String> {
        serde_json::from_slice(bytes).map(Fleet).map_err(|e| e.to_string())
    }
}

/// Writes those of a list that are marked in `dirty` (`all`: everyone), each as a page `node/NUMBER`, and takes the marks
/// away. For parts that are too large to be saved whole and too irregular for a [`Column`].
pub fn save_nodes<T>(nodes: &[T], dirty: &mut [bool], all: bool, pages: &mut Pages)
where
    T: Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    for (i, node) in nodes.iter().enumerate().filter(|(i, _)| all || dirty[*i]) {
        pages.insert(format!("node/{i}"), Fleet(node.clone()).to_bytes());
    }
    dirty.fill(false);
}

/// Reads back what [`save_nodes`] wrote.
pub fn load_nodes<T: serde::Serialize + serde::de::DeserializeOwned>(pages: &Pages) -> Result<Vec<T>, String> {
    let saved = (0..).map_while(|i| pages.get(&format!("node/{i}")));
    saved.map(|bytes| Fleet::from_bytes(bytes).map(|node| node.0)).collect()
}

/// Rows per page.
const PAGE: usize = 64;

/// A column of fixed-size rows by dense id, saved page by page.
#[derive(Clone, Debug, Default)]
pub struct Column<T> {
    rows: Vec<T>,
    dirty: Vec<bool>,
}

impl<T: Pod + Default> Column<T> {
    /// Row `i`, grown with defaults up to it; its page counts as changed.
    pub fn row(&mut self, i: usize) -> &mut T {
        if i >= self.rows.len() {
            self.rows.resize_with(i + 1, T::default);
            self.dirty.resize(i / PAGE + 1, true);
        }
        self.dirty[i / PAGE] = true;
        &mut self.rows[i]
    }

    /// Row `i` if it is there; does not mark its page.
    pub fn peek(&self, i: usize) -> Option<&T> {
        self.rows.get(i)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes changed pages (or all) under `name/NUMBER`.
    pub fn save(&mut self, name: &str, all: bool, pages: &mut Pages) {
        for (number, chunk) in self.rows.chunks(PAGE).enumerate() {
            if all || self.dirty[number] {
                pages.insert(format!("{name}/{number}"), bytemuck::cast_slice(chunk).to_vec());
            }
        }
        self.dirty.fill(false);
    }

    /// Reads all pages under `name/` back.
    pub fn load(&mut self, name: &str, pages: &Pages) -> Result<(), String> {
        self.rows.clear();
        self.dirty.clear();
        for number in 0.. {
            let Some(bytes) = pages.get(&format!("{name}/{number}")) else { break };
            if bytes.len() % size_of::<T>() != 0 {
                return Err(format!("page {name}/{number} has {} bytes, not a multiple of a row", bytes.len()));
            }
            for row in bytes.chunks_exact(size_of::<T>()) {
                self.rows.push(bytemuck::pod_read_unaligned(row));
            }
            self.dirty.push(false);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_pages_are_saved_and_all_load_back() {
        let mut column: Column<u64> = Column::default();
        for i in 0..200 {
            *column.row(i) = i as u64;
        }
        let mut pages = Pages::new();
        column.save("c", false, &mut pages);
        assert_eq!(pages.len(), 4);
        *column.row(70) = 7;
        let mut changed = Pages::new();
        column.save("c", false, &mut changed);
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["c/1"]);
        pages.extend(changed);
        let mut back: Column<u64> = Column::default();
        back.load("c", &pages).unwrap();
        assert_eq!(back.rows, column.rows);
    }
}
