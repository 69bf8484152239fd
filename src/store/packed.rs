//! JSON that is only kept to be given again: compressed, because of what a command writes its answer is the longest, and nobody reads it in
//! the table. Postgres itself leaves a row of this size as it is.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use serde_json::Value;

use super::fault::Fault;

/// As base64, which is how bytes travel in JSON.
pub fn pack(value: &Value) -> String {
    let text = value.to_string();
    let mut packed = Vec::new();
    // Reading from memory and writing to it does not fail.
    let done = ZlibEncoder::new(text.as_bytes(), Compression::fast()).read_to_end(&mut packed);
    debug_assert!(done.is_ok(), "{done:?}");
    STANDARD.encode(packed)
}

pub fn unpack(packed: &str) -> Result<Value, Fault> {
    // Postgres breaks its base64 into lines.
    let packed: String = packed.split_whitespace().collect();
    let packed = STANDARD.decode(packed).map_err(|error| Fault::Other(error.into()))?;
    serde_json::from_reader(ZlibDecoder::new(packed.as_slice())).map_err(Fault::unreadable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_packed_comes_out_the_same_and_is_shorter_inside() {
        let answer = json!({ "session": { "id": "b", "figures": vec!["12345.00 dollars and no cents"; 60] }, "n": [null, 1.5, "ü"] });
        let packed = pack(&answer);
        assert!(packed.len() < answer.to_string().len() / 4, "{}", packed.len());
        assert_eq!(unpack(&packed).unwrap(), answer);
        let in_lines = packed
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(unpack(&in_lines).unwrap(), answer);
        for broken in ["", "%", "AAAA"] {
            assert!(unpack(broken).is_err(), "{broken}");
        }
    }
}
