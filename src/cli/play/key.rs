//! The Idempotency-Keys of a play.

use sha2::{Digest, Sha256};

/// Characters of the folder's name that a reader of the daemon's log gets to see; the hash carries the rest.
const READABLE: usize = 40;

/// The same for the same casino, folder and act on every machine for ever, so that a second play is a replay of the first.
///
/// Visible ASCII, well under the 200 characters a key may have: `play-casino-day-12-adfcbe4c12dcfe15`.
pub fn key(casino: &str, folder: &str, act: &str) -> String {
    let mut hash = Sha256::new();
    for part in [casino, folder, act] {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let hash = digest.iter().take(8).fold(0, |hash: u64, byte| (hash << 8) | u64::from(*byte));
    format!("play-{}-{}-{hash:016x}", readable(folder), readable(act))
}

fn readable(text: &str) -> String {
    text.chars()
        .take(READABLE)
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_on_every_machine() {
        assert_eq!(key("River Bend", "casino-day", "12"), key("River Bend", "casino-day", "12"));
        assert_eq!(key("River Bend", "casino-day", "12"), "play-casino-day-12-adfcbe4c12dcfe15");
    }

    #[test]
    fn another_casino_folder_or_act_is_another_key() {
        let keys = [
            key("a", "b", "1"),
            key("a2", "b", "1"),
            key("a", "b2", "1"),
            key("a", "b", "2"),
            key("ab", "", "1"),
            key("", "ab", "1"),
        ];
        let different: std::collections::HashSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }

    #[test]
    fn any_name_makes_a_key_the_contract_allows() {
        let key = key("Café Été", &"mañana ".repeat(100), "resolve 0198");
        assert!(key.len() <= 200, "{key}");
        assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
    }
}
