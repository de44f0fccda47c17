//! Names like a mistyped one.

/// Most names that are suggested.
const NEAR_MAX: usize = 5;

/// What a name needs at least to be suggested; 1 is equality.
const SCORE_MIN: f64 = 0.55;

/// The candidates that somebody who wrote `wanted` may have meant, the most likely first.
pub(crate) fn near<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let (wanted_front, wanted_end) = split(&wanted);
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let (front, end) = split(&lower);
            let end = strsim::normalized_damerau_levenshtein(wanted_end, end);
            let front =
                wanted_front.map(|wanted| strsim::normalized_damerau_levenshtein(wanted, front.unwrap_or_default()));
            // The last word carries most: a wrong or missing package should not hide the method.
            (front.map_or(end, |front| 0.4 * front + 0.6 * end), candidate)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    scored.retain(|(score, _)| *score >= SCORE_MIN.max(best - 0.2));
    scored.truncate(NEAR_MAX);
    scored.into_iter().map(|(_, name)| name).collect()
}

/// Candidates that end with `wanted` at the border of a package.
pub(crate) fn ending_in<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let ends = |candidate: &str| candidate.strip_suffix(wanted).is_some_and(|front| front.ends_with('.'));
    candidates.into_iter().filter(|candidate| ends(candidate)).collect()
}

/// The last word, and what is in front of it.
fn split(name: &str) -> (Option<&str>, &str) {
    name.rsplit_once(['.', '/']).map_or((None, name), |(front, end)| (Some(front), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["orders.v1.Orders/Create", "orders.v1.Orders/Cancel", "stock.v1.Stock/Reserve"];

    #[test]
    fn a_slip_finds_the_name() {
        assert_eq!(near("orders.v1.Orders/Craete", NAMES), [NAMES[0]]);
        assert_eq!(near("stok.Stock/Reserve", NAMES), [NAMES[2]]);
        assert_eq!(near("Reserv", NAMES), [NAMES[2]]);
        assert!(near("xyz", NAMES).is_empty());
    }

    #[test]
    fn a_package_may_be_left_out_only_as_a_whole() {
        assert_eq!(ending_in("Orders/Create", NAMES), [NAMES[0]]);
        assert_eq!(ending_in("v1.Orders/Create", NAMES), [NAMES[0]]);
        assert!(ending_in("ders/Create", NAMES).is_empty());
    }
}
