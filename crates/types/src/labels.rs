//! Label sets in one canonical form: sorted by name, unique, one allocation.

use serde::{Serialize, Serializer, ser::SerializeMap};

/// A sorted, unique label set packed in one buffer: for each pair `u32 name length, name, u32 value length, value`
/// (little-endian). Two sets are equal exactly when their bytes are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Box<[u8]>);

/// Pairs still to be put in canonical form. Borrowed, so that a decoder can reuse one buffer.
pub type Labels<'a> = Vec<(&'a str, &'a str)>;

impl LabelSet {
    /// Sorts the pairs in place and packs them. Of a name given twice the last value in sorted order stays; callers
    /// that must refuse duplicates look for them first.
    pub fn pack(pairs: &mut Labels<'_>) -> LabelSet {
        pairs.sort_unstable();
        let mut bytes = Vec::with_capacity(pairs.iter().map(|(k, v)| k.len() + v.len() + 8).sum());
        for (i, (name, value)) in pairs.iter().enumerate() {
            if pairs.get(i + 1).is_some_and(|next| next.0 == *name) {
                continue;
            }
            for part in [name, value] {
                bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        LabelSet(bytes.into())
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &self.0[..];
        let mut take = move || -> Option<&str> {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = tail;
            std::str::from_utf8(part).ok()
        };
        std::iter::from_fn(move || Some((take()?, take()?)))
    }

    /// The value of one label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The packed form, for storing and hashing.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes a packed form back; `None` where the bytes are not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<LabelSet> {
        let mut rest = bytes;
        let mut parts = 0;
        while !rest.is_empty() {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            std::str::from_utf8(part).ok()?;
            rest = tail;
            parts += 1;
        }
        (parts % 2 == 0).then(|| LabelSet(bytes.into()))
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set as a JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for LabelSet {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_duplicates_collapse() {
        let a = LabelSet::pack(&mut vec![("b", "2"), ("a", "1")]);
        let b = LabelSet::pack(&mut vec![("a", "0"), ("a", "1"), ("b", "2")]);
        assert_eq!(a, b);
        assert_eq!(a.to_json(), r#"{"a":"1","b":"2"}"#);
        assert_eq!(a.get("b"), Some("2"));
        assert_eq!(LabelSet::from_bytes(a.as_bytes()), Some(a.clone()));
        assert_eq!(LabelSet::from_bytes(&a.as_bytes()[1..]), None);
    }
}
