//! Text that came in parts, and may come again in other parts.
//!
//! Boundaries between parts of text say nothing: a journal keeps what an agent sends in quick
//! succession as one event. Otherwise the rules are those of [`super::track`]: an attempt may have
//! been left at any point, with the next one starting again, and what came while a step was under
//! way may come or not.

use std::collections::BTreeSet;

/// Recorded text by attempt, and the position of a replay.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextTrack {
    attempts: Vec<Vec<Piece>>,
    /// Possible positions of the replay.
    places: BTreeSet<Place>,
}

/// Text that came without a step beginning or ending meanwhile.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    text: String,
    /// True if it came while a step was under way.
    in_step: bool,
}

/// Before byte `at` of a piece of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    attempt: usize,
    piece: usize,
    at: usize,
}

impl Place {
    const fn start_of(attempt: usize) -> Self {
        Self { attempt, piece: 0, at: 0 }
    }

    const fn next_piece(self) -> Self {
        Self { piece: self.piece + 1, at: 0, ..self }
    }
}

impl Default for TextTrack {
    fn default() -> Self {
        Self { attempts: Vec::new(), places: BTreeSet::from([Place::start_of(0)]) }
    }
}

impl TextTrack {
    /// Takes down text of attempt `number`, which counts from 1.
    pub(super) fn record(&mut self, number: u32, text: &str, in_step: bool) {
        self.reach(number);
        let Some(pieces) = self.attempts.last_mut() else { return };
        match pieces.last_mut() {
            Some(last) if last.in_step == in_step => last.text.push_str(text),
            Some(_) | None if text.is_empty() => {}
            Some(_) | None => pieces.push(Piece { text: text.to_owned(), in_step }),
        }
    }

    /// Takes down that there was an attempt of that number.
    pub(super) fn reach(&mut self, number: u32) {
        let number = usize::try_from(number).unwrap_or(0);
        while self.attempts.len() < number.max(1) {
            self.attempts.push(Vec::new());
        }
    }

    /// Takes the replay's next text in.
    ///
    /// # Errors
    ///
    /// Recorded text in its place; `None`: nothing more was recorded.
    pub(super) fn follow(&mut self, found: &str) -> Result<(), Option<&str>> {
        let mut reached = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<(Place, usize)> = self.places.iter().map(|place| (*place, 0)).collect();
        while let Some((place, taken)) = open.pop() {
            if !seen.insert((place, taken)) {
                continue;
            }
            let left = &found.as_bytes()[taken..];
            if left.is_empty() {
                reached.insert(place);
                continue;
            }
            let Some(piece) = self.piece(place) else {
                open.extend(self.starts_after(place).map(|start| (start, taken)));
                continue;
            };
            let rest = &piece.text.as_bytes()[place.at..];
            let common = rest.iter().zip(left).take_while(|(left, right)| left == right).count();
            if common == rest.len() {
                open.push((place.next_piece(), taken + common));
            } else if common == left.len() {
                reached.insert(Place { at: place.at + common, ..place });
            }
            // It may have been left anywhere on the way.
            for way in 0..=common {
                open.extend(self.starts_after(place).map(|start| (start, taken + way)));
                if piece.in_step {
                    open.push((place.next_piece(), taken + way));
                }
            }
        }
        if reached.is_empty() {
            return Err(self.due());
        }
        self.places = reached;
        Ok(())
    }

    /// Returns recorded text that did not come; `None`: the end is reached.
    pub(super) fn rest(&self) -> Option<&str> {
        let last = self.attempts.len().checked_sub(1)?;
        let is_left_out = |place: &Place, pieces: &[Piece]| {
            let from = place.piece.min(pieces.len());
            pieces[from..].iter().enumerate().all(|(n, piece)| {
                let at = if n == 0 { place.at } else { 0 };
                piece.in_step || at == piece.text.len()
            })
        };
        let is_end = |place: &Place| {
            let pieces = &self.attempts[last];
            let start = Place::start_of(last);
            is_left_out(if place.attempt == last { place } else { &start }, pieces)
        };
        if self.places.iter().any(is_end) { None } else { self.due() }
    }

    /// Returns the text that comes next, as far as the replay can have come.
    fn due(&self) -> Option<&str> {
        let mut all = self.places.iter().rev().filter_map(|place| {
            let piece = self.piece(*place)?;
            piece.text.get(place.at..).filter(|rest| !rest.is_empty())
        });
        let later = || {
            let last = self.attempts.len().checked_sub(1)?;
            let is_before = self.places.iter().all(|place| place.attempt < last);
            let pieces = self.attempts.last().filter(|_| is_before)?;
            pieces.iter().find(|piece| !piece.in_step).map(|piece| piece.text.as_str())
        };
        all.next().or_else(later)
    }

    fn piece(&self, place: Place) -> Option<&Piece> {
        self.attempts.get(place.attempt)?.get(place.piece)
    }

    fn starts_after(&self, place: Place) -> impl Iterator<Item = Place> + use<> {
        (place.attempt + 1..self.attempts.len()).map(Place::start_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(recorded: &[&str], replayed: &[&str]) -> Result<(), String> {
        let mut track = TextTrack::default();
        for (number, text) in (1..).zip(recorded) {
            track.reach(number);
            // Capitals come within a step.
            for c in text.chars() {
                let lower = c.to_lowercase().to_string();
                track.record(number, &lower, c.is_uppercase());
            }
        }
        for found in replayed {
            let shown = |expected: Option<&str>| format!("{found} for {expected:?}");
            track.follow(found).map_err(shown)?;
        }
        track.rest().map_or(Ok(()), |rest| Err(format!("no {rest}")))
    }

    #[test]
    fn text_is_repeated_however_it_is_cut() {
        for replayed in [&["abcd"][..], &["a", "bcd"], &["a", "", "b", "c", "d"]] {
            assert_eq!(check(&["abcd"], replayed), Ok(()), "{replayed:?}");
        }
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&["abc"], &["ab"]), Err("no c".to_owned()));
        assert_eq!(check(&["abc"], &["a", "xc"]), Err("xc for Some(\"bc\")".to_owned()));
        assert_eq!(check(&["abc"], &["abcd"]), Err("abcd for Some(\"abc\")".to_owned()));
        assert_eq!(check(&["abc"], &["abc", "d"]), Err("d for None".to_owned()));
        assert_eq!(check(&["äö"], &["ä", "ö"]), Ok(()));
    }

    #[test]
    fn text_of_a_step_may_come_or_not() {
        for replayed in [&["ab"][..], &["axyb"], &["ax", "yb"], &["axb"]] {
            assert_eq!(check(&["aXYb"], replayed), Ok(()), "{replayed:?}");
        }
        assert!(check(&["aXYb"], &["axyc"]).is_err());
        assert_eq!(check(&["aX"], &["a"]), Ok(()));
        assert_eq!(check(&["Xa"], &["x"]), Err("no a".to_owned()));
    }

    #[test]
    fn several_attempts_are_repeated_as_one() {
        for replayed in [&["abcd"][..], &["a", "bbcd"], &["bcd"]] {
            assert_eq!(check(&["ab", "bcd"], replayed), Ok(()), "{replayed:?}");
        }
        assert_eq!(check(&["abc", "", "abcd"], &["ab", "cd"]), Ok(()));
        assert!(check(&["ab", "bcd"], &["ab"]).is_err());
        assert!(check(&["ab", "bcd"], &["acd"]).is_err());
        assert_eq!(check(&["ab", ""], &["a"]), Ok(()));
    }
}
