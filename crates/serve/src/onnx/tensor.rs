//! Tensors as graphs compute with them.

use std::sync::Arc;

use super::proto::TensorProto;
use crate::Problem;

/// More cells than this no tensor may have.
const CELLS_MAX: usize = 1 << 26;
/// More products than this a call may not ask for.
const PRODUCTS_MAX: usize = 1 << 36;
/// More axes than this no tensor may have.
const AXES_MAX: usize = 32;

/// Cells in a shape; the last axis runs fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    /// Lengths along the axes; empty: a single cell.
    pub shape: Vec<usize>,
    pub data: Data,
}

/// The cells of a tensor. Whole numbers of all widths are held in 64 bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Float(Vec<f32>),
    Double(Vec<f64>),
    Int(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<Arc<str>>),
}

/// Types of cells, with the numbers that the format gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Double,
    /// Whole numbers of 32 bits or less.
    Small,
    Int,
    Bool,
    Text,
}

/// What is done alike with cells of each type.
macro_rules! each {
    ($data:expr, $cells:ident => $made:expr) => {
        match $data {
            Data::Float($cells) => Data::Float($made),
            Data::Double($cells) => Data::Double($made),
            Data::Int($cells) => Data::Int($made),
            Data::Bool($cells) => Data::Bool($made),
            Data::Text($cells) => Data::Text($made),
        }
    };
}

impl Kind {
    /// The type of a number of the format.
    ///
    /// # Errors
    /// A type that is not computed with here.
    pub fn of(number: i32) -> Result<Kind, String> {
        match number {
            1 => Ok(Kind::Float),
            11 => Ok(Kind::Double),
            2..=6 => Ok(Kind::Small),
            7 | 12 | 13 => Ok(Kind::Int),
            9 => Ok(Kind::Bool),
            8 => Ok(Kind::Text),
            10 => Err("numbers of 16 bits (float16)".into()),
            16 => Err("numbers of 16 bits (bfloat16)".into()),
            other => Err(format!("cells of type {other}")),
        }
    }
}

impl Tensor {
    /// A tensor.
    ///
    /// # Errors
    /// If there are not as many cells as the shape holds, or too many.
    pub fn new(shape: Vec<usize>, data: Data) -> Result<Tensor, String> {
        let (holds, there) = (cells(&shape)?, data.len());
        if holds != there {
            return Err(format!("{there} cells for the shape {shape:?}"));
        }
        Ok(Tensor { shape, data })
    }

    /// Floats in a shape; as [`Tensor::new`].
    pub fn floats(shape: Vec<usize>, cells: Vec<f32>) -> Result<Tensor, String> {
        Tensor::new(shape, Data::Float(cells))
    }

    /// Whole numbers in a shape; as [`Tensor::new`].
    pub fn ints(shape: Vec<usize>, cells: Vec<i64>) -> Result<Tensor, String> {
        Tensor::new(shape, Data::Int(cells))
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Rows and cells of a row: `[rows, columns]`, or one row.
    pub fn table(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [columns] => (1, *columns),
            [rows, rest @ ..] => (*rows, rest.iter().product()),
        }
    }

    /// The cells as numbers of 32 bits.
    ///
    /// # Errors
    /// If they are texts.
    pub fn to_floats(&self) -> Result<Vec<f32>, String> {
        Ok(match &self.data {
            Data::Float(cells) => cells.clone(),
            Data::Double(cells) => cells.iter().map(|x| *x as f32).collect(),
            Data::Int(cells) => cells.iter().map(|x| *x as f32).collect(),
            Data::Bool(cells) => cells.iter().map(|x| f32::from(u8::from(*x))).collect(),
            Data::Text(_) => return Err("it takes numbers and is given texts".into()),
        })
    }

    /// The cells as numbers of 64 bits.
    ///
    /// # Errors
    /// If they are texts.
    pub fn to_doubles(&self) -> Result<Vec<f64>, String> {
        Ok(match &self.data {
            Data::Float(cells) => cells.iter().map(|x| f64::from(*x)).collect(),
            Data::Double(cells) => cells.clone(),
            Data::Int(cells) => cells.iter().map(|x| *x as f64).collect(),
            Data::Bool(cells) => cells.iter().map(|x| f64::from(u8::from(*x))).collect(),
            Data::Text(_) => return Err("it takes numbers and is given texts".into()),
        })
    }

    /// The cells as whole numbers.
    ///
    /// # Errors
    /// If they are others.
    pub fn as_ints(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::Int(cells) => Ok(cells),
            _ => Err("it takes whole numbers and is given others".into()),
        }
    }

    /// Numbers in 64 bits, made to cells of the type of this tensor.
    pub fn like(&self, shape: Vec<usize>, cells: Vec<f64>) -> Result<Tensor, String> {
        let data = match &self.data {
            Data::Double(_) => Data::Double(cells),
            Data::Int(_) => Data::Int(cells.into_iter().map(|x| x as i64).collect()),
            _ => Data::Float(cells.into_iter().map(|x| x as f32).collect()),
        };
        Tensor::new(shape, data)
    }

    /// The same cells in another shape; as [`Tensor::new`].
    pub fn reshaped(&self, shape: Vec<usize>) -> Result<Tensor, String> {
        Tensor::new(shape, self.data.clone())
    }

    /// The cells at these places, in another shape.
    ///
    /// # Errors
    /// As [`Tensor::new`]; or a place that is not there.
    pub fn picked(&self, shape: Vec<usize>, places: &[usize]) -> Result<Tensor, String> {
        if places.iter().any(|place| *place >= self.len()) {
            return Err("it takes a cell that is not there".into());
        }
        let data = each!(&self.data, cells => taken(cells, places));
        Tensor::new(shape, data)
    }

    /// The tensor of a file.
    ///
    /// # Errors
    /// [`Problem::Damaged`]: cells that do not fit the shape. [`Problem::Unsupported`]: cells that lie in another
    /// file, or of a type that is not computed with.
    pub fn read(proto: &TensorProto) -> Result<Tensor, Problem> {
        let who = || format!("tensor `{}`", proto.name);
        if proto.data_location != 0 || !proto.external_data.is_empty() {
            let place = proto.external_data.iter().find(|entry| entry.key == "location");
            let place = place.map_or("another file", |entry| entry.value.as_str());
            return Err(Problem::Unsupported(format!(
                "{} lies in {place:?}: other files are never opened, so save the model in one file (mlflow.onnx: save_as_external_data=False)",
                who()
            )));
        }
        let kind = Kind::of(proto.data_type)
            .map_err(|what| Problem::Unsupported(format!("{} holds {what}; save the model in float32", who())))?;
        let damaged = |what: String| Problem::Damaged(format!("{}: {what}", who()));
        let axis = |axis: &i64| usize::try_from(*axis).map_err(|_| damaged(format!("its shape has {axis}")));
        let shape: Vec<usize> = proto.dims.iter().map(axis).collect::<Result<_, _>>()?;
        let raw = proto.raw_data.as_slice();
        macro_rules! raw {
            ($number:ty, $kind:ty) => {{
                let (whole, rest) = raw.as_chunks::<{ size_of::<$number>() }>();
                match rest {
                    [] => whole.iter().map(|bytes| <$number>::from_le_bytes(*bytes) as $kind).collect(),
                    _ => return Err(damaged("its bytes are cut off".into())),
                }
            }};
        }
        let data = match kind {
            Kind::Float if raw.is_empty() => Data::Float(proto.float_data.clone()),
            Kind::Float => Data::Float(raw!(f32, f32)),
            Kind::Double if raw.is_empty() => Data::Double(proto.double_data.clone()),
            Kind::Double => Data::Double(raw!(f64, f64)),
            Kind::Text => {
                let text = |bytes: &Vec<u8>| std::str::from_utf8(bytes).map(Arc::from);
                let texts = proto.string_data.iter().map(text).collect::<Result<_, _>>();
                Data::Text(texts.map_err(|_| damaged("a text is not UTF-8".into()))?)
            }
            Kind::Bool if raw.is_empty() => Data::Bool(proto.int32_data.iter().map(|x| *x != 0).collect()),
            Kind::Bool => Data::Bool(raw.iter().map(|x| *x != 0).collect()),
            Kind::Small | Kind::Int => Data::Int(match proto.data_type {
                12 | 13 if raw.is_empty() => proto.uint64_data.iter().map(|x| *x as i64).collect(),
                7 if raw.is_empty() => proto.int64_data.clone(),
                _ if raw.is_empty() => proto.int32_data.iter().map(|x| i64::from(*x)).collect(),
                2 => raw!(u8, i64),
                3 => raw!(i8, i64),
                4 => raw!(u16, i64),
                5 => raw!(i16, i64),
                6 => raw!(i32, i64),
                12 => raw!(u32, i64),
                13 => raw!(u64, i64),
                _ => raw!(i64, i64),
            }),
        };
        Tensor::new(shape, data).map_err(damaged)
    }
}

impl Data {
    /// How many cells there are.
    pub fn len(&self) -> usize {
        match self {
            Data::Float(cells) => cells.len(),
            Data::Double(cells) => cells.len(),
            Data::Int(cells) => cells.len(),
            Data::Bool(cells) => cells.len(),
            Data::Text(cells) => cells.len(),
        }
    }
}

/// The cells at places that are there.
fn taken<T: Clone>(cells: &[T], places: &[usize]) -> Vec<T> {
    places.iter().map(|place| cells[*place].clone()).collect()
}

/// How many cells a shape holds.
///
/// # Errors
/// If that is more than a tensor may have.
pub(super) fn cells(shape: &[usize]) -> Result<usize, String> {
    let count = shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis));
    count
        .filter(|count| *count <= CELLS_MAX && shape.len() <= AXES_MAX)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is larger than {CELLS_MAX} cells: send fewer rows at once"))
}

/// Checks how many products so many cells, of so many products each, ask for.
///
/// # Errors
/// If they are more than a call may ask for.
pub(super) fn products(cells: usize, each: usize) -> Result<(), String> {
    match cells.checked_mul(each).is_some_and(|products| products <= PRODUCTS_MAX) {
        true => Ok(()),
        false => Err(format!("it asks for more than {PRODUCTS_MAX} products: send fewer rows at once")),
    }
}

/// How far apart neighbours along each axis are.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The places of cells in a walk over `shape`: a step along an axis goes on by its stride.
///
/// # Errors
/// As [`cells`].
pub(super) fn walk(shape: &[usize], strides: &[isize], start: isize) -> Result<Vec<usize>, String> {
    if cells(shape)? == 0 {
        return Ok(Vec::new());
    }
    // From the last axis to the first: what is there is repeated along the axis.
    let mut whole = vec![start];
    for (axis, stride) in shape.iter().zip(strides).rev() {
        let inner = std::mem::take(&mut whole);
        whole = (0..*axis as isize).flat_map(|at| inner.iter().map(move |place| place + at * stride)).collect();
    }
    Ok(whole.into_iter().map(|place| place as usize).collect())
}

/// The shape to which two shapes are stretched.
///
/// # Errors
/// If they do not fit.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let axes = a.len().max(b.len());
    let axis = |shape: &[usize], at: usize| (at + shape.len()).checked_sub(axes).map_or(1, |at| shape[at]);
    let stretched = |at: usize| match (axis(a, at), axis(b, at)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => Err(format!("the shapes {a:?} and {b:?} do not fit each other")),
    };
    (0..axes).map(stretched).collect()
}

/// The places of cells of a tensor that is stretched to a shape; both as [`broadcast`] has them.
///
/// # Errors
/// As [`cells`].
pub(super) fn stretched(from: &[usize], to: &[usize]) -> Result<Vec<usize>, String> {
    let mut steps = vec![0; to.len()];
    let first = to.len() - from.len();
    for (at, stride) in strides(from).into_iter().enumerate() {
        steps[first + at] = if from[at] == 1 { 0 } else { stride as isize };
    }
    walk(to, &steps, 0)
}

/// An axis as said: negative ones count from the end.
///
/// # Errors
/// If there is no such axis.
pub(super) fn axis(said: i64, axes: usize) -> Result<usize, String> {
    let at = if said < 0 { said.checked_add(axes as i64).unwrap_or(-1) } else { said };
    usize::try_from(at).ok().filter(|at| *at < axes).ok_or_else(|| format!("there is no axis {said} of {axes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_and_shapes() {
        assert_eq!(walk(&[2, 3], &[3, 1], 0).unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(walk(&[3, 2], &[1, 3], 0).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(walk(&[2], &[-1], 4).unwrap(), [4, 3]);
        assert!(walk(&[2, 0], &[1, 1], 0).unwrap().is_empty());
        assert_eq!(stretched(&[2, 1], &[2, 2]).unwrap(), [0, 0, 1, 1]);
        assert_eq!(broadcast(&[3, 1], &[2]).unwrap(), [3, 2]);
        assert!(broadcast(&[3], &[2]).is_err());
        assert!(cells(&[usize::MAX, 2]).is_err() && cells(&[1 << 27]).is_err());
        assert_eq!((axis(-1, 2), axis(1, 2)), (Ok(1), Ok(1)));
        assert!(axis(2, 2).is_err() && axis(-3, 2).is_err() && axis(i64::MIN, 2).is_err());
    }
}
