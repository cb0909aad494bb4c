//! Operations that move cells and change none.

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Data, Tensor, axis, broadcast, cells, stretched, strides, walk};
use crate::Problem;

pub(super) fn identity(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| Ok(vec![needed(inputs, 0)?.clone()])))
}

/// `Dropout`, which drops nothing once a model is trained.
pub(super) fn dropout(node: &Node) -> Result<Op, Problem> {
    let has_mask = node.outputs > 1;
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let mut made = vec![x.clone()];
        if has_mask {
            made.push(Tensor::new(x.shape.clone(), Data::Bool(vec![true; x.len()]))?);
        }
        Ok(made)
    }))
}

pub(super) fn constant(node: &Node) -> Result<Op, Problem> {
    let texts = || node.texts("value_strings");
    let value = if let Some(tensor) = node.tensor("value")? {
        Ok(tensor)
    } else if let Some(number) = node.float("value_float") {
        Tensor::floats(Vec::new(), vec![number])
    } else if let Some(number) = node.int("value_int") {
        Tensor::ints(Vec::new(), vec![number])
    } else if node.has("value_floats") {
        let numbers = node.floats("value_floats");
        Tensor::floats(vec![numbers.len()], numbers.to_vec())
    } else if let Some(numbers) = node.ints("value_ints") {
        Tensor::ints(vec![numbers.len()], numbers.to_vec())
    } else if node.has("value_string") {
        Tensor::new(Vec::new(), Data::Text(vec![node.text("value_string", "")?.into()]))
    } else if node.has("value_strings") {
        Tensor::new(vec![texts()?.len()], Data::Text(texts()?))
    } else {
        return Err(Problem::Unsupported("a constant that is sparse or has no value".into()));
    };
    let value = value.map_err(Problem::Damaged)?;
    Ok(Box::new(move |_| Ok(vec![value.clone()])))
}

pub(super) fn constant_of_shape(node: &Node) -> Result<Op, Problem> {
    let zero = Tensor { shape: vec![1], data: Data::Float(vec![0.0]) };
    let value = node.tensor("value")?.unwrap_or(zero);
    Ok(Box::new(move |inputs| {
        let shape = lengths(needed(inputs, 0)?)?;
        let count = cells(&shape)?;
        Ok(vec![value.picked(shape, &vec![0; count])?])
    }))
}

pub(super) fn shape(node: &Node) -> Result<Op, Problem> {
    let (start, end) = (node.int("start").unwrap_or(0), node.int("end").unwrap_or(i64::MAX));
    Ok(Box::new(move |inputs| {
        let shape: Vec<i64> = needed(inputs, 0)?.shape.iter().map(|axis| *axis as i64).collect();
        let place = |said: i64| {
            let from = if said < 0 { said.saturating_add(shape.len() as i64) } else { said };
            from.clamp(0, shape.len() as i64) as usize
        };
        let part = shape.get(place(start)..place(end)).unwrap_or_default().to_vec();
        Ok(vec![Tensor::ints(vec![part.len()], part)?])
    }))
}

/// `Reshape`: 0 keeps a length, and one -1 is what is left.
pub(super) fn reshape(node: &Node) -> Result<Op, Problem> {
    let keeps_zero = node.int("allowzero") == Some(1);
    let said = node.ints("shape").map(<[i64]>::to_vec);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let said = match &said {
            Some(said) => said.as_slice(),
            None => needed(inputs, 1)?.as_ints()?,
        };
        let mut shape = Vec::with_capacity(said.len());
        let mut open = None;
        for (at, length) in said.iter().enumerate() {
            shape.push(match *length {
                0 if !keeps_zero => *x.shape.get(at).ok_or("it keeps a length that is not there")?,
                -1 if open.is_none() => {
                    open = Some(at);
                    1
                }
                length => usize::try_from(length).map_err(|_| format!("it wants the shape {said:?}"))?,
            });
        }
        if let Some(at) = open {
            let rest = cells(&shape)?;
            shape[at] = x.len().checked_div(rest).unwrap_or(0);
        }
        Ok(vec![x.reshaped(shape)?])
    }))
}

pub(super) fn flatten(node: &Node) -> Result<Op, Problem> {
    let said = node.int("axis").unwrap_or(1);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = if said == x.shape.len() as i64 { x.shape.len() } else { axis(said, x.shape.len())? };
        let (rows, columns) = (x.shape[..at].iter().product(), x.shape[at..].iter().product());
        Ok(vec![x.reshaped(vec![rows, columns])?])
    }))
}

/// `Squeeze`: the axes are an attribute up to version 12, and an input since.
pub(super) fn squeeze(node: &Node) -> Result<Op, Problem> {
    let said = node.ints("axes").map(<[i64]>::to_vec);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let axes = match axes(&said, inputs, x.shape.len())? {
            Some(axes) => axes,
            None => (0..x.shape.len()).filter(|at| x.shape[*at] == 1).collect(),
        };
        if axes.iter().any(|at| x.shape[*at] != 1) {
            return Err(format!("the shape {:?} is longer than 1 along the axes {axes:?}", x.shape));
        }
        let kept = (0..x.shape.len()).filter(|at| !axes.contains(at)).map(|at| x.shape[at]);
        Ok(vec![x.reshaped(kept.collect())?])
    }))
}

/// `Unsqueeze`; the axes as in [`squeeze`].
pub(super) fn unsqueeze(node: &Node) -> Result<Op, Problem> {
    let said = node.ints("axes").map(<[i64]>::to_vec);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let count = match &said {
            Some(said) => said.len(),
            None => needed(inputs, 1)?.len(),
        };
        let mut axes = axes(&said, inputs, x.shape.len() + count)?.ok_or("its axes are missing")?;
        axes.sort_unstable();
        axes.dedup();
        let mut shape = x.shape.clone();
        axes.into_iter().for_each(|at| shape.insert(at.min(shape.len()), 1));
        Ok(vec![x.reshaped(shape)?])
    }))
}

/// Axes of an attribute, or of the second input; `None`: nothing is said.
pub(super) fn axes(
    said: &Option<Vec<i64>>,
    inputs: &[Option<&Tensor>],
    count: usize,
) -> Result<Option<Vec<usize>>, String> {
    let said = match (said, inputs.get(1).copied().flatten()) {
        (Some(said), _) => said.as_slice(),
        (None, Some(input)) => input.as_ints()?,
        (None, None) => return Ok(None),
    };
    said.iter().map(|at| axis(*at, count)).collect::<Result<_, _>>().map(Some)
}

pub(super) fn transpose(node: &Node) -> Result<Op, Problem> {
    let said = node.ints("perm").map(<[i64]>::to_vec);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let order: Vec<usize> = match &said {
            None => (0..x.shape.len()).rev().collect(),
            Some(said) => said.iter().map(|at| axis(*at, x.shape.len())).collect::<Result<_, _>>()?,
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.shape.len()) {
            return Err(format!("it puts the axes of {:?} into the order {order:?}", x.shape));
        }
        let from = strides(&x.shape);
        let shape: Vec<usize> = order.iter().map(|at| x.shape[*at]).collect();
        let steps: Vec<isize> = order.iter().map(|at| from[*at] as isize).collect();
        let places = walk(&shape, &steps, 0)?;
        Ok(vec![x.picked(shape, &places)?])
    }))
}

pub(super) fn expand(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let x = needed(inputs, 0)?;
        let shape = broadcast(&x.shape, &lengths(needed(inputs, 1)?)?)?;
        Ok(vec![x.picked(shape.clone(), &stretched(&x.shape, &shape)?)?])
    }))
}

pub(super) fn tile(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let (x, times) = (needed(inputs, 0)?, lengths(needed(inputs, 1)?)?);
        if times.len() != x.shape.len() {
            return Err(format!("it repeats the shape {:?} {times:?} times", x.shape));
        }
        // Each axis becomes two: how often, and along it.
        let (mut shape, mut steps) = (Vec::new(), Vec::new());
        for ((length, times), stride) in x.shape.iter().zip(&times).zip(strides(&x.shape)) {
            shape.extend([*times, *length]);
            steps.extend([0, stride as isize]);
        }
        let places = walk(&shape, &steps, 0)?;
        Ok(vec![x.picked(shape.chunks(2).map(|pair| pair[0] * pair[1]).collect(), &places)?])
    }))
}

pub(super) fn concat(node: &Node) -> Result<Op, Problem> {
    let said = node.int("axis").unwrap_or(1);
    Ok(Box::new(move |inputs| {
        let first = needed(inputs, 0)?;
        let at = axis(said, first.shape.len())?;
        let all: Vec<&Tensor> = (0..inputs.len()).map(|at| needed(inputs, at)).collect::<Result<_, _>>()?;
        let mut shape = first.shape.clone();
        shape[at] = 0;
        for tensor in &all {
            let fits = tensor.shape.len() == shape.len()
                && (0..shape.len()).all(|axis| axis == at || tensor.shape[axis] == shape[axis]);
            if !fits {
                return Err(format!("the shapes {:?} and {:?} cannot be joined", first.shape, tensor.shape));
            }
            shape[at] += tensor.shape[at];
        }
        let count = cells(&shape)?;
        let outer: usize = shape[..at].iter().product();
        let parts: Vec<usize> = all.iter().map(|tensor| tensor.shape[at..].iter().product()).collect();
        macro_rules! joined {
            ($kind:ident) => {{
                let mut cells = Vec::with_capacity(count);
                for row in 0..outer {
                    for (tensor, part) in all.iter().zip(&parts) {
                        let Data::$kind(from) = &tensor.data else {
                            return Err("it joins tensors of several types".into());
                        };
                        cells.extend_from_slice(&from[row * part..(row + 1) * part]);
                    }
                }
                Data::$kind(cells)
            }};
        }
        let data = match &first.data {
            Data::Float(_) => joined!(Float),
            Data::Double(_) => joined!(Double),
            Data::Int(_) => joined!(Int),
            Data::Bool(_) => joined!(Bool),
            Data::Text(_) => joined!(Text),
        };
        Ok(vec![Tensor::new(shape, data)?])
    }))
}

pub(super) fn split(node: &Node) -> Result<Op, Problem> {
    let (said, outputs) = (node.int("axis").unwrap_or(0), node.outputs);
    let sizes = node.ints("split").map(<[i64]>::to_vec);
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let at = axis(said, x.shape.len())?;
        let sizes: Vec<usize> = match (&sizes, inputs.get(1).copied().flatten()) {
            (Some(sizes), _) => sizes.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX)).collect(),
            (None, Some(sizes)) => lengths(sizes)?,
            (None, None) => {
                let each = x.shape[at].div_ceil(outputs.max(1));
                (0..outputs).map(|part| each.min(x.shape[at].saturating_sub(part * each))).collect()
            }
        };
        let total = sizes.iter().try_fold(0_usize, |all, size| all.checked_add(*size));
        if total != Some(x.shape[at]) || sizes.len() < outputs {
            return Err(format!("the shape {:?} cannot be cut into {sizes:?}", x.shape));
        }
        let from = strides(&x.shape);
        let steps: Vec<isize> = from.iter().map(|stride| *stride as isize).collect();
        let mut first = 0;
        let part = |size: &usize| {
            let mut shape = x.shape.clone();
            shape[at] = *size;
            let places = walk(&shape, &steps, (first * from[at]) as isize)?;
            first += size;
            x.picked(shape, &places)
        };
        sizes.iter().map(part).collect()
    }))
}

/// `Slice`: starts and ends are attributes up to version 9, and inputs since.
pub(super) fn slice(node: &Node) -> Result<Op, Problem> {
    let list = |name: &str| node.ints(name).map(<[i64]>::to_vec);
    let (starts, ends, axes) = (list("starts"), list("ends"), list("axes"));
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let part = |said: &Option<Vec<i64>>, at: usize| match (said, inputs.get(at).copied().flatten()) {
            (Some(said), _) => Ok::<_, String>(Some(said.clone())),
            (None, Some(input)) => Ok(Some(input.as_ints()?.to_vec())),
            (None, None) => Ok(None),
        };
        let starts = part(&starts, 1)?.ok_or("its starts are missing")?;
        let ends = part(&ends, 2)?.ok_or("its ends are missing")?;
        let axes = part(&axes, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = part(&None, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("its starts, ends, axes and steps are not as many".into());
        }
        let mut shape = x.shape.clone();
        let mut strides: Vec<isize> = strides(&x.shape).into_iter().map(|stride| stride as isize).collect();
        let mut first = 0;
        for (((start, end), at), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let at = axis(*at, x.shape.len())?;
            let length = x.shape[at] as i64;
            let place = |said: i64| if said < 0 { said.saturating_add(length) } else { said };
            let (start, end) = match step {
                1.. => (place(*start).clamp(0, length), place(*end).clamp(0, length)),
                0 => return Err("it goes on by 0".into()),
                // From the end to the beginning; before the first cell is -1.
                _ => (place(*start).clamp(-1, length - 1), place(*end).clamp(-1, length - 1)),
            };
            let far = if *step > 0 { end - start } else { start - end };
            shape[at] = far.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as usize;
            first += start.max(0) as isize * strides[at];
            strides[at] = strides[at].saturating_mul(isize::try_from(*step).unwrap_or(isize::MAX));
        }
        let places = walk(&shape, &strides, first)?;
        Ok(vec![x.picked(shape, &places)?])
    }))
}

pub(super) fn gather(node: &Node) -> Result<Op, Problem> {
    let said = node.int("axis").unwrap_or(0);
    Ok(Box::new(move |inputs| {
        let (x, which) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let at = axis(said, x.shape.len())?;
        let rows: Vec<usize> = which.as_ints()?.iter().map(|row| axis(*row, x.shape[at])).collect::<Result<_, _>>()?;
        let inner: usize = x.shape[at + 1..].iter().product();
        let outer: usize = x.shape[..at].iter().product();
        let shape = [&x.shape[..at], &which.shape, &x.shape[at + 1..]].concat();
        let mut places = Vec::with_capacity(cells(&shape)?);
        for block in 0..outer {
            for row in &rows {
                let from = (block * x.shape[at] + row) * inner;
                places.extend(from..from + inner);
            }
        }
        Ok(vec![x.picked(shape, &places)?])
    }))
}

pub(super) fn gather_elements(node: &Node) -> Result<Op, Problem> {
    let said = node.int("axis").unwrap_or(0);
    Ok(Box::new(move |inputs| {
        let (x, which) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let at = axis(said, x.shape.len())?;
        let fits = which.shape.len() == x.shape.len()
            && (0..x.shape.len()).all(|axis| axis == at || which.shape[axis] <= x.shape[axis]);
        if !fits {
            return Err(format!("it takes cells of the shape {:?} in the shape {:?}", x.shape, which.shape));
        }
        let steps = strides(&x.shape);
        let along: Vec<isize> =
            steps.iter().enumerate().map(|(axis, stride)| if axis == at { 0 } else { *stride as isize }).collect();
        let mut places = walk(&which.shape, &along, 0)?;
        for (place, row) in places.iter_mut().zip(which.as_ints()?) {
            *place += axis(*row, x.shape[at])? * steps[at];
        }
        Ok(vec![x.picked(which.shape.clone(), &places)?])
    }))
}

/// `ArrayFeatureExtractor`: some columns of the last axis.
pub(super) fn array_feature_extractor(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let (x, which) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let width = *x.shape.last().ok_or("it takes columns of a single cell")?;
        let columns: Vec<usize> = which.as_ints()?.iter().map(|at| axis(*at, width)).collect::<Result<_, _>>()?;
        let rows: usize = x.shape[..x.shape.len() - 1].iter().product();
        let shape = match x.shape.len() {
            1 => vec![1, columns.len()],
            axes => [&x.shape[..axes - 1], &[columns.len()]].concat(),
        };
        cells(&shape)?;
        let places: Vec<usize> =
            (0..rows).flat_map(|row| columns.iter().map(move |column| row * width + column)).collect();
        Ok(vec![x.picked(shape, &places)?])
    }))
}

/// A tensor of lengths.
fn lengths(tensor: &Tensor) -> Result<Vec<usize>, String> {
    let length = |said: &i64| usize::try_from(*said).map_err(|_| format!("a length is {said}"));
    tensor.as_ints()?.iter().map(length).collect()
}
