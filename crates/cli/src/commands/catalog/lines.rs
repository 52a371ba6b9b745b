//! Differences between two texts, line by line.

/// Product of the numbers of lines up to which the smallest difference is searched.
const SEARCH_LIMIT: usize = 4_000_000;
/// Equal lines shown before and after a difference.
const AROUND: usize = 3;

/// A line of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineChange<'a> {
    /// A line of both.
    Same(&'a str),
    /// A line of the first text alone.
    Removed(&'a str),
    /// A line of the second text alone.
    Added(&'a str),
    /// So many lines of both that are not shown.
    Skipped(usize),
}

/// Returns the lines that differ, with some equal lines around them.
pub(super) fn changes<'a>(before: &'a str, after: &'a str) -> Vec<LineChange<'a>> {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let head = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let (first, second) = (&before[head..], &after[head..]);
    let ends = first.iter().rev().zip(second.iter().rev());
    let tail = ends.take_while(|(one, other)| one == other).count();
    let mut all: Vec<LineChange<'a>> =
        before[..head].iter().map(|it| LineChange::Same(it)).collect();
    all.extend(middle(&first[..first.len() - tail], &second[..second.len() - tail]));
    all.extend(first[first.len() - tail..].iter().map(|it| LineChange::Same(it)));
    shortened(&all)
}

/// Returns the smallest difference, by the longest common subsequence; of very long texts, all lines
/// of both.
fn middle<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<LineChange<'a>> {
    let (rows, columns) = (before.len() + 1, after.len() + 1);
    if rows.saturating_mul(columns) > SEARCH_LIMIT {
        let removed = before.iter().map(|it| LineChange::Removed(it));
        return removed.chain(after.iter().map(|it| LineChange::Added(it))).collect();
    }
    // Length of the longest common subsequence of what is left from a row and a column on.
    let mut common = vec![0_u32; rows * columns];
    for row in (0..before.len()).rev() {
        for column in (0..after.len()).rev() {
            common[row * columns + column] = if before[row] == after[column] {
                common[(row + 1) * columns + column + 1] + 1
            } else {
                common[(row + 1) * columns + column].max(common[row * columns + column + 1])
            };
        }
    }
    let (mut row, mut column, mut all) = (0, 0, Vec::new());
    while row < before.len() || column < after.len() {
        let both = row < before.len() && column < after.len();
        if both && before[row] == after[column] {
            all.push(LineChange::Same(before[row]));
            (row, column) = (row + 1, column + 1);
        } else if column == after.len()
            || (both && common[(row + 1) * columns + column] >= common[row * columns + column + 1])
        {
            all.push(LineChange::Removed(before[row]));
            row += 1;
        } else {
            all.push(LineChange::Added(after[column]));
            column += 1;
        }
    }
    all
}

/// Leaves out equal lines that are far from any difference.
fn shortened<'a>(all: &[LineChange<'a>]) -> Vec<LineChange<'a>> {
    let is_same = |line: &LineChange<'_>| matches!(line, LineChange::Same(_));
    let mut near = vec![false; all.len()];
    for (index, _) in all.iter().enumerate().filter(|(_, line)| !is_same(line)) {
        let end = (index + AROUND + 1).min(all.len());
        near[index.saturating_sub(AROUND)..end].fill(true);
    }
    let (mut shown, mut skipped) = (Vec::new(), 0);
    for (line, is_near) in all.iter().zip(near) {
        if !is_near {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            shown.push(LineChange::Skipped(std::mem::take(&mut skipped)));
        }
        shown.push(*line);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::LineChange::{Added, Removed, Same, Skipped};
    use super::*;

    #[test]
    fn the_smallest_difference_is_shown_with_lines_around() {
        let before = "a\nb\nc\nd\ne\nf";
        assert_eq!(changes(before, before), []);
        assert_eq!(changes("", "a\nb"), [Added("a"), Added("b")]);
        let after = "a\nb\nc\nd\nx\ny\nf";
        let expected = [
            Skipped(1),
            Same("b"),
            Same("c"),
            Same("d"),
            Removed("e"),
            Added("x"),
            Added("y"),
            Same("f"),
        ];
        assert_eq!(changes(before, after), expected);
        assert_eq!(changes("a\nb\nc", "b\nc\nd"), [Removed("a"), Same("b"), Same("c"), Added("d")]);
    }
}
