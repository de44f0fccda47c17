//! Makes the code for messages need the crate `polywire` alone.
//!
//! What buffa generates names its runtime crates from the root (`::buffa::…`, `::serde::…`), so a user would have to depend
//! on each of them in the right version. `polywire::codegen` has them all; here the paths are led through it.

/// The crates of the runtime that `polywire::codegen` hands on.
const CRATES: [&str; 4] = ["buffa", "buffa_descriptor", "buffa_types", "serde"];

const THROUGH: &str = "::polywire::codegen";

/// Leads the paths of runtime crates through `polywire::codegen`.
pub(super) fn through_polywire(code: &str) -> String {
    let mut through = String::with_capacity(code.len() + code.len() / 4);
    for line in code.split_inclusive('\n') {
        let indent = &line[..line.len() - line.trim_start().len()];
        let derives_serde = line.trim_start().starts_with("#[derive(") && line.contains("::serde::");
        push_line(line, &mut through);
        if derives_serde {
            // Derived code would look for a crate `serde` among the user's dependencies.
            through.push_str(indent);
            through.push_str(&format!("#[serde(crate = \"{THROUGH}::serde\")]\n"));
        }
    }
    through
}

fn push_line(line: &str, through: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find("::") {
        let (before, path) = rest.split_at(at);
        through.push_str(before);
        let from_root = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>');
        let known = CRATES.iter().any(|name| path[2..].strip_prefix(name).is_some_and(|rest| rest.starts_with("::")));
        if from_root && known {
            through.push_str(THROUGH);
        }
        through.push_str("::");
        rest = &path[2..];
    }
    through.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_from_the_root_are_led_through_polywire() {
        assert_eq!(
            through_polywire("a: ::buffa::MessageField<::buffa_types::google::protobuf::Any>,\n"),
            "a: ::polywire::codegen::buffa::MessageField<::polywire::codegen::buffa_types::google::protobuf::Any>,\n"
        );
        assert_eq!(through_polywire("with = \"::buffa::x\""), "with = \"::polywire::codegen::buffa::x\"");
    }

    #[test]
    fn packages_of_the_user_may_have_the_names_of_crates() {
        let code = "super::buffa::A self::r#type::serde::B ::core::serde::C ::buffalo::D";
        assert_eq!(through_polywire(code), code);
    }

    #[test]
    fn a_derive_learns_where_serde_is() {
        assert_eq!(
            through_polywire("  #[derive(::serde::Serialize)]\n  struct A;\n"),
            "  #[derive(::polywire::codegen::serde::Serialize)]\n  #[serde(crate = \"::polywire::codegen::serde\")]\n  struct A;\n"
        );
    }
}
