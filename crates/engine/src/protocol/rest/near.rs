//! Which known name a wrong one was meant to be.

/// Longest name that is compared. The work grows with its square.
const NAME_BYTES_MAX: usize = 64;

/// The nearest of some names, if one is near enough to be worth a question.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let near = known.map(|candidate| (distance(name, candidate), candidate)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= name.len().div_ceil(3)).then_some(near.1)
}

/// Edits (Levenshtein) from one name to the other; case counts for nothing.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().map(|byte| byte.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(byte != *other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_nonsense_finds_none() {
        let names = ["pageSize", "pageToken", "filter"];
        assert_eq!(nearest("pagesize", names.into_iter()), Some("pageSize"));
        assert_eq!(nearest("page_size", names.into_iter()), Some("pageSize"));
        assert_eq!(nearest("fliter", names.into_iter()), Some("filter"));
        assert_eq!(nearest("customer", names.into_iter()), None);
        assert_eq!(nearest(&"a".repeat(100), names.into_iter()), None);
    }
}
