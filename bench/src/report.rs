//! The report: one line per target.

use serde_json::json;

use crate::Failure;

/// A measured target.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Name of the measurement.
    pub(crate) name: String,
    /// Measured value with its unit.
    pub(crate) measured: String,
    /// Allowance of the target.
    pub(crate) target: String,
    /// Measured floor.
    pub(crate) floor: String,
    /// Measured value as a share of the allowance, median over the rounds; up to 1 the target is
    /// met.
    pub(crate) share: Option<f64>,
    /// Remarks.
    pub(crate) note: String,
}

impl Line {
    /// Returns a line for a section that could not be measured.
    pub(crate) fn failed(section: &str, reason: &str) -> Self {
        Self {
            name: section.to_owned(),
            measured: "not measured".to_owned(),
            target: String::new(),
            floor: String::new(),
            share: None,
            note: reason.to_owned(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.share {
            Some(share) if share <= 1.0 => "holds",
            Some(_) => "MISSED",
            None => "-",
        }
    }
}

/// Returns the report as a table for people.
pub(crate) fn table(lines: &[Line]) -> String {
    let head = ["what", "measured", "allowed", "share", "", "floor, notes"].map(str::to_owned);
    let mut rows = vec![head];
    for line in lines {
        let share = line.share.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}"));
        let mut remarks = line.floor.clone();
        if !line.note.is_empty() {
            remarks = format!("{remarks} {}", line.note).trim().to_owned();
        }
        rows.push([
            line.name.clone(),
            line.measured.clone(),
            line.target.clone(),
            share,
            line.verdict().to_owned(),
            remarks,
        ]);
    }
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text = text + cells.join("  ").trim_end() + "\n";
    }
    text
}

/// Returns the report as JSON, `schema: 1`.
pub(crate) fn json(lines: &[Line]) -> Result<String, Failure> {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            json!({
                "name": line.name,
                "measured": line.measured,
                "allowed": line.target,
                "share": line.share,
                "verdict": line.verdict(),
                "floor": line.floor,
                "note": line.note,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({ "schema": 1, "lines": lines }))?)
}

/// Returns the median; 0 for an empty list.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Returns a time as text.
pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}
