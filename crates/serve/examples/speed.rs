//! How long a model takes for a row, to answer and to explain: `cargo run -p bellwether-serve --example speed -- MODEL`, of any format.

use std::time::Instant;

use bellwether_serve::{Column, Frame, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("say which file")?;
    let bytes = std::fs::read(path)?;
    let start = Instant::now();
    let model = read(&bytes)?;
    println!("read in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    for rows in [1, 100, 10_000] {
        let frame = made_up(model.width(), rows);
        let times = 10_000 / rows;
        let start = Instant::now();
        for _ in 0..times {
            if model.probabilities(&frame)?.is_none() {
                model.predict(&frame)?;
            }
        }
        println!("{rows} rows: {:.2} us a row", start.elapsed().as_secs_f64() * 1e6 / (rows * times) as f64);
    }
    let reference = made_up(model.width(), 100);
    for rows in [1, 100, 1_000] {
        let frame = made_up(model.width(), rows);
        let times = 1_000 / rows;
        let start = Instant::now();
        for _ in 0..times {
            model.explain(&frame, Some(&reference))?;
        }
        println!("{rows} rows explained: {:.1} us a row", start.elapsed().as_secs_f64() * 1e6 / (rows * times) as f64);
    }
    Ok(())
}

/// Numbers that look like those of a normal distribution.
fn made_up(width: usize, rows: usize) -> Frame {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    let columns = (0..width).map(|_| Column::Numbers((0..rows).map(|_| normal()).collect())).collect();
    Frame { names: Vec::new(), columns, rows }
}
