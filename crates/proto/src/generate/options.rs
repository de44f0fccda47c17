/// How code is generated. [`Build`](crate::Build) and the protoc plug-in fill it in.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(super) owned: Vec<MethodPattern>,
    pub(super) bytes: Vec<String>,
    pub(super) external: Vec<(String, String)>,
    pub(super) type_attributes: Vec<(String, String)>,
    pub(super) field_attributes: Vec<(String, String)>,
}

impl Options {
    /// The defaults: handlers get views, `bytes` fields are `Vec<u8>`, everything but the well-known types is generated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the handlers of these methods owned messages instead of views into the receive buffer.
    ///
    /// The pattern is a method (`/orders.v1.Orders/Create`), a service (`orders.v1.Orders`), or either with `*` for any run
    /// of characters. A pattern that names no method is an error when code is generated.
    #[must_use]
    pub fn owned(mut self, pattern: &str) -> Self {
        self.owned.push(MethodPattern::new(pattern));
        self
    }

    /// Makes the `bytes` fields below a path (`.`, `.orders.v1`, `.orders.v1.Photo.jpeg`) `bytes::Bytes` instead of `Vec<u8>`,
    /// so that an owned message shares the receive buffer.
    #[must_use]
    pub fn bytes(mut self, path: &str) -> Self {
        self.bytes.push(absolute(path));
        self
    }

    /// Takes the types of a package from another crate, where they have been generated, instead of generating them again:
    /// `external("common.v1", "::common_protos::common::v1")`.
    #[must_use]
    pub fn external(mut self, package: &str, rust_path: &str) -> Self {
        self.external.push((absolute(package), rust_path.to_owned()));
        self
    }

    /// Puts an attribute on the messages, enums and oneofs below a path: `type_attribute("orders.v1.State", "#[derive(sqlx::Type)]")`.
    #[must_use]
    pub fn type_attribute(mut self, path: &str, attribute: &str) -> Self {
        self.type_attributes.push((absolute(path), attribute.to_owned()));
        self
    }

    /// Puts an attribute on the fields below a path.
    #[must_use]
    pub fn field_attribute(mut self, path: &str, attribute: &str) -> Self {
        self.field_attributes.push((absolute(path), attribute.to_owned()));
        self
    }

    /// Whether the handler of this method (`/package.Service/Method`) takes its request owned.
    pub(super) fn is_owned(&self, method: &str) -> bool {
        self.owned.iter().any(|pattern| pattern.matches(method))
    }

    /// Whether a type (with a dot in front) comes from another crate.
    pub(super) fn is_external(&self, name: &str) -> bool {
        let below =
            |package: &str| name.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        below(".google.protobuf") || self.external.iter().any(|(package, _)| below(package))
    }

    /// The first pattern that matches none of these methods.
    pub(super) fn pattern_without_use(&self, methods: &[String]) -> Option<&str> {
        let unused = self.owned.iter().find(|pattern| !methods.iter().any(|method| pattern.matches(method)));
        unused.map(|pattern| pattern.0.as_str())
    }
}

/// Names methods: see [`Options::owned`].
#[derive(Clone, Debug)]
pub(super) struct MethodPattern(String);

impl MethodPattern {
    fn new(text: &str) -> Self {
        Self(text.strip_prefix('/').unwrap_or(text).to_owned())
    }

    fn matches(&self, method: &str) -> bool {
        let method = method.strip_prefix('/').unwrap_or(method);
        let service = method.split_once('/').map_or(method, |(service, _)| service);
        glob(&self.0, method) || glob(&self.0, service)
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, behind)) => text
            .strip_prefix(before)
            .is_some_and(|rest| rest.char_indices().any(|(at, _)| glob(behind, &rest[at..])) || glob(behind, "")),
    }
}

/// A path of a `.proto` name with the dot in front that means "from the root".
fn absolute(path: &str) -> String {
    if path.starts_with('.') { path.to_owned() } else { format!(".{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_methods_services_or_families_of_them() {
        let method = "/orders.v1.Orders/Create";
        for pattern in
            ["/orders.v1.Orders/Create", "orders.v1.Orders/Create", "orders.v1.Orders", "*", "orders.*", "*/Cre*"]
        {
            assert!(MethodPattern::new(pattern).matches(method), "{pattern}");
        }
        for pattern in ["orders.v1", "/orders.v1.Orders/Creat", "*/Get*", "Create"] {
            assert!(!MethodPattern::new(pattern).matches(method), "{pattern}");
        }
    }
}
