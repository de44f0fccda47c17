//! The modules around the code of all packages, nested as the packages are.

use std::{collections::BTreeMap, fmt::Write as _};

use super::names::ident;

/// What generated code may do that a careful author of other code would be warned of.
const ALLOWED: [&str; 24] = [
    "dead_code",
    "deprecated",
    "elided_lifetimes_in_paths",
    "missing_copy_implementations",
    "missing_debug_implementations",
    "missing_docs",
    "non_camel_case_types",
    "non_snake_case",
    "non_upper_case_globals",
    "single_use_lifetimes",
    "trivial_casts",
    "trivial_numeric_casts",
    "unreachable_pub",
    "unused_imports",
    "unused_lifetimes",
    "unused_mut",
    "unused_qualifications",
    "unused_results",
    "unused_variables",
    "clippy::all",
    "clippy::nursery",
    "clippy::pedantic",
    "clippy::restriction",
    "rustdoc::all",
];

/// The attribute that allows generated code what it does.
pub(super) fn allow() -> String {
    format!("#[allow({})]", ALLOWED.join(", "))
}

/// Modules by package, each with the file that holds its code.
#[derive(Debug, Default)]
pub(super) struct ModuleTree {
    file: Option<String>,
    children: BTreeMap<String, ModuleTree>,
}

impl ModuleTree {
    pub(super) fn insert(&mut self, package: &str, file: &str) {
        let mut module = self;
        for part in package.split('.').filter(|part| !part.is_empty()) {
            module = module.children.entry(part.to_owned()).or_default();
        }
        module.file = Some(file.to_owned());
    }

    pub(super) fn emit(&self) -> String {
        let mut code = String::from(super::HEADER);
        if let Some(file) = &self.file {
            // Items at the root cannot have a common attribute, so they come by way of a module.
            writeln!(code, "\n#[allow(unreachable_pub, unused_imports)]\npub use self::__package::*;\n\n{}", allow())
                .expect("writing to a string does not fail");
            writeln!(code, "#[doc(hidden)]\npub mod __package {{\n    use super::*;\n    include!(\"{file}\");\n}}")
                .expect("writing to a string does not fail");
        }
        for (name, child) in &self.children {
            writeln!(code, "\n{}", allow()).expect("writing to a string does not fail");
            child.emit_into(name, 0, &mut code);
        }
        code
    }

    fn emit_into(&self, name: &str, depth: usize, code: &mut String) {
        let indent = "    ".repeat(depth);
        writeln!(code, "{indent}pub mod {} {{", ident(name)).expect("writing to a string does not fail");
        if let Some(file) = &self.file {
            writeln!(code, "{indent}    include!(\"{file}\");").expect("writing to a string does not fail");
        }
        for (name, child) in &self.children {
            child.emit_into(name, depth + 1, code);
        }
        writeln!(code, "{indent}}}").expect("writing to a string does not fail");
    }
}
