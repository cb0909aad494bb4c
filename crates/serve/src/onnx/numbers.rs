//! Operations cell by cell: arithmetic, comparison, activation, and changes of type.

use std::sync::Arc;

use super::graph::{Node, Op};
use super::ops::needed;
use super::tensor::{Data, Kind, Tensor, broadcast, cells, stretched};
use crate::Problem;

/// Operations of one input. Floats are computed with as floats.
pub(super) fn unary(node: &Node) -> Result<Op, Problem> {
    let alpha = |usual: f32| f64::from(node.float("alpha").unwrap_or(usual));
    let run: Box<dyn Fn(f64) -> f64 + Send + Sync> = match node.op {
        "Abs" => return Ok(on_numbers(f32::abs, f64::abs, Some(i64::wrapping_abs))),
        "Neg" => return Ok(on_numbers(|x| -x, |x| -x, Some(i64::wrapping_neg))),
        "Relu" => return Ok(on_numbers(relu, |x| if x < 0.0 { 0.0 } else { x }, Some(|x| x.max(0)))),
        "Sign" => return Ok(on_numbers(sign32, |x| f64::from(sign32(x as f32)), Some(i64::signum))),
        "Ceil" => return Ok(on_numbers(f32::ceil, f64::ceil, None)),
        "Floor" => return Ok(on_numbers(f32::floor, f64::floor, None)),
        "Round" => return Ok(on_numbers(f32::round_ties_even, f64::round_ties_even, None)),
        "Sqrt" => return Ok(on_numbers(f32::sqrt, f64::sqrt, None)),
        "Reciprocal" => return Ok(on_numbers(|x| 1.0 / x, |x| 1.0 / x, None)),
        "Exp" => return Ok(on_numbers(f32::exp, f64::exp, None)),
        "Log" => return Ok(on_numbers(f32::ln, f64::ln, None)),
        "Tanh" => return Ok(on_numbers(f32::tanh, f64::tanh, None)),
        "Sigmoid" => return Ok(on_numbers(|x| 1.0 / (1.0 + (-x).exp()), |x| 1.0 / (1.0 + (-x).exp()), None)),
        "Sin" => Box::new(f64::sin),
        "Cos" => Box::new(f64::cos),
        "Erf" => Box::new(erf),
        "Gelu" => match node.text("approximate", "none")? {
            "none" => Box::new(|x| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))),
            "tanh" => Box::new(|x| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }),
            other => return Err(Problem::Unsupported(format!("Gelu with the approximation {other:?}"))),
        },
        "Softplus" => Box::new(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        "Softsign" => Box::new(|x| x / (1.0 + x.abs())),
        "LeakyRelu" => {
            let alpha = alpha(0.01);
            Box::new(move |x| if x < 0.0 { alpha * x } else { x })
        }
        "Elu" => {
            let alpha = alpha(1.0);
            Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Selu" => {
            let (alpha, gamma) = (alpha(1.673_263_2), f64::from(node.float("gamma").unwrap_or(1.050_701)));
            Box::new(move |x| gamma * if x <= 0.0 { alpha * x.exp_m1() } else { x })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (alpha(0.2), f64::from(node.float("beta").unwrap_or(0.5)));
            Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        other => return Err(Problem::Unsupported(format!("{other} of one input"))),
    };
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        Ok(vec![x.like(x.shape.clone(), x.to_doubles()?.into_iter().map(&run).collect())?])
    }))
}

fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

fn sign32(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { -f32::from(u8::from(x < 0.0)) }
}

fn on_numbers(float: fn(f32) -> f32, double: fn(f64) -> f64, int: Option<fn(i64) -> i64>) -> Op {
    Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let data = match (&x.data, int) {
            (Data::Float(cells), _) => Data::Float(cells.iter().map(|x| float(*x)).collect()),
            (Data::Double(cells), _) => Data::Double(cells.iter().map(|x| double(*x)).collect()),
            (Data::Int(cells), Some(int)) => Data::Int(cells.iter().map(|x| int(*x)).collect()),
            _ => return Err(other_cells()),
        };
        Ok(vec![Tensor::new(x.shape.clone(), data)?])
    })
}

fn other_cells() -> String {
    "it is given cells of a type that it does not take".into()
}

/// The error function, to the last digit of 32 bits and beyond (its power series, and its continued fraction far out).
fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size.is_nan() {
        return x;
    }
    let near = |size: f64| {
        let (mut term, mut sum) = (size, size);
        for n in 1..80 {
            term *= -size * size / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    };
    let far = |size: f64| {
        let fraction = (1..60).rev().fold(size, |fraction, n| size + f64::from(n) / 2.0 / fraction);
        1.0 - (-size * size).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    let value = if size < 2.5 { near(size) } else { far(size) };
    if x < 0.0 { -value } else { value }
}

/// Operations of two inputs that are stretched to fit each other.
pub(super) fn binary(node: &Node) -> Result<Op, Problem> {
    Ok(match node.op {
        "Add" => arithmetic(|a, b| a + b, |a, b| a + b, |a, b| Some(a.wrapping_add(b))),
        "Sub" => arithmetic(|a, b| a - b, |a, b| a - b, |a, b| Some(a.wrapping_sub(b))),
        "Mul" => arithmetic(|a, b| a * b, |a, b| a * b, |a, b| Some(a.wrapping_mul(b))),
        "Div" => arithmetic(|a, b| a / b, |a, b| a / b, i64::checked_div),
        "Mod" if node.int("fmod") == Some(1) => arithmetic(|a, b| a % b, |a, b| a % b, i64::checked_rem),
        "Mod" => arithmetic(
            |a, b| a - b * (a / b).floor(),
            |a, b| a - b * (a / b).floor(),
            |a, b| a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }),
        ),
        "PRelu" => arithmetic(
            |a, b| if a < 0.0 { a * b } else { a },
            |a, b| if a < 0.0 { a * b } else { a },
            |a, b| Some(if a < 0 { a.wrapping_mul(b) } else { a }),
        ),
        "Pow" => Box::new(|inputs| {
            let (a, b) = (needed(inputs, 0)?, needed(inputs, 1)?);
            // The exponent may be of another type; the answer is of the type of the base.
            let (shape, numbers) = zip((&a.shape, &a.to_doubles()?), (&b.shape, &b.to_doubles()?), |a, b| a.powf(*b))?;
            Ok(vec![a.like(shape, numbers)?])
        }),
        other => return Err(Problem::Unsupported(format!("{other} of two inputs"))),
    })
}

fn arithmetic(float: fn(f32, f32) -> f32, double: fn(f64, f64) -> f64, int: fn(i64, i64) -> Option<i64>) -> Op {
    Box::new(move |inputs| {
        let (a, b) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let (shape, data) = match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => {
                let (shape, cells) = zip((&a.shape, x), (&b.shape, y), |a, b| float(*a, *b))?;
                (shape, Data::Float(cells))
            }
            (Data::Double(x), Data::Double(y)) => {
                let (shape, cells) = zip((&a.shape, x), (&b.shape, y), |a, b| double(*a, *b))?;
                (shape, Data::Double(cells))
            }
            (Data::Int(x), Data::Int(y)) => {
                let (shape, cells) = zip((&a.shape, x), (&b.shape, y), |a, b| int(*a, *b))?;
                let cells: Option<Vec<i64>> = cells.into_iter().collect();
                (shape, Data::Int(cells.ok_or("it divides by zero")?))
            }
            _ => return Err(other_cells()),
        };
        Ok(vec![Tensor::new(shape, data)?])
    })
}

/// Cells of two tensors, one with the other, after they are stretched to one shape.
fn zip<A, B, T>(
    (a_shape, a): (&[usize], &[A]),
    (b_shape, b): (&[usize], &[B]),
    make: impl Fn(&A, &B) -> T,
) -> Result<(Vec<usize>, Vec<T>), String> {
    if a_shape == b_shape {
        return Ok((a_shape.to_vec(), a.iter().zip(b).map(|(a, b)| make(a, b)).collect()));
    }
    let shape = broadcast(a_shape, b_shape)?;
    let count = cells(&shape)?;
    // Most often a row, or a single cell, is taken with each row.
    let is_end = |part: &[usize]| shape.ends_with(part) || part.iter().product::<usize>() == 1;
    let made = match count {
        0 => Vec::new(),
        _ if a.len() == count && is_end(b_shape) => {
            a.chunks(b.len()).flat_map(|row| row.iter().zip(b).map(|(a, b)| make(a, b))).collect()
        }
        _ if b.len() == count && is_end(a_shape) => {
            b.chunks(a.len()).flat_map(|row| a.iter().zip(row).map(|(a, b)| make(a, b))).collect()
        }
        _ => {
            let (left, right) = (stretched(a_shape, &shape)?, stretched(b_shape, &shape)?);
            left.iter().zip(&right).map(|(left, right)| make(&a[*left], &b[*right])).collect()
        }
    };
    Ok((shape, made))
}

/// `Sum`, `Mean`, `Min` and `Max` of any number of inputs.
pub(super) fn several(node: &Node) -> Result<Op, Problem> {
    let fold = match node.op {
        "Min" => arithmetic(
            |a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { a.min(b) },
            |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) },
            |a, b| Some(a.min(b)),
        ),
        "Max" => arithmetic(
            |a, b| if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) },
            |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) },
            |a, b| Some(a.max(b)),
        ),
        _ => arithmetic(|a, b| a + b, |a, b| a + b, |a, b| Some(a.wrapping_add(b))),
    };
    let is_mean = node.op == "Mean";
    Ok(Box::new(move |inputs| {
        let mut all = needed(inputs, 0)?.clone();
        for at in 1..inputs.len() {
            all = fold(&[Some(&all), Some(needed(inputs, at)?)])?.remove(0);
        }
        if is_mean {
            let count = inputs.len() as f64;
            all = all.like(all.shape.clone(), all.to_doubles()?.into_iter().map(|x| x / count).collect())?;
        }
        Ok(vec![all])
    }))
}

/// `Equal`, `Less`, `LessOrEqual`, `Greater` and `GreaterOrEqual`.
pub(super) fn compare(node: &Node) -> Result<Op, Problem> {
    use std::cmp::Ordering;
    let holds: fn(Option<Ordering>) -> bool = match node.op {
        "Equal" => |order| order == Some(Ordering::Equal),
        "Less" => |order| order == Some(Ordering::Less),
        "Greater" => |order| order == Some(Ordering::Greater),
        "LessOrEqual" => |order| matches!(order, Some(Ordering::Less | Ordering::Equal)),
        _ => |order| matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    };
    Ok(Box::new(move |inputs| {
        let (a, b) = (needed(inputs, 0)?, needed(inputs, 1)?);
        macro_rules! compared {
            ($x:expr, $y:expr) => {
                zip((&a.shape, $x), (&b.shape, $y), |a, b| holds(a.partial_cmp(b)))?
            };
        }
        let (shape, cells) = match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => compared!(x, y),
            (Data::Double(x), Data::Double(y)) => compared!(x, y),
            (Data::Int(x), Data::Int(y)) => compared!(x, y),
            (Data::Bool(x), Data::Bool(y)) => compared!(x, y),
            (Data::Text(x), Data::Text(y)) => compared!(x, y),
            _ => return Err(other_cells()),
        };
        Ok(vec![Tensor::new(shape, Data::Bool(cells))?])
    }))
}

/// `And`, `Or` and `Xor`.
pub(super) fn logic(node: &Node) -> Result<Op, Problem> {
    let make: fn(&bool, &bool) -> bool = match node.op {
        "And" => |a, b| *a && *b,
        "Or" => |a, b| *a || *b,
        _ => |a, b| a != b,
    };
    Ok(Box::new(move |inputs| {
        let (a, b) = (needed(inputs, 0)?, needed(inputs, 1)?);
        let (Data::Bool(x), Data::Bool(y)) = (&a.data, &b.data) else { return Err(other_cells()) };
        let (shape, cells) = zip((&a.shape, x), (&b.shape, y), make)?;
        Ok(vec![Tensor::new(shape, Data::Bool(cells))?])
    }))
}

pub(super) fn not(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let x = needed(inputs, 0)?;
        let Data::Bool(cells) = &x.data else { return Err(other_cells()) };
        Ok(vec![Tensor::new(x.shape.clone(), Data::Bool(cells.iter().map(|x| !x).collect()))?])
    }))
}

pub(super) fn is_nan(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let x = needed(inputs, 0)?;
        let cells = x.to_doubles()?.into_iter().map(f64::is_nan).collect();
        Ok(vec![Tensor::new(x.shape.clone(), Data::Bool(cells))?])
    }))
}

/// `Where`: cells of one tensor or the other.
pub(super) fn choose(_: &Node) -> Result<Op, Problem> {
    Ok(Box::new(|inputs| {
        let (which, a, b) = (needed(inputs, 0)?, needed(inputs, 1)?, needed(inputs, 2)?);
        let Data::Bool(is) = &which.data else { return Err(other_cells()) };
        let shape = broadcast(&which.shape, &broadcast(&a.shape, &b.shape)?)?;
        let places = [&which.shape, &a.shape, &b.shape].map(|from| stretched(from, &shape));
        let [which, left, right] = places;
        let (which, left, right) = (which?, left?, right?);
        let is_left: Vec<bool> = which.iter().map(|place| is[*place]).collect();
        macro_rules! chosen {
            ($kind:ident, $x:expr, $y:expr) => {
                Data::$kind(is_left.iter().zip(left.iter().zip(&right)).map(|places| either($x, $y, places)).collect())
            };
        }
        let data = match (&a.data, &b.data) {
            (Data::Float(x), Data::Float(y)) => chosen!(Float, x, y),
            (Data::Double(x), Data::Double(y)) => chosen!(Double, x, y),
            (Data::Int(x), Data::Int(y)) => chosen!(Int, x, y),
            (Data::Bool(x), Data::Bool(y)) => chosen!(Bool, x, y),
            (Data::Text(x), Data::Text(y)) => chosen!(Text, x, y),
            _ => return Err(other_cells()),
        };
        Ok(vec![Tensor::new(shape, data)?])
    }))
}

/// A cell of one list, or of the other.
fn either<T: Clone>(a: &[T], b: &[T], (is_left, (left, right)): (&bool, (&usize, &usize))) -> T {
    if *is_left { a[*left].clone() } else { b[*right].clone() }
}

/// `Clip`: the ends are attributes up to version 10, and inputs since.
pub(super) fn clip(node: &Node) -> Result<Op, Problem> {
    let (low, high) = (node.float("min"), node.float("max"));
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let end = |at: usize, said: Option<f32>| match inputs.get(at).copied().flatten() {
            Some(tensor) => Ok::<_, String>(tensor.to_doubles()?.first().copied()),
            None => Ok(said.map(f64::from)),
        };
        let (low, high) = (end(1, low)?, end(2, high)?);
        let clipped = |x: f64| {
            let x = if low.is_some_and(|low| x < low) { low.unwrap_or(x) } else { x };
            if high.is_some_and(|high| x > high) { high.unwrap_or(x) } else { x }
        };
        Ok(vec![x.like(x.shape.clone(), x.to_doubles()?.into_iter().map(clipped).collect())?])
    }))
}

/// `Cast`: numbers are cut to whole ones, texts are read and written.
pub(super) fn cast(node: &Node) -> Result<Op, Problem> {
    let to = node.int("to").unwrap_or(0) as i32;
    let kind = Kind::of(to).map_err(|what| Problem::Unsupported(format!("a cast to {what}")))?;
    Ok(Box::new(move |inputs| {
        let x = needed(inputs, 0)?;
        let data = match (kind, &x.data) {
            (Kind::Text, data) => Data::Text(written(data)),
            (_, Data::Text(texts)) => read(texts, kind)?,
            (Kind::Float, _) => Data::Float(x.to_floats()?),
            (Kind::Double, _) => Data::Double(x.to_doubles()?),
            (Kind::Bool, Data::Bool(cells)) => Data::Bool(cells.clone()),
            (Kind::Bool, _) => Data::Bool(x.to_doubles()?.into_iter().map(|x| x != 0.0).collect()),
            (_, Data::Int(cells)) => Data::Int(cells.iter().map(|x| narrowed(to, *x)).collect()),
            _ => Data::Int(x.to_doubles()?.into_iter().map(|x| narrowed(to, x as i64)).collect()),
        };
        Ok(vec![Tensor::new(x.shape.clone(), data)?])
    }))
}

fn narrowed(to: i32, x: i64) -> i64 {
    match to {
        2 => i64::from(x as u8),
        3 => i64::from(x as i8),
        4 => i64::from(x as u16),
        5 => i64::from(x as i16),
        6 => i64::from(x as i32),
        12 => i64::from(x as u32),
        _ => x,
    }
}

/// Cells as texts, as the runtime of ONNX writes them.
fn written(data: &Data) -> Vec<Arc<str>> {
    match data {
        Data::Float(cells) => cells.iter().map(|x| number(f64::from(*x), 8).into()).collect(),
        Data::Double(cells) => cells.iter().map(|x| number(*x, 17).into()).collect(),
        Data::Int(cells) => cells.iter().map(|x| x.to_string().into()).collect(),
        Data::Bool(cells) => cells.iter().map(|x| if *x { "1" } else { "0" }.into()).collect(),
        Data::Text(cells) => cells.clone(),
    }
}

/// A number with so many digits, as `%g` of C writes it.
fn number(x: f64, digits: usize) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x < 0.0 { "-INF" } else { "INF" }.into();
    }
    let scientific = format!("{x:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if power < -4 || power >= digits as i32 {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), power.abs());
    }
    trimmed(&format!("{x:.*}", (digits as i32 - 1 - power) as usize))
}

fn read(texts: &[Arc<str>], kind: Kind) -> Result<Data, String> {
    let wrong = |text: &Arc<str>| format!("the text {text:?} is no number");
    let float = |text: &Arc<str>| match &**text {
        "NaN" => Ok(f64::NAN),
        other => other.trim().parse::<f64>().map_err(|_| wrong(text)),
    };
    Ok(match kind {
        Kind::Float => {
            let read = |text: &Arc<str>| float(text).map(|x| x as f32);
            Data::Float(texts.iter().map(read).collect::<Result<_, _>>()?)
        }
        Kind::Double => Data::Double(texts.iter().map(float).collect::<Result<_, _>>()?),
        Kind::Bool => return Err(other_cells()),
        _ => {
            let read = |text: &Arc<str>| text.trim().parse::<i64>().map_err(|_| wrong(text));
            Data::Int(texts.iter().map(read).collect::<Result<_, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_is_that_of_tables() {
        for (x, y) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_8),
            (-1.0, -0.842_700_792_9),
            (2.4, 0.999_311_486_1),
            (3.0, 0.999_977_909_5),
        ] {
            assert!((erf(x) - y).abs() < 1e-10, "{x}: {}", erf(x));
        }
        assert_eq!((erf(f64::INFINITY), erf(-40.0)), (1.0, -1.0));
    }

    #[test]
    fn numbers_are_written_as_in_c() {
        for (x, text) in
            [(1.0, "1"), (0.1f32 as f64, "0.1"), (1e20, "1e+20"), (-2.5e-7, "-2.5e-07"), (123456.0, "123456")]
        {
            assert_eq!(number(x, 8), text);
        }
    }
}
