//! Figures for people to read, from whole numbers only. What is not known is a dash, never a zero.

const UNKNOWN: &str = "—";

/// Cents as dollars: `$1,234.50`, `-$0.05`.
pub fn dollars(cents: Option<i64>) -> String {
    cents.map_or_else(
        || UNKNOWN.to_owned(),
        |cents| {
            format!(
                "{}${}.{:02}",
                sign(cents),
                grouped(cents.unsigned_abs() / 100),
                cents.unsigned_abs() % 100
            )
        },
    )
}

/// Basis points as per cent: `12.34 %`.
pub fn percent(basis_points: Option<i64>) -> String {
    basis_points.map_or_else(
        || UNKNOWN.to_owned(),
        |bp| format!("{}{}.{:02} %", sign(bp), grouped(bp.unsigned_abs() / 100), bp.unsigned_abs() % 100),
    )
}

pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

fn sign(value: i64) -> &'static str {
    if value < 0 { "-" } else { "" }
}

fn grouped(whole: u64) -> String {
    let digits = whole.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_read_as_dollars() {
        let read = |cents| dollars(Some(cents));
        assert_eq!(read(0), "$0.00");
        assert_eq!(read(5), "$0.05");
        assert_eq!(read(99_999), "$999.99");
        assert_eq!(read(100_000), "$1,000.00");
        assert_eq!(read(12_000_000), "$120,000.00");
        assert_eq!(read(1_234_567_890), "$12,345,678.90");
        assert_eq!(read(-5), "-$0.05");
        assert_eq!(read(-123_456), "-$1,234.56");
        assert_eq!(read(i64::MIN), "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn hold_reads_as_per_cent_also_below_zero_and_over_a_hundred() {
        let read = |bp| percent(Some(bp));
        assert_eq!(read(1234), "12.34 %");
        assert_eq!(read(-5), "-0.05 %");
        assert_eq!(read(12_345), "123.45 %");
        assert_eq!(read(0), "0.00 %");
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        assert_eq!(
            (dollars(None), percent(None), or_dash(None::<u8>)),
            ("—".into(), "—".into(), "—".into())
        );
        assert_eq!(or_dash(Some(0)), "0");
    }
}
