//! Operations that slide a window over rows of signals (`[rows, channels, length]`) or images
//! (`[rows, channels, height, width]`).

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Tensor, cells, products};
use crate::Problem;

/// How a window is laid and moved, as the node says it. A signal is an image of height 1.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// What is added before and after, along each axis.
    pads: Vec<usize>,
    auto: Auto,
    rounds_up: bool,
}

/// How much is added where the node does not say it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Auto {
    AsSaid,
    None,
    MoreAfter,
    MoreBefore,
}

/// A window along one axis of a certain length.
#[derive(Clone, Copy)]
struct Side {
    length: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
    out: usize,
}

impl Window {
    fn read(node: &Node) -> Result<Window, Problem> {
        let list = |name: &str| -> Result<Vec<usize>, Problem> {
            let said = node.ints(name).unwrap_or_default();
            let number = |said: &i64| usize::try_from(*said).ok().filter(|number| *number < 1 << 20);
            let list: Option<Vec<usize>> = said.iter().map(number).collect();
            list.ok_or_else(|| Problem::Unsupported(format!("the {name} {said:?}")))
        };
        let auto = match node.text("auto_pad", "NOTSET")? {
            "NOTSET" => Auto::AsSaid,
            "VALID" => Auto::None,
            "SAME_UPPER" => Auto::MoreAfter,
            "SAME_LOWER" => Auto::MoreBefore,
            other => return Err(Problem::Unsupported(format!("the auto_pad {other:?}"))),
        };
        Ok(Window {
            kernel: list("kernel_shape")?,
            strides: list("strides")?,
            dilations: list("dilations")?,
            pads: list("pads")?,
            auto,
            rounds_up: node.int("ceil_mode") == Some(1),
        })
    }

    /// The window over images of these lengths; a signal's height comes first and is 1.
    fn sides(&self, lengths: &[usize], kernel: &[usize]) -> Result<[Side; 2], String> {
        let axes = lengths.len();
        if !(1..=2).contains(&axes) || kernel.len() != axes {
            return Err(format!("a window of {kernel:?} over {lengths:?}: signals and images are run"));
        }
        let flat = Side { length: 1, kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, out: 1 };
        let mut sides = [flat; 2];
        for at in 0..axes {
            let (length, kernel) = (lengths[at], kernel[at]);
            let stride = self.strides.get(at).copied().unwrap_or(1).max(1);
            let dilation = self.dilations.get(at).copied().unwrap_or(1).max(1);
            let reach = kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
            let whole = length.div_ceil(stride).saturating_sub(1).saturating_mul(stride).saturating_add(reach);
            let missing = whole.saturating_sub(length);
            let (before, after) = match self.auto {
                Auto::None => (0, 0),
                Auto::MoreAfter => (missing / 2, missing - missing / 2),
                Auto::MoreBefore => (missing - missing / 2, missing / 2),
                Auto::AsSaid => {
                    let pad = |at: usize| self.pads.get(at).copied().unwrap_or(0);
                    (pad(at), pad(axes + at))
                }
            };
            let room = (length + before + after).checked_sub(reach).filter(|_| kernel > 0);
            let room = room.ok_or_else(|| format!("a window of {kernel} does not fit into {length}"))?;
            let mut out = if self.rounds_up { room.div_ceil(stride) } else { room / stride } + 1;
            // The last window must begin within what is there.
            if self.rounds_up && (out - 1) * stride >= length + before {
                out -= 1;
            }
            sides[2 - axes + at] = Side { length, kernel, stride, dilation, before, after, out };
        }
        Ok(sides)
    }
}

impl Side {
    /// Where the window at a place has its cells; `None`: in what was added.
    fn cell(self, place: usize, at: usize) -> Option<usize> {
        (place * self.stride + at * self.dilation).checked_sub(self.before).filter(|cell| *cell < self.length)
    }

    /// How many cells of the window at a place are there or were added.
    fn covered(self, place: usize) -> usize {
        let end = self.length + self.before + self.after;
        (0..self.kernel).filter(|at| place * self.stride + at * self.dilation < end).count()
    }
}

/// `Conv`: each filter times what its window shows, in groups of channels.
pub(super) fn conv(node: &Node) -> Result<Op, Problem> {
    let window = Window::read(node)?;
    let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0).max(1);
    Ok(Box::new(move |inputs| {
        let (x, filters) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let wrong = || format!("the shapes {:?} and {:?} do not fit each other", x.shape, filters.shape);
        let ([rows, channels, lengths @ ..], [count, depth, kernel @ ..]) =
            (x.shape.as_slice(), filters.shape.as_slice())
        else {
            return Err(wrong());
        };
        if depth * groups != *channels || !count.is_multiple_of(groups) {
            return Err(wrong());
        }
        let [tall, wide] = window.sides(lengths, kernel)?;
        let (image, size) = (tall.length * wide.length, tall.out * wide.out);
        let filter = depth * tall.kernel * wide.kernel;
        let shape = shape_of(&[*rows, *count], lengths.len(), tall, wide);
        let total = cells(&shape)?;
        products(total, filter)?;
        let biases = inputs.get(2).copied().flatten().map(Tensor::to_floats).transpose()?;
        if biases.as_ref().is_some_and(|biases| biases.len() != *count) {
            return Err(format!("it has {count} filters and another number of biases"));
        }
        let (numbers, weights) = (x.to_floats()?, filters.to_floats()?);
        let mut out = vec![0.0_f32; total];
        for (at, out) in out.chunks_exact_mut(size.max(1)).enumerate() {
            let (row, filter_at) = (at / count, at % count);
            out.fill(biases.as_ref().map_or(0.0, |biases| biases[filter_at]));
            let first = filter_at / (count / groups) * depth;
            for channel in 0..*depth {
                let image = &numbers[(row * channels + first + channel) * image..][..image];
                for (tap_y, tap_x) in (0..tall.kernel).flat_map(|y| (0..wide.kernel).map(move |x| (y, x))) {
                    let tap = channel * tall.kernel * wide.kernel + tap_y * wide.kernel + tap_x;
                    let weight = weights[filter_at * filter + tap];
                    for place_y in 0..tall.out {
                        let Some(y) = tall.cell(place_y, tap_y) else { continue };
                        let line = &image[y * wide.length..(y + 1) * wide.length];
                        for place_x in 0..wide.out {
                            if let Some(x) = wide.cell(place_x, tap_x) {
                                out[place_y * wide.out + place_x] += weight * line[x];
                            }
                        }
                    }
                }
            }
        }
        Ok(vec![Tensor::floats(shape, out)?])
    }))
}

/// `MaxPool` and `AveragePool`: the largest cell of each window, or their mean.
pub(super) fn pool(node: &Node) -> Result<Op, Problem> {
    let window = Window::read(node)?;
    let (is_max, counts_pads) = (node.op == "MaxPool", node.int("count_include_pad") == Some(1));
    if node.outputs > 1 {
        return Err(Problem::Unsupported("MaxPool that answers places".into()));
    }
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let [rows, channels, lengths @ ..] = x.shape.as_slice() else {
            return Err(format!("the shape {:?} is no signal or image", x.shape));
        };
        let [tall, wide] = window.sides(lengths, &window.kernel)?;
        let image = tall.length * wide.length;
        let shape = shape_of(&[*rows, *channels], lengths.len(), tall, wide);
        let total = cells(&shape)?;
        products(total, tall.kernel * wide.kernel)?;
        let numbers = x.to_floats()?;
        let mut out = Vec::with_capacity(total);
        for image in numbers.chunks_exact(image.max(1)) {
            for (place_y, place_x) in (0..tall.out).flat_map(|y| (0..wide.out).map(move |x| (y, x))) {
                let (mut most, mut sum, mut count) = (f32::NEG_INFINITY, 0.0, 0);
                for y in (0..tall.kernel).filter_map(|at| tall.cell(place_y, at)) {
                    for x in (0..wide.kernel).filter_map(|at| wide.cell(place_x, at)) {
                        let cell = image[y * wide.length + x];
                        most = most.max(cell);
                        sum += cell;
                        count += 1;
                    }
                }
                let all = if counts_pads { tall.covered(place_y) * wide.covered(place_x) } else { count };
                out.push(if is_max { most } else { sum / all as f32 });
            }
        }
        Ok(vec![Tensor::floats(shape, out)?])
    }))
}

/// `GlobalMaxPool` and `GlobalAveragePool`: one cell for each channel.
pub(super) fn global_pool(node: &Node) -> Result<Op, Problem> {
    let is_max = node.op == "GlobalMaxPool";
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let [rows, channels, lengths @ ..] = x.shape.as_slice() else {
            return Err(format!("the shape {:?} is no signal or image", x.shape));
        };
        let size: usize = lengths.iter().product();
        let fold = |image: &[f64]| match is_max {
            true => image.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            false => image.iter().sum::<f64>() / size as f64,
        };
        let shape = [&[*rows, *channels], vec![1; lengths.len()].as_slice()].concat();
        Ok(vec![x.like(shape, x.to_doubles()?.chunks_exact(size.max(1)).map(fold).collect())?])
    }))
}

fn shape_of(begin: &[usize], axes: usize, tall: Side, wide: Side) -> Vec<usize> {
    let lengths = [tall.out, wide.out];
    [begin, &lengths[2 - axes..]].concat()
}
