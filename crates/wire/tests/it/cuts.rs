//! Answers that arrive in pieces: the events do not depend on where they were cut.

use errand_wire::{AnswerDecoder, DecodedEvent, WireEvent};

use crate::golden::{answers, decode};

#[test]
fn an_answer_means_the_same_at_every_cut() {
    for answer in answers() {
        let whole = decode(&answer, [answer.body.as_slice()]);
        for cut in 0..=answer.body.len() {
            let (first, second) = answer.body.split_at(cut);
            assert_eq!(decode(&answer, [first, second]), whole, "{} cut at {cut}", answer.name);
        }
        for size in [1, 2, 3, 7, 64] {
            let pieces = answer.body.chunks(size);
            assert_eq!(decode(&answer, pieces), whole, "{} in pieces of {size}", answer.name);
        }
    }
}

#[test]
fn a_body_that_is_there_as_a_whole_means_the_same() {
    for answer in answers() {
        let whole = decode(&answer, [answer.body.as_slice()]);
        let decoded = AnswerDecoder::decode(answer.format, answer.shape, &answer.body);
        assert_eq!(decoded, whole, "{}", answer.name);
    }
}

/// A connection may end anywhere: what was decoded until then is the begin of the whole answer.
#[test]
fn an_answer_that_ends_early_begins_as_the_whole() {
    for answer in answers() {
        let whole = decode(&answer, [answer.body.as_slice()]);
        for end in 0..answer.body.len() {
            let begin: Vec<DecodedEvent> = decode(&answer, [&answer.body[..end]]);
            let common = begin.iter().zip(&whole).take_while(|(a, b)| a.event == b.event).count();
            let is_end = |it: &DecodedEvent| matches!(it.event, WireEvent::End(_));
            assert!(begin[common..].iter().all(is_end), "{} until {end}: {begin:?}", answer.name);
        }
    }
}
