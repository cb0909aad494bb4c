//! `prove`: accuracy on public data, measured on the user's own machine.

use prove::{Problem, Protocol, Report, Run};

use crate::{
    args::Prove,
    failure::{Failure, Kind, Outcome},
    output,
};

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::new(Kind::NotFound, format!("{}: {}", problem.at.display(), problem.found))
            .hint(format!("expected {}", problem.expected))
    }
}

/// Runs each protocol and prints its table, or one JSON object a protocol.
pub fn run(flags: Prove) -> Outcome {
    if flags.list {
        for protocol in &prove::ALL {
            output::write(&format!("{}\n    {}\n    reads {}\n", protocol.name, protocol.summary, protocol.layout));
        }
        return Ok(());
    }
    let protocols = chosen(&flags.protocols)?;
    let data = flags.data.as_deref().ok_or_else(|| {
        Failure::new(Kind::Usage, "no data folder")
            .hint("name it with --data; `bellwether prove --list` says what lies in it")
    })?;
    if !data.is_dir() {
        return Err(Failure::new(Kind::NotFound, format!("no data folder {}", data.display()))
            .hint("`bellwether prove --list` says what is expected in it"));
    }
    for protocol in protocols {
        let bar = output::progress(protocol.name);
        let report = (protocol.run)(&Run {
            data,
            predictions: flags.predictions.as_deref(),
            progress: &|done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            },
        });
        bar.finish_and_clear();
        print(protocol, &report?, flags.json);
    }
    Ok(())
}

fn print(protocol: &Protocol, report: &Report, json: bool) {
    if json {
        return output::write(&format!("{}\n", serde_json::to_string(report).unwrap_or_default()));
    }
    let title = output::paint(protocol.name, "bold");
    output::write(&format!("{title}: {}\n\n{}\n", protocol.summary, output::plain(&report.render())));
}

fn chosen(names: &[String]) -> Outcome<Vec<&'static Protocol>> {
    if names.is_empty() {
        return Ok(prove::ALL.iter().collect());
    }
    let find = |name: &String| {
        prove::ALL.iter().find(|p| p.name == name).ok_or_else(|| {
            let known: Vec<&str> = prove::ALL.iter().map(|p| p.name).collect();
            Failure::new(Kind::Usage, format!("no protocol {name:?}")).hint(format!("known: {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}
