//! Operations between categories and numbers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Data, Tensor, cells};
use crate::Problem;

/// A cell as a key: floats by their bits, all NaN and both zeros alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Number(u64),
    Whole(i64),
    Is(bool),
    Text(Arc<str>),
}

fn keys(data: &Data) -> Vec<Key> {
    let bits = |x: f64| Key::Number(if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() });
    match data {
        Data::Float(cells) => cells.iter().map(|x| bits(f64::from(*x))).collect(),
        Data::Double(cells) => cells.iter().map(|x| bits(*x)).collect(),
        Data::Int(cells) => cells.iter().map(|x| Key::Whole(*x)).collect(),
        Data::Bool(cells) => cells.iter().map(|x| Key::Is(*x)).collect(),
        Data::Text(cells) => cells.iter().map(|x| Key::Text(x.clone())).collect(),
    }
}

/// Places of keys; the first of equal ones.
fn places<K: Eq + Hash>(keys: Vec<K>) -> HashMap<K, usize> {
    let mut places = HashMap::with_capacity(keys.len());
    for (at, key) in keys.into_iter().enumerate() {
        places.entry(key).or_insert(at);
    }
    places
}

/// `LabelEncoder`: keys to values, and a value for all others.
pub(super) fn label_encoder(node: &Node) -> Result<Op, Problem> {
    if node.has("classes_strings") {
        return category_map(node.texts("classes_strings")?, None, node);
    }
    let from = list(node, "keys")?.ok_or_else(|| Problem::Damaged("its keys are missing".into()))?;
    let to = list(node, "values")?.ok_or_else(|| Problem::Damaged("its values are missing".into()))?;
    if from.len() != to.len() {
        return Err(Problem::Damaged(format!("it has {} keys and {} values", from.len(), to.len())));
    }
    let other = node.tensor("default_tensor")?.map(|tensor| tensor.data);
    let usual = match &to {
        Data::Text(_) => Data::Text(vec![node.text("default_string", "_Unused")?.into()]),
        Data::Int(_) => Data::Int(vec![node.int("default_int64").unwrap_or(-1)]),
        Data::Double(_) => Data::Double(vec![f64::from(node.float("default_float").unwrap_or(-0.0))]),
        _ => Data::Float(vec![node.float("default_float").unwrap_or(-0.0)]),
    };
    let other = other.filter(|other| other.len() == 1).unwrap_or(usual);
    // The value for all others stands at the end.
    let mismatch = || Problem::Damaged("its values are of several types".into());
    let count = to.len();
    let values = match (to, other) {
        (Data::Float(values), Data::Float(other)) => Data::Float([values, other].concat()),
        (Data::Double(values), Data::Double(other)) => Data::Double([values, other].concat()),
        (Data::Int(values), Data::Int(other)) => Data::Int([values, other].concat()),
        (Data::Text(values), Data::Text(other)) => Data::Text([values, other].concat()),
        _ => return Err(mismatch()),
    };
    let values = Tensor { shape: vec![count + 1], data: values };
    let places = places(keys(&from));
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let found: Vec<usize> = keys(&x.data).iter().map(|key| places.get(key).copied().unwrap_or(count)).collect();
        Ok(vec![values.picked(x.shape.clone(), &found)?])
    }))
}

/// Keys or values of a `LabelEncoder`.
fn list(node: &Node, what: &str) -> Result<Option<Data>, Problem> {
    let name = |kind: &str| format!("{what}_{kind}");
    if let Some(tensor) = node.tensor(&name("tensor"))? {
        return Ok(Some(tensor.data));
    }
    if node.has(&name("strings")) {
        return Ok(Some(Data::Text(node.texts(&name("strings"))?)));
    }
    if let Some(ints) = node.ints(&name("int64s")) {
        return Ok(Some(Data::Int(ints.to_vec())));
    }
    Ok(node.has(&name("floats")).then(|| Data::Float(node.floats(&name("floats")).to_vec())))
}

/// `CategoryMapper`: texts to whole numbers, or back.
pub(super) fn category_mapper(node: &Node) -> Result<Op, Problem> {
    let numbers = node.ints("cats_int64s").unwrap_or_default().to_vec();
    category_map(node.texts("cats_strings")?, Some(numbers), node)
}

/// Texts to numbers and back; without numbers their places are taken.
fn category_map(texts: Vec<Arc<str>>, numbers: Option<Vec<i64>>, node: &Node) -> Result<Op, Problem> {
    let numbers = numbers.unwrap_or_else(|| (0..texts.len() as i64).collect());
    if numbers.len() != texts.len() {
        return Err(Problem::Damaged(format!("it has {} texts and {} numbers", texts.len(), numbers.len())));
    }
    let other_text: Arc<str> = node.text("default_string", "_Unused")?.into();
    let other = node.int("default_int64").unwrap_or(-1);
    let to_number: HashMap<Arc<str>, i64> = texts.iter().cloned().zip(numbers.iter().copied()).collect();
    let to_text: HashMap<i64, Arc<str>> = numbers.into_iter().zip(texts).collect();
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let data = match &x.data {
            Data::Text(cells) => Data::Int(cells.iter().map(|x| to_number.get(x).copied().unwrap_or(other)).collect()),
            Data::Int(cells) => {
                Data::Text(cells.iter().map(|x| to_text.get(x).unwrap_or(&other_text).clone()).collect())
            }
            _ => return Err("it takes texts or whole numbers".into()),
        };
        Ok(vec![Tensor::new(x.shape.clone(), data)?])
    }))
}

/// `OneHotEncoder`: a column for each category, 1 where the cell is of it.
pub(super) fn one_hot_encoder(node: &Node) -> Result<Op, Problem> {
    let (texts, numbers) = (node.texts("cats_strings")?, node.ints("cats_int64s").unwrap_or_default().to_vec());
    let takes_unknown = node.int("zeros").unwrap_or(1) != 0;
    let (of_texts, count) = (numbers.is_empty(), texts.len().max(numbers.len()));
    let (texts, numbers) = (places(texts), places(numbers));
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let shape = [x.shape.as_slice(), &[count]].concat();
        let found: Vec<Option<usize>> = match &x.data {
            Data::Text(cells) if of_texts => cells.iter().map(|x| texts.get(x).copied()).collect(),
            Data::Int(cells) if !of_texts => cells.iter().map(|x| numbers.get(x).copied()).collect(),
            _ if !of_texts => x.to_doubles()?.into_iter().map(|x| numbers.get(&(x as i64)).copied()).collect(),
            _ => return Err("its categories are texts, and it is given numbers".into()),
        };
        let mut made = vec![0.0; cells(&shape)?];
        for (at, place) in found.into_iter().enumerate() {
            match place {
                Some(place) => made[at * count + place] = 1.0,
                None if takes_unknown => {}
                None => return Err(format!("cell {at} is of a category that the model does not know")),
            }
        }
        Ok(vec![Tensor::floats(shape, made)?])
    }))
}
