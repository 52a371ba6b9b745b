//! Properties of decoders on any input.

use errand_wire::{
    AnswerDecoder, AnswerShape, DecodedEvent, UsageChunkFilter, WireCall, WireEvent, WireFormat,
};
use proptest::prelude::*;

use crate::golden::answers;

const SHAPES: [AnswerShape; 3] =
    [AnswerShape::Whole, AnswerShape::EventStream, AnswerShape::JsonArray];

fn decode(
    format: WireFormat,
    shape: AnswerShape,
    body: &[u8],
    cuts: &[prop::sample::Index],
) -> Vec<DecodedEvent> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.sort_unstable();
    let mut decoder = AnswerDecoder::new(format, shape);
    let mut events = Vec::new();
    let mut from = 0;
    for cut in cuts.into_iter().chain([body.len()]) {
        decoder.push(&body[from..cut], &mut events);
        from = cut;
    }
    decoder.finish(&mut events);
    events
}

/// A recorded answer with some bytes of it changed, removed or repeated.
fn damaged() -> impl Strategy<Value = (usize, Vec<(prop::sample::Index, u8, u8)>)> {
    let damage = (any::<prop::sample::Index>(), 0..3_u8, any::<u8>());
    (0..answers().len(), prop::collection::vec(damage, 1..6))
}

fn damage(body: &mut Vec<u8>, damage: &[(prop::sample::Index, u8, u8)]) {
    for (at, kind, byte) in damage {
        if body.is_empty() {
            return;
        }
        let at = at.index(body.len());
        match kind {
            0 => body[at] = *byte,
            1 => drop(body.drain(at..(at + usize::from(*byte)).min(body.len()))),
            _ => {
                let repeated = body[at..(at + usize::from(*byte)).min(body.len())].to_vec();
                body.splice(at..at, repeated);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_answers_mean_the_same_in_any_pieces(
        (which, changes) in damaged(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let answers = answers();
        let answer = &answers[which];
        let mut body = answer.body.clone();
        damage(&mut body, &changes);
        let whole = decode(answer.format, answer.shape, &body, &[]);
        prop_assert_eq!(&decode(answer.format, answer.shape, &body, &cuts), &whole);
        let ends = whole.iter().filter(|it| matches!(it.event, WireEvent::End(_))).count();
        let errors = whole.iter().filter(|it| matches!(it.event, WireEvent::Error(_))).count();
        prop_assert!(ends == 1 || (ends == 0 && errors > 0));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(
        body in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        for format in WireFormat::ALL {
            for shape in SHAPES {
                let whole = decode(format, shape, &body, &[]);
                prop_assert_eq!(decode(format, shape, &body, &cuts), whole);
            }
            let _described = WireCall::of(format, "/", &body, &[]);
        }
    }

    #[test]
    fn the_filter_passes_every_other_byte_on(
        (which, changes) in damaged(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut body = answers()[which].body.clone();
        damage(&mut body, &changes);
        let filtered = |cuts: &[prop::sample::Index]| {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let mut filter = UsageChunkFilter::default();
            let mut passed = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([body.len()]) {
                filter.push(&body[from..cut], &mut |bytes| passed.extend_from_slice(bytes));
                from = cut;
            }
            filter.finish(&mut |bytes| passed.extend_from_slice(bytes));
            passed
        };
        let whole = filtered(&[]);
        let is_named = body.windows(5).any(|word| word == b"usage");
        prop_assert!(whole == body || is_named, "{}", String::from_utf8_lossy(&whole));
        prop_assert_eq!(filtered(&cuts), whole);
    }
}
