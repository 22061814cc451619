//! How a title's plays are spread over its rungs. Knows no time.

/// Shares of the rungs of one title: `plays` of each as observed, `prior` what rungs of these kinds
/// usually have (any scale), worth `prior_plays` plays. Sums to 1 unless there are no rungs.
#[must_use]
pub fn posterior_shares(plays: &[f64], prior: &[f64], prior_plays: f64) -> Vec<f64> {
    let usual: f64 = prior.iter().sum();
    let seen: f64 = plays.iter().sum();
    let even = 1.0 / plays.len().max(1) as f64;
    let whole = (seen + prior_plays).max(f64::MIN_POSITIVE);
    plays
        .iter()
        .enumerate()
        .map(|(rung, plays)| {
            let usual = match prior.get(rung) {
                Some(share) if usual > 0.0 => share / usual,
                _ => even,
            };
            (plays + prior_plays * usual) / whole
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::posterior_shares;

    #[test]
    fn nothing_seen_is_the_prior_and_much_seen_is_what_was_seen() {
        assert_eq!(posterior_shares(&[0.0, 0.0], &[3.0, 1.0], 8.0), [0.75, 0.25]);
        assert_eq!(posterior_shares(&[0.0, 0.0], &[0.0, 0.0], 8.0), [0.5, 0.5]);
        let seen = posterior_shares(&[0.0, 1e9], &[3.0, 1.0], 8.0);
        assert!(seen[1] > 0.999 && (seen[0] + seen[1] - 1.0).abs() < 1e-12);
        assert!(posterior_shares(&[], &[], 8.0).is_empty());
    }
}
