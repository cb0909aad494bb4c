//! Accuracy of the template miner on loghub's labelled lines (Zhu et al., ISSRE 2023, templates corrected by Khan et
//! al., ICSE 2022): one configuration, lines in order, through the code that runs live.
//!
//! Needs the folder `loghub_2k` below `$BELLWETHER_DATA`; says so and passes where it is not set.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bellwether_math::templates::Miner;

/// The four usual measures, 0..=1.
struct Accuracy {
    /// Lines whose group is exactly the true one.
    grouping: f64,
    /// Lines whose template text is the true one.
    parsing: f64,
    /// F1 of templates by group.
    f_grouping: f64,
    /// F1 of templates by group and text.
    f_template: f64,
}

#[test]
fn templates_of_loghub() {
    let Ok(data) = std::env::var("BELLWETHER_DATA") else {
        eprintln!("SKIPPED: set BELLWETHER_DATA to the folder that holds loghub_2k");
        return;
    };
    let mut systems: Vec<_> = std::fs::read_dir(Path::new(&data).join("loghub_2k"))
        .expect("BELLWETHER_DATA holds loghub_2k")
        .filter_map(|entry| entry.ok().filter(|e| e.path().is_dir()))
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    systems.sort();
    let mut sum = [0.0; 4];
    for system in &systems {
        let path = Path::new(&data).join(format!("loghub_2k/{system}/{system}_2k.log_structured_corrected.csv"));
        let rows = read_csv(&std::fs::read_to_string(path).unwrap());
        let a = accuracy(system, &rows);
        let all = [a.grouping, a.parsing, a.f_grouping, a.f_template];
        println!("{system:<10} GA {:.3}  PA {:.3}  FGA {:.3}  FTA {:.3}", all[0], all[1], all[2], all[3]);
        sum.iter_mut().zip(all).for_each(|(s, v)| *s += v);
    }
    let mean = sum.map(|s| s / systems.len() as f64);
    println!("{:<10} GA {:.3}  PA {:.3}  FGA {:.3}  FTA {:.3}", "mean", mean[0], mean[1], mean[2], mean[3]);
    assert!(mean[0] > 0.88, "grouping accuracy fell to {}", mean[0]);
}

fn accuracy(system: &str, rows: &[(String, String)]) -> Accuracy {
    let mut miner = Miner::default();
    let ids: Vec<u32> = rows.iter().map(|(content, _)| miner.assign(content).id).collect();
    let mut ours: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut truth: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, (id, (_, template))) in ids.iter().zip(rows).enumerate() {
        ours.entry(*id).or_default().push(i);
        truth.entry(template).or_default().push(i);
    }
    let true_groups: HashSet<&Vec<usize>> = truth.values().collect();
    let (mut grouped, mut right_groups, mut right_templates, mut parsed) = (0, 0, 0, 0);
    for (id, lines) in &ours {
        let text = plain(miner.text(*id));
        let hits = lines.iter().filter(|i| plain(&rows[**i].1) == text).count();
        parsed += hits;
        if true_groups.contains(lines) {
            grouped += lines.len();
            right_groups += 1;
            right_templates += usize::from(hits == lines.len());
        }
    }
    if std::env::var("SHOW").is_ok_and(|s| s == system) {
        show(&miner, &ours, &truth, rows);
    }
    let f1 = |right: usize| 2.0 * right as f64 / (ours.len() + truth.len()) as f64;
    Accuracy {
        grouping: grouped as f64 / rows.len() as f64,
        parsing: parsed as f64 / rows.len() as f64,
        f_grouping: f1(right_groups),
        f_template: f1(right_templates),
    }
}

/// Prints what went wrong, largest first.
fn show(miner: &Miner, ours: &HashMap<u32, Vec<usize>>, truth: &HashMap<&str, Vec<usize>>, rows: &[(String, String)]) {
    let mut wrong: Vec<_> = ours.iter().collect();
    wrong.sort_by_key(|(id, lines)| (std::cmp::Reverse(lines.len()), **id));
    for (id, lines) in wrong {
        let names: HashSet<&str> = lines.iter().map(|i| rows[*i].1.as_str()).collect();
        let is_right = names.len() == 1 && truth[rows[lines[0]].1.as_str()] == *lines;
        let mark = if is_right { "  " } else { "!!" };
        if !is_right || plain(miner.text(*id)) != plain(&rows[lines[0]].1) {
            println!("{mark} {:>4} {}", lines.len(), miner.text(*id));
            for name in names {
                println!("      of {:>4} {name}", truth[name].len());
            }
        }
    }
}

/// Blanks do not count.
fn plain(template: &str) -> String {
    template.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Content and template of each row.
fn read_csv(text: &str) -> Vec<(String, String)> {
    let mut rows = records(text).into_iter();
    let head = rows.next().unwrap_or_default();
    let column = |name: &str| head.iter().position(|h| h == name).expect("the column is there");
    let (content, template) = (column("Content"), column("EventTemplate"));
    rows.map(|mut row| (std::mem::take(&mut row[content]), std::mem::take(&mut row[template]))).collect()
}

fn records(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(c),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}
