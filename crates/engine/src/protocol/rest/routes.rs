//! Which rule a verb and a path belong to.

use std::fmt;

use polywire_core::{HttpRule, Method, MethodKind, PathTemplate, Segment, TemplateError};

use super::percent;

/// The rules of all methods, as a tree of path segments.
///
/// Where several templates match a path, the most specific one is taken: from left to right a literal comes before
/// `*` and `*` before `**`; a custom verb comes before none, a named HTTP verb before any. The outcome does not depend on the
/// order of the rules.
#[derive(Debug)]
pub struct Routes {
    nodes: Vec<Node>,
    routes: Vec<Route>,
}

/// One rule and what it leads to.
#[derive(Debug)]
pub struct Route {
    /// `/package.Service/Method`.
    pub method: String,
    /// The shape of the method.
    pub kind: MethodKind,
    /// The rule.
    pub rule: &'static HttpRule,
    /// Its path.
    pub template: PathTemplate,
}

/// Why rules cannot be routed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// Two rules match the same requests.
    Conflict {
        /// The verb and path of the later.
        rule: String,
        /// The method of the earlier.
        first: String,
        /// The method of the later.
        second: String,
    },
    /// A template does not follow the grammar.
    Template {
        /// The method.
        method: String,
        /// What is wrong.
        error: TemplateError,
    },
}

/// Why no rule was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No template matches the path.
    Path,
    /// A template does, under these verbs.
    Verb(Vec<&'static str>),
}

/// A place in the tree: the segments so far.
#[derive(Debug, Default)]
struct Node {
    /// Sorted by text.
    literals: Vec<(String, usize)>,
    one: Option<usize>,
    /// The rules that end here.
    ends: Vec<End>,
    /// The rules that end here with `**`.
    rest_ends: Vec<End>,
}

#[derive(Debug)]
struct End {
    custom_verb: Option<String>,
    verb: &'static str,
    route: usize,
}

/// The verb that stands for any.
const ANY_VERB: &str = "*";

impl Routes {
    /// The routes to these methods. Methods without a rule are passed over.
    ///
    /// # Errors
    /// When two rules cannot be told apart or a template is wrong. The generator of code refuses both, so this happens only
    /// between services that were generated apart.
    pub fn new<'a>(methods: impl IntoIterator<Item = &'a Method>) -> Result<Self, RouteError> {
        let mut routes = Self { nodes: vec![Node::default()], routes: Vec::new() };
        for method in methods {
            for rule in method.http() {
                routes.insert(method, rule)?;
            }
        }
        Ok(routes)
    }

    /// Whether no method is reached as REST.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// All routes, in the order of the methods.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The route of a request: its verb and the raw path, without a query.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(&self, verb: &str, path: &str) -> Result<&Route, NoRoute> {
        let mut walk = Walk { routes: self, verb, segments: split(path), found: None, others: Vec::new() };
        // `orders:watch` is first taken for the verb `watch`, then for a segment with a colon in it.
        if let Some((before, custom)) = walk.segments.last().and_then(|last| last.rsplit_once(':'))
            && !before.is_empty()
            && let Some(whole) = walk.segments.pop()
        {
            walk.segments.push(before);
            walk.visit(0, 0, Some(custom));
            walk.segments.pop();
            walk.segments.push(whole);
        }
        if walk.found.is_none() {
            walk.visit(0, 0, None);
        }
        match walk.found {
            Some(route) => Ok(&self.routes[route]),
            None if walk.others.is_empty() => Err(NoRoute::Path),
            None => {
                walk.others.sort_unstable();
                walk.others.dedup();
                Err(NoRoute::Verb(walk.others))
            }
        }
    }

    fn insert(&mut self, method: &Method, rule: &'static HttpRule) -> Result<(), RouteError> {
        let template = PathTemplate::parse(rule.template)
            .map_err(|error| RouteError::Template { method: method.path().to_owned(), error })?;
        let mut node = 0;
        let mut rest = false;
        for segment in template.segments() {
            node = match segment {
                Segment::Literal(text) => self.literal_child(node, text),
                Segment::One => match self.nodes[node].one {
                    Some(child) => child,
                    None => {
                        let child = self.new_node();
                        self.nodes[node].one = Some(child);
                        child
                    }
                },
                Segment::Rest => {
                    rest = true;
                    break;
                }
            };
        }
        let route = self.routes.len();
        let node = &mut self.nodes[node];
        let ends = if rest { &mut node.rest_ends } else { &mut node.ends };
        let custom_verb = template.verb().map(str::to_owned);
        if let Some(end) = ends.iter().find(|end| end.verb == rule.verb && end.custom_verb == custom_verb) {
            return Err(RouteError::Conflict {
                rule: format!("{} {}", rule.verb, rule.template),
                first: self.routes[end.route].method.clone(),
                second: method.path().to_owned(),
            });
        }
        ends.push(End { custom_verb, verb: rule.verb, route });
        self.routes.push(Route { method: method.path().to_owned(), kind: method.kind(), rule, template });
        Ok(())
    }

    fn literal_child(&mut self, node: usize, text: &str) -> usize {
        match self.nodes[node].literals.binary_search_by(|(literal, _)| literal.as_str().cmp(text)) {
            Ok(place) => self.nodes[node].literals[place].1,
            Err(place) => {
                let child = self.new_node();
                self.nodes[node].literals.insert(place, (text.to_owned(), child));
                child
            }
        }
    }

    fn new_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }
}

impl Route {
    /// The raw text of each variable for a path that this route was found for.
    pub(super) fn raw_values<'a>(&self, path: &'a str) -> Vec<&'a str> {
        let mut path = path.strip_prefix('/').unwrap_or(path);
        if let Some(verb) = self.template.verb() {
            path = path.strip_suffix(verb).and_then(|path| path.strip_suffix(':')).unwrap_or(path);
        }
        // Where each segment begins; one past the end for what is not there.
        let mut starts = vec![0];
        starts.extend(path.match_indices('/').map(|(at, _)| at + 1));
        let start = |segment: usize| starts.get(segment).copied().unwrap_or(path.len() + 1);
        self.template
            .variables()
            .iter()
            .map(|variable| {
                let segments = variable.segments();
                let is_rest = self.template.segments().get(segments.end - 1) == Some(&Segment::Rest);
                let end = if is_rest { path.len() } else { start(segments.end) - 1 };
                path.get(start(segments.start).min(end)..end).unwrap_or_default()
            })
            .collect()
    }
}

/// The raw segments of a path. The path `/` has none.
fn split(path: &str) -> Vec<&str> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Vec::new(),
        path => path.split('/').collect(),
    }
}

/// One search. A place of the tree is visited once at most, whatever the path.
struct Walk<'a> {
    routes: &'a Routes,
    verb: &'a str,
    segments: Vec<&'a str>,
    found: Option<usize>,
    /// Verbs under which the path would have been found.
    others: Vec<&'static str>,
}

impl Walk<'_> {
    /// Looks below a place whose segments have matched. The depth is that of the deepest template.
    fn visit(&mut self, node: usize, at: usize, custom_verb: Option<&str>) {
        let node = &self.routes.nodes[node];
        match self.segments.get(at) {
            None => self.end(&node.ends, custom_verb),
            Some(&segment) => {
                let decoded = percent::decode(segment, percent::Slashes::Decoded);
                let literal = decoded.as_deref().unwrap_or(segment);
                if let Ok(place) = node.literals.binary_search_by(|(text, _)| text.as_str().cmp(literal)) {
                    self.visit(node.literals[place].1, at + 1, custom_verb);
                }
                if self.found.is_none()
                    && !segment.is_empty()
                    && let Some(child) = node.one
                {
                    self.visit(child, at + 1, custom_verb);
                }
            }
        }
        if self.found.is_none() {
            self.end(&node.rest_ends, custom_verb);
        }
    }

    fn end(&mut self, ends: &[End], custom_verb: Option<&str>) {
        let here = || ends.iter().filter(|end| end.custom_verb.as_deref() == custom_verb);
        let named = here().find(|end| end.verb == self.verb);
        match named.or_else(|| here().find(|end| end.verb == ANY_VERB)) {
            Some(end) => self.found = Some(end.route),
            None => self.others.extend(here().map(|end| end.verb)),
        }
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { rule, first, second } => write!(
                f,
                "{second} is reached by {rule}, which matches the same requests as a rule of {first}; give one of them another path"
            ),
            Self::Template { method, error } => write!(f, "the HTTP rule of {method}: {error}"),
        }
    }
}

impl std::error::Error for RouteError {}

#[cfg(test)]
mod tests {
    use polywire_core::http_rule::{Body, MessageFields};

    use super::*;

    static NOTHING: MessageFields = MessageFields { name: "a.Nothing", fields: &[] };

    fn routes(rules: &[(&'static str, &'static str)]) -> Result<Routes, RouteError> {
        let methods: Vec<_> = rules
            .iter()
            .map(|&(verb, template)| {
                let rule = HttpRule {
                    verb,
                    template,
                    body: Body::None,
                    response_body: None,
                    request: &NOTHING,
                    response: "a.Nothing",
                };
                Method::dynamic(&format!("{verb} {template}"), MethodKind::Unary).with_http(Vec::leak(vec![rule]))
            })
            .collect();
        Routes::new(&methods)
    }

    fn found(routes: &Routes, verb: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
        let route = routes.find(verb, path).ok()?;
        Some((route.rule.template, route.raw_values(path).into_iter().map(str::to_owned).collect()))
    }

    #[test]
    fn the_most_specific_template_wins_in_any_order() {
        let mut rules = vec![
            ("GET", "/v1/{name=orders/*}"),
            ("GET", "/v1/orders"),
            ("GET", "/v1/orders/all"),
            ("GET", "/v1/orders:watch"),
            ("GET", "/v1/{name=orders/*}:watch"),
            ("GET", "/v1/{rest=**}"),
            ("GET", "/v1/{a}/all/{b=c/**}"),
            ("POST", "/v1/orders"),
            ("*", "/v1/any"),
            ("GET", "/v1/any"),
            ("GET", "/"),
        ];
        for _ in 0..rules.len() {
            rules.rotate_left(1);
            let routes = routes(&rules).unwrap();
            for (verb, path, template, values) in [
                ("GET", "/v1/orders", "/v1/orders", &[][..]),
                ("POST", "/v1/orders", "/v1/orders", &[]),
                ("GET", "/v1/orders/7", "/v1/{name=orders/*}", &["orders/7"]),
                ("GET", "/v1/orders/all", "/v1/orders/all", &[]),
                ("GET", "/v1/orders/7:watch", "/v1/{name=orders/*}:watch", &["orders/7"]),
                ("GET", "/v1/orders/7:other", "/v1/{name=orders/*}", &["orders/7:other"]),
                ("GET", "/v1/orders:watch", "/v1/orders:watch", &[]),
                ("GET", "/v1/orders%3Awatch", "/v1/{rest=**}", &["orders%3Awatch"]),
                ("GET", "/v1/orders/a:b:watch", "/v1/{name=orders/*}:watch", &["orders/a:b"]),
                ("GET", "/v1/%6Frders", "/v1/orders", &[]),
                ("GET", "/v1/x/all/c/d/e", "/v1/{a}/all/{b=c/**}", &["x", "c/d/e"]),
                ("GET", "/v1/x/all/c", "/v1/{a}/all/{b=c/**}", &["x", "c"]),
                ("GET", "/v1/x/all", "/v1/{rest=**}", &["x/all"]),
                ("GET", "/v1", "/v1/{rest=**}", &[""]),
                ("GET", "/v1/", "/v1/{rest=**}", &[""]),
                ("GET", "/v1/orders/", "/v1/{rest=**}", &["orders/"]),
                ("GET", "/v1//7", "/v1/{rest=**}", &["/7"]),
                ("GET", "/v1/any", "/v1/any", &[]),
                ("PURGE", "/v1/any", "/v1/any", &[]),
                ("GET", "/", "/", &[]),
            ] {
                let values = values.iter().map(|&value| value.to_owned()).collect();
                assert_eq!(found(&routes, verb, path), Some((template, values)), "{verb} {path}");
            }
            assert_eq!(routes.find("GET", "/v2").unwrap_err(), NoRoute::Path);
            assert_eq!(routes.find("PUT", "/v1/orders").unwrap_err(), NoRoute::Verb(vec!["GET", "POST"]));
        }
    }

    #[test]
    fn a_star_needs_text_and_a_path_needs_its_end() {
        let routes = routes(&[("GET", "/v1/*/b"), ("GET", "/v1/{a}:do"), ("GET", "/*:run")]).unwrap();
        for path in ["/v1//b", "/v1/a/b/", "/v1/a", "/v1/:do", "/v1", "v2", "/:run"] {
            assert_eq!(routes.find("GET", path).unwrap_err(), NoRoute::Path, "{path}");
        }
        assert!(routes.find("GET", "/v1/x/b").is_ok());
        assert!(routes.find("GET", "/a:run").is_ok());
    }

    #[test]
    fn rules_that_cannot_be_told_apart_are_refused_by_name() {
        let error = routes(&[("GET", "/v1/{a}"), ("PUT", "/v1/{a}"), ("GET", "/v1/{b=*}")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/GET /v1/{b=*} is reached by GET /v1/{b=*}, which matches the same requests as a rule of /GET /v1/{a}; \
             give one of them another path"
        );
        assert!(matches!(routes(&[("GET", "v1")]), Err(RouteError::Template { .. })));
    }
}
