//! Products of matrices, and layers that scale what runs through them.

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Data, Tensor, broadcast, cells, products, stretched};
use crate::Problem;

/// What products are made of.
trait Number: Copy + Default + std::ops::AddAssign + std::ops::Mul<Output = Self> {}
impl Number for f32 {}
impl Number for f64 {}
impl Number for i64 {}

/// `[rows, inner]` times `[inner, columns]`, added to `out`.
fn multiply<T: Number>(a: &[T], b: &[T], inner: usize, columns: usize, out: &mut [T]) {
    if inner == 0 || columns == 0 {
        return;
    }
    for (a, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
        for (x, b) in a.iter().zip(b.chunks_exact(columns)) {
            out.iter_mut().zip(b).for_each(|(sum, y)| *sum += *x * *y);
        }
    }
}

/// `MatMul`: of the last two axes, for each place along the others.
pub(super) fn mat_mul(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let (a, b) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let wrong = || format!("the shapes {:?} and {:?} cannot be multiplied", a.shape, b.shape);
        if a.shape.is_empty() || b.shape.is_empty() {
            return Err(wrong());
        }
        // A single axis is a row on the left and a column on the right.
        let left = if a.shape.len() == 1 { [&[1], a.shape.as_slice()].concat() } else { a.shape.clone() };
        let right = if b.shape.len() == 1 { [b.shape.as_slice(), &[1]].concat() } else { b.shape.clone() };
        let ([a_outer @ .., rows, inner], [b_outer @ .., same, columns]) = (left.as_slice(), right.as_slice()) else {
            return Err(wrong());
        };
        if inner != same {
            return Err(wrong());
        }
        let outer = broadcast(a_outer, b_outer)?;
        let (a_blocks, b_blocks) = (stretched(a_outer, &outer)?, stretched(b_outer, &outer)?);
        let mut shape = outer;
        let count = cells(&[shape.as_slice(), &[*rows, *columns]].concat())?;
        products(count, *inner)?;
        macro_rules! product {
            ($kind:ident, $x:expr, $y:expr) => {{
                let mut out = vec![Default::default(); count];
                let (a_size, b_size, size) = (rows * inner, inner * columns, rows * columns);
                for (at, (a, b)) in a_blocks.iter().zip(&b_blocks).enumerate() {
                    let (a, b) = (&$x[a * a_size..(a + 1) * a_size], &$y[b * b_size..(b + 1) * b_size]);
                    multiply(a, b, *inner, *columns, &mut out[at * size..(at + 1) * size]);
                }
                Data::$kind(out)
            }};
        }
        let data = match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => product!(Float, x, y),
            (Data::Double(x), Data::Double(y)) => product!(Double, x, y),
            (Data::Int(x), Data::Int(y)) => product!(Int, x, y),
            _ => return Err("it multiplies cells of several types".into()),
        };
        shape.extend((a.shape.len() > 1).then_some(*rows));
        shape.extend((b.shape.len() > 1).then_some(*columns));
        Ok(vec![Tensor::new(shape, data)?])
    }))
}

/// `Gemm`: `alpha * A * B + beta * C`, where A and B may be turned.
pub(super) fn gemm(node: &Node) -> Result<Op, Problem> {
    let (alpha, beta) = (node.float("alpha").unwrap_or(1.0), node.float("beta").unwrap_or(1.0));
    let (turn_a, turn_b) = (node.int("transA").unwrap_or(0) != 0, node.int("transB").unwrap_or(0) != 0);
    Ok(Box::new(move |inputs| {
        let (a, b) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let sides = |tensor: &Tensor, is_turned: bool| match (tensor.shape.as_slice(), is_turned) {
            ([rows, columns], false) => Ok((*rows, *columns)),
            ([columns, rows], true) => Ok((*rows, *columns)),
            _ => Err(format!("the shape {:?} is no matrix", tensor.shape)),
        };
        let ((rows, inner), (same, columns)) = (sides(a, turn_a)?, sides(b, turn_b)?);
        if inner != same {
            return Err(format!("the shapes {:?} and {:?} cannot be multiplied", a.shape, b.shape));
        }
        let shape = vec![rows, columns];
        let count = cells(&shape)?;
        products(count, inner)?;
        let added = inputs.get(2).copied().flatten();
        let places = added.map(|added| match broadcast(&added.shape, &shape)? == shape {
            true => stretched(&added.shape, &shape),
            false => Err(format!("the shape {:?} cannot be added", added.shape)),
        });
        let places = places.transpose()?;
        macro_rules! product {
            ($kind:ident, $number:ty, $x:expr, $y:expr) => {{
                let mut out: Vec<$number> = vec![0.0; count];
                let (a, b) = (straight($x, inner, rows, turn_a), straight($y, columns, inner, turn_b));
                multiply(&a, &b, inner, columns, &mut out);
                if alpha != 1.0 {
                    out.iter_mut().for_each(|x| *x *= <$number>::from(alpha));
                }
                if let (Some(added), Some(places)) = (added, &places) {
                    let Data::$kind(added) = &added.data else {
                        return Err("it adds cells of another type".into());
                    };
                    out.iter_mut().zip(places).for_each(|(x, place)| *x += <$number>::from(beta) * added[*place]);
                }
                Data::$kind(out)
            }};
        }
        let data = match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => product!(Float, f32, x, y),
            (Data::Double(x), Data::Double(y)) => product!(Double, f64, x, y),
            _ => return Err("it multiplies cells that are not of one type of floats".into()),
        };
        Ok(vec![Tensor::new(shape, data)?])
    }))
}

/// A matrix of `rows` times `columns` cells, turned back where it is stored turned.
fn straight<T: Number>(cells: &[T], columns: usize, rows: usize, is_turned: bool) -> std::borrow::Cow<'_, [T]> {
    match is_turned {
        false => cells.into(),
        true => (0..rows).flat_map(|row| (0..columns).map(move |column| cells[column * rows + row])).collect(),
    }
}

/// `BatchNormalization` of a trained model: each channel (axis 1) is shifted and scaled.
pub(super) fn batch_normalization(node: &Node) -> Result<Op, Problem> {
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    if node.int("training_mode") == Some(1) {
        return Err(Problem::Unsupported("BatchNormalization that goes on training".into()));
    }
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let part = |at: usize| needed(inputs, at)?.to_doubles();
        let (scale, shift, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
        let channels = x.shape.get(1).copied().unwrap_or(1);
        if [&scale, &shift, &mean, &variance].iter().any(|part| part.len() != channels) {
            return Err(format!("its numbers are not as many as the {channels} channels"));
        }
        let inner: usize = x.shape.iter().skip(2).product();
        let mut cells = x.to_doubles()?;
        for (at, cell) in cells.iter_mut().enumerate() {
            let channel = at / inner.max(1) % channels.max(1);
            *cell = (*cell - mean[channel]) / (variance[channel] + epsilon).sqrt() * scale[channel] + shift[channel];
        }
        Ok(vec![x.like(x.shape.clone(), cells)?])
    }))
}

/// `LayerNormalization`: the cells from an axis on have mean 0 and variance 1, then are scaled and shifted.
pub(super) fn layer_normalization(node: &Node) -> Result<Op, Problem> {
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    let said = node.int("axis").unwrap_or(-1);
    if node.outputs > 1 {
        return Err(Problem::Unsupported("LayerNormalization with outputs for training".into()));
    }
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = super::tensor::axis(said, x.shape.len())?;
        let size: usize = x.shape[at..].iter().product();
        let part = |input: Option<&Tensor>, usual: f64| match input {
            None => Ok(vec![usual; size]),
            Some(tensor) if tensor.len() == size => tensor.to_doubles(),
            Some(tensor) => Err(format!("its numbers are of the shape {:?}", tensor.shape)),
        };
        let (scale, shift) = (part(Some(needed(inputs, 1)?), 1.0)?, part(inputs.get(2).copied().flatten(), 0.0)?);
        let mut cells = x.to_doubles()?;
        for row in cells.chunks_exact_mut(size.max(1)) {
            let mean = row.iter().sum::<f64>() / size as f64;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / size as f64;
            let factor = 1.0 / (variance + epsilon).sqrt();
            row.iter_mut().enumerate().for_each(|(at, x)| *x = (*x - mean) * factor * scale[at] + shift[at]);
        }
        Ok(vec![x.like(x.shape.clone(), cells)?])
    }))
}

/// `LpNormalization`: cells along an axis by their sum or length.
pub(super) fn lp_normalization(node: &Node) -> Result<Op, Problem> {
    let (said, is_sum) = (node.int("axis").unwrap_or(-1), node.int("p") == Some(1));
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = super::tensor::axis(said, x.shape.len())?;
        let inner: usize = x.shape[at + 1..].iter().product();
        let size = x.shape[at];
        let mut cells = x.to_doubles()?;
        if inner * size == 0 {
            return Ok(vec![x.clone()]);
        }
        for block in cells.chunks_exact_mut(size * inner) {
            for first in 0..inner {
                let along = || (0..size).map(|at| first + at * inner);
                let norm: f64 = match is_sum {
                    true => along().map(|at| block[at].abs()).sum(),
                    false => along().map(|at| block[at] * block[at]).sum::<f64>().sqrt(),
                };
                if norm != 0.0 {
                    along().for_each(|at| block[at] /= norm);
                }
            }
        }
        Ok(vec![x.like(x.shape.clone(), cells)?])
    }))
}
