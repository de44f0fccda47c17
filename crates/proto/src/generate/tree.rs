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
    /// Whether the package can make its messages known.
    registers: bool,
    children: BTreeMap<String, ModuleTree>,
}

/// The module beside the outermost packages that makes the messages of all of them known.
const REGISTER: &str = "__polywire_register";

/// The path from a package to the function that makes the messages of its tree known.
pub(super) fn register_from(package: &str) -> String {
    // Files without a package stand in a module as well.
    format!("{}{REGISTER}::types", "super::".repeat(package.split('.').count()))
}

impl ModuleTree {
    pub(super) fn insert(&mut self, package: &str, file: &str, registers: bool) {
        let mut module = self;
        for part in package.split('.').filter(|part| !part.is_empty()) {
            module = module.children.entry(part.to_owned()).or_default();
        }
        module.file = Some(file.to_owned());
        module.registers = registers;
    }

    /// The modules, and the function that makes the messages in them known.
    pub(super) fn emit(&self) -> String {
        let mut code = String::new();
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
        self.emit_register(&mut code);
        code
    }

    fn emit_register(&self, code: &mut String) {
        let mut functions = Vec::new();
        if self.registers {
            functions.push("super::__package::__buffa::register_types".to_owned());
        }
        for (name, child) in &self.children {
            child.collect_registering(&format!("super::{}", ident(name)), &mut functions);
        }
        write!(
            code,
            "
{}
#[doc(hidden)]
pub mod {REGISTER} {{
    /// Makes the messages of all these packages known, once, so that an `Any` that holds one has its JSON.
    pub fn types() {{
        static ONCE: ::std::sync::Once = ::std::sync::Once::new();
        ONCE.call_once(|| ::polywire::codegen::register_types(&[{}]));
    }}
}}
",
            allow(),
            functions.join(", ")
        )
        .expect("writing to a string does not fail");
    }

    fn collect_registering(&self, path: &str, functions: &mut Vec<String>) {
        if self.registers {
            functions.push(format!("{path}::__buffa::register_types"));
        }
        for (name, child) in &self.children {
            child.collect_registering(&format!("{path}::{}", ident(name)), functions);
        }
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
