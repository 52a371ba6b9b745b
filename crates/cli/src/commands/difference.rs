//! First difference of a strict replay, in the form of a diff.

use errand_model::event::ReplayDiverged;

/// Returns both sides of the difference.
pub(super) fn text(diverged: &ReplayDiverged) -> String {
    let ReplayDiverged { step, what, expected, found, diff, .. } = diverged;
    let at = step.as_ref().map_or_else(String::new, |step| format!(" at step {step:?}"));
    let mut lines = vec![format!("{what}{at}")];
    if let Some(diff) = diff {
        lines.push(diff.trim_end().to_owned());
        return lines.join("\n");
    }
    lines.push("--- recorded".to_owned());
    lines.push("+++ replayed".to_owned());
    let expected: Vec<&str> = expected.as_deref().unwrap_or_default().lines().collect();
    let found: Vec<&str> = found.as_deref().unwrap_or_default().lines().collect();
    let before = expected.iter().zip(&found).take_while(|(left, right)| left == right).count();
    let rest = (&expected[before..], &found[before..]);
    let after = rest
        .0
        .iter()
        .rev()
        .zip(rest.1.iter().rev())
        .take_while(|(left, right)| left == right)
        .count();
    lines.extend(expected[..before].iter().map(|line| format!("  {line}")));
    let sides = [("-", rest.0), ("+", rest.1)];
    for (sign, side) in sides {
        lines.extend(side[..side.len() - after].iter().map(|line| format!("{sign} {line}")));
    }
    lines.extend(rest.0[rest.0.len() - after..].iter().map(|line| format!("  {line}")));
    if diverged.expected.is_none() {
        lines.push("(the record has nothing of the sort)".to_owned());
    }
    if diverged.found.is_none() {
        lines.push("(the replay has nothing of the sort)".to_owned());
    }
    lines.join("\n")
}
