//! Operations along axes: sums, largest cells, shares.

use super::graph::{Node, Op};
use super::ops::needed;
use super::shapes::axes;
use super::tensor::{Data, Tensor, axis, strides, walk};
use crate::{Problem, links};

/// `ReduceSum` and its kin: the axes are an attribute in older versions, and an input in newer ones.
pub(super) fn reduce(node: &Node) -> Result<Op, Problem> {
    let fold: fn(&[f64]) -> f64 = match node.op {
        "ReduceSum" => |cells| cells.iter().sum(),
        "ReduceMean" => |cells| cells.iter().sum::<f64>() / cells.len() as f64,
        "ReduceMax" => {
            |cells| cells.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b > a || b.is_nan() { b } else { a })
        }
        "ReduceMin" => {
            |cells| cells.iter().copied().fold(f64::INFINITY, |a, b| if b < a || b.is_nan() { b } else { a })
        }
        "ReduceProd" => |cells| cells.iter().product(),
        "ReduceL1" => |cells| cells.iter().map(|x| x.abs()).sum(),
        "ReduceL2" => |cells| cells.iter().map(|x| x * x).sum::<f64>().sqrt(),
        "ReduceSumSquare" => |cells| cells.iter().map(|x| x * x).sum(),
        "ReduceLogSum" => |cells| cells.iter().sum::<f64>().ln(),
        "ReduceLogSumExp" => |cells| {
            let most = cells.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let most = if most.is_finite() { most } else { 0.0 };
            cells.iter().map(|x| (x - most).exp()).sum::<f64>().ln() + most
        },
        other => return Err(Problem::Unsupported(format!("the reduction {other}"))),
    };
    let said = node.ints("axes").map(<[i64]>::to_vec);
    let keeps = node.int("keepdims") != Some(0);
    let keeps_all = node.int("noop_with_empty_axes") == Some(1);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let axes = match axes(&said, inputs, x.shape.len())?.filter(|axes| !axes.is_empty()) {
            Some(axes) => axes,
            None if keeps_all => return Ok(vec![x.clone()]),
            None => (0..x.shape.len()).collect(),
        };
        let (shape, cells, size) = gathered(x, &axes, keeps)?;
        let count = shape.iter().product();
        let made = (0..count).map(|at| fold(&cells[at * size..(at + 1) * size])).collect();
        Ok(vec![x.like(shape, made)?])
    }))
}

/// The shape without the axes (or with 1 there), and cells in blocks of those that fall together, with their number.
fn gathered(x: &Tensor, axes: &[usize], keeps: bool) -> Result<(Vec<usize>, Vec<f64>, usize), String> {
    let strides = strides(&x.shape);
    let kept: Vec<usize> = (0..x.shape.len()).filter(|at| !axes.contains(at)).collect();
    let gone: Vec<usize> = (0..x.shape.len()).filter(|at| axes.contains(at)).collect();
    let size = gone.iter().map(|at| x.shape[*at]).product();
    let shape = match keeps {
        true => (0..x.shape.len()).map(|at| if axes.contains(&at) { 1 } else { x.shape[at] }).collect(),
        false => kept.iter().map(|at| x.shape[*at]).collect(),
    };
    let numbers = x.to_doubles()?;
    if gone.iter().zip((0..x.shape.len()).rev().take(gone.len()).collect::<Vec<_>>().iter().rev()).all(|(a, b)| a == b)
    {
        return Ok((shape, numbers, size));
    }
    let order = || kept.iter().chain(&gone);
    let (along, steps): (Vec<usize>, Vec<isize>) = order().map(|at| (x.shape[*at], strides[*at] as isize)).unzip();
    let cells = walk(&along, &steps, 0)?.into_iter().map(|place| numbers[place]).collect();
    Ok((shape, cells, size))
}

/// `ArgMax` and `ArgMin`: the first of equal ones, or the last where that is said.
pub(super) fn arg(node: &Node) -> Result<Op, Problem> {
    let said = node.int("axis").unwrap_or(0);
    let (keeps, is_last) = (node.int("keepdims") != Some(0), node.int("select_last_index") == Some(1));
    let sign = if node.op == "ArgMin" { -1.0 } else { 1.0 };
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = axis(said, x.shape.len())?;
        let (shape, cells, size) = gathered(x, &[at], keeps)?;
        if size == 0 {
            return Err("it looks for the largest of no cells".into());
        }
        let best = |row: &[f64]| {
            let better = |best: usize, at: usize| {
                let (x, y) = (sign * row[at], sign * row[best]);
                if x > y || (is_last && x == y) { at } else { best }
            };
            (0..row.len()).fold(0, better) as i64
        };
        Ok(vec![Tensor::ints(shape, cells.chunks_exact(size).map(best).collect())?])
    }))
}

/// `Softmax`, `LogSoftmax` and `Hardmax`; up to version 12 over all axes from the one that is said.
pub(super) fn softmax(node: &Node) -> Result<Op, Problem> {
    let is_old = node.version < 13;
    let said = node.int("axis").unwrap_or(if is_old { 1 } else { -1 });
    let apply: fn(&mut [f64]) = match node.op {
        "Softmax" => links::softmax,
        "LogSoftmax" => |row| {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
            row.iter_mut().for_each(|x| *x -= most + sum.ln());
        },
        _ => |row| {
            let best = (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            row.iter_mut().enumerate().for_each(|(at, x)| *x = f64::from(u8::from(at == best)));
        },
    };
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = axis(said, x.shape.len())?;
        let mut cells = x.to_doubles()?;
        let inner: usize = x.shape[at + 1..].iter().product();
        let size = if is_old { x.shape[at] * inner } else { x.shape[at] };
        let inner = if is_old { 1 } else { inner };
        if size == 0 || inner == 0 {
            return Ok(vec![x.clone()]);
        }
        let mut row = vec![0.0; size];
        for block in cells.chunks_exact_mut(size * inner) {
            for first in 0..inner {
                (0..size).for_each(|at| row[at] = block[first + at * inner]);
                apply(&mut row);
                (0..size).for_each(|at| block[first + at * inner] = row[at]);
            }
        }
        Ok(vec![x.like(x.shape.clone(), cells)?])
    }))
}

/// `TopK`: the largest or smallest cells along an axis, with their places; of equal ones the first.
pub(super) fn top_k(node: &Node) -> Result<Op, Problem> {
    let said = node.int("axis").unwrap_or(-1);
    let sign = if node.int("largest") == Some(0) { -1.0 } else { 1.0 };
    let count = node.int("k");
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = axis(said, x.shape.len())?;
        let count = match count {
            Some(count) => Some(count),
            None => needed(inputs, 1)?.as_ints()?.first().copied(),
        };
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= x.shape[at]);
        let count = count.ok_or_else(|| format!("it takes more than the {} cells along axis {at}", x.shape[at]))?;
        let inner: usize = x.shape[at + 1..].iter().product();
        let outer: usize = x.shape[..at].iter().product();
        let numbers = x.to_doubles()?;
        let mut shape = x.shape.clone();
        shape[at] = count;
        let mut places = vec![0; outer * count * inner];
        let mut ranks = vec![0; places.len()];
        for block in 0..outer {
            for column in 0..inner {
                let place = |rank: usize| (block * x.shape[at] + rank) * inner + column;
                let mut order: Vec<usize> = (0..x.shape[at]).collect();
                order.sort_by(|a, b| (sign * numbers[place(*b)]).total_cmp(&(sign * numbers[place(*a)])));
                for (rank, from) in order.into_iter().take(count).enumerate() {
                    let to = (block * count + rank) * inner + column;
                    (places[to], ranks[to]) = (place(from), from as i64);
                }
            }
        }
        Ok(vec![x.picked(shape.clone(), &places)?, Tensor::new(shape, Data::Int(ranks))?])
    }))
}
