//! Operations that make inputs ready: they scale, fill in and join.

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Data, Tensor, cells};
use crate::Problem;

/// `Scaler`: each column less its offset, times its scale.
pub(super) fn scaler(node: &Node) -> Result<Op, Problem> {
    let (offsets, scales) = (node.floats("offset").to_vec(), node.floats("scale").to_vec());
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let width = x.shape.last().copied().unwrap_or(1).max(1);
        if [&offsets, &scales].iter().any(|part| part.len() != 1 && part.len() != width) {
            return Err(format!("it has {} offsets and {} scales for {width} columns", offsets.len(), scales.len()));
        }
        let mut cells = x.to_floats()?;
        for row in cells.chunks_exact_mut(width) {
            for (at, cell) in row.iter_mut().enumerate() {
                *cell = (*cell - offsets[at % offsets.len()]) * scales[at % scales.len()];
            }
        }
        Ok(vec![Tensor::floats(x.shape.clone(), cells)?])
    }))
}

/// `Normalizer`: each row by its largest number, its sum or its length.
pub(super) fn normalizer(node: &Node) -> Result<Op, Problem> {
    let norm: fn(&[f32]) -> f32 = match node.text("norm", "MAX")? {
        "MAX" => |row| row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        "L1" => |row| row.iter().map(|x| x.abs()).sum(),
        "L2" => |row| row.iter().map(|x| x * x).sum::<f32>().sqrt(),
        other => return Err(Problem::Unsupported(format!("the norm {other:?}"))),
    };
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let width = x.shape.last().copied().unwrap_or(1).max(1);
        let mut cells = x.to_floats()?;
        for row in cells.chunks_exact_mut(width) {
            let norm = norm(row);
            if norm != 0.0 {
                row.iter_mut().for_each(|x| *x /= norm);
            }
        }
        Ok(vec![Tensor::floats(x.shape.clone(), cells)?])
    }))
}

/// `Imputer`: what is missing (NaN, or a number that stands for it) is filled in, column by column.
pub(super) fn imputer(node: &Node) -> Result<Op, Problem> {
    let (floats, ints) = (node.floats("imputed_value_floats").to_vec(), node.ints("imputed_value_int64s"));
    let ints = ints.unwrap_or_default().to_vec();
    let missing = node.float("replaced_value_float").unwrap_or(0.0);
    let missing_int = node.int("replaced_value_int64").unwrap_or(0);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let width = x.shape.last().copied().unwrap_or(1).max(1);
        let fits = |count: usize| match count == 1 || count == width {
            true => Ok(count),
            false => Err(format!("it has {count} numbers to fill in for {width} columns")),
        };
        let is_missing = |x: f64| x == f64::from(missing) || (missing.is_nan() && x.is_nan());
        let data = match &x.data {
            Data::Int(cells) => {
                let count = fits(ints.len())?;
                let fill = |(at, x): (usize, &i64)| if *x == missing_int { ints[at % width % count] } else { *x };
                Data::Int(cells.iter().enumerate().map(fill).collect())
            }
            Data::Double(cells) => {
                let count = fits(floats.len())?;
                let fill =
                    |(at, x): (usize, &f64)| if is_missing(*x) { f64::from(floats[at % width % count]) } else { *x };
                Data::Double(cells.iter().enumerate().map(fill).collect())
            }
            _ => {
                let count = fits(floats.len())?;
                let fill = |(at, x): (usize, f32)| if is_missing(x.into()) { floats[at % width % count] } else { x };
                Data::Float(x.to_floats()?.into_iter().enumerate().map(fill).collect())
            }
        };
        Ok(vec![Tensor::new(x.shape.clone(), data)?])
    }))
}

pub(super) fn binarizer(node: &Node) -> Result<Op, Problem> {
    let threshold = f64::from(node.float("threshold").unwrap_or(0.0));
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let cells = x.to_doubles()?.into_iter().map(|x| f64::from(u8::from(x > threshold)));
        Ok(vec![x.like(x.shape.clone(), cells.collect())?])
    }))
}

/// `FeatureVectorizer`: columns of several inputs side by side, as floats.
pub(super) fn feature_vectorizer(node: &Node) -> Result<Op, Problem> {
    let widths = node.ints("inputdimensions").unwrap_or_default().to_vec();
    Ok(Box::new(move |inputs| {
        let all: Vec<&Tensor> = (0..inputs.len()).map(|at| needed(inputs, at)).collect::<Result<_, _>>()?;
        let rows = needed(inputs, 0)?.shape.first().copied().unwrap_or(1);
        let mut parts = Vec::with_capacity(all.len());
        for (at, tensor) in all.iter().enumerate() {
            if tensor.shape.first().copied().unwrap_or(1) != rows {
                return Err(format!("input {at} is of the shape {:?}, others have {rows} rows", tensor.shape));
            }
            let width = tensor.len().checked_div(rows).unwrap_or(0);
            let said = widths.get(at).and_then(|said| usize::try_from(*said).ok()).unwrap_or(width);
            if rows > 0 && said != width {
                return Err(format!("input {at} has {width} columns, and {said} are said"));
            }
            parts.push((tensor.to_floats()?, width));
        }
        let shape = vec![rows, parts.iter().map(|(_, width)| width).sum()];
        let mut joined = Vec::with_capacity(cells(&shape)?);
        for row in 0..rows {
            parts.iter().for_each(|(cells, width)| joined.extend_from_slice(&cells[row * width..(row + 1) * width]));
        }
        Ok(vec![Tensor::floats(shape, joined)?])
    }))
}
