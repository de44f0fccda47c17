//! Names like a mistyped one.

/// Most names that are suggested.
const NEAR_MAX: usize = 5;

/// The candidates that somebody who wrote `wanted` may have meant, the most likely first.
pub(crate) fn near<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let wanted_end = last_word(&wanted);
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let whole = strsim::normalized_damerau_levenshtein(&wanted, &lower);
            // The last word carries most: a wrong or missing package should not hide the method.
            let end = strsim::normalized_damerau_levenshtein(wanted_end, last_word(&lower));
            (whole.max(0.9 * end), candidate)
        })
        .filter(|(score, _)| *score >= 0.6)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.truncate(NEAR_MAX);
    scored.into_iter().map(|(_, name)| name).collect()
}

/// Candidates that end with `wanted` at the border of a package.
pub(crate) fn ending_in<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let ends = |candidate: &str| candidate.strip_suffix(wanted).is_some_and(|front| front.ends_with('.'));
    candidates.into_iter().filter(|candidate| ends(candidate)).collect()
}

fn last_word(name: &str) -> &str {
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["orders.v1.Orders/Create", "orders.v1.Orders/Cancel", "stock.v1.Stock/Reserve"];

    #[test]
    fn a_slip_finds_the_name() {
        assert_eq!(near("orders.v1.Orders/Craete", NAMES)[0], NAMES[0]);
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
