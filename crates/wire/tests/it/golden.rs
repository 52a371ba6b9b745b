//! Files of `tests/golden`: a folder for each format, a file for each request and answer.

use std::path::{Path, PathBuf};

use errand_wire::{AnswerDecoder, AnswerShape, DecodedEvent, ModelAnswer, WireEvent, WireFormat};

/// A recorded answer.
pub(crate) struct GoldenAnswer {
    /// Format, case and kind, such as `openai_chat.tools.sse`.
    pub(crate) name: String,
    pub(crate) format: WireFormat,
    pub(crate) shape: AnswerShape,
    pub(crate) body: Vec<u8>,
}

/// A recorded request.
pub(crate) struct GoldenRequest {
    pub(crate) name: String,
    pub(crate) format: WireFormat,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

fn files() -> impl Iterator<Item = (String, WireFormat, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    WireFormat::ALL.into_iter().flat_map(move |format| {
        let entries = std::fs::read_dir(folder.join(format.as_str())).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(move |path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (format!("{}.{name}", format.as_str()), format, path)
        })
    })
}

/// All recorded answers.
pub(crate) fn answers() -> Vec<GoldenAnswer> {
    let answers = files().filter_map(|(name, format, path)| {
        let shape = match path.extension()?.to_str()? {
            "sse" => AnswerShape::EventStream,
            "array" => AnswerShape::JsonArray,
            "json" => AnswerShape::Whole,
            _ => return None,
        };
        Some(GoldenAnswer { name, format, shape, body: std::fs::read(path).unwrap() })
    });
    answers.collect()
}

/// All recorded requests: a line with method and path, an empty one, the body.
pub(crate) fn requests() -> Vec<GoldenRequest> {
    let requests = files().filter(|(name, ..)| name.ends_with(".request"));
    let requests = requests.map(|(name, format, path)| {
        let text = std::fs::read_to_string(path).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        let target = head.strip_prefix("POST ").unwrap().to_owned();
        GoldenRequest { name, format, target, body: body.as_bytes().to_vec() }
    });
    requests.collect()
}

/// Decodes an answer that arrives in pieces.
pub(crate) fn decode<'a>(
    answer: &GoldenAnswer,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<DecodedEvent> {
    let mut decoder = AnswerDecoder::new(answer.format, answer.shape);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(piece, &mut events);
    }
    decoder.finish(&mut events);
    events
}

/// The events in a line each, with the bytes of their frames.
fn lines(events: &[DecodedEvent]) -> String {
    let mut answer = ModelAnswer::default();
    events.iter().for_each(|decoded| answer.apply(&decoded.event));
    let lines = events.iter().map(|DecodedEvent { frame, event }| {
        format!("{:>5} {:>5}  {event:?}", frame.start, frame.end)
    });
    let usage = format!("usage: {:?}", answer.usage_state());
    lines.chain([usage]).collect::<Vec<_>>().join("\n")
}

#[test]
fn answers_are_decoded_as_documented() {
    for answer in answers() {
        let events = decode(&answer, [answer.body.as_slice()]);
        insta::assert_snapshot!(answer.name.clone(), lines(&events));
    }
}

#[test]
fn every_answer_has_one_end_or_an_error() {
    for answer in answers() {
        let events = decode(&answer, [answer.body.as_slice()]);
        let count =
            |is: fn(&WireEvent) -> bool| events.iter().filter(|decoded| is(&decoded.event)).count();
        let ends = count(|event| matches!(event, WireEvent::End(_)));
        let errors = count(|event| matches!(event, WireEvent::Error(_)));
        assert!(ends == 1 || (ends == 0 && errors > 0), "{}: {events:?}", answer.name);
    }
}
