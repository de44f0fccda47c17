//! The codes as lower-case words: `not_found`. Connect and the JSON text form spell them so.

use polywire_core::Code;

/// The word for a code. `cancelled` is spelt `canceled`, as Connect has it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    NAMES[code.number() as usize]
}

/// The code behind a word. The spelling `cancelled` is understood too.
pub(crate) fn code_from_name(name: &str) -> Option<Code> {
    if name == "cancelled" {
        return Some(Code::Cancelled);
    }
    Code::ALL.into_iter().find(|&code| code_name(code) == name)
}

/// By number.
const NAMES: [&str; 17] = [
    "ok",
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_word_and_comes_back() {
        for code in Code::ALL {
            assert_eq!(code_from_name(code_name(code)), Some(code));
            if code != Code::Cancelled {
                assert_eq!(code_name(code), code.name().to_ascii_lowercase());
            }
        }
        assert_eq!(code_from_name("cancelled"), Some(Code::Cancelled));
        assert_eq!(code_from_name("NOT_FOUND"), None);
    }
}
