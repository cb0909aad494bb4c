//! Reading published data: folders, CSV and Parquet, with errors that say what was expected where.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use parquet::{
    column::reader::ColumnReader,
    file::reader::{FileReader, SerializedFileReader},
};

/// Data that is missing or not as expected.
#[derive(Debug)]
pub struct Problem {
    /// The file or folder.
    pub at: PathBuf,
    /// What is wrong with it.
    pub found: String,
    /// What was expected there.
    pub expected: String,
}

impl Problem {
    /// A problem at a path.
    pub fn new(at: impl Into<PathBuf>, found: impl Into<String>, expected: impl Into<String>) -> Problem {
        Problem { at: at.into(), found: found.into(), expected: expected.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}; expected {}", self.at.display(), self.found, self.expected)
    }
}

impl std::error::Error for Problem {}

/// Columns of numbers with their names; all of one length. Missing values are NaN.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names, in order of the file.
    pub names: Vec<String>,
    /// Values by column.
    pub columns: Vec<Vec<f64>>,
}

impl Table {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a column out by name.
    pub fn take(&mut self, name: &str) -> Option<Vec<f64>> {
        let at = self.names.iter().position(|n| n == name)?;
        self.names.remove(at);
        Some(self.columns.remove(at))
    }
}

/// Text of a file.
pub fn text(path: &Path, expected: &str) -> Result<String, Problem> {
    let bytes = std::fs::read(path).map_err(|e| Problem::new(path, e.to_string(), expected))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A JSON document.
pub fn json(path: &Path, expected: &str) -> Result<serde_json::Value, Problem> {
    serde_json::from_str(&text(path, expected)?).map_err(|e| Problem::new(path, format!("not JSON: {e}"), expected))
}

/// The names in a folder, sorted; those that `keep` says.
pub fn list(folder: &Path, expected: &str, keep: impl Fn(&str) -> bool) -> Result<Vec<String>, Problem> {
    let entries = std::fs::read_dir(folder).map_err(|e| Problem::new(folder, e.to_string(), expected))?;
    let names = entries.filter_map(|e| e.ok()).map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|n| keep(n)).collect();
    names.sort();
    if names.is_empty() {
        return Err(Problem::new(folder, "nothing of that kind in it", expected));
    }
    Ok(names)
}

/// Rows of a file of separated values, with or without quotes; the line that names columns, if there is one, is the
/// first row returned. Rows may differ in length.
pub fn rows(path: &Path, separator: u8, expected: &str) -> Result<Vec<Vec<String>>, Problem> {
    let mut found = Vec::new();
    each_record(path, separator, expected, |_, row| {
        found.push(row.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect());
        Ok(())
    })?;
    Ok(found)
}

/// The same one by one, with the number of the line from 1 on; a file whose name ends with `.gz` is unpacked.
pub fn each_record(
    path: &Path,
    separator: u8,
    expected: &str,
    mut work: impl FnMut(usize, &csv::ByteRecord) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let problem = |e: &dyn fmt::Display| Problem::new(path, e.to_string(), expected);
    let file = std::io::BufReader::new(std::fs::File::open(path).map_err(|e| problem(&e))?);
    let is_packed = path.extension().is_some_and(|e| e == "gz");
    let text: Box<dyn Read> =
        if is_packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text);
    let mut record = csv::ByteRecord::new();
    let mut line = 0;
    while reader.read_byte_record(&mut record).map_err(|e| problem(&e))? {
        line += 1;
        work(line, &record)?;
    }
    if line == 0 {
        return Err(problem(&"an empty file"));
    }
    Ok(())
}

/// A number in a row; the error names line and column.
pub fn number(path: &Path, line: usize, row: &[String], column: usize, expected: &str) -> Result<f64, Problem> {
    let field = row.get(column).map(|f| f.trim());
    let Some(field) = field else {
        return Err(Problem::new(path, format!("line {line} has no column {}", column + 1), expected));
    };
    if field.is_empty() {
        return Ok(f64::NAN);
    }
    field.parse().map_err(|_| {
        Problem::new(path, format!("line {line}, column {}: {field:?} is not a number", column + 1), expected)
    })
}

/// A CSV file whose first line names columns of numbers.
pub fn csv_table(path: &Path, expected: &str) -> Result<Table, Problem> {
    let rows = rows(path, b',', expected)?;
    let names = rows[0].clone();
    let mut columns = vec![Vec::with_capacity(rows.len() - 1); names.len()];
    for (line, row) in rows.iter().enumerate().skip(1) {
        for (i, column) in columns.iter_mut().enumerate() {
            column.push(number(path, line + 1, row, i, expected)?);
        }
    }
    Ok(Table { names, columns })
}

/// A Parquet file of flat numeric columns.
pub fn parquet_table(path: &Path, expected: &str) -> Result<Table, Problem> {
    let problem = |e: &dyn fmt::Display| Problem::new(path, e.to_string(), expected);
    let file = std::fs::File::open(path).map_err(|e| problem(&e))?;
    let reader = SerializedFileReader::new(file).map_err(|e| problem(&e))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|c| c.name().to_owned()).collect();
    let levels: Vec<i16> = schema.columns().iter().map(|c| c.max_def_level()).collect();
    let mut columns = vec![Vec::new(); names.len()];
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| problem(&e))?;
        let rows = group.metadata().num_rows() as usize;
        for (i, column) in columns.iter_mut().enumerate() {
            let column_reader = group.get_column_reader(i).map_err(|e| problem(&e))?;
            read_column(column_reader, rows, levels[i], column).map_err(|e| problem(&e))?;
        }
    }
    Ok(Table { names, columns })
}

fn read_column(
    reader: ColumnReader,
    rows: usize,
    level: i16,
    out: &mut Vec<f64>,
) -> Result<(), parquet::errors::ParquetError> {
    macro_rules! read {
        ($reader:expr, $as:expr) => {{
            let mut reader = $reader;
            let (mut values, mut levels) = (Vec::new(), Vec::new());
            let mut seen = 0;
            while seen < rows {
                let (records, _, _) = reader.read_records(rows - seen, Some(&mut levels), None, &mut values)?;
                if records == 0 {
                    break;
                }
                seen += records;
            }
            let mut values = values.into_iter().map($as);
            if level == 0 {
                out.extend(values);
            } else {
                out.extend(
                    levels.iter().map(|l| if *l == level { values.next().unwrap_or(f64::NAN) } else { f64::NAN }),
                );
            }
        }};
    }
    match reader {
        ColumnReader::DoubleColumnReader(r) => read!(r, |v: f64| v),
        ColumnReader::FloatColumnReader(r) => read!(r, f64::from),
        ColumnReader::Int64ColumnReader(r) => read!(r, |v: i64| v as f64),
        ColumnReader::Int32ColumnReader(r) => read!(r, f64::from),
        ColumnReader::BoolColumnReader(r) => read!(r, |v: bool| f64::from(u8::from(v))),
        _ => return Err(parquet::errors::ParquetError::General("a column that holds no numbers".into())),
    }
    Ok(())
}
