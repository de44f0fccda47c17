//! From names in a `.proto` file to names in Rust.

use std::collections::BTreeSet;

use buffa_codegen::idents::{make_field_ident, rust_path_to_tokens};

use crate::FileDescriptorProto;

/// The Rust names of one service.
///
/// They come from its name without a trailing `Service`, so that both `service Orders` and `service OrdersService` give
/// `OrdersService`, `OrdersServer` and `OrdersClient`. A name that the package has already gets an underscore behind it.
#[derive(Debug)]
pub(super) struct ServiceNames {
    /// The trait a server implements.
    pub(super) service: String,
    /// The type that offers an implementation to a server.
    pub(super) server: String,
    /// The typed client.
    pub(super) client: String,
    /// The module of method constants.
    pub(super) methods: String,
}

impl ServiceNames {
    /// Chooses names that `taken` does not have, and takes them.
    pub(super) fn choose(proto_name: &str, taken: &mut BTreeSet<String>) -> Self {
        let stem = match proto_name.strip_suffix("Service") {
            Some(stem) if !stem.is_empty() => stem,
            _ => proto_name,
        };
        let stem = upper_camel(stem);
        Self {
            service: take_free(format!("{stem}Service"), taken),
            server: take_free(format!("{stem}Server"), taken),
            client: take_free(format!("{stem}Client"), taken),
            methods: take_free(format!("{}_methods", snake(&stem)), taken),
        }
    }
}

/// The Rust names of one method.
#[derive(Debug)]
pub(super) struct MethodNames {
    /// In the service trait.
    pub(super) handler: String,
    /// In the client, which has functions of its own.
    pub(super) call: String,
    /// Its constant.
    pub(super) constant: String,
}

/// Functions every client has beside the methods of its service.
const CLIENT_FUNCTIONS: [&str; 2] = ["new", "channel"];

/// Constants every module of methods has beside the methods.
const METHOD_CONSTANTS: [&str; 1] = ["METHODS"];

impl MethodNames {
    /// Names for all methods of a service, in their order.
    pub(super) fn choose<'a>(proto_names: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let mut handlers = BTreeSet::new();
        let mut calls: BTreeSet<_> = CLIENT_FUNCTIONS.map(str::to_owned).into();
        let mut constants: BTreeSet<_> = METHOD_CONSTANTS.map(str::to_owned).into();
        proto_names
            .map(|name| {
                let snake = snake(name);
                Self {
                    handler: ident(&take_free(snake.clone(), &mut handlers)),
                    call: ident(&take_free(snake.clone(), &mut calls)),
                    constant: take_free(snake.to_ascii_uppercase(), &mut constants),
                }
            })
            .collect()
    }
}

/// The names which the messages and enums of these files have at the root of their package.
pub(super) fn taken_by_messages<'a>(
    files: impl Iterator<Item = &'a FileDescriptorProto>,
    module_of: impl Fn(&str) -> String,
) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for file in files {
        for message in &file.message_type {
            let name = message.name.as_deref().unwrap_or_default();
            taken.insert(module_of(name));
            for suffix in ["", "View", "OwnedView"] {
                taken.insert(format!("{name}{suffix}"));
            }
        }
        taken.extend(file.enum_type.iter().filter_map(|enumeration| enumeration.name.clone()));
    }
    taken
}

/// `GetHTTPResponse` as `get_http_response`.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (place, &letter) in chars.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| chars[before]);
        let begins_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && chars.get(place + 1).is_some_and(char::is_ascii_lowercase))
            });
        if begins_word {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A name with a capital in front and without underscores between its words: `order_stock` as `OrderStock`.
fn upper_camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.extend(letters);
    }
    camel
}

/// A name as an identifier: keywords become raw, or get an underscore where that is not allowed.
pub(super) fn ident(name: &str) -> String {
    make_field_ident(name).to_string()
}

/// A path with raw identifiers where its names are keywords.
pub(super) fn path(path: &str) -> String {
    rust_path_to_tokens(path).to_string().replace(' ', "")
}

fn take_free(mut name: String, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_spelling() {
        for (name, expected) in [
            ("Create", "create"),
            ("GetHTTPResponse", "get_http_response"),
            ("ListV2", "list_v2"),
            ("V2List", "v2_list"),
            ("already_snake", "already_snake"),
            ("With_Mixed", "with_mixed"),
            ("ABC", "abc"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(upper_camel("order_stock"), "OrderStock");
    }

    #[test]
    fn a_service_may_end_in_service_and_still_has_short_names() {
        let names = ServiceNames::choose("GreeterService", &mut BTreeSet::new());
        assert_eq!(names.service, "GreeterService");
        assert_eq!(names.client, "GreeterClient");
        assert_eq!(names.methods, "greeter_methods");
        assert_eq!(ServiceNames::choose("Service", &mut BTreeSet::new()).service, "ServiceService");
    }

    #[test]
    fn a_name_that_is_taken_gets_an_underscore() {
        let mut taken = BTreeSet::from(["GreeterClient".to_owned()]);
        assert_eq!(ServiceNames::choose("Greeter", &mut taken).client, "GreeterClient_");
        let again = ServiceNames::choose("GreeterService", &mut taken);
        assert_eq!(again.service, "GreeterService_");
        assert_eq!(again.client, "GreeterClient__");
    }

    #[test]
    fn methods_may_be_keywords_or_named_like_functions_of_the_client() {
        let names = MethodNames::choose(["Type", "Self", "New", "GetFoo", "getFoo", "Methods"].into_iter());
        let handlers: Vec<_> = names.iter().map(|name| name.handler.as_str()).collect();
        assert_eq!(handlers, ["r#type", "self_", "new", "get_foo", "get_foo_", "methods"]);
        assert_eq!(names[2].call, "new_");
        assert_eq!(names[4].constant, "GET_FOO_");
        assert_eq!(names[5].constant, "METHODS_");
    }
}
