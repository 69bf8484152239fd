//! JSON that is only kept to be given again: compressed, because of what a command writes its answer is the longest, and nobody reads it in
//! the table. Postgres itself leaves a row of this size as it is.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::Fault;

/// Compressed, and in base64, which is how bytes travel in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packed(String);

impl Packed {
    pub fn of(value: &Value) -> Self {
        let text = value.to_string();
        let mut packed = Vec::new();
        // Reading from memory and writing to it does not fail.
        let done = ZlibEncoder::new(text.as_bytes(), Compression::fast()).read_to_end(&mut packed);
        debug_assert!(done.is_ok(), "{done:?}");
        Self(STANDARD.encode(packed))
    }

    pub fn value(&self) -> Result<Value, Fault> {
        // Postgres breaks its base64 into lines.
        let packed: String = self.0.split_whitespace().collect();
        let packed = STANDARD.decode(packed).map_err(|error| Fault::Other(error.into()))?;
        serde_json::from_reader(ZlibDecoder::new(packed.as_slice())).map_err(Fault::unreadable)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_packed_comes_out_the_same_and_is_shorter_inside() {
        let answer = json!({ "session": { "id": "b", "figures": vec!["12345.00 dollars and no cents"; 60] }, "n": [null, 1.5, "ü"] });
        let packed = Packed::of(&answer);
        assert!(packed.0.len() < answer.to_string().len() / 4, "{}", packed.0.len());
        assert_eq!(packed.value().unwrap(), answer);
        let in_lines = packed
            .0
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(Packed(in_lines).value().unwrap(), answer);
        for broken in ["", "%", "AAAA"] {
            assert!(Packed(broken.to_owned()).value().is_err(), "{broken}");
        }
    }
}
