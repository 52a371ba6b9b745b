//! Estimate of the tokens of a request's input, from above.

use serde_json::{Map, Value};

/// Bytes of text for one token. Most tokenizers need more for English and code.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens that an image counts for, however many bytes it has: those of a large one.
const IMAGE_TOKENS: u64 = 5_000;

/// Tokens of a request's texts: names, values and definitions of tools, images apart.
pub(crate) fn input_tokens(body: &Map<String, Value>) -> u64 {
    let mut sum = Sum::default();
    sum.object(body);
    sum.bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(sum.images.saturating_mul(IMAGE_TOKENS))
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    images: u64,
}

impl Sum {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.add(BYTES_PER_TOKEN),
            Value::String(text) if text.starts_with("data:image/") => self.images += 1,
            Value::String(text) => self.add(text.len() as u64),
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(members) => self.object(members),
        }
    }

    fn object(&mut self, members: &Map<String, Value>) {
        let is_image = ["media_type", "mimeType", "mime_type"].into_iter().any(|name| {
            members.get(name).and_then(Value::as_str).is_some_and(|it| it.starts_with("image/"))
        });
        for (name, value) in members {
            self.add(name.len() as u64);
            if is_image && name == "data" {
                self.images += 1;
            } else {
                self.value(value);
            }
        }
    }

    const fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_counts_as_one_however_long_it_is() {
        let tokens = |body: Value| input_tokens(body.as_object().unwrap());
        assert_eq!(tokens(json!({})), 0);
        assert_eq!(tokens(json!({"content": "x".repeat(4_000)})), 1_002);
        let image = "A".repeat(400_000);
        assert_eq!(tokens(json!({"url": format!("data:image/png;base64,{image}")})), 5_001);
        assert_eq!(tokens(json!({"mimeType": "image/png", "data": image})), 5_006);
        assert!(tokens(json!({"mimeType": "application/pdf", "data": image})) > 100_000);
    }
}
