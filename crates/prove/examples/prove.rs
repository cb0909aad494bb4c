//! A protocol without the heavy rooms, for work on a method: `cargo run -p bellwether-prove --example prove -- nab DIR`.

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let protocol = prove::ALL.iter().find(|p| p.name == args[1]).expect("a protocol's name");
    let run = prove::Run {
        data: std::path::Path::new(&args[2]),
        predictions: args.get(3).map(std::path::Path::new),
        progress: &|_, _| {},
    };
    match (protocol.run)(&run) {
        Ok(report) => print!("{}", report.render()),
        Err(problem) => eprintln!("{problem}"),
    }
}
