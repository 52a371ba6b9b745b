//! Shares of an earlier measurement, in a file of the repository: a regression is a share that
//! grew.
//!
//! Shares are compared and not times: they are of the machine's own floors, so that a file from one
//! machine says something on another one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::report::Line;

/// Factor from which a share counts as changed: machines are never quiet.
const CHANGED: f64 = 1.25;

/// Difference from which a share counts as changed: some shares are near zero.
const CHANGED_BY: f64 = 0.05;

/// Shares by line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shares {
    schema: u32,
    /// Commit that was measured.
    commit: String,
    shares: BTreeMap<String, f64>,
}

impl Shares {
    /// Returns the shares of a report.
    pub(crate) fn of(lines: &[Line], commit: &str) -> Self {
        let rounded = |share: f64| (share * 1_000.0).round() / 1_000.0;
        let measured = lines.iter().filter_map(|line| Some((line, line.share?)));
        let shares = measured.map(|(line, share)| (line.name.clone(), rounded(share))).collect();
        Self { schema: 1, commit: commit.to_owned(), shares }
    }

    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(serde_json::from_str(&text)
            .map_err(|error| format!("{} has no shares: {error}", file.display()))?)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(std::fs::write(file, text)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?)
    }

    /// Returns the lines whose share changed, for people.
    pub(crate) fn compared_with(&self, lines: &[Line]) -> String {
        let mut changed = Vec::new();
        for line in lines {
            let known = self.shares.get(&line.name);
            let (Some(now), Some(before)) = (line.share, known) else { continue };
            let word = if now > before * CHANGED && now > before + CHANGED_BY {
                "SLOWER"
            } else if now * CHANGED < *before && now + CHANGED_BY < *before {
                "faster"
            } else {
                continue;
            };
            changed.push(format!("{word}  {}: {before:.2} before, {now:.2} now\n", line.name));
        }
        let counted = lines.iter().filter(|line| self.shares.contains_key(&line.name)).count();
        format!("compared with {} ({counted} lines in both)\n{}", self.commit, changed.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, share: Option<f64>) -> Line {
        Line { share, ..Line::failed(name, "") }
    }

    #[test]
    fn a_share_that_grew_by_more_than_a_quarter_is_shown() {
        let before =
            Shares::of(&[line("a", Some(1.0)), line("b", Some(1.0)), line("c", None)], "abc");
        let now = [line("a", Some(1.3)), line("b", Some(1.2)), line("c", Some(9.0))];
        let text = before.compared_with(&now);
        assert_eq!(text, "compared with abc (2 lines in both)\nSLOWER  a: 1.00 before, 1.30 now\n");
        assert!(before.compared_with(&[line("b", Some(0.5))]).contains("faster  b"));
        let idle = Shares::of(&[line("a", Some(0.0))], "abc");
        assert!(!idle.compared_with(&[line("a", Some(0.04))]).contains("SLOWER"));
    }

    #[test]
    fn a_written_file_is_read_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let shares = Shares::of(&[line("a", Some(0.123_456))], "abc");
        shares.write(file.path()).unwrap();
        assert_eq!(Shares::read(file.path()).unwrap(), shares);
        std::fs::write(file.path(), "{}").unwrap();
        assert!(Shares::read(file.path()).unwrap_err().to_string().contains("has no shares"));
    }
}
