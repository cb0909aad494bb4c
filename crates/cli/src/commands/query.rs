//! `query`: SQL on a running server, or on a data folder.

use std::io::Read;

use serde_json::{Value, json};

use crate::{
    args::Query,
    client::Client,
    failure::{Failure, Kind, Outcome},
    output,
};

/// Asks and prints; warnings go to standard error.
pub async fn run(flags: Query) -> Outcome {
    let mut sql = flags.sql.clone();
    if sql == "-" {
        sql.clear();
        std::io::stdin().read_to_string(&mut sql)?;
    }
    let (columns, rows, warnings) = match &flags.data_dir {
        Some(dir) => super::data::query(dir, &sql).await?,
        None => ask(&Client::new(&flags.remote)?, &sql).await?,
    };
    for warning in warnings {
        eprintln!("warning: {}", output::plain(&warning));
    }
    output::rows(&columns, &rows, flags.output);
    Ok(())
}

/// Columns, rows and warnings of a query on a server.
pub async fn ask(client: &Client, sql: &str) -> Outcome<(Vec<String>, Vec<Vec<Value>>, Vec<String>)> {
    let answer = client.post("/api/v1/sql", &json!({ "query": sql })).await?;
    let names = |v: &Value| v.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let columns = answer["columns"].as_array().map(|c| c.iter().map(names).collect());
    let rows =
        answer["rows"].as_array().map(|rows| rows.iter().map(|r| r.as_array().cloned().unwrap_or_default()).collect());
    let (Some(columns), Some(rows)) = (columns, rows) else {
        return Err(Failure::new(Kind::Failed, "the server's answer is not a query result")
            .hint("is this address a bellwether server?"));
    };
    let warnings =
        answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok((columns, rows, warnings))
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
