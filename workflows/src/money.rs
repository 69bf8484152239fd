//! Money: whole cents in 64 bits, never a float (domain §2).

/// The largest amount one count, slip or document may carry: 100 billion in units of account.
/// A bound far above any tray, low enough that a session's sums cannot overflow.
pub const MAX_CENTS: i64 = 10_000_000_000_000;

/// What share of the whole a part is, in basis points, to nearest, halves away from zero. None of nothing.
pub fn share_bp(part: i64, whole: i64) -> Option<i64> {
    ratio_rounded(i128::from(part) * 10_000, i128::from(whole))
}

/// Rounds `numerator / denominator` to the nearest whole number, halves away from zero. None when the denominator is 0.
pub fn ratio_rounded(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator == 0 {
        return None;
    }
    let sign = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
    let (numerator, denominator) = (numerator.abs(), denominator.abs());
    i64::try_from(sign * ((2 * numerator + denominator) / (2 * denominator))).ok()
}

#[cfg(test)]
mod tests {
    use super::ratio_rounded;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!(ratio_rounded(5, 2), Some(3));
        assert_eq!(ratio_rounded(-5, 2), Some(-3));
        assert_eq!(ratio_rounded(4, 3), Some(1));
        assert_eq!(ratio_rounded(0, 7), Some(0));
        assert_eq!(ratio_rounded(1, 0), None);
    }
}
