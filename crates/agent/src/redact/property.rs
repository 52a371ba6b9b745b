//! Property test of masking: random secrets in random forms, in random pieces.

use std::fmt::Write as _;

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Redactor;

const SETS: u64 = 500;
const CASES_A_SET: u64 = 24;
/// Length of a part of a form that must not be left, wherever it was cut. Shorter lines or parts
/// reveal less.
const LEAK_BYTES: usize = 16;
const KINDS: u64 = 16;
/// Kinds of values of several KiB.
const LONG: [u64; 2] = [16, 17];
const FORMS: u64 = 15;
const WAYS: u64 = 7;

/// Reproducible pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(u64::try_from(limit).unwrap())).unwrap()
    }

    fn text(&mut self, length: usize, alphabet: &str) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.index(letters.len())]).collect()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }
}

const WORD: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Returns the secrets of a run; the first is the one that is printed.
fn secrets(random: &mut Random, kind: u64) -> Vec<Vec<u8>> {
    let length = 16 + random.index(48);
    let word = random.text(length, WORD);
    let one = match kind {
        0 => format!("ghp_{word}").into_bytes(),
        1 => format!("eyJhbGciOiJIUzI1NiJ9.{word}.{word}").into_bytes(),
        2 => random.text(length, "aB3$%^&*()_+-={}[]|:;<>,.?/~`!@#'\"\\ ").into_bytes(),
        3 => format!("postgres://user:{word}@db.example.org:5432/x?a=b&c=d").into_bytes(),
        4 => {
            let lines: Vec<_> = (0..4).map(|_| random.text(64, WORD)).collect();
            let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
            format!("{begin}\n{}\n{end}\n", lines.join("\n")).into_bytes()
        }
        5 => format!("{word}\nsecond {word}\r\nthird {word}").into_bytes(),
        6 => random.text(length, "äöüßéèñçøåłžабвгдежз漢字仮名").into_bytes(),
        7 => random.text(length, "a\u{1f600}b\u{1f680}c\u{10348}").into_bytes(),
        8 => random.text(length, "a\u{1}b\u{1b}c\u{7f}d\t\u{8}\u{c}e").into_bytes(),
        9 => random.bytes(length),
        10 => "ab".repeat(length).into_bytes(),
        11 => "z".repeat(length).into_bytes(),
        // It begins as the second ends, and contains the third.
        12 => format!("shared-middle-{word}").into_bytes(),
        13 => format!("{{\"type\": \"x\", \"key\": \"{word}\\n\", \"n\": [1, 2]}}").into_bytes(),
        14 => format!("  {word} {word}\n\n").into_bytes(),
        15 => random.text(length, "0123456789").into_bytes(),
        16 => random.bytes(6 * 1_024),
        _ => random.text(10 * 1_024, WORD).into_bytes(),
    };
    match kind {
        12 => {
            let middle = one[4..20].to_vec();
            vec![one, format!("{word}-shared-middle-").into_bytes(), middle]
        }
        _ => vec![one],
    }
}

fn percent(value: &[u8], kept: &[u8], digits: &str) -> Vec<u8> {
    let encode = |byte: &u8| {
        if byte.is_ascii_alphanumeric() || kept.contains(byte) {
            return vec![*byte];
        }
        let text = if digits == "upper" { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        text.into_bytes()
    };
    value.iter().flat_map(encode).collect()
}

fn in_lines(text: &str, width: usize, end: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let lines: Vec<String> = letters.chunks(width).map(|line| line.iter().collect()).collect();
    lines.join(end)
}

/// Returns the encoded value with other bytes around it, and the part of the text that must be
/// masked.
fn encoded(random: &mut Random, value: &[u8], engine: &impl base64::Engine) -> (String, String) {
    let (lead, tail) = (random.index(7), random.index(3));
    let whole = [&random.bytes(lead)[..], value, &random.bytes(tail)].concat();
    let text = engine.encode(&whole);
    let first = (lead * 8).div_ceil(6);
    let end = (lead + value.len()) * 8 / 6;
    let core = text[first..end].to_owned();
    (text, core)
}

/// Returns the printed text, and the part that must be masked; `None` if a value has no such form.
fn form(random: &mut Random, value: &[u8], form: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let trimmed = value.trim_ascii();
    let same = |text: Vec<u8>| Some((text.clone(), text));
    let broken = |(text, core): (String, String), width: usize, end: &str| {
        Some((in_lines(&text, width, end).into_bytes(), core.into_bytes()))
    };
    let bytes = |(text, core): (String, String)| Some((text.into_bytes(), core.into_bytes()));
    let quoted = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    match form {
        0 => same(value.to_vec()),
        1 => bytes(encoded(random, trimmed, &STANDARD)),
        2 => bytes(encoded(random, trimmed, &URL_SAFE_NO_PAD)),
        3 => broken(encoded(random, trimmed, &STANDARD), 76, "\n"),
        4 => broken(encoded(random, trimmed, &STANDARD), 64, "\r\n"),
        5 => broken(encoded(random, trimmed, &STANDARD), 20, "\n    "),
        6 => same(quoted(std::str::from_utf8(trimmed).ok()?).as_bytes().to_vec()),
        7 => {
            let mut ascii = String::new();
            for unit in quoted(std::str::from_utf8(trimmed).ok()?).encode_utf16() {
                match u8::try_from(unit) {
                    Ok(byte) if byte.is_ascii() => ascii.push(char::from(byte)),
                    _ => write!(ascii, "\\u{unit:04x}").unwrap(),
                }
            }
            same(ascii.into_bytes())
        }
        8 => same(percent(trimmed, b"-._~", "upper")),
        9 => same(percent(trimmed, b"-._~!'()*", "lower")),
        10 => {
            let text = percent(trimmed, b"-._*", "upper");
            same(String::from_utf8(text).unwrap().replace("%20", "+").into_bytes())
        }
        11 => same(errand_model::hex(trimmed).into_bytes()),
        12 => same(errand_model::hex(trimmed).to_ascii_uppercase().into_bytes()),
        13 => {
            let hex = errand_model::hex(trimmed);
            Some((in_lines(&hex, 60, "\n").into_bytes(), hex.into_bytes()))
        }
        _ => {
            let text = std::str::from_utf8(trimmed).ok()?;
            same(quoted(&quoted(text)).as_bytes().to_vec())
        }
    }
}

fn streamed(redactor: &Redactor, text: &[u8], cuts: &mut Vec<usize>) -> Vec<u8> {
    let (mut stream, mut out, mut from) = (redactor.stream(), Vec::new(), 0);
    cuts.sort_unstable();
    for cut in cuts.drain(..) {
        stream.push(&text[from..cut], &mut out);
        from = cut;
    }
    stream.push(&text[from..], &mut out);
    stream.finish(&mut out);
    out
}

/// Returns the text as written; `None` if it cannot be written in that way.
fn written(random: &mut Random, redactor: &Redactor, text: &[u8], way: u64) -> Option<Vec<u8>> {
    let cut = |random: &mut Random, text: &str| {
        let at = random.index(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap()
    };
    match way {
        0 => Some(redactor.redact_bytes(text).into_owned()),
        1 => {
            let mut value = serde_json::json!({ "a": [std::str::from_utf8(text).ok()?] });
            redactor.redact_json(&mut value);
            value["a"][0].as_str().map(|text| text.as_bytes().to_vec())
        }
        2 | 3 => {
            let mut cuts = (0..way - 1).map(|_| random.index(text.len() + 1)).collect();
            Some(streamed(redactor, text, &mut cuts))
        }
        4 => {
            let step = 1 + random.index(64) + text.len() / 512;
            Some(streamed(redactor, text, &mut (0..text.len()).step_by(step).collect()))
        }
        // A failure text that was cut before.
        5 => {
            let text = std::str::from_utf8(text).ok()?;
            let at = cut(random, text);
            Some(redactor.redact_excerpt(&text[..at]).into_owned().into_bytes())
        }
        _ => {
            let text = std::str::from_utf8(text).ok()?;
            let at = cut(random, text);
            Some(redactor.redact_excerpt(&text[at..]).into_owned().into_bytes())
        }
    }
}

/// Returns a part of `needle` that is in `text`.
fn leak<'a>(needle: &'a [u8], text: &[u8]) -> Option<&'a [u8]> {
    let windows = needle.windows(LEAK_BYTES.min(needle.len()));
    // Bytes that are all equal occur in any text.
    windows.step_by(3).find(|part| memchr::memmem::find(text, part).is_some())
}

#[test]
fn no_encoding_or_split_of_a_secret_passes_redaction() {
    let mut random = Random(1);
    let (mut seen, mut through) = (0, Vec::new());
    for set in 0..SETS {
        // Long values are slow here.
        let kind = if set % 25 == 0 { LONG[random.index(LONG.len())] } else { random.below(KINDS) };
        let values = secrets(&mut random, kind);
        let redactor = Redactor::new(values.iter().map(|value| ("S", value.as_slice())));
        for _ in 0..CASES_A_SET {
            let (shape, way) = (random.below(FORMS), random.below(WAYS));
            let Some((text, needle)) = form(&mut random, &values[0], shape) else { continue };
            let (before, after) = (random.index(40), random.index(40));
            let around = "\u{e9} .,;\n-_#";
            let (before, after) = (random.text(before, around), random.text(after, around));
            let whole = [before.as_bytes(), &text, after.as_bytes()].concat();
            let Some(written) = written(&mut random, &redactor, &whole, way) else { continue };
            seen += 1;
            if let Some(part) = leak(&needle, &written) {
                let part = String::from_utf8_lossy(part).into_owned();
                through.push(format!("set {set}: kind {kind}, form {shape}, way {way}: {part:?}"));
            }
        }
    }
    assert!(seen >= 10_000, "only {seen} cases");
    let first = through[..through.len().min(40)].join("\n");
    assert!(through.is_empty(), "{} of {seen}:\n{first}", through.len());
}
