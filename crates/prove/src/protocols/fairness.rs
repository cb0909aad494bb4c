//! `fairness`: how alike a risk score treats two groups, with the definitions of fairlearn.
//!
//! COMPAS' general score from 5 on against recidivism within two years, after the filters of ProPublica's analysis
//! (Larson et al. 2016): the screening within thirty days of the arrest, the outcome known, an offence with jail, a
//! score that was given; African-American and Caucasian people. Nothing is learned: the table shows that the figures
//! are the right ones, and how sure they are.

use std::path::Path;

use math::fairness::{Assessment, Group, Groups, Metric, Settings, intersection};

use crate::{Problem, Protocol, Report, Row, Run, data, report::round, workers::timed};

/// The entry.
pub const PROTOCOL: Protocol = Protocol {
    name: "fairness",
    summary: "group rates and disparities of COMPAS' score by race: parity with fairlearn",
    layout: "fairness_classic/NAME.csv with ProPublica's columns: race, sex, decile_score, score_text, two_year_recid, \
             days_b_screening_arrest, is_recid, c_charge_degree",
    run,
};

/// The two groups compared.
const RACES: [&str; 2] = ["African-American", "Caucasian"];
/// The score from which on reoffending is predicted.
const SCORE: f64 = 5.0;
/// Rows of the set of which fairlearn's figures are known.
const KNOWN_ROWS: u64 = 5278;
/// fairlearn's figures on that set.
const KNOWN: [(&str, f64); 11] = [
    ("all accuracy", 0.65820),
    ("African-American selection_rate", 0.57606),
    ("Caucasian selection_rate", 0.33096),
    ("African-American true_positive_rate", 0.71524),
    ("Caucasian true_positive_rate", 0.50365),
    ("African-American false_positive_rate", 0.42338),
    ("Caucasian false_positive_rate", 0.22014),
    ("demographic_parity_difference", 0.24511),
    ("demographic_parity_ratio", 0.57451),
    ("equalized_odds_difference", 0.21158),
    ("equalized_odds_ratio", 0.51996),
];

/// One person.
struct Person {
    race: String,
    sex: String,
    predicted: bool,
    truth: bool,
}

/// A figure as it is written: group, metric, value, low, high.
struct Figure(String, String, f64, Option<(f64, f64)>);

fn run(run: &Run) -> Result<Report, Problem> {
    let folder = run.data.join("fairness_classic");
    let names = data::list(&folder, PROTOCOL.layout, |name| name.ends_with(".csv"))?;
    let mut report = Report::new(PROTOCOL.name);
    for (rows, _) in run.each(&names, |name| set_rows(run, &folder, name.trim_end_matches(".csv")))? {
        report.rows.extend(rows);
    }
    report.summary.insert("published".into(), "fairlearn on the same rows, where the rows are ProPublica's".into());
    Ok(report)
}

fn set_rows(run: &Run, folder: &Path, name: &str) -> Result<Vec<Row>, Problem> {
    let people = people(&folder.join(format!("{name}.csv")))?;
    let (by_race, cpu_s) = timed(|| assess(&people, |person| person.race.clone()));
    let by_both = assess(&people, |person| intersection(&[&person.race, &person.sex]));
    write(run, &format!("fairness/{name}.csv"), &figures(&by_race))?;
    write(run, &format!("fairness/{name}.race-sex.csv"), &figures(&by_both))?;
    let is_known = by_race.overall.rows == KNOWN_ROWS;
    let mut rows: Vec<Row> = figures(&by_race).into_iter().filter_map(|figure| row(name, figure, is_known)).collect();
    let disparities = figures(&by_both).into_iter().filter(|Figure(group, ..)| group == DISPARITY);
    let name = format!("{name}, race and sex");
    rows.extend(disparities.filter_map(|figure| row(&name, figure, false)));
    if let Some(first) = rows.first_mut() {
        first.cpu_s = cpu_s;
    }
    Ok(rows)
}

fn assess(people: &[Person], group: impl Fn(&Person) -> String) -> Assessment {
    let mut groups = Groups::default();
    people.iter().for_each(|person| groups.observe(&group(person), person.predicted, Some(person.truth), None));
    groups.assess(&Settings::default())
}

/// Stands where no group does.
const DISPARITY: &str = "disparity";

/// A figure as a row of the report; counts are none.
fn row(name: &str, Figure(group, metric, value, _): Figure, is_known: bool) -> Option<Row> {
    if metric == "count" {
        return None;
    }
    let item = if group == DISPARITY { metric } else { format!("{group} {metric}") };
    let row = Row::new(name, &item, round(value), 0.0);
    match KNOWN.iter().find(|(known, _)| is_known && *known == item) {
        Some((_, value)) => Some(row.published("fairlearn", *value)),
        None => Some(row),
    }
}

fn figures(assessment: &Assessment) -> Vec<Figure> {
    let groups = std::iter::once(&assessment.overall).chain(&assessment.groups);
    let mut found: Vec<Figure> = groups.flat_map(group_figures).collect();
    let names = [
        (Metric::SelectionRate, "demographic_parity"),
        (Metric::TruePositiveRate, "equal_opportunity"),
        (Metric::Precision, "predictive_parity"),
        (Metric::Accuracy, "accuracy"),
    ];
    for (metric, name) in names {
        let Some(disparity) = assessment.disparity(metric) else { continue };
        let difference = disparity.difference.unwrap_or(f64::NAN);
        found.push(Figure(DISPARITY.into(), format!("{name}_difference"), difference, disparity.interval));
        let ratio = disparity.ratio.unwrap_or(f64::NAN);
        found.push(Figure(DISPARITY.into(), format!("{name}_ratio"), ratio, None));
    }
    let (difference, ratio) = assessment.equalized_odds();
    for (name, value) in [("equalized_odds_difference", difference), ("equalized_odds_ratio", ratio)] {
        found.push(Figure(DISPARITY.into(), name.into(), value.unwrap_or(f64::NAN), None));
    }
    found
}

fn group_figures(group: &Group) -> Vec<Figure> {
    let count = Figure(group.name.clone(), "count".into(), group.rows as f64, None);
    let shares = group.shares.iter().map(|share| {
        let value = share.value.unwrap_or(f64::NAN);
        Figure(group.name.clone(), share.metric.name().into(), value, Some((share.low, share.high)))
    });
    std::iter::once(count).chain(shares).collect()
}

fn write(run: &Run, path: &str, figures: &[Figure]) -> Result<(), Problem> {
    let line = |Figure(group, metric, value, interval): &Figure| {
        let end = |pick: fn(&(f64, f64)) -> f64| interval.as_ref().map_or(String::new(), |i| pick(i).to_string());
        vec![group.clone(), metric.clone(), value.to_string(), end(|i| i.0), end(|i| i.1)]
    };
    run.predict(path, &["group", "metric", "value", "low", "high"], figures.iter().map(line))
}

/// The people of a file whom the filters leave.
fn people(path: &Path) -> Result<Vec<Person>, Problem> {
    let rows = data::rows(path, b',', PROTOCOL.layout)?;
    let missing = |name: &str| Problem::new(path, format!("no column {name}"), PROTOCOL.layout);
    // Some columns stand twice in these files; the first counts.
    let column = |name: &str| rows[0].iter().position(|n| n == name).ok_or_else(|| missing(name));
    let (race, sex, text) = (column("race")?, column("sex")?, column("score_text")?);
    let (days, outcome, degree) = (column("days_b_screening_arrest")?, column("is_recid")?, column("c_charge_degree")?);
    let (score, truth) = (column("decile_score")?, column("two_year_recid")?);
    let mut people = Vec::new();
    for (line, row) in rows.iter().enumerate().skip(1) {
        let number = |column| data::number(path, line + 1, row, column, PROTOCOL.layout);
        let field = |column: usize| row.get(column).map_or("", String::as_str);
        let is_kept = number(days)?.abs() <= 30.0
            && number(outcome)? != -1.0
            && field(degree) != "O"
            && field(text) != "N/A"
            && RACES.contains(&field(race));
        if is_kept {
            let (race, sex) = (field(race).to_owned(), field(sex).to_owned());
            people.push(Person { race, sex, predicted: number(score)? >= SCORE, truth: number(truth)? == 1.0 });
        }
    }
    Ok(people)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "race,sex,score_text,days_b_screening_arrest,is_recid,c_charge_degree,decile_score,two_year_recid,two_year_recid";

    #[test]
    fn a_small_file_by_hand_and_a_broken_one() {
        let folder = tempfile::tempdir().unwrap();
        let run_it = || run(&Run { data: folder.path(), predictions: Some(folder.path()), progress: &|_, _| {} });
        assert!(run_it().unwrap_err().to_string().contains("fairness_classic"));
        std::fs::create_dir_all(folder.path().join("fairness_classic")).unwrap();
        let file = folder.path().join("fairness_classic/x.csv");
        let yes = "African-American,Male,High,-1,1,F,7,1,0\nCaucasian,Male,Low,,1,F,7,1,0\n".repeat(40);
        let no = "Caucasian,Female,Low,3,0,M,2,0,1\nOther,Male,High,0,1,F,9,1,1\nCaucasian,Male,N/A,0,1,F,9,1,1\n";
        std::fs::write(&file, format!("{HEAD}\n{yes}{}", no.repeat(40))).unwrap();
        let report = run_it().unwrap();
        let found = |metric: &str| report.rows.iter().find(|r| r.metric == metric && r.name == "x").unwrap().ours;
        assert_eq!((found("all accuracy"), found("all selection_rate")), (1.0, 0.5));
        assert_eq!((found("demographic_parity_difference"), found("demographic_parity_ratio")), (1.0, 0.0));
        let written = std::fs::read_to_string(folder.path().join("fairness/x.csv")).unwrap();
        assert!(written.starts_with("group,metric,value,low,high\nall,count,80,,\nall,accuracy,1,0.95"), "{written}");
        std::fs::write(&file, "race\nCaucasian\n").unwrap();
        assert!(run_it().unwrap_err().to_string().contains("no column sex"));
    }

    /// Parity with fairlearn; needs the folder `fairness_classic` below `$BELLWETHER_DATA`.
    #[test]
    fn the_figures_of_compas_are_those_of_fairlearn() {
        let Ok(data) = std::env::var("BELLWETHER_DATA") else {
            eprintln!("SKIPPED: set BELLWETHER_DATA to the folder that holds fairness_classic");
            return;
        };
        let report = run(&Run { data: Path::new(&data), predictions: None, progress: &|_, _| {} }).unwrap();
        let known: Vec<&Row> = report.rows.iter().filter(|row| !row.published.is_empty()).collect();
        assert!(known.len() >= KNOWN.len(), "{} figures known", known.len());
        for row in known {
            assert!((row.ours - row.published["fairlearn"]).abs() < 1e-4, "{}: {}", row.metric, row.ours);
        }
    }
}
